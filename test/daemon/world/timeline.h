// Time and scheduling of a simulated machine: actors that take turns, and may be held up in the
// middle of one while the others go on. Everything is drawn from one seed, so that a seed is a run.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "nudge/time.h"

namespace nudge::test {

// Who takes turns. None of them is ever twice in the middle of something.
enum class Turn : std::uint8_t { kStep, kWriter, kDesk, kInference, kGate, kPeople, kFate };
inline constexpr std::size_t kTurns = 7;

class Timeline {
 public:
  explicit Timeline(std::uint64_t seed) : random_(seed) { clock() = kBegin; }

  // What the daemon's parts read in place of the machine's clocks.
  static Instant now() { return clock(); }
  static WallTime wall() { return WallTime(clock().time_since_epoch() + kEpoch); }

  Random& random() { return random_; }
  bool chance(double share) { return random_.uniform() < share; }
  Duration between(std::int64_t least_us, std::int64_t most_us) {
    const auto range = static_cast<std::uint64_t>(most_us - least_us + 1);
    return std::chrono::microseconds(least_us + static_cast<std::int64_t>(random_.below(range)));
  }

  // Equal times are taken in an order of the seed's.
  void at(Instant time, Turn who, std::function<void()> work) {
    events_.emplace(Key{std::max(time, now()), random_.next(), ++number_},
                    Event{who, std::move(work)});
  }
  void after(Duration delay, Turn who, std::function<void()> work) {
    at(now() + delay, who, std::move(work));
  }

  void run(Instant until) {
    while (!halted_ && !events_.empty() && events_.begin()->first.time <= until) {
      auto node = events_.extract(events_.begin());
      clock() = std::max(now(), node.key().time);
      Event event = std::move(node.mapped());
      const auto who = static_cast<std::size_t>(event.who);
      if (busy_[who]) {
        waiting_[who].push_back(std::move(event));
        continue;
      }
      busy_[who] = true;
      event.work();
      busy_[who] = false;
      for (Event& waited : std::exchange(waiting_[who], {})) {
        at(now(), waited.who, std::move(waited.work));
      }
    }
    if (!halted_) clock() = std::max(now(), until);
  }

  // Whoever is in the middle of a turn is held up for so long, and the others go on.
  void hold_up(Duration length) {
    if (std::find(busy_.begin(), busy_.end(), true) != busy_.end()) run(now() + length);
  }

  // Nothing more happens; turns that are under way come to their end.
  void halt() { halted_ = true; }
  bool halted() const { return halted_; }
  // Begins anew, with nothing in prospect. Not from inside a turn.
  void clear() {
    events_.clear();
    for (auto& waiting : waiting_) waiting.clear();
    halted_ = false;
  }

 private:
  static constexpr Instant kBegin{std::chrono::seconds(1)};
  static constexpr Duration kEpoch = std::chrono::seconds(1'700'000'000);
  struct Key {
    Instant time;
    std::uint64_t order = 0;
    std::uint64_t number = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Event {
    Turn who;
    std::function<void()> work;
  };
  static Instant& clock() {
    static Instant now = kBegin;
    return now;
  }

  Random random_;
  std::map<Key, Event> events_;
  std::array<bool, kTurns> busy_{};
  std::array<std::vector<Event>, kTurns> waiting_;
  std::uint64_t number_ = 0;
  bool halted_ = false;
};

}  // namespace nudge::test
