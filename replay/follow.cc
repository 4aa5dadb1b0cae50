#include "replay/follow.h"

#include <string>
#include <vector>

namespace nudge {
namespace {

constexpr std::size_t kPage = 1000;  // entries read at a time

}  // namespace

Status follow(Log& log, Sequence after, const std::function<Status(const FeedItem&)>& see) {
  while (after < log.durable()) {
    const Result<std::vector<FeedItem>> items = log.feed(after + 1, kPage);
    if (!items.ok()) return items.status();
    if (items->empty()) return internal("the log has no entry " + std::to_string(after + 1));
    for (const FeedItem& item : *items) {
      NUDGE_TRY(see(item));
      after = last_sequence(item);
    }
  }
  return {};
}

}  // namespace nudge
