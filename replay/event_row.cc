#include "replay/event_row.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "replay/event_codec.h"

namespace nudge {

Result<Event> event_of(const Statement& row) {
  Event event;
  event.sequence = row.natural(0);
  event.id = row.text(1);
  const std::string_view kind = row.text(2);
  event.episode = row.natural(3);
  event.policy_step = static_cast<std::uint32_t>(row.integer(4));
  event.control_tick = row.natural(5);
  event.time = Instant(Duration(row.integer(6)));
  event.wall_time = WallTime(Duration(row.integer(7)));
  event.boot = row.text(8);
  event.actor.name = row.text(9);
  event.actor.role = static_cast<Role>(row.integer(10));
  event.weights = row.natural(11);
  auto payload = decode_payload(kind, static_cast<std::uint32_t>(row.integer(12)),
                                std::as_bytes(std::span(row.text(13))));
  Status status = payload.status();
  if (status.ok()) status = validate_envelope(event);
  if (!status.ok()) {
    const std::string where = "event " + std::to_string(event.sequence);
    if (status.code() == Code::kUnimplemented) return status.with_context(where);
    return data_loss(where + ": " + status.message());
  }
  event.payload = *std::move(payload);
  return event;
}

}  // namespace nudge
