// A row of the table of events, as an event. Private to what reads the log's database.
#pragma once

#include "nudge/event.h"
#include "nudge/status.h"
#include "replay/database.h"

namespace nudge {

// Of a row that begins with the columns sequence, id, kind, episode, policy_step, control_tick,
// time_ns, wall_time_ns, boot, actor, role, weights, payload_version, payload. kDataLoss when the
// payload does not decode or the envelope is out of bounds; kUnimplemented: of a newer version.
Result<Event> event_of(const Statement& row);

}  // namespace nudge
