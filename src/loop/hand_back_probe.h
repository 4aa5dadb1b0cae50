// What a correction changed at once: how far the policy is from what its supervisor would do, by
// the weights of before and by those of the micro-round that learned from the correction. At two
// places that no round has trained on: in the second that made the person take over, and where the
// policy comes to after the hand-back. A measurement beside a deployment in the simulated kitchen;
// it changes nothing there.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "nudge/batch.h"
#include "nudge/status.h"
#include "src/loop/inference.h"
#include "src/sim/expert.h"

namespace nudge {

// Mean absolute difference between the first action of a chunk and the expert's, both as rates from
// -1 to 1, over steps and samples of noise, the same for both weights. In standard deviations of
// the demonstrated actions.
struct PairedError {
  std::size_t steps = 0;
  double before = 0, after = 0;
};

struct HandBackError {
  EpisodeId episode = 0;
  PairedError led;  // the policy's last second before the takeover; no steps: it had not driven
  PairedError followed;  // its first two seconds after the hand-back
};

// Over the hand-backs, each by its steps.
struct HandBackMean {
  std::size_t hand_backs = 0;
  PairedError led, followed;
};
HandBackMean mean_of(std::span<const HandBackError> errors);

// Not thread-safe: one thread.
class HandBackProbe {
 public:
  // `hand` is the supervisor's; the level lives longer.
  HandBackProbe(const ExpertOptions& hand, const KitchenLevel& level);

  void begin_episode(EpisodeId episode, std::uint64_t seed);
  // A person has handed back to a policy with these weights; 0: to one that has not acted yet,
  // which is not measured.
  void on_hand_back(WeightsVersion live);
  // Somebody takes over, or the policy is nudged: what comes is not the policy's own way.
  void on_interference() { watching_ = false; }
  // The first observation of a policy step, and what the backbone and the robot made of it once the
  // step has ended.
  void on_step_begun(const Observation& observation);
  void on_step(std::span<const float> features, std::span<const float> proprioception);
  // Weights that were learned from the newest correction are in use.
  void on_micro_round(WeightsVersion version);

  // The hand-backs of this episode that a micro-round answered. `load` gives heads by version;
  // those that edit a reference are not measured. Errors of both.
  Result<std::vector<HandBackError>> end_episode(
      const std::function<Result<LoadedHead>(WeightsVersion)>& load);

 private:
  // The policy's steps, and what the expert would have done in each.
  struct States {
    std::vector<float> features, proprioception;  // [steps, size]
    std::vector<float> expert;                    // [steps, action size]
    std::size_t steps = 0;

    void add(std::span<const float> of_features, std::span<const float> of_robot,
             const Action& would_do);
    void keep_newest(std::size_t most);
  };
  struct HandBack {
    WeightsVersion before = 0, after = 0;
    States led, followed;
  };
  Result<double> error(ActionHead& head, const States& at) const;

  Expert expert_;
  EpisodeId episode_ = 0;
  std::uint64_t seed_ = 0;
  std::vector<HandBack> hand_backs_;
  States lately_;  // what the policy drove last
  bool watching_ = false;
  std::optional<Action> would_do_;  // the expert, in the step under way
};

}  // namespace nudge
