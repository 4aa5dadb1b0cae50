// Reads a LeRobot data set's own description: info.json, tasks and episodes of v3.0 and v2.1. Comes
// from outside: bounded and checked.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"
#include "src/datasets/lerobot_layout.h"

namespace nudge {

struct SourceFeature {
  std::string dtype;
  std::vector<std::size_t> shape;
  std::vector<std::string> names;  // empty: not told
  std::string backbone;            // of our own features
};

// meta/info.json.
struct SourceInfo {
  LerobotVersion version = LerobotVersion::kV30;
  int fps = 0;  // 1..1,000
  std::uint64_t episodes = 0, rows = 0;
  std::uint64_t chunk_size = 1'000;
  std::string robot;
  std::string data_path, video_path;  // templates; relative, without ".."
  std::map<std::string, SourceFeature> features;
};

// kDataLoss, kUnimplemented for another version. Any thread.
Result<SourceInfo> parse_source_info(std::string_view json);

// Fills "{name}" and "{name:03d}" of a template. kDataLoss for a name that is not given.
Result<std::string> fill_template(const std::string& text,
                                  const std::map<std::string, std::uint64_t>& numbers,
                                  const std::string& video_key);

struct SourceVideo {
  std::string path;  // absolute
  double from = 0;   // s, of the episode's first frame in it
};

struct SourceEpisode {
  std::uint64_t index = 0;
  std::uint64_t length = 0;
  std::string data;     // path of the file it lies in
  std::string outcome;  // of our own data sets: "success", "failure"; else empty
  std::map<std::string, SourceVideo> videos;  // by feature
};

struct LerobotSource {
  SourceInfo info;
  std::map<std::int64_t, std::string> tasks;
  std::vector<SourceEpisode> episodes;  // in order of index, which rises
};

// kNotFound when `dir` is no data set.
Result<LerobotSource> open_lerobot_source(FileSystem& files, const std::string& dir);

}  // namespace nudge
