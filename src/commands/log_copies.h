// `nudge log backup` and `nudge log salvage`.
#pragma once

#include <memory>
#include <string>

#include "src/commands/command.h"

namespace nudge {

// Adds them to `nudge log`, whose --state is `state`.
void add_log_copies(Program& program, CLI::App& command, const std::shared_ptr<std::string>& state);

}  // namespace nudge
