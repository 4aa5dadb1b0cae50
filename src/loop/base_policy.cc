#include "src/loop/base_policy.h"

#include <algorithm>

#include "src/loop/clock.h"

namespace nudge {
namespace {

constexpr std::uint64_t kDemonstrationStream = 2'000'003;

}  // namespace

DemonstratorOptions demonstrator_options(const Config& config, const KitchenLevel& level) {
  DemonstratorOptions options;
  if (config.demo.everywhere) options.region = level.data().starts;
  options.hand.hasty_share = config.demo.hasty_share;
  return options;
}

Result<BasePolicyTimes> make_base_policy(Deployment& deployment, const Config& config,
                                         std::uint64_t seed, std::uint32_t demonstrations,
                                         const OnBasePolicy& on_progress) {
  BasePolicyTimes times;
  Instant begin = steady_now();
  on_progress(BasePolicyStage::kDemonstrations, 0, demonstrations);
  // An earlier run may have been interrupted here.
  const std::uint64_t recorded = deployment.dataset_counts().demonstrations;
  NUDGE_TRY(
      deployment.demonstrate(demonstrations - std::min<std::uint64_t>(recorded, demonstrations),
                             Random::derive(seed, kDemonstrationStream),
                             demonstrator_options(config, deployment.level())));
  times.demonstrations = seconds(steady_now() - begin);
  on_progress(BasePolicyStage::kDemonstrations, demonstrations, demonstrations);
  begin = steady_now();
  const auto steps = static_cast<std::uint64_t>(config.learner.base_steps);
  Result<FirstWeights> weights = deployment.train_from_scratch(
      Material::kDemonstrations,
      [&](std::size_t step) { on_progress(BasePolicyStage::kTraining, step, steps); });
  if (!weights.ok()) return weights.status();
  const Result<WeightsVersion> version = deployment.install(weights->weights, weights->base);
  if (!version.ok()) return version.status();
  times.training = seconds(steady_now() - begin);
  return times;
}

}  // namespace nudge
