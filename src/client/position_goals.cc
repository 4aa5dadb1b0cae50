#include "src/client/position_goals.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

constexpr double kLead = 0.25;  // s, at full rate

}  // namespace

PositionGoals::PositionGoals(const RobotSpec& spec) : period_(seconds(spec.control_period)) {
  const std::vector<Channel>& seen = spec.observation.proprioception;
  for (std::size_t i = 0; i < spec.action.size(); ++i) {
    const Channel& channel = spec.action.channels[i];
    if (!channel.absolute) continue;
    const auto found =
        std::ranges::find_if(seen, [&](const Channel& c) { return c.name == channel.name; });
    if (found == seen.end()) continue;
    goals_.push_back({.channel = i,
                      .measured = static_cast<std::size_t>(found - seen.begin()),
                      .slowest = channel.lower,
                      .fastest = channel.upper,
                      .lower = found->lower,
                      .upper = found->upper,
                      .at = {}});
  }
}

void PositionGoals::forget() {
  for (Goal& goal : goals_) goal.at.reset();
}

void PositionGoals::command(Action& action, std::span<const float> measured) {
  for (Goal& goal : goals_) {
    const double here = measured[goal.measured];
    const double rate = action[goal.channel];
    const double speed = rate >= 0 ? rate * goal.fastest : -rate * goal.slowest;
    const double lead = kLead * std::max(std::abs(goal.slowest), std::abs(goal.fastest));
    double at = goal.at.value_or(here) + speed * period_;
    at = std::clamp(at, here - lead, here + lead);
    at = std::clamp(at, goal.lower, goal.upper);
    goal.at = at;
    action[goal.channel] = static_cast<float>(at);
  }
}

}  // namespace nudge
