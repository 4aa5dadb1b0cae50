#include "src/loop/recorder.h"

#include <algorithm>

namespace nudge {
namespace {

SpanEnd end_of_nudge(const Decision& decision) {
  switch (decision.state) {
    case AuthorityState::kFaultHold: return SpanEnd::kFault;
    case AuthorityState::kEstop: return SpanEnd::kStopped;
    default: return SpanEnd::kReleased;
  }
}

}  // namespace

Recorder::Recorder(Log& log, std::string boot, Actor self)
    : log_(log), boot_(std::move(boot)), self_(std::move(self)) {}

Result<EpisodeId> Recorder::begin_episode(const EpisodeStarted& started, const SegmentSpec& segment,
                                          const Moment& moment) {
  Result<EpisodeId> episode = log_.start_episode(segment);
  if (!episode.ok()) return episode.status();
  episode_ = *episode;
  span_.reset();
  NUDGE_TRY(append(started, moment));
  return episode;
}

Status Recorder::end_episode(EpisodeEnd reason, std::uint32_t steps, const Moment& moment) {
  if (span_) NUDGE_TRY(close_span(SpanEnd::kEpisodeEnded, moment));
  // Even while the disk is full: events wait for it, and the next episode must not get this report.
  if (lost_) NUDGE_TRY(append_lost(moment));
  NUDGE_TRY(append(EpisodeEnded{.reason = reason, .steps = steps}, moment));
  episode_ = 0;
  return {};
}

Status Recorder::on_tick(const TickOutcome& outcome, std::vector<float> features,
                         std::vector<Image> images, const Actor& driver, const Moment& moment) {
  const Decision& decision = *outcome.decision;
  // What fails keeps nothing else from the log.
  Status first;
  const auto keep = [&first](Status status) {
    if (first.ok()) first = std::move(status);
  };
  if (outcome.finished) {
    Step step = *outcome.finished;
    step.features = std::move(features);
    step.images = std::move(images);
    const ControlSource of_span =
        span_ && span_->kind == SpanKind::kNudge ? ControlSource::kNudge : ControlSource::kHuman;
    if (span_ && step.source == of_span) {
      step.span = span_->id;
      span_->last_step = step.policy_step;
    }
    keep(take_step(std::move(step), moment));
  }
  const bool nudged = decision.source == ControlSource::kNudge;
  if (span_ && span_->kind == SpanKind::kNudge) {
    if (!nudged || decision.nudge != span_->words) keep(close_span(end_of_nudge(decision), moment));
  } else if (span_ && decision.span_end) {
    keep(close_span(*decision.span_end, moment));
  }
  const bool driven = decision.source == ControlSource::kHuman;
  if (outcome.step_begun && (driven || nudged) && !span_) {
    keep(open_span(decision, driven ? driver : decision.nudge_by, moment));
  }
  if (span_ && decision.last_fresh_tick == moment.control_tick) {
    span_->last_fresh_step = moment.policy_step;
  }
  for (const AuthorityRecord& record : decision.records) {
    keep(append(record.payload, moment, record.actor, record.id));
  }
  return first;
}

Status Recorder::open_span(const Decision& decision, const Actor& driver, const Moment& moment) {
  const bool nudged = decision.source == ControlSource::kNudge;
  span_ = OpenSpan{.id = log_.next_span_id(),
                   .kind = nudged ? SpanKind::kNudge : SpanKind::kTakeover,
                   .words = nudged ? decision.nudge : std::string(),
                   .first_step = moment.policy_step,
                   .last_fresh_step = moment.policy_step,
                   .last_step = moment.policy_step,
                   .complete = true,
                   .driver = driver};
  newest_span_ = span_->id;
  NUDGE_TRY(append(SpanOpened{.span = span_->id,
                              .kind = span_->kind,
                              .epoch = decision.lease.epoch,
                              .first_step = moment.policy_step},
                   moment, driver, ""));
  if (span_->words.empty()) return {};
  return append(WordsActed{.words = span_->words, .span = span_->id}, moment, driver, "");
}

Status Recorder::close_span(SpanEnd reason, const Moment& moment) {
  const OpenSpan span = *span_;
  span_.reset();
  SpanClosed closed;
  closed.span = span.id;
  closed.reason = reason;
  closed.last_step = reason == SpanEnd::kLinkLost ? std::min(span.last_step, span.last_fresh_step)
                                                  : span.last_step;
  closed.complete = span.complete;
  NUDGE_TRY(append(closed, moment, span.driver, ""));
  span_closed_ = span_closed_ || span.kind == SpanKind::kTakeover;
  return {};
}

Status Recorder::append(Step step) { return take_step(std::move(step), Moment{}); }

Status Recorder::take_step(Step step, const Moment& moment) {
  NUDGE_TRY(report_lost(moment));
  const Result<Sequence> sequence = log_.append(step);
  if (sequence.ok()) return {};
  if (sequence.status().code() != Code::kResourceExhausted) return sequence.status();
  steps_lost(step.policy_step, 1, step.source == ControlSource::kHuman);
  return {};
}

void Recorder::steps_lost(std::uint32_t first_step, std::uint32_t count, bool human) {
  if (!lost_) lost_ = Lost{.first_step = first_step, .count = 0, .human = false};
  lost_->count += count;
  lost_->human = lost_->human || human;
  if (human && span_) span_->complete = false;
}

Status Recorder::report_lost(const Moment& moment) {
  if (!lost_ || !log_.stats().recording) return {};
  return append_lost(moment);
}

Status Recorder::append_lost(const Moment& moment) {
  const Lost lost = *std::exchange(lost_, std::nullopt);
  return append(StepsLost{.first_step = lost.first_step, .count = lost.count, .human = lost.human},
                moment);
}

Status Recorder::append(Payload payload, const Moment& moment) {
  return append(std::move(payload), moment, self_, "");
}

Event Recorder::envelope(Payload payload, const Moment& moment, const Actor& actor,
                         std::string id) {
  Event event;
  event.id = id.empty() ? boot_ + ":" + std::to_string(next_id_++) : std::move(id);
  event.episode = episode_;
  event.policy_step = moment.policy_step;
  event.control_tick = moment.control_tick;
  event.time = moment.now;
  event.wall_time = moment.wall;
  event.boot = boot_;
  event.actor = actor;
  event.weights = moment.weights;
  event.payload = std::move(payload);
  return event;
}

Status Recorder::append(Payload payload, const Moment& moment, const Actor& actor, std::string id) {
  const Result<Sequence> sequence =
      log_.append(envelope(std::move(payload), moment, actor, std::move(id)));
  return sequence.ok() ? Status{} : sequence.status();
}

Status Recorder::commit() { return log_.commit(); }

Result<std::vector<Victim>> Recorder::make_room(Retention& retention, const Moment& moment,
                                                std::size_t most) {
  std::vector<Victim> gone;
  if (retention.budget() == 0) return gone;
  NUDGE_TRY(retention.follow(log_));
  while (gone.size() < most) {
    const std::optional<Victim> victim = retention.next();
    if (!victim) break;
    // The id is made from what it does, so that trying again changes nothing.
    Event event = envelope(EpisodeEvicted{.episode = victim->episode, .worth = victim->worth},
                           moment, self_, "evicted:" + std::to_string(victim->episode));
    event.episode = 0;
    NUDGE_TRY(log_.evict(std::move(event)));
    NUDGE_TRY(retention.follow(log_));
    gone.push_back(*victim);
  }
  return gone;
}

}  // namespace nudge
