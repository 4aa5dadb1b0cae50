// Opening a state folder from a command, while no daemon runs.
#pragma once

#include <memory>
#include <string>

#include "policy/weights_history.h"
#include "replay/log.h"
#include "src/commands/command.h"

namespace nudge {

// The log in a state folder. kNotFound when there is none; kUnavailable when a daemon has it open.
// `flag` as for state_folder().
Result<std::unique_ptr<Log>> open_log(const Program& program, const std::string& flag,
                                      bool read_only);

// Every weights event of the log, folded.
Result<WeightsHistory> weights_history(Log& log);

}  // namespace nudge
