#include "src/daemon/duration_histogram.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(DurationHistogram, IsEmptyAtFirst) {
  const DurationHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.quantile(0.5), Duration::zero());
  EXPECT_EQ(histogram.worst(), Duration::zero());
}

TEST(DurationHistogram, BoundsRiseFromAMicrosecondToASecond) {
  const auto& bounds = DurationHistogram::kBounds;
  EXPECT_EQ(bounds.front(), Duration(microseconds(1)).count());
  EXPECT_EQ(bounds.back(), Duration(seconds(1)).count());
  for (std::size_t i = 1; i < bounds.size(); ++i) {
    EXPECT_GT(bounds[i], bounds[i - 1]);
    EXPECT_LE(bounds[i], 2 * bounds[i - 1]);
  }
}

TEST(DurationHistogram, AQuantileIsNeverTooGoodAndAtMostTwiceTheTruth) {
  DurationHistogram histogram;
  for (int i = 1; i <= 1000; ++i) histogram.add(microseconds(i));
  for (const double q : {0.01, 0.1, 0.5, 0.9, 0.99, 1.0}) {
    const Duration truth = microseconds(static_cast<int>(1000 * q));
    EXPECT_GE(histogram.quantile(q), truth) << q;
    EXPECT_LE(histogram.quantile(q), 2 * truth) << q;
  }
}

TEST(DurationHistogram, ADurationOnABoundBelongsBelowIt) {
  DurationHistogram histogram;
  histogram.add(microseconds(1));
  EXPECT_EQ(histogram.counts()[0], 1u);
}

TEST(DurationHistogram, KeepsTheWorstAndTheSumExactly) {
  DurationHistogram histogram;
  histogram.add(milliseconds(3));
  histogram.add(seconds(7));
  histogram.add(-milliseconds(1));  // woke up early
  EXPECT_EQ(histogram.worst(), seconds(7));
  EXPECT_EQ(histogram.quantile(1), seconds(7));
  EXPECT_EQ(histogram.sum(), milliseconds(7002));
  EXPECT_EQ(histogram.counts().back(), 1u);
}

}  // namespace
}  // namespace nudge
