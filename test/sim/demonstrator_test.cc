#include "src/sim/demonstrator.h"

#include <gtest/gtest.h>

#include <vector>

namespace nudge {
namespace {

std::unique_ptr<KitchenRobot> kitchen() { return *KitchenRobot::create(); }

TEST(Demonstrator, ShowsTheTaskFromItsPartOfTheRegionOnly) {
  auto robot = kitchen();
  const DemonstratorOptions options;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    bool first = true;
    const auto done =
        demonstrate(*robot, seed, options, [&](const Observation& o, const Action& action) {
          if (first) {
            EXPECT_TRUE(lift_level().data().demonstrated.contains(o.object_state[kBlockX],
                                                                  o.object_state[kBlockY]));
          }
          first = false;
          EXPECT_EQ(action.size(), static_cast<std::size_t>(kKitchenActionSize));
          return Status{};
        });
    ASSERT_TRUE(done.ok()) << done.status().message();
    EXPECT_TRUE(*done) << "seed " << seed;
  }
}

TEST(Demonstrator, ShowsTheSameForTheSameSeedAndSomethingElseForAnother) {
  auto robot = kitchen();
  auto show = [&](std::uint64_t seed) {
    std::vector<float> all;
    const auto done = demonstrate(*robot, seed, {}, [&](const Observation&, const Action& action) {
      all.insert(all.end(), action.begin(), action.end());
      return Status{};
    });
    EXPECT_TRUE(done.ok() && *done);
    return all;
  };
  const auto first = show(4);
  EXPECT_EQ(first, show(4));
  EXPECT_NE(first, show(5));
}

TEST(Demonstrator, FailsMostlyWithAHastyHand) {
  auto robot = *KitchenRobot::create({.level = 3});
  DemonstratorOptions hasty;
  hasty.hand.hasty_share = 1;
  int successes = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto done = demonstrate(*robot, seed, hasty,
                                  [](const Observation&, const Action&) { return Status{}; });
    ASSERT_TRUE(done.ok()) << done.status().message();
    successes += *done ? 1 : 0;
  }
  EXPECT_LT(successes, 10);
}

TEST(Demonstrator, AShareOfHasteLeavesTheOtherDemonstrationsAsTheyAre) {
  auto robot = *KitchenRobot::create({.level = 3});
  const auto show = [&](double share, std::uint64_t seed) {
    DemonstratorOptions options;
    options.hand.hasty_share = share;
    std::vector<float> all;
    const auto done =
        demonstrate(*robot, seed, options, [&](const Observation&, const Action& action) {
          all.insert(all.end(), action.begin(), action.end());
          return Status{};
        });
    EXPECT_TRUE(done.ok());
    return all;
  };
  int same = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const auto calm = show(0, seed), some = show(0.5, seed), hasty = show(1, seed);
    EXPECT_TRUE(some == calm || some == hasty) << seed;
    EXPECT_NE(calm, hasty) << seed;
    same += some == calm ? 1 : 0;
  }
  EXPECT_GT(same, 1);
  EXPECT_LT(same, 11);
}

TEST(Demonstrator, EndsWithTheErrorOfItsListener) {
  auto robot = kitchen();
  const auto done = demonstrate(*robot, 1, {}, [](const Observation&, const Action&) {
    return resource_exhausted("disk is full");
  });
  EXPECT_EQ(done.status().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace nudge
