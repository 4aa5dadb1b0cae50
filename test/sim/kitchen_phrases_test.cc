#include "src/sim/kitchen_phrases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "src/sim/level.h"

namespace nudge {
namespace {

TEST(TaskPhrases, ATaskIsCalledByOtherVerbsToo) {
  const auto put = task_phrases("put the pot on the left burner");
  EXPECT_EQ(put.front(), "put the pot on the left burner");
  EXPECT_NE(std::find(put.begin(), put.end(), "please move the pot on the left burner"), put.end());
  EXPECT_GT(task_phrases("lift the block").size(), 4u);
  EXPECT_EQ(task_phrases("dance"), std::vector<std::string>{"dance"});
}

TEST(WaysToSay, EachTaskOfTheKitchenIsSaidInManyWaysAndNoTwoTasksInTheSame) {
  std::set<std::string> all;
  std::size_t tasks = 0;
  for (const int number : {1, 2, 3, 4}) {
    for (const KitchenTask& task : (*kitchen_level(number))->data().tasks) {
      const auto ways = ways_to_say(task.instruction, 400, 1);
      EXPECT_EQ(ways.size(), 400u) << task.instruction;
      EXPECT_EQ(std::count(ways.begin(), ways.end(), task.instruction), 0);
      all.insert(ways.begin(), ways.end());
      ++tasks;
    }
  }
  EXPECT_EQ(all.size(), 400 * tasks);
}

TEST(WaysToSay, TheSideOrThePlaceIsAlwaysNamed) {
  for (const std::string& way : ways_to_say("put the pot on the left burner", 300, 2)) {
    EXPECT_NE(way.find("left"), std::string::npos) << way;
    EXPECT_EQ(way.find("right"), std::string::npos) << way;
  }
  for (const std::string& way : ways_to_say("put the mug on the tray", 300, 2)) {
    EXPECT_TRUE(way.find("tray") != std::string::npos || way.find("platter") != std::string::npos)
        << way;
  }
}

TEST(WaysToSay, EqualSeedsSayTheSameAndOthersDoNot) {
  EXPECT_EQ(ways_to_say("lift the block", 20, 3), ways_to_say("lift the block", 20, 3));
  EXPECT_NE(ways_to_say("lift the block", 20, 3), ways_to_say("lift the block", 20, 4));
}

TEST(WaysToSay, WhatNoLevelAsksForIsNotSaidAtAll) {
  for (const char* text : {"", "dance", "put the pot on the moon", "lift the pot onto the tray",
                           "place the pot on the left burner"}) {
    EXPECT_TRUE(ways_to_say(text, 10, 1).empty()) << text;
  }
}

TEST(WaysToSay, WhereThereAreNotSoManyThereAreFewer) {
  const auto ways = ways_to_say("lift the block", 30'000, 1);
  EXPECT_GT(ways.size(), 1000u);
  EXPECT_LT(ways.size(), 30'000u);
}

}  // namespace
}  // namespace nudge
