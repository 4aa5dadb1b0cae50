#include "feedback/limits.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace nudge {
namespace {

constexpr double kFullSpeedSeconds = 0.2;  // from rest, when max_step is not configured
constexpr double kBrakeFactor = 3;

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// `values` must be empty or hold `size` numbers in (0, upper].
Status check_channels(const std::vector<double>& values, std::size_t size, double upper,
                      const char* field) {
  if (values.empty()) return {};
  if (values.size() != size) {
    return invalid_argument("limits: " + std::string(field) + " has " +
                            std::to_string(values.size()) + " values; the robot has " +
                            std::to_string(size) + " action channels: give one for each, or none");
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (!(values[i] > 0 && values[i] <= upper)) {
      return invalid_argument("limits: " + std::string(field) + "[" + std::to_string(i) + "] is " +
                              std::to_string(values[i]) + "; it must be above 0, at most " +
                              std::to_string(upper));
    }
  }
  return {};
}

}  // namespace

Result<Limits> Limits::make(const LimitsConfig& config, const ActionSpec& spec,
                            Duration control_period) {
  const std::size_t size = spec.size();
  if (size == 0) return invalid_argument("limits: the robot's ActionSpec has no channels");
  if (control_period <= Duration::zero()) {
    return invalid_argument("limits: control_period must be above 0");
  }
  NUDGE_TRY(check_channels(config.max_rate, size, 1, "max_rate"));
  NUDGE_TRY(check_channels(config.max_step, size, 2, "max_step"));
  NUDGE_TRY(check_channels(config.brake_step, size, 2, "brake_step"));
  if (!(config.slack >= 0 && config.slack <= 0.5)) {
    return invalid_argument("limits: slack is " + std::to_string(config.slack) +
                            "; it must be 0 to 0.5");
  }

  Limits limits;
  const double period = seconds(control_period);
  limits.max_rate_ = config.max_rate.empty() ? std::vector<double>(size, 1.0) : config.max_rate;
  limits.max_step_ = config.max_step;
  if (limits.max_step_.empty()) {
    limits.max_step_.assign(size, std::min(2.0, period / kFullSpeedSeconds));
  }
  limits.brake_step_ = config.brake_step;
  if (limits.brake_step_.empty()) {
    for (const double step : limits.max_step_) {
      limits.brake_step_.push_back(std::min(2.0, step * kBrakeFactor));
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (limits.brake_step_[i] < limits.max_step_[i]) {
      return invalid_argument("limits: brake_step[" + std::to_string(i) +
                              "] is smaller than max_step: braking may not be slower than driving");
    }
  }
  limits.slack_ = config.slack;
  limits.last_.assign(size, 0.0f);

  if (config.workspace) {
    if (size < 3) {
      return invalid_argument(
          "limits: a workspace box needs the first three action channels to be rates of the tool's "
          "position; the robot has " +
          std::to_string(size));
    }
    for (std::size_t i = 0; i < 3; ++i) {
      const auto& [lower, upper] = *config.workspace;
      const PositionLimit side{.channel = i, .lower = lower[i], .upper = upper[i]};
      NUDGE_TRY(limits.add_walls(i, side, spec, period)
                    .with_context("workspace axis " + std::to_string(i)));
    }
  }
  if (!config.positions.empty() && config.positions.size() != size) {
    return invalid_argument("limits: positions has " + std::to_string(config.positions.size()) +
                            " entries; the robot has " + std::to_string(size) +
                            " action channels: give one for each, or none");
  }
  const std::size_t box = limits.walls_.size();
  for (std::size_t i = 0; i < config.positions.size(); ++i) {
    if (!config.positions[i]) continue;
    NUDGE_TRY(limits.add_walls(i, *config.positions[i], spec, period).with_context("positions"));
  }
  if (!config.positions.empty() && limits.walls_.size() == box) {
    return invalid_argument(
        "limits: positions limits nothing: no proprioception channel has the name of an action "
        "channel and the unit whose rate it is");
  }
  return limits;
}

Status Limits::add_walls(std::size_t i, const PositionLimit& limit, const ActionSpec& spec,
                         double period) {
  const Channel& channel = spec.channels[i];
  if (!std::isfinite(limit.lower) || !std::isfinite(limit.upper) || !(limit.lower < limit.upper)) {
    return invalid_argument("limits: action channel '" + channel.name +
                            "' must have finite walls with lower below upper");
  }
  if (!(std::isfinite(channel.lower) && std::isfinite(channel.upper) && channel.lower < 0 &&
        channel.upper > 0)) {
    return invalid_argument("limits: with walls, action channel '" + channel.name +
                            "' must have a rate below 0 as lower and above 0 as upper");
  }
  walls_.push_back({.action = i,
                    .at = limit,
                    .forwards = channel.upper * period,
                    .backwards = -channel.lower * period});
  return {};
}

bool Limits::sees(std::span<const float> position) const {
  return std::all_of(walls_.begin(), walls_.end(), [&](const Walls& walls) {
    return walls.at.channel < position.size() && std::isfinite(position[walls.at.channel]);
  });
}

bool Limits::usable(std::span<const float> requested, std::span<const float> position) const {
  return requested.size() == size() && all_finite(requested) && sees(position);
}

std::pair<double, double> Limits::wall(std::size_t i, std::span<const float> position) const {
  double low = -kFree;
  double high = kFree;
  for (const Walls& walls : walls_) {
    if (walls.action != i) continue;
    const double at = position[walls.at.channel];
    low = std::max(low, -std::max(0.0, at - walls.at.lower) / walls.backwards);
    high = std::min(high, std::max(0.0, walls.at.upper - at) / walls.forwards);
  }
  return {low, high};
}

double Limits::approach(double room, double brake) {
  // A stop from v with n further moving ticks, each slower by `brake`, travels
  // (n + 1) v - brake n (n + 1) / 2, where n is the largest with n brake < v. Solved for v.
  const double n = std::max(0.0, std::ceil((std::sqrt(8 * room / brake + 1) - 3) / 2));
  return (room + brake * n * (n + 1) / 2) / (n + 1);
}

Limited Limits::apply(std::span<const float> requested, std::span<const float> position,
                      Action& executed) {
  Limited result;
  executed.resize(size());
  if (!usable(requested, position)) {
    std::fill(executed.begin(), executed.end(), 0.0f);
    forget();
    result.refused = true;
    return result;
  }
  result.clamped = !permits(requested, position);
  for (std::size_t i = 0; i < size(); ++i) {
    const double wanted = requested[i];
    const double last = last_[i];
    double rate = std::clamp(wanted, -max_rate_[i], max_rate_[i]);
    // Slowing down may be as sudden as a brake, speeding up and reversing may not.
    const double up =
        last < 0 ? std::min(brake_step_[i], std::max(-last, max_step_[i])) : max_step_[i];
    const double down =
        last > 0 ? std::min(brake_step_[i], std::max(last, max_step_[i])) : max_step_[i];
    rate = std::clamp(rate, last - down, last + up);
    const auto [low, high] = wall(i, position);
    rate = std::clamp(rate, -approach(-low, brake_step_[i]), approach(high, brake_step_[i]));
    executed[i] = static_cast<float>(rate);
    // Rounding to float may land a hair outside.
    if (std::abs(double{executed[i]}) > max_rate_[i]) {
      executed[i] = std::nextafter(executed[i], 0.0f);
    }
    result.changed = result.changed || executed[i] != requested[i];
  }
  last_ = executed;
  return result;
}

void Limits::brake(std::span<const float> position, Action& executed) {
  executed.resize(size());
  if (!usable(last_, position)) {
    std::fill(executed.begin(), executed.end(), 0.0f);
    forget();
    return;
  }
  for (std::size_t i = 0; i < size(); ++i) {
    const double last = last_[i];
    const double slower = std::max(0.0, std::abs(last) - brake_step_[i]);
    const auto [low, high] = wall(i, position);
    executed[i] = static_cast<float>(std::clamp(std::copysign(slower, last), low, high));
  }
  last_ = executed;
}

bool Limits::permits(std::span<const float> requested, std::span<const float> position) const {
  if (!usable(requested, position)) return false;
  for (std::size_t i = 0; i < size(); ++i) {
    const double wanted = requested[i];
    const auto [low, high] = wall(i, position);
    if (std::abs(wanted) > max_rate_[i] + slack_) return false;
    if (wanted > high + slack_ || wanted < low - slack_) return false;
  }
  return true;
}

void Limits::forget() { std::fill(last_.begin(), last_.end(), 0.0f); }

bool Limits::at_rest() const {
  return std::all_of(last_.begin(), last_.end(), [](float v) { return v == 0.0f; });
}

}  // namespace nudge
