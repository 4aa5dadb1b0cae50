#include "src/sim/places_level.h"

#include <gtest/gtest.h>

#include "test/support/perturbed_kitchen.h"

namespace nudge {
namespace {

class PlacesLevelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto robot = KitchenRobot::create({.level = 4});
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = *std::move(robot);
    ASSERT_TRUE(robot_->reset(1).ok());
  }
  bool finishes() {
    Expert expert({}, robot_->level());
    return *expert_finishes(*robot_, expert);
  }

  std::unique_ptr<KitchenRobot> robot_;
};

TEST_F(PlacesLevelTest, TheExpertDoesAllSixTasks) {
  for (const KitchenTask& task : robot_->level().data().tasks) {
    ASSERT_TRUE(robot_->reset(4).ok());
    robot_->instruct(task.instruction);
    EXPECT_TRUE(finishes()) << task.instruction;
  }
}

TEST_F(PlacesLevelTest, AnotherThingInTheRightPlaceIsNotIt) {
  robot_->instruct("put the mug in the sink");
  robot_->place_object(2, {0.47, 0.18, 0.03}, 0);
  for (int i = 0; i < 15; ++i) ASSERT_TRUE(robot_->advance().ok());
  EXPECT_FALSE(robot_->observe()->success);
  robot_->instruct("put the can in the sink");
  for (int i = 0; i < 15; ++i) ASSERT_TRUE(robot_->advance().ok());
  EXPECT_TRUE(robot_->observe()->success);
}

TEST_F(PlacesLevelTest, TheExpertFindsRoomInAPlaceThatHoldsSomethingAlready) {
  robot_->instruct("put the mug on the tray");
  robot_->place_object(1, {0.47, -0.18, 0.016}, 0);
  EXPECT_TRUE(finishes());
  EXPECT_LT(robot_->state().objects[1][1], -0.1) << "the sponge stays where it was";
}

TEST_F(PlacesLevelTest, TheExpertSetsDownTheWrongThingBeforeItTakesTheRightOne) {
  robot_->instruct("put the can on the tray");
  Expert expert({}, robot_->level());
  for (int step = 0; step < 80 && robot_->level().reached(robot_->state()) < 1; ++step) {
    ASSERT_TRUE(hold_for_policy_step(*robot_, expert.act(*robot_->observe())).ok());
  }
  robot_->instruct("put the mug on the tray");
  EXPECT_TRUE(*expert_finishes(*robot_, expert));
}

}  // namespace
}  // namespace nudge
