#include "src/ports/rate_table.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

using std::chrono::milliseconds;

const Instant kNow{std::chrono::hours(1)};

TEST(RateTable, GivesEachCallerABucketOfItsOwn) {
  RateTable rates(2, 8);
  EXPECT_TRUE(rates.take("anna", kNow));
  EXPECT_TRUE(rates.take("anna", kNow));
  EXPECT_FALSE(rates.take("anna", kNow));
  EXPECT_TRUE(rates.take("ben", kNow));
  EXPECT_TRUE(rates.take("anna", kNow + milliseconds(500)));
  EXPECT_FALSE(rates.take("anna", kNow + milliseconds(500)));
}

TEST(RateTable, RemembersNoMoreCallersThanItMay) {
  RateTable rates(1, 8);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(rates.take(std::to_string(i), kNow));
  EXPECT_EQ(rates.size(), 8u);
}

TEST(RateTable, ForgetsTheCallerThatHasAskedForNothingLongest) {
  RateTable rates(1, 2);
  EXPECT_TRUE(rates.take("anna", kNow));
  EXPECT_TRUE(rates.take("ben", kNow));
  EXPECT_FALSE(rates.take("anna", kNow));
  EXPECT_TRUE(rates.take("eva", kNow));
  EXPECT_FALSE(rates.take("anna", kNow)) << "who goes on asking is not forgotten";
  EXPECT_TRUE(rates.take("ben", kNow));
}

}  // namespace
}  // namespace nudge
