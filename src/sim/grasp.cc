#include "src/sim/grasp.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

constexpr double kAroundHeight = 0.010;  // m
constexpr double kLost = 0.035;          // m; it slipped away or was dropped
constexpr int kCloseSteps = 4;           // to close from fully open, and to get a firm grip
constexpr double kFingerBelowTool = 0.0105;
constexpr double kFarAway = 0.10;  // m off to the side; fingers that go down there hit nothing

}  // namespace

GraspShape grasp_shape(const KitchenObject& object, double obstacles) {
  // It may lie on any of its sides.
  Vec3 half = object.half;
  std::sort(half.begin(), half.end());
  const double widest = 2 * std::hypot(half[1], half[2]);
  const double narrowest = 2 * half[0];
  GraspShape shape;
  shape.clearance = half[2] + kFingerBelowTool + 0.015;
  shape.above = 0.015;
  shape.around = std::min(0.010, 0.5 * (kGripperOpen - widest));
  shape.off_centre = 0;
  shape.inside = std::min(widest + 0.003, kGripperOpen - 0.004);
  shape.nothing = narrowest - 0.010;
  shape.cruise = obstacles == 0 ? 0 : obstacles + kFingerBelowTool + 0.010;
  return shape;
}

float rate_towards(double error, double limit) {
  return static_cast<float>(std::clamp(kReachGain * error / kReachStep, -limit, limit));
}

bool gripped(const KitchenState& state, const Vec3& object, const GraspShape& shape) {
  const double side = std::hypot(object[0] - state.tool[0], object[1] - state.tool[1]);
  return side < 0.02 && std::abs(object[2] - state.tool[2]) < 0.02 &&
         state.opening < shape.inside && state.opening > shape.nothing;
}

void Grasp::begin() {
  grasping_ = false;
  steps_ = 0;
}

bool Grasp::firm() const { return grasping_ && steps_ > kCloseSteps; }

Action Grasp::act(const KitchenState& state, const Vec3& object, const GraspShape& shape,
                  const HandStyle& style) {
  Action action(kKitchenActionSize, 0.0f);
  const Vec3& tool = state.tool;
  const double dx = object[0] - tool[0], dy = object[1] - tool[1], dz = object[2] - tool[2];
  const double side = std::hypot(dx, dy);
  const bool around = side < shape.around && std::abs(dz) < kAroundHeight;
  if (!grasping_ && gripped(state, object, shape)) {
    // Who takes over with the object in the grip goes on, and does not stand still as if closing.
    grasping_ = true;
    steps_ = kCloseSteps - 1;
  } else if (!grasping_ && around && state.opening > shape.inside) {
    grasping_ = true;
    steps_ = 0;
  }
  if (grasping_ && (side > kLost || std::abs(dz) > kLost || state.opening < shape.nothing)) {
    grasping_ = false;
  }

  if (grasping_) {
    ++steps_;
    action[kMoveGripper] = -1;
    if (steps_ > kCloseSteps) {
      // The grip keeps itself; pulling the fingers together goes on while lifting starts.
      action[kMoveZ] = static_cast<float>(style.speed);
    } else if (state.opening > shape.inside) {
      action[kMoveX] = rate_towards(dx, 0.3);
      action[kMoveY] = rate_towards(dy, 0.3);
    }
    return action;
  }

  // Open first, and never push an object about with closed fingers.
  const bool open = state.opening > 0.074;
  action[kMoveGripper] = open ? 0.0f : 1.0f;
  const double above = tool[2] - object[2];
  const double over = std::max(object[2] + style.hover, shape.cruise + 0.01);
  if (side > shape.above) {
    action[kMoveZ] = rate_towards(over - tool[2], style.speed);
    // Not sideways while the fingers could hit something; far from the object they cannot hit it.
    const bool clear = (above > shape.clearance || side > kFarAway) && tool[2] > shape.cruise;
    if (clear) {
      action[kMoveX] = rate_towards(dx, style.speed);
      action[kMoveY] = rate_towards(dy, style.speed);
      const double far = std::min(1.0, side / 0.10);
      action[kMoveX] += static_cast<float>(far * style.sway[0]);
      action[kMoveY] += static_cast<float>(far * style.sway[1]);
      action[kMoveZ] += static_cast<float>(far * style.sway[2]);
    }
  } else {
    action[kMoveX] = rate_towards(dx, style.speed);
    action[kMoveY] = rate_towards(dy, style.speed);
    // Down over the object, once the fingers are open and about centred; up while they are not.
    if (open || above > style.hover) {
      const double centred = side < shape.around ? 1.0 : shape.off_centre;
      action[kMoveZ] = rate_towards(dz, style.speed * centred);
    } else if (above < shape.clearance) {
      action[kMoveZ] = rate_towards(shape.clearance + 0.01 - above, style.speed);
    }
  }
  for (float& a : action) a = std::clamp(a, -1.0f, 1.0f);
  return action;
}

}  // namespace nudge
