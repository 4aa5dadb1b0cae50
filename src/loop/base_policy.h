// The policy that a deployment of the simulated kitchen starts with: scripted demonstrations, a
// first training on them, and the engineer's act that puts it to work.
#pragma once

#include <cstdint>
#include <functional>

#include "src/loop/deployment.h"

namespace nudge {

struct BasePolicyTimes {
  double demonstrations = 0, training = 0;  // s, wall time
};

enum class BasePolicyStage { kDemonstrations, kTraining };
// `done` of `total` demonstrations or training steps.
using OnBasePolicy =
    std::function<void(BasePolicyStage stage, std::uint64_t done, std::uint64_t total)>;

// How the configuration says that demonstrations are given.
DemonstratorOptions demonstrator_options(const Config& config, const KitchenLevel& level);

// Goes on where an interrupted call stopped. Errors of Deployment.
Result<BasePolicyTimes> make_base_policy(Deployment& deployment, const Config& config,
                                         std::uint64_t seed, std::uint32_t demonstrations,
                                         const OnBasePolicy& on_progress);

}  // namespace nudge
