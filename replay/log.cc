#include "replay/log.h"

#include <algorithm>

#include "replay/event_codec.h"
#include "replay/log_state.h"

namespace nudge {
namespace {

Status read_only_error() { return failed_precondition("log: it was opened read-only"); }

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
  // Before anything is recovered: what lies in the segments behind the database's end was
  // acknowledged, and is all that is left of it.
  if (!options.read_only && state.durable < options.known_end) {
    return data_loss(options.dir + " ends at entry " + std::to_string(state.durable) +
                     ", and its signed head says that there were " +
                     std::to_string(options.known_end) +
                     "; 'nudge log salvage' makes a new log of what can still be read and sets "
                     "this one aside; or put a backup in its place");
  }
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
  ChainedRun run{sequence, sequence, step.episode, *offset, state.current->end(), ChainHash{}};
  // The run that it goes on with, which may be durable already.
  const bool goes_on = !state.trail.empty() && state.trail.back().continued_by(run);
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

Status Log::State::write_rows(std::optional<ChainedRun>& run) {
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
  for (const ChainedRun& next : pending_runs) {
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
  std::optional<ChainedRun> run = newest_run;
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
  for (const State::PendingEvent& pending : state.pending_events) {
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
