#include "src/daemon/stop_latch.h"

#include <gtest/gtest.h>

#include <fstream>

#include "test/support/lossy_disk.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

TEST(StopLatch, IsFreeWhenItIsNew) {
  const test::TempFolder folder;
  const Result<StopLatch> latch = StopLatch::open(posix_files(), folder.path() + "/latch");
  ASSERT_TRUE(latch.ok()) << latch.status().message();
  EXPECT_FALSE(latch->latched());
}

TEST(StopLatch, OutlivesARestart) {
  const test::TempFolder folder;
  {
    Result<StopLatch> latch = StopLatch::open(posix_files(), folder.path() + "/latch");
    ASSERT_TRUE(latch.ok());
    EXPECT_TRUE(latch->set(true).ok());
  }
  const Result<StopLatch> again = StopLatch::open(posix_files(), folder.path() + "/latch");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->latched());
}

TEST(StopLatch, WhatItCannotReadCountsAsLatched) {
  const test::TempFolder folder;
  for (const char* content : {"", "x", "2"}) {
    std::ofstream(folder.path() + "/latch", std::ios::trunc) << content;
    const Result<StopLatch> latch = StopLatch::open(posix_files(), folder.path() + "/latch");
    ASSERT_TRUE(latch.ok());
    EXPECT_TRUE(latch->latched()) << "content '" << content << "'";
  }
}

TEST(StopLatch, OutlivesAPowerLossAtAnyMomentAfterItWasSet) {
  bool reached = true;
  for (std::uint64_t at = 1; reached; ++at) {
    for (std::uint64_t fate = 0; fate < 50; ++fate) {
      test::LossyDisk disk;
      disk.make_folder("/run");
      disk.sync_folder("/");
      test::LossyFiles files(disk);
      disk.fail_at(at);
      bool set = false;
      if (Result<StopLatch> latch = StopLatch::open(files, "/run/latch"); latch.ok()) {
        set = latch->set(true).ok();
      }
      reached = disk.off();
      disk.restart(fate);
      const Result<StopLatch> again = StopLatch::open(files, "/run/latch");
      ASSERT_TRUE(again.ok()) << again.status().message();
      if (set) {
        EXPECT_TRUE(again->latched()) << "change " << at << ", fate " << fate;
      }
    }
  }
}

TEST(StopLatch, IsNotSetWhenTheDiskRefuses) {
  test::LossyDisk disk;
  disk.make_folder("/run");
  test::LossyFiles files(disk);
  Result<StopLatch> latch = StopLatch::open(files, "/run/latch");
  ASSERT_TRUE(latch.ok());
  disk.fail_at(1);
  EXPECT_FALSE(latch->set(true).ok());
  EXPECT_FALSE(latch->latched());
}

}  // namespace
}  // namespace nudge
