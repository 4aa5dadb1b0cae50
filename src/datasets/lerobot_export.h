// Writes episodes of the log as a LeRobot data set, and goes on with one that is there: a second
// run adds what is new. docs/reference/lerobot-datasets.md describes what comes out.
//
// A data set is complete up to its last commit. What is not committed lies in DIR/.nudge/ under
// other names, so that no half file ever has a final name. A commit is one line per episode in
// meta/nudge.jsonl, made durable after the files it speaks of and before they get their names; a
// run that was killed anywhere is finished by the next one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"
#include "replay/log.h"
#include "src/datasets/lerobot_layout.h"
#include "src/datasets/robot_names.h"

namespace nudge {

struct LerobotExportOptions {
  std::string dir;  // of the data set; made when missing, its parent must exist
  // For a data set that does not exist yet; one that exists keeps what it has, and differing from
  // it is kFailedPrecondition.
  LerobotVersion version = LerobotVersion::kV30;
  PictureStorage pictures = PictureStorage::kEmbedded;
  VideoCodec codec = VideoCodec::kAv1;
  int fps = 0;         // 0: the robot's policy rate, or measured in the first episode
  std::string ffmpeg;  // path; needed for kVideo
  RobotNames robot;
  std::string source;  // which log this is: a data set grows from one log only
  // Which episodes. Episodes that people labelled discard are never taken.
  bool deployments = true;
  bool demonstrations = true;
  bool evaluations = false;
  bool successes_only = false;
  EpisodeId first = 1;
  EpisodeId last = UINT64_MAX;
  // When a file of data is closed and the next one begun. Of v2.1 each episode has its own.
  std::uint64_t group_bytes = 100u << 20;
  std::uint64_t group_rows = 50'000;
};

struct LerobotExportReport {
  std::uint64_t new_episodes = 0, new_rows = 0;
  std::uint64_t episodes = 0, rows = 0;  // of the data set now
  std::uint64_t relabelled = 0;  // exported earlier, and people have said more about them since
  std::vector<std::pair<EpisodeId, std::string>> skipped;  // episode and why
  LerobotShape shape;
};

// `progress` is told how many steps of how many are done. kAlreadyExists: the folder holds a data
// set that was not exported by Nudge. kFailedPrecondition: it comes from another log, or is of
// another form. kNotFound: there is nothing to export. kUnavailable: another export is at work in
// it, or ffmpeg is missing. kDataLoss: its own book is damaged. Errors of FileSystem and Log. On
// an error what was committed stays. One thread.
Result<LerobotExportReport> export_lerobot(
    FileSystem& files, Log& log, const LerobotExportOptions& options,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

}  // namespace nudge
