#include "replay/returns.h"

#include <gtest/gtest.h>

#include <limits>

namespace nudge {
namespace {

// Steps of one driver after the other; rows count on over all episodes of a test.
class Episodes {
 public:
  JudgedEpisode& add(bool success, std::size_t steps, const std::string& task = "lift") {
    JudgedEpisode episode;
    episode.episode = all.size() + 1;
    episode.task = task;
    episode.success = success;
    for (std::uint32_t t = 0; t < steps; ++t) {
      episode.steps.push_back({row_++, t, ControlSource::kPolicy, false});
    }
    all.push_back(std::move(episode));
    return all.back();
  }
  std::vector<JudgedEpisode> all;

 private:
  std::uint32_t row_ = 0;
};

ReturnOptions options(std::uint32_t lookahead = 2, double quantile = 0.5) {
  ReturnOptions o;
  o.lookahead = lookahead;
  o.quantile = quantile;
  o.fewest_episodes = 1;
  return o;
}

std::vector<std::vector<float>> flat(const Returns& returns, float value) {
  std::vector<std::vector<float>> values;
  for (const JudgedEpisode& episode : returns.episodes()) {
    values.emplace_back(episode.steps.size(), value);
  }
  return values;
}

TEST(Returns, OfASuccessAreTheStepsToGoAndOfAFailureAConstantLower) {
  Episodes episodes;
  episodes.add(true, 3);
  episodes.add(false, 5);
  const Returns returns(episodes.all, options());
  // The longest has five steps: a step costs 1/10, a failure 5/10.
  const std::vector<float> success = {-0.2f, -0.1f, 0.0f};
  const std::vector<float> failure = {-0.9f, -0.8f, -0.7f, -0.6f, -0.5f};
  for (std::size_t t = 0; t < 3; ++t) EXPECT_FLOAT_EQ(returns.values()[0][t], success[t]);
  for (std::size_t t = 0; t < 5; ++t) EXPECT_FLOAT_EQ(returns.values()[1][t], failure[t]);
}

TEST(Returns, StayWithinMinusOneAndZeroWhateverAFailureCosts) {
  for (const double cost : {0.0, 1.0, 100.0}) {
    Episodes episodes;
    episodes.add(true, 40);
    episodes.add(false, 40);
    ReturnOptions o = options();
    o.failure_cost = cost;
    const Returns returns(episodes.all, o);
    for (const auto& of : returns.values()) {
      for (const float value : of) {
        EXPECT_GE(value, -1);
        EXPECT_LE(value, 0);
      }
    }
  }
}

TEST(Returns, AreNormalisedByTheLongestEpisodeOfTheTask) {
  Episodes episodes;
  episodes.add(true, 11, "lift");
  episodes.add(true, 51, "pour");
  const Returns returns(episodes.all, options());
  EXPECT_FLOAT_EQ(returns.values()[0][0], -10.0f / 22);
  EXPECT_FLOAT_EQ(returns.values()[1][0], -50.0f / 102);
}

TEST(Returns, OfRareTasksAreJudgedTogether) {
  Episodes episodes;
  for (int i = 0; i < 3; ++i) episodes.add(true, 10, "lift");
  episodes.add(true, 20, "pour");
  episodes.add(false, 30, "wipe");
  ReturnOptions o = options();
  o.fewest_episodes = 3;
  const Returns returns(episodes.all, o);
  const auto judged = returns.judge(flat(returns, -0.5f));
  ASSERT_TRUE(judged.ok());
  ASSERT_EQ(judged->tasks.size(), 2u);
  EXPECT_EQ(judged->tasks[0].task, "lift");
  EXPECT_EQ(judged->tasks[1].task, "");
  EXPECT_EQ(judged->tasks[1].episodes, 2u);
  EXPECT_EQ(judged->tasks[1].successes, 1u);
  EXPECT_EQ(judged->tasks[1].longest, 30u);
}

TEST(Returns, AnAdvantageIsWhatFollowedInNStepsLessWhatWasExpected) {
  Episodes episodes;
  episodes.add(true, 5);
  const Returns returns(episodes.all, options(2));
  const std::vector<std::vector<float>> values = {{-0.5f, -0.4f, -0.1f, -0.2f, -0.1f}};
  const auto judged = returns.judge(values);
  ASSERT_TRUE(judged.ok());
  const std::vector<float>& a = judged->advantages[0];
  // A step costs 1/10. Two steps on: V - 2/10; behind the end: the return itself.
  EXPECT_NEAR(a[0], -0.1 - 0.2 + 0.5, 1e-6);
  EXPECT_NEAR(a[1], -0.2 - 0.2 + 0.4, 1e-6);
  EXPECT_NEAR(a[2], -0.1 - 0.2 + 0.1, 1e-6);
  EXPECT_NEAR(a[3], -0.1 + 0.2, 1e-6);
  EXPECT_NEAR(a[4], 0.1, 1e-6);
}

TEST(Returns, WhatAPersonThenDoesIsNoMeritOfThePolicy) {
  Episodes episodes;
  JudgedEpisode& episode = episodes.add(true, 5);
  episode.steps[2].source = ControlSource::kHuman;
  episode.steps[3].source = ControlSource::kHuman;
  const Returns returns(episodes.all, options(10));
  const std::vector<std::vector<float>> values = {{-0.5f, -0.4f, -0.3f, -0.2f, -0.1f}};
  const auto judged = returns.judge(values);
  ASSERT_TRUE(judged.ok());
  EXPECT_NEAR(judged->advantages[0][0], -0.3 - 0.2 + 0.5, 1e-6);
  EXPECT_NEAR(judged->advantages[0][1], -0.3 - 0.1 + 0.4, 1e-6);
  EXPECT_NEAR(judged->advantages[0][4], 0.1, 1e-6);  // the policy has the wheel again
}

TEST(Returns, TheUpperShareOfATasksStepsIsPositive) {
  Episodes episodes;
  for (int i = 0; i < 2; ++i) episodes.add(i == 0, 10);
  const Returns returns(episodes.all, options(1, 0.7));
  std::vector<std::vector<float>> values = flat(returns, 0);
  // Values rise ever faster, so that no two advantages are equal.
  for (std::size_t e = 0; e < 2; ++e) {
    float value = -0.9f;
    for (std::size_t t = 0; t < 10; ++t) {
      values[e][t] = value += (0.01f + 0.0003f * static_cast<float>(e)) * static_cast<float>(t);
    }
  }
  const auto judged = returns.judge(values);
  ASSERT_TRUE(judged.ok());
  ASSERT_EQ(judged->tasks.size(), 1u);
  EXPECT_EQ(judged->tasks[0].policy.positive + judged->tasks[0].policy.negative, 20u);
  EXPECT_EQ(judged->tasks[0].policy.positive, 6u);
  std::size_t row = 0;
  for (std::size_t e = 0; e < 2; ++e) {
    for (std::size_t t = 0; t < 10; ++t, ++row) {
      EXPECT_EQ(judged->tokens[row].row, row);
      const bool above =
          judged->advantages[e][t] >= static_cast<float>(judged->tasks[0].policy.threshold);
      EXPECT_EQ(judged->tokens[row].advantage, above ? Advantage::kPositive : Advantage::kNegative);
    }
  }
}

TEST(Returns, AQuantileOfZeroMakesEveryStepPositive) {
  Episodes episodes;
  episodes.add(true, 7);
  episodes.add(false, 9);
  const Returns returns(episodes.all, options(3, 0));
  const auto judged = returns.judge(flat(returns, -0.3f));
  ASSERT_TRUE(judged.ok());
  EXPECT_EQ(judged->tasks[0].policy.negative, 0u);
}

TEST(Returns, WhatLedToATakeoverIsNegativeWhateverItsAdvantage) {
  Episodes episodes;
  JudgedEpisode& episode = episodes.add(true, 4);
  episode.steps[1].before_takeover = true;
  episode.steps[2].source = ControlSource::kHuman;
  const Returns returns(episodes.all, options(1, 0));
  const auto judged = returns.judge(flat(returns, -0.9f));
  ASSERT_TRUE(judged.ok());
  ASSERT_EQ(judged->tokens.size(), 3u);  // people's steps have none of their own
  EXPECT_EQ(judged->tokens[0].advantage, Advantage::kPositive);
  EXPECT_EQ(judged->tokens[1].advantage, Advantage::kNegative);
  EXPECT_EQ(judged->tokens[2].row, 3u);
  EXPECT_EQ(judged->tasks[0].before_takeover, 1u);
}

// Of a person, in a demonstration.
JudgedEpisode& show(Episodes& episodes, bool success, std::size_t steps) {
  JudgedEpisode& shown = episodes.add(success, steps);
  shown.purpose = EpisodePurpose::kDemonstration;
  for (JudgedStep& step : shown.steps) step.source = ControlSource::kHuman;
  return shown;
}

TEST(Returns, PeopleAreJudgedInDemonstrationsThatFailedAndNowhereElse) {
  Episodes episodes;
  show(episodes, true, 4);
  show(episodes, false, 4);
  for (JudgedStep& step : episodes.add(false, 4).steps) step.source = ControlSource::kHuman;
  const Returns returns(episodes.all, options(1, 0.5));
  const auto judged = returns.judge(flat(returns, -0.5f));
  ASSERT_TRUE(judged.ok());
  ASSERT_EQ(judged->tokens.size(), 4u);
  for (std::size_t t = 0; t < 4; ++t) EXPECT_EQ(judged->tokens[t].row, 4 + t);
}

TEST(Returns, AFailedDemonstrationIsJudgedUpToTheMistakeAndTeachesNothingBehindIt) {
  Episodes episodes;
  show(episodes, false, 8);
  const Returns returns(episodes.all, options(2, 0.5));
  // From the fourth step to the fifth it goes wrong.
  const std::vector<std::vector<float>> values = {
      {-0.5f, -0.4f, -0.3f, -0.2f, -0.9f, -0.9f, -0.8f, -0.7f}};
  const auto judged = returns.judge(values);
  ASSERT_TRUE(judged.ok());
  const std::vector<Advantage> expected = {
      Advantage::kPositive, Advantage::kPositive, Advantage::kNegative, Advantage::kNegative,
      Advantage::kNone,     Advantage::kNone,     Advantage::kNone,     Advantage::kNone};
  for (std::size_t t = 0; t < 8; ++t) {
    EXPECT_EQ(judged->tokens[t].advantage, expected[t]) << t;
  }
  EXPECT_EQ(judged->tasks[0].shown.positive, 2u);
  EXPECT_EQ(judged->tasks[0].shown.negative, 2u);
  EXPECT_EQ(judged->tasks[0].policy.positive + judged->tasks[0].policy.negative, 0u);
}

TEST(Returns, AFailedDemonstrationShorterThanALookIsJudgedAsAWhole) {
  Episodes episodes;
  show(episodes, false, 3);
  const Returns returns(episodes.all, options(10, 0));
  const auto judged = returns.judge(flat(returns, -0.5f));
  ASSERT_TRUE(judged.ok());
  EXPECT_EQ(judged->tasks[0].shown.positive, 3u);
}

TEST(Returns, WhatPeopleShowedAndWhatThePolicyDidHaveThresholdsOfTheirOwn) {
  Episodes episodes;
  show(episodes, false, 10);
  episodes.add(false, 10);
  const Returns returns(episodes.all, options(1, 0.7));
  std::vector<std::vector<float>> values = flat(returns, 0);
  for (std::size_t t = 0; t < 10; ++t) {
    values[0][t] = -0.9f + 0.001f * static_cast<float>(t * t);
    values[1][t] = -0.9f + 0.008f * static_cast<float>(t * t);  // every step is worth more
  }
  const auto judged = returns.judge(values);
  ASSERT_TRUE(judged.ok());
  EXPECT_LT(judged->tasks[0].shown.threshold, judged->tasks[0].policy.threshold);
  EXPECT_EQ(judged->tasks[0].policy.positive, 3u);
}

TEST(Returns, HeldOutEpisodesMakeNoThreshold) {
  Episodes with, without;
  for (Episodes* episodes : {&with, &without}) {
    episodes->add(true, 8);
    episodes->add(false, 8);
  }
  with.add(false, 8).held_out = true;
  const Returns a(with.all, options()), b(without.all, options());
  std::vector<std::vector<float>> values = flat(a, -0.4f);
  values[2].assign(8, -1.0f);
  const auto judged = a.judge(values);
  values.pop_back();
  const auto plain = b.judge(values);
  ASSERT_TRUE(judged.ok() && plain.ok());
  EXPECT_EQ(judged->tasks[0].policy.threshold, plain->tasks[0].policy.threshold);
  EXPECT_EQ(judged->tasks[0].policy.positive, plain->tasks[0].policy.positive);
}

TEST(Returns, RefuseValuesOfOtherEpisodesAndValuesThatAreNone) {
  Episodes episodes;
  episodes.add(true, 4);
  const Returns returns(episodes.all, options());
  EXPECT_FALSE(returns.judge({}).ok());
  std::vector<std::vector<float>> values = {{0, 0, 0}};
  EXPECT_FALSE(returns.judge(values).ok());
  values = {{0, 0, 0, std::numeric_limits<float>::quiet_NaN()}};
  EXPECT_EQ(returns.judge(values).status().code(), Code::kInvalidArgument);
}

TEST(Returns, OptionsOutOfTheirRangeAreRefused) {
  EXPECT_TRUE(ReturnOptions{}.validate().ok());
  ReturnOptions o;
  o.failure_cost = -1;
  EXPECT_FALSE(o.validate().ok());
  o = {};
  o.lookahead = 0;
  EXPECT_FALSE(o.validate().ok());
  o = {};
  o.quantile = 1;
  EXPECT_FALSE(o.validate().ok());
}

}  // namespace
}  // namespace nudge
