#include "src/ports/clock_map.h"

#include <gtest/gtest.h>

#include <random>

namespace nudge {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kTheirBoot = seconds(86'400);  // their clock is ahead by this

// What the far side's clock shows at our time.
Instant theirs(Instant ours) { return ours + kTheirBoot; }

TEST(ClockMap, NeverUnderestimatesAnAgeByMoreThanTheBestLatency) {
  std::mt19937_64 random(1);
  ClockMap map;
  Instant now{seconds(5)};
  Duration best = Duration::max();
  for (int i = 0; i < 2000; ++i) {
    now += milliseconds(20);
    const Duration latency = microseconds(200 + random() % 30'000);
    best = std::min(best, latency);
    ASSERT_TRUE(map.on_message(theirs(now), now + latency));
    const Duration error = map.map(theirs(now)) - now;  // later than true: looks younger
    // The guess follows drift upwards by 200 ppm; one message in the meantime corrects it.
    ASSERT_GE(error, Duration::zero());
    ASSERT_LE(error, best + milliseconds(2));
  }
}

TEST(ClockMap, LongCongestionDoesNotMakeOldObservationsLookYoung) {
  ClockMap map;
  Instant now{seconds(5)};
  ASSERT_TRUE(map.on_message(theirs(now), now + microseconds(100)));
  // Ten seconds in which everything is 300 ms late.
  for (int i = 0; i < 500; ++i) {
    now += milliseconds(20);
    ASSERT_TRUE(map.on_message(theirs(now), now + milliseconds(300)));
  }
  const Instant received = now + milliseconds(300);
  EXPECT_GT(received - map.map(theirs(now)), milliseconds(290));
}

TEST(ClockMap, FollowsAClockThatDrifts) {
  ClockMap map;
  Instant now{seconds(5)};
  Duration drift{};
  for (int i = 0; i < 30'000; ++i) {  // ten minutes
    now += milliseconds(20);
    drift += Duration(2'000);  // 100 ppm: their clock runs slow, mapped times would grow old
    ASSERT_TRUE(map.on_message(theirs(now) - drift, now + microseconds(100)));
    ASSERT_LE(now - map.map(theirs(now) - drift), microseconds(100)) << i;
  }
}

TEST(ClockMap, NoticesAClockThatGoesBack) {
  ClockMap map;
  const Instant now{seconds(5)};
  ASSERT_TRUE(map.on_message(theirs(now), now));
  EXPECT_FALSE(map.on_message(theirs(now) - seconds(1), now + milliseconds(20)));
}

TEST(ClockMap, NoticesAClockThatJumpsAhead) {
  ClockMap map;
  Instant now{seconds(5)};
  for (int i = 0; i < ClockMap::kSettling; ++i) {
    now += milliseconds(20);
    ASSERT_TRUE(map.on_message(theirs(now), now));
  }
  EXPECT_FALSE(map.on_message(theirs(now) + milliseconds(150), now));
}

TEST(ClockMap, TakesAFirstMessageThatWaitedForUsForNoJump) {
  ClockMap map;
  Instant now{seconds(5)};
  ASSERT_TRUE(map.on_message(theirs(now) - seconds(1), now));
  EXPECT_TRUE(map.on_message(theirs(now), now + milliseconds(1)));
}

}  // namespace
}  // namespace nudge
