// Decides which round of learning is due: a fold over the log's events.
//
//   planner.apply(event);                       // each event, in order, from the log's beginning
//   if (auto order = planner.due()) { planner.started(*order); ... }
//   if (planner.abort_running()) ...            // tell the learner; then planner.finished()
//   planner.finished();                         // candidate came, was given up, or the learner
//   died
//
// Micro-round: a person's correction of at least `micro_min_steps` steps has ended. Starts from the
// live version, whatever it is, and is worth nothing once its episode is over.
// Full round: a deployment episode has ended and there is something new to learn since the last
// full round: a correction, or a label that a training step depends on. Starts from the newest full
// version that was not rolled back. A new takeover aborts it; it is due again at the end of that
// episode.
// Held-out episodes (nudge/hold_out.h) are never trained on, so nothing in them is new.
// After a rollback the same data would give the same weights: nothing is due until a person (or a
// script in a person's place) has corrected or labelled something. Two rollbacks in a row, without
// a confirmation between them, ask for LearningPaused.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "nudge/event.h"
#include "nudge/number_set.h"
#include "policy/weights_history.h"

namespace nudge {

struct RoundPlannerOptions {
  std::uint32_t micro_min_steps = 8;     // one chunk of the default horizon; >= 1
  std::uint32_t rollbacks_to_pause = 2;  // in a row; >= 1
  std::uint64_t seed = 0;                // of all rounds; each order derives its own
};

enum class RoundKind : std::uint8_t { kMicro = 0, kFull = 1 };

struct RoundOrder {
  RoundKind kind = RoundKind::kFull;
  Sequence prefix = 0;  // of the event that made it due: train on the log up to and including it
  WeightsVersion base = 0;  // to start from, and the candidate's parent; never 0
  EpisodeId episode = 0;    // in which it became due
  std::uint64_t seed = 0;   // from the planner's seed, the kind and the prefix: equal logs give
                            // equal orders
  // There is a correction that no full round has learned from; false: only labels are new.
  bool new_correction = true;

  friend bool operator==(const RoundOrder&, const RoundOrder&) = default;
};

// Not thread-safe. Equal events give equal planners; started() and finished() are the only other
// inputs. After a restart nothing runs, and a full round that was not finished is due again.
class RoundPlanner {
 public:
  explicit RoundPlanner(RoundPlannerOptions options = {});

  void apply(const Event& event);

  // The round to start now; nothing while one runs, while a takeover span is open, while learning
  // is paused or waits for feedback, or before there is a confirmed version (the first needs an
  // engineer's promote). A micro-round goes before a full one.
  std::optional<RoundOrder> due() const;

  void started(const RoundOrder& order);
  // The running round is over, however it ended. `completed`: a candidate came of it; otherwise a
  // full round stays wanted, and is due again at the end of the next deployment episode.
  void finished(bool completed);

  // The round that runs, and whether something newer has made it pointless: a takeover, a rollback,
  // a pause, the end of a micro-round's episode, other weights going live under a micro-round.
  const std::optional<RoundOrder>& running() const { return running_; }
  bool abort_running() const { return running_ && abort_; }

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
  void on_new(Sequence sequence);
  void drop_rounds();
  bool taken_over() const;
  bool held_out_for_label(EpisodeId episode) const;

  RoundPlannerOptions options_;
  WeightsHistory weights_;
  NumberSet deployment_;                          // all deployment episodes
  std::map<EpisodeId, std::uint64_t> corrected_;  // to the number for is_held_out()
  std::map<SpanId, OpenSpan> open_;
  std::map<SpanId, EpisodeId> takeovers_;  // all spans that a split may be about
  Sequence newest_ = 0;                    // newest event with something to learn from
  Sequence newest_correction_ = 0;  // newest closed takeover span with something to learn from
  Sequence learned_ = 0;            // prefix of the last full round that was completed
  std::optional<RoundOrder> micro_, full_;  // wanted; base and seed are filled in by due()
  std::optional<RoundOrder> running_;
  bool abort_ = false;
  bool paused_ = false;
  bool waits_for_feedback_ = false;
  bool wants_pause_ = false;
  std::uint32_t rollbacks_ = 0;  // in a row
};

}  // namespace nudge
