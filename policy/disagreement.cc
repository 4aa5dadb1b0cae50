#include "policy/disagreement.h"

#include <cmath>

namespace nudge {

double disagreement(std::span<const float> chunks, std::size_t samples, std::size_t horizon,
                    std::size_t rows, std::span<const float> scale) {
  const std::size_t channels = scale.size();
  const std::size_t chunk = horizon * channels;
  const auto n = static_cast<double>(samples);
  double sum = 0;
  for (std::size_t i = 0; i < rows * channels; ++i) {
    double mean = 0;
    for (std::size_t k = 0; k < samples; ++k) mean += chunks[k * chunk + i];
    mean /= n;
    double squares = 0;
    for (std::size_t k = 0; k < samples; ++k) {
      const double off = (chunks[k * chunk + i] - mean) / scale[i % channels];
      squares += off * off;
    }
    sum += squares / (n - 1);
  }
  return std::sqrt(sum / static_cast<double>(rows * channels));
}

}  // namespace nudge
