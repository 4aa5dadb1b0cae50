// What the numbers of a log are called, for those who read them elsewhere: the one place where a
// data set gets its names and its rate from.
#pragma once

#include <string>
#include <vector>

#include "nudge/robot.h"
#include "replay/log.h"
#include "replay/segment.h"

namespace nudge {

struct RobotNames {
  std::string robot;                      // "kitchen"
  std::vector<std::string> state;         // of the proprioception; may be empty: unknown
  std::vector<std::string> object_state;  // of what a state backbone gives
  std::string state_backbone;             // its hash; empty: the robot has no object state
  std::vector<std::string> action;
  Duration policy_period{};  // zero: unknown
};

RobotNames robot_names(const RobotSpec& spec);

// `names` where they fit what a segment holds, and "state_0", "action_0", ... where they do not.
RobotNames fitted(const RobotNames& names, const SegmentSpec& segment);

}  // namespace nudge
