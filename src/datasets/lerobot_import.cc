#include "src/datasets/lerobot_import.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "policy/weights.h"
#include "src/datasets/jpeg.h"
#include "src/datasets/lerobot_source.h"
#include "src/datasets/parquet_reader.h"
#include "src/datasets/video.h"

namespace nudge {
namespace {

constexpr std::uint64_t kMaxRows = 1'000'000;   // of an episode: a day at 10 Hz
constexpr std::size_t kCommitBytes = 8u << 20;  // of steps that wait
constexpr float kBeyond = 1e-3f;                // rounding of somebody else's rates

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == 12) return out + ", ...";
    out += (i == 0 ? "" : ", ") + names[i];
  }
  return out;
}

// LeRobot calls a joint's position "elbow.pos"; here it is "elbow".
std::string plain(const std::string& name) {
  return name.ends_with(".pos") ? name.substr(0, name.size() - 4) : name;
}

// A column of vectors of one size, or of numbers.
class Numbers {
 public:
  Numbers(const ParquetReader& reader, std::size_t leaf, std::size_t size, std::string name)
      : column_(reader.column(leaf)), size_(size), name_(std::move(name)) {}

  // The next row, appended to `out` as floats.
  Status next(std::vector<float>& out) {
    const Result<bool> more = column_.next(cells_);
    if (!more.ok()) return more.status();
    if (!*more) return data_loss("column " + name_ + " ends early");
    if (cells_.real.size() + cells_.whole.size() != size_) {
      return data_loss("column " + name_ + " has a row of " +
                       std::to_string(cells_.real.size() + cells_.whole.size()) + " numbers, not " +
                       std::to_string(size_));
    }
    for (const double value : cells_.real) out.push_back(static_cast<float>(value));
    for (const std::int64_t value : cells_.whole) out.push_back(static_cast<float>(value));
    return {};
  }
  Result<std::int64_t> whole() {
    const Result<bool> more = column_.next(cells_);
    if (!more.ok()) return more.status();
    if (!*more || cells_.whole.size() != 1) return data_loss("column " + name_ + " lacks a value");
    return cells_.whole[0];
  }

 private:
  ParquetColumn column_;
  ParquetCells cells_;
  std::size_t size_;
  std::string name_;
};

// A vector column of the data set and where each of its numbers goes.
struct Mapping {
  std::string feature;  // empty: not there
  std::size_t size = 0;
  std::vector<std::size_t> from;  // [size] index in the data set's vector
};

struct CameraSource {
  std::string name;
  std::string feature;
  bool video = false;
};

// Everything about an episode but its pictures.
struct EpisodeNumbers {
  std::uint64_t rows = 0;
  std::vector<float> state, features, action, requested;  // [rows x size], in the robot's order
  std::vector<std::int64_t> task, source;
  std::vector<bool> discarded;
};

// The pictures of one camera, one after the other, over files and episodes.
class PictureFeed {
 public:
  PictureFeed(CameraSource camera, std::string scratch)
      : camera_(std::move(camera)), spool_(scratch + "/" + camera_.name + ".pictures") {}

  const CameraSource& camera() const { return camera_; }

  // A new file of data begins.
  Status open_data(const ParquetReader& reader) {
    if (camera_.video) return {};
    const std::size_t bytes = reader.find(camera_.feature, "bytes");
    if (bytes == ParquetReader::npos) {
      return data_loss("the pictures " + camera_.feature + " are not inside the Parquet file");
    }
    column_.emplace(reader.column(bytes));
    return {};
  }

  // An episode of so many rows begins.
  Status begin(FileSystem& files, const SourceEpisode& episode, std::uint64_t rows, int fps) {
    if (camera_.video) return begin_video(episode.videos.at(camera_.feature), fps);
    first_.reset();
    converted_.reset();
    Result<std::vector<std::byte>> first = read_embedded();
    if (!first.ok()) return first.status();
    const bool jpeg = first->size() > 2 && (*first)[0] == std::byte{0xFF};
    if (jpeg) {
      first_ = *std::move(first);
      return {};
    }
    // PNGs, as LeRobot embeds them: ffmpeg makes JPEGs of them, an episode at a time.
    Result<std::string> ffmpeg = find_ffmpeg();
    if (!ffmpeg.ok()) return ffmpeg.status();
    Result<std::unique_ptr<File>> file = files.open(spool_, OpenMode::kCreate);
    if (!file.ok()) return file.status();
    NUDGE_TRY((*file)->truncate(0));
    std::uint64_t at = 0;
    for (std::uint64_t row = 0; row < rows; ++row) {
      if (row > 0) {
        first = read_embedded();
        if (!first.ok()) return first.status();
      }
      NUDGE_TRY((*file)->pwrite(*first, at));
      at += first->size();
    }
    Result<std::unique_ptr<VideoDecoder>> decoder =
        VideoDecoder::start(*ffmpeg, spool_, VideoDecoder::Input::kPictures);
    if (!decoder.ok()) return decoder.status();
    converted_ = *std::move(decoder);
    return {};
  }

  // The next row's picture.
  Result<std::vector<std::byte>> next() {
    if (camera_.video || converted_) {
      Result<std::optional<std::vector<std::byte>>> frame =
          (camera_.video ? video_ : converted_)->next();
      if (!frame.ok()) return frame.status();
      if (!*frame) return data_loss("the pictures " + camera_.feature + " end early");
      ++frame_;
      return **std::move(frame);
    }
    if (first_) return *std::exchange(first_, std::nullopt);
    return read_embedded();
  }

  // Passes over an episode.
  Status skip(std::uint64_t rows) {
    if (camera_.video) return {};
    for (std::uint64_t row = 0; row < rows; ++row) {
      const Result<bool> more = column_->next(cells_);
      if (!more.ok()) return more.status();
    }
    return {};
  }

 private:
  Result<std::vector<std::byte>> read_embedded() {
    const Result<bool> more = column_->next(cells_);
    if (!more.ok()) return more.status();
    if (!*more || cells_.text.size() != 1 || cells_.text[0].empty()) {
      return data_loss("a picture of " + camera_.feature + " is not inside the Parquet file");
    }
    const std::string& text = cells_.text[0];
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    return std::vector<std::byte>(bytes, bytes + text.size());
  }

  Status begin_video(const SourceVideo& source, int fps) {
    const auto wanted = static_cast<std::uint64_t>(std::llround(source.from * fps));
    if (!video_ || video_path_ != source.path || frame_ > wanted) {
      Result<std::string> ffmpeg = find_ffmpeg();
      if (!ffmpeg.ok()) return ffmpeg.status();
      Result<std::unique_ptr<VideoDecoder>> decoder =
          VideoDecoder::start(*ffmpeg, source.path, VideoDecoder::Input::kVideo);
      if (!decoder.ok()) return decoder.status();
      video_ = *std::move(decoder);
      video_path_ = source.path;
      frame_ = 0;
    }
    while (frame_ < wanted) {
      const auto frame = next();
      if (!frame.ok()) return frame.status();
    }
    return {};
  }

  CameraSource camera_;
  std::string spool_;
  std::optional<ParquetColumn> column_;
  ParquetCells cells_;
  std::optional<std::vector<std::byte>> first_;
  std::unique_ptr<VideoDecoder> video_, converted_;
  std::string video_path_;
  std::uint64_t frame_ = 0;  // next of the video
};

class Importer {
 public:
  using Progress = std::function<void(std::uint64_t, std::uint64_t)>;
  Importer(FileSystem& files, Log& log, const LerobotImportOptions& options,
           const Progress& progress)
      : files_(files), log_(log), options_(options), progress_(progress) {}

  Result<LerobotImportReport> run() {
    Result<LerobotSource> source = open_lerobot_source(files_, options_.dir);
    if (!source.ok()) return source.status();
    source_ = *std::move(source);
    NUDGE_TRY(check());
    for (const SourceEpisode& episode : source_.episodes) total_ += episode.length;
    for (const SourceEpisode& episode : source_.episodes) {
      const Status taken = take(episode);
      if (!taken.ok()) {
        return taken.with_context("episode " + std::to_string(episode.index));
      }
      done_ += episode.length;
      progress_(done_, total_);
    }
    return std::move(report_);
  }

 private:
  // ---- does it fit the robot? ----

  // The data set's feature as the robot's channels, by name where both have names.
  Result<Mapping> map(const std::string& feature, const std::vector<std::string>& names,
                      std::size_t size, const std::string& what) const {
    Mapping mapping;
    const auto found = source_.info.features.find(feature);
    if (found == source_.info.features.end()) {
      return invalid_argument("the data set has no " + feature + ", the robot's " + what);
    }
    const SourceFeature& spec = found->second;
    const bool number = spec.dtype == "float32" || spec.dtype == "float64" ||
                        spec.dtype == "int64" || spec.dtype == "int32";
    if (!number || spec.shape.size() != 1) {
      return invalid_argument(feature + " is no vector of numbers");
    }
    if (spec.shape[0] != size) {
      return invalid_argument(feature + " has " + std::to_string(spec.shape[0]) +
                              " numbers; the robot's " + what + " has " + std::to_string(size) +
                              (names.empty() ? "" : ": " + list_of(names)));
    }
    mapping.feature = feature;
    mapping.size = size;
    for (std::size_t i = 0; i < size; ++i) mapping.from.push_back(i);
    if (names.size() != size || spec.names.size() != size) return mapping;
    for (std::size_t i = 0; i < size; ++i) {
      const auto place =
          std::find_if(spec.names.begin(), spec.names.end(), [&](const std::string& name) {
            return name == names[i] || plain(name) == plain(names[i]);
          });
      if (place == spec.names.end()) {
        return invalid_argument(feature + " has no \"" + names[i] + "\"; it has " +
                                list_of(spec.names) + ", and the robot's " + what + " is " +
                                list_of(names));
      }
      mapping.from[i] = static_cast<std::size_t>(place - spec.names.begin());
    }
    return mapping;
  }

  Status check() {
    const SegmentSpec& segment = options_.segment;
    const SourceInfo& info = source_.info;
    const auto period = std::chrono::duration<double>(options_.robot.policy_period).count();
    if (period > 0 && std::abs(period * info.fps - 1) > 0.02) {
      char text[160];
      std::snprintf(text, sizeof text,
                    "the data set has %d rows a second, and the robot's policy makes %.3g steps; "
                    "resample it first",
                    info.fps, 1 / period);
      return invalid_argument(text);
    }
    Result<Mapping> action =
        map(lerobot::kAction, options_.robot.action, segment.action_size, "action");
    if (!action.ok()) return action.status();
    action_ = *std::move(action);
    if (segment.proprioception_size > 0) {
      Result<Mapping> state =
          map(lerobot::kState, options_.robot.state, segment.proprioception_size, "proprioception");
      if (!state.ok()) return state.status();
      state_ = *std::move(state);
    }
    if (options_.positions_at > 0 && state_.size != action_.size) {
      return invalid_argument("goal positions become rates by the state, and the robot has " +
                              std::to_string(state_.size) + " numbers of state for " +
                              std::to_string(action_.size) + " of action");
    }
    const RobotNames& robot = options_.robot;
    if (options_.positions_at > 0 && robot.state.size() == robot.action.size() &&
        robot.state != robot.action) {
      return invalid_argument(
          "goal positions become rates by the state, and the robot's actions (" +
          list_of(robot.action) + ") are not those of its state (" + list_of(robot.state) + ")");
    }
    NUDGE_TRY(choose_units());
    if (segment.feature_size > 0 && !options_.without_features) NUDGE_TRY(check_features());
    if (options_.positions_at <= 0 && info.features.contains(lerobot::kRequestedAction)) {
      Result<Mapping> requested =
          map(lerobot::kRequestedAction, options_.robot.action, segment.action_size, "action");
      if (requested.ok()) requested_ = *std::move(requested);
    }
    spec_ = segment;
    spec_.episode = 0;
    if (features_.feature.empty() && !encodes_) {
      spec_.feature_size = 0;
      spec_.backbone_hash.clear();
    }
    if (options_.any_camera) spec_.cameras.clear();
    for (const auto& [feature, spec] : info.features) {
      if (spec.dtype != "video" && spec.dtype != "image") continue;
      std::string name = feature;
      if (name.rfind(lerobot::kPicturePrefix, 0) == 0) {
        name.erase(0, std::strlen(lerobot::kPicturePrefix));
      }
      if (options_.any_camera && spec_.cameras.size() < kMaxCameras) spec_.cameras.push_back(name);
      const bool known =
          std::find(spec_.cameras.begin(), spec_.cameras.end(), name) != spec_.cameras.end();
      if (known) {
        cameras_.emplace_back(CameraSource{name, feature, spec.dtype == "video"}, options_.scratch);
      } else {
        report_.ignored_cameras.push_back(name);
      }
    }
    return spec_.validate();
  }

  // What the numbers of the state, and goals of the same channels, are multiplied by.
  Status choose_units() {
    unit_.assign(state_.size, 1.0f);
    if (options_.units == LerobotUnits::kSame) return {};
    const std::vector<std::string>& names = source_.info.features.at(lerobot::kState).names;
    if (options_.units == LerobotUnits::kDegrees && names.size() != state_.size) {
      return invalid_argument(
          "observation.state has no names, so it is not known which of its "
          "numbers are degrees and which is the gripper");
    }
    for (std::size_t i = 0; i < state_.size; ++i) {
      const bool percent = options_.units == LerobotUnits::kPercent ||
                           names[state_.from[i]].find("gripper") != std::string::npos;
      unit_[i] = percent ? 0.01f : 0.017453293f;
    }
    return {};
  }

  // Units, and goals to rates.
  void convert(EpisodeNumbers& numbers) const {
    for (std::size_t i = 0; i < numbers.state.size(); ++i) {
      numbers.state[i] *= unit_[i % state_.size];
    }
    if (options_.positions_at <= 0) return;
    const auto travel = static_cast<float>(options_.positions_at / source_.info.fps);
    for (std::size_t i = 0; i < numbers.action.size(); ++i) {
      const float goal = numbers.action[i] * unit_[i % state_.size];
      const float rate = (goal - numbers.state[i]) / travel;
      // A number that is not finite stays one, and is refused.
      numbers.action[i] = std::isfinite(rate) ? std::clamp(rate, -1.0f, 1.0f) : rate;
    }
  }

  Status check_features() {
    const SegmentSpec& segment = options_.segment;
    const RobotNames& robot = options_.robot;
    const std::string advice =
        "; without it these demonstrations teach the policy nothing. Add it to the data set, or "
        "import it all the same with --without-features";
    const auto recorded = source_.info.features.find(lerobot::kFeatures);
    const bool has_them = recorded != source_.info.features.end() &&
                          recorded->second.backbone == segment.backbone_hash;
    encodes_ = !has_them && options_.backbone != nullptr &&
               segment.backbone_hash == options_.backbone->hash();
    if (encodes_ && robot.object_state.empty()) return {};  // it goes by proprioception and words
    const bool as_it_is =
        !robot.state_backbone.empty() && segment.backbone_hash == robot.state_backbone;
    if (encodes_ || as_it_is) {
      Result<Mapping> features =
          map(lerobot::kEnvironment, robot.object_state,
              encodes_ ? robot.object_state.size() : segment.feature_size, "object state");
      if (!features.ok()) {
        return invalid_argument(features.status().message() + advice);
      }
      features_ = *std::move(features);
      return {};
    }
    Result<Mapping> features =
        map(lerobot::kFeatures, {}, segment.feature_size, "backbone's features");
    if (!features.ok()) return invalid_argument(features.status().message() + advice);
    if (source_.info.features.at(lerobot::kFeatures).backbone != segment.backbone_hash) {
      return invalid_argument(std::string(lerobot::kFeatures) +
                              " come from another backbone than the robot's" + advice);
    }
    features_ = *std::move(features);
    return {};
  }

  // ---- one episode ----

  // The columns of the file that an episode lies in.
  struct Data {
    explicit Data(std::unique_ptr<ParquetReader> of) : reader(std::move(of)) {}
    std::unique_ptr<ParquetReader> reader;
    std::optional<Numbers> state, features, action, requested;
    std::optional<Numbers> episode, task, source, discarded;
    std::uint64_t row = 0;           // next
    std::int64_t next_episode = -1;  // of that row
  };

  Status open_data(const std::string& path) {
    if (data_ && data_path_ == path) return {};
    Result<std::unique_ptr<ParquetReader>> reader = ParquetReader::open(files_, path);
    if (!reader.ok()) return reader.status();
    data_.emplace(*std::move(reader));
    data_path_ = path;
    const ParquetReader& r = *data_->reader;
    const auto column = [&](const std::string& name, std::size_t size,
                            std::optional<Numbers>& out) -> Status {
      const std::size_t leaf = r.find(name);
      if (leaf == ParquetReader::npos) return data_loss(path + " lacks column " + name);
      out.emplace(r, leaf, size, name);
      return {};
    };
    NUDGE_TRY(column(lerobot::kAction, action_.size, data_->action));
    if (state_.size > 0) NUDGE_TRY(column(state_.feature, state_.size, data_->state));
    if (features_.size > 0) NUDGE_TRY(column(features_.feature, features_.size, data_->features));
    if (requested_.size > 0) {
      NUDGE_TRY(column(requested_.feature, requested_.size, data_->requested));
    }
    NUDGE_TRY(column("episode_index", 1, data_->episode));
    NUDGE_TRY(column("task_index", 1, data_->task));
    for (const auto& [name, out] :
         {std::pair{"control_source", &data_->source}, std::pair{"discarded", &data_->discarded}}) {
      if (r.find(name) != ParquetReader::npos) NUDGE_TRY(column(name, 1, *out));
    }
    for (PictureFeed& camera : cameras_) NUDGE_TRY(camera.open_data(r));
    return peek();
  }

  // Which episode the next row belongs to; -1 at the end.
  Status peek() {
    data_->next_episode = -1;
    if (data_->row >= data_->reader->rows()) return {};
    const Result<std::int64_t> episode = data_->episode->whole();
    if (!episode.ok()) return episode.status();
    data_->next_episode = *episode;
    return {};
  }

  static void reorder(const Mapping& mapping, std::span<const float> row, std::vector<float>& out) {
    for (const std::size_t i : mapping.from) out.push_back(row[i]);
  }

  Status read_row(EpisodeNumbers& out) {
    std::vector<float> row;
    const auto vector = [&](std::optional<Numbers>& column, const Mapping& mapping,
                            std::vector<float>& to) -> Status {
      if (!column) return {};
      row.clear();
      NUDGE_TRY(column->next(row));
      reorder(mapping, row, to);
      return {};
    };
    NUDGE_TRY(vector(data_->state, state_, out.state));
    NUDGE_TRY(vector(data_->features, features_, out.features));
    NUDGE_TRY(vector(data_->action, action_, out.action));
    NUDGE_TRY(vector(data_->requested, requested_, out.requested));
    const Result<std::int64_t> task = data_->task->whole();
    if (!task.ok()) return task.status();
    out.task.push_back(*task);
    std::int64_t source = static_cast<std::int64_t>(ControlSource::kHuman);
    std::int64_t discarded = 0;
    for (const auto& [column, value] :
         {std::pair{&data_->source, &source}, std::pair{&data_->discarded, &discarded}}) {
      if (!*column) continue;
      const Result<std::int64_t> read = (*column)->whole();
      if (!read.ok()) return read.status();
      *value = *read;
    }
    out.source.push_back(source);
    out.discarded.push_back(discarded != 0);
    ++out.rows;
    ++data_->row;
    return peek();
  }

  Status check_numbers(const EpisodeNumbers& numbers) const {
    const auto finite = [&](const std::vector<float>& values, const std::string& name,
                            std::size_t size) -> Status {
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (!std::isfinite(values[i])) {
          return invalid_argument(name + " has a number that is not finite in frame " +
                                  std::to_string(i / size));
        }
      }
      return {};
    };
    NUDGE_TRY(finite(numbers.state, lerobot::kState, std::max<std::size_t>(1, state_.size)));
    NUDGE_TRY(
        finite(numbers.features, features_.feature, std::max<std::size_t>(1, features_.size)));
    NUDGE_TRY(finite(numbers.action, lerobot::kAction, action_.size));
    for (std::size_t i = 0; i < numbers.action.size(); ++i) {
      if (std::abs(numbers.action[i]) <= 1 + kBeyond) continue;
      const std::size_t channel = i % action_.size;
      const std::string name = channel < options_.robot.action.size()
                                   ? options_.robot.action[channel]
                                   : "channel " + std::to_string(channel);
      char value[32];
      std::snprintf(value, sizeof value, "%.4g", static_cast<double>(numbers.action[i]));
      return invalid_argument("action " + name + " is " + value + " in frame " +
                              std::to_string(i / action_.size) +
                              "; an action here is a rate between -1 and 1 of the channel's "
                              "fastest. If the data set's actions are goal positions, say "
                              "how fast +1 is with --positions");
    }
    for (const std::int64_t task : numbers.task) {
      if (!source_.tasks.contains(task)) {
        return data_loss("task " + std::to_string(task) + " is not in the list of tasks");
      }
    }
    return {};
  }

  // What the episode is, whichever data set it is found in.
  std::string content_hash(const EpisodeNumbers& numbers) const {
    std::vector<std::byte> bytes;
    const auto add = [&](const void* data, std::size_t size) {
      const auto* from = static_cast<const std::byte*>(data);
      bytes.insert(bytes.end(), from, from + size);
    };
    for (const auto* values : {&numbers.state, &numbers.features, &numbers.action}) {
      const std::uint64_t size = values->size();
      add(&size, sizeof size);
      add(values->data(), size * sizeof(float));
    }
    for (const std::int64_t task : numbers.task) {
      const std::string& text = source_.tasks.at(task);
      add(text.data(), text.size() + 1);
    }
    return to_hex(sha256(bytes)).substr(0, 40);
  }

  Status take(const SourceEpisode& episode) {
    NUDGE_TRY(open_data(episode.data));
    // Rows of episodes that the description does not name are passed over.
    EpisodeNumbers passed;
    while (data_->next_episode >= 0 &&
           static_cast<std::uint64_t>(data_->next_episode) < episode.index) {
      passed = {};
      NUDGE_TRY(read_row(passed));
      for (PictureFeed& camera : cameras_) NUDGE_TRY(camera.skip(1));
    }
    EpisodeNumbers numbers;
    while (data_->next_episode >= 0 &&
           static_cast<std::uint64_t>(data_->next_episode) == episode.index) {
      if (numbers.rows == kMaxRows) {
        return invalid_argument("it has more than " + std::to_string(kMaxRows) + " frames");
      }
      NUDGE_TRY(read_row(numbers));
    }
    if (numbers.rows == 0) return data_loss(episode.data + " has no rows of it");
    if (numbers.rows != episode.length) {
      return data_loss("it has " + std::to_string(numbers.rows) + " rows, and is said to have " +
                       std::to_string(episode.length));
    }
    convert(numbers);
    NUDGE_TRY(check_numbers(numbers));
    // Earlier tries at the same episode, from the first on.
    const std::string hash = content_hash(numbers);
    for (int attempt = 1;; ++attempt) {
      const std::string id = "lerobot:" + hash + ":" + std::to_string(attempt);
      const Result<Event> begun = log_.event(id);
      if (begun.status().code() == Code::kNotFound) {
        if (const Status written = write(episode, numbers, id); !written.ok()) {
          abandon(id);
          return written;
        }
        ++report_.new_episodes;
        report_.new_steps += numbers.rows;
        return {};
      }
      if (!begun.ok()) return begun.status();
      const Result<Event> ended = log_.event(id + ":end");
      if (ended.ok()) {
        ++report_.known_episodes;
        for (PictureFeed& camera : cameras_) NUDGE_TRY(camera.skip(numbers.rows));
        return {};
      }
      if (ended.status().code() != Code::kNotFound) return ended.status();
      NUDGE_TRY(append(Label{.episode = begun->episode, .span = 0, .value = LabelValue::kDiscard},
                       id + ":discard", begun->episode, 0));
    }
  }

  Status append(Payload payload, std::string id, EpisodeId episode, std::uint32_t step) {
    Event event;
    event.id = std::move(id);
    event.episode = episode;
    event.policy_step = step;
    event.control_tick = step;
    event.time = time_of(step);
    event.wall_time = options_.wall_now;
    event.boot = options_.boot;
    event.actor = {"lerobot-import", Role::kScript};
    event.payload = std::move(payload);
    const Result<Sequence> sequence = log_.append(std::move(event));
    return sequence.ok() ? Status() : sequence.status();
  }

  Instant time_of(std::uint64_t step) const {
    return options_.now + std::chrono::nanoseconds(static_cast<std::int64_t>(
                              std::llround(static_cast<double>(step) * 1e9 / source_.info.fps)));
  }

  Status write(const SourceEpisode& source, const EpisodeNumbers& numbers, const std::string& id) {
    for (PictureFeed& camera : cameras_) {
      NUDGE_TRY(camera.begin(files_, source, numbers.rows, source_.info.fps));
    }
    const Result<EpisodeId> episode = log_.start_episode(spec_);
    if (!episode.ok()) return episode.status();
    NUDGE_TRY(append(EpisodeStarted{.purpose = EpisodePurpose::kDemonstration,
                                    .seed = 0,
                                    .instruction = source_.tasks.at(numbers.task[0])},
                     id, *episode, 0));
    const auto slice = [](const std::vector<float>& values, std::size_t size, std::uint64_t row) {
      const auto from = values.begin() + static_cast<std::ptrdiff_t>(row * size);
      return std::vector<float>(from, from + static_cast<std::ptrdiff_t>(size));
    };
    for (std::uint64_t row = 0; row < numbers.rows; ++row) {
      const auto number = static_cast<std::uint32_t>(row);
      if (row > 0 && numbers.task[row] != numbers.task[row - 1]) {
        NUDGE_TRY(append(InstructionChanged{source_.tasks.at(numbers.task[row])},
                         id + ":task" + std::to_string(row), *episode, number));
      }
      Step step;
      step.episode = *episode;
      step.policy_step = number;
      step.control_tick = row;
      step.time = time_of(row);
      step.wall_time = options_.wall_now;
      step.source = source_of(numbers.source[row]);
      if (state_.size > 0) step.proprioception = slice(numbers.state, state_.size, row);
      if (features_.size > 0) step.features = slice(numbers.features, features_.size, row);
      if (encodes_) {
        Observation seen;
        seen.object_state = std::move(step.features);
        Result<std::vector<float>> features =
            options_.backbone->encode(seen, source_.tasks.at(numbers.task[row]));
        if (!features.ok()) return features.status();
        step.features = *std::move(features);
      }
      step.executed = slice(numbers.action, action_.size, row);
      for (float& rate : step.executed) rate = std::clamp(rate, -1.0f, 1.0f);
      step.requested = step.executed;
      if (requested_.size > 0) {
        const std::vector<float> requested = slice(numbers.requested, requested_.size, row);
        const bool known = std::all_of(requested.begin(), requested.end(),
                                       [](float v) { return std::isfinite(v); });
        if (known) step.requested = requested;
      }
      for (PictureFeed& camera : cameras_) {
        Result<std::vector<std::byte>> jpeg = camera.next();
        if (!jpeg.ok()) return jpeg.status();
        const Result<PictureSize> size = jpeg_size(*jpeg);
        if (!size.ok()) return size.status().with_context(camera.camera().feature);
        Image image;
        image.camera = camera.camera().name;
        image.width = size->width;
        image.height = size->height;
        image.captured = step.time;
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(jpeg->data());
        image.jpeg.assign(bytes, bytes + jpeg->size());
        step.images.push_back(std::move(image));
      }
      const Result<Sequence> sequence = log_.append(step);
      if (!sequence.ok()) return sequence.status();
      if (log_.stats().pending_step_bytes >= kCommitBytes) NUDGE_TRY(log_.commit());
      if (row % 64 == 0) progress_(done_ + row, total_);
    }
    NUDGE_TRY(append_discarded(numbers, id, *episode));
    const auto steps = static_cast<std::uint32_t>(numbers.rows);
    if (source.outcome == "success" || source.outcome == "failure") {
      NUDGE_TRY(append(
          Label{.episode = *episode,
                .span = 0,
                .value = source.outcome == "success" ? LabelValue::kSuccess : LabelValue::kFailure},
          id + ":label", *episode, steps));
    }
    NUDGE_TRY(append(EpisodeEnded{.reason = EpisodeEnd::kTaskDone, .steps = steps}, id + ":end",
                     *episode, steps));
    return log_.commit();
  }

  // Half an episode must teach nothing. If this fails as well, opening the log again closes the
  // episode, and the next import discards it.
  void abandon(const std::string& id) {
    const EpisodeId episode = log_.open_episode();
    if (episode == 0) return;
    (void)append(Label{.episode = episode, .span = 0, .value = LabelValue::kDiscard},
                 id + ":discard", episode, 0);
    (void)append(EpisodeEnded{.reason = EpisodeEnd::kAborted, .steps = 0}, id + ":abandoned",
                 episode, 0);
    (void)log_.commit();
  }

  // Nobody drove, or a script did; whatever else moved the robot was somebody showing it.
  static ControlSource source_of(std::int64_t source) {
    if (source == static_cast<std::int64_t>(ControlSource::kHold)) return ControlSource::kHold;
    if (source == static_cast<std::int64_t>(ControlSource::kScript)) return ControlSource::kScript;
    return ControlSource::kHuman;
  }

  Status append_discarded(const EpisodeNumbers& numbers, const std::string& id, EpisodeId episode) {
    for (std::uint64_t row = 0; row < numbers.rows;) {
      if (!numbers.discarded[row]) {
        ++row;
        continue;
      }
      std::uint64_t end = row;
      while (end < numbers.rows && numbers.discarded[end]) ++end;
      NUDGE_TRY(append(StepsDiscarded{.episode = episode,
                                      .first_step = static_cast<std::uint32_t>(row),
                                      .last_step = static_cast<std::uint32_t>(end - 1)},
                       id + ":undo" + std::to_string(row), episode,
                       static_cast<std::uint32_t>(numbers.rows)));
      row = end;
    }
    return {};
  }

  FileSystem& files_;
  Log& log_;
  const LerobotImportOptions& options_;
  const Progress& progress_;
  LerobotSource source_;
  SegmentSpec spec_;
  Mapping state_, features_, action_, requested_;
  bool encodes_ = false;     // features are made by the robot's backbone
  std::vector<float> unit_;  // [state_.size]
  std::vector<PictureFeed> cameras_;
  std::optional<Data> data_;
  std::string data_path_;
  std::uint64_t done_ = 0, total_ = 0;
  LerobotImportReport report_;
};

}  // namespace

Result<LerobotImportReport> import_lerobot(
    FileSystem& files, Log& log, const LerobotImportOptions& options,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  return Importer(files, log, options, progress).run();
}

}  // namespace nudge
