// What a log holds in memory, for the files that log.h's functions are written in: opening and
// recovery (log_recovery.cc), writing (log.cc), reading (log_reading.cc), verifying
// (log_verify.cc).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "nudge/number_set.h"
#include "replay/chain_rows.h"
#include "replay/database.h"
#include "replay/log.h"
#include "replay/segment.h"

namespace nudge {

struct Log::State {
  struct PendingEvent {
    Event event;
    std::string payload;
    ChainHash link{};
  };

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
  std::vector<ChainedRun> pending_runs;
  std::size_t pending_steps = 0;
  std::unique_ptr<SegmentWriter> current;              // of the open episode
  std::vector<std::unique_ptr<SegmentWriter>> ending;  // ended, still to be committed
  std::vector<EpisodeId> closing;                      // found open by recovery
  NumberSet evicted;                                   // episodes, durably; their files are gone
  std::unique_ptr<DatabaseCopy> snapshot;              // ends before the database
  std::string snapshot_path;
  std::optional<ChainedRun> newest_run;  // the durable one that may grow

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
  Status write_rows(std::optional<ChainedRun>& run);
  void restore_ballast();
  bool give_up_ballast();

  // Counts what segments there are, and removes files whose eviction was durable when a crash came.
  Status load_evicted();
  void remove_segment(EpisodeId episode);

  Result<std::uint64_t> offset_of(const ChainedRun& run, Sequence sequence);
  Result<std::vector<Event>> query_events(Statement& statement, std::size_t max);
  Result<Statement> select_events(const std::string& rest);

  class Verifier;
};

}  // namespace nudge
