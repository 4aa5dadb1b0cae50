#include "src/loop/state_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "src/ports/signed_head.h"
#include "test/support/log_script.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;

class StateLog : public testing::Test {
 protected:
  std::string state() const { return folder_.path(); }
  std::string in_state(const std::string& name) const { return folder_ / name; }
  Result<std::unique_ptr<Log>> open(bool read_only = false) const {
    LogOptions options = test::script_options(in_state("log"));
    options.read_only = read_only;
    return open_state_log(posix_files(), state(), options);
  }
  // A log of one episode in the folder of this name; its end.
  Sequence make(const std::string& name = "log") const {
    auto log = Log::open(posix_files(), test::script_options(in_state(name)));
    EXPECT_TRUE(log.ok()) << log.status().message();
    test::run_script(**log, 1);
    return (*log)->durable();
  }
  void sign(const ChainHead& head) const {
    auto seal = HeadSeal::open(in_state("audit"));
    ASSERT_TRUE(seal.ok()) << seal.status().message();
    ASSERT_TRUE(seal->write(head, WallTime{}).ok());
  }
  void put(const std::string& name, const std::string& text = "x") const {
    fs::create_directories(fs::path(in_state(name)).parent_path());
    std::ofstream(in_state(name)) << text;
  }
  void expect_refused(const std::string& sign) const {
    const auto log = open();
    ASSERT_EQ(log.status().code(), Code::kDataLoss) << sign;
    EXPECT_NE(log.status().message().find(sign), std::string::npos) << log.status().message();
    EXPECT_NE(log.status().message().find("nudge log salvage"), std::string::npos);
  }

  test::TempFolder folder_;
};

TEST_F(StateLog, BeginsInAFolderThatHoldsNothing) {
  auto log = open();
  ASSERT_TRUE(log.ok()) << log.status().message();
  EXPECT_EQ((*log)->durable(), 0u);
  log = not_found("closed");
  EXPECT_TRUE(open().ok()) << "nor has one that was never written to lost anything";
}

TEST_F(StateLog, IsNotBegunWhereAHeadWasSigned) {
  sign({.sequence = 7, .link = {}});
  expect_refused("7 entries");
  EXPECT_FALSE(fs::exists(in_state("log")));
}

TEST_F(StateLog, IsNotBegunWhereThereAreWeights) {
  put("weights/notes.txt");
  EXPECT_TRUE(open().ok());
  fs::remove_all(in_state("log"));
  put("weights/42.manifest.json.rejected");
  expect_refused("v42");
}

TEST_F(StateLog, IsNotBegunWhereOneWasSetAside) {
  make("log.damaged-7");
  expect_refused("log.damaged-7");
}

TEST_F(StateLog, IsNotBegunWhereRecordedStepsHaveNoDatabase) {
  make();
  for (const char* name : {"log.db", "log.db-wal", "log.db-shm"}) {
    fs::remove(in_state(std::string("log/") + name));
  }
  expect_refused("log/segments");
  put("log/log.db", "");
  expect_refused("log/segments");
}

TEST_F(StateLog, ThatIsEmptyIsNoBetterThanNone) {
  ASSERT_TRUE(open().ok());
  put("weights/3.safetensors");
  expect_refused("v3");
  EXPECT_TRUE(open(/*read_only=*/true).ok()) << "people may look";
}

TEST_F(StateLog, ThatEndsBeforeItsSignedHeadIsLeftAsItIs) {
  const Sequence end = make();
  sign({.sequence = end + 1, .link = {}});
  const auto log = open();
  ASSERT_EQ(log.status().code(), Code::kDataLoss);
  EXPECT_NE(log.status().message().find(std::to_string(end + 1)), std::string::npos);
  EXPECT_TRUE(open(/*read_only=*/true).ok()) << "people may look";
  sign({.sequence = end, .link = {}});
  EXPECT_TRUE(open().ok());
}

TEST_F(StateLog, GetsItsPlaceWhenACrashCameBetweenTheTwoNames) {
  for (const bool read_only : {false, true}) {
    const Sequence old = make("log.damaged-7");
    const Sequence end = make(kSalvaged);
    sign({.sequence = old, .link = {}});
    ASSERT_FALSE(fs::exists(in_state("log")));
    const auto log = open(read_only);
    ASSERT_TRUE(log.ok()) << log.status().message();
    EXPECT_EQ((*log)->durable(), end);
    EXPECT_FALSE(fs::exists(in_state(kSalvaged)));
    EXPECT_FALSE(fs::exists(in_state("audit/head.json"))) << "it is of the old one's chain";
    fs::remove_all(in_state("log"));
    fs::remove_all(in_state("log.damaged-7"));
  }
}

TEST_F(StateLog, IsNotReplacedByWhatWasReadyForItOnceItHasGoneOn) {
  make(kSalvaged);
  put(kReencodedMark);
  const Sequence end = make();
  ASSERT_EQ((*open())->durable(), end);
  EXPECT_FALSE(fs::exists(in_state(kSalvaged)));
  EXPECT_FALSE(fs::exists(in_state(kReencodedMark)));
}

TEST_F(StateLog, TakesTheNewestOfThoseThatWereSetAsideAndHoldSomething) {
  const auto newest = [&] { return *newest_set_aside(posix_files(), state()); };
  EXPECT_EQ(newest(), "");
  make("log.damaged-9");
  EXPECT_EQ(newest(), in_state("log.damaged-9"));
  make("log.before-10");
  EXPECT_EQ(newest(), in_state("log.before-10"));
  make("log.before-10-2");
  EXPECT_EQ(newest(), in_state("log.before-10-2"));
  fs::create_directory(in_state("log.damaged-11"));
  make("log.damaged-mine");
  EXPECT_EQ(newest(), in_state("log.before-10-2"));
}

TEST_F(StateLog, KeepsTheHeadOfTheLogThatItReplacesInThatOne) {
  const Sequence end = make();
  sign({.sequence = end, .link = {}});
  const std::string text = newest_head_text(posix_files(), state());
  make(kSalvaged);
  const std::string aside = in_state("log.damaged-7");
  ASSERT_TRUE(replace_log(posix_files(), state(), kSalvaged, aside).ok());
  EXPECT_EQ(signed_end(posix_files(), aside), end);
  EXPECT_EQ(newest_signed_head(posix_files(), state()), 0u);
  const ChainHead head = (*open())->head();
  ASSERT_TRUE(seal_new_log(state(), head, WallTime{}).ok());
  EXPECT_EQ(newest_signed_head(posix_files(), state()), head.sequence);
}

TEST_F(StateLog, IsRequiredOfAFolderThatHadOne) {
  EXPECT_EQ(require_log(posix_files(), state()).code(), Code::kNotFound);
  put("weights/3.safetensors");
  EXPECT_EQ(require_log(posix_files(), state()).code(), Code::kDataLoss);
  make(kSalvaged);
  EXPECT_TRUE(require_log(posix_files(), state()).ok()) << "it waited for its place";
  EXPECT_TRUE(fs::exists(in_state("log/log.db")));
}

TEST_F(StateLog, IsSignedOnlyWhereHeadsAreSigned) {
  ASSERT_TRUE(seal_new_log(state(), {.sequence = 3, .link = {}}, WallTime{}).ok());
  EXPECT_FALSE(fs::exists(in_state("audit")));
}

TEST_F(StateLog, WithoutASignedHeadThatCanBeReadHasNone) {
  sign({.sequence = 3, .link = {}});
  EXPECT_EQ(newest_signed_head(posix_files(), state()), 3u);
  put("audit/head.json", "nonsense");
  EXPECT_EQ(newest_signed_head(posix_files(), state()), 0u);
  fs::remove(in_state("audit/head.json"));
  EXPECT_EQ(newest_signed_head(posix_files(), state()), 0u);
}

}  // namespace
}  // namespace nudge
