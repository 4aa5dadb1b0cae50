// What people call the kitchen's tasks: for teaching eyes and ears. English alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nudge {

// A few: the instruction itself, and the same with other verbs.
std::vector<std::string> task_phrases(const std::string& instruction);

// Many: `count` different ways to ask for the same, in other words, other order and other tones.
// Equal seeds give equal ones. Empty for what is no instruction of the kitchen.
std::vector<std::string> ways_to_say(const std::string& instruction, std::size_t count,
                                     std::uint64_t seed);

}  // namespace nudge
