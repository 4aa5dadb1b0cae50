#include "src/sim/kitchen_robot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "nudge/random.h"
#include "src/sim/demonstrator.h"
#include "src/sim/expert.h"
#include "src/sim/task.h"

namespace nudge {
namespace {

std::unique_ptr<KitchenRobot> kitchen(KitchenOptions options = {}) {
  auto robot = KitchenRobot::create(options);
  EXPECT_TRUE(robot.ok()) << robot.status().message();
  return *std::move(robot);
}

std::unique_ptr<KitchenRobot> steady_kitchen() {
  return kitchen({.actuation_noise = 0, .home_jitter = 0});
}

Observation look(KitchenRobot& robot) {
  auto observation = robot.observe();
  EXPECT_TRUE(observation.ok()) << observation.status().message();
  return *std::move(observation);
}

KitchenView see(KitchenRobot& robot) { return *view_of(look(robot)); }

void move(KitchenRobot& robot, const Action& action, int ticks) {
  for (int i = 0; i < ticks; ++i) {
    const Status status = robot.apply(action, robot.now() + kKitchenControlPeriod);
    ASSERT_TRUE(status.ok()) << status.message();
  }
}

// Everything an episode looked like, apart from the clock.
std::vector<float> replay(KitchenRobot& robot, std::uint64_t seed) {
  EXPECT_TRUE(robot.reset(seed).ok());
  Random random(99);
  std::vector<float> seen;
  for (int step = 0; step < 40; ++step) {
    const Observation o = look(robot);
    seen.insert(seen.end(), o.proprioception.begin(), o.proprioception.end());
    seen.insert(seen.end(), o.object_state.begin(), o.object_state.end());
    Action action(kKitchenActionSize);
    for (float& a : action) a = static_cast<float>(random.uniform(-1, 1));
    EXPECT_TRUE(hold_for_policy_step(robot, action).ok());
  }
  return seen;
}

// Closes the fingers on the block and lifts it for half a second, by hand and not by the expert.
void grasp(KitchenRobot& robot) {
  for (const double height : {0.08, 0.0}) {
    for (int i = 0; i < 80; ++i) {
      const KitchenView view = see(robot);
      Action action(kKitchenActionSize, 0.0f);
      for (int axis = 0; axis < 3; ++axis) {
        const double error = view.block[axis] + (axis == 2 ? height : 0) - view.tool[axis];
        action[axis] = static_cast<float>(std::clamp(20 * error, -1.0, 1.0));
      }
      move(robot, action, 1);
    }
  }
  move(robot, {0, 0, 0, -1}, 25);
  move(robot, {0, 0, 1, 0}, 30);
}

TEST(KitchenRobot, DescribesItsObservationsAndActions) {
  auto robot = kitchen();
  const RobotSpec& spec = robot->spec();
  const Observation o = look(*robot);
  EXPECT_EQ(spec.observation.proprioception.size(), o.proprioception.size());
  EXPECT_EQ(spec.observation.object_state.size(), o.object_state.size());
  EXPECT_EQ(spec.action.size(), static_cast<std::size_t>(kKitchenActionSize));
  EXPECT_EQ(spec.control_period, std::chrono::milliseconds(20));
  EXPECT_EQ(spec.policy_period, std::chrono::milliseconds(100));
  EXPECT_TRUE(spec.observation.cameras.empty());
  EXPECT_TRUE(o.images.empty());
}

TEST(KitchenRobot, RepeatsAnEpisodeBitwiseForTheSameSeedAndActions) {
  auto one = kitchen();
  auto other = kitchen();
  const std::vector<float> first = replay(*one, 7);
  EXPECT_EQ(first, replay(*one, 7));
  EXPECT_EQ(first, replay(*other, 7));
  EXPECT_NE(first, replay(*other, 8));
}

TEST(KitchenRobot, StartsEpisodesWithTheBlockAllOverTheRegionAndTheGripperOpen) {
  auto robot = kitchen();
  double x_min = 1, x_max = 0, y_min = 1, y_max = -1;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    ASSERT_TRUE(robot->reset(seed).ok());
    const KitchenView view = see(*robot);
    x_min = std::min(x_min, view.block[0]);
    x_max = std::max(x_max, view.block[0]);
    y_min = std::min(y_min, view.block[1]);
    y_max = std::max(y_max, view.block[1]);
    EXPECT_NEAR(view.opening, kGripperOpen, 1e-6);
    EXPECT_FALSE(lifted(view));
  }
  EXPECT_NEAR(x_min, 0.3, 0.01);
  EXPECT_NEAR(x_max, 0.5, 0.01);
  EXPECT_NEAR(y_min, -0.15, 0.01);
  EXPECT_NEAR(y_max, 0.15, 0.01);
}

TEST(KitchenRobot, KeepsStartsWithinThePartAskedFor) {
  auto robot = kitchen();
  const StartRegion part{0.35, 0.45, -0.15, 0.0};
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    ASSERT_TRUE(robot->reset_in(seed, part).ok());
    const KitchenView view = see(*robot);
    EXPECT_TRUE(part.contains(view.block[0], view.block[1]));
  }
  EXPECT_EQ(robot->reset_in(1, {0.4, 0.3, 0, 0}).code(), Code::kInvalidArgument);
  EXPECT_EQ(robot->reset_in(1, {0.3, 0.9, 0, 0}).code(), Code::kInvalidArgument);
}

TEST(KitchenRobot, MovesTheToolByTwoAndAHalfCentimetresPerPolicyStepAtFullRate) {
  auto robot = steady_kitchen();
  for (int axis = 0; axis < 3; ++axis) {
    ASSERT_TRUE(robot->reset(1).ok());
    const KitchenView before = see(*robot);
    Action action(kKitchenActionSize, 0.0f);
    action[axis] = axis == 0 ? -1.0f : 1.0f;
    for (int step = 0; step < 6; ++step) ASSERT_TRUE(hold_for_policy_step(*robot, action).ok());
    action[axis] = 0;
    for (int step = 0; step < 3; ++step) ASSERT_TRUE(hold_for_policy_step(*robot, action).ok());
    const KitchenView after = see(*robot);
    EXPECT_NEAR(std::abs(after.tool[axis] - before.tool[axis]), 0.15, 0.002) << axis;
  }
}

TEST(KitchenRobot, NeverLeavesTheWorkspace) {
  auto robot = steady_kitchen();
  for (const float x : {-1.0f, 1.0f}) {
    for (const float z : {-1.0f, 1.0f}) {
      ASSERT_TRUE(robot->reset(1).ok());
      move(*robot, {x, x, z, 0}, 150);
      const KitchenView view = see(*robot);
      for (int axis = 0; axis < 3; ++axis) {
        EXPECT_GT(view.tool[axis], kWorkspaceLower[axis] - 0.005);
        EXPECT_LT(view.tool[axis], kWorkspaceUpper[axis] + 0.005);
      }
    }
  }
}

TEST(KitchenRobot, ClosesTheGripperAtMinusOneAndOpensItAtPlusOneInAboutHalfASecond) {
  auto robot = steady_kitchen();
  move(*robot, {0, 0, 0, -1}, 25);
  EXPECT_LT(see(*robot).opening, 0.005);
  move(*robot, {0, 0, 0, 1}, 25);
  EXPECT_GT(see(*robot).opening, 0.075);
}

TEST(KitchenRobot, HoldsTheBlockByFrictionAloneWhileItIsShaken) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  grasp(*robot);
  ASSERT_TRUE(lifted(see(*robot)));
  for (int i = 0; i < 20; ++i) {
    const float way = i % 2 == 0 ? 1.0f : -1.0f;
    move(*robot, {way, -way, 0.5f * way, 0}, 7);
  }
  EXPECT_TRUE(lifted(see(*robot)));
  move(*robot, {0, 0, 0, 0}, 250);
  EXPECT_TRUE(lifted(see(*robot)));
}

TEST(KitchenRobot, DropsTheBlockWhenTheGripperOpens) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  grasp(*robot);
  EXPECT_TRUE(look(*robot).success);
  move(*robot, {0, 0, 0, 1}, 50);
  EXPECT_FALSE(look(*robot).success);
  EXPECT_LT(see(*robot).block[2], 0.04);
}

TEST(KitchenRobot, PutsEverythingBackAsItWas) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  move(*robot, {1, 0.5, -0.5, -1}, 20);
  const KitchenView before = see(*robot);
  const KitchenLayout layout = robot->layout();
  robot->place_block(before.block[0] + 0.1, before.block[1]);
  move(*robot, {-1, -1, 1, 1}, 40);
  Random random(1);
  robot->put_back(layout, 0, random);
  const KitchenView after = see(*robot);
  for (int axis = 0; axis < 3; ++axis) {
    EXPECT_NEAR(after.tool[axis], before.tool[axis], 1e-6);
    EXPECT_NEAR(after.block[axis], before.block[axis], 1e-6);
  }
  EXPECT_NEAR(after.opening, before.opening, 1e-6);
  move(*robot, {0, 0, 0, 0}, 50);
  EXPECT_NEAR(see(*robot).tool[0], before.tool[0], 0.01) << "and nothing moves on";
}

TEST(KitchenRobot, PutsWhatStandsOnTheWorktopBackALittleElsewhere) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  const KitchenView before = see(*robot);
  const KitchenLayout layout = robot->layout();
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    robot->put_back(layout, 0.01, random);
    const KitchenView after = see(*robot);
    EXPECT_GT(std::hypot(after.block[0] - before.block[0], after.block[1] - before.block[1]), 0);
    EXPECT_LE(std::abs(after.block[0] - before.block[0]), 0.01);
    EXPECT_LE(std::abs(after.block[1] - before.block[1]), 0.01);
  }
}

TEST(KitchenRobot, PutsBackWhatItHoldsBetweenItsFingers) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  grasp(*robot);
  const KitchenLayout layout = robot->layout();
  move(*robot, {0, 0, 0, 1}, 50);
  ASSERT_FALSE(look(*robot).success) << "it has dropped it";
  Random random(1);
  robot->put_back(layout, 0.01, random);
  move(*robot, {0, 0, 0, -1}, 50);
  EXPECT_TRUE(look(*robot).success);
}

TEST(KitchenRobot, PutsNothingBackIntoItsOwnFingers) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  const KitchenView view = see(*robot);
  robot->place_block(view.tool[0], view.tool[1]);
  move(*robot, {0, 0, -1, 0}, 80);  // it stands between them
  const KitchenLayout layout = robot->layout();
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    robot->put_back(layout, 0.03, random);
    const KitchenView before = see(*robot);
    move(*robot, {0, 0, 0, 0}, 10);
    const KitchenView after = see(*robot);
    EXPECT_LT(std::hypot(after.block[0] - before.block[0], after.block[1] - before.block[1]), 0.005)
        << "nothing pushes it away";
  }
}

TEST(KitchenRobot, CannotGraspWhatIsNotBetweenTheFingers) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  const KitchenView view = see(*robot);
  robot->place_block(view.tool[0] - 0.05, view.tool[1]);
  move(*robot, {0, 0, -1, 0}, 40);
  move(*robot, {0, 0, 0, -1}, 25);
  move(*robot, {0, 0, 1, 0}, 60);
  EXPECT_LT(see(*robot).opening, 0.01);
  EXPECT_LT(see(*robot).block[2], 0.03);
}

TEST(KitchenRobot, KnocksTheBlockAwayWithTheFingers) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  const KitchenView view = see(*robot);
  robot->place_block(view.tool[0] - 0.06, view.tool[1] + 0.04);
  move(*robot, {0, 0, -1, 0}, 30);
  const KitchenView before = see(*robot);
  move(*robot, {-1, 0, 0, 0}, 30);
  EXPECT_LT(see(*robot).block[0], before.block[0] - 0.03);
}

TEST(KitchenRobot, RefusesActionsOfTheWrongSizeOrNotFiniteAndDoesNotMove) {
  auto robot = kitchen();
  const ControlTick before = robot->ticks();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (const Action& bad : {Action{}, Action{0, 0, 0}, Action{0, 0, 0, 0, 0}, Action{nan, 0, 0, 0},
                            Action{0, 0, 0, inf}}) {
    EXPECT_EQ(robot->apply(bad, robot->now()).code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(robot->ticks(), before);
}

TEST(KitchenRobot, TreatsRatesBeyondOneAsOne) {
  auto one = steady_kitchen();
  auto ten = steady_kitchen();
  move(*one, {-1, 1, 1, 0}, 20);
  move(*ten, {-10, 10, 10, 0}, 20);
  EXPECT_EQ(look(*one).proprioception, look(*ten).proprioception);
}

TEST(KitchenRobot, StandsStillWhileNobodyDrives) {
  auto robot = kitchen();
  move(*robot, {-1, 1, 0, 0}, 10);
  robot->hold();
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(robot->advance().ok());
  const KitchenView before = see(*robot);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(robot->advance().ok());
  const KitchenView after = see(*robot);
  for (int axis = 0; axis < 3; ++axis) EXPECT_NEAR(before.tool[axis], after.tool[axis], 0.001);
}

TEST(KitchenRobot, KeepsHoldOfTheBlockWhileItIsHeld) {
  auto robot = steady_kitchen();
  ASSERT_TRUE(robot->reset(3).ok());
  grasp(*robot);
  robot->hold();
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(robot->advance().ok());
  EXPECT_TRUE(lifted(see(*robot)));
}

TEST(KitchenRobot, RefusesEveryActionAfterEstopUntilItIsReset) {
  auto robot = kitchen();
  const Action up = {0, 0, 1, 0};
  robot->estop();
  EXPECT_EQ(robot->apply(up, robot->now()).code(), Code::kFailedPrecondition);
  ASSERT_TRUE(robot->reset(1).ok());
  EXPECT_EQ(robot->apply(up, robot->now()).code(), Code::kFailedPrecondition);
  EXPECT_TRUE(robot->advance().ok());
  ASSERT_TRUE(robot->reset_estop().ok());
  EXPECT_TRUE(robot->apply(up, robot->now()).ok());
}

TEST(KitchenRobot, MayBeStoppedFromAnotherThreadWhileItMoves) {
  auto robot = kitchen();
  std::atomic<bool> moving{false};
  std::thread other([&] {
    while (!moving.load()) std::this_thread::yield();
    robot->hold();
    robot->estop();
  });
  Status status;
  for (int i = 0; i < 1000000 && status.ok(); ++i) {
    status = robot->apply({0, 0, 0.1f, 0}, robot->now());
    moving.store(true);
  }
  other.join();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
}

TEST(KitchenRobot, KeepsItsOwnClockThatNeverGoesBack) {
  auto robot = kitchen();
  const Instant start = robot->now();
  move(*robot, {0, 0, 0, 0}, 5);
  EXPECT_EQ(robot->now() - start, std::chrono::milliseconds(100));
  EXPECT_EQ(look(*robot).time, robot->now());
  ASSERT_TRUE(robot->reset(1).ok());
  EXPECT_EQ(robot->now() - start, std::chrono::milliseconds(100));
  robot->advance_clock_to(start);
  EXPECT_EQ(robot->now() - start, std::chrono::milliseconds(100));
  robot->advance_clock_to(start + std::chrono::seconds(9));
  EXPECT_EQ(robot->now() - start, std::chrono::seconds(9));
}

TEST(KitchenRobot, StraysByAboutAMillimetreAPolicyStepAtTheDefaultNoise) {
  auto robot = kitchen({.home_jitter = 0});
  double sum = 0, squares = 0;
  constexpr int kTries = 100;
  for (std::uint64_t seed = 0; seed < kTries; ++seed) {
    ASSERT_TRUE(robot->reset(seed).ok());
    const double before = see(*robot).tool[0];
    ASSERT_TRUE(hold_for_policy_step(*robot, {-1, 0, 0, 0}).ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(hold_for_policy_step(*robot, {0, 0, 0, 0}).ok());
    const double moved = before - see(*robot).tool[0];
    sum += moved;
    squares += moved * moved;
  }
  const double mean = sum / kTries;
  EXPECT_NEAR(mean, 0.025, 0.001);
  EXPECT_NEAR(std::sqrt(squares / kTries - mean * mean), 0.00125, 0.0003);
}

TEST(KitchenRobot, SurvivesAnyActionsWithoutBecomingUnstable) {
  auto robot = kitchen();
  Random random(5);
  for (std::uint64_t episode = 0; episode < 10; ++episode) {
    ASSERT_TRUE(robot->reset(episode).ok());
    for (int step = 0; step < 100; ++step) {
      Action action(kKitchenActionSize);
      for (float& a : action) a = random.uniform() < 0.5 ? -1.0f : 1.0f;
      if (step % 3 == 0) action[kMoveZ] = -1;
      const Status status = hold_for_policy_step(*robot, action);
      ASSERT_TRUE(status.ok()) << status.message();
    }
    const KitchenView view = see(*robot);
    for (double v : view.block) ASSERT_TRUE(std::isfinite(v));
    EXPECT_GT(view.block[2], 0.0);
  }
}

}  // namespace
}  // namespace nudge
