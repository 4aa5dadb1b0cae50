#include "src/sim/planner.h"

#include <algorithm>
#include <cmath>

#include "src/sim/task.h"

namespace nudge {
namespace {

constexpr std::uint64_t kTicksPerStep = kKitchenPolicyPeriod / kKitchenControlPeriod;
constexpr double kStepSeconds = 0.1;
constexpr double kBlockWidth = 2 * kBlockRestHeight;
constexpr double kBetweenFingers = 0.02;  // m from the tool point

// The observation one policy step later, if the tool does as it is told.
void foresee(Observation& observation, const Action& action) {
  std::vector<float>& tool = observation.proprioception;
  std::vector<float>& objects = observation.object_state;
  double off = 0;  // of the block from the tool
  for (const std::size_t i : {kBlockFromToolX, kBlockFromToolY, kBlockFromToolZ}) {
    off = std::max(off, std::abs(static_cast<double>(objects[i])));
  }
  const bool between = off < kBetweenFingers;
  const double narrowest = between ? kBlockWidth : 0;
  const double opening =
      std::clamp(tool[kGripperOpening] + action[kMoveGripper] * kGripperSpeed * kStepSeconds,
                 narrowest, kGripperOpen);
  const bool held = between && opening <= kBlockWidth + 1e-6;
  tool[kGripperOpening] = static_cast<float>(opening);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double from = tool[kToolX + axis];
    const double to =
        std::clamp(from + action[kMoveX + axis] * kToolSpeed * kStepSeconds,
                   std::min(from, kWorkspaceLower[axis]), std::max(from, kWorkspaceUpper[axis]));
    tool[kToolX + axis] = static_cast<float>(to);
    if (held) objects[kBlockX + axis] += static_cast<float>(to - from);
    objects[kBlockFromToolX + axis] = objects[kBlockX + axis] - tool[kToolX + axis];
  }
}

}  // namespace

KitchenPlanner::KitchenPlanner(const PlannerOptions& options) : options_(options) {}

void KitchenPlanner::begin_episode() {
  expert_.begin();
  expert_tick_ = 0;
}

std::vector<float> KitchenPlanner::plan(const Observation& observation, std::uint64_t tick) {
  std::vector<float> actions;
  actions.reserve(options_.rows * kKitchenActionSize);
  if (!view_of(observation).ok()) {
    actions.assign(options_.rows * kKitchenActionSize, 0.0f);
    return actions;
  }
  Observation seen;
  seen.time = observation.time;
  seen.proprioception = observation.proprioception;
  seen.object_state = observation.object_state;
  seen.object_state[kBlockY] += static_cast<float>(options_.error);
  seen.object_state[kBlockFromToolY] += static_cast<float>(options_.error);
  // The expert counts policy steps, and may be asked at any tick.
  Expert ahead = expert_;
  for (std::size_t i = 0; i < options_.rows; ++i) {
    const Action action = ahead.act(seen);
    if (i == 0 && (expert_tick_ == 0 || tick >= expert_tick_ + kTicksPerStep)) {
      expert_ = ahead;
      expert_tick_ = tick;
    }
    actions.insert(actions.end(), action.begin(), action.end());
    foresee(seen, action);
  }
  return actions;
}

}  // namespace nudge
