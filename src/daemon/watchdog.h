// The watchdog thread: makes the robot hold when the step thread has stalled. It can do nothing for
// a process that is stopped as a whole; that takes the driver's or the hardware's own timeout.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "nudge/robot.h"
#include "nudge/time.h"

namespace nudge {

// start() and stop() belong to one thread.
class Watchdog {
 public:
  // `heartbeat` is the time of the newest tick, ns of `clock`. `on_stall` is told once for each
  // stall, after the robot was told to hold; from the watchdog thread.
  Watchdog(Robot& robot, const std::atomic<std::int64_t>& heartbeat, Instant (*clock)(),
           Duration limit, std::function<void(Duration gap)> on_stall);
  ~Watchdog();
  void start();
  void stop();

  std::uint64_t stalls() const { return stalls_; }
  bool stalled() const { return stalled_; }

 private:
  void run();

  Robot& robot_;
  const std::atomic<std::int64_t>& heartbeat_;
  Instant (*clock_)();
  Duration limit_;
  std::function<void(Duration)> on_stall_;
  std::atomic<std::uint64_t> stalls_{0};
  std::atomic<bool> stalled_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
