// Brings a LeRobot data set, v3.0 or v2.1, into the log as demonstrations. All that the data set
// says is checked against the robot first; an episode that does not fit brings nothing.
//
// An episode is known by the hash of its numbers and tasks: importing it again changes nothing, and
// one whose import was interrupted is discarded and imported anew.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/backbone.h"
#include "replay/file.h"
#include "replay/log.h"
#include "src/datasets/robot_names.h"

namespace nudge {

// Units of LeRobot's own arms. Times the factor they are the robot's: rad, and shares of a range.
enum class LerobotUnits : std::uint8_t {
  kSame,     // the robot's already
  kDegrees,  // joints in degrees, a gripper in percent
  kPercent,  // all in percent of their range
};

struct LerobotImportOptions {
  std::string dir;      // of the data set
  std::string scratch;  // an empty folder for what has to be spooled
  std::string boot;     // of this run
  Instant now;          // its steady clock
  WallTime wall_now;    // and wall clock
  // The robot that the demonstrations are for. Names may be unknown, sizes are not:
  RobotNames robot;
  SegmentSpec segment;  // what its episodes hold; segment.episode is ignored
  // What makes the policy's features of object state and instruction; null: it is not known, or
  // looks at pictures, so that features must be in the data set.
  std::shared_ptr<Backbone> backbone;
  bool any_camera = false;  // segment.cameras are unknown: take those of the data set
  // 0: actions are rates already. Else they are goal positions of the channels of the state, as
  // LeRobot records them, and this is the rate that +1 stands for, in the robot's unit per second:
  // the rate of a step is what would have brought the robot to its goal within it, at most 1.
  double positions_at = 0;
  LerobotUnits units = LerobotUnits::kSame;  // of state and goals
  // Demonstrations without what the policy looks at teach nothing; they may be wanted all the same.
  bool without_features = false;
};

struct LerobotImportReport {
  std::uint64_t new_episodes = 0, new_steps = 0;
  std::uint64_t known_episodes = 0;          // imported earlier
  std::vector<std::string> ignored_cameras;  // that the robot does not have
};

// kInvalidArgument: the data set does not fit the robot; the message says what, where and what to
// do. kNotFound, kDataLoss, kUnimplemented: it is not there, damaged, or of another version.
// kUnavailable: ffmpeg is needed and missing. Errors of Log. Episodes before the one that failed
// are in the log. One thread.
Result<LerobotImportReport> import_lerobot(
    FileSystem& files, Log& log, const LerobotImportOptions& options,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

}  // namespace nudge
