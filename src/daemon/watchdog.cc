#include "src/daemon/watchdog.h"

#include <pthread.h>

namespace nudge {

Watchdog::Watchdog(Robot& robot, const std::atomic<std::int64_t>& heartbeat, Instant (*clock)(),
                   Duration limit, std::function<void(Duration)> on_stall)
    : robot_(robot),
      heartbeat_(heartbeat),
      clock_(clock),
      limit_(limit),
      on_stall_(std::move(on_stall)) {}

Watchdog::~Watchdog() { stop(); }

void Watchdog::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-watchdog");
}

void Watchdog::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Watchdog::run() {
  // Twenty looks per limit: a stall is seen at most a twentieth late.
  const Duration pause = limit_ / 20;
  while (!stop_) {
    std::this_thread::sleep_for(pause);
    const Instant newest{Duration(heartbeat_.load(std::memory_order_relaxed))};
    const Duration gap = clock_() - newest;
    if (gap <= limit_) {
      stalled_ = false;
      continue;
    }
    robot_.hold();  // again at each look: the step thread may have got one more apply() out
    if (!stalled_.exchange(true)) {
      ++stalls_;
      if (on_stall_) on_stall_(gap);
    }
  }
}

}  // namespace nudge
