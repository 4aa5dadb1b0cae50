// IEEE 754 binary16 ("fp16"): as segments, weights of backbones and messages of openpi hold it.
#pragma once

#include <cstdint>
#include <span>

namespace nudge {

using Half = std::uint16_t;  // the bits

// Rounds to nearest, ties to even. Magnitudes from 65520 up become infinity, tiny ones subnormal or
// zero; a NaN stays one (quiet, upper payload bits kept).
Half half_from_float(float value);
float float_from_half(Half value);

// Whole vectors, both spans of equal length; uses F16C where the processor has it (asked once, at
// run time), with equal results. Any thread.
void to_half(std::span<const float> from, std::span<Half> to);
void to_float(std::span<const Half> from, std::span<float> to);

}  // namespace nudge
