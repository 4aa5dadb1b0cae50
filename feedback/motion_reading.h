// What a sentence asks a robot to do, once it is known to be about motion and not about stopping.
#pragma once

#include "feedback/language.h"
#include "feedback/vocabulary.h"

namespace nudge {

// `items`: no Word::kUnknown among them, and read_sentence() has seen that they ask for no stop.
// Pure.
Meaning read_motion(const Items& items);

}  // namespace nudge
