// The log's promises, on real SQLite files and segments in a temporary folder.
#include "replay/log.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "replay/event_codec.h"
#include "test/support/log_samples.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::sample_event;
using test::sample_spec;
using test::sample_step;
using test::TempFolder;

LogOptions options_in(const TempFolder& folder) {
  LogOptions options;
  options.dir = folder / "log";
  options.boot = "boot-1";
  options.now = Instant(Duration(5));
  options.wall_now = WallTime(Duration(6));
  options.segment_grow_bytes = 64 << 10;
  options.ballast_bytes = 64 << 10;
  return options;
}

std::unique_ptr<Log> open_log(const LogOptions& options) {
  auto log = Log::open(posix_files(), options);
  EXPECT_TRUE(log.ok()) << log.status().message();
  return log.ok() ? *std::move(log) : nullptr;
}

EpisodeId start(Log& log, const std::string& id = "") {
  const auto episode = log.start_episode(sample_spec());
  EXPECT_TRUE(episode.ok()) << episode.status().message();
  const auto started =
      log.append(sample_event(id.empty() ? "start-" + std::to_string(*episode) : id, *episode,
                              EpisodeStarted{EpisodePurpose::kDeployment, 7, "tidy up"}));
  EXPECT_TRUE(started.ok()) << started.status().message();
  return *episode;
}

void end(Log& log, EpisodeId episode, std::uint32_t steps) {
  const auto ended = log.append(sample_event("end-" + std::to_string(episode), episode,
                                             EpisodeEnded{EpisodeEnd::kTaskDone, steps}));
  ASSERT_TRUE(ended.ok()) << ended.status().message();
}

void append_steps(Log& log, EpisodeId episode, std::uint32_t first, std::uint32_t count,
                  SpanId span = 0) {
  Random random(first + 1000 * episode);
  for (std::uint32_t i = 0; i < count; ++i) {
    Step step = sample_step(random, episode, first + i, sample_spec());
    step.span = span;
    step.flags = 0;
    const auto sequence = log.append(step);
    ASSERT_TRUE(sequence.ok()) << sequence.status().message();
  }
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Every file below a folder and its bytes.
std::map<std::string, std::string> everything_in(const std::string& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) all[entry.path().string()] = content(entry.path().string());
  }
  return all;
}

void expect_sound(Log& log) {
  const auto report = log.verify();
  ASSERT_TRUE(report.ok()) << report.status().message();
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
}

TEST(Log, CountsEventsAndStepsInOneSequenceFromOneWithoutGaps) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  EXPECT_EQ(*log->append(sample_event("boot", 0, Booted{"nudge", "arm"})), 1u);
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 3);
  EXPECT_EQ(*log->append(sample_event("w", episode, Words{"up", WordsUse::kNudge, "up"})), 6u);
  EXPECT_EQ(log->durable(), 0u);
  ASSERT_TRUE(log->commit().ok());
  EXPECT_EQ(log->durable(), 6u);
  expect_sound(*log);
}

TEST(Log, AnswersARepeatedEventWithTheSequenceItHasAndAppendsNothing) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const Event event = sample_event("tap-1", 0, Label{1, 0, LabelValue::kSuccess});
  EXPECT_EQ(*log->append(event), 1u);
  EXPECT_EQ(*log->append(event), 1u);  // still pending
  ASSERT_TRUE(log->commit().ok());
  EXPECT_EQ(*log->append(event), 1u);  // durable
  log.reset();
  log = open_log(options_in(folder));
  EXPECT_EQ(*log->append(event), 1u);  // after a restart
  EXPECT_EQ(log->stats().appended, 1u);
  EXPECT_EQ(log->stats().repeated_events, 1u);
}

TEST(Log, GivesBackEveryKindOfEventUnchanged) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  std::vector<Event> sent;
  for (const Payload& payload : test::every_payload()) {
    if (std::holds_alternative<EpisodeStarted>(payload) ||
        std::holds_alternative<EpisodeEnded>(payload) ||
        std::holds_alternative<EpisodeEvicted>(payload)) {
      continue;  // need an episode
    }
    sent.push_back(sample_event("id-" + std::to_string(sent.size()), 3, payload));
    ASSERT_TRUE(log->append(sent.back()).ok());
  }
  ASSERT_TRUE(log->commit().ok());
  const auto items = log->feed(0, 1000);
  ASSERT_TRUE(items.ok()) << items.status().message();
  ASSERT_EQ(items->size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const Event& got = std::get<Event>((*items)[i]);
    sent[i].sequence = i + 1;
    EXPECT_EQ(*event_line(got), *event_line(sent[i]));
  }
}

TEST(Log, FeedsOnlyWhatIsDurableInSequenceOrderWithStepsAsRuns) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 5);
  ASSERT_TRUE(log->append(sample_event("w", episode, Words{"up", WordsUse::kNudge, "up"})).ok());
  append_steps(*log, episode, 5, 2);
  EXPECT_TRUE(log->feed(0, 100)->empty());
  ASSERT_TRUE(log->commit().ok());
  append_steps(*log, episode, 7, 2);
  ASSERT_TRUE(log->commit().ok());  // goes on with the run of the commit before
  append_steps(*log, episode, 9, 2);

  const auto items = log->feed(0, 100);
  ASSERT_EQ(items->size(), 4u);
  EXPECT_EQ(std::get<Event>((*items)[0]).id, "start-1");
  const auto& run = std::get<StepsRef>((*items)[1]);
  EXPECT_EQ(run.first, 2u);
  EXPECT_EQ(run.last, 6u);
  EXPECT_EQ(std::get<Event>((*items)[2]).id, "w");
  const auto& second = std::get<StepsRef>((*items)[3]);
  EXPECT_EQ(second.first, 8u);
  EXPECT_EQ(second.last, 11u);
  EXPECT_EQ(log->feed(0, 2)->size(), 2u);
}

TEST(Log, FeedsFromAnySequenceAlsoFromTheMiddleOfARun) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 20);
  ASSERT_TRUE(log->append(sample_event("w", episode, Words{"up", WordsUse::kNudge, "up"})).ok());
  append_steps(*log, episode, 20, 5);
  ASSERT_TRUE(log->commit().ok());
  for (Sequence from = 1; from <= log->durable(); ++from) {
    Sequence expected = from;
    const auto items = log->feed(from, 100);
    for (const FeedItem& item : *items) {
      EXPECT_EQ(first_sequence(item), expected);
      expected = last_sequence(item) + 1;
      if (const auto* ref = std::get_if<StepsRef>(&item)) {
        auto map = SegmentMap::open(posix_files(), ref->path);
        ASSERT_TRUE(map.ok());
        EXPECT_EQ((*map)->step_at(ref->first_offset).sequence, ref->first);
      }
    }
    EXPECT_EQ(expected, log->durable() + 1);
  }
  EXPECT_TRUE(log->feed(log->durable() + 1, 100)->empty());
}

TEST(Log, StoresStepsThatReadersDecodeUnchanged) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  Random random(4);
  std::vector<Step> sent;
  for (std::uint32_t i = 0; i < 50; ++i) {
    sent.push_back(sample_step(random, episode, i, sample_spec()));
    sent.back().sequence = *log->append(sent.back());
  }
  ASSERT_TRUE(log->commit().ok());
  const auto items = log->feed(2, 10);
  const auto& ref = std::get<StepsRef>(items->front());
  auto map = SegmentMap::open(posix_files(), ref.path);
  std::uint64_t offset = ref.first_offset;
  for (const Step& step : sent) {
    const auto got = (*map)->decode(offset);
    ASSERT_TRUE(got.ok()) << got.status().message();
    EXPECT_EQ(got->sequence, step.sequence);
    EXPECT_EQ(got->features, step.features);
    EXPECT_EQ(got->proposed, step.proposed);
    EXPECT_EQ(got->executed, step.executed);
    EXPECT_EQ(got->images.size(), step.images.size());
    offset = (*map)->step_at(offset).next;
  }
  EXPECT_EQ(offset, ref.end_offset);
}

TEST(Log, GoesOnCountingEveryNumberAfterARestart) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  EXPECT_EQ(log->next_episode_id(), 1u);
  const EpisodeId episode = start(*log);
  const SpanId span = log->next_span_id();
  const LeaseEpoch epoch = log->next_lease_epoch();
  const WeightsVersion version = log->next_weights_version();
  WeightsAccepted accepted;
  accepted.version = version;
  ASSERT_TRUE(log->append(sample_event("a", 0, accepted)).ok());
  ASSERT_TRUE(log->append(sample_event("b", 0, LeaseGranted{epoch})).ok());
  ASSERT_TRUE(
      log->append(sample_event("c", episode, SpanOpened{span, SpanKind::kTakeover, epoch, 0}))
          .ok());
  ASSERT_TRUE(
      log->append(sample_event("d", episode, SpanClosed{span, SpanEnd::kReleased, 3, true})).ok());
  end(*log, episode, 4);
  ASSERT_TRUE(log->commit().ok());
  log.reset();
  log = open_log(options_in(folder));
  EXPECT_EQ(log->next_episode_id(), episode + 1);
  EXPECT_EQ(log->next_span_id(), span + 1);
  EXPECT_EQ(log->next_lease_epoch(), epoch + 1);
  EXPECT_EQ(log->next_weights_version(), version + 1);
  EXPECT_EQ(*log->append(sample_event("e", 0, Stopped{})), log->durable() + 1);
}

TEST(Log, ForgetsWhatWasNeverCommittedWhenItIsOpenedAgain) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  ASSERT_TRUE(log->append(sample_event("kept", 0, Stopped{})).ok());
  ASSERT_TRUE(log->commit().ok());
  ASSERT_TRUE(log->append(sample_event("lost", 0, StopReset{})).ok());
  log.reset();
  log = open_log(options_in(folder));
  EXPECT_EQ(log->durable(), 1u);
  EXPECT_EQ(log->event("lost").status().code(), Code::kNotFound);
  EXPECT_TRUE(log->event("kept").ok());
}

TEST(Log, ClosesTheEpisodeAndTheSpanThatACrashLeftOpen) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  const SpanId span = log->next_span_id();
  append_steps(*log, episode, 0, 4);
  ASSERT_TRUE(
      log->append(sample_event("s", episode, SpanOpened{span, SpanKind::kTakeover, 1, 4})).ok());
  append_steps(*log, episode, 4, 6, span);
  ASSERT_TRUE(log->commit().ok());
  log.reset();

  log = open_log(options_in(folder));
  EXPECT_EQ(log->recovery().closed, std::vector<EpisodeId>{episode});
  EXPECT_EQ(log->recovery().spans, std::vector<SpanId>{span});
  const auto closed = log->event("recovery:span:1");
  ASSERT_TRUE(closed.ok());
  EXPECT_EQ(std::get<SpanClosed>(closed->payload).last_step, 9u);
  EXPECT_FALSE(std::get<SpanClosed>(closed->payload).complete);
  EXPECT_EQ(closed->time, options_in(folder).now);
  const auto ended = log->event("recovery:episode:1");
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(std::get<EpisodeEnded>(ended->payload).reason, EpisodeEnd::kAborted);
  EXPECT_EQ(std::get<EpisodeEnded>(ended->payload).steps, 10u);
  expect_sound(*log);
  log.reset();
  log = open_log(options_in(folder));
  EXPECT_TRUE(log->recovery().closed.empty());
}

TEST(Log, CutsTheTornTailOfASegmentBackToWhatWasCommitted) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 3);
  ASSERT_TRUE(log->commit().ok());
  const std::string path = std::get<StepsRef>(log->feed(2, 1)->front()).path;
  const std::uint64_t committed = std::get<StepsRef>(log->feed(2, 1)->front()).end_offset;
  log.reset();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(committed));
    file << std::string(500, 'x');
  }
  log = open_log(options_in(folder));
  EXPECT_EQ(std::filesystem::file_size(path), committed);
  expect_sound(*log);
}

TEST(Log, TellsWhichAcknowledgedBytesOfASegmentAreGone) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 3);
  ASSERT_TRUE(log->commit().ok());
  const std::string path = std::get<StepsRef>(log->feed(2, 1)->front()).path;
  log.reset();
  std::filesystem::resize_file(path, 600);
  log = open_log(options_in(folder));
  ASSERT_NE(log, nullptr);
  EXPECT_FALSE(log->recovery().damaged.empty());
  EXPECT_FALSE(log->verify()->ok());
}

TEST(Log, TellsWhenItOpensThatTheSegmentOfAPastEpisodeIsGone) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 3);
  end(*log, episode, 3);
  ASSERT_TRUE(log->commit().ok());
  const std::string path = std::get<StepsRef>(log->feed(2, 1)->front()).path;
  log.reset();
  log = open_log(options_in(folder));
  EXPECT_TRUE(log->recovery().damaged.empty());
  log.reset();
  std::filesystem::remove(path);
  log = open_log(options_in(folder));
  ASSERT_EQ(log->recovery().damaged.size(), 1u);
  EXPECT_EQ(log->recovery().damaged[0], path + ": missing");
  EXPECT_TRUE(log->recovery().closed.empty());
}

TEST(Log, FreesTheReservedSpaceWhenAnEpisodeEnds) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 3);
  end(*log, episode, 3);
  EXPECT_EQ(log->open_episode(), 0u);
  ASSERT_TRUE(log->commit().ok());
  const auto ref = std::get<StepsRef>(log->feed(2, 1)->front());
  EXPECT_EQ(std::filesystem::file_size(ref.path), ref.end_offset);
}

TEST(Log, TakesStepsAndBoundsOfTheOpenEpisodeOnly) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  Random random(1);
  EXPECT_EQ(log->append(sample_step(random, 1, 0, sample_spec())).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(log->append(sample_event("x", 1, EpisodeStarted{})).status().code(),
            Code::kFailedPrecondition);
  const EpisodeId episode = start(*log);
  EXPECT_EQ(log->start_episode(sample_spec()).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(log->append(sample_step(random, episode + 1, 0, sample_spec())).status().code(),
            Code::kFailedPrecondition);
  end(*log, episode, 0);
  EXPECT_EQ(log->append(sample_step(random, episode, 0, sample_spec())).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(
      log->append(sample_event("late", episode, Label{episode, 0, LabelValue::kFailure})).ok());
}

TEST(Log, RefusesEventsAndStepsOutOfBoundsAndStaysUsable) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  for (const std::string& id : {std::string(), std::string(65, 'a'), std::string("no space")}) {
    EXPECT_EQ(log->append(sample_event(id, 0, Stopped{})).status().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(
      log->append(sample_event("w", 0, Words{std::string(1001, 'a'), {}, ""})).status().code(),
      Code::kInvalidArgument);
  EXPECT_EQ(log->append(sample_event("u", 0, Words{"\xff", {}, ""})).status().code(),
            Code::kInvalidArgument);
  Event odd = sample_event("n", 0, Stopped{});
  odd.actor.name = "\xc3";
  EXPECT_EQ(log->append(odd).status().code(), Code::kInvalidArgument);
  Random random(1);
  Step step = sample_step(random, episode, 0, sample_spec());
  step.executed.push_back(0);
  EXPECT_EQ(log->append(step).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(*log->append(sample_event("fine", 0, Stopped{})), 2u);
  ASSERT_TRUE(log->commit().ok());
  expect_sound(*log);
}

TEST(Log, BoundsWhatWaitsForACommitAndKeepsRoomForEvents) {
  TempFolder folder;
  LogOptions options = options_in(folder);
  options.max_pending_step_bytes = 4000;
  options.max_pending_events = 3;
  auto log = open_log(options);
  const EpisodeId episode = start(*log);
  Random random(1);
  Result<Sequence> step = Sequence{0};
  for (std::uint32_t i = 0; i < 100 && step.ok(); ++i) {
    step = log->append(sample_step(random, episode, i, sample_spec()));
  }
  EXPECT_EQ(step.status().code(), Code::kResourceExhausted);
  EXPECT_TRUE(log->append(sample_event("a", 0, Stopped{})).ok());
  EXPECT_TRUE(log->append(sample_event("b", 0, Stopped{})).ok());
  EXPECT_EQ(log->append(sample_event("c", 0, Stopped{})).status().code(), Code::kResourceExhausted);
  ASSERT_TRUE(log->commit().ok());
  EXPECT_TRUE(log->append(sample_event("c", 0, Stopped{})).ok());
  expect_sound(*log);
}

TEST(Log, NamesTheHolderOfTheLock) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  for (const bool read_only : {false, true}) {
    LogOptions options = options_in(folder);
    options.read_only = read_only;
    const auto second = Log::open(posix_files(), options);
    EXPECT_EQ(second.status().code(), Code::kUnavailable);
    EXPECT_NE(second.status().message().find("boot-1"), std::string::npos);
  }
}

TEST(Log, OpensReadOnlyWithoutRepairingOrAppendingAnything) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 3);
  ASSERT_TRUE(log->commit().ok());
  log.reset();
  auto before = everything_in(folder / "log");
  LogOptions options = options_in(folder);
  options.read_only = true;
  log = open_log(options);
  EXPECT_EQ(log->feed(0, 10)->size(), 2u);
  EXPECT_EQ(log->append(sample_event("x", 0, Stopped{})).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(log->start_episode(sample_spec()).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(log->commit().code(), Code::kFailedPrecondition);
  expect_sound(*log);
  log.reset();
  auto after = everything_in(folder / "log");
  before.erase(folder / "log/lock");
  after.erase(folder / "log/lock");
  EXPECT_TRUE(before == after);
}

TEST(Log, SaysThatThereIsNoLogWhenOpenedReadOnlyInAnEmptyFolder) {
  TempFolder folder;
  LogOptions options = options_in(folder);
  options.read_only = true;
  EXPECT_EQ(Log::open(posix_files(), options).status().code(), Code::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(options.dir));
}

TEST(Log, RefusesALogOfANewerVersionAndLeavesItUntouched) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  ASSERT_TRUE(log->append(sample_event("x", 0, Stopped{})).ok());
  ASSERT_TRUE(log->commit().ok());
  log.reset();
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "log/log.db").c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(handle);
  auto before = everything_in(folder / "log");
  const auto again = Log::open(posix_files(), options_in(folder));
  EXPECT_EQ(again.status().code(), Code::kUnimplemented);
  EXPECT_NE(again.status().message().find("newer"), std::string::npos);
  auto after = everything_in(folder / "log");
  before.erase(folder / "log/lock");
  after.erase(folder / "log/lock");
  EXPECT_TRUE(before == after);
}

TEST(Log, ReportsADamagedDatabaseWithWhatToDo) {
  TempFolder folder;
  open_log(options_in(folder)).reset();
  std::ofstream(folder / "log/log.db", std::ios::binary) << std::string(8192, 'z');
  std::filesystem::remove(folder / "log/log.db-wal");
  const auto log = Log::open(posix_files(), options_in(folder));
  EXPECT_EQ(log.status().code(), Code::kDataLoss);
  EXPECT_NE(log.status().message().find("nudge log salvage"), std::string::npos);
}

TEST(Log, RefusesADatabaseOfAnotherProgram) {
  TempFolder folder;
  std::filesystem::create_directory(folder / "log");
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "log/log.db").c_str(), &handle), SQLITE_OK);
  sqlite3_exec(handle, "CREATE TABLE recipes (name TEXT)", nullptr, nullptr, nullptr);
  sqlite3_close(handle);
  EXPECT_EQ(Log::open(posix_files(), options_in(folder)).status().code(), Code::kDataLoss);
}

TEST(Log, FindsAFlippedBitInAStepWhenItVerifies) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 5);
  end(*log, episode, 5);
  ASSERT_TRUE(log->commit().ok());
  const auto ref = std::get<StepsRef>(log->feed(2, 1)->front());
  {
    std::fstream file(ref.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(ref.end_offset - 40));
    const char byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(ref.end_offset - 40));
    file.put(static_cast<char>(byte ^ 0x10));
  }
  const auto report = log->verify();
  ASSERT_EQ(report->problems.size(), 1u);
  EXPECT_NE(report->problems[0].find("checksum"), std::string::npos);
}

TEST(Log, FindsAMissingEventWhenItVerifies) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(log->append(sample_event("e" + std::to_string(i), 0, Stopped{})).ok());
  }
  ASSERT_TRUE(log->commit().ok());
  log.reset();
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "log/log.db").c_str(), &handle), SQLITE_OK);
  sqlite3_exec(handle, "DELETE FROM events WHERE sequence = 2", nullptr, nullptr, nullptr);
  sqlite3_close(handle);
  log = open_log(options_in(folder));
  EXPECT_FALSE(log->verify()->ok());
}

TEST(Log, FindsASegmentFileItDoesNotKnowAndNeverWritesOverIt) {
  TempFolder folder;
  open_log(options_in(folder)).reset();
  const std::string stray = folder / "log/segments/episode-000000001.seg";
  std::ofstream(stray) << "precious";
  auto log = open_log(options_in(folder));
  EXPECT_FALSE(log->verify()->ok());
  EXPECT_EQ(*log->start_episode(sample_spec()), 2u);
  EXPECT_EQ(content(stray), "precious");
}

TEST(Log, FoldsTheWriteAheadLogBackWhenItHasGrown) {
  TempFolder folder;
  LogOptions options = options_in(folder);
  options.checkpoint_bytes = 100 << 10;
  auto log = open_log(options);
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(log->append(sample_event("e" + std::to_string(i), 0,
                                         InstructionChanged{std::string(3000, 'x')}))
                    .ok());
    ASSERT_TRUE(log->commit().ok());
  }
  EXPECT_GT(log->stats().checkpoints, 5u);
  EXPECT_LT(std::filesystem::file_size(folder / "log/log.db-wal"), 300u << 10);
  expect_sound(*log);
}

TEST(Log, LetsTheLastLabelOfTheHighestRoleWin) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 2);
  end(*log, episode, 2);
  const auto label = [&](const std::string& id, Role role, LabelValue value) {
    Event event = sample_event(id, 0, Label{episode, 0, value});
    event.actor.role = role;
    ASSERT_TRUE(log->append(event).ok());
    ASSERT_TRUE(log->commit().ok());
  };
  const auto outcome = [&] { return log->episodes(0, 10)->front().outcome; };
  ASSERT_TRUE(log->commit().ok());
  EXPECT_EQ(outcome(), LabelValue::kNone);
  label("1", Role::kScript, LabelValue::kFailure);
  EXPECT_EQ(outcome(), LabelValue::kFailure);
  label("2", Role::kSupervisor, LabelValue::kSuccess);
  label("3", Role::kScript, LabelValue::kDiscard);
  EXPECT_EQ(outcome(), LabelValue::kSuccess);
  label("4", Role::kEngineer, LabelValue::kFailure);
  EXPECT_EQ(outcome(), LabelValue::kFailure);
  label("5", Role::kEngineer, LabelValue::kNone);
  EXPECT_EQ(outcome(), LabelValue::kSuccess);
}

TEST(Log, SummarisesEpisodesAndTheirSpans) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  const EpisodeId episode = start(*log);
  append_steps(*log, episode, 0, 4);
  ASSERT_TRUE(
      log->append(sample_event("o", episode, SpanOpened{1, SpanKind::kTakeover, 9, 1})).ok());
  ASSERT_TRUE(log->append(sample_event("p", episode, SpanSplit{1, 2})).ok());
  ASSERT_TRUE(
      log->append(sample_event("q", episode, SpanClosed{1, SpanEnd::kReleased, 3, true})).ok());
  ASSERT_TRUE(log->append(sample_event("l", 0, Label{episode, 1, LabelValue::kDiscard})).ok());
  end(*log, episode, 4);
  ASSERT_TRUE(log->commit().ok());

  const auto episodes = log->episodes(0, 10);
  ASSERT_EQ(episodes->size(), 1u);
  const EpisodeSummary& summary = episodes->front();
  EXPECT_EQ(summary.instruction, "tidy up");
  EXPECT_EQ(summary.steps, 4u);
  EXPECT_EQ(summary.takeovers, 1u);
  EXPECT_EQ(summary.outcome, LabelValue::kNone);
  ASSERT_TRUE(summary.ended.has_value());
  EXPECT_EQ(summary.ended->reason, EpisodeEnd::kTaskDone);

  const auto spans = log->spans(episode);
  ASSERT_EQ(spans->size(), 1u);
  EXPECT_EQ(spans->front().epoch, 9u);
  EXPECT_EQ(spans->front().correction_from, 2u);
  EXPECT_EQ(spans->front().closed->last_step, 3u);
  EXPECT_EQ(spans->front().outcome, LabelValue::kDiscard);
}

TEST(Log, ListsEventsByKindAndTheHistoryOfWeights) {
  TempFolder folder;
  auto log = open_log(options_in(folder));
  std::size_t i = 0;
  for (const Payload& payload : test::every_payload()) {
    if (payload.index() == 1 || payload.index() == 2) continue;
    if (std::holds_alternative<EpisodeEvicted>(payload)) continue;
    ASSERT_TRUE(log->append(sample_event("id-" + std::to_string(i++), 3, payload)).ok());
  }
  ASSERT_TRUE(log->commit().ok());
  EXPECT_EQ(log->weights_events(0, 100)->size(), 7u);
  EXPECT_EQ(log->weights_events(0, 2)->size(), 2u);
  EXPECT_EQ(log->events({"words", "stopped"}, 0, 100)->size(), 2u);
  EXPECT_EQ(log->events({}, 0, 100)->size(), i);
}

}  // namespace
}  // namespace nudge
