#include "nudge/number_set.h"

#include <gtest/gtest.h>

#include <set>

#include "nudge/random.h"

namespace nudge {
namespace {

TEST(NumberSet, KeepsWhatFollowsOneAnotherAsOneRange) {
  NumberSet set;
  for (std::uint64_t n = 1; n <= 1000; ++n) EXPECT_TRUE(set.insert(n));
  EXPECT_FALSE(set.insert(500));
  EXPECT_EQ(set.size(), 1000u);
  EXPECT_EQ(set.ranges(), 1u);
  EXPECT_FALSE(set.contains(0));
  EXPECT_FALSE(set.contains(1001));
}

TEST(NumberSet, IsTheSetOfWhatWasInsertedInAnyOrder) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    NumberSet set;
    std::set<std::uint64_t> oracle;
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t n = random.below(100);
      ASSERT_EQ(set.insert(n), oracle.insert(n).second);
      ASSERT_EQ(set.size(), oracle.size());
      for (std::uint64_t k = 0; k < 101; ++k) ASSERT_EQ(set.contains(k), oracle.contains(k));
    }
    std::size_t ranges = 0;
    for (const std::uint64_t n : oracle) ranges += oracle.contains(n - 1) ? 0 : 1;
    EXPECT_EQ(set.ranges(), ranges);
  }
}

TEST(NumberSet, TakesTheLargestNumber) {
  NumberSet set;
  EXPECT_TRUE(set.insert(UINT64_MAX));
  EXPECT_TRUE(set.contains(UINT64_MAX));
  EXPECT_TRUE(set.insert(0));
  EXPECT_EQ(set.ranges(), 2u);
  EXPECT_FALSE(set.insert(UINT64_MAX));
}

}  // namespace
}  // namespace nudge
