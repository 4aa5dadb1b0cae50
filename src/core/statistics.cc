#include "src/core/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace nudge {

double normal_quantile(double p) {
  if (!(p > 0) || !(p < 1)) return std::numeric_limits<double>::quiet_NaN();
  // The lower tail only: there erfc keeps its relative precision, and by symmetry it is enough.
  if (p > 0.5) return -normal_quantile(1 - p);
  // Starts left of the root, where the distribution is convex: Newton then never overshoots.
  double x = -std::sqrt(-2 * std::log(p));
  for (int i = 0; i < 100; ++i) {
    const double below = 0.5 * std::erfc(-x / std::numbers::sqrt2);
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
    const double step = (below - p) / density;
    x -= step;
    if (std::abs(step) < 1e-13 * std::max(1.0, std::abs(x))) break;
  }
  return x;
}

Interval wilson_interval(std::uint64_t successes, std::uint64_t total, double confidence) {
  if (total == 0) return {0, 1};
  const double n = static_cast<double>(total);
  const double p = static_cast<double>(successes) / n;
  const double z = normal_quantile(0.5 + confidence / 2);
  const double z2 = z * z;
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = z / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // At the ends the bound is exact, and rounding must not move it.
  return {successes == 0 ? 0 : std::max(0.0, middle - half),
          successes == total ? 1 : std::min(1.0, middle + half)};
}

double mcnemar_one_sided(std::uint64_t only_before, std::uint64_t only_after) {
  const std::uint64_t n = only_before + only_after;
  // Sum of the binomial's upper tail, its terms in logarithms so that large counts do not overflow.
  double tail = 0;
  for (std::uint64_t k = only_after; k <= n; ++k) {
    const double a = static_cast<double>(n), b = static_cast<double>(k);
    tail += std::exp(std::lgamma(a + 1) - std::lgamma(b + 1) - std::lgamma(a - b + 1) -
                     a * std::numbers::ln2);
  }
  return std::min(1.0, tail);
}

double percentile(std::vector<double> values, double q) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const double place = std::clamp(q, 0.0, 1.0) * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
}

double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

}  // namespace nudge
