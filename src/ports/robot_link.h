// What the step thread (RemoteRobot) and the io thread (RobotPort) share about a robot in another
// process. Every field says who writes it; nobody waits for anybody.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "nudge/robot.h"
#include "src/handoff/latest.h"

namespace nudge {

struct RobotLink {
  explicit RobotLink(RobotSpec of) : spec(std::move(of)) {}
  ~RobotLink() {
    if (wake_fd >= 0) ::close(wake_fd);
  }
  RobotLink(const RobotLink&) = delete;
  RobotLink& operator=(const RobotLink&) = delete;

  // Any thread. Cannot block: the counter has 2^64 - 2 places.
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd, &one, sizeof one);
  }

  // ---- io thread to step thread ----
  struct Received {
    std::uint32_t session = 0;
    std::uint64_t tick = 0;                            // of the observation
    Observation observation;                           // without images; time on the daemon's clock
    std::vector<std::shared_ptr<const Image>> images;  // newest of each camera that has one
    Status trouble;  // the robot could not observe; then the rest does not count
  };
  struct ResetDone {
    std::uint32_t request = 0;
    Status status;
  };
  Latest<Received> received;
  Latest<ResetDone> reset_done;
  std::atomic<std::uint32_t> session{0};  // 0: no robot is connected

  // ---- step thread to io thread ----
  struct Moving {
    std::uint32_t session = 0;     // of the observation that it answers
    std::uint64_t tick = 0;        // likewise
    std::uint64_t after_hold = 0;  // `holds` when apply() was called: later holds cancel it
    Instant deadline;
    Action action;
  };
  struct ResetWanted {
    std::uint32_t session = 0;
    std::uint32_t request = 0;
    std::uint64_t seed = 0;
    std::uint64_t after_hold = 0;  // `holds` when reset() was called: only later ones end it
  };
  Latest<Moving> moving;
  Latest<ResetWanted> reset_wanted;

  // ---- any thread to io thread ----
  std::atomic<std::uint64_t> holds{0};  // counts calls
  // Calls of estop() and reset_estop(), counted in steps of 2; the lowest bit is set when the last
  // one was estop(). One word, so that the order of the two is never in doubt.
  std::atomic<std::uint64_t> stops{0};
  static bool latched(std::uint64_t stops) { return (stops & 1) != 0; }
  void stop(bool latch) {
    std::uint64_t before = stops.load(std::memory_order_relaxed);
    while (!stops.compare_exchange_weak(before, ((before | 1) + 1) | (latch ? 1 : 0),
                                        std::memory_order_acq_rel)) {
    }
  }

  const RobotSpec spec;
  const int wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
};

}  // namespace nudge
