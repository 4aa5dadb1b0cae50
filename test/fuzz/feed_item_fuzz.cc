// Any bytes as an item of the feed.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "replay/feed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  const auto item = decode_feed_item(std::as_bytes(std::span(data, size)));
  if (!item.ok()) return 0;
  const auto again = encode(*item);
  if (!again.ok()) std::abort();
  const auto back = decode_feed_item(std::as_bytes(std::span(again->data(), again->size())));
  if (!back.ok() || *encode(*back) != *again) std::abort();
  return 0;
}
