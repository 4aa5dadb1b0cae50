// Exit codes of the program: those of sysexits(3), so that scripts can tell errors apart.
#pragma once

#include "nudge/status.h"

namespace nudge {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,         // the command ran, and its answer is "no": a check or a target not met
  kExitUsage = 64,         // wrong flags or arguments
  kExitData = 65,          // damaged input
  kExitNoInput = 66,       // a named file or thing does not exist
  kExitUnavailable = 69,   // a peer, a device or a program is not there
  kExitSoftware = 70,      // a bug in Nudge
  kExitCannotCreate = 73,  // exists already, and may not be replaced
  kExitIo = 74,            // disk full, queue full
  kExitTryAgain = 75,      // wrong moment; may work later
  kExitPermission = 77,
  kExitConfig = 78,  // the configuration is wrong
};

// The exit code of an error. kInvalidArgument becomes 64; a caller that reads the configuration
// returns kExitConfig itself. Any thread.
ExitCode exit_code(const Status& status);

}  // namespace nudge
