#include "policy/help_signal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace nudge {
namespace {

constexpr Duration kPeriod = std::chrono::milliseconds(100);
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A policy that drives a robot with two channels, 1 m and 2 m wide, one step after the other.
struct Rig {
  explicit Rig(const HelpThresholds& thresholds, HelpSignalOptions options = {}) {
    options.policy_period = kPeriod;
    options.range = {1, 2};
    options.window = std::chrono::seconds(2);
    options.smoothing = std::chrono::seconds(1);
    EXPECT_TRUE(options.validate().ok());
    signal.emplace(options);
    signal->set_thresholds(thresholds);
    signal->begin_episode();
    drive(true);
  }
  std::optional<HelpEnded> drive(bool policy, bool person = false) {
    return signal->on_control(policy, person, now);
  }
  HelpChange step(float x, float y = 0) {
    now += kPeriod;
    const float at[] = {x, y};
    const HelpChange change = signal->on_step(at);
    if (change.asked) asked.push_back(*change.asked);
    if (change.ended) ended.push_back(*change.ended);
    return change;
  }
  // Moves on, so that travel is no sign.
  void steps(int count) {
    for (int i = 0; i < count; ++i) step(x_ += 0.05F);
  }
  void doubt(double value) { signal->on_disagreement(value, now); }

  std::optional<HelpSignal> signal;
  Instant now{};
  std::vector<HelpAsked> asked;
  std::vector<HelpEnded> ended;
  float x_ = 0;
};

const HelpThresholds kUnsure = {0.5, 0, kInfinity};
const HelpThresholds kStuck = {kInfinity, 0.01, kInfinity};

// ---- the signs ----------------------------------------------------------------------------------

TEST(HelpSignal, AsksWhenSamplesDisagreeMoreThanTheThreshold) {
  Rig rig(kUnsure);
  rig.doubt(0.5);
  rig.steps(3);
  EXPECT_TRUE(rig.asked.empty()) << "not above it";
  rig.now += std::chrono::seconds(20);
  rig.doubt(0.6);
  rig.steps(1);
  ASSERT_EQ(rig.asked.size(), 1u);
  EXPECT_EQ(rig.asked[0].help, 1u);
  EXPECT_EQ(rig.asked[0].reason, HelpReason::kDisagreement);
  EXPECT_GT(rig.asked[0].score, 0.5);
  EXPECT_LT(rig.asked[0].score, 0.6);
}

TEST(HelpSignal, OneSampleAmongCalmOnesIsNotEnough) {
  Rig rig(kUnsure);
  for (int i = 0; i < 10; ++i) {
    rig.doubt(i == 5 ? 1.0 : 0.1);
    rig.steps(4);
  }
  EXPECT_TRUE(rig.asked.empty());
  for (int i = 0; i < 5; ++i) {
    rig.doubt(1.0);
    rig.steps(4);
  }
  EXPECT_EQ(rig.asked.size(), 1u) << "a second of them is";
}

TEST(HelpSignal, HowOftenChunksComeDoesNotChangeTheAverage) {
  Rig often(kUnsure), seldom(kUnsure);
  for (Rig* rig : {&often, &seldom}) rig->doubt(0);
  for (int i = 0; i < 10; ++i) {
    often.now += kPeriod;
    often.doubt(1);
  }
  seldom.now += 10 * kPeriod;
  seldom.doubt(1);
  EXPECT_NEAR(*often.signal->disagreement(), *seldom.signal->disagreement(), 1e-9);
}

TEST(HelpSignal, AsksWhenTheRobotStandsForTheWholeWindow) {
  Rig rig(kStuck);
  for (int i = 0; i < 20; ++i) rig.step(0.5F);
  EXPECT_TRUE(rig.asked.empty());
  rig.step(0.5F);
  ASSERT_EQ(rig.asked.size(), 1u);
  EXPECT_EQ(rig.asked[0].reason, HelpReason::kNoProgress);
}

TEST(HelpSignal, ACircleIsNoProgressWhateverItsPeriod) {
  for (const double period : {4.0, 7.0, 11.0, 19.0}) {
    Rig rig({kInfinity, 0.05, kInfinity});
    for (int i = 0; i < 60; ++i) {
      const double angle = 2 * 3.14159265 * i / period;
      rig.step(static_cast<float>(0.2 * std::cos(angle)),
               static_cast<float>(0.4 * std::sin(angle)));
    }
    EXPECT_EQ(rig.asked.size(), 1u) << period;
  }
}

TEST(HelpSignal, AShortRestIsProgressAllTheSame) {
  Rig rig(kStuck);
  rig.steps(30);
  for (int i = 0; i < 9; ++i) rig.step(rig.x_);  // less than half the window: a grasp
  rig.steps(30);
  EXPECT_TRUE(rig.asked.empty());
}

TEST(HelpSignal, AChannelWithoutARangeDoesNotCount) {
  HelpSignalOptions options;
  options.policy_period = kPeriod;
  options.window = std::chrono::seconds(2);
  options.range = {1, 0, std::numeric_limits<double>::quiet_NaN()};
  HelpSignal signal(options);
  signal.set_thresholds(kStuck);
  signal.begin_episode();
  signal.on_control(true, false, Instant{});
  bool asked = false;
  for (int i = 0; i < 30; ++i) {
    const float at[] = {0.5F, static_cast<float>(i), static_cast<float>(i)};
    asked = signal.on_step(at).asked.has_value() || asked;
  }
  EXPECT_TRUE(asked) << "what moves there may be a counter";
}

TEST(HelpSignal, AsksWhenItTakesLongerThanItShould) {
  Rig rig({kInfinity, 0, 5.0});
  rig.steps(50);
  EXPECT_TRUE(rig.asked.empty());
  rig.steps(1);
  ASSERT_EQ(rig.asked.size(), 1u);
  EXPECT_EQ(rig.asked[0].reason, HelpReason::kNoProgress);
}

TEST(HelpSignal, BrokenNumbersAreNoSign) {
  Rig rig({0.5, 0.01, kInfinity});
  rig.doubt(std::numeric_limits<double>::quiet_NaN());
  rig.doubt(kInfinity);
  rig.doubt(-1);
  for (int i = 0; i < 40; ++i) rig.step(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(rig.asked.empty());
  EXPECT_FALSE(rig.signal->uncertainty().has_value());
  EXPECT_LT(rig.signal->scored()->travel, 0) << "unknown";
}

// ---- the ask ------------------------------------------------------------------------------------

TEST(HelpSignal, GoesOnAskingWithoutFlickerUntilTheSignsHaveGoneForAWhile) {
  Rig rig(kUnsure);
  rig.doubt(0.6);
  for (int i = 0; i < 20; ++i) {
    rig.now += std::chrono::seconds(20);  // so that the average is the newest
    rig.doubt(i % 2 == 0 ? 0.6 : 0.45);   // below the threshold, and not by much
    rig.steps(4);
  }
  EXPECT_EQ(rig.asked.size(), 1u);
  EXPECT_TRUE(rig.ended.empty());
  rig.now += std::chrono::seconds(20);
  rig.doubt(0.1);
  rig.steps(9);
  EXPECT_TRUE(rig.ended.empty());
  rig.steps(1);
  ASSERT_EQ(rig.ended.size(), 1u);
  EXPECT_EQ(rig.ended[0].reason, HelpEnd::kSettled);
  EXPECT_EQ(rig.signal->state(), HelpState{});
}

TEST(HelpSignal, BothSignsTogetherAreCalledSo) {
  Rig rig({0.5, 0.01, kInfinity});
  rig.doubt(0.6);
  rig.step(0.5F);
  EXPECT_EQ(rig.signal->state().reason, HelpReason::kDisagreement);
  for (int i = 0; i < 25; ++i) rig.step(0.5F);
  EXPECT_EQ(rig.signal->state().reason, HelpReason::kBoth);
  EXPECT_EQ(rig.asked.size(), 1u);
  EXPECT_EQ(rig.signal->state().since, 25 * kPeriod);
}

TEST(HelpSignal, ATakeoverEndsTheAskAndTheSignsStartAnew) {
  Rig rig({0.5, 0, 5.0});
  rig.doubt(0.6);
  rig.steps(10);
  ASSERT_EQ(rig.asked.size(), 1u);
  const auto ended = rig.drive(false, /*person=*/true);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->help, 1u);
  EXPECT_EQ(ended->reason, HelpEnd::kTakenOver);
  rig.steps(20);  // of the person
  rig.now += kPeriod;
  rig.drive(true);
  EXPECT_FALSE(rig.signal->uncertainty().has_value());
  rig.steps(50);
  EXPECT_EQ(rig.asked.size(), 1u) << "its time begins again";
  rig.doubt(0.6);
  rig.steps(1);
  ASSERT_EQ(rig.asked.size(), 2u);
  EXPECT_EQ(rig.asked[1].help, 2u);
}

TEST(HelpSignal, AHoldEndsTheAsk) {
  Rig rig(kUnsure);
  rig.doubt(0.6);
  rig.steps(1);
  const auto ended = rig.drive(false);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->reason, HelpEnd::kHeld);
  EXPECT_FALSE(rig.drive(false).has_value()) << "once";
}

TEST(HelpSignal, ADeclinedAskIsNotAskedAgainInThisEpisode) {
  Rig rig(kUnsure);
  rig.doubt(0.6);
  rig.steps(1);
  EXPECT_FALSE(rig.signal->decline(7));
  EXPECT_TRUE(rig.signal->decline(1));
  EXPECT_EQ(rig.signal->state().help, 0u);
  rig.doubt(5);
  rig.steps(50);
  EXPECT_EQ(rig.asked.size(), 1u);
  rig.signal->end_episode();
  rig.signal->begin_episode();
  rig.drive(true);
  rig.doubt(0.6);
  rig.steps(1);
  EXPECT_EQ(rig.asked.size(), 2u) << "in the next one it may";
}

TEST(HelpSignal, ADeclineThatComesWhenTheAskHasJustEndedCountsAsWell) {
  Rig rig(kUnsure);
  rig.doubt(0.6);
  rig.steps(1);
  rig.drive(false);
  rig.drive(true);
  EXPECT_TRUE(rig.signal->decline(1));
  rig.doubt(5);
  rig.steps(5);
  EXPECT_EQ(rig.asked.size(), 1u);
}

TEST(HelpSignal, TheEndOfTheEpisodeEndsTheAsk) {
  Rig rig(kUnsure);
  rig.doubt(0.6);
  rig.steps(1);
  const auto ended = rig.signal->end_episode();
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->reason, HelpEnd::kEpisodeEnded);
}

TEST(HelpSignal, WhatWasSeenBeforeThePolicyDroveIsLeftOut) {
  Rig rig(kUnsure);
  rig.drive(false);
  rig.now += kPeriod;
  const Instant before = rig.now;
  rig.now += kPeriod;
  rig.drive(true);
  rig.signal->on_disagreement(5, before);
  rig.steps(1);
  EXPECT_TRUE(rig.asked.empty());
}

// ---- what thresholds are made from --------------------------------------------------------------

TEST(HelpSignal, KeepsTheWorstSignsOfTheEpisode) {
  Rig rig(kNeverAsk);
  EXPECT_FALSE(rig.signal->scored().has_value()) << "the policy has not driven";
  rig.doubt(0.6);
  rig.steps(1);
  rig.now += std::chrono::seconds(20);
  rig.doubt(0.1);
  rig.steps(40);
  const auto scored = rig.signal->scored();
  ASSERT_TRUE(scored.has_value());
  EXPECT_NEAR(scored->disagreement, 0.6, 1e-9);
  EXPECT_NEAR(scored->seconds, 4.1, 1e-9);
  // 10 steps of 5 cm on a channel of 1 m, of two channels.
  EXPECT_NEAR(scored->travel, 0.5 / std::sqrt(2.0), 1e-5);
}

TEST(HelpSignal, AsksExactlyInTheEpisodesWhoseWorstSignsPassTheThresholds) {
  for (int i = 0; i < 50; ++i) {
    const HelpThresholds thresholds = {0.1 * (i % 7), 0.02 * (i % 5), 3.0 + 0.3 * i};
    Rig rig(thresholds);
    rig.doubt(0.35);
    for (int k = 0; k < 60; ++k) rig.step(0.004F * static_cast<float>(k));
    EXPECT_EQ(!rig.asked.empty(), passes(*rig.signal->scored(), thresholds)) << i;
  }
}

// ---- form ---------------------------------------------------------------------------------------

TEST(HelpSignal, RefusesOptionsOutOfTheirRange) {
  HelpSignalOptions good;
  good.policy_period = kPeriod;
  EXPECT_TRUE(good.validate().ok());
  const auto refused = [&](auto change) {
    HelpSignalOptions options = good;
    change(options);
    return options.validate().code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](auto& o) { o.policy_period = {}; }));
  EXPECT_TRUE(refused([](auto& o) { o.window = kPeriod; }));
  EXPECT_TRUE(refused([](auto& o) { o.smoothing = {}; }));
  EXPECT_TRUE(refused([](auto& o) { o.release = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.settle = -kPeriod; }));
  EXPECT_TRUE(refused([](auto& o) { o.next_help = 0; }));
}

}  // namespace
}  // namespace nudge
