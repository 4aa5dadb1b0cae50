// The feed: the durable log as the learner and other readers get it, in sequence order. Events
// travel whole; steps stay in their segment file and are referred to. Between processes it travels
// in pages: items one behind the other (docs/reference/learner-protocol.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"

namespace nudge {

// A run of consecutive steps of one episode with no event between them.
struct StepsRef {
  EpisodeId episode = 0;
  std::string path;                // of the segment file, at most kMaxFeedPath bytes
  Sequence first = 0;              // of the run's first step
  Sequence last = 0;               // of its last: last - first + 1 steps
  std::uint64_t first_offset = 0;  // of the first step's record in the file
  std::uint64_t end_offset = 0;    // behind the last step's record; never read beyond it

  std::uint64_t count() const { return last - first + 1; }
  friend bool operator==(const StepsRef&, const StepsRef&) = default;
};

using FeedItem = std::variant<Event, StepsRef>;

inline Sequence first_sequence(const FeedItem& item) {
  if (const auto* event = std::get_if<Event>(&item)) return event->sequence;
  return std::get<StepsRef>(item).first;
}
inline Sequence last_sequence(const FeedItem& item) {
  if (const auto* event = std::get_if<Event>(&item)) return event->sequence;
  return std::get<StepsRef>(item).last;
}

inline constexpr std::size_t kMaxFeedPath = 4096;           // bytes
inline constexpr std::size_t kMaxFeedItemBytes = 1u << 20;  // packed
inline constexpr std::size_t kMaxFeedPage = 4u << 20;       // bytes

// Appends one item to a page. Upon an error the page is as it was: kInvalidArgument when the
// event's envelope is not valid or a bound is passed; kResourceExhausted when the page has no room
// for it. Pure.
Status append(const FeedItem& item, std::vector<std::byte>& page);
// The items of a whole page, strict: at most `max_items`, nothing cut off, nothing behind them,
// every value in range. kInvalidArgument; kUnimplemented for a kind of event that a newer version
// wrote. Pure.
Result<std::vector<FeedItem>> decode_feed(std::span<const std::byte> page, std::size_t max_items);

}  // namespace nudge
