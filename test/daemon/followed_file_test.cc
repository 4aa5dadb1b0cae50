#include "src/daemon/followed_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "policy/folder.h"
#include "src/ports/private_file.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class FollowedFileTest : public testing::Test {
 protected:
  void replace(const std::string& text) {
    ASSERT_TRUE(replace_private(**open_folder(folder_.path()), "tokens.json", text).ok());
  }
  test::TempFolder folder_;
  std::string path_ = folder_ / "tokens.json";
};

// The daemon looks with each round of tend(): one round is what a change may take.
TEST_F(FollowedFileTest, IsAnotherOneAtTheFirstLookAfterAChange) {
  replace("a");
  FollowedFile file(path_);
  EXPECT_FALSE(file.changed());
  replace("b");
  EXPECT_TRUE(file.changed());
  EXPECT_FALSE(file.changed());
  std::ofstream(path_, std::ios::app) << "by hand";
  EXPECT_TRUE(file.changed());
  std::filesystem::permissions(path_, std::filesystem::perms::all);
  EXPECT_TRUE(file.changed());
}

TEST_F(FollowedFileTest, ComesAndGoes) {
  FollowedFile file(path_);
  EXPECT_FALSE(file.changed());
  replace("a");
  EXPECT_TRUE(file.changed());
  std::filesystem::remove(path_);
  EXPECT_TRUE(file.changed());
  EXPECT_FALSE(file.changed());
}

TEST_F(FollowedFileTest, IsLookedAtAgainWhenAsked) {
  replace("a");
  FollowedFile file(path_);
  file.look_again();
  EXPECT_TRUE(file.changed());
  EXPECT_FALSE(file.changed());
}

}  // namespace
}  // namespace nudge
