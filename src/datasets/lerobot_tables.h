// The tables below meta/ that say what is in a LeRobot data set of version 3.0: its tasks, its
// episodes, and what their numbers are like.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "src/datasets/lerobot_layout.h"
#include "src/datasets/parquet_writer.h"

namespace nudge {

// meta/tasks.parquet.
std::vector<ParquetField> task_fields();
Status write_task_rows(const std::vector<std::string>& tasks, ParquetWriter& table);

// meta/episodes/*. All episodes have statistics of the same features.
std::vector<ParquetField> episode_fields(const LerobotShape& shape,
                                         const std::vector<LerobotEpisode>& episodes);
Status write_episode_rows(const LerobotShape& shape, const std::vector<LerobotEpisode>& episodes,
                          ParquetWriter& table);

// Of all episodes together, by feature.
std::map<std::string, FeatureStatistics> overall_statistics(
    const std::vector<LerobotEpisode>& episodes);

}  // namespace nudge
