// Level 3: put the pot on the burner that the instruction names, the left or the right one as the
// robot sees them. On the other one it is not done.
#pragma once

#include "src/sim/level.h"

namespace nudge {

const KitchenLevel& burner_level();

}  // namespace nudge
