// `nudge demo` without --headless: the daemon beside the simulated kitchen, a page to watch and
// correct it on, and a scripted supervisor in a process of its own.
#pragma once

#include <string>

#include "src/commands/command.h"

namespace nudge {

struct LiveDemoOptions {
  Config config;
  std::string state_folder;  // exists; what it holds is gone on with
};

// Until a signal asks for the end. Returns the exit code.
int run_live_demo(const Program& program, const LiveDemoOptions& options);

}  // namespace nudge
