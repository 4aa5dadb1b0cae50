// Out of a log, into a data set, into another log.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "policy/instruction_features.h"
#include "replay/segment_reader.h"
#include "src/datasets/lerobot_export.h"
#include "src/datasets/lerobot_import.h"
#include "src/datasets/lerobot_source.h"
#include "src/datasets/parquet_reader.h"
#include "src/datasets/parquet_writer.h"
#include "test/support/faulty_files.h"
#include "test/support/golden.h"
#include "test/support/long_form.h"
#include "test/support/taught_log.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::FaultyFiles;
using test::TaughtLog;
using test::TempFolder;
namespace fs = std::filesystem;

RobotNames arm() {
  RobotNames names;
  names.robot = "arm-1";
  names.state = {"shoulder", "elbow", "gripper"};
  names.object_state = {"block_x", "block_y"};
  names.state_backbone = std::string(64, 'b');
  names.action = {"shoulder", "gripper"};
  names.policy_period = std::chrono::milliseconds(100);
  return names;
}

LerobotExportOptions export_options(const std::string& dir) {
  LerobotExportOptions options;
  options.dir = dir;
  options.robot = arm();
  options.source = "boot/first";
  return options;
}

Result<LerobotExportReport> run_export(Log& log, const LerobotExportOptions& options,
                                       FileSystem& files = posix_files()) {
  return export_lerobot(files, log, options, [](std::uint64_t, std::uint64_t) {});
}

LerobotImportOptions import_options(const std::string& dir, const std::string& scratch) {
  LerobotImportOptions options;
  options.dir = dir;
  options.scratch = scratch;
  options.boot = "import";
  options.robot = arm();
  options.segment = test::taught_spec();
  return options;
}

Result<LerobotImportReport> run_import(Log& log, const LerobotImportOptions& options) {
  return import_lerobot(posix_files(), log, options, [](std::uint64_t, std::uint64_t) {});
}

std::unique_ptr<Log> empty_log(const std::string& dir) {
  LogOptions options;
  options.dir = dir;
  options.boot = "other";
  options.ballast_bytes = 4 << 10;
  auto log = Log::open(posix_files(), options);
  EXPECT_TRUE(log.ok()) << log.status().message();
  return *std::move(log);
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Every file of a data set but the lock, with its bytes.
std::map<std::string, std::string> contents(const std::string& dir) {
  std::map<std::string, std::string> out;
  if (!fs::exists(dir)) return out;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    const std::string name = fs::relative(entry.path(), dir).string();
    if (entry.is_regular_file() && name.rfind(".nudge/", 0) != 0) out[name] = text_of(entry.path());
  }
  return out;
}

// A column of a Parquet file, each row as a text.
std::vector<std::string> column(const std::string& path, const std::string& field,
                                const std::string& last = "") {
  auto reader = ParquetReader::open(posix_files(), path);
  EXPECT_TRUE(reader.ok()) << reader.status().message();
  const std::size_t leaf = (*reader)->find(field, last);
  EXPECT_NE(leaf, ParquetReader::npos) << field;
  if (leaf == ParquetReader::npos) return {};
  ParquetColumn from = (*reader)->column(leaf);
  ParquetCells cells;
  std::vector<std::string> rows;
  while (true) {
    const auto more = from.next(cells);
    EXPECT_TRUE(more.ok()) << more.status().message();
    if (!more.ok() || !*more) return rows;
    std::ostringstream row;
    for (const std::int64_t v : cells.whole) row << v << ' ';
    for (const double v : cells.real) row << v << ' ';
    for (const std::string& v : cells.text) row << v << ' ';
    std::string text = row.str();
    if (!text.empty()) text.pop_back();
    rows.push_back(text);
  }
}

using Rows = std::vector<std::string>;

constexpr const char* kData = "data/chunk-000/file-000.parquet";
constexpr const char* kEpisodes = "meta/episodes/chunk-000/file-000.parquet";

TEST(Lerobot, EpisodesAreTakenByPurposeAndLabel) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  for (int i = 0; i < 5; ++i) taught.episode();
  const auto report = run_export(taught.log(), export_options(folder / "set"));
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->new_episodes, 3u);  // neither the discarded one nor the evaluation
  EXPECT_EQ(report->rows, 36u);
  EXPECT_TRUE(report->skipped.empty());
  EXPECT_EQ(column(folder / "set/" + kEpisodes, "log_episode"), (Rows{"1", "2", "3"}));
  EXPECT_EQ(column(folder / "set/" + kEpisodes, "outcome"), (Rows{"success", "none", "success"}));
  EXPECT_EQ(column(folder / "set/" + kEpisodes, "dataset_to_index"), (Rows{"12", "24", "36"}));
  EXPECT_EQ(column(folder / "set/meta/tasks.parquet", "task"),
            (Rows{"lift it", "put it down", "push it"}));
}

TEST(Lerobot, ColumnsSayWhoDroveAndWhatPeopleSaid) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  for (int i = 0; i < 3; ++i) taught.episode();
  LerobotExportOptions options = export_options(folder / "set");
  options.first = options.last = 2;
  const auto report = run_export(taught.log(), options);
  ASSERT_TRUE(report.ok()) << report.status().message();
  const std::string path = folder / "set/" + kData;
  EXPECT_EQ(column(path, "intervention"),
            (Rows{"0", "0", "0", "0", "1", "1", "1", "1", "1", "0", "0", "0"}));
  EXPECT_EQ(column(path, "segment"),
            (Rows{"0", "0", "0", "0", "1", "1", "2", "2", "2", "0", "0", "0"}));
  EXPECT_EQ(column(path, "control_source"),
            (Rows{"1", "1", "1", "1", "2", "2", "2", "2", "2", "1", "1", "1"}));
  EXPECT_EQ(column(path, "discarded"),
            (Rows{"0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "1", "0"}));
  EXPECT_EQ(column(path, "task_index"),
            (Rows{"0", "0", "0", "0", "0", "0", "0", "0", "0", "1", "1", "1"}));
  EXPECT_EQ(column(path, "weight_version"), Rows(12, "7"));
  EXPECT_EQ(column(path, "next.done"),
            (Rows{"0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "1"}));
  Rows heard(12);
  heard[4] = "a bit lower";
  EXPECT_EQ(column(path, "language_events", "content"), heard);
  EXPECT_EQ(column(path, "language_persistent", "content"), Rows(12, "lift it put it down"));
  EXPECT_EQ(column(path, "language_persistent", "timestamp"), Rows(12, "0 0.9"));
  EXPECT_EQ(column(folder / "set/" + kEpisodes, "people"), (Rows{"Ada \xC3\xA9"}));
  EXPECT_EQ(column(folder / "set/" + kEpisodes, "interventions"), (Rows{"5"}));
}

TEST(Lerobot, ASecondRunAddsWhatIsNew) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  for (int i = 0; i < 3; ++i) taught.episode();
  const LerobotExportOptions options = export_options(folder / "set");
  ASSERT_TRUE(run_export(taught.log(), options).ok());
  const auto before = contents(folder / "set");
  const auto same = run_export(taught.log(), options);
  ASSERT_TRUE(same.ok()) << same.status().message();
  EXPECT_EQ(same->new_episodes, 0u);
  EXPECT_EQ(contents(folder / "set"), before);
  for (int i = 0; i < 4; ++i) taught.episode();
  const auto more = run_export(taught.log(), options);
  ASSERT_TRUE(more.ok()) << more.status().message();
  EXPECT_EQ(more->new_episodes, 2u);  // 6 and 7
  EXPECT_EQ(more->episodes, 5u);
  EXPECT_EQ(text_of(folder / "set/" + kData), before.at(kData));  // what was there stays
  EXPECT_EQ(column(folder / "set/data/chunk-000/file-001.parquet", "index").front(), "36");
  EXPECT_EQ(column(folder / "set/" + kEpisodes, "data/file_index"),
            (Rows{"0", "0", "0", "1", "1"}));
}

TEST(Lerobot, LabelsThatComeLateAreReported) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  for (int i = 0; i < 3; ++i) taught.episode();
  ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
  taught.label(2, LabelValue::kFailure);
  ASSERT_TRUE(taught.log().commit().ok());
  const auto report = run_export(taught.log(), export_options(folder / "set"));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->relabelled, 1u);
}

TEST(Lerobot, ARunThatWasBrokenOffAnywhereIsFinishedByTheNext) {
  for (const LerobotVersion version : {LerobotVersion::kV30, LerobotVersion::kV21}) {
    TempFolder folder(TempFolder::Where::kMemory);
    TaughtLog taught(folder / "log");
    for (int i = 0; i < 3; ++i) taught.episode(4);
    LerobotExportOptions options = export_options(folder / "whole");
    options.version = version;
    options.group_rows = 8;  // two files of v3.0
    FaultyFiles files(posix_files());
    files.plan({});
    ASSERT_TRUE(run_export(taught.log(), options, files).ok());
    const std::uint64_t calls = files.calls();
    const auto whole = contents(folder / "whole");
    const std::uint64_t stride = test::long_form() ? 1 : 1 + calls / 40;
    for (std::uint64_t at = 1; at <= calls; at += stride) {
      SCOPED_TRACE("broken off at call " + std::to_string(at));
      const std::string dir = folder / ("at-" + std::to_string(at));
      options.dir = dir;
      files.plan({.at = at, .for_good = true});
      (void)run_export(taught.log(), options, files);
      // Whatever has a final name is whole: a Parquet file opens.
      for (const auto& [name, bytes] : contents(dir)) {
        if (name.ends_with(".parquet")) {
          EXPECT_TRUE(ParquetReader::open(posix_files(), dir + "/" + name).ok()) << name;
        }
      }
      const auto report = run_export(taught.log(), options);
      ASSERT_TRUE(report.ok()) << report.status().message();
      EXPECT_EQ(report->episodes, 3u);
      ASSERT_EQ(contents(dir).size(), whole.size());
      for (const auto& [name, bytes] : contents(dir)) EXPECT_EQ(bytes, whole.at(name)) << name;
      fs::remove_all(dir);
    }
  }
}

TEST(Lerobot, AnotherLogOrFormIsNotMixedIn) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  taught.episode();
  LerobotExportOptions options = export_options(folder / "set");
  ASSERT_TRUE(run_export(taught.log(), options).ok());
  options.version = LerobotVersion::kV21;
  EXPECT_EQ(run_export(taught.log(), options).status().code(), Code::kFailedPrecondition);
  options.version = LerobotVersion::kV30;
  options.source = "another/log";
  EXPECT_EQ(run_export(taught.log(), options).status().code(), Code::kFailedPrecondition);
  fs::create_directories(folder / "foreign/meta");
  std::ofstream(folder / "foreign/meta/info.json") << "{}";
  options.dir = folder / "foreign";
  EXPECT_EQ(run_export(taught.log(), options).status().code(), Code::kAlreadyExists);
}

TEST(Lerobot, AnEpisodeThatDoesNotFitIsLeftOutAndNamed) {
  TempFolder folder;
  {
    TaughtLog taught(folder / "log");
    taught.episode();
  }
  TaughtLog blind(folder / "log", 2, /*pictures=*/false);
  blind.episode();
  const auto report = run_export(blind.log(), export_options(folder / "set"));
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->skipped.size(), 1u);
  EXPECT_EQ(report->skipped[0].first, 2u);
  EXPECT_NE(report->skipped[0].second.find("front"), std::string::npos);
}

TEST(Lerobot, PicturesOfLaterEpisodesAreNotLostToEarlierOnesWithout) {
  TempFolder folder;
  {
    TaughtLog blind(folder / "log", 1, /*pictures=*/false);
    blind.episode();
  }
  TaughtLog taught(folder / "log", 2);
  taught.episode();
  const auto report = run_export(taught.log(), export_options(folder / "set"));
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->shape.cameras.size(), 2u);
  ASSERT_EQ(report->skipped.size(), 1u);
  EXPECT_EQ(report->skipped[0].first, 1u);
  LerobotExportOptions all = export_options(folder / "all");
  all.pictures = PictureStorage::kNone;
  EXPECT_EQ(run_export(taught.log(), all)->episodes, 2u);
}

TEST(Lerobot, DescriptionsAreThoseOfTheGoldenFiles) {
  for (const LerobotVersion version : {LerobotVersion::kV30, LerobotVersion::kV21}) {
    TempFolder folder;
    TaughtLog taught(folder / "log");
    for (int i = 0; i < 3; ++i) taught.episode();
    LerobotExportOptions options = export_options(folder / "set");
    options.version = version;
    ASSERT_TRUE(run_export(taught.log(), options).ok());
    const std::string info = text_of(folder / "set/meta/info.json");
    EXPECT_EQ(info, test::golden("datasets/info-" + version_name(version) + ".json", info));
    std::string schema;
    const std::string data = version == LerobotVersion::kV30
                                 ? kData
                                 : std::string("data/chunk-000/episode_000000.parquet");
    auto reader = ParquetReader::open(posix_files(), folder / "set/" + data);
    ASSERT_TRUE(reader.ok());
    for (const ParquetLeaf& leaf : (*reader)->leaves()) {
      for (const std::string& name : leaf.path) schema += name + "/";
      schema += " type " + std::to_string(static_cast<int>(leaf.type)) + " definition " +
                std::to_string(leaf.max_definition) + " repetition " +
                std::to_string(leaf.max_repetition) + "\n";
    }
    EXPECT_EQ(schema, test::golden("datasets/schema-" + version_name(version) + ".txt", schema));
  }
}

// What of an episode survives the way out and in again.
struct Kept {
  std::vector<std::vector<float>> state, features, action;
  std::vector<std::vector<std::byte>> pictures;
  std::string instruction;
  LabelValue outcome = LabelValue::kNone;
  bool operator==(const Kept&) const = default;
};

std::vector<Kept> kept(Log& log, const std::vector<EpisodeId>& wanted, bool pictures = true) {
  std::vector<Kept> out;
  for (const EpisodeId id : wanted) {
    const auto found = log.episodes(id, 1);
    EXPECT_TRUE(found.ok() && found->size() == 1);
    Kept k;
    k.instruction = found->front().instruction;
    k.outcome = found->front().outcome;
    auto reader = SegmentReader::open(posix_files(), found->front().path);
    EXPECT_TRUE(reader.ok());
    std::map<std::size_t, std::vector<std::byte>> shown;
    std::vector<std::map<std::size_t, std::vector<std::byte>>> rows;
    const auto whole = (*reader)->scan(
        (*reader)->first(), found->front().bytes, [&](const StepView& view, const RecordPlace&) {
          k.state.emplace_back(view.proprioception.begin(), view.proprioception.end());
          std::vector<float> features(view.features.size());
          to_float(view.features, features);
          k.features.push_back(features);
          k.action.emplace_back(view.executed.begin(), view.executed.end());
          for (std::size_t i = 0; i < view.images; ++i) {
            const ImageView image = view.image(i);
            shown[image.camera].assign(image.jpeg.begin(), image.jpeg.end());
          }
          rows.push_back(shown);
          return true;
        });
    EXPECT_TRUE(whole.ok() && *whole);
    if (pictures) {
      for (const auto& row : rows) {
        for (const auto& [camera, jpeg] : row) k.pictures.push_back(jpeg);
      }
    }
    out.push_back(std::move(k));
  }
  return out;
}

TEST(Lerobot, WhatGoesOutComesInTheSame) {
  for (const LerobotVersion version : {LerobotVersion::kV30, LerobotVersion::kV21}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      TempFolder folder(TempFolder::Where::kMemory);
      TaughtLog taught(folder / "log", seed);
      for (int i = 0; i < 8; ++i) {
        taught.episode(1 + static_cast<std::uint32_t>(taught.random().below(20)));
      }
      LerobotExportOptions options = export_options(folder / "set");
      options.version = version;
      options.evaluations = true;
      options.group_rows = 15;
      const auto exported = run_export(taught.log(), options);
      ASSERT_TRUE(exported.ok()) << exported.status().message();
      ASSERT_EQ(exported->episodes, 7u);
      auto log = empty_log(folder / "other");
      const auto imported = run_import(*log, import_options(folder / "set", folder.path()));
      ASSERT_TRUE(imported.ok()) << imported.status().message();
      EXPECT_EQ(imported->new_episodes, 7u);
      EXPECT_EQ(kept(*log, {1, 2, 3, 4, 5, 6, 7}), kept(taught.log(), {1, 2, 3, 5, 6, 7, 8}));
      const auto episodes = log->episodes(1, 100);
      for (const EpisodeSummary& e : *episodes) {
        EXPECT_EQ(e.purpose, EpisodePurpose::kDemonstration);
        EXPECT_TRUE(e.ended);
      }
      EXPECT_TRUE((*log->verify()).ok());
    }
  }
}

TEST(Lerobot, ImportingTwiceChangesNothing) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  for (int i = 0; i < 3; ++i) taught.episode();
  ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
  auto log = empty_log(folder / "other");
  ASSERT_TRUE(run_import(*log, import_options(folder / "set", folder.path())).ok());
  const Sequence before = log->durable();
  const auto again = run_import(*log, import_options(folder / "set", folder.path()));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->new_episodes, 0u);
  EXPECT_EQ(again->known_episodes, 3u);
  EXPECT_EQ(log->durable(), before);
}

TEST(Lerobot, AnImportThatWasKilledIsDiscardedAndDoneAnew) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  taught.episode(6);
  ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
  {
    // As far as the middle of the episode: its beginning is in the log, its end is not.
    auto log = empty_log(folder / "other");
    ASSERT_TRUE(run_import(*log, import_options(folder / "set", folder.path())).ok());
    auto killed = empty_log(folder / "killed");
    SegmentSpec spec = test::taught_spec();
    ASSERT_TRUE(killed->start_episode(spec).ok());
    Event begun = (*log->events({"episode_started"}, 1, 1)).front();
    ASSERT_TRUE(killed->append(begun).ok());
    ASSERT_TRUE(killed->commit().ok());
  }
  auto log = empty_log(folder / "killed");
  const auto report = run_import(*log, import_options(folder / "set", folder.path()));
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->new_episodes, 1u);
  const auto episodes = log->episodes(1, 10);
  ASSERT_EQ(episodes->size(), 2u);
  EXPECT_EQ((*episodes)[0].outcome, LabelValue::kDiscard);
  EXPECT_EQ((*episodes)[1].steps, 6u);
}

void expect_refused(const std::string& dir, const LerobotImportOptions& options,
                    const std::string& said) {
  auto log = empty_log(dir);
  const auto report = run_import(*log, options);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.status().message().find(said), std::string::npos) << report.status().message();
  EXPECT_EQ((*log->episodes(1, 10)).size(), 0u);
}

TEST(Lerobot, WhatDoesNotFitTheRobotIsRefusedByName) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  taught.episode();
  ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
  const LerobotImportOptions fits = import_options(folder / "set", folder.path());

  LerobotImportOptions options = fits;
  options.robot.action = {"shoulder", "wrist"};
  expect_refused(folder / "a", options, "action has no \"wrist\"");
  options = fits;
  options.segment.proprioception_size = 4;
  options.robot.state.clear();
  expect_refused(folder / "b", options, "observation.state has 3 numbers");
  options = fits;
  options.robot.policy_period = std::chrono::milliseconds(50);
  expect_refused(folder / "c", options, "10 rows a second");
  options = fits;
  options.robot.object_state = {"block_x", "lid_angle"};
  expect_refused(folder / "d", options, "--without-features");
  options = fits;
  options.dir = folder / "nothing";
  expect_refused(folder / "e", options, "no LeRobot data set");
}

TEST(Lerobot, ChannelsAreFoundByName) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  taught.episode();
  ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
  LerobotImportOptions options = import_options(folder / "set", folder.path());
  options.robot.action = {"gripper", "shoulder"};
  auto log = empty_log(folder / "other");
  ASSERT_TRUE(run_import(*log, options).ok());
  const auto before = kept(taught.log(), {1}), after = kept(*log, {1});
  for (std::size_t i = 0; i < before[0].action.size(); ++i) {
    EXPECT_EQ(after[0].action[i][0], before[0].action[i][1]);
    EXPECT_EQ(after[0].action[i][1], before[0].action[i][0]);
  }
}

TEST(Lerobot, WhereThePolicyHearsTheTaskItStandsBehindTheObjectState) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  taught.episode();
  ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
  LerobotImportOptions options = import_options(folder / "set", folder.path());
  ObservationSpec seen;
  for (const std::string& name : options.robot.object_state) {
    seen.object_state.push_back({.name = name, .unit = "m", .lower = -1, .upper = 1});
  }
  const auto encode = [](const std::string& text) -> Result<std::vector<float>> {
    return hashed_sentence(text);
  };
  auto eyes = make_state_backbone(seen);
  ASSERT_TRUE(eyes.ok());
  auto ears = with_instruction(*std::move(eyes), encode, "hashed words 1", 4);
  ASSERT_TRUE(ears.ok());
  options.backbone = *std::move(ears);
  options.segment.feature_size = 6;
  options.segment.backbone_hash = options.backbone->hash();
  auto log = empty_log(folder / "other");
  ASSERT_TRUE(run_import(*log, options).ok());

  const auto before = kept(taught.log(), {1}), after = kept(*log, {1});
  const std::vector<float> words = project_sentence(hashed_sentence(after[0].instruction), 4);
  ASSERT_FALSE(after[0].features.empty());
  for (std::size_t i = 0; i < after[0].features.size(); ++i) {
    std::vector<float> expected = before[0].features[i];
    expected.insert(expected.end(), words.begin(), words.end());
    ASSERT_EQ(after[0].features[i].size(), expected.size());
    for (std::size_t j = 0; j < expected.size(); ++j) {
      EXPECT_NEAR(after[0].features[i][j], expected[j], 1e-3) << "row " << i;  // kept in 16 bits
    }
  }
}

TEST(Lerobot, PositionsAreNoRates) {
  TempFolder folder;
  TaughtLog taught(folder / "log");
  taught.largest = 2;
  taught.episode();
  ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
  expect_refused(folder / "other", import_options(folder / "set", folder.path()),
                 "a rate between -1 and 1");
}

TEST(Lerobot, GoalPositionsBecomeTheRatesThatLeadThere) {
  TempFolder folder;
  {
    TaughtLog taught(folder / "log");
    taught.episode();
    ASSERT_TRUE(run_export(taught.log(), export_options(folder / "set")).ok());
    LerobotImportOptions options = import_options(folder / "set", folder.path());
    options.positions_at = 0.5;
    expect_refused(folder / "a", options, "3 numbers of state for 2 of action");
  }
  // One number of state and of action, in degrees; goals as positions.
  fs::create_directories(folder / "arm/meta/episodes/chunk-000");
  fs::create_directories(folder / "arm/data/chunk-000");
  std::ofstream(folder / "arm/meta/info.json") << R"({
    "codebase_version": "v2.1", "fps": 10, "total_episodes": 1, "total_frames": 3, "chunks_size": 1000,
    "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet", "video_path": null,
    "features": {
      "observation.state": {"dtype": "float32", "shape": [2], "names": {"motors": ["elbow.pos", "gripper.pos"]}},
      "action": {"dtype": "float32", "shape": [2], "names": {"motors": ["elbow.pos", "gripper.pos"]}}}})";
  std::ofstream(folder / "arm/meta/tasks.jsonl") << R"({"task_index": 0, "task": "fold"})";
  std::ofstream(folder / "arm/meta/episodes.jsonl")
      << R"({"episode_index": 0, "tasks": ["fold"], "length": 3})";
  auto writer =
      ParquetWriter::create(posix_files(), folder / "arm/data/chunk-000/episode_000000.parquet",
                            {ParquetField::list("observation.state", ParquetType::kFloat),
                             ParquetField::list("action", ParquetType::kFloat),
                             ParquetField::value("episode_index", ParquetType::kInt64),
                             ParquetField::value("task_index", ParquetType::kInt64)});
  ASSERT_TRUE(writer.ok());
  const std::vector<std::vector<float>> state = {{90, 50}, {91, 50}, {92, 51}};
  const std::vector<std::vector<float>> goal = {{91, 50}, {100, 51}, {92, 50}};
  for (std::size_t row = 0; row < 3; ++row) {
    (*writer)->add(0, std::span<const float>(state[row]));
    (*writer)->add(1, std::span<const float>(goal[row]));
    (*writer)->add(2, std::int64_t{0});
    (*writer)->add(3, std::int64_t{0});
    ASSERT_TRUE((*writer)->end_row().ok());
  }
  ASSERT_TRUE((*writer)->finish().ok());
  LerobotImportOptions options;
  options.dir = folder / "arm";
  options.scratch = folder.path();
  options.boot = "import";
  options.segment.proprioception_size = 2;
  options.segment.action_size = 2;
  options.robot.state = options.robot.action = {"gripper", "elbow"};
  options.any_camera = true;
  options.positions_at = 0.5;
  options.units = LerobotUnits::kDegrees;
  auto log = empty_log(folder / "other");
  const auto report = run_import(*log, options);
  ASSERT_TRUE(report.ok()) << report.status().message();
  const Kept episode = kept(*log, {1}).front();
  EXPECT_EQ(episode.instruction, "fold");
  const float degree = 0.017453293f;
  const std::vector<std::vector<float>> rates = {{0, degree / 0.05f}, {0.2f, 1}, {-0.2f, 0}};
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_NEAR(episode.state[row][0], state[row][1] / 100, 1e-6);
    EXPECT_NEAR(episode.state[row][1], state[row][0] * degree, 1e-6);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(episode.action[row][i], rates[row][i], 1e-4);
  }
}

bool has_ffmpeg() {
  return find_ffmpeg().ok() && check_codec(*find_ffmpeg(), VideoCodec::kH264).ok();
}

TEST(Lerobot, VideosGoOutAndComeIn) {
  if (!has_ffmpeg()) GTEST_SKIP() << "ffmpeg is not installed";
  for (const LerobotVersion version : {LerobotVersion::kV30, LerobotVersion::kV21}) {
    TempFolder folder;
    TaughtLog taught(folder / "log");
    for (int i = 0; i < 3; ++i) taught.episode();
    LerobotExportOptions options = export_options(folder / "set");
    options.version = version;
    options.pictures = PictureStorage::kVideo;
    options.codec = VideoCodec::kH264;
    options.ffmpeg = *find_ffmpeg();
    const auto exported = run_export(taught.log(), options);
    ASSERT_TRUE(exported.ok()) << exported.status().message();
    EXPECT_TRUE(fs::exists(folder / "set/" + video_path(version, "observation.images.wrist", 0)));
    auto log = empty_log(folder / "other");
    const auto imported = run_import(*log, import_options(folder / "set", folder.path()));
    ASSERT_TRUE(imported.ok()) << imported.status().message();
    EXPECT_EQ(kept(*log, {1, 2, 3}, false), kept(taught.log(), {1, 2, 3}, false));
    // Pictures lose a little, and stay in their places: their red is each one's own.
    const auto red = [](const std::vector<std::byte>& jpeg) {
      const auto picture = decode_jpeg(jpeg);
      EXPECT_TRUE(picture.ok());
      double sum = 0;
      for (std::size_t i = 0; i < picture->rgb.size(); i += 3) sum += picture->rgb[i];
      return 3 * sum / static_cast<double>(picture->rgb.size());
    };
    const auto before = kept(taught.log(), {1, 2, 3}), after = kept(*log, {1, 2, 3});
    for (std::size_t e = 0; e < 3; ++e) {
      ASSERT_EQ(after[e].pictures.size(), before[e].pictures.size());
      for (std::size_t i = 0; i < before[e].pictures.size(); ++i) {
        EXPECT_NEAR(red(after[e].pictures[i]), red(before[e].pictures[i]), 12);
      }
    }
  }
}

}  // namespace
}  // namespace nudge
