#include "policy/help_thresholds.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace nudge {
namespace {

// The values of one sign that are known, the worst one first.
template <typename Worse>
std::vector<double> ranked(std::span<const HelpScored> scored, double HelpScored::*sign,
                           bool counts, Worse worse) {
  std::vector<double> values;
  if (!counts) return values;
  for (const HelpScored& episode : scored) {
    if (episode.*sign >= 0) values.push_back(episode.*sign);
  }
  std::sort(values.begin(), values.end(), worse);
  return values;
}

// Of fewer episodes than the others, a sign keeps its best known value beyond its last rank.
double at_rank(const std::vector<double>& values, std::size_t rank, double never) {
  if (values.empty()) return never;
  return values[std::min(rank, values.size() - 1)];
}

}  // namespace

std::size_t help_episodes_needed(double false_alarms) {
  return static_cast<std::size_t>(std::ceil(1 / false_alarms - 1e-9)) - 1;
}

bool passes(const HelpScored& scored, const HelpThresholds& thresholds) {
  return scored.disagreement > thresholds.disagreement ||
         (scored.travel >= 0 && scored.travel < thresholds.travel) ||
         scored.seconds > thresholds.seconds;
}

HelpThresholds help_thresholds(std::span<const HelpScored> successes, double false_alarms,
                               const HelpSigns& signs) {
  const std::size_t n = successes.size();
  if (n == 0 || n < help_episodes_needed(false_alarms)) return kNeverAsk;
  const auto most =
      static_cast<std::size_t>(std::floor(false_alarms * static_cast<double>(n + 1) + 1e-9)) - 1;
  const auto greater = [](double a, double b) { return a > b; };
  const auto less = [](double a, double b) { return a < b; };
  const std::vector<double> disagreement =
      ranked(successes, &HelpScored::disagreement, signs.disagreement, greater);
  const std::vector<double> travel = ranked(successes, &HelpScored::travel, signs.travel, less);
  const std::vector<double> seconds =
      ranked(successes, &HelpScored::seconds, signs.seconds, greater);
  HelpThresholds best = kNeverAsk;
  for (std::size_t rank = 0; rank < n; ++rank) {
    const HelpThresholds at = {at_rank(disagreement, rank, kNeverAsk.disagreement),
                               at_rank(travel, rank, kNeverAsk.travel),
                               at_rank(seconds, rank, kNeverAsk.seconds)};
    const auto passed = static_cast<std::size_t>(
        std::count_if(successes.begin(), successes.end(),
                      [&](const HelpScored& episode) { return passes(episode, at); }));
    if (passed > most) break;
    best = at;
  }
  return best;
}

}  // namespace nudge
