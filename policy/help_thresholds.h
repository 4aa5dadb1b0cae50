// At which signs the policy asks for help, learned from the episodes that went well without any.
//
// Split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic learning in a random world",
// 2005), as runtime monitors of generative policies use it: Xu et al., "Can we detect failures
// without failure data?", 2025; Römer et al., "Failure prediction at runtime for generative robot
// policies", 2025. Failures are not needed, which a robot seldom has many of: a sign is worse than
// usual when few successful episodes ever showed one as bad.
#pragma once

#include <limits>
#include <span>

#include "nudge/event.h"

namespace nudge {

// The defaults lie between what the simulated kitchen's base policies show when they succeed and
// when they fail (docs/reference/help.md); of a robot that we have not seen, they are a guess.
struct HelpThresholds {
  double disagreement = 0.3;                                 // above it: unsure
  double travel = 0.01;                                      // below it: does not get on; 0: never
  double seconds = std::numeric_limits<double>::infinity();  // above it: takes too long

  friend bool operator==(const HelpThresholds&, const HelpThresholds&) = default;
};

// Which signs count; a sign that does not gets a threshold that nothing passes.
struct HelpSigns {
  bool disagreement = true, travel = true, seconds = true;
};

inline constexpr HelpThresholds kNeverAsk = {std::numeric_limits<double>::infinity(), 0,
                                             std::numeric_limits<double>::infinity()};

// The lowest number of episodes from which thresholds can be made at this rate of false alarms.
std::size_t help_episodes_needed(double false_alarms);

// Thresholds that at most `false_alarms` (in (0, 1)) of further successful episodes are expected to
// pass, by any sign. `successes`: the worst signs of episodes that succeeded alone, in any order.
// All signs are given the same rank among theirs, the lowest at which no more than
// floor(false_alarms * (n + 1)) - 1 of the n episodes pass any of them; so they share the false
// alarms without knowing how they depend on each other. Where a sign is unknown it does not count.
// Fewer than help_episodes_needed(): nothing is ever asked.
HelpThresholds help_thresholds(std::span<const HelpScored> successes, double false_alarms,
                               const HelpSigns& signs = {});

// Whether an episode with these worst signs was one in which the policy asked.
bool passes(const HelpScored& scored, const HelpThresholds& thresholds);

}  // namespace nudge
