// A copy of a log that can be opened as one. Made while the log is at work: the database as a
// snapshot (Log::start_snapshot()), then the segments that the snapshot knows, each as far as it
// was acknowledged. Made again into the same folder it copies only what is not there as it should
// be: what is kept of the old copy is read, and compared with the digests that the snapshot holds.
//
// The new copy is complete and checked, under other names, before any of it takes the place of the
// old one. At every moment the folder holds the log before or this one. After one that was broken
// off, `verify` may find files that the old database does not know yet; the next copy mends that.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"

namespace nudge {

struct BackupOptions {
  // BackupReport::gone of a try before. What a newer snapshot still wants of them was not evicted:
  // the log has lost it, and it is left out.
  std::vector<std::string> missing{};
  // Called when all of the new copy is there and checked, before any of it takes its place: for
  // what must not be older than the log. An error leaves the old copy.
  std::function<Status()> before_replacing{};
};

struct BackupReport {
  std::uint64_t segments = 0;         // in the copy
  std::uint64_t copied_segments = 0;  // of them new, grown, or not as they should be before
  std::uint64_t copied_bytes = 0;     // the database's included
  // Segments that are gone from the log since the snapshot, by file name: evicted meanwhile. The
  // copy is to be made again from a newer snapshot.
  std::vector<std::string> gone;
  // Segments that are not whole in the log, and were not in the old copy.
  std::vector<std::string> damaged;
};

// `log`: the folder of the log; `snapshot`: path of its database's snapshot, on any disk, consumed
// neither way; `to`: the copy's folder, made when missing (its parent must exist). With `gone` not
// empty nothing of the copy has changed. kAlreadyExists: what is in `to` is no earlier state
// of this log, but another one, or this one before it was salvaged or made anew; nothing was
// changed. kUnavailable when somebody has the copy open; kDataLoss for a snapshot that is none or
// is damaged, and for an old copy that cannot be read; errors of FileSystem.
Result<BackupReport> back_up_log(FileSystem& files, const std::string& log,
                                 const std::string& snapshot, const std::string& to,
                                 const BackupOptions& options = {});

// Puts a copy of the file `from` in the place of `to`, whole or not at all, by way of a name beside
// it; durable when this returns. True: `to` was missing or had other bytes. Errors of FileSystem.
Result<bool> replace_by_copy(FileSystem& files, const std::string& from, const std::string& to);

}  // namespace nudge
