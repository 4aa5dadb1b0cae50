#include "replay/log.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "nudge/number_set.h"
#include "replay/chain_rows.h"
#include "replay/database.h"
#include "replay/event_codec.h"
#include "replay/event_row.h"
#include "replay/migration.h"
#include "replay/outcome.h"
#include "replay/salvage.h"
#include "replay/segment_reader.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxProblems = 100;

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

// Steps with consecutive sequences and nothing between them.
struct Run : ChainedRun {
  // One without a digest, of schema version 1, stays as it is.
  bool continued_by(const Run& next) const {
    return digest && episode == next.episode && last + 1 == next.first &&
           end_offset == next.first_offset;
  }
};

Run run_of(const Statement& row) { return {chained_run(row)}; }

struct PendingEvent {
  Event event;
  std::string payload;
  ChainHash link{};
};

// The row that will hold it.
ChainedEvent row_of(const Event& event, std::string_view payload) {
  return {.sequence = event.sequence,
          .id = event.id,
          .kind = kind_of(event.payload),
          .subject = subject_of(event.payload),
          .episode = event.episode,
          .policy_step = event.policy_step,
          .control_tick = event.control_tick,
          .time_ns = event.time.time_since_epoch().count(),
          .wall_time_ns = event.wall_time.time_since_epoch().count(),
          .boot = event.boot,
          .actor = event.actor.name,
          .role = static_cast<std::uint64_t>(event.actor.role),
          .weights = event.weights,
          .payload_version = kPayloadVersion,
          .payload = payload};
}

}  // namespace

struct Log::State {
  FileSystem* files = nullptr;
  LogOptions options;
  std::unique_ptr<File> lock;
  std::unique_ptr<Database> database;
  Statement insert_event, insert_run, extend_run, insert_segment, update_segment, find_id;
  Statement feed_events, feed_runs;
  Recovery recovery;

  Sequence durable = 0;
  Sequence appended = 0;
  EpisodeId last_episode = 0;
  SpanId last_span = 0;
  WeightsVersion last_weights = 0;
  LeaseEpoch last_epoch = 0;

  std::vector<PendingEvent> pending_events;
  std::unordered_map<std::string, Sequence> pending_ids;
  std::vector<Run> pending_runs;
  std::size_t pending_steps = 0;
  std::unique_ptr<SegmentWriter> current;              // of the open episode
  std::vector<std::unique_ptr<SegmentWriter>> ending;  // ended, still to be committed
  std::vector<EpisodeId> closing;                      // found open by recovery
  NumberSet evicted;                                   // episodes, durably; their files are gone
  std::unique_ptr<DatabaseCopy> snapshot;              // ends before the database
  std::string snapshot_path;
  std::optional<Run> newest_run;  // the durable one that may grow

  ChainHead head;                 // of what is durable
  ChainHead next_head;            // of what was appended
  std::vector<ChainedRun> trail;  // runs behind next_head: the next link covers them

  // Where the feed stopped last time, so that following it needs no search.
  Sequence cursor_sequence = 0;
  std::uint64_t cursor_offset = 0;

  bool ballast = true;  // there, or not wanted
  LogStats counters;

  std::string segments_dir() const { return options.dir + "/segments"; }
  std::string segment_path(EpisodeId episode) const {
    return segments_dir() + "/" + segment_file_name(episode);
  }
  std::string ballast_path() const { return options.dir + "/ballast"; }

  Status take_lock();
  Status refuse_newer(const std::string& path);
  Status open_database();
  Status prepare_statements();
  Status load_counters();
  Status load_floors();
  Status load_chain();
  Status recover();
  Status recover_episode(EpisodeId episode, std::uint64_t committed);

  void note(const Payload& payload);
  Result<Sequence> append_event(Event&& event);
  Result<std::optional<Sequence>> known(const std::string& id);
  std::size_t pending_step_bytes() const;
  bool nothing_pending() const {
    return pending_events.empty() && pending_runs.empty() && ending.empty() && closing.empty();
  }
  Status try_commit();
  Status write_rows(std::optional<Run>& run);
  void restore_ballast();
  bool give_up_ballast();

  // Counts what segments there are, and removes files whose eviction was durable when a crash came.
  Status load_evicted();
  void remove_segment(EpisodeId episode);

  Result<std::uint64_t> offset_of(const Run& run, Sequence sequence);
  Result<std::vector<Event>> query_events(Statement& statement, std::size_t max);
  Result<Statement> select_events(const std::string& rest);
  Status verify_run(const Run& run, std::unique_ptr<SegmentReader>& reader, std::string& path,
                    VerifyReport& report);
};

// ---- opening -----------------------------------------------------------------------------------

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
  if (*row) newest_run = run_of(*newest);
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

Log::Log() : state_(std::make_unique<State>()) {}

Log::~Log() {
  // So that log.db alone holds everything after an orderly end. Nothing depends on it.
  if (state_->lock != nullptr && state_->database != nullptr && !state_->options.read_only) {
    (void)checkpoint();
  }
}

Result<std::unique_ptr<Log>> Log::open(FileSystem& files, const LogOptions& options) {
  if (options.dir.empty()) return invalid_argument("log: no folder given");
  if (options.boot.size() > 36) return invalid_argument("log: boot is longer than 36 bytes");
  std::unique_ptr<Log> log(new Log());
  State& state = *log->state_;
  state.files = &files;
  state.options = options;
  if (options.read_only) {
    const auto exists = files.exists(options.dir + "/log.db");
    if (!exists.ok()) return exists.status();
    if (!*exists) return not_found(options.dir + ": there is no log here");
  } else {
    NUDGE_TRY(files.make_directory(options.dir));
    // Its own name must outlive a power loss too, or all that is synced in it is gone.
    NUDGE_TRY(sync_parent(files, options.dir));
    NUDGE_TRY(files.make_directory(state.segments_dir()));
  }
  NUDGE_TRY(state.take_lock());
  NUDGE_TRY(state.open_database());
  NUDGE_TRY(state.prepare_statements());
  NUDGE_TRY(state.load_counters());
  NUDGE_TRY(state.load_evicted());
  if (!options.read_only) {
    NUDGE_TRY(files.sync_directory(options.dir));
    state.restore_ballast();
    NUDGE_TRY(state.recover());
    if (!state.nothing_pending()) NUDGE_TRY(log->commit());
  }
  return log;
}

const Recovery& Log::recovery() const { return state_->recovery; }

// ---- writing -----------------------------------------------------------------------------------

namespace {
Status read_only_error() { return failed_precondition("log: it was opened read-only"); }
}  // namespace

void Log::State::restore_ballast() {
  ballast = options.ballast_bytes == 0;
  if (ballast) return;
  auto file = files->open(ballast_path(), OpenMode::kCreate);
  Status status = file.status();
  if (status.ok()) status = (*file)->preallocate(options.ballast_bytes);
  // Only a full disk stops the recording of steps. Any other error shows at the next commit.
  ballast = status.code() != Code::kResourceExhausted;
  if (!ballast) (void)files->remove(ballast_path());
}

bool Log::State::give_up_ballast() {
  if (!ballast || options.ballast_bytes == 0) return false;
  ballast = false;
  return files->remove(ballast_path()).ok();
}

Result<EpisodeId> Log::start_episode(const SegmentSpec& wanted) {
  State& state = *state_;
  if (state.options.read_only) return read_only_error();
  if (state.current != nullptr) {
    return failed_precondition("log: episode " + std::to_string(open_episode()) +
                               " is still open; append its EpisodeEnded first");
  }
  if (!state.ballast) state.restore_ballast();
  if (!state.ballast) {
    return resource_exhausted(state.options.dir + ": the disk is full; free some space");
  }
  SegmentSpec spec = wanted;
  if (spec.episode == 0) spec.episode = state.last_episode + 1;
  if (spec.episode <= state.last_episode) {
    return invalid_argument("log: episode " + std::to_string(spec.episode) +
                            " has been given already; the next is " +
                            std::to_string(state.last_episode + 1));
  }
  NUDGE_TRY(spec.validate());
  // The row comes first and alone, so that every file in the folder has one whatever happens next.
  state.insert_segment.bind(1, spec.episode);
  state.insert_segment.bind(2, segment_file_name(spec.episode));
  if (const Status status = state.insert_segment.run(); !status.ok()) {
    state.database->rollback();
    return status.with_context("log");
  }
  state.last_episode = spec.episode;  // used up, also when the file cannot be made
  auto writer = SegmentWriter::create(*state.files, state.segment_path(spec.episode), spec,
                                      state.options.segment_grow_bytes);
  if (!writer.ok()) {
    state.closing.push_back(spec.episode);
    return writer.status();
  }
  state.current = *std::move(writer);
  return spec.episode;
}

EpisodeId Log::open_episode() const {
  return state_->current == nullptr ? 0 : state_->current->spec().episode;
}

// Keeps the counters ahead of every number that an event has used.
void Log::State::note(const Payload& payload) {
  const std::uint64_t subject = subject_of(payload);
  if (std::holds_alternative<SpanOpened>(payload)) last_span = std::max(last_span, subject);
  if (std::holds_alternative<WeightsAccepted>(payload)) {
    last_weights = std::max(last_weights, subject);
  }
  if (std::holds_alternative<LeaseGranted>(payload)) last_epoch = std::max(last_epoch, subject);
}

Result<std::optional<Sequence>> Log::State::known(const std::string& id) {
  if (const auto found = pending_ids.find(id); found != pending_ids.end()) {
    return std::optional<Sequence>(found->second);
  }
  find_id.bind(1, std::string_view(id));
  const auto row = find_id.step();
  std::optional<Sequence> sequence;
  if (row.ok() && *row) sequence = find_id.natural(0);
  find_id.reset();
  if (!row.ok()) return row.status().with_context("log");
  return sequence;
}

Result<Sequence> Log::State::append_event(Event&& event) {
  const auto before = known(event.id);
  if (!before.ok()) return before.status();
  if (before->has_value()) {
    ++counters.repeated_events;
    return **before;
  }
  auto payload = encode_payload(event.payload);
  if (!payload.ok()) return payload.status();
  if (subject_of(event.payload) > INT64_MAX) {
    return invalid_argument("event: a number in it is too large to be one of ours");
  }
  if (pending_events.size() >= options.max_pending_events) {
    return resource_exhausted("log: " + std::to_string(pending_events.size()) +
                              " events wait for a commit already");
  }
  event.sequence = ++appended;
  note(event.payload);
  pending_ids.emplace(event.id, event.sequence);
  next_head = {event.sequence, chain_link(next_head.link, trail, row_of(event, *payload))};
  trail.clear();
  pending_events.push_back({std::move(event), *std::move(payload), next_head.link});
  return appended;
}

Result<Sequence> Log::append(Event event) {
  State& state = *state_;
  if (state.options.read_only) return read_only_error();
  NUDGE_TRY(validate_envelope(event));
  if (std::holds_alternative<EpisodeEvicted>(event.payload)) {
    return invalid_argument("log: an episode is evicted with evict(), which deletes its steps");
  }
  const bool ends = std::holds_alternative<EpisodeEnded>(event.payload);
  const bool bounds = ends || std::holds_alternative<EpisodeStarted>(event.payload);
  if (bounds && (open_episode() == 0 || event.episode != open_episode())) {
    const auto before = state.known(event.id);  // the answer to a repeat comes first
    if (!before.ok()) return before.status();
    if (!before->has_value()) {
      return failed_precondition("log: " + std::string(kind_of(event.payload)) + " for episode " +
                                 std::to_string(event.episode) + ", but the open one is " +
                                 std::to_string(open_episode()));
    }
  }
  const Sequence newest = state.appended;
  auto sequence = state.append_event(std::move(event));
  if (sequence.ok() && *sequence > newest && ends) state.ending.push_back(std::move(state.current));
  return sequence;
}

std::size_t Log::State::pending_step_bytes() const {
  std::size_t bytes = current == nullptr ? 0 : current->pending_bytes();
  for (const auto& writer : ending) bytes += writer->pending_bytes();
  return bytes;
}

Result<Sequence> Log::append(const Step& step) {
  State& state = *state_;
  if (state.options.read_only) return read_only_error();
  if (state.current == nullptr || step.episode != open_episode()) {
    return failed_precondition("log: a step of episode " + std::to_string(step.episode) +
                               ", but the open one is " + std::to_string(open_episode()));
  }
  if (!state.ballast) {
    return resource_exhausted(state.options.dir +
                              ": the disk is full, steps are not recorded; free some space");
  }
  if (state.pending_step_bytes() >= state.options.max_pending_step_bytes) {
    return resource_exhausted("log: " + std::to_string(state.pending_step_bytes()) +
                              " bytes of steps wait for a commit already");
  }
  const Sequence sequence = state.appended + 1;
  const auto offset = state.current->append(step, sequence);
  if (!offset.ok()) return offset.status();
  state.appended = sequence;
  ++state.pending_steps;
  Run run{{sequence, sequence, step.episode, *offset, state.current->end(), ChainHash{}}};
  // The run that it goes on with, which may be durable already.
  const bool goes_on = !state.trail.empty() && Run{state.trail.back()}.continued_by(run);
  if (goes_on) run.digest = state.trail.back().digest;
  run.digest = chain_record(*run.digest, state.current->appended(*offset));
  const auto extend = [&](ChainedRun& before) {
    before.last = run.last;
    before.end_offset = run.end_offset;
    before.digest = run.digest;
  };
  goes_on ? extend(state.trail.back()) : state.trail.push_back(run);
  if (!state.pending_runs.empty() && state.pending_runs.back().continued_by(run)) {
    extend(state.pending_runs.back());
  } else {
    state.pending_runs.push_back(run);
  }
  return sequence;
}

Status Log::State::write_rows(std::optional<Run>& run) {
  NUDGE_TRY(database->execute("BEGIN IMMEDIATE"));
  for (const PendingEvent& pending : pending_events) {
    const Event& event = pending.event;
    const ChainedEvent row = row_of(event, pending.payload);  // what the link was made from
    insert_event.bind(1, row.sequence)
        .bind(2, row.id)
        .bind(3, row.kind)
        .bind(4, row.episode)
        .bind(5, row.policy_step)
        .bind(6, row.control_tick)
        .bind(7, row.time_ns)
        .bind(8, row.wall_time_ns)
        .bind(9, row.boot)
        .bind(10, row.actor)
        .bind(11, row.role)
        .bind(12, row.weights)
        .bind(13, row.payload_version)
        .bind(14, row.payload)
        .bind(15, row.subject)
        .bind(16, std::span<const std::uint8_t>(pending.link));
    NUDGE_TRY(insert_event.run());
  }
  for (const Run& next : pending_runs) {
    if (run.has_value() && run->continued_by(next)) {
      run->last = next.last;
      run->end_offset = next.end_offset;
      run->digest = next.digest;
      extend_run.bind(1, run->first).bind(2, run->last).bind(3, run->end_offset);
      extend_run.bind(4, std::span<const std::uint8_t>(*run->digest));
      NUDGE_TRY(extend_run.run());
    } else {
      run = next;
      insert_run.bind(1, next.first).bind(2, next.last).bind(3, next.episode);
      insert_run.bind(4, next.first_offset).bind(5, next.end_offset);
      insert_run.bind(6, std::span<const std::uint8_t>(*next.digest));
      NUDGE_TRY(insert_run.run());
    }
  }
  const auto update = [this](EpisodeId episode, std::uint64_t bytes, bool closed) {
    update_segment.bind(1, episode).bind(2, bytes).bind(3, std::int64_t{closed});
    return update_segment.run();
  };
  for (const auto& writer : ending) {
    NUDGE_TRY(update(writer->spec().episode, writer->synced(), true));
  }
  for (const EpisodeId episode : closing) NUDGE_TRY(update(episode, 0, true));
  if (current != nullptr) NUDGE_TRY(update(current->spec().episode, current->synced(), false));
  return database->execute("COMMIT");
}

Status Log::State::try_commit() {
  for (const auto& writer : ending) NUDGE_TRY(writer->sync());
  if (current != nullptr) NUDGE_TRY(current->sync());
  std::optional<Run> run = newest_run;
  if (const Status status = write_rows(run); !status.ok()) {
    database->rollback();
    return status.with_context(options.dir + "/log.db");
  }
  newest_run = run;
  return {};
}

Status Log::commit() {
  State& state = *state_;
  if (state.options.read_only) return read_only_error();
  if (state.nothing_pending()) return {};
  Status status = state.try_commit();
  if (status.code() == Code::kResourceExhausted && state.give_up_ballast()) {
    status = state.try_commit();
  }
  if (!status.ok()) {
    ++state.counters.failed_commits;
    return status;
  }
  ++state.counters.commits;
  state.durable = state.appended;
  state.head = state.next_head;
  std::vector<EpisodeEvicted> evictions;
  for (const PendingEvent& pending : state.pending_events) {
    const auto* evicted = std::get_if<EpisodeEvicted>(&pending.event.payload);
    if (evicted != nullptr) evictions.push_back(*evicted);
  }
  state.pending_events.clear();
  state.pending_ids.clear();
  state.pending_runs.clear();
  state.pending_steps = 0;
  // What fails from here on only wastes space: the commit itself is on disk.
  for (const EpisodeEvicted& gone : evictions) {
    const auto bytes = segment_bytes(gone.episode);
    state.evicted.insert(gone.episode);
    state.counters.segment_bytes -= bytes.ok() ? *bytes : 0;
    state.remove_segment(gone.episode);
  }
  state.counters.evicted = state.evicted.size();
  for (const auto& writer : state.ending) {
    state.counters.segment_bytes += writer->synced();
    (void)writer->finish();
  }
  state.ending.clear();
  state.closing.clear();
  if (!state.ballast) state.restore_ballast();
  if (state.database->wal_bytes() > state.options.checkpoint_bytes) (void)checkpoint();
  return {};
}

Status Log::evict(Event event) {
  State& state = *state_;
  if (state.options.read_only) return read_only_error();
  auto* what = std::get_if<EpisodeEvicted>(&event.payload);
  if (what == nullptr) return invalid_argument("log: only an EpisodeEvicted tells what to evict");
  const EpisodeId episode = what->episode;
  const std::string name = "episode " + std::to_string(episode);
  if (state.evicted.contains(episode)) {
    return invalid_argument("log: " + name + " was evicted already");
  }
  NUDGE_TRY(commit());  // its end may still be waiting, or an eviction that a full disk held up
  if (state.evicted.contains(episode)) return {};
  const auto bytes = segment_bytes(episode);
  if (!bytes.ok()) return invalid_argument(bytes.status().message());
  auto row = state.database->prepare(
      "SELECT coalesce(min(first_sequence), 0), coalesce(max(last_sequence), 0), "
      "coalesce(sum(last_sequence - first_sequence + 1), 0), (SELECT closed FROM segments WHERE "
      "episode = ?1) FROM runs WHERE episode = ?1");
  if (!row.ok()) return row.status();
  row->bind(1, episode);
  const auto found = row->step();
  if (!found.ok()) return found.status().with_context("log");
  if (row->integer(3) == 0) return failed_precondition("log: " + name + " is still open");
  what->first = row->natural(0);
  what->last = row->natural(1);
  what->steps = row->natural(2);
  if (what->bytes == 0) what->bytes = *bytes;
  row->reset();
  NUDGE_TRY(validate_envelope(event));
  const auto appended = state.append_event(std::move(event));
  if (!appended.ok()) return appended.status();
  return commit();
}

Sequence Log::durable() const { return state_->durable; }
const ChainHead& Log::head() const { return state_->head; }

Status Log::checkpoint() {
  State& state = *state_;
  if (state.options.read_only) return read_only_error();
  if (state.database->wal_bytes() == 0) return {};
  NUDGE_TRY(state.database->checkpoint());
  ++state.counters.checkpoints;
  return {};
}

Status Log::start_snapshot(const std::string& path) {
  State& state = *state_;
  state.snapshot.reset();
  const auto there = state.files->exists(path);
  if (!there.ok()) return there.status();
  if (*there) NUDGE_TRY(state.files->remove(path));
  auto copy = state.database->copy_to(path);
  if (!copy.ok()) return copy.status();
  state.snapshot = *std::move(copy);
  state.snapshot_path = path;
  return {};
}

Result<bool> Log::go_on_with_snapshot(std::size_t pages) {
  State& state = *state_;
  if (state.snapshot == nullptr) return failed_precondition("log: no snapshot was started");
  const auto done = state.snapshot->go_on(pages);
  if (done.ok() && !*done) return false;
  state.snapshot.reset();
  if (!done.ok()) return done.status().with_context(state.snapshot_path);
  auto file = state.files->open(state.snapshot_path, OpenMode::kWrite);
  if (!file.ok()) return file.status();
  NUDGE_TRY((*file)->sync());
  return true;
}

EpisodeId Log::next_episode_id() const { return state_->last_episode + 1; }
SpanId Log::next_span_id() { return ++state_->last_span; }
WeightsVersion Log::next_weights_version() { return ++state_->last_weights; }
LeaseEpoch Log::next_lease_epoch() { return ++state_->last_epoch; }

// ---- reading -----------------------------------------------------------------------------------

// Where in its segment a step of a run begins. Records differ in size, so it walks from the run's
// start unless the feed stopped just there.
Result<std::uint64_t> Log::State::offset_of(const Run& run, Sequence sequence) {
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

  std::vector<Run> runs;
  state.feed_runs.bind(1, from).bind(2, limit);
  Status status;
  for (;;) {
    const auto row = state.feed_runs.step();
    status = row.status();
    if (!row.ok() || !*row) break;
    runs.push_back(run_of(state.feed_runs));
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
    const Run& run = runs[next_run++];
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

Status Log::State::verify_run(const Run& run, std::unique_ptr<SegmentReader>& reader,
                              std::string& read, VerifyReport& report) {
  const std::string path = segment_path(run.episode);
  if (reader == nullptr || read != path) {
    auto opened = SegmentReader::open(*files, path);
    if (!opened.ok()) return opened.status();
    reader = *std::move(opened);
    read = path;
  }
  if (reader->spec().episode != run.episode) return data_loss(path + ": of another episode");
  Sequence expected = run.first;
  std::uint64_t end = run.first_offset;
  bool in_order = true;
  ChainHash digest{};
  const Result<bool> whole = reader->scan(run.first_offset, run.end_offset,
                                          [&](const StepView& step, const RecordPlace& place) {
                                            // What is damaged is passed over, and what is behind it
                                            // begins elsewhere.
                                            if (place.offset != end) return false;
                                            end += place.bytes;
                                            in_order = step.sequence == expected;
                                            ++expected;
                                            ++report.steps;
                                            if (run.digest)
                                              digest = chain_record(digest, step.record);
                                            return in_order;
                                          });
  if (!whole.ok()) return whole.status();
  if (in_order && end != run.end_offset) {
    return data_loss(path + ": at byte " + std::to_string(end) +
                     ": the record is cut off, or its checksum does not match");
  }
  if (!in_order || expected != run.last + 1) {
    return data_loss(path + ": the steps are not " + std::to_string(run.first) + " to " +
                     std::to_string(run.last));
  }
  if (!run.digest) {
    report.unhashed_steps += run.last - run.first + 1;
  } else if (digest != *run.digest) {
    return data_loss(path + ": the steps " + std::to_string(run.first) + " to " +
                     std::to_string(run.last) + " were changed after they were stored");
  }
  return {};
}

Result<VerifyReport> Log::verify(std::vector<ChainHead> heads) {
  State& state = *state_;
  VerifyReport report;
  report.last = state.durable;
  const auto problem = [&](std::string what) {
    if (report.problems.size() >= kMaxProblems) return;
    // Damaged text is quoted, and people's terminals are to survive it.
    std::replace_if(
        what.begin(), what.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    report.problems.push_back(std::move(what));
  };
  // The walk below meets the sequence in order, so the first place told is the first there is.
  const auto problem_at = [&](Sequence sequence, std::string what) {
    if (report.first_bad == 0) report.first_bad = sequence;
    problem(std::move(what));
  };
  std::sort(heads.begin(), heads.end(),
            [](const ChainHead& a, const ChainHead& b) { return a.sequence < b.sequence; });

  auto check = state.database->prepare("PRAGMA integrity_check");
  if (!check.ok()) return check.status();
  for (;;) {
    const auto row = check->step();
    if (!row.ok()) {
      problem("log.db: " + row.status().message());
      break;
    }
    if (!*row) break;
    if (check->text(0) != "ok") problem("log.db: " + std::string(check->text(0)));
  }

  // Segments first: how far each was committed, and which files there should be.
  std::unordered_map<EpisodeId, std::uint64_t> committed;
  std::set<std::string> rows;
  auto segments = state.database->prepare("SELECT episode, file, committed_bytes FROM segments");
  if (!segments.ok()) return segments.status();
  for (;;) {
    const auto row = segments->step();
    if (!row.ok()) return row.status().with_context("log");
    if (!*row) break;
    ++report.segments;
    committed[segments->natural(0)] = segments->natural(2);
    rows.emplace(segments->text(1));
  }
  const auto names = state.files->list(state.segments_dir());
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!rows.contains(name)) problem("segments/" + name + ": the log does not know this file");
  }

  // Then both halves side by side in the order of the sequence.
  auto events = state.select_events("ORDER BY sequence");
  if (!events.ok()) return events.status();
  auto runs = state.database->prepare("SELECT " + std::string(kRunColumns) +
                                      " FROM runs ORDER BY first_sequence");
  if (!runs.ok()) return runs.status();
  const auto later = state.database->number("SELECT coalesce(max(linked_later), 0) FROM chain");
  if (!later.ok()) return later.status();
  report.linked_later = static_cast<Sequence>(*later);
  ChainHash link = chain_origin(report.linked_later);
  std::vector<ChainedRun> trail;
  auto head = heads.begin();
  Sequence agreed = 0;  // newest head that the log holds
  auto more_events = events->step();
  auto more_runs = runs->step();
  Sequence expected = 1;
  std::unique_ptr<SegmentReader> reader;
  std::string read;  // its path
  std::unordered_map<EpisodeId, std::uint64_t> reached;
  std::set<std::string, std::less<>> ids;
  const auto arrive = [&](Sequence sequence) {
    if (sequence != expected) {
      problem_at(std::min(sequence, expected), "sequence " + std::to_string(expected) +
                                                   " should come next, " +
                                                   std::to_string(sequence) + " is there");
    }
  };
  for (;;) {
    if (!more_events.ok()) return more_events.status().with_context("log");
    if (!more_runs.ok()) return more_runs.status().with_context("log");
    if (!*more_events && !*more_runs) break;
    if (*more_events && (!*more_runs || events->natural(0) < runs->natural(0))) {
      arrive(events->natural(0));
      expected = events->natural(0) + 1;
      ++report.events;
      if (!ids.emplace(events->text(1)).second) {
        problem("event " + std::to_string(events->natural(0)) + ": its id is there twice");
      }
      const Sequence sequence = events->natural(0);
      if (const auto event = event_of(*events); !event.ok()) {
        problem_at(sequence, event.status().message());
      }
      // The next link is tried from the one that is stored: so only what was changed is named.
      const ChainHash expected_link = chain_link(link, trail, chained_event(*events));
      link = hash_of(*events, 15).value_or(ChainHash{});
      if (link != expected_link) {
        problem_at(sequence, "event " + std::to_string(sequence) + " (" +
                                 std::string(events->text(2)) +
                                 "): its link does not fit: it was changed, or something just "
                                 "before it was changed, removed or inserted");
      }
      trail.clear();
      for (; head != heads.end() && head->sequence <= sequence; ++head) {
        if (*head == ChainHead{sequence, link}) {
          agreed = sequence;
          continue;
        }
        problem_at(agreed + 1, "the head kept of event " + std::to_string(head->sequence) +
                                   " is not what the log holds there: an event from " +
                                   std::to_string(agreed + 1) + " to " +
                                   std::to_string(head->sequence) +
                                   " was changed, and the links after it made anew");
        head = heads.end() - 1;  // those after it say the same
      }
      more_events = events->step();
      continue;
    }
    const Run run = run_of(*runs);
    arrive(run.first);
    expected = run.last + 1;
    trail.push_back(run);
    if (state.evicted.contains(run.episode)) {
      report.evicted_steps += run.last - run.first + 1;
    } else if (run.end_offset > committed[run.episode]) {
      problem_at(run.first, "steps " + std::to_string(run.first) + " to " +
                                std::to_string(run.last) +
                                " lie behind what their segment committed");
    } else if (const Status status = state.verify_run(run, reader, read, report); !status.ok()) {
      problem_at(run.first, status.message());
    }
    if (const auto before = reached.find(run.episode);
        before != reached.end() && before->second != run.first_offset) {
      problem_at(run.first, "steps " + std::to_string(run.first) +
                                " do not follow those before them in their segment");
    }
    reached[run.episode] = run.end_offset;
    more_runs = runs->step();
  }
  if (expected != state.durable + 1) {
    problem("the log ends at " + std::to_string(expected - 1) + ", not at " +
            std::to_string(state.durable));
  }
  if (head != heads.end()) {
    problem_at(expected, "the log is cut off: it ends at " + std::to_string(expected - 1) +
                             ", and the head kept of event " +
                             std::to_string(heads.back().sequence) +
                             " says that there was more; the first that is missing is " +
                             std::to_string(expected));
  }
  return report;
}

LogStats Log::stats() const {
  const State& state = *state_;
  LogStats stats = state.counters;
  stats.durable = state.durable;
  stats.appended = state.appended;
  stats.pending_events = state.pending_events.size();
  stats.pending_steps = state.pending_steps;
  stats.pending_step_bytes = state.pending_step_bytes();
  stats.wal_bytes = state.database->wal_bytes();
  stats.recording = state.ballast;
  if (state.current != nullptr) stats.segment_bytes += state.current->synced();
  return stats;
}

}  // namespace nudge
