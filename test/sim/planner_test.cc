#include "src/sim/planner.h"

#include <gtest/gtest.h>

#include "src/sim/demonstrator.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

constexpr std::uint64_t kTicks = kKitchenPolicyPeriod / kKitchenControlPeriod;

// Plans, does the first `executed` rows without looking, plans again. True: the block was lifted.
bool lifts(KitchenRobot& robot, std::uint64_t seed, KitchenPlanner& planner, std::size_t executed) {
  EXPECT_TRUE(robot.reset(seed).ok());
  planner.begin_episode();
  for (std::uint64_t step = 0; step < kKitchenEpisodeSteps; step += executed) {
    const auto plan = planner.plan(*robot.observe(), 1 + step * kTicks);
    for (std::size_t row = 0; row < executed; ++row) {
      const auto from = plan.begin() + static_cast<std::ptrdiff_t>(row * kKitchenActionSize);
      const Action action(from, from + kKitchenActionSize);
      EXPECT_TRUE(hold_for_policy_step(robot, action).ok());
    }
    if (robot.observe()->success) return true;
  }
  return false;
}

int successes(double error, std::size_t executed) {
  auto robot = KitchenRobot::create({});
  EXPECT_TRUE(robot.ok()) << robot.status().message();
  KitchenPlanner planner({.rows = 8, .error = error});
  int lifted = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    lifted += lifts(**robot, seed, planner, executed) ? 1 : 0;
  }
  return lifted;
}

TEST(KitchenPlanner, LiftsTheBlockWithChunksOfWhichHalfArePlayedBlindly) {
  EXPECT_GE(successes(0, 4), 11);
}

TEST(KitchenPlanner, ThatMisjudgesWhereTheBlockIsFailsMoreOften) {
  EXPECT_LE(successes(0.03, 4), 6);
}

TEST(KitchenPlanner, GivesEqualPlansForEqualEpisodesHoweverOftenItIsAsked) {
  auto robot = KitchenRobot::create({});
  ASSERT_TRUE(robot.ok());
  ASSERT_TRUE((*robot)->reset(5).ok());
  const Observation seen = *(*robot)->observe();
  KitchenPlanner once({}), often({});
  once.begin_episode();
  often.begin_episode();
  for (std::uint64_t tick = 2; tick < 1 + kTicks; ++tick) (void)often.plan(seen, tick);
  const auto a = once.plan(seen, 1), b = once.plan(seen, 1);
  EXPECT_EQ(a, b);
  EXPECT_EQ(a, often.plan(seen, kTicks));
  once.begin_episode();
  EXPECT_EQ(once.plan(seen, 1), a);
}

TEST(KitchenPlanner, StandsStillBeforeAnObservationThatIsNotOfTheKitchen) {
  KitchenPlanner planner({.rows = 2, .error = 0});
  EXPECT_EQ(planner.plan({}, 1), std::vector<float>(2 * kKitchenActionSize, 0.0f));
}

}  // namespace
}  // namespace nudge
