#include "src/loop/state_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class ConfigInForce : public testing::Test {
 protected:
  std::string path() const { return folder_ / "config.toml"; }
  std::string text() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::int64_t batch() const {
    const auto loaded = load_config({.file = path()});
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return loaded.ok() ? loaded->config.learner.batch : 0;
  }

  test::TempFolder folder_;
  Config config_;
};

TEST_F(ConfigInForce, LoadsToWhatWasWritten) {
  config_.learner.batch = 77;
  ASSERT_TRUE(write_config_in_force(folder_.path(), config_).ok());
  EXPECT_EQ(batch(), 77);
  config_.learner.batch = 78;
  ASSERT_TRUE(write_config_in_force(folder_.path(), config_).ok());
  EXPECT_EQ(batch(), 78);
}

TEST_F(ConfigInForce, IsWrittenWhereTheStateFolderIsALink) {
  std::filesystem::create_directory_symlink(folder_.path(), folder_ / "link");
  ASSERT_TRUE(write_config_in_force(folder_ / "link", config_).ok());
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(ConfigInForce, StaysWholeWhereTheNewOneCannotBeWritten) {
  ASSERT_TRUE(write_config_in_force(folder_.path(), config_).ok());
  const std::string before = text();
  // What is in the way of the file beside it: nothing can be written there.
  std::filesystem::create_directories(path() + ".tmp/full");
  config_.learner.batch = 78;
  EXPECT_FALSE(write_config_in_force(folder_.path(), config_).ok());
  EXPECT_EQ(text(), before);
  // The same again needs no room.
  config_.learner.batch = Config().learner.batch;
  EXPECT_TRUE(write_config_in_force(folder_.path(), config_).ok());
}

}  // namespace
}  // namespace nudge
