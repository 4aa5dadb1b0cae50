// The first weights of any robot, from what its log holds, while no daemon runs: what the robot is,
// the log says. They have no parent; the gate judges them, and an engineer's act promotes them.
//
//   auto training = FirstTraining::open(options);
//   auto weights = (*training)->train(Material::kDemonstrations, on_step);
//   auto version = (*training)->install(*weights);
//
// Not thread-safe: one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replay/log.h"
#include "src/config/config.h"
#include "src/learning/rollout.h"
#include "src/learning/settings.h"
#include "src/learning/succession.h"
#include "src/loop/recorder.h"

namespace nudge {

enum class Material { kDemonstrations, kWholeLog };

// What a first training makes: weights files without a parent.
struct FirstWeights {
  std::vector<std::byte> weights;
  std::vector<std::byte> base;  // the frozen head that `weights` edit and name; empty: none
};

// Trains from scratch, on the demonstrations alone or on all of the dataset with the learner's mix.
// `on_step` is told how many steps are done. For a head that edits, what is trained is the frozen
// base, if that is its reference; the weights are an untrained edit head, which passes references
// on. An edit of an upstream's chunks is trained at once, on all of the dataset whatever the
// material. Nothing is written: to act, both go through the gate together. kFailedPrecondition:
// there are no demonstrations; for an upstream, no corrections or no successes.
Result<FirstWeights> train_from_scratch(Dataset& dataset, const Config& config,
                                        const PolicyShape& shape, Material material,
                                        const std::function<void(std::size_t)>& on_step);

struct FirstTrainingOptions {
  Config config;
  std::string state_folder;
  std::function<void(LogLevel level, std::string_view component, const std::string& message)>
      notice;
};

class FirstTraining {
 public:
  // Opens the log and folds it. kNotFound: there is no log; kUnimplemented: it is of a version
  // that did not say what the robot is; kUnavailable: a daemon has it; kPermissionDenied.
  static Result<std::unique_ptr<FirstTraining>> open(const FirstTrainingOptions& options);

  const RobotSpec& robot() const { return robot_; }
  const PolicyShape& shape() const { return shape_; }
  Dataset& dataset() { return succession_->dataset(); }
  const WeightsHistory& history() const { return succession_->history(); }
  // Of each episode of the log, what it began with.
  const std::map<EpisodeId, std::string>& instructions() const { return instructions_; }
  // The last entry of the log that may change what is learned from it: boots, who held the lease
  // and what became of weights do not.
  Sequence material() const { return material_; }
  // An accepted version. kNotFound, kDataLoss; kFailedPrecondition: of the robot as it once was.
  Result<std::shared_ptr<const Weights>> weights(WeightsVersion version);
  DatasetCounts counts() const { return succession_->dataset().counts(); }

  Result<FirstWeights> train(Material material, const std::function<void(std::size_t)>& on_step);

  // Through the gate, then promoted, as the engineer's act. Without a `base`, weights with a parent
  // edit its base. kFailedPrecondition: refused by the gate.
  Result<WeightsVersion> install(const std::vector<std::byte>& weights,
                                 const std::vector<std::byte>& base = {});

 private:
  FirstTraining(const FirstTrainingOptions& options, std::unique_ptr<Log> log, RobotSpec robot,
                const PolicyShape& shape, const DatasetOptions& dataset,
                std::unique_ptr<Rollout> rollout);
  Status fold();
  Moment moment() const;

  FirstTrainingOptions options_;
  std::unique_ptr<Log> log_;
  RobotSpec robot_;
  PolicyShape shape_;
  std::unique_ptr<Rollout> rollout_;
  Recorder recorder_;
  std::unique_ptr<Succession> succession_;
  std::map<EpisodeId, std::string> instructions_;
  Sequence material_ = 0;
};

}  // namespace nudge
