// A pick task without physics, to prove a learning recipe in seconds: a tool that moves by bounded
// steps, a gripper, a block. It stands for nothing but itself: no contact, no dynamics.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "nudge/random.h"

namespace nudge::kinematic {

using Vec = std::array<double, 3>;  // metres, base frame

inline constexpr int kSteps = 100;           // of an episode, at 10 Hz
inline constexpr double kReach = 0.025;      // metres a step at full rate
inline constexpr double kGripRate = 0.25;    // of the opening, a step
inline constexpr double kTolerance = 0.015;  // metres, tool to block, for a grasp
inline constexpr double kBlockHeight = 0.02;
inline constexpr double kLift = 0.10;      // metres above the table: success
inline constexpr std::size_t kAction = 4;  // x, y, z, gripper (+1 opens); rates in [-1, 1]
inline constexpr std::size_t kProprioception = 4;
inline constexpr std::size_t kFeatures = 3;

struct Region {
  double x_low = 0.3, x_high = 0.5, y_low = -0.15, y_high = 0.15;
};

class Pick {
 public:
  Pick(std::uint64_t seed, const Region& region) : random_(seed) {
    block_ = {random_.uniform(region.x_low, region.x_high),
              random_.uniform(region.y_low, region.y_high), kBlockHeight};
    tool_ = {0.4 + random_.uniform(-0.03, 0.03), random_.uniform(-0.03, 0.03),
             0.2 + random_.uniform(-0.03, 0.03)};
  }

  void apply(const float* action) {
    for (std::size_t i = 0; i < 3; ++i) {
      tool_[i] +=
          kReach * std::clamp(static_cast<double>(action[i]), -1.0, 1.0) + 0.001 * random_.normal();
    }
    tool_[2] = std::max(tool_[2], 0.005);
    const double before = opening_;
    opening_ =
        std::clamp(opening_ + kGripRate * std::clamp<double>(action[3], -1.0, 1.0), 0.0, 1.0);
    if (opening_ > 0.5) holding_ = false;
    // Closing fingers grasp what they meet on the way, until they are shut.
    if (opening_ < before && opening_ <= 0.5 && distance() < kTolerance) holding_ = true;
    if (holding_) {
      block_ = tool_;
    } else {
      block_[2] = kBlockHeight;
    }
    ++step_;
  }

  bool success() const { return holding_ && block_[2] > kBlockHeight + kLift; }
  bool over() const { return success() || step_ >= kSteps; }
  int step() const { return step_; }
  double distance() const {
    return std::hypot(tool_[0] - block_[0], tool_[1] - block_[1], tool_[2] - block_[2]);
  }
  // Falls as the task gets on; metres.
  double potential() const {
    return holding_ ? kLift + kBlockHeight - block_[2] : 0.2 + distance();
  }

  void observe(float* features, float* proprioception) const {
    for (std::size_t i = 0; i < 3; ++i) {
      features[i] = static_cast<float>(block_[i]);
      proprioception[i] = static_cast<float>(tool_[i]);
    }
    proprioception[3] = static_cast<float>(opening_);
  }

  // What a competent person would do now.
  std::array<float, kAction> expert() const {
    Vec goal = block_;
    double grip = 1;
    const double aside = std::hypot(tool_[0] - block_[0], tool_[1] - block_[1]);
    if (holding_) {
      // Lift only once the fingers are shut.
      goal = {tool_[0], tool_[1], opening_ > 0.25 ? tool_[2] : 0.3};
      grip = -1;
    } else if (opening_ <= 0.5) {
      goal = {tool_[0], tool_[1], std::max(tool_[2], 0.06)};  // open before trying again
    } else if (aside > 0.01) {
      goal[2] = block_[2] + std::clamp(2 * (aside - 0.01), 0.02, 0.1);
    } else if (distance() < 0.008) {
      goal = tool_;
      grip = -1;
    }
    std::array<float, kAction> action{};
    for (std::size_t i = 0; i < 3; ++i) {
      action[i] = static_cast<float>(std::clamp((goal[i] - tool_[i]) / kReach, -1.0, 1.0));
    }
    action[3] = static_cast<float>(grip);
    return action;
  }

 private:
  Random random_;
  Vec tool_{}, block_{};
  double opening_ = 1;
  bool holding_ = false;
  int step_ = 0;
};

}  // namespace nudge::kinematic
