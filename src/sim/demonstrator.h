// Demonstrations for a first policy, on purpose from a part of the region only: what such a policy
// cannot do yet is what corrections are for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "nudge/status.h"
#include "src/sim/expert.h"
#include "src/sim/kitchen_robot.h"
#include "src/sim/task.h"

namespace nudge {

struct DemonstratorOptions {
  // Where objects lie; none: the part that the level says (LevelData::demonstrated).
  std::optional<StartRegion> region = {};
  ExpertOptions hand = {.speed = 0.9, .unsteadiness = 0.1, .seed = 0};
};

// One demonstrated policy step: what was seen, and the action that was then held for the step.
using OnDemonstration = std::function<Status(const Observation&, const Action&)>;

// Resets the robot with the objects in the region and lets the expert do the task; equal seeds give
// equal demonstrations. `on_step` is called before each step is carried out; an error from it ends
// the demonstration and is returned. True: success within the limit of steps; a failed
// demonstration is not to be copied as it is. Step thread.
Result<bool> demonstrate(KitchenRobot& robot, std::uint64_t seed,
                         const DemonstratorOptions& options, const OnDemonstration& on_step);

// `action` for one policy step: five control ticks. Step thread. Errors are those of apply().
Status hold_for_policy_step(KitchenRobot& robot, const Action& action);

}  // namespace nudge
