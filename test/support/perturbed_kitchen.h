// States of the kitchen that a failing policy may leave behind: objects thrown about and dropped on
// each other, the drawer anywhere, a task given up half done, the arm in odd places with the
// gripper half closed on something.
#pragma once

#include <cstdint>

#include "nudge/random.h"
#include "src/sim/demonstrator.h"
#include "src/sim/expert.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {

// Equal seeds, equal states.
inline Status perturb(KitchenRobot& robot, std::uint64_t seed) {
  Random random(Random::derive(seed, 77));
  const KitchenLevel& level = robot.level();
  NUDGE_TRY(robot.reset(seed));
  const bool scattered = random.uniform(0, 1) < 0.4;
  const bool begun = random.uniform(0, 1) < 0.8;
  if (scattered) {
    for (std::size_t i = 0; i < level.data().objects.size(); ++i) {
      const Vec3 at = {random.uniform(0.31, 0.59), random.uniform(-0.27, 0.27),
                       random.uniform(0.03, 0.12)};
      robot.place_object(i, at, random.uniform(-3.1, 3.1));
    }
    robot.set_drawer(random.uniform(0, 0.14));
    for (int tick = 0; tick < 30; ++tick) NUDGE_TRY(robot.advance());
  }
  if (begun) {
    Expert expert({.unsteadiness = 0.1, .seed = seed}, level);
    const int steps = static_cast<int>(random.uniform(0, 80));
    for (int step = 0; step < steps; ++step) {
      const auto observation = robot.observe();
      if (!observation.ok()) return observation.status();
      NUDGE_TRY(hold_for_policy_step(robot, expert.act(*observation)));
    }
  }
  Action action(kKitchenActionSize);
  for (int step = 0; step < 30; ++step) {
    if (step % 5 == 0) {
      for (float& a : action) a = static_cast<float>(random.uniform(-1, 1));
      if (step < 20) action[kMoveZ] = static_cast<float>(random.uniform(-1, -0.2));
    }
    NUDGE_TRY(hold_for_policy_step(robot, action));
  }
  return {};
}

// Whether the expert does the level's task from the state that the robot is in.
inline Result<bool> expert_finishes(KitchenRobot& robot, Expert& expert) {
  for (std::uint32_t step = 0; step < robot.level().data().episode_steps; ++step) {
    const auto observation = robot.observe();
    if (!observation.ok()) return observation.status();
    if (observation->success) return true;
    NUDGE_TRY(hold_for_policy_step(robot, expert.act(*observation)));
  }
  const auto last = robot.observe();
  if (!last.ok()) return last.status();
  return last->success;
}

}  // namespace nudge
