#include "src/handoff/latest.h"

#include <gtest/gtest.h>

#include <thread>

namespace nudge {
namespace {

TEST(Latest, GivesTheNewestValueOnce) {
  Latest<int> latest;
  latest.put(1);
  latest.put(2);
  EXPECT_EQ(latest.try_take(), 2);
  EXPECT_EQ(latest.try_take(), std::nullopt);
}

TEST(Latest, WakesAWaitingReader) {
  Latest<int> latest;
  std::thread writer([&] { latest.put(7); });
  EXPECT_EQ(latest.take(std::chrono::seconds(10)), 7);
  writer.join();
}

TEST(Latest, GivesUpWaitingInTheEnd) {
  Latest<int> latest;
  EXPECT_EQ(latest.take(std::chrono::milliseconds(1)), std::nullopt);
}

}  // namespace
}  // namespace nudge
