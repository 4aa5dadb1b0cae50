// The STOP latch on disk: one byte in a file that was allocated when there was room, so that a full
// disk cannot unlatch it.
#pragma once

#include <string>

#include "nudge/status.h"

namespace nudge {

// One thread at a time; blocks on the disk, so never the step thread.
class StopLatch {
 public:
  // Opens or makes the file. Unreadable content counts as latched. kUnavailable: neither works.
  static Result<StopLatch> open(const std::string& path);
  ~StopLatch();
  StopLatch(StopLatch&& other) noexcept;
  StopLatch& operator=(StopLatch&&) = delete;

  bool latched() const { return latched_; }
  // Durable when it returns ok.
  Status set(bool latched);

 private:
  StopLatch(int descriptor, bool latched) : descriptor_(descriptor), latched_(latched) {}
  int descriptor_;
  bool latched_;
};

}  // namespace nudge
