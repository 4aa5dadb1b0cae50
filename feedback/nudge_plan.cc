#include "feedback/nudge_plan.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

// Bends no harder than this while there is time to bend longer: a quarter of a usual arm's speed.
constexpr double kGentle = 0.25;
constexpr int kRounds = 60;  // of the search below; each brings it closer by a factor

double largest_of(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

}  // namespace

std::vector<double> effect_of(const NudgeBias& nudge, const NudgeBounds& bounds) {
  // The same steps, in the same precision, as Authority::bend().
  const auto ramp = static_cast<float>(bounds.ramp);
  const auto bound = static_cast<float>(bounds.bound);
  const Duration end = std::min(nudge.length, bounds.longest);
  const std::size_t size = nudge.bias.size();
  std::vector<float> bias(size, 0.0f);
  std::vector<double> effect(size, 0.0);
  for (Duration now{}; now < end; now += bounds.control_period) {
    float largest = 0;
    for (const float b : bias) largest = std::max(largest, std::abs(b));
    const auto ticks_down = static_cast<int>(std::ceil(largest / ramp));
    const bool fade = now + ticks_down * bounds.control_period >= end;
    for (std::size_t i = 0; i < size; ++i) {
      const float goal = fade ? 0.0f : std::clamp(nudge.bias[i], -bound, bound);
      bias[i] = std::clamp(goal, bias[i] - ramp, bias[i] + ramp);
      effect[i] += static_cast<double>(bias[i]) * seconds(bounds.control_period);
    }
  }
  return effect;
}

double largest_effect(const NudgeBounds& bounds) {
  const NudgeBias most{.bias = {static_cast<float>(bounds.bound)}, .length = bounds.longest};
  return effect_of(most, bounds).front();
}

NudgeBias plan_nudge(std::vector<double> effect, const NudgeBounds& bounds) {
  const double reach = largest_effect(bounds);
  const double wanted = largest_of(effect);
  if (wanted > reach) {
    for (double& e : effect) e *= reach / wanted;
  }
  const double most = std::min(wanted, reach);
  const double period = seconds(bounds.control_period);
  const double gentle = std::min(kGentle, bounds.bound);
  const double ramps = (gentle / bounds.ramp + 2) * period;  // up and down, half of each counts
  const auto ticks = static_cast<std::int64_t>(std::ceil((most / gentle + ramps) / period));

  NudgeBias nudge;
  nudge.length = std::min(ticks * bounds.control_period, bounds.longest);
  nudge.bias.resize(effect.size());
  const double share = seconds(nudge.length);
  for (std::size_t i = 0; i < effect.size(); ++i) {
    nudge.bias[i] = static_cast<float>(effect[i] / share);
  }
  // The ramps cost the more the harder it bends: corrected until the effect is met.
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<double> now = effect_of(nudge, bounds);
    for (std::size_t i = 0; i < effect.size(); ++i) {
      if (now[i] == 0) continue;
      const double better = static_cast<double>(nudge.bias[i]) * (effect[i] / now[i]);
      nudge.bias[i] = static_cast<float>(std::clamp(better, -bounds.bound, bounds.bound));
    }
  }
  return nudge;
}

}  // namespace nudge
