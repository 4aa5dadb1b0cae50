// What the step thread (OpenpiRobot) and the io thread (OpenpiPort) share about a robot's program
// that speaks the openpi protocol. Every field says who writes it; nobody waits for anybody.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "src/handoff/latest.h"
#include "src/loop/asking_robot.h"

namespace nudge {

struct OpenpiLink {
  OpenpiLink() = default;
  ~OpenpiLink() {
    if (wake_fd >= 0) ::close(wake_fd);
  }
  OpenpiLink(const OpenpiLink&) = delete;
  OpenpiLink& operator=(const OpenpiLink&) = delete;

  // Any thread. Cannot block: the counter has 2^64 - 2 places.
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd, &one, sizeof one);
  }

  // ---- io thread to step thread ----
  struct Asked {
    Observation observation;     // images as JPEG; time on the daemon's clock
    std::string prompt;          // of the request
    std::uint64_t episodes = 0;  // that have begun, this request's included
  };
  Latest<Asked> asked;
  Latest<ActionChunk> proposal;
  Latest<std::string> hold;                   // as AskingNews::hold
  std::atomic<std::uint64_t> holds_asked{0};  // so many were put
  Latest<std::string> trouble;                // as AskingNews::trouble; empty: over
  std::atomic<bool> connected{false};
  std::atomic<bool> waiting{false};       // a request has not been answered
  std::atomic<std::int64_t> answered{0};  // when the newest answer went, ns of the steady clock
  std::atomic<std::int64_t> plays_ns{0};  // how long the program plays an answer; 0: unknown

  // ---- step thread to io thread; `plan` from the inference thread where it edits ----
  struct Decided {
    TickVerdict verdict;
    Instant now;               // of the tick
    std::uint64_t holds = 0;   // `holds` when it was made: later ones undo it
    std::uint64_t heeded = 0;  // of `holds_asked`: later ones undo it
  };
  Latest<Decided> decided;
  Latest<ActionChunk> plan;

  // ---- any thread to io thread ----
  std::atomic<std::uint64_t> holds{0};  // counts calls
  std::atomic<bool> stopped{false};     // estop() was the last of it and reset_estop()

  const int wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
};

}  // namespace nudge
