#include "src/sim/expert.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

constexpr double kStepLength = kToolSpeed * 0.1;  // m that +1 moves in a policy step
constexpr double kGain = 0.8;          // share of the way taken per step; below 1: no overshoot
constexpr double kClearance = 0.050;   // m; fingers higher than this above the block pass over it
constexpr double kAboveBlock = 0.020;  // m off to the side; nearer than this it may go down
constexpr double kAroundSide = 0.010;  // m; block is between the fingers
constexpr double kAroundHeight = 0.010;
constexpr double kLost = 0.035;          // m; it slipped away or was dropped
constexpr double kNothingInside = 0.03;  // m of opening; the block is wider
constexpr double kBlockInside = 0.062;   // m of opening; a block seen corner to corner is narrower
constexpr int kCloseSteps = 4;           // to close from fully open, and to get a firm grip
constexpr double kSwayMemory = 0.82;     // per step: 0.5 s

float rate_towards(double error, double limit) {
  return static_cast<float>(std::clamp(kGain * error / kStepLength, -limit, limit));
}

}  // namespace

Expert::Expert(const ExpertOptions& options) : options_(options), random_(options.seed) {
  begin(options.seed);
}

void Expert::begin() { begin(options_.seed); }

void Expert::begin(std::uint64_t seed) {
  random_ = Random(seed);
  sway_ = {};
  grasping_ = false;
  grasp_steps_ = 0;
  // A little variety between people and between tries, in proportion to how unsteady they are.
  const double variety = std::min(1.0, options_.unsteadiness / 0.1);
  hover_ = 0.07 + 0.015 * variety * random_.uniform(-1, 1);
  speed_ = std::clamp(options_.speed * (1 + 0.1 * variety * random_.uniform(-1, 1)), 0.05, 1.0);
}

Action Expert::act(const Observation& observation) {
  Action action(kKitchenActionSize, 0.0f);
  const auto view = view_of(observation);
  if (!view.ok()) return action;
  const Vec3& tool = view->tool;
  const Vec3& block = view->block;
  const double dx = block[0] - tool[0], dy = block[1] - tool[1], dz = block[2] - tool[2];
  const double side = std::hypot(dx, dy);
  const bool around = side < kAroundSide && std::abs(dz) < kAroundHeight;
  const bool gripped = side < 0.02 && std::abs(dz) < 0.02 && view->opening < kBlockInside &&
                       view->opening > kNothingInside;

  for (double& s : sway_) {
    s = kSwayMemory * s +
        options_.unsteadiness * std::sqrt(1 - kSwayMemory * kSwayMemory) * random_.normal();
  }

  if (!grasping_ && (gripped || (around && view->opening > kBlockInside))) {
    grasping_ = true;
    grasp_steps_ = 0;
  }
  if (grasping_ && (side > kLost || std::abs(dz) > kLost || view->opening < kNothingInside)) {
    grasping_ = false;
  }

  if (grasping_) {
    ++grasp_steps_;
    action[kMoveGripper] = -1;
    if (grasp_steps_ > kCloseSteps) {
      // The grip keeps itself; pulling the fingers together goes on while lifting starts.
      action[kMoveZ] = static_cast<float>(speed_);
    } else if (view->opening > kBlockInside) {
      action[kMoveX] = rate_towards(dx, 0.3);
      action[kMoveY] = rate_towards(dy, 0.3);
    }
    return action;
  }

  // Open first, and never push a block about with closed fingers.
  const bool open = view->opening > 0.074;
  action[kMoveGripper] = open ? 0.0f : 1.0f;
  const double above = tool[2] - block[2];
  if (side > kAboveBlock) {
    action[kMoveZ] = rate_towards(block[2] + hover_ - tool[2], speed_);
    // Not sideways while the fingers could hit the block; far away they cannot.
    const bool clear = above > kClearance || side > 0.10;
    if (clear) {
      action[kMoveX] = rate_towards(dx, speed_);
      action[kMoveY] = rate_towards(dy, speed_);
      const double far = std::min(1.0, side / 0.10);
      action[kMoveX] += static_cast<float>(far * sway_[0]);
      action[kMoveY] += static_cast<float>(far * sway_[1]);
      action[kMoveZ] += static_cast<float>(far * sway_[2]);
    }
  } else {
    action[kMoveX] = rate_towards(dx, speed_);
    action[kMoveY] = rate_towards(dy, speed_);
    // Down over the block, once the fingers are open and about centred; up while they are not.
    if (open || above > hover_) {
      const double centred = side < kAroundSide ? 1.0 : 0.4;
      action[kMoveZ] = rate_towards(dz, speed_ * centred);
    } else if (above < kClearance) {
      action[kMoveZ] = rate_towards(kClearance + 0.01 - above, speed_);
    }
  }
  for (float& a : action) a = std::clamp(a, -1.0f, 1.0f);
  return action;
}

}  // namespace nudge
