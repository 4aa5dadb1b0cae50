// A copy of a log that can be opened as one. Made while the log is at work: the database as a
// snapshot (Log::start_snapshot()), then the segments that the snapshot knows, each as far as it
// was acknowledged. Made again into the same folder it copies only what is new.
//
// At every moment the copy's folder holds the log before or this one: segments are only added to or
// made before their database takes the place of the old, and removed after. After one that was
// broken off, `verify` may find files that the old database does not know yet; the next copy mends
// that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"

namespace nudge {

struct BackupReport {
  std::uint64_t segments = 0;         // in the copy
  std::uint64_t copied_segments = 0;  // of them new, or grown
  std::uint64_t copied_bytes = 0;     // the database's included
  // Segments that are gone from the log since the snapshot, by file name: evicted meanwhile. The
  // copy is to be made again from a newer snapshot.
  std::vector<std::string> gone;
};

// `log`: the folder of the log; `snapshot`: path of its database's snapshot, on any disk, consumed
// neither way; `to`: the copy's folder, made when missing (its parent must exist). With `gone` not
// empty the copy's database is still the old one. kUnavailable when somebody has the copy open;
// kDataLoss for a snapshot that is none; errors of FileSystem.
Result<BackupReport> back_up_log(FileSystem& files, const std::string& log,
                                 const std::string& snapshot, const std::string& to);

}  // namespace nudge
