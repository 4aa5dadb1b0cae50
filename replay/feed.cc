#include "replay/feed.h"

#include <utility>

#include "replay/event_codec.h"
#include "replay/packed_fields.h"

namespace nudge {
namespace {

using packed_fields::Reader;
using packed_fields::Writer;

enum class ItemKind : std::uint8_t { kSteps = 0, kEvent = 1 };

// Both directions walk the same list.
void fields(auto& a, auto& ref) {
  a.field("episode", ref.episode);
  a.field("path", ref.path, kMaxFeedPath);
  a.field("first", ref.first);
  a.field("last", ref.last);
  a.field("first_offset", ref.first_offset);
  a.field("end_offset", ref.end_offset);
}

Status check(const StepsRef& ref) {
  if (ref.first == 0 || ref.last < ref.first || ref.end_offset <= ref.first_offset ||
      ref.first_offset % 8 != 0 || ref.end_offset % 8 != 0 || ref.path.empty()) {
    return invalid_argument("the run of steps makes no sense");
  }
  return {};
}

Status write(const FeedItem& item, Writer& writer) {
  const auto* ref = std::get_if<StepsRef>(&item);
  const ItemKind kind = ref != nullptr ? ItemKind::kSteps : ItemKind::kEvent;
  writer.field("item", kind, ItemKind::kEvent);
  if (ref == nullptr) return pack(std::get<Event>(item), writer);
  NUDGE_TRY(check(*ref));
  fields(writer, *ref);
  return writer.status();
}

Result<FeedItem> read(Reader& reader) {
  ItemKind kind{};
  reader.field("item", kind, ItemKind::kEvent);
  NUDGE_TRY(reader.status());
  if (kind == ItemKind::kSteps) {
    StepsRef ref;
    fields(reader, ref);
    NUDGE_TRY(reader.status());
    NUDGE_TRY(check(ref));
    return FeedItem(std::move(ref));
  }
  Result<Event> event = unpack_event(reader);
  if (!event.ok()) return event.status();
  if (event->sequence == 0) return invalid_argument("an event without a sequence");
  return FeedItem(*std::move(event));
}

}  // namespace

Status append(const FeedItem& item, std::vector<std::byte>& page) {
  const std::size_t before = page.size();
  Writer writer(page);
  Status written = write(item, writer);
  if (written.ok() && page.size() - before > kMaxFeedItemBytes) {
    written =
        invalid_argument("an item of more than " + std::to_string(kMaxFeedItemBytes) + " bytes");
  }
  if (written.ok() && page.size() > kMaxFeedPage) {
    written = resource_exhausted("no room on this page");
  }
  if (written.ok()) return written;
  page.resize(before);
  return written.with_context("feed");
}

Result<std::vector<FeedItem>> decode_feed(std::span<const std::byte> page, std::size_t max_items) {
  if (page.size() > kMaxFeedPage) {
    return invalid_argument("feed: a page of more than " + std::to_string(kMaxFeedPage) + " bytes");
  }
  std::vector<FeedItem> items;
  Reader reader(page);
  while (!reader.at_end()) {
    if (items.size() == max_items) {
      return invalid_argument("feed: a page of more than " + std::to_string(max_items) + " items");
    }
    Result<FeedItem> item = read(reader);
    if (!item.ok()) return item.status().with_context("feed");
    items.push_back(*std::move(item));
  }
  return items;
}

}  // namespace nudge
