#include "src/loop/value_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace nudge {
namespace {

constexpr std::size_t kBins = 10;  // of the calibration
constexpr std::size_t kBars = 24;  // of the histogram of advantages

// A step's value and what followed.
struct Pair {
  double value = 0, outcome = 0;
  std::size_t episode = 0;
};

std::vector<CalibrationBin> calibration(std::vector<Pair> pairs) {
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.value < b.value; });
  std::vector<CalibrationBin> bins;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    const std::size_t from = bin * pairs.size() / kBins, to = (bin + 1) * pairs.size() / kBins;
    if (from == to) continue;
    const auto count = static_cast<double>(to - from);
    CalibrationBin of;
    of.steps = to - from;
    for (std::size_t i = from; i < to; ++i) {
      of.value += pairs[i].value / count;
      of.outcome += pairs[i].outcome / count;
    }
    std::map<std::size_t, double> residual;  // by episode: its steps are not independent
    for (std::size_t i = from; i < to; ++i) {
      residual[pairs[i].episode] += pairs[i].outcome - of.outcome;
    }
    double squares = 0;
    for (const auto& [episode, total] : residual) squares += total * total;
    const double half = normal_quantile(0.975) * std::sqrt(squares) / count;
    of.interval = {std::max(-1.0, of.outcome - half), std::min(0.0, of.outcome + half)};
    bins.push_back(of);
  }
  return bins;
}

std::vector<ValueReport::Bar> histogram(const Returns& returns, const Judgement& judgement) {
  // Tokens are of the steps that are judged, in order.
  std::vector<double> advantages;
  for (std::size_t e = 0; e < judgement.advantages.size(); ++e) {
    for (std::size_t t = 0; t < judgement.advantages[e].size(); ++t) {
      if (!is_judged(returns.episodes()[e], returns.episodes()[e].steps[t])) continue;
      advantages.push_back(judgement.advantages[e][t]);
    }
  }
  // Whole tails would leave the bars in the middle too narrow to see.
  const double low = percentile(advantages, 0.005), high = percentile(advantages, 0.995);
  const double width = (high - low) / kBars;
  std::vector<ValueReport::Bar> bars;
  if (!(width > 0)) return bars;
  for (std::size_t bar = 0; bar < kBars; ++bar) {
    bars.push_back({.from = low + width * static_cast<double>(bar),
                    .to = low + width * static_cast<double>(bar + 1)});
  }
  for (std::size_t i = 0; i < advantages.size(); ++i) {
    const double place =
        std::clamp((advantages[i] - low) / width, 0.0, static_cast<double>(kBars - 1));
    ValueReport::Bar& bar = bars[static_cast<std::size_t>(place)];
    if (judgement.tokens[i].advantage == Advantage::kNone) continue;  // behind a mistake
    ++(judgement.tokens[i].advantage == Advantage::kPositive ? bar.positive : bar.negative);
  }
  return bars;
}

}  // namespace

ValueReport value_report(const Returns& returns, std::span<const std::vector<float>> values,
                         const Judgement& judgement) {
  ValueReport report;
  std::vector<Pair> pairs;
  std::vector<double> good, bad;  // values in the middle of episodes
  double sum = 0;
  for (std::size_t e = 0; e < values.size(); ++e) {
    const bool success = returns.episodes()[e].success;
    ++(success ? report.successes : report.failures);
    (success ? good : bad).push_back(values[e][values[e].size() / 2]);
    for (std::size_t t = 0; t < values[e].size(); ++t) {
      pairs.push_back({values[e][t], returns.values()[e][t], e});
      sum += returns.values()[e][t];
    }
  }
  const double mean = sum / static_cast<double>(pairs.size());
  double left = 0, all = 0;
  for (const Pair& pair : pairs) {
    left += (pair.outcome - pair.value) * (pair.outcome - pair.value);
    all += (pair.outcome - mean) * (pair.outcome - mean);
  }
  report.explained = all > 0 ? 1 - left / all : 0;
  double won = 0;
  for (const double a : good) {
    for (const double b : bad) won += a > b ? 1 : a == b ? 0.5 : 0;
  }
  report.told_apart = won / static_cast<double>(good.size() * bad.size());
  report.calibration = calibration(std::move(pairs));
  report.advantages = histogram(returns, judgement);
  return report;
}

}  // namespace nudge
