#include "src/datasets/lerobot_tables.h"

namespace nudge {
namespace {

ParquetValue value_of(std::int64_t v) { return {v}; }
ParquetValue value_of(std::uint64_t v) { return {static_cast<std::int64_t>(v)}; }
ParquetValue value_of(const std::string& v) { return {v}; }
ParquetValue texts_of(const std::vector<std::string>& texts) {
  std::vector<ParquetValue> out;
  for (const std::string& text : texts) out.push_back({text});
  return {std::move(out)};
}

ParquetValue list_of_one(ParquetValue value) {
  std::vector<ParquetValue> out;
  out.push_back(std::move(value));
  return {std::move(out)};
}

// Pictures' numbers are lists of lists of lists: [3][1][1].
ParquetValue numbers_of(const std::vector<double>& values, bool picture) {
  std::vector<ParquetValue> out;
  for (const double value : values) {
    out.push_back(picture ? list_of_one(list_of_one({value})) : ParquetValue{value});
  }
  return {std::move(out)};
}

std::vector<std::string> measured_features(const std::vector<LerobotEpisode>& episodes) {
  std::vector<std::string> names;
  if (episodes.empty()) return names;
  for (const auto& [feature, unused] : episodes.front().statistics) names.push_back(feature);
  return names;
}

bool is_picture(const std::string& feature) { return feature.starts_with(lerobot::kPicturePrefix); }

}  // namespace

std::vector<ParquetField> task_fields() {
  return {ParquetField::value("task_index", ParquetType::kInt64),
          ParquetField::value("task", ParquetType::kText)};
}

Status write_task_rows(const std::vector<std::string>& tasks, ParquetWriter& table) {
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    table.add(0, static_cast<std::int64_t>(i));
    table.add(1, std::string_view(tasks[i]));
    NUDGE_TRY(table.end_row());
  }
  return {};
}

std::vector<ParquetField> episode_fields(const LerobotShape& shape,
                                         const std::vector<LerobotEpisode>& episodes) {
  std::vector<ParquetField> fields;
  const auto whole = [&](const std::string& name) {
    fields.push_back(ParquetField::value(name, ParquetType::kInt64));
  };
  const auto text = [&](const std::string& name) {
    fields.push_back(ParquetField::value(name, ParquetType::kText));
  };
  whole("episode_index");
  fields.push_back(ParquetField::list("tasks", ParquetType::kText));
  whole("length");
  for (const char* name :
       {"dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index",
        "meta/episodes/chunk_index", "meta/episodes/file_index"}) {
    whole(name);
  }
  for (const std::string& video : shape.video_features()) {
    whole("videos/" + video + "/chunk_index");
    whole("videos/" + video + "/file_index");
    for (const char* name : {"/from_timestamp", "/to_timestamp"}) {
      fields.push_back(ParquetField::value("videos/" + video + name, ParquetType::kDouble));
    }
  }
  text("outcome");
  text("purpose");
  whole("interventions");
  whole("weight_version");
  fields.push_back(ParquetField::list("people", ParquetType::kText));
  fields.push_back(ParquetField::list("words", ParquetType::kText));
  whole("log_episode");
  for (const std::string& feature : measured_features(episodes)) {
    ParquetField number = ParquetField::value("element", ParquetType::kDouble);
    if (is_picture(feature)) {
      number = ParquetField::list("element", ParquetField::list("element", std::move(number)));
    }
    for (const char* name : {"min", "max", "mean", "std", "q01", "q10", "q50", "q90", "q99"}) {
      fields.push_back(ParquetField::list("stats/" + feature + "/" + name, number));
    }
    fields.push_back(ParquetField::list("stats/" + feature + "/count", ParquetType::kInt64));
  }
  return fields;
}

Status write_episode_rows(const LerobotShape& shape, const std::vector<LerobotEpisode>& episodes,
                          ParquetWriter& table) {
  const std::size_t videos = shape.video_features().size();
  const std::vector<std::string> measured = measured_features(episodes);
  for (const LerobotEpisode& e : episodes) {
    std::size_t i = 0;
    const auto add = [&](const ParquetValue& value) { table.add(i++, value); };
    const auto chunk = value_of(e.group / 1'000);
    const auto file = value_of(e.group % 1'000);
    add(value_of(e.index));
    add(texts_of(e.tasks));
    add(value_of(e.length));
    add(value_of(e.from));
    add(value_of(e.from + e.length));
    add(chunk);
    add(file);
    add(value_of(std::int64_t{0}));
    add(value_of(std::int64_t{0}));
    for (std::size_t v = 0; v < videos; ++v) {
      add(chunk);
      add(file);
      add({static_cast<double>(e.group_row) / shape.fps});
      add({static_cast<double>(e.group_row + e.length) / shape.fps});
    }
    add(value_of(e.outcome));
    add(value_of(e.purpose));
    add(value_of(e.interventions));
    add(value_of(e.weights));
    add(texts_of(e.people));
    add(texts_of(e.words));
    add(value_of(e.log_episode));
    for (const std::string& feature : measured) {
      const bool picture = is_picture(feature);
      const FeatureStatistics& s = e.statistics.at(feature);
      for (const auto* values : {&s.min, &s.max, &s.mean, &s.std}) {
        add(numbers_of(*values, picture));
      }
      for (const std::vector<double>& q : s.quantile) add(numbers_of(q, picture));
      add({std::vector<ParquetValue>{value_of(s.count)}});
    }
    NUDGE_TRY(table.end_row());
  }
  return {};
}

std::map<std::string, FeatureStatistics> overall_statistics(
    const std::vector<LerobotEpisode>& episodes) {
  std::map<std::string, FeatureStatistics> all;
  for (const std::string& feature : measured_features(episodes)) {
    std::vector<FeatureStatistics> parts;
    for (const LerobotEpisode& episode : episodes) {
      const auto found = episode.statistics.find(feature);
      if (found != episode.statistics.end()) parts.push_back(found->second);
    }
    all[feature] = combine(parts);
  }
  return all;
}

}  // namespace nudge
