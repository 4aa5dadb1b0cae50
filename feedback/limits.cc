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
      if (!std::isfinite(lower[i]) || !std::isfinite(upper[i]) || !(lower[i] < upper[i])) {
        return invalid_argument("limits: workspace axis " + std::to_string(i) +
                                " must have finite walls with lower below upper");
      }
      const Channel& channel = spec.channels[i];
      if (!(std::isfinite(channel.lower) && std::isfinite(channel.upper) && channel.lower < 0 &&
            channel.upper > 0)) {
        return invalid_argument("limits: with a workspace box, action channel '" + channel.name +
                                "' must have a rate below 0 as lower and above 0 as upper");
      }
      limits.forwards_[i] = channel.upper * period;
      limits.backwards_[i] = -channel.lower * period;
    }
    limits.workspace_ = config.workspace;
  }
  return limits;
}

bool Limits::usable(std::span<const float> requested, std::span<const float> position) const {
  if (requested.size() != size() || !all_finite(requested)) return false;
  return !workspace_ || (position.size() >= 3 && all_finite(position.first(3)));
}

std::pair<double, double> Limits::wall(std::size_t i, std::span<const float> position) const {
  if (!workspace_ || i >= 3) return {-kFree, kFree};
  const double to_upper = std::max(0.0, workspace_->upper[i] - double{position[i]});
  const double to_lower = std::max(0.0, double{position[i]} - workspace_->lower[i]);
  return {-to_lower / backwards_[i], to_upper / forwards_[i]};
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
