#include "policy/reference.h"

#include <gtest/gtest.h>

#include <limits>

#include "nudge/random.h"

namespace nudge {
namespace {

// Rows 0, 10, 20, ... and 1, 11, 21, ... for two channels, made for control tick 100.
ReferenceChunk staircase(std::size_t rows) {
  ReferenceChunk chunk;
  chunk.rows = rows;
  chunk.action_size = 2;
  chunk.tick = 100;
  for (std::size_t i = 0; i < rows; ++i) {
    chunk.actions.push_back(static_cast<float>(10 * i));
    chunk.actions.push_back(static_cast<float>(10 * i + 1));
  }
  return chunk;
}

ReferenceFit fit(std::size_t rows, std::size_t least) {
  return {.rows = rows, .action_size = 2, .ticks_per_row = 5, .least_rows = least};
}

TEST(Reference, ThatIsOnTimeIsTakenAsItIs) {
  const auto aligned = align_reference(staircase(3), 100, fit(3, 1));
  ASSERT_TRUE(aligned.ok());
  EXPECT_EQ(aligned->actions, staircase(3).actions);
  EXPECT_EQ(aligned->age, 0u);
}

TEST(Reference, ThatIsLateByWholeRowsLosesThemAndRepeatsItsLast) {
  const auto aligned = align_reference(staircase(4), 110, fit(3, 2));
  ASSERT_TRUE(aligned.ok());
  EXPECT_EQ(aligned->actions, (std::vector<float>{20, 21, 30, 31, 30, 31}));
  EXPECT_EQ(aligned->age, 10u);
}

TEST(Reference, ThatIsLateByPartOfARowIsTheMeanOverTheTicksOfEachRow) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    ReferenceChunk chunk = staircase(12);
    for (float& v : chunk.actions) v = static_cast<float>(random.uniform(-1, 1));
    const ControlTick age = random.below(25);
    const auto aligned = align_reference(chunk, 100 + age, fit(6, 1));
    ASSERT_TRUE(aligned.ok());
    for (std::size_t i = 0; i < 6; ++i) {
      for (std::size_t c = 0; c < 2; ++c) {
        double mean = 0;
        for (ControlTick t = 0; t < 5; ++t) {
          const std::size_t row = static_cast<std::size_t>((age + 5 * i + t) / 5);
          mean += chunk.actions[2 * row + c] / 5;
        }
        ASSERT_NEAR(aligned->actions[2 * i + c], mean, 1e-6) << age;
      }
    }
  }
}

TEST(Reference, ThatIsTooLateIsNone) {
  // Of four rows two must be left: at tick 110 they are, one tick later not.
  EXPECT_FALSE(align_reference(staircase(4), 110, fit(3, 2))->actions.empty());
  EXPECT_TRUE(align_reference(staircase(4), 111, fit(3, 2))->actions.empty());
  EXPECT_TRUE(align_reference(staircase(4), 100'000, fit(3, 2))->actions.empty());
}

TEST(Reference, ThatCannotBeMeantIsRefused) {
  EXPECT_EQ(align_reference(staircase(3), 99, fit(3, 1)).status().code(), Code::kInvalidArgument);
  ReferenceChunk odd = staircase(3);
  odd.actions.pop_back();
  EXPECT_EQ(align_reference(odd, 100, fit(3, 1)).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(align_reference({}, 100, fit(3, 1)).status().code(), Code::kInvalidArgument);
  ReferenceChunk wild = staircase(3);
  wild.actions[4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(align_reference(wild, 100, fit(3, 1)).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
