// How far a value function can be trusted, on episodes that it has not learned from: for people.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "replay/returns.h"
#include "src/core/statistics.h"

namespace nudge {

// Of the steps whose values lie next to each other, a tenth of all.
struct CalibrationBin {
  double value = 0;    // mean, as the value functions said that had not seen the episode
  double outcome = 0;  // mean return that followed
  Interval interval;   // 95 %, of the outcome; steps of one episode count as one observation
  std::uint64_t steps = 0;
};

struct ValueReport {
  std::vector<CalibrationBin> calibration;
  double explained = 0;  // share of the returns' variance; below 0: worse than their mean
  // In how many of all pairs of a success and a failure the success had the higher value in the
  // middle of its episode; 0.5: it cannot tell them.
  double told_apart = 0.5;
  std::uint64_t successes = 0, failures = 0;  // episodes
  struct Bar {
    double from = 0, to = 0;                   // of advantages
    std::uint64_t positive = 0, negative = 0;  // steps
  };
  std::vector<Bar> advantages;  // of judged steps; a hundredth lies beyond the ends
};

// `values` and `judgement` as Returns::judge() takes and gives them; at least one success and one
// failure. Pure.
ValueReport value_report(const Returns& returns, std::span<const std::vector<float>> values,
                         const Judgement& judgement);

}  // namespace nudge
