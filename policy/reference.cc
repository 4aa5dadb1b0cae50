#include "policy/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nudge {

Result<AlignedReference> align_reference(const ReferenceChunk& chunk, ControlTick tick,
                                         const ReferenceFit& fit) {
  if (chunk.rows == 0 || chunk.action_size != fit.action_size ||
      chunk.actions.size() != chunk.rows * chunk.action_size) {
    return invalid_argument("a reference chunk of " + std::to_string(chunk.actions.size()) +
                            " numbers in " + std::to_string(chunk.rows) + " rows of " +
                            std::to_string(chunk.action_size) + " does not fit actions of " +
                            std::to_string(fit.action_size));
  }
  if (chunk.tick > tick) {
    return invalid_argument("a reference chunk for control tick " + std::to_string(chunk.tick) +
                            ", which is after tick " + std::to_string(tick));
  }
  if (!std::all_of(chunk.actions.begin(), chunk.actions.end(),
                   [](float v) { return std::isfinite(v); })) {
    return invalid_argument("a reference chunk with a number that is not finite");
  }
  const ControlTick age = tick - chunk.tick;
  const ControlTick passed = age / fit.ticks_per_row;  // whole rows
  const ControlTick into = age % fit.ticks_per_row;    // ticks of the row after them
  AlignedReference aligned;
  // A row that has begun counts as left only where nothing of it is missing.
  const ControlTick gone = passed + (into > 0 ? 1 : 0);
  if (gone + fit.least_rows > chunk.rows) return aligned;
  aligned.age = static_cast<std::uint32_t>(
      std::min<ControlTick>(age, std::numeric_limits<std::uint32_t>::max()));
  const auto later = static_cast<float>(into) / static_cast<float>(fit.ticks_per_row);
  aligned.actions.reserve(fit.rows * fit.action_size);
  for (std::size_t i = 0; i < fit.rows; ++i) {
    const auto row = [&](std::size_t number) {
      return chunk.actions.data() + std::min(number, chunk.rows - 1) * chunk.action_size;
    };
    const float* now = row(static_cast<std::size_t>(passed) + i);
    const float* next = row(static_cast<std::size_t>(passed) + i + 1);
    for (std::size_t c = 0; c < fit.action_size; ++c) {
      aligned.actions.push_back(into == 0 ? now[c] : (1 - later) * now[c] + later * next[c]);
    }
  }
  return aligned;
}

}  // namespace nudge
