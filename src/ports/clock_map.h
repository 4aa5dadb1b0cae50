// Reads the times of another process's steady clock on ours.
#pragma once

#include <algorithm>
#include <cstdint>

#include "nudge/time.h"

namespace nudge {

// Every message tells when it was sent (their clock) and received (ours). The difference is the
// clocks' offset plus the message's latency; the smallest one seen is the best guess of the offset,
// wrong by the smallest latency and never by more. So a mapped time is never before the true one,
// and later than it by at most the best one-way latency: ages are never underestimated by more.
// A long congestion must not raise the guess, but clocks drift: it rises by at most 200 ppm, twice
// what a poor crystal drifts. (A minimum over a window, as in NTP's clock filter, RFC 5905, forgets
// by age; this forgets by drift, so that no window full of slow messages can spoil it.)
class ClockMap {
 public:
  static constexpr Duration kJump = std::chrono::milliseconds(100);
  static constexpr std::int64_t kDriftPpm = 200;
  static constexpr int kSettling = 8;  // messages: the first ones may have waited for us to start

  // False: their clock went backwards, or forwards by more than kJump; mapped times before and
  // after do not compare. Times of both clocks must be within +-2^62 ns.
  bool on_message(Instant sent, Instant received) {
    const Duration sample = received.time_since_epoch() - sent.time_since_epoch();
    if (count_ == 0) {
      offset_ = sample;
    } else {
      if (sent < last_sent_) return false;
      if (count_ >= kSettling && sample < offset_ - kJump) return false;
      const Duration passed = std::max(received - last_received_, Duration::zero());
      offset_ = std::min(sample, offset_ + passed / (1'000'000 / kDriftPpm));
    }
    last_sent_ = sent;
    last_received_ = received;
    if (count_ < kSettling) ++count_;
    return true;
  }

  // `theirs` on our clock. Only after the first message.
  Instant map(Instant theirs) const { return theirs + offset_; }
  Duration offset() const { return offset_; }

 private:
  Duration offset_{};
  Instant last_sent_, last_received_;
  int count_ = 0;
};

}  // namespace nudge
