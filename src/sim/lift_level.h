// Level 1: lift the block. Its definition is task.h's.
#pragma once

#include "src/sim/level.h"

namespace nudge {

const KitchenLevel& lift_level();

}  // namespace nudge
