#include "src/datasets/lerobot_rows.h"

#include <algorithm>
#include <cstdio>

#include "nudge/half.h"

namespace nudge {
namespace {

constexpr std::uint64_t kSampledPictures = 100;  // of an episode and camera, for statistics

ParquetField text_field(const char* name) { return ParquetField::value(name, ParquetType::kText); }

ParquetField field_of(const LerobotFeature& feature) {
  if (feature.dtype == "language") {
    std::vector<ParquetField> fields = {text_field("role"), text_field("content"),
                                        text_field("style")};
    if (feature.name == "language_persistent") {
      fields.push_back(ParquetField::value("timestamp", ParquetType::kFloat));
    }
    fields.push_back(text_field("camera"));
    fields.push_back(ParquetField::list("tool_calls", ParquetType::kText));
    return ParquetField::list(feature.name, ParquetField::group("element", std::move(fields)));
  }
  if (feature.dtype == "image") {
    return ParquetField::group(
        feature.name, {ParquetField::value("bytes", ParquetType::kBytes), text_field("path")});
  }
  const ParquetType type = feature.dtype == "bool"      ? ParquetType::kBool
                           : feature.dtype == "float32" ? ParquetType::kFloat
                                                        : ParquetType::kInt64;
  // LeRobot reads a vector of one as a plain number.
  if (feature.shape[0] > 1) return ParquetField::list(feature.name, type);
  return ParquetField::value(feature.name, type);
}

bool has_numbers(const LerobotFeature& feature) {
  return feature.dtype == "float32" || feature.dtype == "int64" || feature.dtype == "bool";
}

}  // namespace

std::vector<ParquetField> lerobot_fields(const LerobotShape& shape) {
  std::vector<ParquetField> fields;
  for (const LerobotFeature& feature : shape.columns()) {
    if (feature.dtype != "video") fields.push_back(field_of(feature));
  }
  return fields;
}

LerobotRows::LerobotRows(const Source& source, LerobotEpisode record, LerobotSink sink,
                         std::function<std::size_t(const std::string& task)> task_index)
    : source_(source),
      record_(std::move(record)),
      sink_(std::move(sink)),
      task_index_(std::move(task_index)),
      columns_(source.shape.columns()),
      in_file_(columns_.size(), 0),
      numbers_(columns_.size()),
      pictures_(source.shape.cameras.size()),
      picture_(source.shape.cameras.size()),
      camera_of_(source.examined.spec.cameras.size(), source.shape.cameras.size()),
      features_(source.shape.features.size()),
      nothing_(source.shape.action.size(), 0.0f),
      sample_every_(std::max<std::uint64_t>(1, source.examined.rows / kSampledPictures)) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].dtype != "video") in_file_[i] = next++;
    if (has_numbers(columns_[i])) numbers_[i].emplace(columns_[i].shape[0]);
  }
  const std::vector<std::string>& recorded = source_.examined.spec.cameras;
  for (std::size_t c = 0; c < source_.shape.cameras.size(); ++c) {
    const auto found = std::find(recorded.begin(), recorded.end(), source_.shape.cameras[c].name);
    const auto in_segment = static_cast<std::size_t>(found - recorded.begin());
    camera_of_[in_segment] = c;
    // Until the camera has delivered one.
    picture_[c] = *source_.examined.first_picture[in_segment];
  }
  // Instructions hold from the first row at or behind their step; LeRobot repeats them all in
  // every row.
  const std::vector<std::uint32_t>& steps = source_.examined.steps;
  for (const auto& [step, instruction] : source_.story.instructions) {
    const auto found = std::lower_bound(steps.begin(), steps.end(), step);
    const auto at = std::min<std::ptrdiff_t>(
        found - steps.begin(), static_cast<std::ptrdiff_t>(source_.examined.rows) - 1);
    const double time = static_cast<double>(at) / source_.shape.fps;
    instructions_.push_back({std::vector<ParquetValue>{
        {std::string("user")}, {instruction}, {std::string("subtask")}, {time}, {}, {}}});
  }
}

Status LerobotRows::add(const StepView& view) {
  const StepMarks mark = source_.marks.of(view.policy_step, view.source, view.span);
  const std::string& task = source_.marks.instruction(view.policy_step);
  begin_row(view, mark, task);
  if (!source_.shape.state.empty()) vector(view.proprioception);
  if (!source_.shape.features.empty()) {
    to_float(view.features, features_);
    vector(features_);
  }
  NUDGE_TRY(add_pictures());
  add_numbers(view, mark, task);
  add_words(view);
  ++row_;
  return sink_.data->end_row();
}

void LerobotRows::begin_row(const StepView& view, const StepMarks& mark, const std::string& task) {
  column_ = 0;
  if (std::find(record_.tasks.begin(), record_.tasks.end(), task) == record_.tasks.end()) {
    record_.tasks.push_back(task);
  }
  record_.interventions += mark.intervention ? 1 : 0;
  record_.weights = std::max(record_.weights, static_cast<std::int64_t>(view.weights));
  for (std::size_t i = 0; i < view.images; ++i) {
    const ImageView image = view.image(i);
    const std::size_t c = camera_of_[image.camera];
    if (c < picture_.size()) picture_[c].assign(image.jpeg.begin(), image.jpeg.end());
  }
}

Status LerobotRows::add_pictures() {
  if (source_.shape.pictures == PictureStorage::kNone) return {};
  for (std::size_t c = 0; c < picture_.size(); ++c) {
    if (source_.shape.pictures == PictureStorage::kVideo) {
      NUDGE_TRY(sink_.videos[c]->add(picture_[c]));
    } else {
      char name[32];
      std::snprintf(name, sizeof name, "frame-%06llu.jpg", static_cast<unsigned long long>(row_));
      sink_.data->add(in_file_[column_], picture_[c], name);
    }
    ++column_;
    if (row_ % sample_every_ != 0) continue;
    const Result<RgbPicture> decoded = decode_jpeg(picture_[c]);
    if (decoded.ok()) {
      pictures_[c].add(decoded->rgb, decoded->size.width, decoded->size.height);
    }
  }
  return {};
}

void LerobotRows::add_numbers(const StepView& view, const StepMarks& mark,
                              const std::string& task) {
  const bool success = source_.episode.outcome == LabelValue::kSuccess;
  const bool last = is_last();
  vector(view.executed);
  // No NaN for "nothing": LeRobot's tools go through pandas, which makes nulls of them.
  const bool proposed = !view.proposed.empty();
  proposed ? vector(view.proposed) : vector_of_nothing();
  vector(view.requested.empty() ? view.executed : view.requested);
  real(static_cast<float>(static_cast<double>(row_) / source_.shape.fps));
  whole(static_cast<std::int64_t>(row_));
  whole(static_cast<std::int64_t>(record_.index));
  whole(static_cast<std::int64_t>(record_.from + row_));
  whole(static_cast<std::int64_t>(task_index_(task)));
  real(last && success ? 1.0f : 0.0f);
  yes(last);
  yes(last && success);
  yes(last && source_.episode.ended->reason != EpisodeEnd::kTaskDone);
  yes(mark.intervention);
  yes(proposed);
  whole(static_cast<std::int64_t>(view.source));
  whole(static_cast<std::int64_t>(view.weights));
  whole(mark.segment);
  whole(static_cast<std::int64_t>(mark.label));
  yes(mark.discarded);
  whole(static_cast<std::int64_t>(view.policy_step));
}

// Words belong to the first row behind them, or to the last.
void LerobotRows::add_words(const StepView& view) {
  const std::vector<Utterance>& words = source_.story.words;
  std::vector<ParquetValue> heard;
  for (; said_ < words.size() && (is_last() || words[said_].step <= view.policy_step); ++said_) {
    const Utterance& one = words[said_];
    heard.push_back({std::vector<ParquetValue>{
        {std::string("user")}, {one.text}, {std::string("interjection")}, {}, {}}});
    record_.words.push_back(std::to_string(row_) + " " + one.by + ": " + one.text);
  }
  if (source_.shape.version != LerobotVersion::kV30) return;
  sink_.data->add(in_file_[column_++], {instructions_});
  sink_.data->add(in_file_[column_++], {std::move(heard)});
}

void LerobotRows::write_vector(std::span<const float> values) {
  if (columns_[column_].shape[0] == 1) {
    sink_.data->add(in_file_[column_], static_cast<double>(values[0]));
  } else {
    sink_.data->add(in_file_[column_], values);
  }
}
void LerobotRows::vector(std::span<const float> values) {
  write_vector(values);
  numbers_[column_++]->add(values);
}
void LerobotRows::vector_of_nothing() {
  write_vector(nothing_);
  ++column_;
}
void LerobotRows::whole(std::int64_t value) {
  sink_.data->add(in_file_[column_], value);
  const float number = static_cast<float>(value);
  numbers_[column_++]->add({&number, 1});
}
void LerobotRows::real(float value) {
  sink_.data->add(in_file_[column_], static_cast<double>(value));
  numbers_[column_++]->add({&value, 1});
}
void LerobotRows::yes(bool value) {
  sink_.data->add(in_file_[column_], value);
  const float number = value ? 1.0f : 0.0f;
  numbers_[column_++]->add({&number, 1});
}

LerobotEpisode LerobotRows::finish() {
  std::size_t camera = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (numbers_[i]) {
      record_.statistics[columns_[i].name] = numbers_[i]->result();
    } else if (columns_[i].dtype == "image" || columns_[i].dtype == "video") {
      record_.statistics[columns_[i].name] = pictures_[camera++].result();
    }
  }
  return std::move(record_);
}

}  // namespace nudge
