// Level 2: put the bowl in the drawer and close it.
#pragma once

#include "src/sim/level.h"

namespace nudge {

inline constexpr double kDrawerTravel = 0.14;  // m
// Where its handle is when it is open by so many m.
Vec3 drawer_handle(double open);

const KitchenLevel& drawer_level();

}  // namespace nudge
