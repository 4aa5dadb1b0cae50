// Somebody with the files in hand changes the past; the log's check names the first entry that is
// not as it was.
#include "replay/chain.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "replay/chain_rows.h"
#include "replay/crc32c.h"
#include "replay/log.h"
#include "replay/migration.h"
#include "test/support/golden.h"
#include "test/support/log_samples.h"
#include "test/support/temp_folder.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

using test::sample_event;
using test::sample_spec;
using test::sample_step;
using test::TempFolder;

class Chain : public testing::Test {
 protected:
  LogOptions options(bool read_only = false) const {
    LogOptions options;
    options.dir = folder_ / "log";
    options.boot = "boot-1";
    options.segment_grow_bytes = 64 << 10;
    options.ballast_bytes = 0;
    options.read_only = read_only;
    return options;
  }
  std::unique_ptr<Log> open(bool read_only = false) const {
    auto log = Log::open(posix_files(), options(read_only));
    EXPECT_TRUE(log.ok()) << log.status().message();
    return log.ok() ? *std::move(log) : nullptr;
  }

  // Events 1, 2, 6, 7, 10 and steps 3 to 5, 8 and 9, 11 and 12, over several commits.
  ChainHead write() {
    auto log = open();
    Random random(1);
    std::uint32_t step = 0;
    const auto event = [&](const std::string& id, EpisodeId episode, Payload payload) {
      ASSERT_TRUE(log->append(sample_event(id, episode, std::move(payload))).ok());
    };
    const auto steps = [&](int count) {
      for (int i = 0; i < count; ++i) {
        ASSERT_TRUE(log->append(sample_step(random, 1, step++, sample_spec())).ok());
        // A run that goes on over a commit has one digest all the same.
        ASSERT_TRUE(log->commit().ok());
      }
    };
    event("booted", 0, Booted{"nudge", "kitchen-1"});
    EXPECT_TRUE(log->start_episode(sample_spec()).ok());
    event("start", 1, EpisodeStarted{EpisodePurpose::kDeployment, 7, "tidy up"});
    steps(3);
    event("open", 1, SpanOpened{1, SpanKind::kTakeover, 1, 3});
    event("label", 1, Label{1, 1, LabelValue::kSuccess});
    steps(2);
    event("close", 1, SpanClosed{1, SpanEnd::kReleased, 4, true});
    steps(2);
    EXPECT_TRUE(log->commit().ok());
    return log->head();
  }

  // What somebody with the file in hand may do.
  void tamper(const std::string& sql) const {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ / "log/log.db").c_str(), &handle), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << (error == nullptr ? "" : error);
    sqlite3_close(handle);
  }
  // The same by somebody who knows the chain: all links are made anew afterwards.
  void tamper_and_restamp(const std::string& sql) const {
    tamper(sql);
    auto database = Database::open(folder_ / "log/log.db", Database::Mode::kExisting);
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE((*database)->execute("BEGIN").ok());
    ASSERT_TRUE(link_events(**database).ok());
    ASSERT_TRUE((*database)->execute("COMMIT").ok());
  }

  VerifyReport verify(std::vector<ChainHead> heads = {}) const {
    auto log = open(/*read_only=*/true);
    auto report = log->verify(std::move(heads));
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : VerifyReport{};
  }

  TempFolder folder_;
};

TEST_F(Chain, HoldsForALogThatNobodyTouched) {
  const ChainHead head = write();
  EXPECT_EQ(head.sequence, 10u);
  const VerifyReport report = verify({head});
  EXPECT_TRUE(report.ok()) << report.problems.front();
  EXPECT_EQ(report.first_bad, 0u);
  EXPECT_EQ(report.linked_later, 0u);
  EXPECT_EQ(report.unhashed_steps, 0u);
}

TEST_F(Chain, GoesOnOverARestart) {
  const ChainHead first = write();
  auto log = open();
  EXPECT_EQ(log->head().sequence, 13u);  // recovery has closed the episode
  ASSERT_TRUE(log->append(sample_event("later", 0, Stopped{})).ok());
  EXPECT_EQ(log->head().sequence, 13u);  // what is not durable is not told
  ASSERT_TRUE(log->commit().ok());
  EXPECT_EQ(log->head().sequence, 14u);
  const ChainHead last = log->head();
  log.reset();
  const VerifyReport report = verify({last, first});
  EXPECT_TRUE(report.ok()) << report.problems.front();
}

TEST_F(Chain, GivesTheSameHashesOnEveryMachine) {
  const ChainHead head = write();
  std::string hex;
  for (const std::uint8_t byte : head.link) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    hex += digits;
  }
  EXPECT_EQ(hex + "\n", test::golden("log/chain-v2.txt", hex + "\n"));
}

// Each column of an event, changed alone.
TEST_F(Chain, NamesTheFirstEventThatWasChanged) {
  const ChainHead head = write();
  for (const char* change :
       {"actor = 'mallory'", "role = 3", "wall_time_ns = 1", "time_ns = 1", "boot = 'x'",
        "weights = 9", "episode = 0", "policy_step = 4", "control_tick = 18", "subject = 2",
        "id = 'other'", "payload = replace(payload, '\"value\":1', '\"value\":2')",
        "link = zeroblob(32)", "link = x''"}) {
    std::filesystem::copy(folder_ / "log", folder_ / "kept",
                          std::filesystem::copy_options::recursive);
    tamper("UPDATE events SET " + std::string(change) + " WHERE sequence = 7");
    const VerifyReport report = verify({head});
    EXPECT_EQ(report.first_bad, 7u) << change;
    std::filesystem::remove_all(folder_ / "log");
    std::filesystem::rename(folder_ / "kept", folder_ / "log");
  }
}

TEST_F(Chain, NamesAnEventThatWasRemoved) {
  write();
  tamper("DELETE FROM events WHERE sequence = 7");
  EXPECT_EQ(verify().first_bad, 7u);
}

TEST_F(Chain, NamesAnEventThatWasRemovedAndTheGapClosed) {
  write();
  tamper(
      "DELETE FROM events WHERE sequence = 6; UPDATE events SET sequence = 6 WHERE sequence = 7;"
      "UPDATE runs SET first_sequence = 7, last_sequence = 8 WHERE first_sequence = 8");
  EXPECT_EQ(verify().first_bad, 6u);
}

TEST_F(Chain, NamesAnEventThatWasInserted) {
  write();
  tamper(
      "INSERT INTO events SELECT 13, 'forged', kind, subject, episode, policy_step, control_tick, "
      "time_ns, wall_time_ns, boot, actor, role, weights, payload_version, payload, link FROM "
      "events WHERE sequence = 7");
  EXPECT_EQ(verify().first_bad, 13u);
}

TEST_F(Chain, NamesTheFirstOfTwoEventsThatChangedPlaces) {
  write();
  tamper(
      "UPDATE events SET sequence = 99 WHERE sequence = 6; UPDATE events SET sequence = 6 WHERE "
      "sequence = 7; UPDATE events SET sequence = 7 WHERE sequence = 99");
  EXPECT_EQ(verify().first_bad, 6u);
}

TEST_F(Chain, ShowsAgainstAKeptHeadThatTheEndWasCutOff) {
  const ChainHead head = write();
  tamper("DELETE FROM events WHERE sequence > 7; DELETE FROM runs WHERE first_sequence > 7");
  EXPECT_TRUE(verify().ok());  // without a head nothing shows
  const VerifyReport report = verify({head});
  EXPECT_EQ(report.first_bad, 8u);
  EXPECT_NE(report.problems.back().find("cut off"), std::string::npos);
}

TEST_F(Chain, ShowsAgainstKeptHeadsThatAllLinksWereMadeAnew) {
  const ChainHead early = [&] {
    auto log = open();
    EXPECT_TRUE(log->append(sample_event("first", 0, Stopped{})).ok());
    EXPECT_TRUE(log->commit().ok());
    const ChainHead head = log->head();
    EXPECT_TRUE(log->append(sample_event("second", 0, StopReset{})).ok());
    EXPECT_TRUE(log->append(sample_event("third", 0, Stopped{})).ok());
    EXPECT_TRUE(log->commit().ok());
    return head;
  }();
  const ChainHead late = open(true)->head();
  tamper_and_restamp("UPDATE events SET actor = 'mallory' WHERE sequence = 2");
  EXPECT_TRUE(verify().ok());  // the chain alone has no key
  const VerifyReport report = verify({early, late});
  EXPECT_EQ(report.first_bad, 2u);  // the first behind the last head that agrees
}

// A step is changed in its segment, and its checksum mended.
TEST_F(Chain, NamesStepsThatWereChangedUnderAMendedChecksum) {
  write();
  const std::string path = folder_ / "log/segments/episode-000000001.seg";
  std::uint64_t offset = 0;
  {
    auto map = SegmentMap::open(posix_files(), path);
    ASSERT_TRUE(map.ok());
    ASSERT_TRUE((*map)
                    ->scan((*map)->first(), (*map)->size(), SegmentMap::Check::kCrc,
                           [&](const StepView& step) {
                             offset = step.offset;
                             return step.sequence < 8;
                           })
                    .ok());
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  std::uint32_t size = 0;
  std::memcpy(&size, bytes.data() + offset + 4, 4);
  bytes[offset + 56] = static_cast<char>(bytes[offset + 56] ^ 1);  // its span
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(bytes)).subspan(offset + 4, size - 4));
  std::memcpy(bytes.data() + offset, &crc, 4);
  file.clear();
  file.seekp(0);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  EXPECT_EQ(verify().first_bad, 8u);
}

// Whoever mends the digest as well breaks the link of the next event.
TEST_F(Chain, NamesTheEventBehindARunWhoseDigestWasReplaced) {
  write();
  tamper("UPDATE runs SET digest = zeroblob(32) WHERE first_sequence = 3");
  const VerifyReport report = verify();
  EXPECT_EQ(report.first_bad, 3u);
  ASSERT_EQ(report.problems.size(), 2u);
  EXPECT_NE(report.problems[1].find("event 6"), std::string::npos);
}

// ---- a log of version 1 -------------------------------------------------------------------------

TEST_F(Chain, LinksWhatALogOfVersionOneHolds) {
  std::filesystem::create_directories(folder_ / "log/segments");
  {
    auto database = Database::open(folder_ / "log/log.db", Database::Mode::kCreate);
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(migrate(**database, migrations(), 1).ok());
    ASSERT_TRUE((*database)->execute(test::old_golden("log/log-v1.sql")).ok());
  }
  std::filesystem::copy_file(std::filesystem::path(test::test_data()) / "log/segment-v1.seg",
                             folder_ / "log/segments/episode-000000007.seg");
  auto log = open();
  ASSERT_NE(log, nullptr);
  ASSERT_TRUE(log->append(sample_event("after", 0, Stopped{})).ok());
  ASSERT_TRUE(log->commit().ok());
  const ChainHead head = log->head();
  log.reset();
  const VerifyReport report = verify({head});
  EXPECT_TRUE(report.ok()) << report.problems.front();
  EXPECT_GT(report.linked_later, 0u);
  EXPECT_GT(report.unhashed_steps, 0u);
  tamper("UPDATE events SET actor = 'mallory' WHERE sequence = 2");
  EXPECT_EQ(verify().first_bad, 2u);
}

TEST_F(Chain, CannotBeToldThatEventsWereLinkedLaterThanTheyWere) {
  write();
  tamper("UPDATE chain SET linked_later = 10");
  EXPECT_EQ(verify().first_bad, 1u);
}

}  // namespace
}  // namespace nudge
