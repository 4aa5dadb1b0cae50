#include "src/loop/help_trace.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

constexpr Duration kPeriod = std::chrono::milliseconds(100);

HelpSignalOptions options() {
  HelpSignalOptions options;
  options.policy_period = kPeriod;
  options.range = {1};
  options.smoothing = std::chrono::seconds(1);
  return options;
}

// An episode that moves on all the time; unsure from step `unsure` on.
HelpTrace trace(bool success, int steps, int unsure) {
  HelpTrace trace;
  trace.success = success;
  trace.begun = Instant(std::chrono::seconds(5));
  trace.length = steps * kPeriod;
  trace.entries.push_back({HelpTrace::What::kControl, trace.begun, true, 0, {}});
  for (int i = 1; i <= steps; ++i) {
    const Instant at = trace.begun + i * kPeriod;
    trace.entries.push_back(
        {HelpTrace::What::kDisagreement, at, true, i >= unsure ? 5.0 : 0.1, {}});
    trace.entries.push_back({HelpTrace::What::kStep, at, true, 0, {0.05F * static_cast<float>(i)}});
  }
  return trace;
}

const HelpThresholds kUnsure = {1.0, 0, kNeverAsk.seconds};

TEST(HelpTrace, TellsWhenItWouldHaveAsked) {
  const HelpVerdict verdict = help_verdict(trace(false, 100, 40), options(), kUnsure);
  ASSERT_TRUE(verdict.asked.has_value());
  EXPECT_GE(*verdict.asked, 40 * kPeriod);
  EXPECT_LE(*verdict.asked, 46 * kPeriod) << "smoothed by a second";
  EXPECT_EQ(verdict.reason, HelpReason::kDisagreement);
  EXPECT_EQ(verdict.points.size(), 100u);
  EXPECT_GT(verdict.scored.disagreement, 4);
  EXPECT_FALSE(help_verdict(trace(false, 100, 200), options(), kUnsure).asked.has_value());
}

TEST(HelpTrace, CountsAsksInFailuresAndInSuccessesAndTheTimeThatWasLeft) {
  const std::vector<HelpTrace> traces = {trace(false, 100, 40), trace(false, 100, 200),
                                         trace(true, 50, 20), trace(true, 50, 200)};
  const HelpRecord record = help_record(traces, options(), kUnsure);
  EXPECT_EQ(record.failures, 2u);
  EXPECT_EQ(record.failures_asked, 1u);
  EXPECT_EQ(record.successes, 2u);
  EXPECT_EQ(record.successes_asked, 1u);
  ASSERT_EQ(record.lead.size(), 1u);
  EXPECT_NEAR(record.lead[0], 5.7, 0.4);
}

TEST(HelpTrace, AnAskWithTheLastStepHelpsNobody) {
  const HelpThresholds too_late = {kNeverAsk.disagreement, 0, 9.95};
  const std::vector<HelpTrace> traces = {trace(false, 100, 200)};
  EXPECT_TRUE(help_verdict(traces[0], options(), too_late).asked.has_value());
  EXPECT_EQ(help_record(traces, options(), too_late).failures_asked, 0u);
}

TEST(HelpTrace, ThresholdsAreMadeFromSuccessesAlone) {
  const std::vector<HelpTrace> traces = {trace(false, 100, 40), trace(true, 50, 200)};
  const auto scores = scores_of_successes(traces, options());
  ASSERT_EQ(scores.size(), 1u);
  EXPECT_NEAR(scores[0].seconds, 5.0, 1e-9);
  EXPECT_NEAR(scores[0].disagreement, 0.1, 1e-9);
}

}  // namespace
}  // namespace nudge
