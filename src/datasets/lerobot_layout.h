// How a LeRobot data set is laid out, in the two versions that are in use: v3.0, and v2.1, which
// openpi reads. The one place that names its features and files.
// docs/reference/lerobot-datasets.md says what each column means.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/datasets/feature_statistics.h"
#include "src/datasets/jpeg.h"
#include "src/datasets/parquet.h"
#include "src/datasets/video.h"

namespace nudge {

enum class LerobotVersion : std::uint8_t { kV21, kV30 };
enum class PictureStorage : std::uint8_t { kNone, kEmbedded, kVideo };

std::string version_name(LerobotVersion version);  // "v3.0"

// Names of our columns.
namespace lerobot {
inline constexpr const char* kState = "observation.state";
inline constexpr const char* kEnvironment = "observation.environment_state";
inline constexpr const char* kFeatures = "observation.features";
inline constexpr const char* kPicturePrefix = "observation.images.";
inline constexpr const char* kAction = "action";
inline constexpr const char* kPolicyAction = "policy_action";
inline constexpr const char* kRequestedAction = "requested_action";
}  // namespace lerobot

// One column of the data, as info.json declares it.
struct LerobotFeature {
  std::string name;
  std::string dtype;  // "float32", "int64", "bool", "image", "video", "language"
  std::vector<std::size_t> shape;
  std::vector<std::string> names;  // empty: null
};

struct LerobotCamera {
  std::string name;
  PictureSize size;  // as it is stored
  friend bool operator==(const LerobotCamera&, const LerobotCamera&) = default;
};

// What all episodes of a data set have in common. It is fixed when the data set is made.
struct LerobotShape {
  LerobotVersion version = LerobotVersion::kV30;
  PictureStorage pictures = PictureStorage::kEmbedded;
  VideoCodec codec = VideoCodec::kAv1;    // kVideo
  int fps = 10;                           // rows a second, 1..1,000
  std::string robot;                      // type of the robot, for people
  std::string source;                     // which log the episodes come from
  std::vector<std::string> state;         // names of the proprioception's channels
  std::vector<std::string> features;      // names of what the backbone gave; empty: not kept
  bool features_are_environment = false;  // they are the robot's own object state
  std::string backbone;                   // hex hash that keys the features
  std::vector<std::string> action;        // names of the action's channels
  std::vector<LerobotCamera> cameras;

  friend bool operator==(const LerobotShape&, const LerobotShape&) = default;

  std::vector<LerobotFeature> columns() const;      // in the order of the file
  std::vector<std::string> video_features() const;  // those that are kept as videos
};

// One episode of a data set.
struct LerobotEpisode {
  std::uint64_t index = 0;         // in the data set, from 0
  std::uint64_t from = 0;          // index of its first row in the data set
  std::uint64_t length = 0;        // rows
  std::uint64_t group = 0;         // which file of data and videos it lies in
  std::uint64_t group_row = 0;     // its first row in that file
  std::vector<std::string> tasks;  // in order of appearance
  EpisodeId log_episode = 0;
  std::string event;                // id of the log's episode_started
  std::string judged;               // hash of what people had said about it when it was exported
  std::string purpose;              // "deployment", "demonstration", "evaluation"
  std::string outcome;              // "none", "success", "failure"
  std::vector<std::string> people;  // who corrected it
  std::vector<std::string> words;   // what they said, "12 Ada: lower"
  std::uint64_t interventions = 0;  // rows in which a person drove or bent the policy
  std::int64_t weights = 0;         // newest version that acted
  std::map<std::string, FeatureStatistics> statistics;  // by feature
};

// Paths below the data set's folder.
std::string data_path(LerobotVersion version, std::uint64_t group);
std::string video_path(LerobotVersion version, const std::string& feature, std::uint64_t group);

// meta/info.json.
std::string info_json(const LerobotShape& shape, std::uint64_t episodes, std::uint64_t rows,
                      std::size_t tasks, std::uint64_t groups);
// meta/stats.json of v3.0.
std::string stats_json(const std::map<std::string, FeatureStatistics>& statistics);
// A line of v2.1's meta/tasks.jsonl, meta/episodes.jsonl and meta/episodes_stats.jsonl.
std::string task_line(std::size_t index, const std::string& task);
std::string episode_line(const LerobotEpisode& episode);
std::string episode_stats_line(const LerobotEpisode& episode);

// The export's own book, meta/nudge.jsonl: the shape in the first line, then an episode a line.
// It is what a later run goes on from; LeRobot does not read it.
std::string ledger_head(const LerobotShape& shape);
std::string ledger_line(const LerobotEpisode& episode);
// Bounded, strict. kDataLoss; kUnimplemented for a newer version.
Result<LerobotShape> parse_ledger_head(std::string_view line);
Result<LerobotEpisode> parse_ledger_line(std::string_view line);

// The pandas metadata that makes "task" the index of meta/tasks.parquet.
std::string pandas_task_index();

}  // namespace nudge
