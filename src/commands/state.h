// Opening a state folder from a command, while no daemon runs.
#pragma once

#include <memory>
#include <string>

#include "policy/weights.h"
#include "policy/weights_history.h"
#include "replay/log.h"
#include "replay/teachers.h"
#include "src/commands/command.h"

namespace nudge {

// The log in a state folder. kNotFound when there is none; kUnavailable when a daemon has it open.
// `flag` as for state_folder().
Result<std::unique_ptr<Log>> open_log(const Program& program, const std::string& flag,
                                      bool read_only);

// The state folder's run/, made when missing: tokens and keys may be made before the first start.
Result<std::string> run_path(const Program& program, const std::string& flag);

// fail() for an error of open_log(): a wrong configuration has an exit code of its own.
int fail_open(const Program& program, const Status& status);

// Every weights event of the log, folded.
Result<WeightsHistory> weights_history(Log& log);
// Who may have taught which weights.
Result<Teachers> teachers(Log& log);

// The bytes of one version, checked against the hash in the log. kNotFound for a version that the
// log does not know; kDataLoss when its file is gone or is not what the log names, or the base that
// it edits is.
Result<std::shared_ptr<const Weights>> stored_weights(const Program& program,
                                                      const std::string& flag,
                                                      WeightsVersion version,
                                                      const WeightsHistory& history);

}  // namespace nudge
