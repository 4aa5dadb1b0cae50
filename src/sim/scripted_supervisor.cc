#include "src/sim/scripted_supervisor.h"

#include <algorithm>

namespace nudge {
namespace {

constexpr std::uint64_t kWrongStream = 77;
constexpr Duration kWander = std::chrono::milliseconds(500);

}  // namespace

ScriptedSupervisor::ScriptedSupervisor(const SupervisorOptions& options, const KitchenLevel& level)
    : options_(options), level_(&level), hand_(options.hand, level) {
  begin(options.hand.seed);
}

void ScriptedSupervisor::begin(std::uint64_t seed) {
  hand_.begin(Random::derive(options_.hand.seed, seed));
  doubt_ = Random(Random::derive(Random::derive(options_.hand.seed, seed), kWrongStream));
  wrong_ = false;
  seen_.clear();
  started_ = over_ = driving_ = asking_ = returning_ = false;
  noticed_.reset();
  takeovers_ = wrong_takeovers_ = 0;
  driven_ = {};
}

Action ScriptedSupervisor::drive(const Observation& observation) {
  // Also when it is not heeded: the hand keeps in mind what it sees.
  Action action = hand_.act(observation);
  if (!wrong_) return action;
  if (options_.wrong == WrongHand::kAdversarial) {
    for (float& rate : action) rate = -rate;
    return action;
  }
  if (wander_.empty() || observation.time - wandered_ >= kWander) {
    wandered_ = observation.time;
    wander_.resize(action.size());
    for (float& rate : wander_) rate = static_cast<float>(doubt_.uniform(-1, 1));
  }
  return wander_;
}

void ScriptedSupervisor::watch_from(Instant now, double progress) {
  seen_.clear();
  seen_.emplace_back(now, progress);
  watching_since_ = best_time_ = now;
  best_ = progress;
  noticed_.reset();
}

bool ScriptedSupervisor::stalled(Instant now) const {
  if (now - best_time_ >= options_.patience) return true;
  if (now - watching_since_ < options_.stall) return false;
  // The largest rise from any moment to any later one, so that a swing counts as motion.
  double lowest = seen_.front().second, rise = 0;
  for (const auto& [time, value] : seen_) {
    lowest = std::min(lowest, value);
    rise = std::max(rise, value - lowest);
  }
  return rise < options_.stall_progress;
}

Supervision ScriptedSupervisor::step(const Observation& observation, bool human_is_driving) {
  Supervision says;
  const auto state = level_->state_of(observation);
  if (over_ || !state.ok()) return says;
  const Instant now = observation.time;
  const double value = level_->progress(*state);
  if (!started_) {
    started_ = true;
    first_ = last_ = now;
    // Control that comes along from the episode before is the policy's again: it has had no chance.
    returning_ = human_is_driving;
    watch_from(now, value);
  }
  if (human_is_driving) driven_ += now - last_;
  last_ = now;

  if (observation.success || now - first_ >= options_.time_limit_steps * kKitchenPolicyPeriod) {
    over_ = true;
    says.act = SupervisorAct::kLabel;
    says.label = observation.success ? LabelValue::kSuccess : LabelValue::kFailure;
    return says;
  }

  if (human_is_driving) {
    if (!driving_) {
      driving_ = true;
      asking_ = false;
      ++takeovers_;
      wrong_ = options_.wrong_share > 0 && doubt_.uniform() < options_.wrong_share;
      if (wrong_) ++wrong_takeovers_;
      wander_.clear();
      drive_start_ = now;
      drive_start_progress_ = value;
      jog_.clear();
    }
    if (now - drive_start_ >= options_.minimum_drive &&
        (wrong_ || value - drive_start_progress_ >= options_.drive_progress)) {
      returning_ = true;
    }
    if (returning_) {
      says.act = SupervisorAct::kHandBack;
      return says;
    }
    if (jog_.empty() || now - jog_time_ >= kKitchenPolicyPeriod) {
      jog_ = drive(observation);
      jog_time_ = now;
    }
    says.act = SupervisorAct::kJog;
    says.jog = jog_;
    return says;
  }

  if (driving_) {  // given back, or the link was lost: look on afresh either way
    driving_ = returning_ = false;
    watch_from(now, value);
  }
  seen_.emplace_back(now, value);
  while (seen_.front().first < now - options_.stall) seen_.pop_front();
  if (value > best_ + options_.stall_progress) {
    best_ = value;
    best_time_ = now;
  }
  if (!options_.intervene) return says;
  if (!asking_) {
    if (!stalled(now)) {
      noticed_.reset();
      return says;
    }
    if (!noticed_) noticed_ = now;
    asking_ = now - *noticed_ >= options_.reaction;
  }
  if (asking_) says.act = SupervisorAct::kTakeOver;
  return says;
}

}  // namespace nudge
