#include "src/sim/pick_and_place.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

constexpr double kOpen = 0.072;         // m of opening; no object is as wide
constexpr double kElsewhere = 0.06;     // m from the tool
constexpr double kTouchesDown = 0.005;  // m above the goal
constexpr double kNear = 0.03;          // m; nearer, closing on it is progress
constexpr double kSinks = 0.001;        // m per step; less: it stands on something
constexpr int kMostLowering = 20;       // steps; then something is under it
constexpr double kHaste = 0.08;         // m off to the side; a hasty hand lets go from there

double distance(const Vec3& a, const Vec3& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

}  // namespace

bool released(const KitchenState& state, const Vec3& object) {
  return state.opening > kOpen || distance(state.tool, object) > kElsewhere;
}

Action withdraw(const HandStyle& style) {
  Action action(kKitchenActionSize, 0.0f);
  action[kMoveZ] = static_cast<float>(0.5 * style.speed);
  action[kMoveGripper] = 1;
  return action;
}

void PickAndPlace::begin() {
  grasp_.begin();
  letting_go_ = false;
  lowering_ = 0;
}

Action PickAndPlace::act(const KitchenState& state, const Vec3& object, const GraspShape& shape,
                         const Placing& placing, const HandStyle& style) {
  if (letting_go_ && released(state, object)) begin();
  const double dx = placing.goal[0] - object[0], dy = placing.goal[1] - object[1];
  const double side = std::hypot(dx, dy);
  const double down = placing.goal[2] - object[2];
  if (side < placing.enough && std::abs(down) < kTouchesDown) letting_go_ = true;
  Action action(kKitchenActionSize, 0.0f);
  if (letting_go_) {
    action[kMoveGripper] = 1;
    return action;
  }
  // Also tells whether it is still in the grip.
  const Action grasping = grasp_.act(state, object, shape, style);
  if (!grasp_.firm()) {
    lowering_ = 0;
    return grasping;
  }
  if (style.hasty && side < kHaste) {
    letting_go_ = true;
    action[kMoveGripper] = 1;
    return action;
  }
  action[kMoveGripper] = -1;
  if (side > placing.near && lowering_ == 0) {
    action[kMoveZ] = rate_towards(placing.carry - object[2], style.speed);
    // Sideways when it is high enough, and a little before.
    const double low = placing.carry - 0.02 - object[2];
    const double share = std::clamp(1 - low / 0.01, 0.0, 1.0);
    action[kMoveX] = rate_towards(dx, share * style.speed);
    action[kMoveY] = rate_towards(dy, share * style.speed);
    const double far = share * std::min(1.0, side / 0.10);
    for (int i = 0; i < 3; ++i) action[i] += static_cast<float>(far * style.sway[i]);
  } else {
    action[kMoveX] = rate_towards(dx, 0.4 * style.speed);
    action[kMoveY] = rate_towards(dy, 0.4 * style.speed);
    action[kMoveZ] = rate_towards(down - 0.003, 0.7 * style.speed);
    const bool stands = lowering_ > 4 && height_ - object[2] < kSinks;
    height_ = object[2];
    if (side <= placing.near) ++lowering_;
    if (-down < kTouchesDown || stands || lowering_ > kMostLowering) letting_go_ = true;
  }
  for (float& a : action) a = std::clamp(a, -1.0f, 1.0f);
  return action;
}

double place_progress(const KitchenState& state, const Vec3& object, double rest,
                      const Placing& placing, bool there) {
  if (there) return kPlaced + 0.5 * state.opening;
  const double closed = std::clamp(kGripperOpen - state.opening, 0.0, kGripperOpen);
  const double away = distance(state.tool, object);
  const double side = std::hypot(object[0] - placing.goal[0], object[1] - placing.goal[1]);
  if (away > kNear) return -away - 0.5 * closed - side;
  const double lift = placing.carry - rest;
  // Lifting counts until it is over the place; from there on lowering does.
  const double height =
      side > kNear ? std::clamp(object[2] - rest, 0.0, lift)
                   : lift + 0.3 * (lift - std::clamp(object[2] - placing.goal[2], 0.0, lift));
  return -away + 0.5 * std::min(closed, 0.5 * kGripperOpen) + std::min(height, 0.15) - side;
}

}  // namespace nudge
