// The only place where the program reads a clock for itself.
#pragma once

#include <chrono>

#include "nudge/time.h"

namespace nudge {

inline Instant steady_now() {
  return Instant(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}
inline WallTime wall_now() {
  return WallTime(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

}  // namespace nudge
