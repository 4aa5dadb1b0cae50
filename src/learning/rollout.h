// The gate thread's work: candidates in, verdicts out; accepted ones are numbered, signed, stored,
// loaded and warmed. Never runs the robot.
//
// Not thread-safe: one thread at a time. Blocks on the weights folder.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "policy/gate.h"
#include "policy/head.h"
#include "policy/weights_history.h"
#include "policy/weights_store.h"
#include "replay/dataset.h"
#include "src/loop/inference.h"

namespace nudge {

struct RolloutOptions {
  std::string folder;  // of accepted weights, made when it is missing
  // Of the signing key; made when it is missing, and a key that an older version left in `folder`
  // is moved here. Empty: `folder`. The learner may read weights, and no key.
  std::string key_folder;
  std::string robot;  // RobotSpec::id
  GateOptions gate;
  HeadSpec head;
  std::string backbone_hash;
  bool base = false;  // `head` edits a frozen one, which weights name and the folder holds
  std::size_t probe_held_out = 256;        // chunks
  std::size_t probe_demonstrations = 256;  // chunks
  std::size_t probe_recent = 64;           // observations
  std::size_t keep = 20;                   // versions besides the confirmed and the live one
};

// What became of a candidate.
struct Admission {
  GateReport report;
  WeightsVersion version = 0;  // accepted only
  WeightsVersion parent = 0;   // 0: none, or not recognised
  WeightsKind kind = WeightsKind::kFull;
  Sha256 hash{};           // of the bytes received
  LoadedHead head;         // accepted only: ready to run
  Payload record() const;  // WeightsAccepted or WeightsRejected
};

// Who offers weights. An engineer may bring some that were trained from scratch beside the running
// ones; the learner's must descend from them.
enum class Offered { kByLearner, kByEngineer };

class Rollout {
 public:
  // Errors of the weights folder; kInvalidArgument for bad options.
  static Result<std::unique_ptr<Rollout>> open(const RolloutOptions& options);

  // Takes the probes that the gate tries candidates on from the dataset as it is now.
  Status refresh_probes(const Dataset& dataset);

  // Judges a candidate against the weights that the log knows. `version` is the number it gets if
  // it is accepted, or the next one that is free in the folder. Whatever is wrong with the bytes is
  // an Admission that was refused; an error means that the folder failed, and the candidate may be
  // offered again. `fits`: whether a version is of the robot as it is now, so that it may be a
  // parent; empty: each is. `base`: a file of the frozen head that the candidate edits, which goes
  // through the gate with it and is stored when both are accepted; empty: that of its parent.
  using Fits = std::function<bool(WeightsVersion)>;
  Result<Admission> consider(std::span<const std::byte> bytes, Offered offered,
                             const WeightsHistory& history, WeightsVersion version, WallTime now,
                             const Fits& fits = {}, std::span<const std::byte> base = {});

  // An accepted version, verified again, with its base, and ready to run. kNotFound, kDataLoss;
  // kFailedPrecondition: made for another backbone, other sizes or the other kind of head.
  Result<LoadedHead> load(WeightsVersion version, const WeightsHistory& history);

  // The verified bytes of an accepted version, as above.
  Result<std::shared_ptr<const Weights>> weights(WeightsVersion version,
                                                 const WeightsHistory& history);

  // Removes old versions; what may run or be gone back to stays, by however many steps back.
  Status prune(const WeightsHistory& history);

 private:
  // What a candidate edits, as far as it may.
  struct JudgedBase {
    std::shared_ptr<const Weights> weights;  // null: none, or refused
    GateReport report;                       // of one that is new
    std::string reason, detail;              // of the refusal; empty: there is none
  };

  Rollout(const RolloutOptions& options, WeightsStore store, std::unique_ptr<Gate> gate);
  Status runs_here(const Weights& weights) const;
  Result<const StoredWeights*> stored(WeightsVersion version, const WeightsHistory& history);
  Result<JudgedBase> judge_base(const Weights& candidate, WeightsVersion parent,
                                std::span<const std::byte> base);
  Result<LoadedHead> ready_head(WeightsVersion version, std::shared_ptr<const Weights> weights,
                                const std::shared_ptr<const Weights>& base);

  RolloutOptions options_;
  WeightsStore store_;
  std::unique_ptr<Gate> gate_;
  std::map<WeightsVersion, StoredWeights> cache_;  // parents and confirmed
  // The base that was made ready last: versions that edit the same one share it.
  Sha256 base_hash_{};
  std::shared_ptr<ReferenceSource> base_;
};

}  // namespace nudge
