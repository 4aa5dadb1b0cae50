#include "src/sim/task.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "src/sim/demonstrator.h"
#include "src/sim/expert.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

KitchenView view(Vec3 tool, Vec3 block, double opening) { return {tool, block, opening}; }

TEST(KitchenTask, ReadsAnObservationByItsLayout) {
  Observation o;
  o.proprioception = {1, 2, 3, 4};
  o.object_state = {5, 6, 7, 4, 4, 4};
  const auto seen = view_of(o);
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(seen->tool, (Vec3{1, 2, 3}));
  EXPECT_EQ(seen->block, (Vec3{5, 6, 7}));
  EXPECT_EQ(seen->opening, 4);
}

TEST(KitchenTask, RefusesObservationsOfOtherRobots) {
  EXPECT_EQ(view_of(Observation{}).status().code(), Code::kInvalidArgument);
  Observation o;
  o.proprioception = {1, 2, 3, 4};
  EXPECT_EQ(view_of(o).status().code(), Code::kInvalidArgument);
}

TEST(KitchenTask, IsDoneWhenTheBlockIsAboveTenCentimetresAndInTheHand) {
  EXPECT_TRUE(lifted(view({0.4, 0, 0.13}, {0.4, 0, 0.13}, 0.04)));
  EXPECT_FALSE(lifted(view({0.4, 0, 0.11}, {0.4, 0, 0.11}, 0.04)));
  EXPECT_FALSE(lifted(view({0.4, 0, 0.30}, {0.4, 0, 0.13}, 0.08)));
}

TEST(KitchenTask, ProgressRisesOnTheWayToTheBlockWithClosingAndWithLifting) {
  const Vec3 block = {0.4, 0, 0.02};
  const double far = progress(view({0.4, 0, 0.30}, block, 0.08));
  const double near = progress(view({0.4, 0, 0.05}, block, 0.08));
  const double around = progress(view(block, block, 0.08));
  const double closed = progress(view(block, block, 0.04));
  const double up = progress(view({0.4, 0, 0.13}, {0.4, 0, 0.13}, 0.04));
  EXPECT_LT(far, near);
  EXPECT_LT(near, around);
  EXPECT_LT(around, closed);
  EXPECT_LT(closed, up);
  EXPECT_GT(up, 0.1);
}

TEST(KitchenTask, OpeningAClosedGripperFarFromTheBlockIsProgress) {
  const Vec3 block = {0.4, 0, 0.02};
  EXPECT_LT(progress(view({0.4, 0, 0.2}, block, 0.0)), progress(view({0.4, 0, 0.2}, block, 0.08)));
}

TEST(KitchenTask, ClosingOnNothingBesideTheBlockIsWorthNoMoreThanAGrasp) {
  const Vec3 block = {0.4, 0, 0.02};
  const Vec3 beside = {0.425, 0, 0.02};
  EXPECT_EQ(progress(view(beside, block, 0.0)), progress(view(beside, block, 0.04)));
}

TEST(KitchenTask, ProgressNeverFallsMuchWhileTheExpertWorks) {
  auto robot = KitchenRobot::create();
  ASSERT_TRUE(robot.ok());
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    double best = -10;
    const auto done = demonstrate(**robot, seed, {}, [&](const Observation& o, const Action&) {
      const double now = progress(*view_of(o));
      EXPECT_GT(now, best - 0.02) << "seed " << seed;
      best = std::max(best, now);
      return Status{};
    });
    ASSERT_TRUE(done.ok());
    EXPECT_TRUE(*done);
  }
}

}  // namespace
}  // namespace nudge
