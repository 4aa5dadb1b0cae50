// Adds to what is known of an episode what lies on disk of it: its steps and its frames. Blocks on
// the disk, so it has a thread of its own (src/daemon/archive_thread.h).
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"
#include "replay/segment_reader.h"
#include "src/ports/episode_index.h"

namespace nudge {

// Where the steps of an episode lie.
struct SegmentPlace {
  EpisodeId episode = 0;
  std::string path;
  std::uint64_t end_offset = 0;  // of what is on disk; never read beyond it
};
SegmentPlace place_of(const EpisodeRecord& record);

// Not thread-safe: one thread at a time. Keeps the files of the last four episodes open, and where
// their steps lie, so that a frame costs one read.
class EpisodeReader {
 public:
  // `files` outlives it.
  EpisodeReader(FileSystem& files, Duration policy_period);
  ~EpisodeReader();

  // The JSON of docs/reference/supervisor-port.md, at most about 9 MiB. Never fails: what cannot be
  // read is said in it.
  std::string episode(const EpisodeRecord& record);

  // The JPEG of a camera at a policy step. kNotFound: there is none. kDataLoss: it is damaged.
  Result<std::string> frame(const SegmentPlace& place, const std::string& camera,
                            std::uint32_t step);

 private:
  struct Opened;
  Result<Opened*> open(const SegmentPlace& place);
  Status go_on(Opened& opened, std::uint64_t end, const SegmentReader::Visit& also);

  FileSystem& files_;
  Duration policy_period_;
  std::list<Opened> opened_;  // used last comes first
};

}  // namespace nudge
