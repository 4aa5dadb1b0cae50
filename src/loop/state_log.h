// The log of a state folder, as the daemon and every command opens it. Beside the log itself the
// folder knows what there must be in it: the head that was signed last, the weights, logs that were
// set aside. A log that has less is damaged, however whole it looks; nothing is written to it.
//
// A new log takes the place of one (salvage, re-encoding) in steps that a crash may come between:
// it is complete and durable beside it first, then the old one gets another name, then the new one
// gets its own. Whoever opens the log next does what is left to do.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/weights.h"
#include "replay/chain.h"
#include "replay/file.h"
#include "replay/log.h"

namespace nudge {

// Opens state/log. `options`: as of state_log_options(), or with read_only. What a crash has left
// undone of a replacement is done first. As Log::open(), and, unless it is read only, kDataLoss for
// a log that has less than there was: nothing of it was touched.
Result<std::unique_ptr<Log>> open_state_log(FileSystem& files, const std::string& state,
                                            const LogOptions& options);

// For whoever wants a log that was begun. kNotFound: there is none in the state folder; kDataLoss:
// it is gone, see missing_log(); kPermissionDenied; errors of FileSystem.
Status require_log(FileSystem& files, const std::string& state);

// Why a log of this state folder that holds nothing cannot be all that there was; empty: nothing
// speaks against it. Errors of FileSystem.
Result<std::string> missing_log(FileSystem& files, const std::string& state);

// The newest of the logs that were set aside in the state folder and hold something: its folder;
// empty: there is none. kUnavailable.
Result<std::string> newest_set_aside(FileSystem& files, const std::string& state);

// The newest version in the weights folder, accepted or not, complete or not: its number was given.
WeightsVersion newest_weights(FileSystem& files, const std::string& state);

// The number of the signed head in this folder; 0: none that can be read.
Sequence signed_end(FileSystem& files, const std::string& folder);
// Of the newest one of the state folder.
Sequence newest_signed_head(FileSystem& files, const std::string& state);
// Its text, without a newline, as it is; empty: there is none.
std::string newest_head_text(FileSystem& files, const std::string& state);

// ---- replacing it ----

// How the names of logs begin that were set aside; a time in seconds follows.
inline constexpr std::string_view kDamagedPrefix = "log.damaged-";
inline constexpr std::string_view kBeforePrefix = "log.before-";  // they were re-encoded

// Names in the state folder of a log that is complete and waits to be put in place.
inline constexpr const char* kSalvaged = "log.salvaged";
inline constexpr const char* kReencoded = "log.reencoding/log";
// Says that the latter is complete.
inline constexpr const char* kReencodedMark = "log.reencoding/complete";

// Puts the log that waits under this name, complete and durable, in the place of state/log. That
// becomes the folder `aside` and gets its signed head into it; without `aside` it is removed.
// Whoever calls has its lock. After an error the old log is where it was, or the next one who opens
// the log goes on.
Status replace_log(FileSystem& files, const std::string& state, const std::string& waits,
                   const std::string& aside);

// After a crash in the midst of replace_log(): when there is no log and one waits, it gets its
// name. Returns which (kSalvaged, kReencoded); empty: there was nothing to be done.
Result<std::string> finish_replacement(FileSystem& files, const std::string& state);

// The head of a log that has been put in place, signed where heads are signed: that of the one
// before it says nothing about this one. Errors of HeadSeal; the daemon signs one in any case.
Status seal_new_log(const std::string& state, const ChainHead& head, WallTime wall);

}  // namespace nudge
