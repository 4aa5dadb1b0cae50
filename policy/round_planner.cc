#include "policy/round_planner.h"

#include <algorithm>
#include <utility>

#include "nudge/hold_out.h"
#include "nudge/random.h"

namespace nudge {
namespace {

// A slow round's candidate may come after the ends of several short episodes.
constexpr std::uint32_t kEpisodesToVerdict = 5;

}  // namespace

RoundPlanner::RoundPlanner(RoundPlannerOptions options) : options_(options) {}

bool RoundPlanner::held_out(EpisodeId episode) const {
  const auto numbered = corrected_.find(episode);
  // Without a number yet: as if it had the next one, so that no round starts on what may turn out
  // to be held out. The dataset does the same.
  return is_held_out(numbered != corrected_.end() ? numbered->second : corrected_.size() + 1);
}

void RoundPlanner::on_new(Sequence sequence) {
  newest_ = sequence;
  waits_for_feedback_ = false;
}

void RoundPlanner::drop_rounds() {
  micro_.reset();
  full_.reset();
  if (running_) abort_ = true;
}

WeightsVersion RoundPlanner::micro_base() const {
  const WeightsVersion full = weights_.newest_full();
  const WeightsRecord* live = weights_.find(weights_.live());
  const bool of_this_episode = live != nullptr && live->kind == WeightsKind::kProvisional &&
                               live->accepted_at > episode_began_;
  return of_this_episode && weights_.full_ancestor(live->version) == full ? live->version : full;
}

bool RoundPlanner::abort_running() const {
  if (!running_) return false;
  if (abort_) return true;
  return running_->kind == RoundKind::kFull ? full_gives_way() : running_->base != micro_base();
}

void RoundPlanner::learned(Sequence prefix) {
  if (prefix <= learned_) return;
  learned_before_ = std::exchange(learned_, prefix);
  if (full_ && full_->prefix <= learned_) full_.reset();
}

void RoundPlanner::on_span_closed(const Event& event, const SpanClosed& closed) {
  const auto found = open_.find(closed.span);
  if (found == open_.end()) return;
  const OpenSpan span = found->second;
  open_.erase(found);
  if (span.kind != SpanKind::kTakeover || closed.last_step < span.first_step) return;

  // The number depends on nothing but the log's order, as the rule demands; whether the correction
  // may be learned from comes after.
  if (closed.complete) corrected_.try_emplace(span.episode, corrected_.size() + 1);
  const bool finished_by_choice = closed.reason == SpanEnd::kReleased ||
                                  closed.reason == SpanEnd::kEpisodeEnded ||
                                  closed.reason == SpanEnd::kPreempted;
  if (!finished_by_choice || held_out(span.episode)) return;
  on_new(event.sequence);
  // Preempted: a higher role goes on correcting, and the round would come to nothing.
  const std::uint64_t steps = std::uint64_t{closed.last_step} - span.first_step + 1;
  if (closed.reason != SpanEnd::kPreempted && steps >= options_.micro_min_steps && !paused_) {
    micro_ = RoundOrder{RoundKind::kMicro, event.sequence, 0, span.episode, 0};
  }
}

void RoundPlanner::on_label(const Event& event, const Label& label) {
  if (!deployment_.contains(label.episode)) return;
  const bool of_episode = label.span == 0;
  if (of_episode && label.value == LabelValue::kDiscard) discarded_.insert(label.episode);
  // Where outcomes teach nothing, a round would train on what the last one trained on.
  const bool teaches = options_.outcomes_teach || !demonstrated_ || !of_episode ||
                       discarded_.contains(label.episode);
  if (teaches && !held_out_for_label(label.episode)) on_new(event.sequence);
}

void RoundPlanner::apply(const Event& event) {
  weights_.apply(event);

  if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) {
    episode_began_ = event.sequence;
    if (started->purpose == EpisodePurpose::kDeployment) deployment_.insert(event.episode);
    demonstrated_ |= started->purpose == EpisodePurpose::kDemonstration;
  } else if (std::holds_alternative<EpisodeEnded>(event.payload)) {
    micro_.reset();
    if (awaits_verdict_ > 0) --awaits_verdict_;
    if (running_ && running_->kind == RoundKind::kMicro) abort_ = true;
    const bool running_full = running_ && running_->kind == RoundKind::kFull && !abort_;
    // What is new now may have been new to the running round as well; if not, the next episode's
    // end starts another one.
    if (deployment_.contains(event.episode) && anything_new() && !paused_ && !waits_for_feedback_ &&
        !running_full) {
      full_ = RoundOrder{RoundKind::kFull, event.sequence, 0, event.episode, 0};
    }
  } else if (const auto* opened = std::get_if<SpanOpened>(&event.payload)) {
    if (!deployment_.contains(event.episode)) return;
    open_[opened->span] = {event.episode, opened->kind, opened->first_step};
    if (opened->kind != SpanKind::kTakeover) return;
    takeovers_[opened->span] = event.episode;
    // A correction follows; what is not yet begun would miss it. A full round that runs goes on:
    // the learner has nothing better to do while a person drives.
    micro_.reset();
    full_.reset();
    if (running_ && running_->kind == RoundKind::kMicro) abort_ = true;
  } else if (const auto* closed = std::get_if<SpanClosed>(&event.payload)) {
    on_span_closed(event, *closed);
  } else if (const auto* label = std::get_if<Label>(&event.payload)) {
    on_label(event, *label);
  } else if (const auto* discarded = std::get_if<StepsDiscarded>(&event.payload)) {
    // Undone steps leave the dataset: weights that learned from them are to be replaced, but this
    // alone is no feedback that makes a rolled back round worth repeating.
    if (deployment_.contains(discarded->episode) && !held_out_for_label(discarded->episode)) {
      newest_ = event.sequence;
    }
  } else if (const auto* split = std::get_if<SpanSplit>(&event.payload)) {
    // Moves steps between recovery and correction, which a batch has in other shares.
    const auto span = takeovers_.find(split->span);
    if (span != takeovers_.end() && !held_out_for_label(span->second)) newest_ = event.sequence;
  } else if (std::holds_alternative<WordsUndone>(event.payload)) {
    // Likewise for the steps that the words had bent.
    if (deployment_.contains(event.episode) && !held_out_for_label(event.episode)) {
      newest_ = event.sequence;
    }
  } else if (const auto* candidate = std::get_if<CandidateReceived>(&event.payload)) {
    if (candidate->kind == WeightsKind::kFull) {
      learned(candidate->prefix);
      learned_by_ = candidate->hash;
      full_insists_ = false;
      awaits_verdict_ = std::min(awaits_verdict_, 1u);
    }
  } else if (const auto* accepted = std::get_if<WeightsAccepted>(&event.payload)) {
    if (accepted->kind == WeightsKind::kFull) awaits_verdict_ = 0;
  } else if (const auto* rejected = std::get_if<WeightsRejected>(&event.payload)) {
    if (rejected->hash != learned_by_) return;
    awaits_verdict_ = 0;
    if (rejected->reason == kSuperseded) {
      learned_ = learned_before_;
      full_insists_ = true;
    }
  } else if (std::holds_alternative<WeightsConfirmed>(event.payload) ||
             std::holds_alternative<WeightsPromoted>(event.payload)) {
    rollbacks_ = 0;
    wants_pause_ = false;
  } else if (std::holds_alternative<WeightsRolledBack>(event.payload)) {
    drop_rounds();
    awaits_verdict_ = 0;
    waits_for_feedback_ = true;
    if (++rollbacks_ >= options_.rollbacks_to_pause && !paused_) wants_pause_ = true;
  } else if (std::holds_alternative<LearningPaused>(event.payload)) {
    drop_rounds();
    paused_ = true;
    wants_pause_ = false;
  } else if (std::holds_alternative<LearningResumed>(event.payload)) {
    paused_ = false;
    wants_pause_ = false;
    rollbacks_ = 0;
  } else if (std::holds_alternative<Booted>(event.payload)) {
    // A crash ends what was open without saying so.
    open_.clear();
    micro_.reset();
    awaits_verdict_ = 0;
  }
}

bool RoundPlanner::taken_over() const {
  return std::any_of(open_.begin(), open_.end(),
                     [](const auto& entry) { return entry.second.kind == SpanKind::kTakeover; });
}

bool RoundPlanner::held_out_for_label(EpisodeId episode) const {
  // Unlike a takeover, a label is about an episode that may have no correction at all.
  return corrected_.count(episode) > 0 && held_out(episode);
}

std::optional<RoundOrder> RoundPlanner::due() const {
  if (running_ || awaits_verdict_ > 0 || paused_ || wants_pause_ || waits_for_feedback_ ||
      taken_over() || weights_.confirmed() == 0) {
    return std::nullopt;
  }
  std::optional<RoundOrder> order = micro_ ? micro_ : full_;
  if (!order) return std::nullopt;
  const bool micro = order->kind == RoundKind::kMicro;
  order->base = micro ? micro_base() : weights_.newest_full();
  order->start = micro ? order->base : weights_.origin();
  if (order->base == 0 || order->start == 0) return std::nullopt;
  order->seed = Random::derive(Random::derive(options_.seed, order->prefix),
                               static_cast<std::uint64_t>(order->kind));
  return order;
}

void RoundPlanner::started(const RoundOrder& order) {
  running_ = order;
  abort_ = false;
  (order.kind == RoundKind::kMicro ? micro_ : full_).reset();
}

void RoundPlanner::finished(bool completed) {
  if (completed && running_ && running_->kind == RoundKind::kFull) {
    learned(running_->prefix);
    full_insists_ = false;
    awaits_verdict_ = kEpisodesToVerdict;
  }
  running_.reset();
  abort_ = false;
}

void RoundPlanner::gave_up() {
  if (running_ && running_->kind == RoundKind::kFull) full_insists_ = true;
  // What made it pointless may not be folded yet; it drops the order again, if it is to be dropped.
  if (running_ && running_->kind == RoundKind::kMicro && !abort_ && !micro_) micro_ = running_;
  finished(false);
}

}  // namespace nudge
