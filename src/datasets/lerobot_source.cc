#include "src/datasets/lerobot_source.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "src/datasets/parquet_reader.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxInfo = 16u << 20;    // bytes
constexpr std::uint64_t kMaxLines = 256u << 20;  // bytes of a .jsonl
constexpr std::size_t kMaxEpisodes = 10'000'000;
constexpr std::size_t kMaxFeatureCount = 1'000;

Result<std::string> read_text(FileSystem& files, const std::string& path, std::uint64_t most) {
  Result<std::unique_ptr<File>> file = files.open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  const Result<std::uint64_t> size = (*file)->size();
  if (!size.ok()) return size.status();
  if (*size > most) {
    return data_loss(path + " has " + std::to_string(*size) + " bytes; at most " +
                     std::to_string(most) + " are read");
  }
  std::string text(*size, '\0');
  const Result<std::size_t> got =
      (*file)->pread(std::as_writable_bytes(std::span(text.data(), text.size())), 0);
  if (!got.ok()) return got.status();
  text.resize(*got);
  return text;
}

// Names as LeRobot has written them over time: a list, or lists under headings.
std::vector<std::string> names_of(const Json& names) {
  std::vector<std::string> out;
  if (names.is_array()) {
    for (const Json& name : names) {
      if (name.is_string()) out.push_back(name.get<std::string>());
    }
  } else if (names.is_object()) {
    for (const auto& [heading, part] : names.items()) {
      for (std::string& name : names_of(part)) out.push_back(std::move(name));
    }
  }
  return out;
}

bool is_inside(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string::npos) return false;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == "..") return false;
    at = end + 1;
  }
  return true;
}

Status for_each_line(const std::string& path, const std::string& text,
                     const std::function<Status(const Json&)>& visit) {
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    try {
      NUDGE_TRY(visit(Json::parse(line)));
    } catch (const std::exception& e) {
      return data_loss(path + ", line " + std::to_string(number) + ": " + e.what());
    }
  }
  return {};
}

// A column of numbers or texts, read row by row; a row without a value is an error.
class Cells {
 public:
  Cells(const ParquetReader& reader, std::size_t leaf) : column_(reader.column(leaf)) {}

  Status next(const std::string& what) {
    const Result<bool> more = column_.next(cells_);
    if (!more.ok()) return more.status();
    if (!*more) return data_loss(what + " ends early");
    return {};
  }
  const ParquetCells& cells() const { return cells_; }

 private:
  ParquetColumn column_;
  ParquetCells cells_;
};

Result<std::map<std::int64_t, std::string>> read_tasks(FileSystem& files, const std::string& path) {
  Result<std::unique_ptr<ParquetReader>> reader = ParquetReader::open(files, path);
  if (!reader.ok()) return reader.status();
  const std::size_t index = (*reader)->find("task_index");
  std::size_t task = (*reader)->find("task");
  // pandas names an index without a name so.
  if (task == ParquetReader::npos) task = (*reader)->find("__index_level_0__");
  if (index == ParquetReader::npos || task == ParquetReader::npos) {
    return data_loss(path + " lacks its columns task_index and task");
  }
  std::map<std::int64_t, std::string> tasks;
  Cells indices(**reader, index), texts(**reader, task);
  for (std::uint64_t row = 0; row < (*reader)->rows(); ++row) {
    NUDGE_TRY(indices.next(path));
    NUDGE_TRY(texts.next(path));
    if (indices.cells().whole.size() != 1 || texts.cells().text.size() != 1) {
      return data_loss(path + ": a task is missing in row " + std::to_string(row));
    }
    tasks[indices.cells().whole[0]] = texts.cells().text[0];
  }
  return tasks;
}

Status read_episodes(FileSystem& files, const std::string& dir, const std::string& path,
                     const SourceInfo& info, std::vector<SourceEpisode>& out) {
  Result<std::unique_ptr<ParquetReader>> opened = ParquetReader::open(files, path);
  if (!opened.ok()) return opened.status();
  const ParquetReader& reader = **opened;
  struct Wanted {
    std::string name;
    std::string video;  // feature; empty: of the data
  };
  std::vector<Wanted> wanted = {
      {"episode_index", ""}, {"length", ""}, {"data/chunk_index", ""}, {"data/file_index", ""}};
  for (const auto& [feature, spec] : info.features) {
    if (spec.dtype != "video") continue;
    for (const char* part : {"/chunk_index", "/file_index", "/from_timestamp"}) {
      wanted.push_back({"videos/" + feature + part, feature});
    }
  }
  std::vector<Cells> columns;
  for (const Wanted& column : wanted) {
    const std::size_t leaf = reader.find(column.name);
    if (leaf == ParquetReader::npos) return data_loss(path + " lacks column " + column.name);
    columns.emplace_back(reader, leaf);
  }
  std::optional<Cells> outcome;
  if (const std::size_t leaf = reader.find("outcome"); leaf != ParquetReader::npos) {
    outcome.emplace(reader, leaf);
  }
  if (reader.rows() > kMaxEpisodes - out.size()) return data_loss(path + " has too many episodes");
  for (std::uint64_t row = 0; row < reader.rows(); ++row) {
    std::vector<double> values;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      NUDGE_TRY(columns[i].next(path));
      const ParquetCells& cells = columns[i].cells();
      if (cells.whole.size() + cells.real.size() != 1) {
        return data_loss(path + ": " + wanted[i].name + " has no value in row " +
                         std::to_string(row));
      }
      const double value =
          cells.whole.empty() ? cells.real[0] : static_cast<double>(cells.whole[0]);
      if (!(value >= 0 && value < 1e15)) {
        return data_loss(path + ": " + wanted[i].name + " is impossible in row " +
                         std::to_string(row));
      }
      values.push_back(value);
    }
    const auto whole = [&](std::size_t i) { return static_cast<std::uint64_t>(values[i]); };
    SourceEpisode episode;
    episode.index = whole(0);
    episode.length = whole(1);
    Result<std::string> data =
        fill_template(info.data_path, {{"chunk_index", whole(2)}, {"file_index", whole(3)}}, "");
    if (!data.ok()) return data.status();
    episode.data = dir + "/" + *data;
    for (std::size_t i = 4; i < wanted.size(); i += 3) {
      Result<std::string> video =
          fill_template(info.video_path, {{"chunk_index", whole(i)}, {"file_index", whole(i + 1)}},
                        wanted[i].video);
      if (!video.ok()) return video.status();
      episode.videos[wanted[i].video] = {dir + "/" + *video, values[i + 2]};
    }
    if (outcome) {
      NUDGE_TRY(outcome->next(path));
      if (!outcome->cells().text.empty()) episode.outcome = outcome->cells().text[0];
    }
    out.push_back(std::move(episode));
  }
  return {};
}

Status read_v30(FileSystem& files, const std::string& dir, LerobotSource& source) {
  Result<std::map<std::int64_t, std::string>> tasks =
      read_tasks(files, dir + "/meta/tasks.parquet");
  if (!tasks.ok()) return tasks.status();
  source.tasks = *std::move(tasks);
  const std::string folder = dir + "/meta/episodes";
  const Result<std::vector<std::string>> chunks = files.list(folder);
  if (!chunks.ok()) return chunks.status();
  for (const std::string& chunk : *chunks) {
    const Result<std::vector<std::string>> names = files.list(folder + "/" + chunk);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (!name.ends_with(".parquet")) continue;
      NUDGE_TRY(read_episodes(files, dir, folder + "/" + chunk + "/" + name, source.info,
                              source.episodes));
    }
  }
  return {};
}

Status read_v21(FileSystem& files, const std::string& dir, LerobotSource& source) {
  const SourceInfo& info = source.info;
  const std::string task_path = dir + "/meta/tasks.jsonl";
  const Result<std::string> tasks = read_text(files, task_path, kMaxLines);
  if (!tasks.ok()) return tasks.status();
  NUDGE_TRY(for_each_line(task_path, *tasks, [&](const Json& row) -> Status {
    source.tasks[row.at("task_index").get<std::int64_t>()] = row.at("task").get<std::string>();
    return {};
  }));
  const std::string path = dir + "/meta/episodes.jsonl";
  const Result<std::string> episodes = read_text(files, path, kMaxLines);
  if (!episodes.ok()) return episodes.status();
  return for_each_line(path, *episodes, [&](const Json& row) -> Status {
    SourceEpisode episode;
    episode.index = row.at("episode_index").get<std::uint64_t>();
    episode.length = row.at("length").get<std::uint64_t>();
    episode.outcome = row.value("outcome", "");
    const std::map<std::string, std::uint64_t> numbers = {
        {"episode_index", episode.index}, {"episode_chunk", episode.index / info.chunk_size}};
    Result<std::string> data = fill_template(info.data_path, numbers, "");
    if (!data.ok()) return data.status();
    episode.data = dir + "/" + *data;
    for (const auto& [feature, spec] : info.features) {
      if (spec.dtype != "video") continue;
      Result<std::string> video = fill_template(info.video_path, numbers, feature);
      if (!video.ok()) return video.status();
      episode.videos[feature] = {dir + "/" + *video, 0};
    }
    source.episodes.push_back(std::move(episode));
    return {};
  });
}

}  // namespace

Result<SourceInfo> parse_source_info(std::string_view text) {
  if (text.size() > kMaxInfo) return data_loss("info.json is too large");
  try {
    const Json json = Json::parse(text);
    SourceInfo info;
    const std::string version = json.at("codebase_version").get<std::string>();
    if (version != "v3.0" && version != "v2.1") {
      return unimplemented("the data set is of version " + version.substr(0, 20) +
                           "; v3.0 and v2.1 are read: convert it with LeRobot's own scripts");
    }
    info.version = version == "v3.0" ? LerobotVersion::kV30 : LerobotVersion::kV21;
    const double fps = json.at("fps").get<double>();
    if (!(fps >= 1 && fps <= 1'000)) return data_loss("fps is not within 1 to 1000");
    info.fps = static_cast<int>(std::lround(fps));
    info.episodes = json.value("total_episodes", std::uint64_t{0});
    info.rows = json.value("total_frames", std::uint64_t{0});
    info.chunk_size = json.value("chunks_size", std::uint64_t{1'000});
    if (info.chunk_size == 0) return data_loss("chunks_size is 0");
    if (const auto robot = json.find("robot_type"); robot != json.end() && robot->is_string()) {
      info.robot = robot->get<std::string>();
    }
    info.data_path = json.at("data_path").get<std::string>();
    if (const auto video = json.find("video_path"); video != json.end() && video->is_string()) {
      info.video_path = video->get<std::string>();
    }
    if (!is_inside(info.data_path) || (!info.video_path.empty() && !is_inside(info.video_path))) {
      return data_loss("a path leads out of the data set");
    }
    const Json& features = json.at("features");
    if (!features.is_object() || features.size() > kMaxFeatureCount) {
      return data_loss("features are no object, or too many");
    }
    for (const auto& [name, value] : features.items()) {
      if (name.find('/') != std::string::npos || name == "." || name == "..") {
        return data_loss("feature \"" + name.substr(0, 100) + "\" has an impossible name");
      }
      SourceFeature feature;
      feature.dtype = value.at("dtype").get<std::string>();
      feature.shape = value.at("shape").get<std::vector<std::size_t>>();
      if (const auto names = value.find("names"); names != value.end()) {
        feature.names = names_of(*names);
      }
      if (const auto more = value.find("info"); more != value.end() && more->is_object()) {
        feature.backbone = more->value("backbone", "");
      }
      if (feature.dtype == "video" && info.video_path.empty()) {
        return data_loss("video_path is missing");
      }
      info.features[name] = std::move(feature);
    }
    return info;
  } catch (const std::exception& e) {
    return data_loss(e.what());
  }
}

Result<std::string> fill_template(const std::string& text,
                                  const std::map<std::string, std::uint64_t>& numbers,
                                  const std::string& video_key) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '{') {
      out.push_back(text[at++]);
      continue;
    }
    const std::size_t end = text.find('}', at);
    if (end == std::string::npos) return data_loss("the path " + text + " has an open brace");
    std::string name = text.substr(at + 1, end - at - 1);
    at = end + 1;
    int width = 0;
    if (const std::size_t colon = name.find(':'); colon != std::string::npos) {
      const std::string format = name.substr(colon + 1);
      name.resize(colon);
      if (format.size() != 3 || format[0] != '0' || format[2] != 'd' || format[1] < '0' ||
          format[1] > '9') {
        return data_loss("the path " + text + " has a format that is not known");
      }
      width = format[1] - '0';
    }
    if (name == "video_key" && !video_key.empty()) {
      out += video_key;
      continue;
    }
    const auto found = numbers.find(name);
    if (found == numbers.end()) return data_loss("the path " + text + " asks for " + name);
    std::string digits = std::to_string(found->second);
    if (digits.size() < static_cast<std::size_t>(width)) {
      digits.insert(0, static_cast<std::size_t>(width) - digits.size(), '0');
    }
    out += digits;
  }
  return out;
}

Result<LerobotSource> open_lerobot_source(FileSystem& files, const std::string& dir) {
  const std::string path = dir + "/meta/info.json";
  const Result<std::string> text = read_text(files, path, kMaxInfo);
  if (!text.ok()) {
    if (text.status().code() == Code::kNotFound) {
      return not_found(dir + " is no LeRobot data set: it has no meta/info.json");
    }
    return text.status();
  }
  Result<SourceInfo> info = parse_source_info(*text);
  if (!info.ok()) return info.status().with_context(path);
  LerobotSource source;
  source.info = *std::move(info);
  NUDGE_TRY(source.info.version == LerobotVersion::kV30 ? read_v30(files, dir, source)
                                                        : read_v21(files, dir, source));
  for (std::size_t i = 1; i < source.episodes.size(); ++i) {
    if (source.episodes[i].index <= source.episodes[i - 1].index) {
      return data_loss(dir + ": its episodes are out of order");
    }
  }
  return source;
}

}  // namespace nudge
