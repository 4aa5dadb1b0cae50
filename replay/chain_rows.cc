#include "replay/chain_rows.h"

#include <algorithm>
#include <span>
#include <utility>

namespace nudge {

ChainedEvent chained_event(const Statement& row) {
  return {.sequence = row.natural(0),
          .id = row.text(1),
          .kind = row.text(2),
          .subject = row.natural(14),
          .episode = row.natural(3),
          .policy_step = row.natural(4),
          .control_tick = row.natural(5),
          .time_ns = row.integer(6),
          .wall_time_ns = row.integer(7),
          .boot = row.text(8),
          .actor = row.text(9),
          .role = row.natural(10),
          .weights = row.natural(11),
          .payload_version = row.natural(12),
          .payload = row.text(13)};
}

std::optional<ChainHash> hash_of(const Statement& row, int column) {
  const std::span<const std::uint8_t> blob = row.blob(column);
  ChainHash hash;
  if (blob.size() != hash.size()) return std::nullopt;
  std::copy(blob.begin(), blob.end(), hash.begin());
  return hash;
}

ChainedRun chained_run(const Statement& row) {
  return {row.natural(0), row.natural(1), row.natural(2),
          row.natural(3), row.natural(4), hash_of(row, 5)};
}

Result<ChainHash> chain_origin(Database& database) {
  const auto later = database.number("SELECT coalesce(max(linked_later), 0) FROM chain");
  if (!later.ok()) return later.status();
  return chain_origin(static_cast<Sequence>(*later));
}

Result<std::vector<ChainedRun>> runs_between(Database& database, Sequence after, Sequence before) {
  auto rows = database.prepare("SELECT " + std::string(kRunColumns) +
                               " FROM runs WHERE first_sequence > ?1 AND first_sequence < ?2 "
                               "ORDER BY first_sequence");
  if (!rows.ok()) return rows.status();
  rows->bind(1, after).bind(2, before);
  std::vector<ChainedRun> runs;
  for (;;) {
    const auto row = rows->step();
    if (!row.ok()) return row.status();
    if (!*row) return runs;
    runs.push_back(chained_run(*rows));
  }
}

Status link_events(Database& database) {
  auto link = chain_origin(database);
  if (!link.ok()) return link.status();
  auto events = database.prepare("SELECT " + std::string(kEventColumns) +
                                 " FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT 1000");
  auto runs =
      database.prepare("SELECT " + std::string(kRunColumns) + " FROM runs ORDER BY first_sequence");
  auto update = database.prepare("UPDATE events SET link = ?2 WHERE sequence = ?1");
  for (const Status& status : {events.status(), runs.status(), update.status()}) {
    if (!status.ok()) return status;
  }
  auto run = runs->step();
  Sequence before = 0;
  for (;;) {
    // A thousand at a time: rows are not changed under a statement that reads them.
    std::vector<std::pair<Sequence, ChainHash>> links;
    events->bind(1, before);
    for (;;) {
      const auto row = events->step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      const ChainedEvent event = chained_event(*events);
      std::vector<ChainedRun> between;
      for (; run.ok() && *run && runs->natural(0) < event.sequence; run = runs->step()) {
        between.push_back(chained_run(*runs));
      }
      if (!run.ok()) return run.status();
      *link = chain_link(*link, between, event);
      links.emplace_back(event.sequence, *link);
    }
    events->reset();
    if (links.empty()) return {};
    for (const auto& [sequence, made] : links) {
      update->bind(1, sequence).bind(2, std::span<const std::uint8_t>(made));
      NUDGE_TRY(update->run());
    }
    before = links.back().first;
  }
}

Result<bool> chain_fits(Database& database) {
  auto link = chain_origin(database);
  if (!link.ok()) return link.status();
  auto events =
      database.prepare("SELECT " + std::string(kEventColumns) + " FROM events ORDER BY sequence");
  auto runs =
      database.prepare("SELECT " + std::string(kRunColumns) + " FROM runs ORDER BY first_sequence");
  if (!events.ok()) return events.status();
  if (!runs.ok()) return runs.status();
  auto run = runs->step();
  for (;;) {
    const auto row = events->step();
    if (!row.ok()) return row.status();
    if (!*row) return true;
    const ChainedEvent event = chained_event(*events);
    std::vector<ChainedRun> between;
    for (; run.ok() && *run && runs->natural(0) < event.sequence; run = runs->step()) {
      between.push_back(chained_run(*runs));
    }
    if (!run.ok()) return run.status();
    *link = chain_link(*link, between, event);
    if (hash_of(*events, 15) != *link) return false;
  }
}

}  // namespace nudge
