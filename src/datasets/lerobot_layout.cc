#include "src/datasets/lerobot_layout.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace nudge {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kLedgerVersion = 1;
constexpr std::uint64_t kChunk = 1'000;  // files in a folder

constexpr std::array<const char*, kQuantiles.size()> kQuantileNames = {"q01", "q10", "q50", "q90",
                                                                       "q99"};

// Names and tasks come from people and robots; JSON is UTF-8 whatever they sent.
std::string text_of(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string numbered(const char* format, std::uint64_t a, std::uint64_t b) {
  char text[96];
  std::snprintf(text, sizeof text, format, static_cast<unsigned long long>(a),
                static_cast<unsigned long long>(b));
  return text;
}

// A picture's numbers are [3][1][1], so that they fit its channels, rows and columns.
Json values_of(const std::vector<double>& values, bool picture) {
  Json out = Json::array();
  for (const double value : values) {
    if (picture) {
      out.push_back(Json::array({Json::array({value})}));
    } else {
      out.push_back(value);
    }
  }
  return out;
}

bool is_picture(const std::string& feature) {
  return feature.rfind(lerobot::kPicturePrefix, 0) == 0;
}

Json statistics_json(const std::string& feature, const FeatureStatistics& s, bool quantiles) {
  const bool picture = is_picture(feature);
  Json out = {{"min", values_of(s.min, picture)},
              {"max", values_of(s.max, picture)},
              {"mean", values_of(s.mean, picture)},
              {"std", values_of(s.std, picture)},
              {"count", Json::array({s.count})}};
  if (quantiles) {
    for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
      out[kQuantileNames[q]] = values_of(s.quantile[q], picture);
    }
  }
  return out;
}

std::string storage_name(PictureStorage storage) {
  switch (storage) {
    case PictureStorage::kNone: return "none";
    case PictureStorage::kEmbedded: return "embedded";
    case PictureStorage::kVideo: return "video";
  }
  return "none";
}

Json feature_json(const LerobotFeature& feature, const LerobotShape& shape) {
  Json out = {{"dtype", feature.dtype}, {"shape", feature.shape}};
  out["names"] = feature.names.empty() ? Json(nullptr) : Json(feature.names);
  if (feature.dtype == "video") {
    out["info"] = {{"video.height", feature.shape[0]},
                   {"video.width", feature.shape[1]},
                   {"video.codec", codec_name(shape.codec)},
                   {"video.pix_fmt", "yuv420p"},
                   {"video.is_depth_map", false},
                   {"video.fps", shape.fps},
                   {"video.channels", 3},
                   {"has_audio", false}};
  }
  if (feature.name == lerobot::kFeatures) out["info"] = {{"backbone", shape.backbone}};
  return out;
}

}  // namespace

std::string version_name(LerobotVersion version) {
  return version == LerobotVersion::kV30 ? "v3.0" : "v2.1";
}

std::vector<std::string> LerobotShape::video_features() const {
  std::vector<std::string> names;
  if (pictures != PictureStorage::kVideo) return names;
  for (const LerobotCamera& camera : cameras) {
    names.push_back(lerobot::kPicturePrefix + camera.name);
  }
  return names;
}

std::vector<LerobotFeature> LerobotShape::columns() const {
  std::vector<LerobotFeature> out;
  const auto number = [&](const char* name, const char* dtype) {
    out.push_back({name, dtype, {1}, {}});
  };
  if (!state.empty()) out.push_back({lerobot::kState, "float32", {state.size()}, state});
  if (!features.empty()) {
    out.push_back({features_are_environment ? lerobot::kEnvironment : lerobot::kFeatures,
                   "float32",
                   {features.size()},
                   features});
  }
  if (pictures != PictureStorage::kNone) {
    for (const LerobotCamera& camera : cameras) {
      out.push_back({lerobot::kPicturePrefix + camera.name,
                     pictures == PictureStorage::kVideo ? "video" : "image",
                     {static_cast<std::size_t>(camera.size.height),
                      static_cast<std::size_t>(camera.size.width), 3},
                     {"height", "width", "channels"}});
    }
  }
  out.push_back({lerobot::kAction, "float32", {action.size()}, action});
  out.push_back({lerobot::kPolicyAction, "float32", {action.size()}, action});
  out.push_back({lerobot::kRequestedAction, "float32", {action.size()}, action});
  number("timestamp", "float32");
  number("frame_index", "int64");
  number("episode_index", "int64");
  number("index", "int64");
  number("task_index", "int64");
  number("next.reward", "float32");
  number("next.done", "bool");
  number("next.success", "bool");
  number("next.truncated", "bool");
  number("intervention", "bool");
  number("policy_proposed", "bool");
  number("control_source", "int64");
  number("weight_version", "int64");
  number("segment", "int64");
  number("label", "int64");
  number("discarded", "bool");
  number("policy_step", "int64");
  if (version == LerobotVersion::kV30) {
    number("language_persistent", "language");
    number("language_events", "language");
  }
  return out;
}

std::string data_path(LerobotVersion version, std::uint64_t group) {
  return version == LerobotVersion::kV30
             ? numbered("data/chunk-%03llu/file-%03llu.parquet", group / kChunk, group % kChunk)
             : numbered("data/chunk-%03llu/episode_%06llu.parquet", group / kChunk, group);
}

std::string video_path(LerobotVersion version, const std::string& feature, std::uint64_t group) {
  if (version == LerobotVersion::kV30) {
    return "videos/" + feature +
           numbered("/chunk-%03llu/file-%03llu.mp4", group / kChunk, group % kChunk);
  }
  return numbered("videos/chunk-%03llu/", group / kChunk, 0) + feature +
         numbered("/episode_%06llu.mp4", group, 0);
}

std::string info_json(const LerobotShape& shape, std::uint64_t episodes, std::uint64_t rows,
                      std::size_t tasks, std::uint64_t groups) {
  const bool v30 = shape.version == LerobotVersion::kV30;
  Json features = Json::object();
  std::uint64_t videos = 0;
  for (const LerobotFeature& feature : shape.columns()) {
    features[feature.name] = feature_json(feature, shape);
    if (feature.dtype == "video") ++videos;
  }
  Json info = {{"codebase_version", version_name(shape.version)},
               {"robot_type", shape.robot},
               {"total_episodes", episodes},
               {"total_frames", rows},
               {"total_tasks", tasks}};
  if (!v30) {
    info["total_videos"] = videos * episodes;
    info["total_chunks"] = (groups + kChunk - 1) / kChunk;
  }
  info["chunks_size"] = kChunk;
  if (v30) {
    info["data_files_size_in_mb"] = 100;
    info["video_files_size_in_mb"] = 200;
  }
  info["fps"] = shape.fps;
  info["splits"] = {{"train", "0:" + std::to_string(episodes)}};
  info["data_path"] = v30 ? "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
                          : "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet";
  info["video_path"] = nullptr;
  if (videos > 0) {
    info["video_path"] =
        v30 ? "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
            : "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4";
  }
  info["features"] = features;
  return text_of(info, 4) + "\n";
}

std::string stats_json(const std::map<std::string, FeatureStatistics>& statistics) {
  Json out = Json::object();
  for (const auto& [feature, s] : statistics) out[feature] = statistics_json(feature, s, true);
  return text_of(out, 4) + "\n";
}

std::string task_line(std::size_t index, const std::string& task) {
  return text_of(Json{{"task_index", index}, {"task", task}}) + "\n";
}

std::string episode_line(const LerobotEpisode& e) {
  return text_of(Json{{"episode_index", e.index},
                      {"tasks", e.tasks},
                      {"length", e.length},
                      {"outcome", e.outcome},
                      {"purpose", e.purpose},
                      {"interventions", e.interventions},
                      {"weight_version", e.weights},
                      {"people", e.people},
                      {"words", e.words},
                      {"log_episode", e.log_episode}}) +
         "\n";
}

std::string episode_stats_line(const LerobotEpisode& e) {
  Json stats = Json::object();
  for (const auto& [feature, s] : e.statistics) {
    stats[feature] = statistics_json(feature, s, false);
  }
  return text_of(Json{{"episode_index", e.index}, {"stats", stats}}) + "\n";
}

std::string ledger_head(const LerobotShape& s) {
  Json cameras = Json::array();
  for (const LerobotCamera& camera : s.cameras) {
    cameras.push_back(
        {{"name", camera.name}, {"width", camera.size.width}, {"height", camera.size.height}});
  }
  return text_of(Json{{"nudge_export", kLedgerVersion},
                      {"version", version_name(s.version)},
                      {"pictures", storage_name(s.pictures)},
                      {"codec", codec_name(s.codec)},
                      {"fps", s.fps},
                      {"robot", s.robot},
                      {"source", s.source},
                      {"state", s.state},
                      {"features", s.features},
                      {"features_are_environment", s.features_are_environment},
                      {"backbone", s.backbone},
                      {"action", s.action},
                      {"cameras", cameras}}) +
         "\n";
}

std::string ledger_line(const LerobotEpisode& e) {
  Json statistics = Json::object();
  for (const auto& [feature, s] : e.statistics) {
    Json quantiles = Json::array();
    for (const std::vector<double>& q : s.quantile) quantiles.push_back(q);
    statistics[feature] = {{"count", s.count}, {"min", s.min}, {"max", s.max},
                           {"mean", s.mean},   {"std", s.std}, {"quantiles", quantiles}};
  }
  return text_of(Json{{"index", e.index},
                      {"from", e.from},
                      {"length", e.length},
                      {"group", e.group},
                      {"group_row", e.group_row},
                      {"tasks", e.tasks},
                      {"log_episode", e.log_episode},
                      {"event", e.event},
                      {"judged", e.judged},
                      {"purpose", e.purpose},
                      {"outcome", e.outcome},
                      {"people", e.people},
                      {"words", e.words},
                      {"interventions", e.interventions},
                      {"weights", e.weights},
                      {"statistics", statistics}}) +
         "\n";
}

namespace {

Status wrong_ledger(const std::string& what) {
  return data_loss("meta/nudge.jsonl cannot be read (" + what +
                   "); export into another folder, or take this one away");
}

}  // namespace

Result<LerobotShape> parse_ledger_head(std::string_view line) {
  try {
    const Json head = Json::parse(line);
    const int version = head.at("nudge_export").get<int>();
    if (version > kLedgerVersion) {
      return unimplemented("the data set was exported by a newer Nudge; use that one");
    }
    LerobotShape s;
    const std::string name = head.at("version").get<std::string>();
    if (name != "v3.0" && name != "v2.1") return wrong_ledger("version " + name);
    s.version = name == "v3.0" ? LerobotVersion::kV30 : LerobotVersion::kV21;
    const std::string pictures = head.at("pictures").get<std::string>();
    s.pictures = pictures == "video"      ? PictureStorage::kVideo
                 : pictures == "embedded" ? PictureStorage::kEmbedded
                                          : PictureStorage::kNone;
    s.codec = head.at("codec").get<std::string>() == "h264" ? VideoCodec::kH264 : VideoCodec::kAv1;
    s.fps = head.at("fps").get<int>();
    if (s.fps < 1 || s.fps > 1'000) return wrong_ledger("fps");
    s.robot = head.at("robot").get<std::string>();
    s.source = head.at("source").get<std::string>();
    s.state = head.at("state").get<std::vector<std::string>>();
    s.features = head.at("features").get<std::vector<std::string>>();
    s.features_are_environment = head.at("features_are_environment").get<bool>();
    s.backbone = head.at("backbone").get<std::string>();
    s.action = head.at("action").get<std::vector<std::string>>();
    for (const Json& camera : head.at("cameras")) {
      s.cameras.push_back({camera.at("name").get<std::string>(),
                           {camera.at("width").get<int>(), camera.at("height").get<int>()}});
    }
    return s;
  } catch (const std::exception& e) {
    return wrong_ledger(e.what());
  }
}

Result<LerobotEpisode> parse_ledger_line(std::string_view line) {
  try {
    const Json row = Json::parse(line);
    LerobotEpisode e;
    e.index = row.at("index").get<std::uint64_t>();
    e.from = row.at("from").get<std::uint64_t>();
    e.length = row.at("length").get<std::uint64_t>();
    e.group = row.at("group").get<std::uint64_t>();
    e.group_row = row.at("group_row").get<std::uint64_t>();
    e.tasks = row.at("tasks").get<std::vector<std::string>>();
    e.log_episode = row.at("log_episode").get<std::uint64_t>();
    e.event = row.at("event").get<std::string>();
    e.judged = row.at("judged").get<std::string>();
    e.purpose = row.at("purpose").get<std::string>();
    e.outcome = row.at("outcome").get<std::string>();
    e.people = row.at("people").get<std::vector<std::string>>();
    e.words = row.at("words").get<std::vector<std::string>>();
    e.interventions = row.at("interventions").get<std::uint64_t>();
    e.weights = row.at("weights").get<std::int64_t>();
    for (const auto& [feature, value] : row.at("statistics").items()) {
      FeatureStatistics s;
      s.count = value.at("count").get<std::uint64_t>();
      s.min = value.at("min").get<std::vector<double>>();
      s.max = value.at("max").get<std::vector<double>>();
      s.mean = value.at("mean").get<std::vector<double>>();
      s.std = value.at("std").get<std::vector<double>>();
      const Json& quantiles = value.at("quantiles");
      for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
        s.quantile[q] = quantiles.at(q).get<std::vector<double>>();
        if (s.quantile[q].size() != s.mean.size()) return wrong_ledger("statistics");
      }
      if (s.min.size() != s.mean.size() || s.max.size() != s.mean.size() ||
          s.std.size() != s.mean.size()) {
        return wrong_ledger("statistics");
      }
      e.statistics[feature] = std::move(s);
    }
    return e;
  } catch (const std::exception& e) {
    return wrong_ledger(e.what());
  }
}

std::string pandas_task_index() {
  const Json column = {{"name", nullptr},
                       {"field_name", nullptr},
                       {"pandas_type", "unicode"},
                       {"numpy_type", "object"},
                       {"metadata", {{"encoding", "UTF-8"}}}};
  const auto described = [](const char* name, const char* pandas, const char* numpy) {
    return Json{{"name", name},
                {"field_name", name},
                {"pandas_type", pandas},
                {"numpy_type", numpy},
                {"metadata", nullptr}};
  };
  return text_of(Json{{"index_columns", {"task"}},
                      {"column_indexes", Json::array({column})},
                      {"columns", Json::array({described("task_index", "int64", "int64"),
                                               described("task", "unicode", "object")})},
                      {"creator", {{"library", "nudge"}, {"version", "1"}}},
                      {"pandas_version", "2.0.0"}});
}

}  // namespace nudge
