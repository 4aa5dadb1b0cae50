// What people see of the past: the newest episodes and the versions of the weights, a fold over
// durable events. Bounded in memory.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "nudge/event.h"

namespace nudge {

struct EpisodeRow {
  EpisodeId episode = 0;
  LabelValue outcome = LabelValue::kNone;  // by the last label of the highest role
  Role labelled_by = Role::kScript;
  std::uint32_t steps = 0;        // policy steps in all
  std::uint32_t human_steps = 0;  // of these in takeover spans
  std::uint32_t takeovers = 0;
  Duration human{};            // in takeover spans
  Duration length{};           // by the events' steady clock
  WeightsVersion weights = 0;  // live at its end
  bool ended = false;
};

struct WeightsRow {
  WeightsVersion version = 0;
  WeightsVersion parent = 0;
  WeightsKind kind = WeightsKind::kFull;
  enum class State { kAccepted, kConfirmed, kRolledBack } state = State::kAccepted;
  bool was_live = false;
  WallTime accepted;
  std::string reason;  // of a rollback
  std::string gate;    // one line of JSON; empty: none
};

// Share of successes among the newest labelled episodes, with the 95 % interval of Wilson
// ("Probable inference, the law of succession, and statistical inference", JASA 1927).
struct SuccessRate {
  std::uint32_t of = 0, successes = 0;
  double low = 0, high = 1;
};
SuccessRate wilson(std::uint32_t successes, std::uint32_t of);

// Not thread-safe: belongs to the io thread.
class History {
 public:
  void apply(const Event& event);

  const std::deque<EpisodeRow>& episodes() const { return episodes_; }  // deployment, newest last
  const std::deque<WeightsRow>& weights() const { return weights_; }    // newest last
  WeightsVersion live() const { return live_; }
  WeightsVersion confirmed() const { return confirmed_; }
  // Whether a message of somebody's with this id is durable. Ids are kept as 64-bit hashes; two ids
  // that share one (1 in 10^12 at a million ids) would make the second count as known.
  bool knows(std::string_view id) const;
  SuccessRate recent_success(std::size_t window = 20) const;
  std::uint64_t total_episodes() const { return total_episodes_; }

 private:
  static constexpr std::size_t kEpisodes = 1000;
  static constexpr std::size_t kVersions = 500;
  struct OpenSpan {
    EpisodeId episode = 0;
    SpanKind kind = SpanKind::kTakeover;
    std::uint32_t first_step = 0;
    Instant opened;
  };
  EpisodeRow* find(EpisodeId episode);
  WeightsRow* find_weights(WeightsVersion version);

  std::deque<EpisodeRow> episodes_;
  std::map<EpisodeId, Instant> open_;
  std::map<SpanId, OpenSpan> spans_;
  std::deque<WeightsRow> weights_;
  std::unordered_set<std::uint64_t> known_;
  WeightsVersion live_ = 0, confirmed_ = 0;
  std::uint64_t total_episodes_ = 0;
};

}  // namespace nudge
