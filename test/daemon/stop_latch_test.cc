#include "src/daemon/stop_latch.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

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

// How often a STOP that was set is gone when the power fails at any moment, in any way. `harm`:
// what is wrong with the disk.
int lost_stops(const std::function<void(test::LossyDisk&)>& harm) {
  int lost = 0;
  bool reached = true;
  for (std::uint64_t at = 1; reached; ++at) {
    for (std::uint64_t fate = 0; fate < 50; ++fate) {
      test::LossyDisk disk;
      disk.make_folder("/run");
      disk.sync_folder("/");
      harm(disk);
      test::LossyFiles files(disk);
      disk.fail_at(at);
      bool set = false;
      if (Result<StopLatch> latch = StopLatch::open(files, "/run/latch"); latch.ok()) {
        set = latch->set(true).ok();
      }
      reached = disk.off();
      // The moment after the last change, too.
      disk.cut();
      disk.restart(fate);
      const Result<StopLatch> again = StopLatch::open(files, "/run/latch");
      EXPECT_TRUE(again.ok()) << again.status().message();
      if (set && again.ok() && !again->latched()) ++lost;
    }
  }
  return lost;
}

TEST(StopLatch, OutlivesAPowerLossAtAnyMomentAfterItWasSet) {
  EXPECT_EQ(lost_stops([](test::LossyDisk&) {}), 0);
}

// The control runs: with a sync missing, or the test above shows nothing.
TEST(StopLatch, IsCaughtBeingLostWhenItsFileIsNotSynced) {
  EXPECT_GT(lost_stops([](test::LossyDisk& disk) { disk.lie_about("latch"); }), 0);
}

TEST(StopLatch, IsCaughtBeingLostWhenItsNameIsNotSynced) {
  EXPECT_GT(lost_stops([](test::LossyDisk& disk) { disk.lie_about_names_in("/run"); }), 0);
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
