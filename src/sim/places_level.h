// Level 4, six tasks made of three objects and two places: put the mug, the sponge or the can in
// the sink or on the tray. Made to see whether what is learned of some pairs helps others.
#pragma once

#include "src/sim/level.h"

namespace nudge {

// What a task is about: a number in LevelData::objects, and the middle of the place, in the base
// frame.
std::size_t placed_thing(std::size_t task);
Vec3 place_goal(std::size_t task);

const KitchenLevel& places_level();

}  // namespace nudge
