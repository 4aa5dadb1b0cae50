#include "src/daemon/stop_latch.h"

#include <gtest/gtest.h>

#include <fstream>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

TEST(StopLatch, IsFreeWhenItIsNew) {
  const test::TempFolder folder;
  const Result<StopLatch> latch = StopLatch::open(folder.path() + "/latch");
  ASSERT_TRUE(latch.ok()) << latch.status().message();
  EXPECT_FALSE(latch->latched());
}

TEST(StopLatch, OutlivesARestart) {
  const test::TempFolder folder;
  {
    Result<StopLatch> latch = StopLatch::open(folder.path() + "/latch");
    ASSERT_TRUE(latch.ok());
    EXPECT_TRUE(latch->set(true).ok());
  }
  const Result<StopLatch> again = StopLatch::open(folder.path() + "/latch");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->latched());
}

TEST(StopLatch, WhatItCannotReadCountsAsLatched) {
  const test::TempFolder folder;
  for (const char* content : {"", "x", "2"}) {
    std::ofstream(folder.path() + "/latch", std::ios::trunc) << content;
    const Result<StopLatch> latch = StopLatch::open(folder.path() + "/latch");
    ASSERT_TRUE(latch.ok());
    EXPECT_TRUE(latch->latched()) << "content '" << content << "'";
  }
}

}  // namespace
}  // namespace nudge
