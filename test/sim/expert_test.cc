#include "src/sim/expert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nudge/random.h"
#include "src/sim/demonstrator.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

class ExpertTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto robot = KitchenRobot::create();
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = *std::move(robot);
  }

  Observation look() { return *robot_->observe(); }

  double see_height() { return view_of(look())->block[2]; }

  // From wherever the robot is now.
  bool finishes(Expert& expert) {
    for (std::uint32_t step = 0; step < kKitchenEpisodeSteps; ++step) {
      const Observation o = look();
      if (o.success) return true;
      EXPECT_TRUE(hold_for_policy_step(*robot_, expert.act(o)).ok());
    }
    return look().success;
  }

  std::unique_ptr<KitchenRobot> robot_;
};

TEST_F(ExpertTest, LiftsTheBlockFromNearlyEveryStart) {
  Expert expert;
  int done = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    expert.begin();
    done += finishes(expert);
  }
  EXPECT_GE(done, 99);
}

TEST_F(ExpertTest, LiftsTheBlockAfterThreeSecondsOfRandomMotion) {
  Expert expert;
  Random random(1);
  int done = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    Action action(kKitchenActionSize);
    for (int step = 0; step < 30; ++step) {
      if (step % 5 == 0) {
        for (float& a : action) a = static_cast<float>(random.uniform(-1, 1));
        if (step < 20) action[kMoveZ] = static_cast<float>(random.uniform(-1, -0.4));
      }
      ASSERT_TRUE(hold_for_policy_step(*robot_, action).ok());
    }
    expert.begin();
    done += finishes(expert);
  }
  EXPECT_GE(done, 38);
}

TEST_F(ExpertTest, PicksTheBlockUpAgainAfterItWasDroppedOnTheWay) {
  Expert expert;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    expert.begin();
    for (int step = 0; step < 100 && see_height() < 0.07; ++step) {
      ASSERT_TRUE(hold_for_policy_step(*robot_, expert.act(look())).ok());
    }
    for (int step = 0; step < 3; ++step) {
      ASSERT_TRUE(hold_for_policy_step(*robot_, {0.5f, -0.5f, 0, 1}).ok());
    }
    EXPECT_TRUE(finishes(expert)) << "seed " << seed;
  }
}

TEST_F(ExpertTest, FollowsABlockThatIsMovedWhileItReachesForIt) {
  Expert expert;
  ASSERT_TRUE(robot_->reset(1).ok());
  robot_->place_block(0.35, -0.1);
  for (int step = 0; step < 8; ++step) {
    ASSERT_TRUE(hold_for_policy_step(*robot_, expert.act(look())).ok());
  }
  robot_->place_block(0.5, 0.2);
  EXPECT_TRUE(finishes(expert));
}

TEST_F(ExpertTest, StaysWithinTheRangeOfActionsHoweverUnsteady) {
  Expert expert({.speed = 1, .unsteadiness = 1, .seed = 3});
  ASSERT_TRUE(robot_->reset(1).ok());
  for (int step = 0; step < 100; ++step) {
    for (float a : expert.act(look())) {
      ASSERT_TRUE(std::isfinite(a));
      ASSERT_LE(std::abs(a), 1.0f);
    }
  }
}

TEST_F(ExpertTest, DoesNothingOnAnObservationOfAnotherRobot) {
  Expert expert;
  EXPECT_EQ(expert.act(Observation{}), Action(kKitchenActionSize, 0.0f));
}

}  // namespace
}  // namespace nudge
