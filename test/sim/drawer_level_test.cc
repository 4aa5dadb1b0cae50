#include "src/sim/drawer_level.h"

#include <gtest/gtest.h>

#include <cmath>

#include "test/support/perturbed_kitchen.h"

namespace nudge {
namespace {

class DrawerLevelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto robot = KitchenRobot::create({.level = 2});
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = *std::move(robot);
    ASSERT_TRUE(robot_->reset(1).ok());
  }
  std::size_t reached() { return robot_->level().reached(robot_->state()); }
  void wait(int ticks) {
    for (int i = 0; i < ticks; ++i) ASSERT_TRUE(robot_->advance().ok());
  }
  Vec3 inside(double open) {  // where the bowl rests in the drawer
    const Vec3 handle = drawer_handle(open);
    return {handle[0], handle[1] + 0.065, 0.026};
  }
  bool finishes() {
    Expert expert({}, robot_->level());
    return *expert_finishes(*robot_, expert);
  }

  std::unique_ptr<KitchenRobot> robot_;
};

TEST_F(DrawerLevelTest, ABowlInTheOpenDrawerIsTheSecondOfThreeSubGoals) {
  robot_->set_drawer(0.12);
  robot_->place_object(0, inside(0.12), 0);
  wait(10);
  EXPECT_EQ(reached(), 2u);
  EXPECT_FALSE(robot_->observe()->success);
}

TEST_F(DrawerLevelTest, IsDoneWhenTheDrawerIsShutWithTheBowlInIt) {
  robot_->set_drawer(0);
  robot_->place_object(0, inside(0), 0);
  wait(10);
  EXPECT_EQ(reached(), 3u);
  EXPECT_TRUE(robot_->observe()->success);
}

TEST_F(DrawerLevelTest, AShutDrawerWithoutTheBowlIsNothing) {
  robot_->set_drawer(0);
  wait(10);
  EXPECT_EQ(reached(), 0u);
}

TEST_F(DrawerLevelTest, TheBowlTravelsInTheDrawer) {
  robot_->set_drawer(0.12);
  robot_->place_object(0, inside(0.12), 0);
  const double before = robot_->state().objects[0][1];
  ASSERT_TRUE(finishes());
  EXPECT_GT(robot_->state().objects[0][1], before + 0.08);
}

TEST_F(DrawerLevelTest, TheExpertOpensADrawerThatIsShutInItsFace) {
  for (const double open : {0.0, 0.03, 0.06, 0.09}) {
    ASSERT_TRUE(robot_->reset(2).ok());
    robot_->set_drawer(open);
    EXPECT_TRUE(finishes()) << open;
  }
}

TEST_F(DrawerLevelTest, TheExpertMakesRoomForItsFingersWhenTheBowlStandsBeforeTheFront) {
  for (const double x : {0.40, 0.44, 0.48}) {
    ASSERT_TRUE(robot_->reset(3).ok());
    robot_->set_drawer(0.14);
    robot_->place_object(0, {x, drawer_handle(0.14)[1] - 0.036, 0.02}, 0);
    EXPECT_TRUE(finishes()) << x;
  }
}

TEST_F(DrawerLevelTest, TheExpertSetsTheBowlDownToOpenADrawerThatIsShutMeanwhile) {
  Expert expert({}, robot_->level());
  for (int step = 0; step < 60 && reached() < 1; ++step) {
    ASSERT_TRUE(hold_for_policy_step(*robot_, expert.act(*robot_->observe())).ok());
  }
  ASSERT_EQ(reached(), 1u);
  robot_->set_drawer(0.02);
  EXPECT_TRUE(*expert_finishes(*robot_, expert));
}

}  // namespace
}  // namespace nudge
