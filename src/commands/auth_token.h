// `nudge auth token`: the tokens of the machine, one for each role, and the key of the openpi port.
#pragma once

#include <memory>
#include <string>

#include "src/commands/command.h"

namespace nudge {

// Adds it to `nudge auth`, whose --state is `state`.
void add_auth_token_command(Program& program, CLI::App& auth,
                            const std::shared_ptr<std::string>& state);

}  // namespace nudge
