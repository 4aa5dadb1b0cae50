#include "src/loop/value_report.h"

#include <gtest/gtest.h>

#include <utility>

namespace nudge {
namespace {

// `count` successes of ten steps and as many failures.
Returns returns_of(std::size_t count) {
  std::vector<JudgedEpisode> episodes;
  std::uint32_t row = 0;
  for (std::size_t e = 0; e < 2 * count; ++e) {
    JudgedEpisode episode;
    episode.episode = e + 1;
    episode.success = e % 2 == 0;
    for (std::uint32_t t = 0; t < 10; ++t) {
      episode.steps.push_back({row++, t, ControlSource::kPolicy, false});
    }
    episodes.push_back(std::move(episode));
  }
  ReturnOptions options;
  options.fewest_episodes = 1;
  return Returns(std::move(episodes), options);
}

ValueReport report_of(const Returns& returns, const std::vector<std::vector<float>>& values) {
  const auto judgement = returns.judge(values);
  EXPECT_TRUE(judgement.ok()) << judgement.status().message();
  return value_report(returns, values, *judgement);
}

TEST(ValueReport, OfValuesThatKnowTheReturnsIsPerfect) {
  const Returns returns = returns_of(6);
  const ValueReport report = report_of(returns, returns.values());
  EXPECT_EQ(report.successes, 6u);
  EXPECT_EQ(report.failures, 6u);
  EXPECT_NEAR(report.explained, 1, 1e-9);
  EXPECT_EQ(report.told_apart, 1);
  ASSERT_EQ(report.calibration.size(), 10u);
  std::uint64_t steps = 0;
  for (const CalibrationBin& bin : report.calibration) {
    EXPECT_NEAR(bin.value, bin.outcome, 1e-6);
    EXPECT_LE(bin.interval.low, bin.outcome);
    EXPECT_GE(bin.interval.high, bin.outcome);
    steps += bin.steps;
  }
  EXPECT_EQ(steps, 120u);
}

TEST(ValueReport, OfValuesThatKnowNothingSaysSo) {
  const Returns returns = returns_of(6);
  const std::vector<std::vector<float>> values(12, std::vector<float>(10, -0.5f));
  const ValueReport report = report_of(returns, values);
  EXPECT_EQ(report.told_apart, 0.5);
  EXPECT_LT(report.explained, 0.1);
}

TEST(ValueReport, OfValuesThatAreTheWrongWayRoundSaysSo) {
  const Returns returns = returns_of(6);
  std::vector<std::vector<float>> values(returns.values());
  for (std::size_t e = 0; e < values.size(); e += 2) std::swap(values[e], values[e + 1]);
  const ValueReport report = report_of(returns, values);
  EXPECT_EQ(report.told_apart, 0);
  EXPECT_LT(report.explained, 0);
}

TEST(ValueReport, ItsBarsHoldEveryStepOfThePolicy) {
  const Returns returns = returns_of(6);
  std::vector<std::vector<float>> values(12, std::vector<float>(10, -0.5f));
  for (std::size_t e = 0; e < 12; ++e) {
    for (std::size_t t = 0; t < 10; ++t) values[e][t] -= 0.01f * static_cast<float>((e * t) % 7);
  }
  const ValueReport report = report_of(returns, values);
  std::uint64_t steps = 0, positive = 0;
  for (const ValueReport::Bar& bar : report.advantages) {
    steps += bar.positive + bar.negative;
    positive += bar.positive;
    EXPECT_LT(bar.from, bar.to);
  }
  EXPECT_EQ(steps, 120u);
  EXPECT_GT(positive, 0u);
}

}  // namespace
}  // namespace nudge
