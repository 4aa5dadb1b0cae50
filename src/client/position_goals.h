// Positions for a robot that takes positions, from the rates by which the daemon commands it.
//
// The goal of each absolute channel begins where the robot is, moves at the commanded rate, stays
// within the bounds of the measured channel, and leads the robot by no more than a quarter of a
// second at full rate: an arm that is blocked is not pushed further and further.
//
// Not thread-safe. Reads no clock: an action lasts one control period.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "nudge/types.h"

namespace nudge {

class PositionGoals {
 public:
  // `spec` is valid: each absolute channel is measured.
  explicit PositionGoals(const RobotSpec& spec);

  // The robot was held, or reset: the next goals begin where it is then.
  void forget();
  // Puts positions in place of the rates of absolute channels. `measured`: proprioception.
  void command(Action& action, std::span<const float> measured);

 private:
  struct Goal {
    std::size_t channel = 0;          // of the action
    std::size_t measured = 0;         // of proprioception
    double slowest = 0, fastest = 0;  // unit/s, at -1 and +1
    double lower = 0, upper = 0;
    std::optional<double> at;
  };
  std::vector<Goal> goals_;
  double period_ = 0;  // s
};

}  // namespace nudge
