#include "src/sim/expert.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

constexpr double kSwayMemory = 0.82;  // per step: 0.5 s
constexpr std::uint64_t kHasteStream = 91;

}  // namespace

Expert::Expert(const ExpertOptions& options, const KitchenLevel& level)
    : options_(options), level_(&level), random_(options.seed), skill_(level.make_skill()) {
  begin(options.seed);
}

Expert::Expert(const Expert& other)
    : options_(other.options_),
      level_(other.level_),
      random_(other.random_),
      style_(other.style_),
      skill_(other.skill_->copy()) {}

Expert& Expert::operator=(const Expert& other) { return *this = Expert(other); }

void Expert::begin() { begin(options_.seed); }

void Expert::begin(std::uint64_t seed) {
  random_ = Random(seed);
  style_ = {};
  skill_->begin();
  // A little variety between people and between tries, in proportion to how unsteady they are.
  const double variety = std::min(1.0, options_.unsteadiness / 0.1);
  style_.hover = 0.07 + 0.015 * variety * random_.uniform(-1, 1);
  style_.speed =
      std::clamp(options_.speed * (1 + 0.1 * variety * random_.uniform(-1, 1)), 0.05, 1.0);
  // From a stream of its own: the rest of the episode is the same whatever the share.
  style_.hasty = Random(Random::derive(seed, kHasteStream)).uniform() < options_.hasty_share;
}

Action Expert::act(const Observation& observation) {
  const auto state = level_->state_of(observation);
  if (!state.ok()) return Action(kKitchenActionSize, 0.0f);
  for (double& s : style_.sway) {
    s = kSwayMemory * s +
        options_.unsteadiness * std::sqrt(1 - kSwayMemory * kSwayMemory) * random_.normal();
  }
  return skill_->act(*state, style_);
}

}  // namespace nudge
