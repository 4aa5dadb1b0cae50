#include "src/sim/demonstrator.h"

#include "nudge/random.h"

namespace nudge {

Status hold_for_policy_step(KitchenRobot& robot, const Action& action) {
  constexpr int kTicks = static_cast<int>(kKitchenPolicyPeriod / kKitchenControlPeriod);
  for (int tick = 0; tick < kTicks; ++tick) {
    NUDGE_TRY(robot.apply(action, robot.now() + kKitchenControlPeriod));
  }
  return {};
}

Result<bool> demonstrate(KitchenRobot& robot, std::uint64_t seed,
                         const DemonstratorOptions& options, const OnDemonstration& on_step) {
  const KitchenLevel& level = robot.level();
  NUDGE_TRY(robot.reset_in(seed, options.region.value_or(level.data().demonstrated)));
  Expert hand(options.hand, level);
  hand.begin(Random::derive(options.hand.seed, seed));
  for (std::uint32_t step = 0; step < level.data().episode_steps; ++step) {
    const auto observation = robot.observe();
    if (!observation.ok()) return observation.status();
    if (observation->success) return true;
    const Action action = hand.act(*observation);
    NUDGE_TRY(on_step(*observation, action));
    NUDGE_TRY(hold_for_policy_step(robot, action));
  }
  const auto last = robot.observe();
  if (!last.ok()) return last.status();
  return last->success;
}

}  // namespace nudge
