// Reading a log to its end, for whoever folds over it.
#pragma once

#include <functional>

#include "nudge/status.h"
#include "replay/feed.h"
#include "replay/log.h"

namespace nudge {

// Shows everything durable behind the entry `after` (0: from the start), in order, and what becomes
// durable meanwhile. Ends with the first error of `see`, or of Log::feed(); the log's thread.
Status follow(Log& log, Sequence after, const std::function<Status(const FeedItem&)>& see);

}  // namespace nudge
