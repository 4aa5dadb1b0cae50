// Clocks as types. Modules never read a clock: an Instant is always an argument.
#pragma once

#include <chrono>
#include <cstdint>

namespace nudge {

using Duration = std::chrono::nanoseconds;

// The robot's steady clock: monotonic, never jumps, means nothing on another machine or after a
// reboot. It has no now(): only src/ reads the time, and a simulation makes it up.
struct RobotClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<RobotClock, duration>;
  static constexpr bool is_steady = true;
};
using Instant = RobotClock::time_point;

// Nanoseconds since 1970-01-01 UTC. For people and for other machines; no timer runs on it.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Number of a control tick, counted from 1 since boot. 0: none yet.
using ControlTick = std::uint64_t;

inline double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
inline Duration from_seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

}  // namespace nudge
