#include "src/sim/burner_level.h"

#include <gtest/gtest.h>

#include "test/support/perturbed_kitchen.h"

namespace nudge {
namespace {

class BurnerLevelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto robot = KitchenRobot::create({.level = 3});
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = *std::move(robot);
    ASSERT_TRUE(robot_->reset(1).ok());
  }
  bool succeeds_with_the_pot_at(double y) {
    robot_->place_object(0, {0.46, y, 0.023}, 0);
    for (int i = 0; i < 15; ++i) EXPECT_TRUE(robot_->advance().ok());
    return robot_->observe()->success;
  }

  std::unique_ptr<KitchenRobot> robot_;
};

TEST_F(BurnerLevelTest, OnlyTheBurnerThatIsNamedCounts) {
  robot_->instruct("put the pot on the left burner");
  EXPECT_TRUE(succeeds_with_the_pot_at(0.17));
  EXPECT_FALSE(succeeds_with_the_pot_at(-0.17));
  robot_->instruct("now the right one");
  EXPECT_TRUE(succeeds_with_the_pot_at(-0.17));
  EXPECT_FALSE(succeeds_with_the_pot_at(0.17));
  EXPECT_FALSE(succeeds_with_the_pot_at(0));
}

TEST_F(BurnerLevelTest, SaysInTheObjectStateWhichBurnerIsMeant) {
  robot_->instruct("left");
  const auto left = robot_->observe()->object_state;
  robot_->instruct("right");
  const auto right = robot_->observe()->object_state;
  ASSERT_EQ(left.size(), 8u);
  EXPECT_EQ(left[6], 1);
  EXPECT_EQ(left[7], 0);
  EXPECT_EQ(right[6], 0);
  EXPECT_EQ(right[7], 1);
}

TEST_F(BurnerLevelTest, TheExpertMovesAPotFromTheWrongBurnerToTheRightOne) {
  robot_->instruct("put the pot on the right burner");
  ASSERT_FALSE(succeeds_with_the_pot_at(0.17));
  Expert expert({}, robot_->level());
  EXPECT_TRUE(*expert_finishes(*robot_, expert));
}

TEST_F(BurnerLevelTest, TheExpertFollowsAnInstructionThatChangesOnTheWay) {
  robot_->instruct("put the pot on the left burner");
  Expert expert({}, robot_->level());
  for (int step = 0; step < 25; ++step) {
    ASSERT_TRUE(hold_for_policy_step(*robot_, expert.act(*robot_->observe())).ok());
  }
  robot_->instruct("no, the right burner");
  EXPECT_TRUE(*expert_finishes(*robot_, expert));
  EXPECT_LT(robot_->state().objects[0][1], 0);
}

}  // namespace
}  // namespace nudge
