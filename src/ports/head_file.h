// Signed heads of the log, kept in a file that may lie on another disk or machine: what shows later
// that the log was cut off or made anew (signed_head.h). One line each, the oldest first.
//
// Its size is bounded by leaving out, not by forgetting: when it would grow beyond its limit, half
// of it goes, so that what is left lies the farther apart the older it is. It always reaches back
// to its first head.
#pragma once

#include <cstdint>
#include <string>

#include "nudge/status.h"
#include "replay/file.h"

namespace nudge {

class HeadFile {
 public:
  static constexpr std::uint64_t kMostBytes = 8u
                                              << 20;  // some 20,000 heads: two weeks, one a minute

  // `files` outlives it. The file is made with the first head, mode 0600; its folder must exist.
  HeadFile(FileSystem& files, std::string path, std::uint64_t most_bytes = kMostBytes)
      : files_(files), path_(std::move(path)), most_bytes_(most_bytes) {}

  // Adds a line, without its newline, and waits until it is on disk. After an error it is not
  // there, or only a part of it, which the next append makes a line of its own. Errors of
  // FileSystem.
  Status append(const std::string& line);

 private:
  Status thin_out(File& file, std::uint64_t size);

  FileSystem& files_;
  std::string path_;
  std::uint64_t most_bytes_;
};

}  // namespace nudge
