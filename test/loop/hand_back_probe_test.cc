#include "src/loop/hand_back_probe.h"

#include <gtest/gtest.h>

#include "test/support/weights_samples.h"

namespace nudge {
namespace {

HeadSpec constant_spec() {
  HeadSpec spec = test::small_head();
  spec.kind = HeadKind::kRegression;
  spec.action_size = kKitchenActionSize;
  return spec;
}

// A head whose every action is `rate` on each channel, where demonstrations deviated by `scale`.
LoadedHead always(float rate, float scale, HeadSpec spec = constant_spec()) {
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, shape] : tensors_of(spec)) {
    std::int64_t size = 1;
    for (const std::int64_t extent : shape) size *= extent;
    const float value = name == "norm.action.mean"    ? rate
                        : name == "norm.action.scale" ? scale
                        : name.ends_with(".scale")    ? 1.0F
                                                      : 0.0F;
    tensors[name].assign(static_cast<std::size_t>(size), value);
  }
  const auto weights =
      Weights::parse(*write_weights(spec, test::some_lineage(WeightsKind::kFull), tensors));
  EXPECT_TRUE(weights.ok()) << weights.status().message();
  return {.version = 1, .head = *ActionHead::load(*weights)};
}

// The expert does nothing about an observation that is not of its level: its action is zero.
class HandBackProbeTest : public testing::Test {
 protected:
  void steps(std::size_t count) {
    const HeadSpec spec = constant_spec();
    const std::vector<float> features(spec.feature_size, 1.0F);
    const std::vector<float> proprioception(spec.proprioception_size, 1.0F);
    for (std::size_t i = 0; i < count; ++i) {
      probe_.on_step_begun(Observation());
      probe_.on_step(features, proprioception);
    }
  }
  std::vector<HandBackError> end() {
    const auto errors = probe_.end_episode(
        [&](WeightsVersion version) { return Result<LoadedHead>(heads_.at(version)); });
    EXPECT_TRUE(errors.ok()) << errors.status().message();
    return errors.ok() ? *errors : std::vector<HandBackError>();
  }

  std::map<WeightsVersion, LoadedHead> heads_ = {
      {1, always(0.8F, 2.0F)}, {2, always(-0.2F, 2.0F)}, {3, always(7.0F, 2.0F)}};
  HandBackProbe probe_{{}, lift_level()};
};

TEST_F(HandBackProbeTest, ComparesTheWeightsOfBeforeAndAfterAtTheSameStates) {
  probe_.begin_episode(9, 1);
  steps(3);  // nobody has handed back yet
  probe_.on_hand_back(1);
  steps(4);
  probe_.on_micro_round(2);
  steps(2);
  const auto errors = end();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].episode, 9u);
  EXPECT_EQ(errors[0].followed.steps, 6u);
  EXPECT_NEAR(errors[0].followed.before, 0.4, 1e-6);  // in standard deviations
  EXPECT_NEAR(errors[0].followed.after, 0.1, 1e-6);
  EXPECT_TRUE(end().empty());
}

TEST_F(HandBackProbeTest, ActionsCountAsTheLimitsLetThemThrough) {
  probe_.begin_episode(9, 1);
  probe_.on_hand_back(3);
  steps(1);
  probe_.on_micro_round(2);
  EXPECT_NEAR(end().at(0).followed.before, 0.5, 1e-6);
}

TEST_F(HandBackProbeTest, WhatComesAfterTwoSecondsOrUnderAPersonsHandDoesNotCount) {
  probe_.begin_episode(9, 1);
  probe_.on_hand_back(1);
  steps(30);
  probe_.on_micro_round(2);
  EXPECT_EQ(end().at(0).followed.steps, 20u);
  probe_.begin_episode(10, 1);
  probe_.on_hand_back(1);
  steps(3);
  probe_.on_micro_round(2);
  probe_.on_interference();
  steps(5);
  EXPECT_EQ(end().at(0).followed.steps, 3u);
}

TEST_F(HandBackProbeTest, EachHandBackIsComparedWithTheWeightsThatWereInUse) {
  probe_.begin_episode(9, 1);
  probe_.on_hand_back(1);
  steps(2);
  probe_.on_micro_round(2);
  probe_.on_interference();
  probe_.on_hand_back(2);
  steps(1);
  probe_.on_micro_round(1);
  const auto errors = end();
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_NEAR(errors[1].followed.before, 0.1, 1e-6);
  EXPECT_NEAR(errors[1].followed.after, 0.4, 1e-6);
  const HandBackMean mean = mean_of(errors);
  EXPECT_EQ(mean.hand_backs, 2u);
  EXPECT_NEAR(mean.followed.before, (2 * 0.4 + 0.1) / 3, 1e-6);
  EXPECT_NEAR(mean.followed.after, (2 * 0.1 + 0.4) / 3, 1e-6);
}

TEST_F(HandBackProbeTest, ComparesThemInTheSecondBeforeTheTakeoverAsWell) {
  probe_.begin_episode(9, 1);
  steps(15);
  probe_.on_interference();
  probe_.on_hand_back(1);
  steps(2);
  probe_.on_micro_round(2);
  const auto errors = end();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].led.steps, 10u);
  EXPECT_NEAR(errors[0].led.before, 0.4, 1e-6);
  EXPECT_NEAR(errors[0].led.after, 0.1, 1e-6);
  EXPECT_EQ(errors[0].followed.steps, 2u);
}

TEST_F(HandBackProbeTest, APolicyThatHadNotDrivenSinceTheLastHandBackLedToNothing) {
  probe_.begin_episode(9, 1);
  steps(4);
  probe_.on_hand_back(1);
  probe_.on_interference();
  probe_.on_hand_back(1);
  steps(2);
  probe_.on_micro_round(2);
  EXPECT_EQ(end().at(0).led.steps, 0u);
}

TEST_F(HandBackProbeTest, AHandBackThatNoMicroRoundAnsweredIsLeftOut) {
  probe_.begin_episode(9, 1);
  probe_.on_hand_back(1);
  steps(3);
  EXPECT_TRUE(end().empty());
  EXPECT_EQ(mean_of({}).hand_backs, 0u);
}

TEST_F(HandBackProbeTest, AHandBackToAPolicyThatHasNotActedYetIsLeftOut) {
  probe_.begin_episode(9, 1);
  probe_.on_hand_back(0);
  steps(2);
  probe_.on_micro_round(2);
  EXPECT_TRUE(end().empty());
}

TEST_F(HandBackProbeTest, HeadsThatEditAReferenceAreNotMeasured) {
  HeadSpec spec = constant_spec();
  spec.kind = HeadKind::kFlow;
  spec.reference_chunk = spec.edit = true;
  heads_.insert_or_assign(2, always(0, 1, spec));
  probe_.begin_episode(9, 1);
  probe_.on_hand_back(1);
  steps(3);
  probe_.on_micro_round(2);
  EXPECT_TRUE(end().empty());
}

}  // namespace
}  // namespace nudge
