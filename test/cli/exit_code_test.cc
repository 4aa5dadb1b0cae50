#include "src/cli/exit_code.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

TEST(ExitCodes, FollowSysexits) {
  EXPECT_EQ(exit_code(Status()), 0);
  EXPECT_EQ(exit_code(invalid_argument("")), 64);
  EXPECT_EQ(exit_code(data_loss("")), 65);
  EXPECT_EQ(exit_code(not_found("")), 66);
  EXPECT_EQ(exit_code(unavailable("")), 69);
  EXPECT_EQ(exit_code(internal("")), 70);
  EXPECT_EQ(exit_code(unimplemented("")), 70);
  EXPECT_EQ(exit_code(already_exists("")), 73);
  EXPECT_EQ(exit_code(resource_exhausted("")), 74);
  EXPECT_EQ(exit_code(failed_precondition("")), 75);
  EXPECT_EQ(exit_code(deadline_exceeded("")), 75);
  EXPECT_EQ(exit_code(aborted("")), 75);
  EXPECT_EQ(exit_code(permission_denied("")), 77);
  EXPECT_EQ(kExitConfig, 78);
}

}  // namespace
}  // namespace nudge
