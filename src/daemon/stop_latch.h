// The STOP latch on disk: one byte in a file that was allocated when there was room, so that a full
// disk cannot unlatch it.
#pragma once

#include <memory>
#include <string>

#include "nudge/status.h"
#include "replay/file.h"

namespace nudge {

// One thread at a time; blocks on the disk, so never the step thread.
class StopLatch {
 public:
  // Opens or makes the file; its parent exists. Unreadable content counts as latched. `files`
  // outlives it. kUnavailable and the other codes of FileSystem: neither works.
  static Result<StopLatch> open(FileSystem& files, const std::string& path);

  bool latched() const { return latched_; }
  // Durable when it returns ok.
  Status set(bool latched);

 private:
  StopLatch(std::unique_ptr<File> file, bool latched) : file_(std::move(file)), latched_(latched) {}
  std::unique_ptr<File> file_;
  bool latched_;
};

}  // namespace nudge
