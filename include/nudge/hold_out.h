// Which corrected episodes are never trained on. One rule, shared by the dataset, which keeps them
// apart, and by the planner of learning rounds, for which they are nothing new.
#pragma once

#include <cstdint>

namespace nudge {

// Every fifth: enough for the gate to judge on after 25 corrected episodes (it asks for five),
// while four fifths of the corrections teach.
inline constexpr std::uint64_t kHoldOutEvery = 5;

// `corrected_episode`: number of the episode among those with corrections, counted from 1 over the
// life of the log. An episode counts from the closing of its first takeover span that is complete
// and not empty, so that its number never changes once it is given.
constexpr bool is_held_out(std::uint64_t corrected_episode) {
  return corrected_episode > 0 && corrected_episode % kHoldOutEvery == 0;
}

}  // namespace nudge
