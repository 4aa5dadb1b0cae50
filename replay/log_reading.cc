#include <algorithm>

#include "replay/event_codec.h"
#include "replay/event_row.h"
#include "replay/log_state.h"
#include "replay/outcome.h"
#include "replay/segment_reader.h"

namespace nudge {

// Where in its segment a step of a run begins. Records differ in size, so it walks from the run's
// start unless the feed stopped just there.
Result<std::uint64_t> Log::State::offset_of(const ChainedRun& run, Sequence sequence) {
  if (sequence == run.first) return run.first_offset;
  if (evicted.contains(run.episode)) return run.end_offset;  // nobody can read it
  std::uint64_t from = run.first_offset;
  if (cursor_sequence > run.first && cursor_sequence <= sequence) from = cursor_offset;
  if (cursor_sequence == sequence) return cursor_offset;
  const std::string path = segment_path(run.episode);
  auto reader = SegmentReader::open(*files, path);
  if (!reader.ok()) return reader.status();
  std::uint64_t found = 0;
  const Result<bool> scanned =
      (*reader)->scan(from, run.end_offset, [&](const StepView& step, const RecordPlace& place) {
        if (step.sequence < sequence) return true;
        if (step.sequence == sequence) found = place.offset;
        return false;
      });
  if (!scanned.ok()) return scanned.status();
  if (found == 0) return data_loss(path + ": step " + std::to_string(sequence) + " is missing");
  return found;
}

Result<std::vector<FeedItem>> Log::feed(Sequence from, std::size_t max) {
  State& state = *state_;
  from = std::max<Sequence>(from, 1);
  std::vector<FeedItem> items;
  if (max == 0 || from > state.durable) return items;
  const std::uint64_t limit = std::min<std::size_t>(max, INT64_MAX);

  std::vector<ChainedRun> runs;
  state.feed_runs.bind(1, from).bind(2, limit);
  Status status;
  for (;;) {
    const auto row = state.feed_runs.step();
    status = row.status();
    if (!row.ok() || !*row) break;
    runs.push_back(chained_run(state.feed_runs));
  }
  state.feed_runs.reset();
  if (!status.ok()) return status.with_context("log");

  state.feed_events.bind(1, from).bind(2, limit);
  auto events = state.query_events(state.feed_events, max);
  state.feed_events.reset();
  if (!events.ok()) return events.status();

  std::size_t next_event = 0;
  std::size_t next_run = 0;
  while (items.size() < max && (next_event < events->size() || next_run < runs.size())) {
    const bool event_first =
        next_run == runs.size() ||
        (next_event < events->size() && (*events)[next_event].sequence < runs[next_run].first);
    if (event_first) {
      items.emplace_back(std::move((*events)[next_event++]));
      continue;
    }
    const ChainedRun& run = runs[next_run++];
    StepsRef ref;
    ref.episode = run.episode;
    ref.path = state.segment_path(run.episode);
    ref.first = std::max(run.first, from);
    ref.last = run.last;
    ref.end_offset = run.end_offset;
    const auto offset = state.offset_of(run, ref.first);
    if (!offset.ok()) return offset.status();
    ref.first_offset = *offset;
    state.cursor_sequence = run.last + 1;
    state.cursor_offset = run.end_offset;
    items.emplace_back(std::move(ref));
  }
  return items;
}

Result<Statement> Log::State::select_events(const std::string& rest) {
  return database->prepare("SELECT " + std::string(kEventColumns) + " FROM events " + rest);
}

Result<std::vector<Event>> Log::State::query_events(Statement& statement, std::size_t max) {
  std::vector<Event> events;
  while (events.size() < max) {
    const auto row = statement.step();
    if (!row.ok()) return row.status().with_context("log");
    if (!*row) break;
    auto event = event_of(statement);
    if (!event.ok()) return event.status();
    events.push_back(*std::move(event));
  }
  return events;
}

Result<Event> Log::event(std::string_view id) {
  State& state = *state_;
  auto statement = state.select_events("WHERE id = ?1");
  if (!statement.ok()) return statement.status();
  statement->bind(1, id);
  auto events = state.query_events(*statement, 1);
  if (!events.ok()) return events.status();
  if (events->empty()) return not_found("log: no event has the id " + std::string(id));
  return std::move(events->front());
}

Result<std::vector<Event>> Log::events(const std::vector<std::string>& kinds, Sequence from,
                                       std::size_t max) {
  State& state = *state_;
  std::string rest = "WHERE sequence >= ?1";
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    rest += (i == 0 ? " AND kind IN (?" : ", ?") + std::to_string(i + 2);
  }
  rest += kinds.empty() ? " ORDER BY sequence" : ") ORDER BY sequence";
  auto statement = state.select_events(rest);
  if (!statement.ok()) return statement.status();
  statement->bind(1, from);
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    statement->bind(static_cast<int>(i) + 2, std::string_view(kinds[i]));
  }
  return state.query_events(*statement, max);
}

Result<std::vector<Event>> Log::weights_events(Sequence from, std::size_t max) {
  return events({"candidate_received", "weights_accepted", "weights_rejected", "weights_live",
                 "weights_confirmed", "weights_rolled_back", "weights_promoted"},
                from, max);
}

Result<std::vector<EpisodeSummary>> Log::episodes(EpisodeId from, std::size_t max) {
  State& state = *state_;
  auto rows = state.database->prepare(
      "SELECT s.episode, s.committed_bytes, (SELECT coalesce(sum(last_sequence - first_sequence + "
      "1), 0) FROM runs r WHERE r.episode = s.episode) FROM segments s WHERE s.episode >= ?1 AND "
      "EXISTS (SELECT 1 FROM events e WHERE e.episode = s.episode AND e.kind = "
      "'episode_started') ORDER BY s.episode LIMIT ?2");
  if (!rows.ok()) return rows.status();
  auto history = state.select_events(
      "WHERE (episode = ?1 AND kind IN ('episode_started', 'episode_ended', 'span_opened')) OR "
      "(kind = 'label' AND subject = ?1) ORDER BY sequence");
  if (!history.ok()) return history.status();
  rows->bind(1, from).bind(2, std::uint64_t{std::min<std::size_t>(max, INT64_MAX)});
  std::vector<EpisodeSummary> summaries;
  for (;;) {
    const auto row = rows->step();
    if (!row.ok()) return row.status().with_context("log");
    if (!*row) return summaries;
    EpisodeSummary summary;
    summary.episode = rows->natural(0);
    summary.bytes = rows->natural(1);
    summary.steps = rows->natural(2);
    summary.evicted = state.evicted.contains(summary.episode);
    summary.path = state.segment_path(summary.episode);
    history->bind(1, summary.episode);
    auto events = state.query_events(*history, SIZE_MAX);
    history->reset();
    if (!events.ok()) return events.status();
    Outcome outcome;
    for (const Event& event : *events) {
      if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) {
        summary.purpose = started->purpose;
        summary.instruction = started->instruction;
        summary.started = event.wall_time;
      } else if (const auto* ended = std::get_if<EpisodeEnded>(&event.payload)) {
        summary.ended = *ended;
        summary.ended_wall = event.wall_time;
      } else if (const auto* opened = std::get_if<SpanOpened>(&event.payload)) {
        ++(opened->kind == SpanKind::kTakeover ? summary.takeovers : summary.nudges);
      } else if (const auto* label = std::get_if<Label>(&event.payload); label->span == 0) {
        outcome.add(event.actor.role, label->value);
      }
    }
    summary.outcome = outcome.value();
    summaries.push_back(std::move(summary));
  }
}

Result<std::uint64_t> Log::segment_bytes(EpisodeId episode) {
  State& state = *state_;
  auto row = state.database->prepare("SELECT committed_bytes FROM segments WHERE episode = ?1");
  if (!row.ok()) return row.status();
  row->bind(1, episode);
  const auto found = row->step();
  if (!found.ok()) return found.status().with_context("log");
  if (!*found) return not_found("log: there is no episode " + std::to_string(episode));
  return state.evicted.contains(episode) ? 0 : row->natural(0);
}

Result<std::vector<SpanSummary>> Log::spans(EpisodeId episode) {
  State& state = *state_;
  auto history = state.select_events(
      "WHERE (episode = ?1 AND kind IN ('span_opened', 'span_closed', 'span_split')) OR (kind = "
      "'label' AND subject = ?1) ORDER BY sequence");
  if (!history.ok()) return history.status();
  history->bind(1, episode);
  auto events = state.query_events(*history, SIZE_MAX);
  if (!events.ok()) return events.status();
  std::vector<SpanSummary> spans;
  std::unordered_map<SpanId, Outcome> outcomes;
  const auto find = [&](SpanId id) {
    return std::find_if(spans.begin(), spans.end(),
                        [&](const SpanSummary& s) { return s.span == id; });
  };
  for (const Event& event : *events) {
    if (const auto* opened = std::get_if<SpanOpened>(&event.payload)) {
      SpanSummary summary;
      summary.span = opened->span;
      summary.episode = event.episode;
      summary.kind = opened->kind;
      summary.epoch = opened->epoch;
      summary.actor = event.actor;
      summary.first_step = opened->first_step;
      spans.push_back(std::move(summary));
    } else if (const auto* closed = std::get_if<SpanClosed>(&event.payload)) {
      if (const auto span = find(closed->span); span != spans.end()) span->closed = *closed;
    } else if (const auto* split = std::get_if<SpanSplit>(&event.payload)) {
      if (const auto span = find(split->span); span != spans.end()) {
        span->correction_from = split->correction_from;
      }
    } else if (const auto* label = std::get_if<Label>(&event.payload); label->span != 0) {
      outcomes[label->span].add(event.actor.role, label->value);
    }
  }
  for (SpanSummary& span : spans) span.outcome = outcomes[span.span].value();
  return spans;
}

}  // namespace nudge
