// Which weights run: candidates, their staging, probation and rollback. Folds the durable log and
// is told what happens to the robot; what it decides goes into the log through `record` and takes
// effect only when it has come back through the fold.
//
//   succession.fold(item);                        // each durable item, in order
//   succession.consider(candidate, wall);         // gate; accepted ones are staged
//   if (auto head = succession.take_due(...)) slot.publish(*head);
//   succession.on_played(version); ...            // what the robot did
//   if (auto order = succession.heed()) ...       // confirm, or go back
//
// Not thread-safe: belongs to one thread, the gate's in the daemon.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "policy/probation.h"
#include "policy/round_planner.h"
#include "replay/dataset.h"
#include "replay/teachers.h"
#include "src/config/config.h"
#include "src/learning/learner_wire.h"
#include "src/learning/rollout.h"

namespace nudge {

struct SuccessionCounts {
  std::uint64_t accepted = 0, rejected = 0, confirmed = 0, rolled_back = 0;
};

class Succession {
 public:
  // Appends to the log, in order; what it cannot take now it keeps and takes later. An empty id is
  // made up, an empty actor is the daemon.
  using Record =
      std::function<Status(Payload payload, const std::optional<Actor>& actor, std::string id)>;
  using Tell = std::function<void(LogLevel, std::string_view component, const std::string&)>;

  // `files` and `rollout` must outlive it.
  Succession(FileSystem& files, Rollout& rollout, const DatasetOptions& dataset,
             const RoundPlannerOptions& planner, const ProbationOptions& probation, Record record,
             Tell tell);

  // ---- the log ----

  // kResourceExhausted, kUnavailable: the same again later. Steps of a damaged segment are passed
  // over, and told.
  // Tells when the gate holds takeovers against the rounds that learned from them.
  Status fold(const FeedItem& item);
  Sequence folded() const { return folded_; }
  std::uint64_t damaged_runs() const { return damaged_runs_; }  // of steps, passed over

  // After the log has been folded for the first time: the confirmed weights, to be run. Nothing
  // when there are none, or when they cannot be used (recorded as a fault): the robot then holds.
  Result<std::optional<LoadedHead>> boot();

  // ---- candidates ----

  // Judges one and stages it if it is accepted. `next` is the log's next version.
  Status consider(const CandidateMessage& candidate, WeightsVersion next, WallTime wall);
  // Refuses one without looking: a newer correction made its round pointless.
  Status supersede(const CandidateMessage& candidate);
  // An engineer's weights, with the base that they edit where that is new: judged, and promoted if
  // accepted. kFailedPrecondition: refused by the gate.
  Result<WeightsVersion> install(std::span<const std::byte> weights, const Actor& engineer,
                                 WeightsVersion next, WallTime wall,
                                 std::span<const std::byte> base = {});
  // The gate tries later candidates on the dataset as it is now.
  Status refresh_probes();

  // The staged head, if its acceptance is durable and nobody drives. At most once each.
  std::optional<LoadedHead> take_due(bool person_drives);
  bool staged() const { return staged_.has_value(); }

  // ---- acts of people ----

  // Errors say why not; nothing was recorded then. `id` is the message's.
  Status promote(WeightsVersion version, const Actor& engineer, const std::string& id);
  // The head to run at once.
  Result<LoadedHead> roll_back_by_hand(const Actor& actor, const std::string& id);
  Status resume_learning(const Actor& engineer, const std::string& id);
  // Nothing that this person taught is learned from any more; and the way back. kNotFound: nobody
  // of this name has taught anything.
  Status withdraw(const std::string& person, const Actor& engineer, const std::string& id);
  Status restore(const std::string& person, const Actor& engineer, const std::string& id);

  // ---- what happens to the robot, in order ----

  // Its newest action came from this version. True when that is news.
  Result<bool> on_played(WeightsVersion version);
  // A chunk was computed in `latency`, and taken or refused by the player.
  void on_chunk(WeightsVersion version, Duration latency, const Status& taken);
  void on_takeover() { probation_.on_takeover(); }
  void on_auto_step(bool clamped) { probation_.on_auto_step(clamped); }
  void on_non_finite() { probation_.on_non_finite(); }
  void on_episode_started() { probation_.on_episode_started(); }
  void on_episode_ended() { probation_.on_episode_ended(); }

  // Carries out what probation says, and asks for the pause that too many rollbacks call for. A
  // rollback gives the head to run at once (without one: the robot holds); the chunk that plays
  // must be flushed.
  Result<std::optional<LoadedHead>> heed();

  // Whether a version is of the robot as it is today. kFailedPrecondition.
  Status fits(WeightsVersion version) const;

  const WeightsHistory& history() const { return planner_.weights(); }
  const RoundPlanner& planner() const { return planner_; }
  const Dataset& dataset() const { return dataset_; }
  Dataset& dataset() { return dataset_; }
  const SuccessionCounts& counts() const { return counts_; }

 private:
  void prune();
  void tell_refused(std::size_t known, const WeightsRejected& rejected) const;
  // As of Rollout::load(), of a version that fits.
  Result<LoadedHead> load(WeightsVersion version);
  Status record(Payload payload) { return record_(std::move(payload), std::nullopt, ""); }
  Result<LoadedHead> roll_back(WeightsVersion from, WeightsVersion to, const std::string& reason,
                               const std::optional<Actor>& actor, const std::string& id);

  Rollout& rollout_;
  Record record_;
  Tell tell_;
  Dataset dataset_;
  Teachers teachers_;
  RoundPlanner planner_;  // folds the weights, and says when learning must pause
  Probation probation_;
  Sequence folded_ = 0;
  std::uint64_t damaged_runs_ = 0;
  std::optional<LoadedHead> staged_;
  std::string shape_;       // Booted::shape of today's robot; empty: not told
  std::string boot_shape_;  // of the newest boot, as far as it is folded
  // From which version on they were made for which robot (Booted::shape of that boot).
  std::map<WeightsVersion, std::string> made_for_;
  WeightsVersion given_ = 0;      // highest version given to an accepted candidate
  WeightsVersion announced_ = 0;  // live, and not yet durable as such
  WeightsVersion refused_ = 0;    // whose chunk was refused last, so that it is told once
  std::string unread_;            // what kept steps out of the probes, told last
  bool booted_ = false;
  bool pause_asked_ = false;
  bool going_back_ = false;     // a rollback is recorded and not yet folded
  std::uint32_t unpruned_ = 0;  // accepted since the folder was cleared of old versions
  SuccessionCounts counts_;
};

}  // namespace nudge
