#include "src/daemon/watchdog.h"

#include <gtest/gtest.h>

#include "test/support/fake_robot.h"

namespace nudge {
namespace {

std::atomic<std::int64_t> now{0};
Instant clock_of_the_test() { return Instant(Duration(now.load())); }

void wait_for(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_TRUE(condition());
}

TEST(Watchdog, HoldsTheRobotOnceTheStepThreadHasStalled) {
  FakeRobot robot;
  std::atomic<std::int64_t> heartbeat{0};
  std::atomic<int> told{0};
  now = std::chrono::nanoseconds(std::chrono::milliseconds(50)).count();
  Watchdog watchdog(robot, heartbeat, clock_of_the_test, std::chrono::milliseconds(20),
                    [&](Duration gap) {
                      EXPECT_EQ(gap, std::chrono::milliseconds(50));
                      ++told;
                    });
  watchdog.start();
  wait_for([&] { return robot.holds >= 3; });  // again at each look
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(watchdog.stalled());
  heartbeat = now.load();
  wait_for([&] { return !watchdog.stalled(); });
  EXPECT_EQ(watchdog.stalls(), 1u);
}

TEST(Watchdog, LeavesARobotAloneWhoseStepThreadIsAlive) {
  FakeRobot robot;
  std::atomic<std::int64_t> heartbeat{0};
  now = 0;
  Watchdog watchdog(robot, heartbeat, clock_of_the_test, std::chrono::milliseconds(8),
                    [](Duration) { FAIL(); });
  watchdog.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  watchdog.stop();
  EXPECT_EQ(robot.holds, 0);
}

}  // namespace
}  // namespace nudge
