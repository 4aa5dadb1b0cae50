// What robot a log is of.
#pragma once

#include <optional>
#include <string>

#include "replay/log.h"
#include "src/commands/command.h"
#include "src/datasets/robot_names.h"

namespace nudge {

struct LogRobot {
  RobotNames names;               // as far as they are known
  std::optional<RobotSpec> spec;  // none: a log of an earlier version, of a robot that we have not
  std::string source;             // says which log this is: the first event that it ever took
};

// From the log's newest `booted` event, and for the simulated kitchen from the program itself.
Result<LogRobot> log_robot(const Program& program, Log& log);

}  // namespace nudge
