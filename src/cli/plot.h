// The learning curve as a picture, drawn by the gnuplot program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nudge/status.h"

namespace nudge {

struct CurvePoint {
  std::uint64_t corrected_episodes = 0;     // 0: the base policy
  std::uint64_t successes = 0;              // of the evaluation at this point
  std::uint64_t starts = 0;                 // of it, > 0
  double interventions_per_100_steps = -1;  // since the point before; < 0: unknown
  double seconds_to_new_weights = -1;       // correction ended to first action of new weights,
                                            // median since the point before; < 0: unknown
};

struct LearningCurve {
  std::string title;               // "Simulated kitchen, level 1, seed 1"
  std::string subtitle;            // may be empty
  std::vector<CurvePoint> points;  // ascending in corrected_episodes, at least one
};

// Writes a PNG of 1200 x 1350 pixels: success with Wilson's 95 % interval and the base's line,
// interventions, seconds to new weights. Runs gnuplot without a shell, in a private folder that is
// removed again, for at most 60 s. kUnavailable when gnuplot is not installed (the message says
// which package has it); kInternal with gnuplot's own words when it fails. Blocks; any thread.
Status plot_learning_curve(const LearningCurve& curve, const std::string& png_path);

// The full path of a program in PATH, or empty.
std::string find_program(const std::string& name);

}  // namespace nudge
