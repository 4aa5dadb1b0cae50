// What becomes of a log that is damaged when the daemon starts, or when somebody says `nudge log
// salvage`: a new log of what can be read takes its place, and the damaged one is kept beside it.
#pragma once

#include <string>

#include "nudge/status.h"
#include "nudge/time.h"
#include "replay/salvage.h"

namespace nudge {

struct SetAside {
  std::string folder;  // of the damaged log, in the state folder
  SalvageReport report;
};

// `state`: the state folder. Nobody may have the log open (kUnavailable). As salvage_log(), with
// the newest signed head and the newest weights of the state folder; on an error the damaged log is
// where it was, and the message says what to do.
Result<SetAside> set_damaged_log_aside(const std::string& state, Instant now, WallTime wall);

// The number of the newest signed head in the state folder; 0: none that can be read.
Sequence newest_signed_head(const std::string& state);

// For people, in one line: what was saved and what they have to do now.
std::string describe(const SetAside& aside);

}  // namespace nudge
