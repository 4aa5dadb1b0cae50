// The eyes of the simulated kitchen, as the project ships them: src/loop/kitchen_eyes.safetensors,
// compiled in. docs/reference/backbone-format.md says what they were taught with, and the command
// that makes them again.
#pragma once

#include <cstddef>
#include <span>

namespace nudge {

// A file of policy/vision_spec.h.
std::span<const std::byte> kitchen_eyes();

}  // namespace nudge
