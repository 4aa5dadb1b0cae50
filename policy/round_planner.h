// Decides which round of learning is due: a fold over the log's events.
//
//   planner.apply(event);                       // each event, in order, from the log's beginning
//   if (auto order = planner.due()) { planner.started(*order); ... }
//   if (planner.abort_running()) ...            // tell the learner; then planner.finished()
//   planner.finished();                         // candidate came, was given up, or the learner
//   died
//
// Micro-round: a person's correction of at least `micro_min_steps` steps has ended. Starts from the
// newest full version that was not rolled back, or from what this episode's micro-rounds have made
// of that one and runs now: provisional versions of other episodes are never built on, or they
// would pile up where full rounds are late. Worth nothing once its episode is over. Full round: a
// deployment episode has ended and there is something new to learn since the last full round: a
// correction, or a label that a training step depends on. Trains from the version that an engineer
// promoted last, on all that the log teaches, and takes the place of the newest full version: what
// comes of it depends on the log, and on rounds before, whose chance would add up, by the pull
// towards the confirmed weights alone. It goes on while a person takes over and drives. When their
// correction ends, it gives way to the micro-round, and is due again at the end of that episode;
// but the next full round then goes through, and the micro-round waits: where full rounds take
// longer than people let robots work, every second one arrives. Held-out episodes
// (nudge/hold_out.h) are never trained on, so nothing in them is new. After a rollback the same
// data would give the same weights: nothing is due until a person (or a script in a person's place)
// has corrected something, or labelled it so that what is taught changes. Two rollbacks in a row,
// without a confirmation between them, ask for LearningPaused.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "nudge/event.h"
#include "nudge/number_set.h"
#include "policy/weights_history.h"

namespace nudge {

struct RoundPlannerOptions {
  std::uint32_t micro_min_steps = 8;     // one chunk of the default horizon; >= 1
  std::uint32_t rollbacks_to_pause = 2;  // in a row; >= 1
  // How an episode went decides what its steps teach; false: only where nothing was demonstrated.
  // Labels of spans, and discarded episodes, always do.
  bool outcomes_teach = true;
  std::uint64_t seed = 0;  // of all rounds; each order derives its own
};

// WeightsRejected::reason of a candidate that was not judged: a correction or a rollback came
// first.
inline constexpr std::string_view kSuperseded = "superseded";

enum class RoundKind : std::uint8_t { kMicro = 0, kFull = 1 };

struct RoundOrder {
  RoundKind kind = RoundKind::kFull;
  // Train on the log up to and including it: the event that made the round due, or a later one that
  // is folded already when it starts.
  Sequence prefix = 0;
  WeightsVersion base = 0;   // the candidate's parent; never 0
  EpisodeId episode = 0;     // in which it became due
  std::uint64_t seed = 0;    // from the planner's seed, the kind and the prefix: equal logs give
                             // equal orders
  WeightsVersion start = 0;  // to train from: a micro-round's base, a full round's origin; never 0

  friend bool operator==(const RoundOrder&, const RoundOrder&) = default;
};

// Not thread-safe. Equal events give equal planners; started() and finished() are the only other
// inputs. After a restart nothing runs, and a full round that was not finished is due again.
class RoundPlanner {
 public:
  explicit RoundPlanner(RoundPlannerOptions options = {});

  void apply(const Event& event);

  // The round to start now; nothing while one runs, while a takeover span is open, while the log
  // does not say yet what became of the last full round's candidate (who does not wait builds on
  // weights that are about to be replaced), while learning is paused or waits for feedback, or
  // before there is a confirmed version (the first needs an engineer's promote). A micro-round goes
  // before a full one.
  std::optional<RoundOrder> due() const;

  void started(const RoundOrder& order);
  // The running round is over, however it ended. `completed`: a candidate came of it; otherwise a
  // full round stays wanted, and is due again at the end of the next deployment episode.
  void finished(bool completed);
  // The running round was aborted as abort_running() asked. A micro-round that has to start from
  // other weights is due again at once.
  void gave_up();

  // The round that runs, and whether something newer has made it pointless. A full round: a
  // rollback, a pause, or a micro-round that it gives way to. A micro-round: these two, a takeover,
  // the end of its episode, or weights that it should have started from.
  const std::optional<RoundOrder>& running() const { return running_; }
  bool abort_running() const;
  // A micro-round is wanted, and a full round that runs is to be given up for it.
  bool full_gives_way() const { return micro_ && !full_insists_; }

  bool paused() const { return paused_; }
  bool waits_for_feedback() const { return waits_for_feedback_; }
  // True from the last of `rollbacks_to_pause` rollbacks until LearningPaused is applied: the
  // caller writes that event.
  bool wants_pause() const { return wants_pause_; }
  bool anything_new() const { return newest_ > learned_; }
  const WeightsHistory& weights() const { return weights_; }
  // Deployment episodes with a correction so far, held-out ones included.
  std::uint64_t corrected_episodes() const { return corrected_.size(); }
  bool held_out(EpisodeId episode) const;

 private:
  struct OpenSpan {
    EpisodeId episode = 0;
    SpanKind kind = SpanKind::kTakeover;
    std::uint32_t first_step = 0;
  };

  void on_span_closed(const Event& event, const SpanClosed& closed);
  void on_label(const Event& event, const Label& label);
  void on_new(Sequence sequence);
  void drop_rounds();
  void learned(Sequence prefix);
  WeightsVersion micro_base() const;
  bool taken_over() const;
  bool held_out_for_label(EpisodeId episode) const;

  RoundPlannerOptions options_;
  WeightsHistory weights_;
  NumberSet deployment_;                          // all deployment episodes
  NumberSet discarded_;                           // of these, what was ever labelled so
  bool demonstrated_ = false;                     // there is a demonstration
  std::map<EpisodeId, std::uint64_t> corrected_;  // to the number for is_held_out()
  std::map<SpanId, OpenSpan> open_;
  std::map<SpanId, EpisodeId> takeovers_;   // all spans that a split may be about
  Sequence newest_ = 0;                     // newest event with something to learn from
  Sequence learned_ = 0;                    // prefix of the last full round that was completed
  Sequence learned_before_ = 0;             // and of the one before it
  Sha256 learned_by_{};                     // the candidate that came of it, once the log has it
  Sequence episode_began_ = 0;              // the newest one
  std::optional<RoundOrder> micro_, full_;  // wanted; versions and seed are filled in by due()
  std::optional<RoundOrder> running_;
  bool abort_ = false;
  bool full_insists_ = false;  // the last full round came to nothing
  // Ends of episodes until a full candidate that is not heard of is taken for lost; 0: none is.
  std::uint32_t awaits_verdict_ = 0;
  bool paused_ = false;
  bool waits_for_feedback_ = false;
  bool wants_pause_ = false;
  std::uint32_t rollbacks_ = 0;  // in a row
};

}  // namespace nudge
