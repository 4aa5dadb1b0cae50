// What people see of the past: the newest episodes and the versions of the weights, a fold over
// durable events. Bounded in memory.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "nudge/event.h"
#include "replay/outcome.h"
#include "replay/teachers.h"
#include "src/ports/id_hashes.h"
#include "src/ports/phrases.h"

namespace nudge {

struct EpisodeRow {
  EpisodeId episode = 0;
  EpisodePurpose purpose = EpisodePurpose::kDeployment;
  Outcome said;                   // of the whole episode; labels of spans do not count here
  std::uint32_t steps = 0;        // policy steps in all; while it runs, up to its newest event
  std::uint32_t human_steps = 0;  // of these in takeover spans that have closed
  std::uint32_t takeovers = 0;
  Duration human{};   // in takeover spans that have closed
  Duration length{};  // by the events' steady clock; up to the newest of the boot it ran in
  WeightsVersion weights = 0;  // live at its end
  bool ended = false;
  WallTime started;
  std::string instruction;  // at its start; at most kMaxRowInstruction
  // From when the policy first drove in it to when somebody first took over; none: nobody did.
  std::optional<Duration> takeover_after;

  LabelValue outcome() const { return said.value(); }
};

inline constexpr std::size_t kMaxRowInstruction = 200;  // bytes

struct WeightsRow {
  WeightsVersion version = 0;
  WeightsVersion parent = 0;
  WeightsKind kind = WeightsKind::kFull;
  enum class State { kAccepted, kConfirmed, kRolledBack } state = State::kAccepted;
  bool was_live = false;
  WallTime accepted;
  std::string reason;  // of a rollback
  std::string gate;    // one line of JSON; empty: none, or longer than kMaxGateReport
};
inline constexpr std::size_t kMaxGateReport = 8u << 10;  // bytes

// Share of successes, with the 95 % interval of src/core/statistics.h.
struct SuccessRate {
  std::uint32_t of = 0, successes = 0;
  double low = 0, high = 1;
};

// Not thread-safe: belongs to the io thread. Equal events give equal histories, in one go or in
// portions.
class History {
 public:
  // Events in sequence order, each once.
  void apply(const Event& event);

  // Deployments and demonstrations, newest last.
  const std::deque<EpisodeRow>& episodes() const { return episodes_; }
  const std::deque<WeightsRow>& weights() const { return weights_; }  // newest last
  const Phrases& phrases() const { return phrases_; }
  const Teachers& teachers() const { return teachers_; }
  WeightsVersion live() const { return live_; }
  WeightsVersion confirmed() const { return confirmed_; }
  // Whether a message of somebody's with this id is durable. Ids are kept as 64-bit hashes; two ids
  // that share one (1 in 10^12 at a million ids) would make the second count as known. At least the
  // newest half a million are kept; the log itself refuses an older one, so that forgetting is
  // safe.
  bool knows(std::string_view id) const;
  // Of the labelled (success or failure) among the newest `window` deployments that have ended.
  SuccessRate recent_success(std::size_t window = 20) const;
  std::uint64_t total_episodes() const { return total_episodes_; }  // deployment, ended

 private:
  static constexpr std::size_t kEpisodes = 1000;
  static constexpr std::size_t kVersions = 500;
  static constexpr std::size_t kKnown = 1u << 19;
  static constexpr std::size_t kOpen = 64;  // episodes, spans: one of each, in a log without damage
  struct OpenEpisode {
    Instant started, newest;
    std::string boot;               // whose clock these are
    std::optional<Instant> driven;  // since when the policy drove, first
  };
  struct OpenSpan {
    EpisodeId episode = 0;
    std::uint32_t first_step = 0;
    Instant opened, newest;
    std::string boot;
  };
  EpisodeRow* find(EpisodeId episode);
  WeightsRow* find_weights(WeightsVersion version);
  void remember(const Event& event);
  void look_at_time(const Event& event);
  void look_at_authority(const Event& event, const AuthorityChanged& change);
  void start(const Event& event, const EpisodeStarted& started);
  void end(EpisodeId episode);
  void close(const SpanClosed& closed);
  void accept(const Event& event, const WeightsAccepted& accepted);
  void take_back_above(WeightsVersion version, std::string_view reason);

  Phrases phrases_;
  Teachers teachers_;
  std::deque<EpisodeRow> episodes_;
  std::map<EpisodeId, OpenEpisode> open_;
  std::map<SpanId, OpenSpan> spans_;  // takeovers
  std::deque<WeightsRow> weights_;
  IdHashes known_{kKnown};
  AuthorityState state_ = AuthorityState::kHold;
  WeightsVersion live_ = 0, confirmed_ = 0;
  std::uint64_t total_episodes_ = 0;
};

}  // namespace nudge
