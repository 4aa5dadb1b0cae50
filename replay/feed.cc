#include "replay/feed.h"

#include "replay/event_codec.h"
#include "replay/json_fields.h"

namespace nudge {
namespace {

using json_fields::Reader;
using json_fields::Writer;

// Both directions walk the same lists. Times travel as nanoseconds.
void fields(auto& a, auto& ref) {
  a.field("episode", ref.episode);
  a.field("path", ref.path, kMaxFeedPath);
  a.field("first", ref.first);
  a.field("last", ref.last);
  a.field("first_offset", ref.first_offset);
  a.field("end_offset", ref.end_offset);
}

struct Times {
  std::int64_t time = 0;
  std::int64_t wall_time = 0;
};

struct Coded {
  std::string kind;
  std::uint32_t version = 0;
  std::string payload;
};

void fields(auto& a, auto& event, auto& times, auto& coded) {
  a.field("id", event.id, 64);
  a.field("sequence", event.sequence);
  a.field("episode", event.episode);
  a.field("policy_step", event.policy_step);
  a.field("control_tick", event.control_tick);
  a.field("time_ns", times.time);
  a.field("wall_time_ns", times.wall_time);
  a.field("boot", event.boot, 36);
  a.field("actor", event.actor.name, 64);
  a.field("role", event.actor.role, Role::kEngineer);
  a.field("weights", event.weights);
  a.field("kind", coded.kind, 64);
  a.field("payload_version", coded.version);
  a.field("payload", coded.payload, kMaxPayloadBytes);
}

Status check(const StepsRef& ref) {
  if (ref.first == 0 || ref.last < ref.first || ref.end_offset <= ref.first_offset ||
      ref.first_offset % 8 != 0 || ref.end_offset % 8 != 0 || ref.path.empty()) {
    return invalid_argument("feed: the run of steps makes no sense");
  }
  return {};
}

}  // namespace

Result<std::string> encode(const FeedItem& item) {
  Writer writer;
  if (const auto* ref = std::get_if<StepsRef>(&item)) {
    NUDGE_TRY(check(*ref));
    fields(writer, *ref);
  } else {
    const Event& event = std::get<Event>(item);
    NUDGE_TRY(validate_envelope(event));
    auto payload = encode_payload(event.payload);
    if (!payload.ok()) return payload.status();
    const Times times{event.time.time_since_epoch().count(),
                      event.wall_time.time_since_epoch().count()};
    const Coded coded{std::string(kind_of(event.payload)), kPayloadVersion, *std::move(payload)};
    fields(writer, event, times, coded);
  }
  return writer.text();
}

Result<FeedItem> decode_feed_item(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxFeedItemBytes) {
    return invalid_argument("feed: an item of more than " + std::to_string(kMaxFeedItemBytes) +
                            " bytes");
  }
  const nlohmann::json object = json_fields::parse(bytes);
  Reader reader(object);
  if (object.is_object() && object.contains("path")) {
    StepsRef ref;
    fields(reader, ref);
    if (const Status status = reader.finish(); !status.ok()) return status.with_context("feed");
    NUDGE_TRY(check(ref));
    return FeedItem(std::move(ref));
  }
  Event event;
  Times times;
  Coded coded;
  fields(reader, event, times, coded);
  if (const Status status = reader.finish(); !status.ok()) return status.with_context("feed");
  NUDGE_TRY(validate_envelope(event));
  if (event.sequence == 0) return invalid_argument("feed: an event without a sequence");
  event.time = Instant(Duration(times.time));
  event.wall_time = WallTime(Duration(times.wall_time));
  auto payload = decode_payload(coded.kind, coded.version, std::as_bytes(std::span(coded.payload)));
  if (!payload.ok()) return payload.status().with_context("feed");
  event.payload = *std::move(payload);
  return FeedItem(std::move(event));
}

}  // namespace nudge
