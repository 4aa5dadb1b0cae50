#include "feedback/limits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nudge/random.h"
#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const std::vector<float> kMiddle{0, 0, 0};

Limits made(LimitsConfig config) { return *Limits::make(config, four_channels(), kPeriod); }

// Changes so large that smoothing plays no part.
LimitsConfig abrupt() {
  LimitsConfig config;
  config.max_step = config.brake_step = {2, 2, 2, 2};
  return config;
}

LimitsConfig boxed() {
  LimitsConfig config;
  config.workspace = WorkspaceBox{{-0.3, -0.3, 0.0}, {0.3, 0.3, 0.4}};
  return config;
}

TEST(Limits, RefusesWhatIsNotFiniteBeforeAnyLimit) {
  for (const float bad : {kNan, kInf, -kInf}) {
    for (std::size_t i = 0; i < 4; ++i) {
      Limits limits = made(abrupt());
      Action executed;
      limits.apply(Action{1, 1, 1, 1}, kMiddle, executed);
      Action wish{0, 0, 0, 0};
      wish[i] = bad;
      const Limited limited = limits.apply(wish, kMiddle, executed);
      EXPECT_TRUE(limited.refused);
      EXPECT_FALSE(limited.clamped);
      EXPECT_EQ(executed, (Action{0, 0, 0, 0}));
      EXPECT_TRUE(limits.at_rest());
      EXPECT_FALSE(limits.permits(wish, kMiddle));
    }
  }
}

TEST(Limits, RefusesAnActionOfTheWrongSize) {
  Limits limits = made({});
  Action executed;
  EXPECT_TRUE(limits.apply(Action{0, 0, 0}, kMiddle, executed).refused);
  EXPECT_TRUE(limits.apply(Action{0, 0, 0, 0, 0}, kMiddle, executed).refused);
  EXPECT_TRUE(limits.apply(Action{}, kMiddle, executed).refused);
  EXPECT_EQ(executed.size(), 4u);
}

TEST(Limits, PassesWhatIsWithinLimitsUnchanged) {
  Limits limits = made(abrupt());
  Action executed;
  const Action wish{0.3f, -1, 1, 0};
  const Limited limited = limits.apply(wish, kMiddle, executed);
  EXPECT_FALSE(limited.changed);
  EXPECT_FALSE(limited.clamped);
  EXPECT_EQ(executed, wish);
}

TEST(Limits, CutsAtTheRateOfEachChannelAndSaysSo) {
  LimitsConfig config = abrupt();
  config.max_rate = {0.5, 1, 1, 1};
  Limits limits = made(config);
  Action executed;
  const Limited limited = limits.apply(Action{-0.9f, 0.9f, 0, 0}, kMiddle, executed);
  EXPECT_TRUE(limited.clamped);
  EXPECT_TRUE(limited.changed);
  EXPECT_EQ(executed, (Action{-0.5f, 0.9f, 0, 0}));
}

TEST(Limits, CutsWithinTheSlackWithoutCallingItClamped) {
  LimitsConfig config = abrupt();
  config.slack = 0.1;
  Limits limits = made(config);
  Action executed;
  Limited limited = limits.apply(Action{1.09f, 0, 0, 0}, kMiddle, executed);
  EXPECT_FALSE(limited.clamped);
  EXPECT_TRUE(limited.changed);
  EXPECT_EQ(executed[0], 1.0f);
  limited = limits.apply(Action{1.11f, 0, 0, 0}, kMiddle, executed);
  EXPECT_TRUE(limited.clamped);
  EXPECT_EQ(executed[0], 1.0f);
}

TEST(Limits, SpeedsUpByNoMoreThanOneStepPerTickAndDoesNotCallItClamped) {
  Limits limits = made({});  // 5 per second at 50 Hz: 0.1 per tick
  Action executed;
  for (int tick = 1; tick <= 10; ++tick) {
    const Limited limited = limits.apply(Action{1, 0, 0, 0}, kMiddle, executed);
    EXPECT_NEAR(executed[0], 0.1 * tick, 1e-6);
    EXPECT_FALSE(limited.clamped);
    EXPECT_EQ(limited.changed, tick < 10);
  }
}

TEST(Limits, ReversesThroughZeroWithoutAJump) {
  Limits limits = made({});
  Action executed;
  for (int i = 0; i < 20; ++i) limits.apply(Action{1, 0, 0, 0}, kMiddle, executed);
  std::vector<float> rates;
  for (int i = 0; i < 15; ++i) {
    limits.apply(Action{-1, 0, 0, 0}, kMiddle, executed);
    rates.push_back(executed[0]);
  }
  EXPECT_NEAR(rates[0], 0.7, 1e-6);  // braking is three times as fast
  EXPECT_NEAR(rates[2], 0.1, 1e-6);
  EXPECT_NEAR(rates[3], 0.0, 1e-6);
  EXPECT_NEAR(rates[4], -0.1, 1e-6);
  EXPECT_NEAR(rates[13], -1.0, 1e-6);
}

TEST(Limits, BrakesToRestInAStraightLineAndStaysThere) {
  Limits limits = made({});
  Action executed;
  for (int i = 0; i < 20; ++i) limits.apply(Action{1, -0.5f, 0, 0}, kMiddle, executed);
  float last = 1;
  int ticks = 0;
  while (!limits.at_rest()) {
    limits.brake(kMiddle, executed);
    EXPECT_LT(executed[0], last);
    EXPECT_GE(executed[0], 0);
    EXPECT_LE(executed[1], 0);
    last = executed[0];
    ASSERT_LT(++ticks, 10);
  }
  EXPECT_EQ(ticks, 4);
  limits.brake(kMiddle, executed);
  EXPECT_TRUE(limits.at_rest());
}

TEST(Limits, StopsAtTheWallAndCountsPushingAgainstIt) {
  Limits limits = made(boxed());
  Action executed;
  const std::vector<float> at_wall{0.3f, 0, 0.2f};
  const Limited limited = limits.apply(Action{1, 0, 0, 0}, at_wall, executed);
  EXPECT_NEAR(executed[0], 0, 1e-6);
  EXPECT_TRUE(limited.clamped);
}

TEST(Limits, LetsTheRobotBackInFromOutsideTheBox) {
  Limits limits = made(boxed());
  Action executed;
  const std::vector<float> outside{0.35f, 0, 0.2f};
  EXPECT_TRUE(limits.apply(Action{0.5f, 0, 0, 0}, outside, executed).clamped);
  EXPECT_EQ(executed[0], 0);
  EXPECT_FALSE(limits.apply(Action{-0.5f, 0, 0, 0}, outside, executed).clamped);
  EXPECT_LT(executed[0], 0);
}

TEST(Limits, NeverLeavesTheBoxNorBrakesHarderThanTheBrake) {
  Random random(7);
  for (int run = 0; run < 200; ++run) {
    Limits limits = made(boxed());
    std::vector<float> position{0, 0, 0.2f};
    Action executed;
    Action last{0, 0, 0, 0};
    Action wish{0, 0, 0, 0};
    for (int tick = 0; tick < 500; ++tick) {
      if (tick % 25 == 0) {
        for (float& w : wish) w = static_cast<float>(random.uniform(-1.3, 1.3));
      }
      if (random.below(20) == 0) {
        limits.brake(position, executed);
      } else {
        limits.apply(wish, position, executed);
      }
      for (std::size_t i = 0; i < 3; ++i) {
        position[i] += executed[i] * 0.25f * 0.02f;
        ASSERT_GE(position[i], (i == 2 ? 0.0 : -0.3) - 1e-6);
        ASSERT_LE(position[i], (i == 2 ? 0.4 : 0.3) + 1e-6);
      }
      for (std::size_t i = 0; i < 4; ++i) {
        ASSERT_LE(std::abs(executed[i]), 1.0f);
        ASSERT_LE(std::abs(executed[i] - last[i]), 0.3 + 1e-3);
      }
      last = executed;
    }
  }
}

TEST(Limits, RefusesToMoveInABoxWithoutKnowingWhereItIs) {
  Limits limits = made(boxed());
  Action executed;
  EXPECT_TRUE(limits.apply(Action{0, 0, 0, 0}, {}, executed).refused);
  EXPECT_TRUE(limits.apply(Action{0, 0, 0, 0}, std::vector<float>{0, kNan, 0}, executed).refused);
  limits.apply(Action{1, 0, 0, 0}, std::vector<float>{0, 0, 0.2f}, executed);
  limits.brake({}, executed);
  EXPECT_EQ(executed, (Action{0, 0, 0, 0}));
}

TEST(Limits, StartsFromZeroAfterForget) {
  Limits limits = made({});
  Action executed;
  for (int i = 0; i < 20; ++i) limits.apply(Action{1, 0, 0, 0}, kMiddle, executed);
  limits.forget();
  limits.apply(Action{1, 0, 0, 0}, kMiddle, executed);
  EXPECT_NEAR(executed[0], 0.1, 1e-6);
}

// ---- single positions --------------------------------------------------------------------------

// Channel 3 moves what is measured in proprioception channel 5.
LimitsConfig jointed(double lower, double upper) {
  LimitsConfig config;
  config.positions.resize(4);
  config.positions[3] = PositionLimit{.channel = 5, .lower = lower, .upper = upper};
  return config;
}

TEST(Limits, KeepsAJointWithinItsBoundsAndBrakesInTime) {
  Limits limits = made(jointed(-0.5, 0.8));
  Action executed;
  std::vector<float> position(6, 0.0f);
  for (const float wish : {1.0f, -1.0f}) {
    float last = 0;
    for (int i = 0; i < 200; ++i) {
      limits.apply(Action{0, 0, 0, wish}, position, executed);
      EXPECT_LE(std::abs(executed[3] - last), 0.3f + 1e-4f) << "no jolt at the bound";
      last = executed[3];
      position[5] += executed[3] * 2.0f * 0.02f;  // 2 per second at full rate
      ASSERT_LE(position[5], 0.8f + 1e-5f);
      ASSERT_GE(position[5], -0.5f - 1e-5f);
    }
    EXPECT_NEAR(position[5], wish > 0 ? 0.8f : -0.5f, 1e-3f);
    EXPECT_FALSE(limits.permits(Action{0, 0, 0, wish}, position));
    EXPECT_TRUE(limits.permits(Action{0, 0, 0, -wish}, position));
    EXPECT_TRUE(limits.permits(Action{1, 1, 1, 0}, position)) << "others are free";
  }
}

TEST(Limits, LetsAJointBackInFromBeyondItsBounds) {
  Limits limits = made(jointed(-0.5, 0.8));
  std::vector<float> position(6, 0.0f);
  position[5] = 1.5f;
  EXPECT_FALSE(limits.permits(Action{0, 0, 0, 0.5f}, position));
  EXPECT_TRUE(limits.permits(Action{0, 0, 0, -0.5f}, position));
}

TEST(Limits, RefusesToMoveAJointThatItCannotSee) {
  Limits limits = made(jointed(-0.5, 0.8));
  Action executed;
  std::vector<float> position(6, 0.0f);
  EXPECT_FALSE(limits.apply(Action{0, 0, 0, 1}, position, executed).refused);
  for (const float bad : {kNan, kInf}) {
    position[5] = bad;
    EXPECT_FALSE(limits.sees(position));
    EXPECT_TRUE(limits.apply(Action{0, 0, 0, 1}, position, executed).refused);
    EXPECT_EQ(executed, (Action{0, 0, 0, 0}));
  }
  EXPECT_FALSE(limits.sees(kMiddle));
}

TEST(Limits, AJointsBoundsAndTheBoxHoldTogether) {
  LimitsConfig config = boxed();
  config.positions.resize(4);
  config.positions[0] = PositionLimit{.channel = 0, .lower = -0.1, .upper = 1};
  Limits limits = made(config);
  EXPECT_FALSE(limits.permits(Action{-1, 0, 0, 0}, std::vector<float>{-0.1f, 0, 0.1f}));
  EXPECT_FALSE(limits.permits(Action{1, 0, 0, 0}, std::vector<float>{0.3f, 0, 0.1f}));
  EXPECT_TRUE(limits.permits(Action{1, 0, 0, 0}, std::vector<float>{0.2f, 0, 0.1f}));
}

TEST(Limits, NamesThePositionThatIsWrong) {
  const auto message = [](const LimitsConfig& config) {
    return Limits::make(config, four_channels(), kPeriod).status().message();
  };
  EXPECT_NE(message(jointed(1, 1)).find("'gripper'"), std::string::npos);
  EXPECT_NE(message(jointed(0, kInf)).find("'gripper'"), std::string::npos);
  LimitsConfig config;
  config.positions.resize(2);
  EXPECT_NE(message(config).find("positions has 2 entries"), std::string::npos);
  config.positions.resize(4);
  EXPECT_NE(message(config).find("limits nothing"), std::string::npos)
      << "asked for, and not given";
}

TEST(Limits, NamesTheFieldThatIsWrong) {
  const auto message = [](auto change) {
    LimitsConfig config = boxed();
    change(config);
    return Limits::make(config, four_channels(), kPeriod).status().message();
  };
  EXPECT_EQ(message([](LimitsConfig&) {}), "");
  const auto names = [&](auto change, const std::string& word) {
    const std::string text = message(change);
    EXPECT_NE(text.find(word), std::string::npos) << text;
  };
  names([](LimitsConfig& c) { c.max_rate = {1, 1}; }, "max_rate has 2");
  names([](LimitsConfig& c) { c.max_rate = {1, 0, 1, 1}; }, "max_rate[1]");
  names([](LimitsConfig& c) { c.max_rate = {1, 1, 1.5, 1}; }, "max_rate[2]");
  names([](LimitsConfig& c) { c.max_step = {1, 1, 1, std::nan("")}; }, "max_step[3]");
  names([](LimitsConfig& c) { c.brake_step = {0.01, 1, 1, 1}; }, "brake_step[0]");
  names([](LimitsConfig& c) { c.slack = 0.6; }, "slack");
  names([](LimitsConfig& c) { c.workspace->lower[1] = 1; }, "workspace axis 1");
  names([](LimitsConfig& c) { c.workspace->upper[2] = std::nan(""); }, "workspace axis 2");
  EXPECT_FALSE(Limits::make({}, ActionSpec{}, kPeriod).ok());
  EXPECT_FALSE(Limits::make({}, four_channels(), Duration::zero()).ok());
  ActionSpec two = four_channels();
  two.channels.resize(2);
  EXPECT_FALSE(Limits::make(boxed(), two, kPeriod).ok());
  ActionSpec odd = four_channels();
  odd.channels[1].lower = 0;
  EXPECT_FALSE(Limits::make(boxed(), odd, kPeriod).ok());
}

// ---- the edges of limits ----------------------------------------------------------------------

TEST(Limits, SlackIsFromNoneToHalfOfTheFullRate) {
  const auto ok = [](double slack) {
    LimitsConfig config;
    config.slack = slack;
    return Limits::make(config, four_channels(), kPeriod).ok();
  };
  EXPECT_FALSE(ok(-1e-9));
  EXPECT_TRUE(ok(0));
  EXPECT_TRUE(ok(0.5));
  EXPECT_FALSE(ok(0.5 + 1e-9));
}

TEST(Limits, ABoxNeedsThreeChannelsAndNoMore) {
  ActionSpec three = four_channels();
  three.channels.resize(3);
  EXPECT_TRUE(Limits::make(boxed(), three, kPeriod).ok());
}

TEST(Limits, WallsAndTheRatesTowardsThemAreFinite) {
  EXPECT_FALSE(Limits::make(jointed(-kInf, 0.8), four_channels(), kPeriod).ok());
  const auto ok = [](float lower, float upper) {
    ActionSpec spec = four_channels();
    spec.channels[1].lower = lower;
    spec.channels[1].upper = upper;
    return Limits::make(boxed(), spec, kPeriod).ok();
  };
  EXPECT_TRUE(ok(-0.1f, 0.1f));
  EXPECT_FALSE(ok(-kInf, 0.1f));
  EXPECT_FALSE(ok(-0.1f, kInf));
  EXPECT_FALSE(ok(-0.1f, 0));
  EXPECT_FALSE(ok(-0.2f, -0.1f));
}

TEST(Limits, ARateThatIsNoFloatIsNotExceededByRounding) {
  LimitsConfig config = abrupt();
  config.max_rate = {0.1, 0.1, 0.1, 0.1};
  ASSERT_GT(double{0.1f}, 0.1);
  Limits limits = made(config);
  Action executed;
  limits.apply(Action{1, -1, 0, 0}, kMiddle, executed);
  EXPECT_LE(double{executed[0]}, 0.1);
  EXPECT_GE(double{executed[1]}, -0.1);
}

TEST(Limits, WhatIsWithinTheSlackToTheLastBitIsNoClamp) {
  LimitsConfig config;
  config.slack = 0.25;
  config.max_rate = {0.5, 0.5, 0.5, 0.5};
  config.workspace = WorkspaceBox{{-0.5, -0.5, -0.5}, {0.5, 0.5, 0.5}};
  Limits limits = made(config);
  EXPECT_TRUE(limits.permits(Action{0.75f, -0.75f, 0, 0}, kMiddle));
  EXPECT_FALSE(limits.permits(Action{std::nextafter(0.75f, 1.0f), 0, 0, 0}, kMiddle));
  const std::vector<float> corner{0.5f, -0.5f, 0};  // no way further
  EXPECT_TRUE(limits.permits(Action{0.25f, -0.25f, 0, 0}, corner));
  EXPECT_FALSE(limits.permits(Action{std::nextafter(0.25f, 1.0f), 0, 0, 0}, corner));
  EXPECT_FALSE(limits.permits(Action{0, std::nextafter(-0.25f, -1.0f), 0, 0}, corner));
}

}  // namespace
}  // namespace nudge
