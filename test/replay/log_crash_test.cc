// What the log keeps when calls fail at any point, when the disk fills up, and when the process is
// killed at any moment.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <set>

#include "replay/log.h"
#include "test/support/faulty_files.h"
#include "test/support/faulty_sqlite.h"
#include "test/support/log_script.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::Acknowledged;
using test::FaultyFiles;
using test::run_script;
using test::sample_event;
using test::sample_spec;
using test::sample_step;
using test::TempFolder;

LogOptions options_in(const std::string& folder) { return test::script_options(folder + "/log"); }

class FaultyLog : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { test::install_faulty_sqlite(); }
  static void TearDownTestSuite() { test::remove_faulty_sqlite(); }
  void SetUp() override { test::sqlite_faults() = {}; }
  void TearDown() override { test::sqlite_faults() = {}; }
};

// With nothing failing any more, everything acknowledged is there.
void expect_kept(const std::string& folder, const Acknowledged& acknowledged) {
  EXPECT_EQ(test::missing_from(posix_files(), options_in(folder), acknowledged), "");
}

// The same script with the fault at call 1, 2, 3, ... until a run needs no more calls.
template <typename Plan>
void until_clean(FaultyFiles& files, const Plan& plan, std::uint64_t stride) {
  for (std::uint64_t at = 1;; at += stride) {
    SCOPED_TRACE("fault at call " + std::to_string(at));
    TempFolder folder(TempFolder::Where::kMemory);
    plan(at);
    Acknowledged acknowledged;
    {
      auto log = Log::open(files, options_in(folder.path()));
      if (log.ok()) acknowledged = run_script(**log);
    }
    const bool reached = files.calls() >= at || test::sqlite_faults().calls >= at;
    files.plan({});
    test::sqlite_faults() = {};
    expect_kept(folder.path(), acknowledged);
    if (::testing::Test::HasFailure() || !reached) return;
    ASSERT_LT(at, 10'000u);
  }
}

TEST_F(FaultyLog, LosesNothingAcknowledgedWhenAnyOneFileCallFails) {
  FaultyFiles files(posix_files());
  until_clean(
      files,
      [&](std::uint64_t at) {
        files.plan({at, false, false});
      },
      1);
}

TEST_F(FaultyLog, LosesNothingAcknowledgedWhenEveryFileCallFailsFromSomePointOn) {
  FaultyFiles files(posix_files());
  until_clean(
      files,
      [&](std::uint64_t at) {
        files.plan({at, true, false});
      },
      1);
}

TEST_F(FaultyLog, LosesNothingAcknowledgedWhenTheDiskIsFullAtAnyOneFileCall) {
  FaultyFiles files(posix_files());
  until_clean(
      files,
      [&](std::uint64_t at) {
        files.plan({at, false, true});
      },
      1);
}

TEST_F(FaultyLog, LosesNothingAcknowledgedWhenTheDiskStaysFullFromSomePointOn) {
  FaultyFiles files(posix_files());
  until_clean(
      files,
      [&](std::uint64_t at) {
        files.plan({at, true, true});
      },
      1);
}

TEST_F(FaultyLog, LosesNothingAcknowledgedWhenAnyOneSqliteCallFails) {
  FaultyFiles files(posix_files());
  until_clean(
      files,
      [](std::uint64_t at) {
        test::sqlite_faults() = {at, false, false, 0};
      },
      3);
}

TEST_F(FaultyLog, LosesNothingAcknowledgedWhenEverySqliteCallFailsFromSomePointOn) {
  FaultyFiles files(posix_files());
  until_clean(
      files,
      [](std::uint64_t at) {
        test::sqlite_faults() = {at, true, at % 2 == 0, 0};
      },
      5);
}

TEST_F(FaultyLog, AcknowledgesNothingWhileCommitsFailAndEverythingOnceOneSucceeds) {
  TempFolder folder;
  FaultyFiles files(posix_files());
  auto log = Log::open(files, options_in(folder.path()));
  ASSERT_TRUE(log.ok());
  const auto episode = (*log)->start_episode(sample_spec());
  ASSERT_TRUE((*log)->append(sample_event("s", *episode, EpisodeStarted{})).ok());
  ASSERT_TRUE((*log)->commit().ok());
  Random random(2);
  for (std::uint32_t i = 0; i < 5; ++i) {
    ASSERT_TRUE((*log)->append(sample_step(random, *episode, i, sample_spec())).ok());
  }
  ASSERT_TRUE((*log)->append(sample_event("e", *episode, EpisodeEnded{})).ok());
  files.plan({1, true, false});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ((*log)->commit().code(), Code::kUnavailable);
    EXPECT_EQ((*log)->durable(), 1u);
  }
  files.plan({});
  test::sqlite_faults() = {1, true, false, 0};
  EXPECT_EQ((*log)->commit().code(), Code::kUnavailable);
  EXPECT_EQ((*log)->durable(), 1u);
  test::sqlite_faults() = {};
  ASSERT_TRUE((*log)->commit().ok());
  EXPECT_EQ((*log)->durable(), 7u);
  EXPECT_EQ((*log)->stats().failed_commits, 4u);
  const auto report = (*log)->verify();
  EXPECT_TRUE(report->ok());
}

TEST_F(FaultyLog, GivesUpItsBallastOnAFullDiskToCommitEventsAndRecordsStepsAgainWhenThereIsRoom) {
  TempFolder folder;
  FaultyFiles files(posix_files());
  auto log = Log::open(files, options_in(folder.path()));
  ASSERT_TRUE(log.ok());
  const auto episode = (*log)->start_episode(sample_spec());
  ASSERT_TRUE((*log)->append(sample_event("s", *episode, EpisodeStarted{})).ok());
  EXPECT_TRUE(*posix_files().exists(folder / "log/ballast"));
  test::sqlite_faults() = {1, false, true, 0};
  files.plan({2, true, true});  // the ballast can be removed, but not be made again
  EXPECT_TRUE((*log)->commit().ok());
  EXPECT_EQ((*log)->durable(), 1u);
  EXPECT_FALSE((*log)->stats().recording);
  EXPECT_FALSE(*posix_files().exists(folder / "log/ballast"));
  Random random(2);
  EXPECT_EQ((*log)->append(sample_step(random, *episode, 0, sample_spec())).status().code(),
            Code::kResourceExhausted);
  ASSERT_TRUE((*log)->append(sample_event("t", *episode, Stopped{})).ok());
  files.plan({});
  EXPECT_TRUE((*log)->commit().ok());
  EXPECT_TRUE((*log)->stats().recording);
  EXPECT_TRUE(*posix_files().exists(folder / "log/ballast"));
  EXPECT_TRUE((*log)->append(sample_step(random, *episode, 0, sample_spec())).ok());
}

// ---- SIGKILL -----------------------------------------------------------------------------------

// What the child reports after a commit: everything up to `durable`; written whole (a pipe writes
// this little in one piece). Its events are named by their sequence.
struct Ack {
  std::uint64_t first_event = 0;  // number of the first event of this batch, over all lives
  std::uint64_t events = 0;
  std::uint64_t durable = 0;
};

// Appends and commits without end. Never returns.
[[noreturn]] void child(const std::string& folder, std::uint64_t first_event, int pipe) {
  LogOptions options = options_in(folder);
  auto log = Log::open(posix_files(), options);
  if (!log.ok()) ::_exit(1);
  Random random(first_event + 1);
  std::uint64_t number = first_event;
  for (;;) {
    const auto episode = (*log)->start_episode(sample_spec());
    if (!episode.ok()) ::_exit(2);
    bool ok =
        (*log)
            ->append(sample_event("start-" + std::to_string(*episode), *episode, EpisodeStarted{}))
            .ok();
    std::uint32_t step = 0;
    for (int batch = 0; batch < 6 && ok; ++batch) {
      Ack ack{number, 0, 0};
      for (std::uint64_t i = random.below(6); i > 0; --i) {
        ok = ok && (*log)->append(sample_step(random, *episode, step++, sample_spec())).ok();
        if (random.below(2) == 0) {
          ok = ok && (*log)
                         ->append(sample_event("n-" + std::to_string(number++), *episode,
                                               Words{"up", {}, ""}))
                         .ok();
          ++ack.events;
        }
      }
      ok = ok && (*log)->commit().ok();
      ack.durable = (*log)->durable();
      if (!ok || ::write(pipe, &ack, sizeof ack) != sizeof ack) break;
    }
    ok = ok && (*log)
                   ->append(sample_event("end-" + std::to_string(*episode), *episode,
                                         EpisodeEnded{EpisodeEnd::kTaskDone, step}))
                   .ok();
    if (!ok) ::_exit(3);
  }
}

TEST(KilledLog, KeepsEveryAcknowledgedEntryExactlyOnceOver200KillsAtRandomMoments) {
  TempFolder folder;
  Random random(20);
  std::set<std::string> acknowledged;
  Sequence durable = 0;
  std::uint64_t next_event = 0;
  for (int life = 0; life < 200; ++life) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t process = ::fork();
    ASSERT_GE(process, 0);
    if (process == 0) {
      ::close(ends[0]);
      child(folder.path(), next_event, ends[1]);
    }
    ::close(ends[1]);
    // Half of them die at any moment, their start included; the others once they have acknowledged
    // something, however slow the machine.
    if (life % 2 == 0) {
      ::usleep(static_cast<useconds_t>(5'000 + random.below(55'000)));
    } else {
      pollfd first{.fd = ends[0], .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&first, 1, 30'000), 1) << "the child acknowledges nothing";
      ::usleep(static_cast<useconds_t>(random.below(40'000)));
    }
    ::kill(process, SIGKILL);
    int how = 0;
    ::waitpid(process, &how, 0);
    ASSERT_TRUE(WIFSIGNALED(how)) << "the child gave up with " << WEXITSTATUS(how);
    Ack ack;
    while (::read(ends[0], &ack, sizeof ack) == sizeof ack) {
      for (std::uint64_t i = 0; i < ack.events; ++i) {
        acknowledged.insert("n-" + std::to_string(ack.first_event + i));
      }
      EXPECT_GE(ack.durable, durable);
      durable = ack.durable;
      next_event = ack.first_event + ack.events;
    }
    ::close(ends[0]);
    // An unacknowledged batch may or may not be there; its names must not be used again.
    next_event += 1000;
  }

  auto log = Log::open(posix_files(), options_in(folder.path()));
  ASSERT_TRUE(log.ok()) << log.status().message();
  EXPECT_GE((*log)->durable(), durable);
  EXPECT_GT(acknowledged.size(), 50u);
  const auto report = (*log)->verify();  // no gaps, no doubles, every checksum
  ASSERT_TRUE(report.ok());
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
  std::map<std::string, int> found;
  const auto events = (*log)->events({"words"}, 0, SIZE_MAX);
  ASSERT_TRUE(events.ok());
  for (const Event& event : *events) ++found[event.id];
  for (const std::string& id : acknowledged) EXPECT_EQ(found[id], 1) << id;
  const auto episodes = (*log)->episodes(0, SIZE_MAX);
  ASSERT_TRUE(episodes.ok());
  for (const EpisodeSummary& episode : *episodes) {
    EXPECT_TRUE(episode.ended.has_value()) << episode.episode;
  }
  RecordProperty("acknowledged_events", static_cast<int>(acknowledged.size()));
  RecordProperty("steps", static_cast<int>(report->steps));
}

}  // namespace
}  // namespace nudge
