// The daemon's parts in simulated kitchens: clock, network, disk and the scheduling of threads come
// from one seed. NUDGE_LONG=1 lives 10,000 lives; NUDGE_SEED=n lives that one again.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "test/daemon/world/world.h"
#include "test/support/long_form.h"

namespace nudge {
namespace {

using test::World;
using test::WorldOptions;

std::uint64_t asked_for(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

TEST(Simulation, NoSeedBreaksAPromise) {
  const std::uint64_t only = asked_for("NUDGE_SEED", 0);
  const std::uint64_t first = only != 0 ? only : 1;
  const std::uint64_t lives = only != 0 ? 1 : test::long_form() ? 10'000 : 60;
  test::Witness::Counts sum;
  for (std::uint64_t seed = first; seed < first + lives; ++seed) {
    World world({.seed = seed});
    const std::string broken = world.live();
    ASSERT_EQ(broken, "") << "seed " << seed << "; again with NUDGE_SEED=" << seed;
    const test::Witness::Counts& counts = world.witness().counts;
    sum.boots += counts.boots;
    sum.ticks += counts.ticks;
    sum.moved += counts.moved;
    sum.human += counts.human;
    sum.messages += counts.messages;
    sum.acknowledged += counts.acknowledged;
    sum.stops += counts.stops;
    sum.swaps += counts.swaps;
    sum.rollbacks += counts.rollbacks;
    sum.powers += counts.powers;
    sum.kills += counts.kills;
    if (seed % 500 == 0) std::cout << seed << " lives\n" << std::flush;
  }
  std::cout << lives << " lives: " << sum.ticks << " ticks, " << sum.moved << " of motion, "
            << sum.human << " of them a person's; " << sum.messages << " messages, "
            << sum.acknowledged << " acknowledged; " << sum.stops << " stops, " << sum.swaps
            << " swaps, " << sum.rollbacks << " rollbacks; " << sum.powers << " power failures, "
            << sum.kills << " kills, " << sum.boots << " boots\n";
  if (only != 0) return;
  // A world in which nothing happens proves nothing.
  EXPECT_GT(sum.human, lives);
  EXPECT_GT(sum.moved, 10 * lives);
  EXPECT_GT(sum.powers + sum.kills, lives);
  EXPECT_GT(sum.acknowledged, 10 * lives);
}

TEST(Simulation, ASeedIsARunThatReplaysExactly) {
  const auto life = [](std::uint64_t seed) {
    World world({.seed = seed});
    EXPECT_EQ(world.live(), "") << "seed " << seed;
    return world.witness().fingerprint();
  };
  for (const std::uint64_t seed : {3u, 4u, 5u}) EXPECT_EQ(life(seed), life(seed)) << seed;
  EXPECT_NE(life(3), life(4));
}

TEST(Simulation, ADiskThatLiesAboutItsSyncsIsNoticed) {
  for (const std::string lie : {"log.db", ".seg"}) {
    std::string broken;
    for (std::uint64_t seed = 1; seed <= 200 && broken.empty(); ++seed) {
      World world({.seed = seed, .lie = lie});
      broken = world.live();
    }
    EXPECT_NE(broken, "") << lie;
  }
}

}  // namespace
}  // namespace nudge
