#include "src/loop/help_trace.h"

#include <utility>

namespace nudge {

Status TracedUnattended::after_tick(Instant now, WallTime wall, const TickOutcome& outcome,
                                    std::vector<float> features, std::vector<Image> images) {
  if (trace_.entries.empty()) trace_.begun = now;
  const bool drives = outcome.decision->state == AuthorityState::kAuto;
  if (drives != drives_ || trace_.entries.empty()) {
    drives_ = drives;
    trace_.entries.push_back(
        {HelpTrace::What::kControl, now, drives, /*value=*/0, /*proprioception=*/{}});
  }
  if (outcome.finished && outcome.finished->source == ControlSource::kPolicy) {
    trace_.entries.push_back(
        {HelpTrace::What::kStep, now, drives, /*value=*/0, outcome.finished->proprioception});
  }
  return Unattended::after_tick(now, wall, outcome, std::move(features), std::move(images));
}

void TracedUnattended::on_disagreement(double value, Instant observed) {
  trace_.entries.push_back(
      {HelpTrace::What::kDisagreement, observed, drives_, value, /*proprioception=*/{}});
}

HelpVerdict help_verdict(const HelpTrace& trace, const HelpSignalOptions& options,
                         const HelpThresholds& thresholds) {
  HelpSignal signal(options);
  signal.set_thresholds(thresholds);
  signal.begin_episode();
  HelpVerdict verdict;
  for (const HelpTrace::Entry& entry : trace.entries) {
    switch (entry.what) {
      case HelpTrace::What::kControl:
        (void)signal.on_control(entry.policy_drives, /*person_drives=*/false, entry.at);
        break;
      case HelpTrace::What::kDisagreement: signal.on_disagreement(entry.value, entry.at); break;
      case HelpTrace::What::kStep: {
        const HelpChange change = signal.on_step(entry.proprioception);
        if (change.asked && !verdict.asked) {
          verdict.asked = entry.at - trace.begun;
          verdict.reason = change.asked->reason;
        }
        verdict.points.push_back(
            {seconds(entry.at - trace.begun), signal.disagreement(), signal.travel()});
        break;
      }
    }
  }
  verdict.scored = signal.scored().value_or(HelpScored{});
  return verdict;
}

HelpRecord help_record(std::span<const HelpTrace> traces, const HelpSignalOptions& options,
                       const HelpThresholds& thresholds) {
  HelpRecord record;
  for (const HelpTrace& trace : traces) {
    const HelpVerdict verdict = help_verdict(trace, options, thresholds);
    const bool asked = verdict.asked && *verdict.asked < trace.length;
    if (trace.success) {
      ++record.successes;
      record.successes_asked += asked ? 1 : 0;
      continue;
    }
    ++record.failures;
    if (!asked) continue;
    ++record.failures_asked;
    record.lead.push_back(seconds(trace.length - *verdict.asked));
  }
  return record;
}

std::vector<HelpScored> scores_of_successes(std::span<const HelpTrace> traces,
                                            const HelpSignalOptions& options) {
  std::vector<HelpScored> scores;
  for (const HelpTrace& trace : traces) {
    if (trace.success) scores.push_back(help_verdict(trace, options, kNeverAsk).scored);
  }
  return scores;
}

}  // namespace nudge
