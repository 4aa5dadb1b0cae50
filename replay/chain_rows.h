// The rows of the database as the chain sees them. Private to the log.
#pragma once

#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "replay/chain.h"
#include "replay/database.h"

namespace nudge {

inline constexpr std::string_view kEventColumns =
    "sequence, id, kind, episode, policy_step, control_tick, time_ns, wall_time_ns, boot, actor, "
    "role, weights, payload_version, payload, subject, link";
inline constexpr std::string_view kRunColumns =
    "first_sequence, last_sequence, episode, first_offset, end_offset, digest";

// A row of kEventColumns. The texts are valid until the statement's next step.
ChainedEvent chained_event(const Statement& row);
// A row of kRunColumns.
ChainedRun chained_run(const Statement& row);
// A column with a hash; nothing when it holds none.
std::optional<ChainHash> hash_of(const Statement& row, int column);

// What stands before the first link in this database, of schema version 2.
Result<ChainHash> chain_origin(Database& database);
// The runs with first > after and first < before, in order.
Result<std::vector<ChainedRun>> runs_between(Database& database, Sequence after, Sequence before);
// Gives every event that has no link its link, in order, inside the caller's transaction.
Status link_events(Database& database);

// Whether the links of all events fit, from the first to the last.
Result<bool> chain_fits(Database& database);

}  // namespace nudge
