#include "src/client/position_goals.h"

#include <gtest/gtest.h>

#include "nudge/random.h"

namespace nudge {
namespace {

RobotSpec joint_arm() {
  RobotSpec spec;
  spec.id = "arm";
  spec.control_period = std::chrono::milliseconds(10);
  spec.policy_period = std::chrono::milliseconds(100);
  spec.observation.proprioception = {{"hand", "1", 0, 1}, {"elbow", "rad", -1, 1}};
  spec.action.channels = {{"elbow", "rad/s", -2, 1, /*absolute=*/true}, {"base", "m/s", -1, 1}};
  return spec;
}

TEST(PositionGoals, AGoalBeginsWhereTheRobotIsAndMovesAtTheRate) {
  PositionGoals goals(joint_arm());
  Action action = {0.5f, 0.25f};
  goals.command(action, std::vector<float>{0.0f, 0.3f});
  EXPECT_FLOAT_EQ(action[0], 0.305f);
  EXPECT_FLOAT_EQ(action[1], 0.25f) << "a channel that takes rates is left alone";
  action = {-0.5f, 0};
  goals.command(action, std::vector<float>{0.0f, 0.3f});
  EXPECT_FLOAT_EQ(action[0], 0.295f) << "down at the rate that -1 stands for";
}

TEST(PositionGoals, ABlockedRobotIsNotPushedFurtherAndFurther) {
  PositionGoals goals(joint_arm());
  Action action;
  for (int i = 0; i < 1000; ++i) {
    action = {1, 0};
    goals.command(action, std::vector<float>{0.0f, 0.0f});
  }
  EXPECT_FLOAT_EQ(action[0], 0.5f) << "a quarter of a second at its fastest";
}

TEST(PositionGoals, AfterAHoldTheGoalBeginsWhereTheRobotIsThen) {
  PositionGoals goals(joint_arm());
  Action action = {1, 0};
  goals.command(action, std::vector<float>{0.0f, 0.0f});
  goals.forget();
  action = {0, 0};
  goals.command(action, std::vector<float>{0.0f, -0.4f});
  EXPECT_FLOAT_EQ(action[0], -0.4f);
}

TEST(PositionGoals, NoGoalLeavesTheBoundsWhateverIsCommanded) {
  Random random(3);
  PositionGoals goals(joint_arm());
  for (int i = 0; i < 10'000; ++i) {
    const auto rate = static_cast<float>(2 * random.uniform() - 1);
    const auto here = static_cast<float>(2.4 * random.uniform() - 1.2);
    Action action = {rate, 0};
    goals.command(action, std::vector<float>{0.0f, here});
    EXPECT_GE(action[0], -1.0f);
    EXPECT_LE(action[0], 1.0f);
    if (i % 100 == 0) goals.forget();
  }
}

}  // namespace
}  // namespace nudge
