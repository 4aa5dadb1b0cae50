// The folder of everything that must survive a restart, as commands and daemon find it:
//   log/ (replay/log.h), weights/ (policy/weights_store.h), run/ (sockets, tokens, the STOP latch),
//   config.toml (the settings in force), learner.log.
#pragma once

#include <string>
#include <system_error>

#include "replay/log.h"
#include "src/config/config.h"

namespace nudge {

// Makes it when it is missing, for its owner alone. kPermissionDenied, kUnavailable.
Status make_state_folder(const std::string& path);

// Of a call on a file or folder in it. kResourceExhausted: the disk is full; kPermissionDenied;
// otherwise kUnavailable.
Status status_of(const std::error_code& error, const std::string& path);

// Writes config.toml, whole or not at all: the learner reads it, and people see what is in force.
// Writes nothing when that is what it says already. Errors of Folder.
Status write_config_in_force(const std::string& folder, const Config& config);

// Unique over restarts: wall time is only a name here.
std::string new_boot_id(WallTime wall);

LogOptions state_log_options(const std::string& folder, const Config& config,
                             const std::string& boot, Instant now, WallTime wall);

// STOP outlives a restart: it holds until somebody has reset it.
Result<bool> stop_is_latched(Log& log);

}  // namespace nudge
