// The rows of a LeRobot data set that one episode of the log gives, a step a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "replay/segment.h"
#include "src/datasets/episode_story.h"
#include "src/datasets/feature_statistics.h"
#include "src/datasets/jpeg.h"
#include "src/datasets/lerobot_layout.h"
#include "src/datasets/parquet_writer.h"
#include "src/datasets/video.h"

namespace nudge {

// What a first look at an episode's steps gave.
struct ExaminedEpisode {
  std::uint64_t rows = 0;
  SegmentSpec spec;
  std::vector<std::optional<std::vector<std::byte>>> first_picture;  // by camera of the segment
  std::vector<PictureSize> size;                                     // likewise
  std::vector<std::uint32_t> steps;  // number of each row's step, rising
  double period = 0;                 // s, median; 0: unknown
  std::string refused;               // why it cannot be exported; empty: it can
};

// Where rows go: the files of a group.
struct LerobotSink {
  ParquetWriter* data = nullptr;
  std::vector<VideoEncoder*> videos;  // by camera, for pictures in videos
};

// The columns of a data file; videos are files of their own.
std::vector<ParquetField> lerobot_fields(const LerobotShape& shape);

// One thread at a time. What the constructor is given outlives it, and fits the shape.
class LerobotRows {
 public:
  struct Source {
    const LerobotShape& shape;
    const EpisodeSummary& episode;
    const ExaminedEpisode& examined;
    const EpisodeStory& story;
    const EpisodeMarks& marks;
  };
  // `record`: where the rows lie in the data set. `task_index`: number of a task in the data set.
  LerobotRows(const Source& source, LerobotEpisode record, LerobotSink sink,
              std::function<std::size_t(const std::string& task)> task_index);

  // The next step. Errors of the files.
  Status add(const StepView& view);
  std::uint64_t rows() const { return row_; }
  // The episode as the data set's own book tells it; after the last step, once.
  LerobotEpisode finish();

 private:
  void begin_row(const StepView& view, const StepMarks& mark, const std::string& task);
  Status add_pictures();
  void add_numbers(const StepView& view, const StepMarks& mark, const std::string& task);
  void add_words(const StepView& view);

  // Each writes the next column, and counts it in its statistics.
  void vector(std::span<const float> values);
  void vector_of_nothing();  // zeros that are in no statistics
  void whole(std::int64_t value);
  void real(float value);
  void yes(bool value);
  void write_vector(std::span<const float> values);

  bool is_last() const { return row_ + 1 == source_.examined.rows; }

  Source source_;
  LerobotEpisode record_;
  LerobotSink sink_;
  std::function<std::size_t(const std::string&)> task_index_;

  std::vector<LerobotFeature> columns_;
  std::vector<std::size_t> in_file_;                      // by column; videos have none
  std::vector<std::optional<NumberStatistics>> numbers_;  // by column
  std::vector<PictureStatistics> pictures_;               // by camera
  std::vector<std::vector<std::byte>> picture_;           // by camera: what it shows now
  std::vector<std::size_t> camera_of_;                    // by camera of the segment
  std::vector<ParquetValue> instructions_;
  std::vector<float> features_, nothing_;
  std::uint64_t sample_every_ = 1;  // rows, of pictures' statistics
  std::size_t said_ = 0;            // words that have found their row
  std::size_t column_ = 0;          // the next
  std::uint64_t row_ = 0;
};

}  // namespace nudge
