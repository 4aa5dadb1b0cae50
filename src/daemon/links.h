// What the daemon's threads hand each other: every link is one of the two primitives of
// src/handoff/, chosen by what may be lost.
//
//   io ──chunks of a policy elsewhere──▶ inference
//   io ──acts, jog, stop──▶ step ──requests──▶ inference ──chunks──▶ step
//                           step ──reports──▶ writer ◀──features── inference
//   io ──feedback──▶ writer ──what is durable──▶ io
//                    writer ──feed, news, candidates──▶ gate ──records──▶ writer
//   io ──acts about weights──▶ gate ──heads──▶ inference
//                    writer ──signed heads──▶ head export ──how it goes──▶ io
//   io ──what of the past is asked for──▶ archive ──what is on disk of it──▶ io
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "feedback/authority.h"
#include "feedback/broker.h"
#include "policy/help_thresholds.h"
#include "policy/swap_slot.h"
#include "replay/dataset.h"
#include "replay/feed.h"
#include "src/daemon/snapshot.h"
#include "src/handoff/bounded_queue.h"
#include "src/handoff/latest.h"
#include "src/learning/learner_wire.h"
#include "src/loop/inference.h"
#include "src/loop/recorder.h"
#include "src/ports/desk.h"
#include "src/ports/episode_reader.h"

namespace nudge {

// ---- step and io to inference -------------------------------------------------------------------

// Finished, and wanted for the log.
struct FinishedStep {
  EpisodeId episode = 0;
  std::uint32_t step = 0;
};

struct InferenceRequest {
  Observation observation;
  std::string instruction;
  EpisodeId episode = 0;
  ControlTick tick = 0;  // of the observation
  // The policy step that began with this observation: its features are recorded. None: only a chunk
  // is wanted.
  std::optional<std::uint32_t> step;
  bool chunk = false;
  // From io, of a policy elsewhere: episode, tick and step are not said; `chunk`: an edit is
  // wanted.
  bool upstream = false;
  std::optional<ActionChunk> upstream_chunk{};  // UpstreamChunk::chunk
  // Somebody's act waits for this step and all before it: they are recorded with what is there.
  // Nothing else is asked then.
  std::optional<FinishedStep> needed{};
};

struct ComputedChunk {
  ActionChunk chunk;
  Duration latency{};  // of the computation
};

// How far samples of a chunk lie apart; computed after the chunk was handed over.
struct ComputedDoubt {
  double disagreement = 0;
  Instant observed;  // as ActionChunk::observed
};

// ---- to the writer ------------------------------------------------------------------------------

struct EpisodeBegun {
  EpisodeId episode = 0;
  std::uint64_t seed = 0;
  std::string instruction;
  EpisodePurpose purpose = EpisodePurpose::kDeployment;
};
struct EpisodeOver {
  EpisodeEnd reason = EpisodeEnd::kAborted;
  std::uint32_t steps = 0;
};
struct ChunkNews {
  WeightsVersion version = 0;
  Duration latency{};
  Status taken;
};

// What one control tick brought, as far as anybody needs to know of it. In this order: chunk,
// begun, the tick itself, over.
struct StepReport {
  Moment moment;  // without the weights: the writer knows what is live
  std::optional<ChunkNews> chunk;
  std::optional<EpisodeBegun> begun;
  Decision decision;
  std::optional<Step> finished;  // its features come from inference
  bool step_begun = false;
  WeightsVersion played = 0;
  std::optional<HelpAsked> help_asked;
  std::optional<HelpEnded> help_ended;
  std::optional<HelpScored> help_scored;  // before `over`
  std::optional<EpisodeOver> over;
  // Steps that this report's forerunners lost because the writer did not keep up.
  std::uint32_t lost_first = 0, lost = 0;
  bool lost_human = false;
};

// What inference made of the first observation of a policy step.
struct StepFeatures {
  EpisodeId episode = 0;
  std::uint32_t step = 0;
  std::vector<float> features;  // empty: there are none
  std::vector<Image> images;
  AlignedReference reference{};
};

// From the gate.
struct RecordWanted {
  Payload payload;
  std::optional<Actor> actor;  // none: the daemon
  std::string id;              // empty: made up
};

// From io: a copy of the log's database, for a backup.
struct SnapshotWanted {};

using WriterItem =
    std::variant<StepReport, StepFeatures, FeedbackRecord, RecordWanted, SnapshotWanted>;

// ---- writer to io -------------------------------------------------------------------------------

struct WriterNotice {
  std::vector<ActAnswer> answers;
  std::vector<std::string> durable;                        // ids
  std::vector<std::pair<std::string, Status>> not_stored;  // ids
  std::vector<Event> events;                               // durable, in order
  std::vector<StepsRef> steps{};                           // durable, in order
  std::optional<Status> snapshot{};                        // ok: it is there
};

struct WriterStatus {
  bool recording = true;
  std::string trouble;  // why not
  LogStats log;
  bool learner_on = false, learner_connected = false;
  std::uint32_t learner_deaths = 0;
  LearnerProgress learner;
  Instant learner_seen{};        // connected last
  bool learner_confined = true;  // the one that said hello last
  std::string learner_sandbox;   // what confines it, in words; empty: none has said hello
  Sequence head_sequence = 0;    // of the head signed last; 0: none yet
  std::string head;              // its text, see src/ports/signed_head.h
  std::string unwritten;         // StorageStatus::unwritten
  std::string over_budget;       // StorageStatus::over_budget
};

// ---- writer to head export to io ----------------------------------------------------------------

struct HeadExportStatus {
  std::string trouble;        // why the newest signed heads are not in log.heads_file; empty: none
  std::uint64_t waiting = 0;  // that were taken from the queue
  std::uint64_t exported = 0, dropped = 0;  // since boot
};

// ---- to the gate --------------------------------------------------------------------------------

struct FeedBatch {
  std::vector<FeedItem> items;
};
// What probation wants to know of a tick.
struct TickNews {
  std::optional<ChunkNews> chunk;
  bool episode_begun = false, episode_over = false;
  bool takeover = false;          // AUTO was cut
  std::optional<bool> auto_step;  // one was finished; true: clamped
  bool non_finite = false;
  WeightsVersion played = 0;
};
struct WeightsAct {
  OperatorMessage message;
  Actor actor;
};
using GateItem = std::variant<FeedBatch, TickNews, CandidateMessage, WeightsAct>;

struct GateStatus {
  bool paused = false, waits_for_feedback = false;
  bool anything_new = false;  // to learn from, since the last full round
};
struct GateAnswer {
  std::string id;
  Status status;  // ok: recorded, and acknowledged when that is durable
};

// ---- io and archive -----------------------------------------------------------------------------

// Of all people together, asked for and not yet answered.
inline constexpr std::size_t kMaxArchiveRequests = 64;

struct FrameWanted {
  SegmentPlace place;
  std::string camera;
  std::uint32_t step = 0;
};
struct ArchiveRequest {
  std::uint64_t number = 0;  // the answer's
  std::variant<EpisodeRecord, FrameWanted> wanted;
};
struct ArchiveAnswer {
  std::uint64_t number = 0;
  Result<std::string> content;
};

// ---- all of it ----------------------------------------------------------------------------------

struct Links {
  // io to step
  BoundedQueue<AuthorityAct> acts{256};
  Latest<SentJog> jog;
  Latest<SentJog> let_go;  // the dead-man is up; beside the other, so that no press displaces it
  std::atomic<std::uint64_t> stop_presses{0};
  Latest<std::string> instruction;
  Latest<HelpThresholds> help_thresholds;
  std::atomic<std::uint64_t> declined_help{0};  // number of the newest that was declined

  // step to everybody
  Latest<Snapshot> snapshot;                                 // io
  Latest<std::vector<Image>> frames;                         // io
  std::atomic<std::int64_t> heartbeat{0};                    // watchdog: ns of the steady clock
  std::atomic<AuthorityState> state{AuthorityState::kHold};  // gate

  // step, inference
  BoundedQueue<InferenceRequest> requests{16};
  Latest<ComputedChunk> chunks;
  Latest<ComputedDoubt> doubts;
  std::atomic<WeightsVersion> loaded{0};  // in use by inference
  SwapSlot<LoadedHead> heads;             // gate to inference

  // to the writer: half of the places are kept for what people did
  BoundedQueue<WriterItem> writer{8192, 4096};
  // writer to io
  BoundedQueue<WriterNotice> notices{4096};
  Latest<WriterStatus> writer_status;
  // writer to head export to io; more wait only while the export's file does not answer
  BoundedQueue<std::string> signed_heads{4096};
  Latest<HeadExportStatus> head_export;

  // to the gate
  BoundedQueue<GateItem> gate{8192, 4096};
  // Writer to gate and back: a candidate of the learner's is in the queue or being tried. The next
  // waits for it, and gives way to a newer one meanwhile.
  std::atomic<bool> candidate_at_gate{false};
  std::atomic<std::uint64_t> flushes{0};  // gate to step: the chunk that plays must go
  Latest<GateStatus> gate_status;         // io
  Latest<DatasetCounts> dataset;          // io
  BoundedQueue<GateAnswer> gate_answers{256};

  // io, archive: never more answers than requests
  BoundedQueue<ArchiveRequest> archive{kMaxArchiveRequests};
  BoundedQueue<ArchiveAnswer> archive_answers{kMaxArchiveRequests};
};

}  // namespace nudge
