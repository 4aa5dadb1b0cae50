// Any bytes as a page of the feed.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "replay/feed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto items = decode_feed(bytes, 1000);
  if (!items.ok()) return 0;
  // There is one way to write each item, and no byte that does not count.
  std::vector<std::byte> again;
  for (const FeedItem& item : *items) {
    if (!append(item, again).ok()) std::abort();
  }
  if (again.size() != bytes.size() || !std::equal(again.begin(), again.end(), bytes.begin())) {
    std::abort();
  }
  return 0;
}
