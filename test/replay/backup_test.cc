// Copies of a log that is at work, and what is saved from one that is damaged.
#include "replay/backup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "replay/event_codec.h"
#include "replay/salvage.h"
#include "test/support/faulty_files.h"
#include "test/support/log_script.h"
#include "test/support/temp_folder.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

using test::run_script;
using test::sample_event;
using test::script_options;
using test::TempFolder;

std::unique_ptr<Log> open(const LogOptions& options, FileSystem& files = posix_files()) {
  auto log = Log::open(files, options);
  EXPECT_TRUE(log.ok()) << log.status().message();
  return log.ok() ? *std::move(log) : nullptr;
}

// All items of a log but for the paths of its segments.
std::vector<FeedItem> items_of(Log& log) {
  auto items = log.feed(1, 100'000);
  EXPECT_TRUE(items.ok()) << items.status().message();
  if (!items.ok()) return {};
  for (FeedItem& item : *items) {
    if (auto* steps = std::get_if<StepsRef>(&item)) steps->path.clear();
  }
  return *std::move(items);
}
std::string text_of(const std::vector<FeedItem>& items) {
  std::string all;
  for (const FeedItem& item : items) {
    if (const auto* event = std::get_if<Event>(&item)) {
      all += *event_line(*event) + "\n";
      continue;
    }
    const StepsRef& run = std::get<StepsRef>(item);
    for (const std::uint64_t number :
         {run.episode, run.first, run.last, run.first_offset, run.end_offset}) {
      all += std::to_string(number) + " ";
    }
    all += "\n";
  }
  return all;
}

class Backup : public testing::Test {
 protected:
  LogOptions at(const std::string& name) const { return script_options(folder_ / name); }
  std::string snapshot() const { return folder_ / "snapshot.db"; }

  // `between` is called before each piece.
  void take_snapshot(
      Log& log, const std::function<void()>& between = [] {}) {
    ASSERT_TRUE(log.start_snapshot(snapshot()).ok());
    while (true) {
      between();
      const auto done = log.go_on_with_snapshot(1);
      ASSERT_TRUE(done.ok()) << done.status().message();
      if (*done) return;
    }
  }
  BackupReport back_up(const std::string& to = "copy") {
    const auto report = back_up_log(posix_files(), folder_ / "log", snapshot(), folder_ / to);
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : BackupReport{};
  }
  Result<BackupReport> try_to_back_up(const std::string& from = "log",
                                      const BackupOptions& options = {}) {
    return back_up_log(posix_files(), folder_ / from, snapshot(), folder_ / "copy", options);
  }
  // What a damaged disk leaves: nonsense.
  static void ruin(const std::string& path, std::uint64_t at, std::size_t bytes = 4096) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file << std::string(bytes, '\x5a');
  }
  void expect_copy(const std::string& items, const std::string& name = "copy") {
    LogOptions options = at(name);
    options.read_only = true;
    auto copy = open(options);
    ASSERT_NE(copy, nullptr);
    expect_whole(*copy);
    EXPECT_EQ(text_of(items_of(*copy)), items);
  }
  static void expect_whole(Log& log) {
    EXPECT_TRUE(log.recovery().damaged.empty());
    const auto report = log.verify();
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->ok()) << report->problems.front();
  }

  TempFolder folder_;
};

TEST_F(Backup, IsTheSameLog) {
  auto log = open(at("log"));
  run_script(*log, 3);
  take_snapshot(*log);
  const BackupReport report = back_up();
  EXPECT_EQ(report.segments, 3u);
  EXPECT_EQ(report.copied_segments, 3u);
  auto copy = open(at("copy"));
  ASSERT_NE(copy, nullptr);
  expect_whole(*copy);
  EXPECT_EQ(text_of(items_of(*copy)), text_of(items_of(*log)));
  run_script(*copy);  // and goes on as one
  expect_whole(*copy);
}

TEST_F(Backup, OfALogAtWorkHoldsWhatWasDurableWhenItWasComplete) {
  auto log = open(at("log"));
  run_script(*log, 2);
  const Sequence before = log->durable();
  int count = 0;
  take_snapshot(*log, [&] {
    if (++count > 5) return;  // else it would never end
    run_script(*log, 1);
  });
  const Sequence end = log->durable();
  EXPECT_GT(end, before);
  run_script(*log, 2);  // segments go on while they are copied
  back_up();
  auto copy = open(at("copy"));
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(copy->durable(), end);
  expect_whole(*copy);
}

TEST_F(Backup, MadeAgainCopiesOnlyWhatIsNewAndForgetsWhatWasEvicted) {
  auto log = open(at("log"));
  run_script(*log, 3);
  take_snapshot(*log);
  back_up();
  run_script(*log, 1);
  ASSERT_TRUE(log->evict(sample_event("evicted:1", 0, EpisodeEvicted{.episode = 1})).ok());
  take_snapshot(*log);
  const BackupReport report = back_up();
  EXPECT_EQ(report.segments, 3u);
  EXPECT_EQ(report.copied_segments, 1u);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "copy/segments/episode-000000001.seg"));
  auto copy = open(at("copy"));
  ASSERT_NE(copy, nullptr);
  expect_whole(*copy);
  EXPECT_EQ(text_of(items_of(*copy)), text_of(items_of(*log)));
}

TEST_F(Backup, SaysWhatWasEvictedSinceTheSnapshotAndKeepsTheOldCopy) {
  auto log = open(at("log"));
  run_script(*log, 2);
  take_snapshot(*log);
  back_up();
  const std::string old = text_of(items_of(*log));
  run_script(*log, 1);
  take_snapshot(*log);
  ASSERT_TRUE(log->evict(sample_event("evicted:3", 0, EpisodeEvicted{.episode = 3})).ok());
  const BackupReport report = back_up();
  EXPECT_EQ(report.gone, std::vector<std::string>{"episode-000000003.seg"});
  auto copy = open(at("copy"));
  ASSERT_NE(copy, nullptr);
  expect_whole(*copy);
  EXPECT_EQ(text_of(items_of(*copy)), old);
}

TEST_F(Backup, ThatIsBrokenOffAtAnyCallLeavesTheOldCopyOrTheNewOne) {
  auto log = open(at("log"));
  run_script(*log, 2);
  take_snapshot(*log);
  back_up("first");
  const std::string old = text_of(items_of(*log));
  run_script(*log, 1);
  ASSERT_TRUE(log->evict(sample_event("evicted:1", 0, EpisodeEvicted{.episode = 1})).ok());
  take_snapshot(*log);
  const std::string fresh = text_of(items_of(*log));
  for (std::uint64_t call = 1;; ++call) {
    SCOPED_TRACE(call);
    std::filesystem::remove_all(folder_ / "copy");
    std::filesystem::copy(folder_ / "first", folder_ / "copy",
                          std::filesystem::copy_options::recursive);
    // What an earlier one has left that was broken off.
    std::ofstream(folder_ / "copy/episode-000000003.seg.new") << "half";
    test::FaultyFiles files(posix_files());
    files.plan({.at = call, .for_good = true});
    const auto report = back_up_log(files, folder_ / "log", snapshot(), folder_ / "copy");
    LogOptions options = at("copy");
    options.read_only = true;
    {
      auto copy = open(options);
      ASSERT_NE(copy, nullptr);
      const std::string is = text_of(items_of(*copy));
      EXPECT_TRUE(is == old || is == fresh);
      EXPECT_TRUE(!report.ok() || is == fresh);
    }
    back_up();  // and trying again helps
    auto copy = open(at("copy"));
    ASSERT_NE(copy, nullptr);
    expect_whole(*copy);
    EXPECT_EQ(text_of(items_of(*copy)), fresh);
    if (files.calls() < call) break;
  }
}

TEST_F(Backup, IntoTheFolderOfAnotherLogIsRefusedAndChangesNothing) {
  std::string old;
  {
    auto log = open(at("other"));
    run_script(*log, 4);
    old = text_of(items_of(*log));
    take_snapshot(*log);
    ASSERT_TRUE(try_to_back_up("other").ok());
  }
  auto log = open(at("log"));
  ASSERT_TRUE(log->append(sample_event("mine", 0, StopReset{})).ok());
  run_script(*log, 5);
  take_snapshot(*log);
  const auto refused = try_to_back_up();
  EXPECT_EQ(refused.status().code(), Code::kAlreadyExists);
  EXPECT_NE(refused.status().message().find("Name a new folder"), std::string::npos);
  expect_copy(old);
}

TEST_F(Backup, OfALogThatWasSalvagedIsRefusedWhereTheOneBeforeIsAndKeepsThatWhole) {
  std::string old;
  {
    auto log = open(at("log"));
    run_script(*log, 3);
    old = text_of(items_of(*log));
    take_snapshot(*log);
    back_up();
  }
  const std::string segment = folder_ / "log/segments/episode-000000001.seg";
  ruin(segment, std::filesystem::file_size(segment) / 2, 64);
  ASSERT_TRUE(salvage_log(posix_files(), folder_ / "log", at("saved")).ok());
  auto saved = open(at("saved"));
  take_snapshot(*saved);
  EXPECT_EQ(try_to_back_up("saved").status().code(), Code::kAlreadyExists);
  expect_copy(old);
  ASSERT_TRUE(back_up_log(posix_files(), folder_ / "saved", snapshot(), folder_ / "new").ok());
  auto fresh = open(at("new"));
  ASSERT_NE(fresh, nullptr);
  expect_whole(*fresh);
}

TEST_F(Backup, OfALogThatWasPutBackToAnEarlierStateIsRefused) {
  std::string old;
  {
    auto log = open(at("log"));
    run_script(*log, 1);
    take_snapshot(*log);
    ASSERT_TRUE(back_up_log(posix_files(), folder_ / "log", snapshot(), folder_ / "earlier").ok());
    run_script(*log, 2);
    old = text_of(items_of(*log));
    take_snapshot(*log);
    back_up();
  }
  auto earlier = open(at("earlier"));
  take_snapshot(*earlier);
  EXPECT_EQ(try_to_back_up("earlier").status().code(), Code::kAlreadyExists);
  expect_copy(old);
}

TEST_F(Backup, WhoseBytesAPowerLossHasTakenIsMadeWholeThoughItsFilesAreLongEnough) {
  auto log = open(at("log"));
  run_script(*log, 3);
  take_snapshot(*log);
  back_up();
  const std::string all = text_of(items_of(*log));
  for (const std::uint64_t share : {0, 2, 3}) {
    SCOPED_TRACE(share);
    const std::string segment = folder_ / "copy/segments/episode-000000002.seg";
    const std::uint64_t size = std::filesystem::file_size(segment);
    ruin(segment, share == 0 ? 0 : size - size / share, 64);
    const BackupReport report = back_up();
    EXPECT_EQ(report.copied_segments, 1u);
    EXPECT_TRUE(report.damaged.empty());
    expect_copy(all);
  }
}

TEST_F(Backup, KeepsASegmentThatTheLogHasLostSince) {
  auto log = open(at("log"));
  run_script(*log, 3);
  take_snapshot(*log);
  back_up();
  const std::string segment = folder_ / "log/segments/episode-000000002.seg";
  ruin(segment, std::filesystem::file_size(segment) / 2, 64);
  std::filesystem::remove(folder_ / "log/segments/episode-000000003.seg");
  run_script(*log, 1);
  take_snapshot(*log);
  const BackupReport report = back_up();
  EXPECT_EQ(report.copied_segments, 1u);
  EXPECT_TRUE(report.damaged.empty());
  expect_copy(text_of(items_of(*log)));
}

TEST_F(Backup, TakesAlongAndTellsWhatIsDamagedInTheLog) {
  auto log = open(at("log"));
  run_script(*log, 2);
  const std::string segment = folder_ / "log/segments/episode-000000002.seg";
  ruin(segment, std::filesystem::file_size(segment) / 2, 64);
  std::filesystem::remove(folder_ / "log/segments/episode-000000001.seg");
  take_snapshot(*log);
  BackupReport report = back_up();
  EXPECT_EQ(report.gone, std::vector<std::string>{"episode-000000001.seg"});
  // A newer snapshot says that it was not evicted.
  take_snapshot(*log);
  const auto taken = try_to_back_up("log", {.missing = report.gone});
  ASSERT_TRUE(taken.ok()) << taken.status().message();
  EXPECT_EQ(taken->damaged,
            (std::vector<std::string>{"episode-000000001.seg", "episode-000000002.seg"}));
  // And again, for both are as bad as before.
  const auto again = try_to_back_up("log", {.missing = report.gone});
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->copied_segments, 0u);
  EXPECT_EQ(again->damaged, taken->damaged);
}

TEST_F(Backup, OfADamagedDatabaseIsRefusedAndKeepsTheOldCopy) {
  auto log = open(at("log"));
  run_script(*log, 3);
  take_snapshot(*log);
  back_up();
  const std::string old = text_of(items_of(*log));
  run_script(*log, 3);
  take_snapshot(*log);
  const std::uint64_t pages = std::filesystem::file_size(snapshot()) / 4096;
  for (std::uint64_t page = 0; page < pages; ++page) {
    SCOPED_TRACE(page);
    take_snapshot(*log);
    ruin(snapshot(), page * 4096);
    EXPECT_FALSE(try_to_back_up().ok());
    expect_copy(old);
  }
}

TEST_F(Backup, CallsForTheRestBeforeAnythingTakesItsPlace) {
  auto log = open(at("log"));
  run_script(*log, 1);
  take_snapshot(*log);
  back_up();
  const std::string old = text_of(items_of(*log));
  run_script(*log, 1);
  take_snapshot(*log);
  BackupOptions options;
  options.before_replacing = [&] {
    // The copy itself is locked.
    std::filesystem::copy(folder_ / "copy", folder_ / "seen",
                          std::filesystem::copy_options::recursive);
    expect_copy(old, "seen");
    return unavailable("no");
  };
  EXPECT_EQ(try_to_back_up("log", options).status().code(), Code::kUnavailable);
  expect_copy(old);
}

TEST_F(Backup, ReplacesASingleFileWholeOrNotAtAll) {
  const std::string from = folder_ / "from", to = folder_ / "to";
  const auto write = [](const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  };
  const auto read = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  write(from, "new");
  for (std::uint64_t call = 1;; ++call) {
    SCOPED_TRACE(call);
    write(to, "old");  // as long as the new one
    test::FaultyFiles files(posix_files());
    files.plan({.at = call, .for_good = true});
    const auto copied = replace_by_copy(files, from, to);
    EXPECT_TRUE(read(to) == "new" || (!copied.ok() && read(to) == "old")) << read(to);
    const auto again = replace_by_copy(posix_files(), from, to);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(read(to), "new");
    if (files.calls() < call) break;
  }
  const auto same = replace_by_copy(posix_files(), from, to);
  EXPECT_TRUE(same.ok() && !*same);
}

TEST_F(Backup, IsRefusedWhileSomebodyHasTheCopyOpen) {
  auto log = open(at("log"));
  run_script(*log, 1);
  take_snapshot(*log);
  back_up();
  auto copy = open(at("copy"));
  EXPECT_EQ(
      back_up_log(posix_files(), folder_ / "log", snapshot(), folder_ / "copy").status().code(),
      Code::kUnavailable);
}

// ---- salvage ----

class SalvageTest : public Backup {
 protected:
  SalvageReport salvage(const SalvageKnown& known = {}) {
    std::filesystem::remove_all(folder_ / "saved");
    LogOptions to = at("saved");
    to.boot = "boot-2";
    const auto report = salvage_log(posix_files(), folder_ / "log", to, known);
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : SalvageReport{};
  }
  // A log that ends in order, with everything in log.db.
  std::string make(int episodes) {
    auto log = open(at("log"));
    run_script(*log, episodes);
    return text_of(items_of(*log));
  }
  // Every entry of the saved log is the old one under the same number, or says that it is lost.
  void expect_saved(const std::vector<FeedItem>& before) {
    auto saved = open(at("saved"));
    ASSERT_NE(saved, nullptr);
    expect_whole(*saved);
    std::map<Sequence, std::string> old;
    for (const FeedItem& item : before) {
      if (const auto* event = std::get_if<Event>(&item)) old[event->sequence] = *event_line(*event);
    }
    for (const FeedItem& item : items_of(*saved)) {
      const auto* event = std::get_if<Event>(&item);
      if (event == nullptr || event->id.starts_with("salvage")) continue;
      ASSERT_TRUE(old.contains(event->sequence));
      EXPECT_EQ(*event_line(*event), old[event->sequence]);
    }
  }
  std::vector<FeedItem> before() {
    auto log = open(at("log"));
    return items_of(*log);
  }
};

TEST_F(SalvageTest, OfAWholeLogSavesEverything) {
  make(3);
  const auto old = before();
  const SalvageReport report = salvage();
  EXPECT_EQ(report.lost, 0u);
  EXPECT_EQ(report.damaged_segments, 0u);
  EXPECT_EQ(report.steps, 24u);
  expect_saved(old);
  auto saved = open(at("saved"));
  auto all = items_of(*saved);
  ASSERT_EQ(std::get<Event>(all.back()).id, "salvaged:boot-2");
  all.pop_back();
  EXPECT_EQ(text_of(all), text_of(old));
}

TEST_F(SalvageTest, KeepsWhatAStepHasToEdit) {
  SegmentSpec spec = test::sample_spec();
  spec.reference_rows = 2;
  Step step;
  step.reference.resize(2 * spec.action_size, 0.25f);
  step.reference_age = 3;
  {
    auto log = open(at("log"));
    const auto episode = log->start_episode(spec);
    ASSERT_TRUE(episode.ok()) << episode.status().message();
    ASSERT_TRUE(log->append(test::sample_event("begin", *episode, EpisodeStarted{})).ok());
    step.episode = *episode;
    const auto taken = log->append(step);
    ASSERT_TRUE(taken.ok()) << taken.status().message();
    ASSERT_TRUE(log->commit().ok());
  }
  EXPECT_EQ(salvage().steps, 1u);
  auto saved = open(at("saved"));
  const auto items = saved->feed(1, 100);
  ASSERT_TRUE(items.ok()) << items.status().message();
  for (const FeedItem& item : *items) {
    const auto* run = std::get_if<StepsRef>(&item);
    if (run == nullptr) continue;
    const auto segment = SegmentMap::open(posix_files(), run->path);
    ASSERT_TRUE(segment.ok()) << segment.status().message();
    const auto read = (*segment)->decode(run->first_offset);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read->reference, step.reference);
    EXPECT_EQ(read->reference_age, 3u);
    return;
  }
  ADD_FAILURE() << "the step is gone";
}

TEST_F(SalvageTest, AroundEachRuinedPageOfTheDatabase) {
  make(12);
  const auto old = before();
  const std::string database = folder_ / "log/log.db";
  const auto size = std::filesystem::file_size(database);
  ASSERT_GT(size, 8u * 4096);
  std::filesystem::copy(folder_ / "log", folder_ / "whole",
                        std::filesystem::copy_options::recursive);
  std::uint64_t saved = 0;
  for (std::uint64_t page = 0; page < size / 4096; ++page) {
    SCOPED_TRACE(page);
    std::filesystem::copy_file(folder_ / "whole/log.db", database,
                               std::filesystem::copy_options::overwrite_existing);
    ruin(database, page * 4096);
    const SalvageReport report = salvage();
    EXPECT_EQ(report.steps, 96u);  // segments need no database
    saved += report.events;
    expect_saved(old);
  }
  // One page holds a few events; only the roots of the tree take all of them along.
  EXPECT_GT(saved, (size / 4096 - 3) * 40);
}

TEST_F(SalvageTest, WithoutAnyDatabaseTheStepsAreSaved) {
  make(3);
  std::filesystem::remove(folder_ / "log/log.db");
  const SalvageReport report = salvage();
  EXPECT_FALSE(report.database);
  EXPECT_EQ(report.steps, 24u);
  EXPECT_GT(report.lost, 0u);
  auto saved = open(at("saved"));
  ASSERT_NE(saved, nullptr);
  expect_whole(*saved);
}

TEST_F(SalvageTest, OfADamagedSegmentTakesWhatIsWholeAndCountsTheRest) {
  make(3);
  const auto old = before();
  const std::string segment = folder_ / "log/segments/episode-000000002.seg";
  ruin(segment, std::filesystem::file_size(segment) / 2, 8);
  std::filesystem::remove(folder_ / "log/segments/episode-000000003.seg");
  const SalvageReport report = salvage();
  EXPECT_EQ(report.damaged_segments, 1u);  // the other is not there to be damaged
  EXPECT_EQ(report.steps, 15u);
  EXPECT_EQ(report.lost, 9u);
  expect_saved(old);
}

TEST_F(SalvageTest, KeepsTheNumbersOfWhatWasEvicted) {
  {
    auto log = open(at("log"));
    run_script(*log, 3);
    ASSERT_TRUE(log->evict(sample_event("evicted:2", 0, EpisodeEvicted{.episode = 2})).ok());
  }
  const auto old = before();
  const SalvageReport report = salvage();
  EXPECT_EQ(report.lost, 0u);
  EXPECT_EQ(report.steps, 16u);
  expect_saved(old);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "saved/segments/episode-000000002.seg"));
  auto saved = open(at("saved"));
  EXPECT_EQ(saved->stats().evicted, 1u);
}

TEST_F(SalvageTest, KeepsTheNumbersThatAnEarlierSalvageHadKept) {
  make(1);
  std::filesystem::remove(folder_ / "log/log.db");
  SalvageKnown known;
  known.weights = 40;
  salvage(known);
  const auto next = [this] { return open(at("saved"))->next_weights_version(); };
  const WeightsVersion first = next();
  EXPECT_GT(first, 40u);
  std::filesystem::remove_all(folder_ / "log");
  std::filesystem::rename(folder_ / "saved", folder_ / "log");
  // Of version 40 nobody knows any more but the note that the first salvage left.
  salvage();
  EXPECT_GE(next(), first);
}

TEST_F(SalvageTest, ClosesWhatACrashHadLeftOpenAndGoesOn) {
  {
    auto log = open(at("log"));
    run_script(*log, 1);
    ASSERT_TRUE(log->start_episode(test::sample_spec()).ok());
    ASSERT_TRUE(log->append(sample_event("s", log->open_episode(), EpisodeStarted{})).ok());
    Random random(1);
    const EpisodeId episode = log->open_episode();
    ASSERT_TRUE(log->append(test::sample_step(random, episode, 0, test::sample_spec())).ok());
    ASSERT_TRUE(log->commit().ok());
  }
  const SalvageReport report = salvage();
  EXPECT_EQ(report.lost, 0u);
  auto saved = open(at("saved"));
  ASSERT_NE(saved, nullptr);
  expect_whole(*saved);
  EXPECT_TRUE((*saved->episodes(2, 1))[0].ended.has_value());
  run_script(*saved);
  expect_whole(*saved);
}

TEST_F(SalvageTest, DoesNotTouchTheDamagedLog) {
  make(2);
  ruin(folder_ / "log/log.db", 4096);
  const auto read = [&] {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "log")) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all[entry.path().string()] = {std::istreambuf_iterator<char>(file), {}};
    }
    return all;
  };
  const auto untouched = read();
  salvage();
  EXPECT_TRUE(read() == untouched);
  EXPECT_EQ(salvage_log(posix_files(), folder_ / "log", at("saved")).status().code(),
            Code::kAlreadyExists);
  EXPECT_EQ(salvage_log(posix_files(), folder_ / "nothing", at("other")).status().code(),
            Code::kNotFound);
}

// Weights that were confirmed, a lease, a span; then an order.
class SalvagedActs : public SalvageTest {
 protected:
  void make_acts() {
    auto log = open(at("log"));
    run_script(*log, 12);
    const auto say = [&](const std::string& id, Payload payload) {
      ASSERT_TRUE(log->append(sample_event(id, 0, std::move(payload))).ok());
    };
    weights_ = log->next_weights_version();
    say("accepted", WeightsAccepted{.version = weights_, .report = "{}"});
    say("promoted", WeightsPromoted{.version = weights_});
    lease_ = log->next_lease_epoch();
    say("lease", LeaseGranted{.epoch = lease_});
    ASSERT_TRUE(log->commit().ok());
    end_ = log->durable();
  }
  WeightsVersion confirmed(Log& log) {
    WeightsVersion version = 0;
    const auto events = log.weights_events(1, SIZE_MAX);
    for (const Event& event : *events) {
      if (const auto* p = std::get_if<WeightsPromoted>(&event.payload)) version = p->version;
      if (const auto* p = std::get_if<WeightsRolledBack>(&event.payload)) version = p->to;
    }
    return version;
  }
  WeightsVersion weights_ = 0;
  LeaseEpoch lease_ = 0;
  Sequence end_ = 0;
};

TEST_F(SalvagedActs, OfAWholeDatabaseKeepWhatIsConfirmed) {
  make_acts();
  const std::string segment = folder_ / "log/segments/episode-000000002.seg";
  ruin(segment, std::filesystem::file_size(segment) / 2, 8);
  const SalvageReport report = salvage({.head = end_});
  EXPECT_TRUE(report.certain);
  auto saved = open(at("saved"));
  EXPECT_EQ(confirmed(*saved), weights_);
  EXPECT_EQ(saved->next_lease_epoch(), lease_ + 1);
}

// Wherever the damage is: nothing that may have been taken back is booted, and no number is given
// a second time.
TEST_F(SalvagedActs, OfADamagedDatabaseBootNothingPauseLearningAndGiveNoNumberTwice) {
  make_acts();
  const std::string database = folder_ / "log/log.db";
  const auto size = std::filesystem::file_size(database);
  std::filesystem::copy_file(database, folder_ / "whole.db");
  std::uint64_t uncertain = 0;
  for (std::uint64_t at_byte = 0; at_byte + 512 < size; at_byte += 6007) {
    SCOPED_TRACE(at_byte);
    std::filesystem::copy_file(folder_ / "whole.db", database,
                               std::filesystem::copy_options::overwrite_existing);
    ruin(database, at_byte, 64);
    const SalvageReport report = salvage({.head = end_, .weights = weights_});
    auto saved = open(at("saved"));
    ASSERT_NE(saved, nullptr);
    EXPECT_GT(saved->durable(), end_);
    if (report.certain) {  // the damage is where nothing stands
      EXPECT_EQ(report.lost, 0u);
      EXPECT_EQ(confirmed(*saved), weights_);
      continue;
    }
    ++uncertain;
    EXPECT_EQ(confirmed(*saved), 0u);
    EXPECT_EQ(saved->events({"learning_paused"}, 1, 10)->size(), 1u);
    const EpisodeId episode = saved->next_episode_id();
    EXPECT_GT(episode, 12u);
    saved.reset();
    saved = open(at("saved"));  // not a matter of this boot only
    EXPECT_EQ(saved->next_episode_id(), episode);
    EXPECT_GT(saved->next_lease_epoch(), lease_ + 1000);
    EXPECT_GT(saved->next_weights_version(), weights_ + 1000);
  }
  EXPECT_GE(uncertain, 3u);
}

TEST_F(SalvagedActs, WithoutADatabaseAreCountedByTheSignedHead) {
  make_acts();
  std::filesystem::remove(folder_ / "log/log.db");
  const SalvageReport report = salvage({.head = end_, .weights = 7});
  EXPECT_FALSE(report.certain);
  auto saved = open(at("saved"));
  EXPECT_GT(saved->durable(), end_ + 500) << "and what may have followed it";
  EXPECT_GT(saved->next_lease_epoch(), end_);
  EXPECT_GT(saved->next_weights_version(), 7u);
}

// With nothing but what is known from elsewhere, nobody knows what was there.
TEST_F(SalvageTest, OfALogThatHoldsNothingIsCertainOnlyWhenNothingElseSpeaksOfEntries) {
  for (const SalvageKnown& known :
       {SalvageKnown{.head = 5}, SalvageKnown{.weights = 2}, SalvageKnown{.cut_off = true}}) {
    std::filesystem::remove_all(folder_ / "log");
    open(at("log")).reset();
    const SalvageReport report = salvage(known);
    EXPECT_FALSE(report.certain);
    auto saved = open(at("saved"));
    EXPECT_GT(saved->durable(), known.head);
    EXPECT_GT(saved->next_weights_version(), known.weights + 1000);
  }
}

// An older database, with the segments of later on: what it does not know is there all the same.
TEST_F(SalvageTest, OfAnOlderDatabaseTheStepsBehindItsEndAreSaved) {
  std::set<Sequence> steps;
  Sequence end = 0;
  {
    auto log = open(at("log"));
    run_script(*log, 1);
    ASSERT_TRUE(log->start_episode(test::sample_spec()).ok());
    ASSERT_TRUE(log->append(sample_event("s", 2, EpisodeStarted{})).ok());
    Random random(1);
    for (std::uint32_t i = 0; i < 9; ++i) {
      const auto step = log->append(test::sample_step(random, 2, i, test::sample_spec()));
      ASSERT_TRUE(step.ok());
      steps.insert(*step);
      if (i != 3) continue;
      ASSERT_TRUE(log->commit().ok());
      ASSERT_TRUE(log->checkpoint().ok());
      std::filesystem::copy_file(folder_ / "log/log.db", folder_ / "older.db");
    }
    const auto last = log->append(sample_event("last", 2, Label{2, 0, LabelValue::kSuccess}));
    ASSERT_TRUE(last.ok());
    ASSERT_TRUE(log->commit().ok());
    end = *last;
  }
  std::filesystem::remove(folder_ / "log/log.db-wal");
  std::filesystem::rename(folder_ / "older.db", folder_ / "log/log.db");
  const std::string segment = folder_ / "log/segments/episode-000000002.seg";
  const auto bytes = std::filesystem::file_size(segment);
  LogOptions options = at("log");
  options.known_end = end;
  const auto opened = Log::open(posix_files(), options);
  ASSERT_EQ(opened.status().code(), Code::kDataLoss);
  EXPECT_NE(opened.status().message().find("nudge log salvage"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(segment), bytes) << "it was cut to what the database knows";
  const SalvageReport report = salvage({.head = end});
  EXPECT_FALSE(report.certain);
  EXPECT_EQ(report.lost, 1u) << "the label alone";
  auto saved = open(at("saved"));
  ASSERT_NE(saved, nullptr);
  for (const FeedItem& item : items_of(*saved)) {
    const auto* run = std::get_if<StepsRef>(&item);
    if (run == nullptr) continue;
    for (Sequence step = run->first; step <= run->last; ++step) steps.erase(step);
  }
  EXPECT_TRUE(steps.empty()) << "step " << *steps.begin() << " is gone";
}

TEST_F(SalvagedActs, OfACutLogReachAsFarAsItsSignedHead) {
  make_acts();
  const SalvageReport report = salvage({.head = end_ + 5});
  EXPECT_FALSE(report.certain);
  EXPECT_EQ(report.lost, 5u);
  auto saved = open(at("saved"));
  EXPECT_EQ(confirmed(*saved), 0u);
}

TEST_F(SalvagedActs, AreRefusedWithAHeadOfAnotherLog) {
  make_acts();
  const auto report =
      salvage_log(posix_files(), folder_ / "log", at("saved"), {.head = end_ + kMaxMissing + 1});
  EXPECT_EQ(report.status().code(), Code::kDataLoss);
  EXPECT_NE(report.status().message().find("head.json"), std::string::npos);
}

TEST(Floors, AreReadAsTheyWereWritten) {
  const Floors floors{.episode = 7, .span = 0, .weights = 100'020, .lease = INT64_MAX / 2};
  EXPECT_EQ(Floors::parse("5 entries could not be read; " + floors.print()), floors);
  for (const char* text :
       {"", "numbers go on behind episode", "numbers go on behind episode 1, span 2, weights 3",
        "numbers go on behind episode 1, span 2, weights 3, lease 4 and more",
        "numbers go on behind episode 1, span 2, weights 3, lease 18446744073709551615",
        "numbers go on behind episode -1, span 2, weights 3, lease 4"}) {
    EXPECT_EQ(Floors::parse(text), std::nullopt) << text;
  }
}

// ---- a log that version 0.1.0 of the program made ----

TEST(LogVersion, OneOfTheFirstVersionIsReadAndGoesOn) {
  TempFolder folder;
  std::filesystem::copy(test::test_data() + "/log/v1", folder / "log",
                        std::filesystem::copy_options::recursive);
  auto log = open(script_options(folder / "log"));
  ASSERT_NE(log, nullptr);
  EXPECT_TRUE(log->recovery().damaged.empty());
  const auto report = log->verify();
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->ok()) << report->problems.front();
  EXPECT_EQ(report->events, 56u);
  EXPECT_EQ(report->steps, 126u);
  EXPECT_EQ(report->last, 182u);
  EXPECT_EQ((*log->episodes(1, 10)).size(), 2u);
  EXPECT_EQ((*log->weights_events(1, 100)).size(), 8u);
  run_script(*log);
  const auto again = log->verify();
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->ok()) << again->problems.front();
}

}  // namespace
}  // namespace nudge
