#include "src/daemon/damaged_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "policy/signing_key.h"
#include "src/loop/state_log.h"
#include "src/ports/signed_head.h"
#include "test/support/learning_log.h"
#include "test/support/log_script.h"
#include "test/support/long_form.h"
#include "test/support/lossy_disk.h"
#include "test/support/lossy_sqlite.h"
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
  EXPECT_EQ(newest_signed_head(posix_files(), state()), end_);
  ruin();
  const auto aside =
      set_damaged_log_aside(posix_files(), state(), Instant{}, WallTime{std::chrono::seconds(7)});
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
  ASSERT_TRUE(set_damaged_log_aside(posix_files(), state(), Instant{}, wall).ok());
  ruin();
  const auto second = set_damaged_log_aside(posix_files(), state(), Instant{}, wall);
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_EQ(second->folder, state() + "/log.damaged-7-2");
}

TEST_F(DamagedLog, StaysWhereItIsWhileSomebodyHasIt) {
  const auto log = open();
  EXPECT_EQ(set_damaged_log_aside(posix_files(), state(), Instant{}, WallTime{}).status().code(),
            Code::kUnavailable);
  EXPECT_TRUE(fs::exists(state() + "/log/log.db"));
}

TEST_F(DamagedLog, ThatIsGoneIsMadeAnewOfTheNewestOneThatWasSetAside) {
  ruin();
  ASSERT_TRUE(set_damaged_log_aside(posix_files(), state(), Instant{}, WallTime{}).ok());
  const Sequence before = open()->durable();
  fs::remove_all(state() + "/log");
  fs::rename(state() + "/log.damaged-0", state() + "/log.damaged-5");
  const auto made =
      set_damaged_log_aside(posix_files(), state(), Instant{}, WallTime{std::chrono::seconds(9)});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_TRUE(made->gone);
  EXPECT_EQ(made->folder, state() + "/log.damaged-5");
  EXPECT_FALSE(made->report.certain) << "what came after it nobody knows";
  EXPECT_FALSE(fs::exists(state() + "/log.damaged-9")) << "there was nothing to keep";
  EXPECT_GE(open()->durable(), before);
  EXPECT_NE(describe(*made).find("missing or empty"), std::string::npos);
}

TEST_F(DamagedLog, ThatIsGoneWithoutATraceGoesOnBehindItsHeadAndItsWeights) {
  fs::remove_all(state() + "/log");
  {
    LogOptions options;
    options.dir = state() + "/log";
    (void)Log::open(posix_files(), options);
  }
  const auto made = set_damaged_log_aside(posix_files(), state(), Instant{}, WallTime{});
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_TRUE(made->gone);
  EXPECT_EQ(made->folder, "");
  auto log = open();
  EXPECT_GT(log->durable(), end_);
  EXPECT_GT(log->next_weights_version(), 42u);
  EXPECT_EQ(log->events({"learning_paused"}, 1, 10)->size(), 1u);
}

// ---- crashes -----------------------------------------------------------------------------------

// A log of which something acknowledged is lost, on a disk in memory that can fail at each change.
class CrashedSalvage : public testing::Test {
 protected:
  // Whether a head was signed, which says that entries are missing; otherwise the database is
  // damaged beyond reading.
  void make(bool head) {
    const test::LossySqlite sqlite(disk_);
    test::LossyFiles files(disk_);
    disk_.make_folder("/state");
    disk_.sync_folder("/");
    {
      auto log = Log::open(files, options());
      ASSERT_TRUE(log.ok()) << log.status().message();
      known_ = test::run_script(**log, 2);
      end_ = (*log)->durable();
      episode_ = (*log)->next_episode_id();
    }
    disk_.make_folder("/state/weights");
    (void)files.open("/state/weights/42.safetensors", OpenMode::kCreate);
    if (head) {
      end_ += 2;
      test::LossyFolder folder(disk_, "/state/audit");
      const auto key = SigningKey::load_or_create(folder);
      ASSERT_TRUE(key.ok());
      const std::string text = SignedHead::sign(*key, {.sequence = end_, .link = {}}, WallTime{});
      ASSERT_TRUE(replace_file(folder, HeadSeal::kFile, std::as_bytes(std::span(text))).ok());
    } else {
      known_.events.clear();
      auto file = files.open("/state/log/log.db", OpenMode::kWrite);
      ASSERT_TRUE(file.ok());
      const std::string nonsense(4096, 'Z');
      ASSERT_TRUE((*file)->pwrite(std::as_bytes(std::span(nonsense)), 0).ok());
      ASSERT_TRUE((*file)->sync().ok());
      (void)files.remove("/state/log/log.db-wal");
    }
    for (const char* folder : {"/state/log", "/state/weights", "/state"}) disk_.sync_folder(folder);
  }
  static LogOptions options() { return test::script_options("/state/log"); }

  // The start of a program that finds the log as it is.
  static Result<std::unique_ptr<Log>> start(FileSystem& files) {
    auto log = open_state_log(files, "/state", options());
    if (log.status().code() != Code::kDataLoss) return log;
    const auto aside = set_damaged_log_aside(files, "/state", Instant{}, WallTime{});
    if (!aside.ok()) return aside.status();
    return open_state_log(files, "/state", options());
  }
  // What is wrong after it; empty: nothing.
  std::string wrong_after(FileSystem& files) const {
    {
      const auto log = start(files);
      if (!log.ok()) return "it does not start: " + log.status().message();
      if ((*log)->durable() < end_) return "numbers would be given twice";
      if ((*log)->next_episode_id() < episode_) return "episodes would be given twice";
      if ((*log)->next_weights_version() <= 42) return "versions would be given twice";
    }
    return test::missing_from(files, options(), known_);
  }

  static constexpr std::uint64_t kNaming = 20;  // the last changes, in which the log is replaced
  static constexpr std::uint64_t kFates = 10;
  struct Campaign {
    std::uint64_t crashes = 0, losses = 0;
    std::string first_loss;
  };
  // How many changes it takes when nothing fails.
  std::uint64_t changes() {
    test::LossyDisk disk = disk_;
    disk.restart(0);
    const test::LossySqlite sqlite(disk);
    test::LossyFiles files(disk);
    EXPECT_TRUE(set_damaged_log_aside(files, "/state", Instant{}, WallTime{}).ok());
    return disk.changes();
  }
  struct Crashes {
    bool power = true;         // it fails, and what was not synced is as a fate says; otherwise the
                               // program is killed
    std::uint64_t first = 1;   // the change at which it comes
    std::uint64_t stride = 1;  // and then at each so many
    std::uint64_t fates = 1;
    std::function<void(test::LossyDisk&)> harm = [](test::LossyDisk&) {};  // of the disk
  };
  Campaign crash(const Crashes& how) {
    Campaign campaign;
    bool reached = true;
    for (std::uint64_t at = how.first; reached; at += how.stride) {
      for (std::uint64_t fate = 0; fate < how.fates && reached; ++fate) {
        test::LossyDisk disk = disk_;
        disk.restart(0);  // which makes its contents its own
        how.harm(disk);
        const test::LossySqlite sqlite(disk);
        test::LossyFiles files(disk);
        disk.fail_at(at);
        (void)set_damaged_log_aside(files, "/state", Instant{}, WallTime{});
        reached = disk.off();
        disk.cut();
        how.power ? disk.restart(at * 100 + fate) : disk.restart_program();
        ++campaign.crashes;
        const std::string wrong = wrong_after(files);
        if (wrong.empty()) continue;
        ++campaign.losses;
        if (campaign.first_loss.empty()) {
          campaign.first_loss =
              "change " + std::to_string(at) + ", fate " + std::to_string(fate) + ": " + wrong;
        }
      }
    }
    std::printf("%llu crashes, %llu losses\n", static_cast<unsigned long long>(campaign.crashes),
                static_cast<unsigned long long>(campaign.losses));
    return campaign;
  }

  test::LossyDisk disk_;
  test::Acknowledged known_;  // what can be read
  Sequence end_ = 0;          // of what was acknowledged
  EpisodeId episode_ = 0;
};

TEST_F(CrashedSalvage, ByAKillAtAnyChangeLosesNothingThatCouldBeRead) {
  make(/*head=*/true);
  const Campaign campaign = crash({.power = false});
  EXPECT_EQ(campaign.losses, 0u) << campaign.first_loss;
  EXPECT_GE(campaign.crashes, changes());
}

TEST_F(CrashedSalvage, ByAPowerLossAtAnyChangeLosesNothingThatCouldBeRead) {
  make(/*head=*/true);
  const Campaign campaign = crash({.fates = test::long_form() ? 20u : 1u});
  EXPECT_EQ(campaign.losses, 0u) << campaign.first_loss;
}

TEST_F(CrashedSalvage, ByAPowerLossWhileTheNamesChangeLosesNothingThatCouldBeRead) {
  make(/*head=*/true);
  const Campaign campaign = crash({.first = changes() - kNaming, .fates = kFates});
  EXPECT_EQ(campaign.losses, 0u) << campaign.first_loss;
}

TEST_F(CrashedSalvage, WithoutAnyHeadAndWithoutADatabaseLosesNoStepsEither) {
  make(/*head=*/false);
  const Campaign campaign = crash({.stride = test::long_form() ? 1u : 5u});
  EXPECT_EQ(campaign.losses, 0u) << campaign.first_loss;
}

// The control run: where the folder's names are not synced, the second one outlives the first.
TEST_F(CrashedSalvage, IsCaughtLosingTheLogWhenItsNewNamesAreNotSynced) {
  make(/*head=*/true);
  const Campaign campaign =
      crash({.first = changes() - kNaming, .fates = kFates, .harm = [](test::LossyDisk& disk) {
               disk.lie_about_names_in("/state");
             }});
  EXPECT_GT(campaign.losses, 0u);
}

}  // namespace
}  // namespace nudge
