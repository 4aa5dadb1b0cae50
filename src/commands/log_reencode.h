// `nudge log reencode`.
#pragma once

#include <memory>
#include <string>

#include "src/commands/command.h"

namespace nudge {

// `state`: the flag that all commands of `nudge log` share.
void add_log_reencode(Program& program, CLI::App& command, std::shared_ptr<std::string> state);

}  // namespace nudge
