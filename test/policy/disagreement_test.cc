#include "policy/disagreement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace nudge {
namespace {

TEST(Disagreement, IsNothingWhenAllSamplesAgree) {
  const std::vector<float> scale = {1, 2};
  EXPECT_EQ(disagreement(std::vector<float>(3 * 4 * 2, 0.7F), 3, 4, 4, scale), 0);
}

TEST(Disagreement, IsTheDeviationBetweenSamplesInUnitsOfTheScale) {
  // Two samples of two rows and two channels. In row 0 they lie 2 and 4 apart.
  const std::vector<float> chunks = {0, 0, 9,  9,  //
                                     2, 4, -9, -9};
  const std::vector<float> scale = {1, 2};
  // Deviations of two numbers that lie d apart: d / sqrt(2); in units of the scale both are
  // sqrt(2).
  EXPECT_NEAR(disagreement(chunks, 2, 2, 1, scale), std::sqrt(2.0), 1e-9);
}

TEST(Disagreement, LooksAtTheFirstRowsOnly) {
  const std::vector<float> scale = {1};
  const std::vector<float> chunks = {0, 5, 0, -5};
  EXPECT_EQ(disagreement(chunks, 2, 2, 1, scale), 0);
  EXPECT_GT(disagreement(chunks, 2, 2, 2, scale), 1);
}

TEST(Disagreement, OfBrokenNumbersIsNoNumber) {
  const std::vector<float> chunks = {0, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(disagreement(chunks, 2, 1, 1, std::vector<float>{1})));
}

}  // namespace
}  // namespace nudge
