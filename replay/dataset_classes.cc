#include "nudge/hold_out.h"
#include "replay/dataset_state.h"

namespace nudge {

bool Dataset::State::covers(const SpanState& span, std::uint32_t policy_step) const {
  const LabelValue outcome = span.outcome.value();
  return span.opened && !is_excluded(span.person) && !span.empty && !span.undone &&
         outcome != LabelValue::kFailure && outcome != LabelValue::kDiscard &&
         policy_step >= span.first_step && policy_step <= span.last_step;
}

bool Dataset::State::in_quarantine(const SpanState& span) const {
  if (span.closed_at == 0 || span.kind != SpanKind::kTakeover) return false;
  if (span.outcome.value() == LabelValue::kSuccess) return false;
  return span.refused || (options.quarantine_link_lost && span.link_lost) ||
         (span.steps > 0 && span.clamped >= options.quarantine_clamped * span.steps);
}

bool Dataset::State::of_other_shape(const EpisodeState& episode) const {
  if (episode.shape == 0) return false;
  if (options.shape.empty()) return boot_shape != 0 && episode.shape != boot_shape;
  return shapes[episode.shape] != options.shape;
}

bool Dataset::State::leads_to_takeover(const StepRow& row, const EpisodeState& episode) const {
  const auto next =
      std::upper_bound(episode.takeovers.begin(), episode.takeovers.end(), row.policy_step);
  return next != episode.takeovers.end() && *next - row.policy_step <= lead;
}

bool Dataset::State::is_taken_over_later(const StepRow& row, const EpisodeState& episode) {
  return !episode.takeovers.empty() && episode.takeovers.back() > row.policy_step;
}

std::optional<bool> Dataset::State::went_well(const EpisodeState& episode) const {
  if (!episode.purpose || episode.evicted || of_other_shape(episode)) return {};
  const LabelValue outcome = episode.outcome.value();
  if (outcome == LabelValue::kDiscard) return {};
  if (*episode.purpose == EpisodePurpose::kDemonstration) {
    if (is_excluded(episode.starter)) return {};
    return outcome != LabelValue::kFailure;
  }
  if (*episode.purpose != EpisodePurpose::kDeployment || outcome == LabelValue::kNone) return {};
  return outcome == LabelValue::kSuccess;
}

std::optional<SampleClass> Dataset::State::classify(const StepRow& row,
                                                    const EpisodeState& episode) const {
  if (row.flags != 0 || !episode.purpose || episode.evicted || of_other_shape(episode)) return {};
  const LabelValue outcome = episode.outcome.value();
  if (outcome == LabelValue::kDiscard) return {};
  const bool driven = row.source == ControlSource::kHuman || row.source == ControlSource::kScript;

  if (*episode.purpose == EpisodePurpose::kDemonstration) {
    if (!driven || is_excluded(episode.starter)) return {};
    if (row.span != kNoSpan && !covers(spans[row.span], row.policy_step)) return {};
    if (outcome != LabelValue::kFailure) return SampleClass::kDemonstration;
    // Only its judged steps teach: what went well as any demonstration does, the rest as failing.
    switch (static_cast<Advantage>(row.token)) {
      case Advantage::kPositive: return SampleClass::kDemonstration;
      case Advantage::kNegative: return SampleClass::kAutonomousFailure;
      case Advantage::kNone: return {};
    }
  }
  if (*episode.purpose != EpisodePurpose::kDeployment) return {};

  if (row.span != kNoSpan) {
    const SpanState& span = spans[row.span];
    if (!covers(span, row.policy_step)) return {};
    if (span.kind == SpanKind::kNudge) {
      if (row.source != ControlSource::kNudge) return {};
      return SampleClass::kNudged;
    }
    if (!driven) return {};
    return row.policy_step < span.correction_from ? SampleClass::kRecovery
                                                  : SampleClass::kCorrection;
  }
  if (row.source != ControlSource::kPolicy) return {};
  if (leads_to_takeover(row, episode)) return SampleClass::kBeforeTakeover;
  if (outcome == LabelValue::kSuccess) return SampleClass::kAutonomousSuccess;
  if (outcome == LabelValue::kFailure) return SampleClass::kAutonomousFailure;
  return {};
}

bool Dataset::State::is_taken_out(const StepRow& row, const EpisodeState& episode) const {
  if (row.flags != 0 || !episode.purpose || row.source == ControlSource::kHold) return false;
  if (episode.evicted) return false;
  if (*episode.purpose == EpisodePurpose::kEvaluation) return false;
  if (episode.outcome.value() == LabelValue::kDiscard) return true;
  if (row.span == kNoSpan || !spans[row.span].opened) return false;
  const LabelValue outcome = spans[row.span].outcome.value();
  return outcome == LabelValue::kDiscard || outcome == LabelValue::kFailure;
}

bool Dataset::State::is_dropped(SampleClass c, const StepRow& row,
                                const EpisodeState& episode) const {
  return (c == SampleClass::kAutonomousSuccess && is_taken_over_later(row, episode)) ||
         (c == SampleClass::kBeforeTakeover &&
          options.before_takeover_advantage == Advantage::kNone) ||
         (c == SampleClass::kAutonomousFailure &&
          options.autonomous_failure_advantage == Advantage::kNone);
}

bool Dataset::State::has_own_token(const StepRow& row) const {
  if (row.token == 0) return false;
  const EpisodeState& episode = episodes[row.episode];
  return row.source == ControlSource::kPolicy ||
         (episode.purpose == EpisodePurpose::kDemonstration &&
          episode.outcome.value() == LabelValue::kFailure);
}

Advantage Dataset::State::advantage_of(const StepRow& row) const {
  if (!has_class(row.step_class)) return Advantage::kNone;
  if (has_own_token(row)) return static_cast<Advantage>(row.token);
  const auto c = static_cast<SampleClass>(row.step_class);
  if (c == SampleClass::kBeforeTakeover) return options.before_takeover_advantage;
  if (c == SampleClass::kAutonomousFailure) return options.autonomous_failure_advantage;
  return options.advantage;
}

void Dataset::State::place(Row number) {
  StepRow& row = rows[number];
  const EpisodeState& episode = episodes[row.episode];
  std::optional<SampleClass> c = classify(row, episode);
  const bool suspect = c && (*c == SampleClass::kCorrection || *c == SampleClass::kRecovery) &&
                       in_quarantine(spans[row.span]);
  if (suspect) c.reset();
  taken_out -= row.step_class == kTakenOut ? 1 : 0;
  quarantined -= row.step_class == kQuarantined ? 1 : 0;
  row.step_class = c                            ? static_cast<std::uint8_t>(*c)
                   : suspect                    ? kQuarantined
                   : is_taken_out(row, episode) ? kTakenOut
                                                : kNoClass;
  taken_out += row.step_class == kTakenOut ? 1 : 0;
  quarantined += row.step_class == kQuarantined ? 1 : 0;
  Sampler::StratumId to = Sampler::kNowhere;
  if (c && (has_own_token(row) || !is_dropped(*c, row, episode))) {
    const bool human = *c == SampleClass::kCorrection || *c == SampleClass::kRecovery ||
                       *c == SampleClass::kNudged;
    to = sampler.stratum(*c, human ? spans[row.span].supervisor : 0, episode.kept_back);
  }
  sampler.move(number, to);
}

void Dataset::State::place_from(std::uint32_t episode_number, std::uint32_t first_step,
                                std::uint32_t last_step) {
  const EpisodeState& episode = episodes[episode_number];
  const Row end = episode.first_row + episode.rows;
  for (Row row = row_from(episode, first_step); row < end && rows[row].policy_step <= last_step;
       ++row) {
    place(row);
  }
}

void Dataset::State::keep_back_if_needed(std::uint32_t episode_number) {
  EpisodeState& episode = episodes[episode_number];
  const bool may_be_next = episode.purpose == EpisodePurpose::kDeployment && !episode.ended &&
                           is_held_out(corrected_episodes + 1);
  const bool keep =
      episode.corrected_number > 0 ? is_held_out(episode.corrected_number) : may_be_next;
  if (keep == episode.kept_back) return;
  episode.kept_back = keep;
  place_from(episode_number, 0);
}

void Dataset::State::end_episode(std::uint32_t episode_number) {
  episodes[episode_number].ended = true;
  episodes[episode_number].map.reset();
  if (open_episode == episode_number) open_episode.reset();
  keep_back_if_needed(episode_number);
}

}  // namespace nudge
