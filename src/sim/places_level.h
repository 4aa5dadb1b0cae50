// Level 4, six tasks made of three objects and two places: put the mug, the sponge or the can in
// the sink or on the tray. Made to see whether what is learned of some pairs helps others.
#pragma once

#include "src/sim/level.h"

namespace nudge {

const KitchenLevel& places_level();

}  // namespace nudge
