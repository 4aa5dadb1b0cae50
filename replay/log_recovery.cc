#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <unordered_set>

#include "replay/event_codec.h"
#include "replay/event_row.h"
#include "replay/log_state.h"
#include "replay/migration.h"
#include "replay/salvage.h"
#include "replay/segment_reader.h"

namespace nudge {
namespace {

// The number in a segment file's name; 0 when the name is none of ours.
EpisodeId episode_of(const std::string& name) {
  constexpr std::string_view kPrefix = "episode-";
  EpisodeId episode = 0;
  for (std::size_t i = kPrefix.size(); i < name.size() && i < 40; ++i) {
    if (std::isdigit(static_cast<unsigned char>(name[i])) == 0) break;
    episode = episode * 10 + static_cast<EpisodeId>(name[i] - '0');
    if (episode > EpisodeId{1} << 56) return 0;
  }
  return name == segment_file_name(episode) ? episode : 0;
}

}  // namespace

Status Log::State::take_lock() {
  const std::string path = options.dir + "/lock";
  auto file = files->open(path, OpenMode::kCreate);
  if (!file.ok()) return file.status();
  if (const Status status = (*file)->lock(); !status.ok()) {
    if (status.code() != Code::kUnavailable) return status;
    std::byte content[128];
    const auto size = (*file)->pread(content, 0);
    std::string holder(reinterpret_cast<const char*>(content), size.ok() ? *size : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return unavailable(options.dir + ": the log is in use by " +
                       (holder.empty() ? "another process" : holder) +
                       "; ask that process, or stop it first");
  }
  const std::string holder =
      "process " + std::to_string(::getpid()) + ", boot " + options.boot + "\n";
  // For people only, so a full disk must not keep the log from opening.
  if ((*file)->truncate(0).ok()) (void)(*file)->pwrite(std::as_bytes(std::span(holder)), 0);
  lock = *std::move(file);
  return {};
}

// Looks at the version in the file's header (big-endian, bytes 60 and 68, see SQLite's file format)
// before SQLite does, which would make a write-ahead log beside it. One that sits in the
// write-ahead log only is found by schema_version().
Status Log::State::refuse_newer(const std::string& path) {
  auto file = files->open(path, OpenMode::kRead);
  if (file.status().code() == Code::kNotFound) return {};
  if (!file.ok()) return file.status();
  std::byte header[72];
  const auto size = (*file)->pread(header, 0);
  if (!size.ok()) return size.status();
  if (*size < sizeof header) return {};
  const auto number = [&](std::size_t at) {
    std::int64_t value = 0;
    for (std::size_t i = at; i < at + 4; ++i) value = value * 256 + static_cast<int>(header[i]);
    return value;
  };
  if (number(68) == kApplicationId && number(60) > kSchemaVersion) {
    return newer_schema(number(60), kSchemaVersion).with_context(path);
  }
  return {};
}

Status Log::State::open_database() {
  const std::string path = options.dir + "/log.db";
  const auto explained = [&](const Status& status) {
    if (status.code() != Code::kDataLoss) return status.with_context(path);
    return data_loss(
        path + ": " + status.message() +
        "; 'nudge log salvage' makes a new log of what can still be read and sets this "
        "one aside; or put a backup in its place");
  };
  if (options.read_only) {
    const auto exists = files->exists(path);
    if (!exists.ok()) return exists.status();
    if (!*exists) return not_found(options.dir + ": there is no log here");
  }
  NUDGE_TRY(refuse_newer(path));
  auto opened =
      Database::open(path, options.read_only ? Database::Mode::kExisting : Database::Mode::kCreate);
  if (!opened.ok()) return explained(opened.status());
  database = *std::move(opened);
  const auto version = schema_version(*database);
  if (!version.ok()) return explained(version.status());
  if (options.read_only) {
    if (*version < kSchemaVersion) {
      return failed_precondition(path + ": written by an older version (schema " +
                                 std::to_string(*version) +
                                 "); start the daemon once to bring it up to date");
    }
    return explained(database->execute("PRAGMA query_only = 1"));
  }
  const auto mode = database->text("PRAGMA journal_mode = WAL");
  if (!mode.ok()) return explained(mode.status());
  if (*mode != "wal") return unavailable(path + ": SQLite refuses a write-ahead log here");
  if (const Status status = database->execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                                              "PRAGMA journal_size_limit = 67108864;");
      !status.ok()) {
    return explained(status);
  }
  if (const Status status = migrate(*database, migrations(), kSchemaVersion); !status.ok()) {
    return explained(status);
  }
  if (*version < kSchemaVersion) NUDGE_TRY(files->sync_directory(options.dir));
  if (!options.check) return {};
  const auto checked = database->text("PRAGMA quick_check(1)");
  if (!checked.ok()) return explained(checked.status());
  return *checked == "ok" ? Status() : explained(data_loss(*checked));
}

Status Log::State::prepare_statements() {
  const auto prepare = [this](Statement& statement, const std::string& sql) -> Status {
    auto prepared = database->prepare(sql);
    if (!prepared.ok()) return prepared.status();
    statement = *std::move(prepared);
    return {};
  };
  const std::string columns(kEventColumns);
  NUDGE_TRY(prepare(insert_event, "INSERT INTO events (" + columns +
                                      ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
                                      "?12, ?13, ?14, ?15, ?16)"));
  NUDGE_TRY(prepare(insert_run, "INSERT INTO runs (" + std::string(kRunColumns) +
                                    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  NUDGE_TRY(prepare(extend_run,
                    "UPDATE runs SET last_sequence = ?2, end_offset = ?3, digest = ?4 WHERE "
                    "first_sequence = ?1"));
  NUDGE_TRY(prepare(insert_segment,
                    "INSERT INTO segments (episode, file, committed_bytes, closed) VALUES (?1, ?2, "
                    "0, 0)"));
  NUDGE_TRY(prepare(update_segment,
                    "UPDATE segments SET committed_bytes = max(committed_bytes, ?2), closed = ?3 "
                    "WHERE episode = ?1"));
  NUDGE_TRY(prepare(find_id, "SELECT sequence FROM events WHERE id = ?1"));
  NUDGE_TRY(prepare(feed_events, "SELECT " + columns +
                                     " FROM events WHERE sequence >= ?1 ORDER BY sequence LIMIT "
                                     "?2"));
  return prepare(
      feed_runs,
      "SELECT " + std::string(kRunColumns) +
          " FROM runs WHERE first_sequence >= coalesce((SELECT max(first_sequence) FROM runs WHERE "
          "first_sequence <= ?1), 0) AND last_sequence >= ?1 ORDER BY first_sequence LIMIT "
          "?2");
}

Status Log::State::load_counters() {
  const auto load = [this](std::uint64_t& value, std::string_view sql) -> Status {
    const auto number = database->number(sql);
    if (!number.ok()) return number.status();
    value = static_cast<std::uint64_t>(*number);
    return {};
  };
  NUDGE_TRY(load(durable,
                 "SELECT max((SELECT coalesce(max(sequence), 0) FROM events), (SELECT "
                 "coalesce(last_sequence, 0) FROM (SELECT max(first_sequence), last_sequence FROM "
                 "runs)))"));
  appended = durable;
  // Also episodes that were never recorded, but labelled: their number is taken.
  NUDGE_TRY(load(last_episode,
                 "SELECT max((SELECT coalesce(max(episode), 0) FROM segments), (SELECT "
                 "coalesce(max(episode), 0) FROM events), (SELECT coalesce(max(subject), 0) FROM "
                 "events WHERE kind IN ('label', 'steps_discarded')))"));
  NUDGE_TRY(
      load(last_span, "SELECT coalesce(max(subject), 0) FROM events WHERE kind = 'span_opened'"));
  NUDGE_TRY(load(last_weights,
                 "SELECT coalesce(max(subject), 0) FROM events WHERE kind = 'weights_accepted'"));
  NUDGE_TRY(load(last_epoch,
                 "SELECT coalesce(max(subject), 0) FROM events WHERE kind = 'lease_granted'"));
  NUDGE_TRY(load_floors());
  auto names = files->list(segments_dir());
  if (!names.ok()) return names.status();
  // A file without a row (the database was replaced) keeps its name: never write over it.
  for (const std::string& name : *names) last_episode = std::max(last_episode, episode_of(name));

  auto newest = database->prepare("SELECT " + std::string(kRunColumns) +
                                  " FROM runs ORDER BY first_sequence DESC LIMIT 1");
  if (!newest.ok()) return newest.status();
  const auto row = newest->step();
  if (!row.ok()) return row.status();
  if (*row) newest_run = chained_run(*newest);
  return load_chain();
}

// A salvaged log does not know which numbers the damaged one had given last.
Status Log::State::load_floors() {
  auto salvages = select_events("WHERE kind = 'fault' AND id >= 'salvaged:' AND id < 'salvaged;'");
  if (!salvages.ok()) return salvages.status();
  const auto events = query_events(*salvages, SIZE_MAX);
  if (!events.ok()) return events.status();
  for (const Event& event : *events) {
    const std::optional<Floors> floors = Floors::parse(std::get<Fault>(event.payload).detail);
    if (!floors) continue;
    last_episode = std::max(last_episode, floors->episode);
    last_span = std::max(last_span, floors->span);
    last_weights = std::max(last_weights, floors->weights);
    last_epoch = std::max(last_epoch, floors->lease);
  }
  return {};
}

Status Log::State::load_chain() {
  const auto origin = chain_origin(*database);
  if (!origin.ok()) return origin.status();
  head.link = *origin;
  auto last = database->prepare("SELECT sequence, link FROM events ORDER BY sequence DESC LIMIT 1");
  if (!last.ok()) return last.status();
  const auto row = last->step();
  if (!row.ok()) return row.status();
  if (*row) {
    head.sequence = last->natural(0);
    // One that is no hash is gone on from as it is: verify() names it, and the robot can start.
    head.link = hash_of(*last, 1).value_or(ChainHash{});
  }
  next_head = head;
  auto behind = runs_between(*database, head.sequence, Sequence{INT64_MAX});
  if (!behind.ok()) return behind.status();
  trail = *std::move(behind);
  return {};
}

Status Log::State::load_evicted() {
  auto rows = database->prepare("SELECT subject FROM events WHERE kind = 'episode_evicted'");
  if (!rows.ok()) return rows.status();
  for (;;) {
    const auto row = rows->step();
    if (!row.ok()) return row.status();
    if (!*row) break;
    evicted.insert(rows->natural(0));
  }
  counters.evicted = evicted.size();
  const auto bytes = database->number(
      "SELECT coalesce(sum(committed_bytes), 0) FROM segments WHERE episode NOT IN (SELECT subject "
      "FROM events WHERE kind = 'episode_evicted')");
  if (!bytes.ok()) return bytes.status();
  counters.segment_bytes = static_cast<std::uint64_t>(*bytes);
  return {};
}

void Log::State::remove_segment(EpisodeId episode) {
  // What fails here is done when the log is opened next; until then it only takes space.
  (void)files->remove(segment_path(episode));
  (void)files->sync_directory(segments_dir());
}

Status Log::State::recover() {
  auto rows =
      database->prepare("SELECT episode, committed_bytes, closed FROM segments ORDER BY episode");
  if (!rows.ok()) return rows.status();
  const auto names = files->list(segments_dir());
  if (!names.ok()) return names.status();
  const std::unordered_set<std::string> present(names->begin(), names->end());
  std::vector<std::pair<EpisodeId, std::uint64_t>> open;
  for (;;) {
    const auto row = rows->step();
    if (!row.ok()) return row.status();
    if (!*row) break;
    const EpisodeId episode = rows->natural(0);
    const std::uint64_t committed = rows->natural(1);
    if (evicted.contains(episode)) {
      if (present.count(segment_file_name(episode)) != 0) remove_segment(episode);
    } else if (rows->natural(2) == 0) {
      open.emplace_back(episode, committed);
    } else if (committed != 0 && present.count(segment_file_name(episode)) == 0) {
      recovery.damaged.push_back(segment_path(episode) + ": missing");
    }
  }
  rows->reset();
  for (const auto& [episode, committed] : open) {
    NUDGE_TRY(recover_episode(episode, committed));
  }
  return {};
}

// Cuts what was never acknowledged, closes what is still open. The ids are made from what they
// close, so that a crash during recovery and a second one change nothing.
Status Log::State::recover_episode(EpisodeId episode, std::uint64_t committed) {
  closing.push_back(episode);
  const std::string path = segment_path(episode);
  auto file = files->open(path, OpenMode::kWrite);
  std::unique_ptr<SegmentReader> reader;
  if (file.ok() && committed == 0) {
    // Made, but not even its first event was acknowledged.
    NUDGE_TRY(files->remove(path));
  } else if (file.ok()) {
    const auto size = (*file)->size();
    if (!size.ok()) return size.status();
    if (auto opened = SegmentReader::open(*files, path); opened.ok()) {
      reader = *std::move(opened);
    } else {
      recovery.damaged.push_back(opened.status().message());
    }
    if (*size < committed) recovery.damaged.push_back(path + ": shorter than what was committed");
    if (*size > committed) {
      if (reader != nullptr) {
        // The first that is not whole ends it: what lies behind is what a crash left.
        std::uint64_t end = committed;
        (void)reader->scan(committed, *size, [&](const StepView&, const RecordPlace& place) {
          if (place.offset != end) return false;
          end += place.bytes;
          return true;
        });
        recovery.cut_bytes += end - committed;
      }
      NUDGE_TRY((*file)->truncate(committed));
    }
  } else if (file.status().code() != Code::kNotFound) {
    return file.status();
  } else if (committed != 0) {
    recovery.damaged.push_back(path + ": missing");
  }

  auto events = select_events("WHERE episode = ?1 ORDER BY sequence");
  if (!events.ok()) return events.status();
  events->bind(1, episode);
  auto history = query_events(*events, SIZE_MAX);
  if (!history.ok()) return history.status();
  std::vector<SpanOpened> open_spans;
  bool started = false;
  for (const Event& event : *history) {
    if (std::holds_alternative<EpisodeStarted>(event.payload)) started = true;
    if (const auto* opened = std::get_if<SpanOpened>(&event.payload)) open_spans.push_back(*opened);
    if (const auto* closed = std::get_if<SpanClosed>(&event.payload)) {
      std::erase_if(open_spans, [&](const SpanOpened& s) { return s.span == closed->span; });
    }
  }

  std::uint32_t steps = 0;
  std::unordered_map<SpanId, std::uint32_t> last_step;  // with a fresh command
  StepView newest;  // its numbers only: what it points to is gone
  if (reader != nullptr) {
    const Result<bool> whole =
        reader->scan(reader->first(), committed, [&](const StepView& step, const RecordPlace&) {
          steps = step.policy_step + 1;
          newest = step;
          if (step.span != 0 && (step.flags & kStepStale) == 0) {
            last_step[step.span] = step.policy_step;
          }
          return true;
        });
    if (!whole.ok()) {
      recovery.damaged.push_back(path + ": " + whole.status().message());
    } else if (!*whole) {
      recovery.damaged.push_back(path + ": some of its steps are damaged or gone");
    }
  }

  const auto closing_event = [&](std::string id, Payload payload) {
    Event event;
    event.id = std::move(id);
    event.episode = episode;
    event.policy_step = newest.policy_step;
    event.control_tick = newest.control_tick;
    event.time = options.now;
    event.wall_time = options.wall_now;
    event.boot = options.boot;
    event.actor = {"nudge", Role::kScript};
    event.weights = newest.weights;
    event.payload = std::move(payload);
    return event;
  };
  for (const SpanOpened& span : open_spans) {
    SpanClosed closed;
    closed.span = span.span;
    closed.reason = SpanEnd::kEpisodeEnded;
    const auto last = last_step.find(span.span);
    closed.last_step = last != last_step.end() ? last->second
                       : span.first_step > 0   ? span.first_step - 1
                                               : 0;
    closed.complete = false;
    const auto done =
        append_event(closing_event("recovery:span:" + std::to_string(span.span), closed));
    if (!done.ok()) return done.status();
    recovery.spans.push_back(span.span);
  }
  if (started || steps > 0) {
    const auto done = append_event(closing_event("recovery:episode:" + std::to_string(episode),
                                                 EpisodeEnded{EpisodeEnd::kAborted, steps}));
    if (!done.ok()) return done.status();
    recovery.closed.push_back(episode);
  }
  return {};
}

}  // namespace nudge
