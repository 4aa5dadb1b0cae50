// What becomes of a log that is damaged when the daemon starts, or when somebody says `nudge log
// salvage`: a new log of what can be read takes its place, and the damaged one is kept beside it.
// Where it is gone altogether, the newest one that was set aside is what can be read.
#pragma once

#include <string>

#include "nudge/status.h"
#include "nudge/time.h"
#include "replay/file.h"
#include "replay/salvage.h"

namespace nudge {

struct SetAside {
  bool gone = false;   // there was no log, or an empty one
  std::string folder;  // of the damaged log, in the state folder; of one that was gone, what the
                       // new one was made of, or empty
  SalvageReport report;
};

// `state`: the state folder. Nobody may have the log open (kUnavailable). As salvage_log(), with
// the newest signed head and the newest weights of the state folder; on an error the damaged log is
// where it was, or the new one is put in place when the log is opened next, and the message says
// what to do. A crash at any moment leaves one of the two.
Result<SetAside> set_damaged_log_aside(FileSystem& files, const std::string& state, Instant now,
                                       WallTime wall);

// For people, in one line: what was saved and what they have to do now.
std::string describe(const SetAside& aside);
// The same, when all that is known is that an earlier start was broken off in the midst of it.
std::string describe_finished(const std::string& state);

}  // namespace nudge
