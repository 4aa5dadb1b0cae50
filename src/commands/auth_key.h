// `nudge auth key`: which CURVE keys may come in through the ports of ZeroMQ.
#pragma once

#include <memory>
#include <string>

#include "src/commands/command.h"

namespace nudge {

// Below `auth`, whose --state is `state`.
void add_auth_key_command(Program& program, CLI::App& auth,
                          const std::shared_ptr<std::string>& state);

}  // namespace nudge
