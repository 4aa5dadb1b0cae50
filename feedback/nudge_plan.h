// How long and how hard to bend the policy so that the robot moves as far as was said. Knows the
// ramps with which the authority starts and ends a nudge.
#pragma once

#include <span>
#include <vector>

#include "feedback/authority.h"
#include "nudge/time.h"

namespace nudge {

// As in AuthorityConfig.
struct NudgeBounds {
  double bound = 0.5;  // largest bias of a channel, normalised
  double ramp = 0.05;  // largest change of it per tick, normalised
  Duration longest = std::chrono::seconds(2);
  Duration control_period = std::chrono::milliseconds(20);

  static NudgeBounds of(const AuthorityConfig& config) {
    return {.bound = config.nudge_bound,
            .ramp = config.nudge_ramp,
            .longest = config.nudge_longest,
            .control_period = config.control_period};
  }
};

// What the authority makes of a nudge that nothing interrupts: for each channel the sum of its bias
// over the ticks times the control period, in normalised rate times seconds. Limits and what the
// policy does meanwhile are not in it.
std::vector<double> effect_of(const NudgeBias& nudge, const NudgeBounds& bounds);

// The largest such effect on one channel.
double largest_effect(const NudgeBounds& bounds);

// A nudge with this effect on each channel (finite): gentle first, longer before harder. One that
// is out of reach is shrunk as a whole, so that it keeps its direction.
NudgeBias plan_nudge(std::vector<double> effect, const NudgeBounds& bounds);

}  // namespace nudge
