#include "src/daemon/real_time.h"

#include <gtest/gtest.h>

#include "src/loop/clock.h"
#include "src/sim/live_kitchen.h"
#include "test/support/temp_folder.h"
#include "test/support/untrained_head.h"

namespace nudge {
namespace {

class RealTimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_one_torch_thread();
    config_.limits.clamps_to_hold = 1023;  // untrained heads overshoot
    config_.limits.clamp_window_ticks = 1024;
    config_.policy.hidden = 32;
    make_robot({});
    options_.length = std::chrono::seconds(2);
    options_.folder = folder_ / "state";
  }
  void make_robot(const KitchenOptions& options) {
    auto robot = LiveKitchen::create(options, steady_now);
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = *std::move(robot);
  }
  LoadedHead head(WeightsVersion version) {
    return untrained_head(robot_->spec(), config_, version);
  }

  test::TempFolder folder_;
  Config config_;
  std::unique_ptr<LiveKitchen> robot_;
  RealTimeOptions options_;
};

TEST_F(RealTimeTest, PlaysBothVersionsWhileTheyAreSwappedAndLogsWhatItDid) {
  options_.swap_every = std::chrono::milliseconds(100);
  const auto report = run_in_real_time(*robot_, config_, {head(1), head(2)}, options_);
  ASSERT_TRUE(report.ok()) << report.status().message();
  // A tick that a busy machine keeps from running is counted as missed, never forgotten.
  EXPECT_GE(report->ticks + report->missed, 95u);
  EXPECT_EQ(report->work.count() + 1, report->late.count());
  EXPECT_GT(report->swaps, 2u);
  EXPECT_GT(report->chunks, 1u);
  // Of 100 ticks that were made in time some twenty are steps and a dozen are of a new version.
  if (report->missed > 50) GTEST_SKIP() << report->missed << " ticks of a busy machine are missed";
  EXPECT_GT(report->versions_played, 1u);
  EXPECT_GT(report->logged, 10u);
}

TEST_F(RealTimeTest, PlaysOneVersionWhenNothingIsSwapped) {
  options_.swap_every = Duration::zero();
  const auto report = run_in_real_time(*robot_, config_, {head(1), head(2)}, options_);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->swaps, 0u);
  EXPECT_EQ(report->versions_played, 1u);
}

TEST_F(RealTimeTest, APolicyThatLooksWaitsForTheFirstPictures) {
  config_.policy.backbone = "kitchen";
  make_robot({.cameras = true});
  robot_->start();  // the first ticks come before the first frames
  const auto report = run_in_real_time(*robot_, config_, {head(1), head(2)}, options_);
  robot_->stop();
  EXPECT_TRUE(report.ok()) << report.status().message();
}

TEST_F(RealTimeTest, NeedsWeights) {
  EXPECT_EQ(run_in_real_time(*robot_, config_, {}, options_).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
