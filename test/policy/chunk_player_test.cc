#include "policy/chunk_player.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace nudge {
namespace {

using std::chrono::milliseconds;

Instant at_ms(std::int64_t ms) { return Instant(milliseconds(ms)); }

// Two numbers a row, 8 rows of 100 ms; row i of a chunk is {value + i, -(value + i)}.
ChunkPlayerOptions options() {
  ChunkPlayerOptions options;
  options.policy_period = milliseconds(100);
  options.horizon = 8;
  options.action_size = 2;
  return options;
}

ActionChunk chunk(std::int64_t observed_ms, float value, WeightsVersion version = 1) {
  ActionChunk chunk;
  chunk.horizon = 8;
  chunk.action_size = 2;
  chunk.version = version;
  chunk.observed = at_ms(observed_ms);
  for (int i = 0; i < 8; ++i) {
    const float x = value + static_cast<float>(i);
    chunk.actions.push_back(x);
    chunk.actions.push_back(-x);
  }
  return chunk;
}

float first(const ChunkPlayer& player, std::int64_t ms) { return player.at(at_ms(ms))[0]; }

TEST(ChunkPlayer, StandsStillWhileNothingIsLoaded) {
  const ChunkPlayer player(options());
  EXPECT_EQ(player.at(at_ms(5)), (Action{0, 0}));
  EXPECT_TRUE(player.needs_chunk(at_ms(5)));
  EXPECT_TRUE(player.exhausted(at_ms(5)));
  EXPECT_EQ(player.lateness(at_ms(5)), Duration::zero());
  EXPECT_EQ(player.version(), 0u);
}

TEST(ChunkPlayer, PlaysTheRowOfTheMoment) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 10), at_ms(0)).ok());
  EXPECT_EQ(player.at(at_ms(0)), (Action{10, -10}));
  EXPECT_EQ(first(player, 99), 10);
  EXPECT_EQ(first(player, 100), 11);
  EXPECT_EQ(first(player, 799), 17);
  EXPECT_EQ(player.row(at_ms(350)), std::size_t{3});
}

TEST(ChunkPlayer, DropsTheRowsThatPassedWhileInferenceRan) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 10), at_ms(250)).ok());
  EXPECT_EQ(first(player, 250), 12);
  EXPECT_EQ(player.first_row(), 2u);
}

TEST(ChunkPlayer, StandsStillAfterTheEndAndSaysHowLate) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 10), at_ms(0)).ok());
  EXPECT_FALSE(player.exhausted(at_ms(799)));
  EXPECT_EQ(player.lateness(at_ms(799)), Duration::zero());
  EXPECT_TRUE(player.exhausted(at_ms(800)));
  EXPECT_EQ(player.at(at_ms(800)), (Action{0, 0}));
  EXPECT_EQ(player.lateness(at_ms(860)), milliseconds(60));
}

TEST(ChunkPlayer, AsksForTheNextChunkAfterEachRow) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 10), at_ms(0)).ok());
  EXPECT_FALSE(player.needs_chunk(at_ms(99)));
  EXPECT_TRUE(player.needs_chunk(at_ms(100)));
  EXPECT_TRUE(player.needs_chunk(at_ms(10'000)));
}

TEST(ChunkPlayer, AsksForTheNextChunkAfterAsManyRowsAsItIsToldTo) {
  ChunkPlayerOptions four = options();
  four.replan_after = 4;
  ChunkPlayer player(four);
  ASSERT_TRUE(player.load(chunk(0, 10), at_ms(0)).ok());
  EXPECT_FALSE(player.needs_chunk(at_ms(399)));
  EXPECT_TRUE(player.needs_chunk(at_ms(400)));
}

TEST(ChunkPlayer, BlendsLinearlyIntoANewChunkOfTheSameVersion) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 0), at_ms(0)).ok());
  ASSERT_TRUE(player.load(chunk(400, 104), at_ms(410)).ok());
  EXPECT_FLOAT_EQ(first(player, 410), 4);    // all of the old: row 4
  EXPECT_FLOAT_EQ(first(player, 440), 54);   // half of each: old row 4, new row 0
  EXPECT_FLOAT_EQ(first(player, 470), 104);  // all of the new
}

TEST(ChunkPlayer, TheRampHasNoJumps) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 0), at_ms(0)).ok());
  ASSERT_TRUE(player.load(chunk(700, 50), at_ms(790)).ok());  // the old one ends within the ramp
  float last = first(player, 790);
  EXPECT_FLOAT_EQ(last, 7);
  for (int ms = 791; ms <= 799; ++ms) {
    EXPECT_LT(std::abs(first(player, ms) - last), 1.0f) << ms;
    last = first(player, ms);
  }
}

TEST(ChunkPlayer, NeverBlendsAcrossVersions) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 0, 1), at_ms(0)).ok());
  ASSERT_TRUE(player.load(chunk(400, 104, 2), at_ms(410)).ok());
  EXPECT_FLOAT_EQ(first(player, 410), 104);
  EXPECT_EQ(player.version(), 2u);
}

TEST(ChunkPlayer, DoesNotBlendWhenTheRampIsZeroLong) {
  ChunkPlayerOptions without = options();
  without.blend = Duration::zero();
  ChunkPlayer player(without);
  ASSERT_TRUE(player.load(chunk(0, 0), at_ms(0)).ok());
  ASSERT_TRUE(player.load(chunk(400, 104), at_ms(410)).ok());
  EXPECT_FLOAT_EQ(first(player, 410), 104);
}

TEST(ChunkPlayer, DoesNotBlendFromAChunkThatHasEnded) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 0), at_ms(0)).ok());
  ASSERT_TRUE(player.load(chunk(900, 50), at_ms(910)).ok());
  EXPECT_FLOAT_EQ(first(player, 910), 50);
}

TEST(ChunkPlayer, RefusesNumbersThatAreNotFiniteAndPlaysOn) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    ChunkPlayer player(options());
    ASSERT_TRUE(player.load(chunk(0, 10), at_ms(0)).ok());
    ActionChunk broken = chunk(100, 20);
    broken.actions[15] = bad;
    EXPECT_EQ(player.load(broken, at_ms(110)).code(), Code::kInvalidArgument);
    EXPECT_EQ(first(player, 110), 11);
  }
}

TEST(ChunkPlayer, RefusesChunksOfTheWrongSize) {
  ChunkPlayer player(options());
  ActionChunk wrong = chunk(0, 10);
  wrong.actions.pop_back();
  EXPECT_EQ(player.load(wrong, at_ms(0)).code(), Code::kInvalidArgument);
  wrong = chunk(0, 10);
  wrong.horizon = 4;
  wrong.action_size = 4;
  EXPECT_EQ(player.load(wrong, at_ms(0)).code(), Code::kInvalidArgument);
}

TEST(ChunkPlayer, RefusesChunksFromTheFuture) {
  ChunkPlayer player(options());
  EXPECT_EQ(player.load(chunk(10, 1), at_ms(9)).code(), Code::kInvalidArgument);
}

TEST(ChunkPlayer, RefusesAChunkThatIsNotNewerThanTheOneInUse) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(100, 10), at_ms(100)).ok());
  EXPECT_EQ(player.load(chunk(100, 20), at_ms(200)).code(), Code::kAborted);
  EXPECT_EQ(player.load(chunk(50, 20), at_ms(200)).code(), Code::kAborted);
}

TEST(ChunkPlayer, RefusesAChunkWhoseRowsHaveAllPassed) {
  ChunkPlayer player(options());
  EXPECT_EQ(player.load(chunk(0, 10), at_ms(800)).code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(player.load(chunk(0, 10), at_ms(799)).ok());
}

TEST(ChunkPlayer, ForgetsEverythingOnFlushAndRefusesWhatWasComputedBefore) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 10), at_ms(0)).ok());
  player.flush(at_ms(200));
  EXPECT_EQ(player.at(at_ms(200)), (Action{0, 0}));
  EXPECT_TRUE(player.needs_chunk(at_ms(200)));
  EXPECT_EQ(player.lateness(at_ms(10'000)), Duration::zero());
  EXPECT_EQ(player.load(chunk(199, 10), at_ms(250)).code(), Code::kAborted);
  EXPECT_TRUE(player.load(chunk(200, 10), at_ms(250)).ok());
  EXPECT_EQ(first(player, 250), 10);  // and nothing of the flushed chunk is blended in
}

TEST(ChunkPlayer, WritesIntoTheCallersBufferWithoutAllocating) {
  ChunkPlayer player(options());
  ASSERT_TRUE(player.load(chunk(0, 10), at_ms(0)).ok());
  float out[2] = {99, 99};
  player.at(at_ms(100), out);
  EXPECT_EQ(out[0], 11);
  player.at(at_ms(900), out);
  EXPECT_EQ(out[1], 0);
}

TEST(ChunkPlayer, OptionsOutOfRangeAreNamed) {
  EXPECT_TRUE(options().validate().ok());
  const auto message = [](auto change) {
    ChunkPlayerOptions changed = options();
    change(changed);
    return changed.validate().message();
  };
  EXPECT_NE(message([](auto& o) { o.policy_period = Duration::zero(); }).find("policy_period"),
            std::string::npos);
  EXPECT_NE(message([](auto& o) { o.horizon = 65; }).find("horizon"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.action_size = 0; }).find("action_size"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.replan_after = 9; }).find("replan_after"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.blend = milliseconds(-1); }).find("blend"), std::string::npos);
}

}  // namespace
}  // namespace nudge
