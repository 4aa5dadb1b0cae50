// How unsure a policy is of a chunk: how far several samples of it, drawn from different noise for
// one observation, lie apart. A flow head that has seen what to do here maps all noise to about one
// chunk; where it has not, or where it hesitates between two ways, the samples scatter. The spread
// of samples as a sign of failure: Agia et al., "Unpacking failure modes of generative policies",
// 2024; Römer et al., "Failure prediction at runtime for generative robot policies", 2025 (there as
// an entropy, of which this is the Gaussian, per-channel form).
#pragma once

#include <cstddef>
#include <span>

namespace nudge {

// Root mean square, over the first `rows` rows and all channels, of the standard deviation between
// samples, in units of `scale` (the action normaliser's: the deviation of the trained actions). 0:
// all agree; about 1: as wide as all that was ever done. `chunks` is [samples, horizon,
// action_size], samples >= 2, 1 <= rows <= horizon, `scale` [action_size], positive. A number that
// is not finite gives one that is not.
double disagreement(std::span<const float> chunks, std::size_t samples, std::size_t horizon,
                    std::size_t rows, std::span<const float> scale);

}  // namespace nudge
