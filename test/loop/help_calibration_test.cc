#include "src/loop/help_calibration.h"

#include <gtest/gtest.h>

#include "test/support/port_samples.h"

namespace nudge {
namespace {

const Actor kAnna = {"anna#1", Role::kSupervisor};
const Actor kEva = {"eva#2", Role::kEngineer};

// Episodes as the daemon logs them.
class HelpCalibrationTest : public ::testing::Test {
 protected:
  bool tell(Payload payload, EpisodeId episode, Actor actor = {"nudge", Role::kScript}) {
    return help_.apply(events_.make(std::move(payload), episode, 0, std::move(actor)));
  }
  void episode(EpisodeId id, double disagreement) {
    tell(EpisodeStarted{EpisodePurpose::kDeployment, id, "lift"}, id);
    tell(HelpScored{disagreement, 0.1, 4.0}, id);
    tell(EpisodeEnded{EpisodeEnd::kTaskDone, 40}, id);
  }
  bool label(EpisodeId id, LabelValue value, const Actor& who = kAnna) {
    return tell(Label{id, 0, value}, id + 1, who);
  }
  void successes(EpisodeId first, EpisodeId count) {
    for (EpisodeId id = first; id < first + count; ++id) {
      episode(id, 0.01 * static_cast<double>(id));
      label(id, LabelValue::kSuccess);
    }
  }

  test::EventMaker events_;
  HelpCalibration help_{0.1, 20};
};

TEST_F(HelpCalibrationTest, StartsWithTheDefaultsUntilThereAreEnoughSuccesses) {
  successes(1, 8);
  EXPECT_EQ(help_.thresholds(), HelpThresholds{});
  successes(9, 1);
  EXPECT_NE(help_.thresholds(), HelpThresholds{});
  EXPECT_NEAR(help_.thresholds().disagreement, 0.09, 1e-9) << "the worst of the first nine";
}

TEST_F(HelpCalibrationTest, OnlyEpisodesThatAreCalledASuccessCount) {
  successes(1, 9);
  episode(10, 5.0);
  EXPECT_EQ(help_.successes(), 9u) << "not labelled";
  EXPECT_FALSE(label(10, LabelValue::kFailure));
  EXPECT_EQ(help_.successes(), 9u);
  EXPECT_TRUE(label(10, LabelValue::kSuccess));
  EXPECT_EQ(help_.successes(), 10u);
}

TEST_F(HelpCalibrationTest, ALabelThatIsTakenBackOrOverruledTakesItsEpisodeOut) {
  successes(1, 10);
  EXPECT_TRUE(label(3, LabelValue::kNone));
  EXPECT_TRUE(label(4, LabelValue::kDiscard, kEva));
  EXPECT_EQ(help_.successes(), 8u);
  EXPECT_FALSE(label(4, LabelValue::kSuccess)) << "the engineer's word stands";
}

TEST_F(HelpCalibrationTest, EpisodesInWhichAPersonHelpedDoNotCount) {
  successes(1, 9);
  tell(EpisodeStarted{EpisodePurpose::kDeployment, 10, "lift"}, 10);
  tell(SpanOpened{1, SpanKind::kTakeover, 1, 5}, 10, kAnna);
  tell(HelpScored{5.0, 0.1, 4.0}, 10);
  label(10, LabelValue::kSuccess);
  tell(EpisodeStarted{EpisodePurpose::kDeployment, 11, "lift"}, 11);
  tell(Words{"a bit lower", WordsUse::kNudge, "down"}, 11, kAnna);
  tell(HelpScored{5.0, 0.1, 4.0}, 11);
  label(11, LabelValue::kSuccess);
  tell(EpisodeStarted{EpisodePurpose::kDemonstration, 12, "lift"}, 12);
  tell(HelpScored{5.0, 0.1, 4.0}, 12);
  label(12, LabelValue::kSuccess);
  EXPECT_EQ(help_.successes(), 9u);
}

TEST_F(HelpCalibrationTest, TheNewestSuccessesDecide) {
  successes(1, 60);
  // Of 20, the second largest: floor(0.1 * 21) - 1 may pass.
  EXPECT_NEAR(help_.thresholds().disagreement, 0.59, 1e-9);
}

TEST_F(HelpCalibrationTest, KnowsTheNewestNumberOfAnAsk) {
  EXPECT_EQ(help_.newest_help(), 0u);
  EXPECT_FALSE(tell(HelpAsked{12, HelpReason::kBoth, 0.7}, 1));
  EXPECT_EQ(help_.newest_help(), 12u);
}

TEST_F(HelpCalibrationTest, ForgetsTheOldestOfVeryManyEpisodes) {
  successes(1, 1100);
  EXPECT_EQ(help_.successes(), 1000u);
  EXPECT_FALSE(label(5, LabelValue::kFailure)) << "forgotten";
}

}  // namespace
}  // namespace nudge
