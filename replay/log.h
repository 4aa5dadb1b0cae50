// The log: every event and step of the robot's life, append-only, under one sequence. Discrete
// events live in SQLite, steps in segment files; see the format in schema.sql and segment.h.
//
//   auto log = Log::open(posix_files(), options);        // takes the lock, recovers from a crash
//   SegmentSpec spec = ...;
//   auto episode = (*log)->start_episode(spec);           // a new segment file
//   (*log)->append(episode_started_event);                // event.episode == *episode
//   (*log)->append(step); ...
//   (*log)->commit();                                     // durable from here: acknowledge
//   (*log)->append(episode_ended_event);                  // closes the segment
//
// Folder: log.db (+ log.db-wal), lock, ballast, segments/episode-<id>.seg.
//
// All functions belong to one thread, the writer. Nothing here reads a clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"
#include "replay/chain.h"
#include "replay/feed.h"
#include "replay/file.h"
#include "replay/segment.h"

namespace nudge {

struct LogOptions {
  std::string dir;         // UTF-8; made when missing (its parent must exist), mode 0700
  std::string boot;        // id of this boot, at most 36 bytes; stamped on recovery's own events
  Instant now;             // robot's steady clock and
  WallTime wall_now;       // wall time at opening: the time of recovery's own events
  bool read_only = false;  // nothing is appended, recovered or migrated; still takes the lock, for
                           // commands while no daemon runs

  // Of a head of this log that was signed and kept. A log that ends before it has lost what was
  // acknowledged: it is left as it is, nothing is recovered or cut off. 0: none is known.
  Sequence known_end = 0;

  bool check = false;  // looks at every page of the database, which takes a while: kDataLoss

  // Space reserved and zeroed at a time for a segment. 1 MiB: some seconds of two small cameras at
  // 10 Hz, and little enough that the commit which reserves it takes hardly longer.
  std::uint64_t segment_grow_bytes = 1u << 20;
  // What may wait for a commit, beyond which append() answers kResourceExhausted. Events have
  // their own bound, so that steps cannot crowd feedback out.
  std::size_t max_pending_step_bytes = 64u << 20;
  std::size_t max_pending_events = 10'000;
  // The write-ahead log is folded back when it is larger than this after a commit.
  std::size_t checkpoint_bytes = 8u << 20;
  // Reserved space that is given up when the disk is full, so that events can still be committed.
  std::uint64_t ballast_bytes = 16u << 20;
};

// What opening the log had to repair.
struct Recovery {
  std::vector<EpisodeId> closed;     // episodes that a crash had left open
  std::vector<SpanId> spans;         // spans closed with them
  std::uint64_t cut_bytes = 0;       // of steps that were never acknowledged
  std::vector<std::string> damaged;  // what is missing of the acknowledged steps, and where
};

struct LogStats {
  Sequence durable = 0;   // last acknowledged
  Sequence appended = 0;  // last given out
  std::size_t pending_events = 0;
  std::size_t pending_steps = 0;
  std::size_t pending_step_bytes = 0;
  std::uint64_t commits = 0;          // since open
  std::uint64_t failed_commits = 0;   // since open
  std::uint64_t repeated_events = 0;  // appended again under a known id, since open
  std::uint64_t checkpoints = 0;      // since open
  std::uint64_t wal_bytes = 0;        // of the write-ahead log in use
  std::uint64_t segment_bytes = 0;    // acknowledged, of all segments that are there
  std::uint64_t evicted = 0;          // episodes whose steps were deleted, since the log began
  bool recording = true;              // false: disk full, steps are refused
};

struct VerifyReport {
  std::uint64_t events = 0;
  std::uint64_t steps = 0;
  std::uint64_t segments = 0;
  std::uint64_t evicted_steps = 0;  // deleted on purpose, and so not looked at
  Sequence last = 0;
  Sequence linked_later = 0;    // events up to here got their links when schema version 2 came
  Sequence unhashed_steps = 0;  // stored by version 1: their checksums only were checked
  Sequence first_bad = 0;       // of the first event or step that is not as it was; 0:
                                // none, or a problem without a place in the sequence
  std::vector<std::string> problems;  // at most 100; each says where
  bool ok() const { return problems.empty(); }
};

struct EpisodeSummary {
  EpisodeId episode = 0;
  EpisodePurpose purpose = EpisodePurpose::kDeployment;
  std::string instruction;
  WallTime started;
  std::optional<EpisodeEnded> ended;  // none: still open
  std::optional<WallTime> ended_wall;
  LabelValue outcome = LabelValue::kNone;  // of the whole episode, see outcome.h
  std::uint64_t steps = 0;                 // stored
  std::uint32_t takeovers = 0;
  std::uint32_t nudges = 0;
  bool evicted = false;     // the steps were deleted to make room
  std::string path;         // of the segment file
  std::uint64_t bytes = 0;  // committed in it
};

struct SpanSummary {
  SpanId span = 0;
  EpisodeId episode = 0;
  SpanKind kind = SpanKind::kTakeover;
  LeaseEpoch epoch = 0;
  Actor actor;  // who opened it
  std::uint32_t first_step = 0;
  std::optional<SpanClosed> closed;              // none: still open
  std::optional<std::uint32_t> correction_from;  // last split
  LabelValue outcome = LabelValue::kNone;        // of the span, see outcome.h
};

class Log {
 public:
  // kUnavailable: somebody holds the lock (named in the message). kUnimplemented: written by a
  // newer version; nothing was touched. kDataLoss: the database is damaged, or ends before
  // `known_end`; the message says what to do.
  static Result<std::unique_ptr<Log>> open(FileSystem& files, const LogOptions& options);
  ~Log();  // does not commit

  const Recovery& recovery() const;

  // ---- writing. kFailedPrecondition on a log that was opened read-only. ----

  // Makes the next episode's segment. Its number is spec.episode, which may leave numbers out (an
  // episode that could not be recorded); with 0 the log gives the next one. Durable at once, so
  // that no file is ever without a record. kInvalidArgument for a number that was given before;
  // kFailedPrecondition while another episode is open; kResourceExhausted when the disk is full;
  // kUnavailable.
  Result<EpisodeId> start_episode(const SegmentSpec& spec);
  // The episode between start_episode() and its EpisodeEnded; 0: none.
  EpisodeId open_episode() const;

  // Takes an event; it is durable after the next commit() that succeeds. event.sequence is ignored.
  // A known id appends nothing and gives the sequence it has. EpisodeStarted and EpisodeEnded must
  // carry open_episode(); EpisodeEnded closes the segment. kInvalidArgument for an envelope or a
  // payload out of bounds, kFailedPrecondition, kResourceExhausted when too much waits for a
  // commit.
  Result<Sequence> append(Event event);
  // Takes a step of the open episode; step.sequence is ignored. kInvalidArgument as encode_step(),
  // kFailedPrecondition for another episode, kResourceExhausted when too much waits for a commit or
  // while the disk is full (stats().recording): count the step and append StepsLost later.
  Result<Sequence> append(const Step& step);

  // Deletes the steps of a closed episode for good. `event` carries who, when and an EpisodeEvicted
  // with the episode and its worth; the log fills in the rest (of a size, what is not given: a
  // salvaged one has it), makes all that was appended and this event durable, and only then removes
  // the file, so that it is never silently gone. kInvalidArgument: no such episode, or evicted
  // already; kFailedPrecondition: it is open; else as commit(), and the file is still there.
  Status evict(Event event);

  // Makes all that was appended durable: segments first, then SQLite. On an error nothing is
  // acknowledged and nothing is lost: all of it waits for the next commit(). kResourceExhausted:
  // the disk is full (the ballast has been given up already); kUnavailable: an I/O error.
  Status commit();
  // Everything up to and including this is on disk.
  Sequence durable() const;
  // The chain's end among what is durable.
  const ChainHead& head() const;
  // Folds the write-ahead log back if it holds anything; for idle moments.
  Status checkpoint();

  // A copy of the database for backups (replay/backup.h), made a piece at a time while the log goes
  // on; also when it was opened read-only. The first puts it at `path`, in place of what is there;
  // the second copies up to so many pages of 4 KiB and is true when the copy is complete and
  // durable: it then holds all that is durable at that moment, and its segments what it says. One
  // at a time; a new one gives up the one before. kFailedPrecondition: none was started; errors of
  // commit(), and no copy is under way any more.
  Status start_snapshot(const std::string& path);
  Result<bool> go_on_with_snapshot(std::size_t pages);

  // Numbers that go on over restarts. Each call gives the next one and remembers it in memory; it
  // is burned durably only by an event that carries it.
  EpisodeId next_episode_id() const;  // what start_episode() will give
  SpanId next_span_id();
  WeightsVersion next_weights_version();
  LeaseEpoch next_lease_epoch();

  // ---- reading: only what is durable. kUnavailable, kDataLoss. ----

  // Up to `max` items from sequence `from` (0 or 1: the start) on, in order and without gaps. Runs
  // of steps that were evicted are told, too; their file is gone (kNotFound for whoever opens it).
  Result<std::vector<FeedItem>> feed(Sequence from, std::size_t max);
  // The event with this id; kNotFound.
  Result<Event> event(std::string_view id);
  // Events of these kinds (all when empty) with sequence >= from, at most `max`, in order.
  Result<std::vector<Event>> events(const std::vector<std::string>& kinds, Sequence from,
                                    std::size_t max);
  // Every event about weights and candidates from `from` on, at most `max`.
  Result<std::vector<Event>> weights_events(Sequence from, std::size_t max);
  // Episodes with id >= from that have started, at most `max`, in order.
  Result<std::vector<EpisodeSummary>> episodes(EpisodeId from, std::size_t max);
  Result<std::vector<SpanSummary>> spans(EpisodeId episode);
  // Acknowledged bytes of an episode's segment; 0 when it was evicted. kNotFound.
  Result<std::uint64_t> segment_bytes(EpisodeId episode);

  // Reads everything and checks it: SQLite's own integrity, the sequence without gaps or doubles,
  // every payload, every record's checksum and place, every link of the chain; and that it holds
  // each of `heads`, which were taken from it before and kept elsewhere. Slow; an error only when
  // it cannot look.
  Result<VerifyReport> verify(std::vector<ChainHead> heads = {});
  LogStats stats() const;

 private:
  Log();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nudge
