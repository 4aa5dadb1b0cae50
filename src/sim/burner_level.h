// Level 3: put the pot on the burner that the instruction names, the left or the right one as the
// robot sees them. On the other one it is not done.
#pragma once

#include "src/sim/level.h"

namespace nudge {

// Where the pot rests in the end, in the base frame: of task 0 on the left, of task 1 on the right.
Vec3 burner_goal(std::size_t task);

const KitchenLevel& burner_level();

}  // namespace nudge
