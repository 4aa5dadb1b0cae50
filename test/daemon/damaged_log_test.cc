#include "src/daemon/damaged_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "src/ports/signed_head.h"
#include "test/support/learning_log.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;

class DamagedLog : public testing::Test {
 protected:
  void SetUp() override {
    {
      test::LearningLog log(state() + "/log");
      log.begin();
      log.append(Label{.episode = 1, .value = LabelValue::kSuccess});
      log.commit();
      end_ = log.log().durable();
      auto seal = HeadSeal::open(state() + "/" + HeadSeal::kFolder);
      ASSERT_TRUE(seal.ok()) << seal.status().message();
      ASSERT_TRUE(seal->write(log.log().head(), WallTime{}).ok());
    }
    fs::create_directory(state() + "/weights");
    std::ofstream(state() + "/weights/41.safetensors") << "x";
    std::ofstream(state() + "/weights/42.manifest.json.rejected") << "x";
    std::ofstream(state() + "/weights/notes.txt") << "x";
  }
  std::string state() const { return folder_.path(); }
  void ruin() const {
    fs::remove(state() + "/log/log.db-wal");  // which may hold the same pages
    std::fstream file(state() + "/log/log.db", std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(4096, 'Z');
  }
  std::unique_ptr<Log> open() const {
    LogOptions options;
    options.dir = state() + "/log";
    options.boot = "boot-2";
    options.ballast_bytes = 0;
    options.check = true;
    auto log = Log::open(posix_files(), options);
    EXPECT_TRUE(log.ok()) << log.status().message();
    return log.ok() ? *std::move(log) : nullptr;
  }

  test::TempFolder folder_;
  Sequence end_ = 0;
};

TEST_F(DamagedLog, IsKeptAndItsNumbersGoOnBehindItsHeadAndItsWeights) {
  EXPECT_EQ(newest_signed_head(state()), end_);
  ruin();
  const auto aside = set_damaged_log_aside(state(), Instant{}, WallTime{std::chrono::seconds(7)});
  ASSERT_TRUE(aside.ok()) << aside.status().message();
  EXPECT_EQ(aside->folder, state() + "/log.damaged-7");
  EXPECT_TRUE(fs::exists(aside->folder + "/log.db"));
  EXPECT_TRUE(fs::exists(aside->folder + "/head.json")) << "to be checked against";
  EXPECT_FALSE(aside->report.certain);
  EXPECT_NE(describe(*aside).find("nudge weights promote"), std::string::npos);
  auto log = open();
  ASSERT_NE(log, nullptr);
  EXPECT_GT(log->durable(), end_);
  EXPECT_GT(log->next_weights_version(), 42u);
}

TEST_F(DamagedLog, IsSetAsideUnderAnotherNameEachTime) {
  const WallTime wall{std::chrono::seconds(7)};
  ruin();
  ASSERT_TRUE(set_damaged_log_aside(state(), Instant{}, wall).ok());
  ruin();
  const auto second = set_damaged_log_aside(state(), Instant{}, wall);
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_EQ(second->folder, state() + "/log.damaged-7-2");
}

TEST_F(DamagedLog, StaysWhereItIsWhileSomebodyHasIt) {
  const auto log = open();
  EXPECT_EQ(set_damaged_log_aside(state(), Instant{}, WallTime{}).status().code(),
            Code::kUnavailable);
  EXPECT_TRUE(fs::exists(state() + "/log/log.db"));
}

TEST_F(DamagedLog, WithoutASignedHeadThatCanBeReadHasNone) {
  std::ofstream(state() + "/audit/head.json") << "nonsense";
  EXPECT_EQ(newest_signed_head(state()), 0u);
  fs::remove(state() + "/audit/head.json");
  EXPECT_EQ(newest_signed_head(state()), 0u);
}

}  // namespace
}  // namespace nudge
