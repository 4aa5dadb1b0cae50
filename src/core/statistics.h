// The few statistics that reports need. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace nudge {

struct Interval {
  double low = 0;
  double high = 0;
};

// Interval for a success probability (Wilson 1927, score interval without continuity correction).
// confidence in (0, 1), two-sided; total == 0 gives [0, 1].
Interval wilson_interval(std::uint64_t successes, std::uint64_t total, double confidence = 0.95);

// Exact one-sided McNemar test on paired starts: how likely is it that at least `only_after` of the
// pairs that disagree favour "after" if neither is better? `only_before`: starts solved before and
// not after. Binomial with p = 1/2 (McNemar 1947). 1 when no pair disagrees.
double mcnemar_one_sided(std::uint64_t only_before, std::uint64_t only_after);

// q in [0, 1]; linear between order statistics (Hyndman and Fan 1996, type 7). NaN when empty.
double percentile(std::vector<double> values, double q);
double median(std::vector<double> values);

// Quantile of the standard normal, p in (0, 1) (inverted from erfc by Newton's method to 1e-12).
double normal_quantile(double p);

}  // namespace nudge
