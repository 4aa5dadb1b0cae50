// The features of a log's steps, made anew from the stored pictures by another backbone: so that
// what people taught is not lost when the eyes change. A log is never rewritten, so a new one is
// made beside it, equal in everything else, and put in its place when it is complete.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "nudge/status.h"
#include "policy/backbone.h"
#include "replay/file.h"
#include "replay/log.h"

namespace nudge {

struct ReencodeReport {
  std::uint64_t steps = 0;    // of the log
  std::uint64_t encoded = 0;  // by this call
  std::uint64_t reused = 0;   // that an earlier, interrupted call had encoded
  std::uint64_t kept = 0;     // that had this backbone's features already
  std::uint64_t without = 0;  // that have no features now: no picture of a camera that the backbone
                              // looks at, or one that does not fit
  std::string set_aside;      // folder of the log as it was; empty: nothing was to be changed
};

// `done` of `total`: positions in the log.
using OnReencoded = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Of the log in `state_folder`, which is whole, closed and stays so. Everything that is on the way
// lies in log.reencoding/ of the folder; a call that was broken off is gone on with by the next
// one, which encodes nothing twice and ends with the same log. kNotFound: no log; kUnavailable: it
// is in use; kDataLoss: it is damaged; kFailedPrecondition: not one step has pictures for this
// backbone; errors of the file system.
Result<ReencodeReport> reencode_log(FileSystem& files, const std::string& state_folder,
                                    Backbone& backbone, Instant now, WallTime wall,
                                    const OnReencoded& on_progress);

}  // namespace nudge
