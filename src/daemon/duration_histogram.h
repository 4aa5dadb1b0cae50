// How long something took, many times over, in fixed space: for the step thread, which may neither
// allocate nor forget the worst.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "nudge/time.h"

namespace nudge {

// Six buckets to the decade, from 1 us to 1 s: a quantile is told to within half of itself, the
// worst exactly. Not thread-safe.
class DurationHistogram {
 public:
  // Upper bounds, included, as Prometheus counts; ns.
  static constexpr std::array<std::int64_t, 37> kBounds = [] {
    constexpr std::array<std::int64_t, 6> kSteps = {1'000, 1'500, 2'000, 3'000, 5'000, 7'000};
    std::array<std::int64_t, 37> bounds{};
    std::int64_t decade = 1;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      bounds[i] = kSteps[i % kSteps.size()] * decade;
      if (i % kSteps.size() == kSteps.size() - 1) decade *= 10;
    }
    return bounds;
  }();
  static constexpr std::size_t kBuckets = kBounds.size() + 1;  // the last one has no bound

  void add(Duration duration) {
    const std::int64_t ns = duration.count();
    const auto* bound = std::lower_bound(kBounds.begin(), kBounds.end(), ns);
    ++counts_[static_cast<std::size_t>(bound - kBounds.begin())];
    ++count_;
    sum_ += duration;
    worst_ = std::max(worst_, duration);
  }

  const std::array<std::uint64_t, kBuckets>& counts() const { return counts_; }
  std::uint64_t count() const { return count_; }
  Duration sum() const { return sum_; }
  Duration worst() const { return worst_; }  // zero when there is none

  // At least the share `q` (0..1) took no longer than this: the bound of the bucket, so never too
  // good. Zero when there is none.
  Duration quantile(double q) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBounds.size(); ++i) {
      seen += counts_[i];
      if (seen >= wanted) return std::min(worst_, Duration(kBounds[i]));
    }
    return worst_;
  }

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  Duration sum_{};
  Duration worst_{};
};

}  // namespace nudge
