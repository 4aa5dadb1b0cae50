#include "src/core/statistics.h"

#include <gtest/gtest.h>
#include <cmath>

namespace nudge {
namespace {

TEST(Statistics, NormalQuantilesMatchTables) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(normal_quantile(0.95), 1.6448536269514722, 1e-12);
  EXPECT_NEAR(normal_quantile(0.5), 0.0, 1e-12);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306167813, 1e-11);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-9);
  EXPECT_TRUE(std::isnan(normal_quantile(0)));
  EXPECT_TRUE(std::isnan(normal_quantile(1)));
}

TEST(Statistics, WilsonIntervalMatchesKnownValues) {
  const Interval eight = wilson_interval(8, 10);
  EXPECT_NEAR(eight.low, 0.490162, 1e-6);
  EXPECT_NEAR(eight.high, 0.943318, 1e-6);
  const Interval half = wilson_interval(50, 100, 0.90);
  EXPECT_NEAR(half.low, 0.4188477961, 1e-9);
  EXPECT_NEAR(half.high, 0.5811522039, 1e-9);
}

TEST(Statistics, WilsonIntervalStaysInsideZeroAndOne) {
  const Interval none = wilson_interval(0, 10);
  EXPECT_EQ(none.low, 0.0);
  EXPECT_NEAR(none.high, 0.277533, 1e-6);
  const Interval all = wilson_interval(10, 10);
  EXPECT_NEAR(all.low, 0.722467, 1e-6);
  EXPECT_EQ(all.high, 1.0);
  const Interval unknown = wilson_interval(0, 0);
  EXPECT_EQ(unknown.low, 0.0);
  EXPECT_EQ(unknown.high, 1.0);
}

TEST(Statistics, McNemarIsTheBinomialTail) {
  EXPECT_NEAR(mcnemar_one_sided(1, 9), 11.0 / 1024, 1e-12);
  EXPECT_NEAR(mcnemar_one_sided(5, 5), 638.0 / 1024, 1e-12);
  EXPECT_NEAR(mcnemar_one_sided(0, 5), 1.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_one_sided(9, 1), 1023.0 / 1024, 1e-12);
}

TEST(Statistics, McNemarSaysNothingWithoutDisagreement) {
  EXPECT_EQ(mcnemar_one_sided(0, 0), 1.0);
  EXPECT_NEAR(mcnemar_one_sided(7, 0), 1.0, 1e-12);
}

TEST(Statistics, McNemarHoldsForLargeCounts) {
  EXPECT_NEAR(mcnemar_one_sided(5000, 5000), 0.5 + 0.5 * 0.0079786, 1e-4);
  EXPECT_LT(mcnemar_one_sided(100, 1000), 1e-100);
}

TEST(Statistics, PercentilesInterpolateBetweenOrderStatistics) {
  EXPECT_DOUBLE_EQ(percentile({4, 1, 3, 2}, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(percentile({4, 1, 3, 2}, 0), 1);
  EXPECT_DOUBLE_EQ(percentile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(median({5, 1, 3}), 3);
  EXPECT_DOUBLE_EQ(median({1, 2}), 1.5);
  EXPECT_TRUE(std::isnan(median({})));
}

}  // namespace
}  // namespace nudge
