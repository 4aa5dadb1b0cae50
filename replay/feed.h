// The feed: the durable log as the learner and other readers get it, in sequence order. Events
// travel whole; steps stay in their segment file and are referred to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>

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
inline constexpr std::size_t kMaxFeedItemBytes = 1u << 20;  // encoded

// One item as JSON text for the socket to another process. kInvalidArgument when a string is not
// UTF-8 or a bound is passed. Pure.
Result<std::string> encode(const FeedItem& item);
// The reverse, strict: every field present, none unknown, every value in range. kInvalidArgument;
// kUnimplemented for a kind of event that a newer version wrote.
Result<FeedItem> decode_feed_item(std::span<const std::byte> bytes);

}  // namespace nudge
