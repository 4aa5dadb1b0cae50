// SIGINT and SIGTERM as a flag: the first asks a command to end cleanly, the second ends the
// process the ordinary way.
#pragma once

#include <atomic>

namespace nudge {

// Installs the handlers. The flag lives as long as the program.
const std::atomic<bool>& stop_on_signal();

}  // namespace nudge
