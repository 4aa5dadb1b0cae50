#include "src/ports/change_lock.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

TEST(ChangeLock, IsHeldByOneAtATime) {
  const test::TempFolder folder;
  std::optional<Result<ChangeLock>> first = ChangeLock::take(folder.path());
  ASSERT_TRUE(first->ok()) << first->status().message();
  EXPECT_EQ(ChangeLock::take(folder.path(), Duration()).status().code(), Code::kUnavailable);
  first.reset();
  EXPECT_TRUE(ChangeLock::take(folder.path(), Duration()).ok());
}

TEST(ChangeLock, IsWaitedFor) {
  const test::TempFolder folder;
  std::optional<Result<ChangeLock>> first = ChangeLock::take(folder.path());
  std::thread other(
      [&] { EXPECT_TRUE(ChangeLock::take(folder.path(), std::chrono::minutes(5)).ok()); });
  first.reset();
  other.join();
}

TEST(ChangeLock, NeedsAFolder) {
  const test::TempFolder folder;
  EXPECT_FALSE(ChangeLock::take(folder.path() + "/none").ok());
}

}  // namespace
}  // namespace nudge
