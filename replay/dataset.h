// The learner's view of the log: which steps teach what, and batches drawn from them. A fold over
// the feed: equal prefixes give equal datasets and, with equal seeds, equal batches, however the
// prefix was cut into portions.
//
//   Dataset dataset(posix_files(), options);
//   for (const FeedItem& item : items) NUDGE_TRY(dataset.apply(item));
//   Batch batch;
//   NUDGE_TRY(dataset.sample(batch, 256, Mix{}, random));
//
// What a step is (SampleClass), from what is known so far; late labels, splits and undos move it:
//   demonstration       kHuman or kScript drove in a kDemonstration episode not labelled failure,
//                       or labelled so and judged positive (set_advantages)
//   correction          kHuman or kScript drove in a takeover span, from the split on
//   recovery            the same, before the split
//   nudged              kNudge drove in a nudge span
//   before takeover     kPolicy drove, less than `before_takeover` ahead of a takeover
//   autonomous success  kPolicy drove in a kDeployment episode labelled success. Up to the last
//                       takeover it may have been the person who made it one: such steps teach
//                       nothing, unless they have a token of their own
//   autonomous failure  the same, labelled failure; and what was judged negative in a
//                       demonstration labelled failure
// Quarantine: corrections and recoveries of a suspect takeover (DatasetOptions::quarantine_*) teach
// nothing until somebody labels the span a success, and again when that label is taken back. So do
// those that the gate holds against a round: once several full rounds in a row were refused for
// what their weights do, the takeovers that the first of them learned from and the last accepted
// one did not. Else one that contradicts all others would end all learning. Episodes of a robot of
// another shape (Booted::shape) than today's teach nothing: what their numbers meant is not what
// they mean now. Of boots that did not say their shape, it is not known to be another one.
//
// Nothing, and the end of any window: all else (unlabelled, evaluation episodes, holding); steps
// undone (StepsDiscarded); episodes labelled discard; spans labelled failure or discard, or whose
// words were taken back (WordsUndone); steps behind SpanClosed::last_step; steps flagged stale (the
// executed mean is then nobody's action) or slowed (the policy's at another pace); steps without
// features, proprioception or executed action (the requested one, in an episode of a robot that
// does not tell what it executed), with a number that is not finite, or of another backbone; what
// withdrawn people taught (CorrectionsWithdrawn). Spans that lost steps still count: the gap ends
// the window.
// Labels: Outcome's rule.
//
// Hold-out: deployment episodes are numbered by their first closed complete takeover span that is
// not empty; is_held_out() of the number takes the whole episode out of training for ever. An
// episode that is still to get its number is kept back as if it had the next one, so that a
// held-out correction has never been trained on, not even while its span was open.
//
// Not thread-safe: one thread at a time. Reads no clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nudge/batch.h"
#include "nudge/event.h"
#include "nudge/random.h"
#include "nudge/status.h"
#include "replay/feed.h"
#include "replay/file.h"
#include "replay/sampler.h"

namespace nudge {

struct DatasetOptions {
  std::size_t feature_size = 0;         // of the backbone in use, 0..kMaxFeatures
  std::size_t proprioception_size = 0;  // 0..kMaxProprioception
  std::size_t action_size = 0;          // 1..kMaxActionSize
  std::size_t horizon = 8;              // rows of a chunk, 1..64; prototype
  std::string backbone_hash;            // hex SHA-256 the segments must carry; empty: any
  // Batches carry reference chunks, of segments that keep `horizon` rows of them.
  bool references = false;
  Duration policy_period = std::chrono::milliseconds(100);  // RobotSpec::policy_period
  std::string shape = {};  // Booted::shape of today's robot; empty: that of the newest boot
  // Keeps segments mapped, as training needs. A file that is cut off or cannot be read then ends
  // the process. False: they are read, a step at a time, and only probes can be drawn.
  bool mapped = true;
  // Autonomous time ahead of a takeover that led into the mess, rounded up to whole steps.
  Duration before_takeover = std::chrono::milliseconds(750);
  // Token of those steps and of autonomous failures; kNone: they are dropped.
  Advantage before_takeover_advantage = Advantage::kNone;
  Advantage autonomous_failure_advantage = Advantage::kNone;
  // Token of all other steps.
  Advantage advantage = Advantage::kNone;
  // A takeover is put in quarantine when it ended with a lost link, or when in at least this share
  // of its steps the robot's limits cut what the person asked for: a saturated stick, or somebody
  // who drives against the limits. Above 1: never for that.
  double quarantine_clamped = 0.5;
  bool quarantine_link_lost = true;
  std::uint32_t quarantine_refused = 3;  // full rounds in a row; 0: never for that
  // The last `instruction_size` features stand for the instruction; 0: none do.
  // `instruction_features` makes them of another sentence, once for each; null: rows keep their
  // own. With probability `relabel` a correction, recovery or nudged step gets a sentence that
  // somebody said while it was made, or up to `relabel_before` earlier, in place of the instruction
  // (Shi et al., "Yell at your robot", 2024). With probability `swap` any positive row gets another
  // instruction of the log, and the token kNegative: it is not what was asked for.
  std::size_t instruction_size = 0;
  std::function<Result<std::vector<float>>(const std::string& sentence)> instruction_features;
  double relabel = 0.5;
  Duration relabel_before = std::chrono::seconds(2);
  double swap = 0;
  // People (see person_of()) whose spans, demonstrations and labels do not count, as if the log had
  // said CorrectionsWithdrawn of each. Their undos do.
  std::vector<std::string> excluded_supervisors;

  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

struct SupervisorCounts {
  std::string name;               // of the person, as of person_of()
  std::uint64_t corrections = 0;  // steps that may be sampled
  std::uint64_t recoveries = 0;
  std::uint64_t nudged = 0;
  std::uint64_t held_out = 0;  // steps of any of these classes in held-out episodes
};

struct DatasetCounts {
  Sequence prefix = 0;                                    // of the log, folded so far
  std::uint64_t steps = 0;                                // known
  std::array<std::uint64_t, kSampleClasses> trainable{};  // steps that may be sampled, by class
  std::array<std::uint64_t, kSampleClasses> held_out{};   // the same in held-out episodes
  std::uint64_t discarded = 0;                            // undone
  std::uint64_t taken_out = 0;  // by a label: of their episode, discard; of their span, failure too
  std::uint64_t quarantined = 0;  // of suspect takeovers
  std::uint64_t other_shape = 0;  // of a robot of another shape than today's
  std::uint64_t unusable = 0;     // stale, incomplete, not finite, or of another backbone
  std::uint64_t missing = 0;      // in segment files that are gone (evicted)
  std::uint64_t episodes = 0;     // started
  std::uint64_t demonstrations = 0, deployments = 0, evaluations = 0;  // episodes
  std::uint64_t successes = 0, failures = 0, discards = 0;             // labelled deployments
  std::uint64_t other_shape_episodes = 0;
  std::uint64_t corrected_episodes = 0;
  std::uint64_t held_out_episodes = 0;
  std::vector<SupervisorCounts> supervisors;  // who opened a span, in order of first appearance
};

// A policy step of an episode that somebody judged.
struct JudgedStep {
  std::uint32_t row = 0;  // names the step to observe() and set_advantages() of the same dataset
  std::uint32_t policy_step = 0;
  ControlSource source = ControlSource::kHold;  // never kHold
  bool before_takeover = false;                 // as SampleClass::kBeforeTakeover
};

// An episode of which it is known how it went: a deployment labelled success or failure, or a
// demonstration that was not discarded (a success unless it is labelled failure).
struct JudgedEpisode {
  EpisodeId episode = 0;
  EpisodePurpose purpose = EpisodePurpose::kDeployment;
  std::string task;  // the instruction that it began with
  bool success = false;
  bool held_out = false;          // for ever, or it may still come to that
  std::vector<JudgedStep> steps;  // of what is known, in order: without undone, stale or
                                  // unusable ones, and those in which nobody drove; never empty
};

// A step's own token, in place of its class's.
struct StepAdvantage {
  std::uint32_t row = 0;                   // JudgedStep::row
  Advantage advantage = Advantage::kNone;  // kNone: its class's
};

// A part of each batch that is drawn from the corrections of one episode, each as likely. Nothing
// while it has none that teach; of a held-out episode none do.
struct Fresh {
  EpisodeId episode = 0;
  double share = 0;  // 0..1 of a batch, to the nearest row
};

// Per column, over the demonstrations: each step's features and proprioception, and its action.
struct Normaliser {
  std::uint64_t steps = 0;
  std::vector<float> feature_mean, feature_scale;                // [feature_size]
  std::vector<float> proprioception_mean, proprioception_scale;  // [proprioception_size]
  std::vector<float> action_mean, action_scale;                  // [action_size]
};

class Dataset {
 public:
  // `files` outlives the dataset. options.validate() is ok.
  Dataset(FileSystem& files, DatasetOptions options);
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;

  // ---- folding, in sequence order. What lies within the prefix already is passed over. ----

  Status apply(const FeedItem& item);
  Status apply(const Event& event);  // never fails on an event that the log accepted
  // Maps the episode's segment (again, when it has grown) and keeps it mapped, but no file open:
  // the system's bound on mappings (vm.max_map_count, 65,530 by default) bounds the episodes;
  // beyond it the answer is kResourceExhausted or kUnavailable. Without `mapped` it is read, and
  // what the disk does not give is kDataLoss. kDataLoss for a damaged segment
  // (by its checksums) or steps out of order, other errors of FileSystem: the prefix then ends at
  // the last good step; apply the same again, or pass it over. A file that is gone is passed over.
  Status apply_steps(const StepsRef& steps);
  // Goes on behind steps that cannot be read; they are counted as missing.
  void pass_over(const StepsRef& steps);
  Sequence prefix() const;  // the last sequence folded

  // ---- training ----

  // Draws `size` chunks into `batch`, reusing its memory. A chunk starts at a step of its class and
  // covers the steps that follow, mask 1, while they are of the same episode, span and class
  // (recovery may run on into correction) without a gap; behind that, mask is 0 and the last
  // action is repeated. Actions are the executed ones; weight is 1. Errors of Sampler::prepare();
  // kFailedPrecondition without `mapped`.
  // `fresh`: what comes first in the batch, beside the mix and its cap on one person. The time that
  // takes grows with that episode's steps, not with the log.
  Status sample(Batch& batch, std::size_t size, const Mix& mix, Random& random,
                const Fresh& fresh = {});
  Normaliser normaliser() const;  // of channels that do not move, the scale is 0; needs `mapped`

  // ---- for whoever judges steps ----

  // In log order. What withdrawn people recorded or labelled does not count.
  std::vector<JudgedEpisode> judged_episodes() const;
  // Features and proprioception of these rows of judged episodes, in their order; horizon is 0.
  // Needs `mapped`.
  Batch observe(std::span<const std::uint32_t> rows) const;
  // Steps that the policy drove get tokens of their own, and teach even where their class is
  // dropped. So do those of demonstrations for as long as they are labelled failure, which teach
  // nothing without. What else a person drove or bent keeps its class's. Holds until the next call
  // for the same rows, whatever is folded meanwhile. kInvalidArgument for a row that does not
  // exist: nothing is changed then.
  Status set_advantages(std::span<const StepAdvantage> tokens);

  // ---- probes for the gate, as batches of their own; less than `max` when there is less, or when
  // ---- without `mapped` some cannot be read any more ----

  // Different demonstration steps, chosen evenly by `seed`, in log order. With a large `max`: all.
  Batch demonstration_probe(std::size_t max, std::uint64_t seed) const;
  // Corrections of held-out episodes, evenly spread over all of them, in log order.
  Batch held_out_probe(std::size_t max) const;
  // The newest usable steps of deployment episodes, whoever drove, newest last. Only features,
  // proprioception, references and cluster are filled; horizon is 0.
  Batch recent_observations(std::size_t max = 64) const;
  // What kept steps out of the probes since the last call; ok: nothing did.
  Status take_unread();

  // The episode of each takeover that went into quarantine since the gate refused what it taught;
  // those that somebody vouched for later are still among them.
  const std::vector<EpisodeId>& refused_takeovers() const;

  DatasetCounts counts() const;
  // Steps of this episode in each class, held out or not; the last entry: in none.
  std::array<std::uint64_t, kSampleClasses + 1> counts(EpisodeId episode) const;

  // Bytes that each step takes in memory, at most: the design allows 64. Steps of evicted episodes
  // are let go of when they are more than half of all.
  static std::size_t bytes_per_step();
  std::size_t steps_in_memory() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nudge
