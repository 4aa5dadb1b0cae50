// The control loop against a real clock: step, inference and swapping on threads of their own, as
// in the daemon to come. What lockstep cannot tell is measured here: whether a control tick is ever
// missed while weights are swapped under it.
#pragma once

#include <cstdint>
#include <vector>

#include "src/config/config.h"
#include "src/loop/inference.h"

namespace nudge {

struct RealTimeOptions {
  Duration length = std::chrono::seconds(10);
  Duration swap_every = std::chrono::milliseconds(200);
  std::uint64_t seed = 1;  // of the kitchen's starts
};

struct RealTimeReport {
  std::uint64_t ticks = 0;
  std::uint64_t missed = 0;           // ticks that were not over when the next was due
  std::uint64_t swaps = 0;            // heads handed over
  std::uint64_t versions_played = 0;  // changes of the version that moved the robot
  std::uint64_t chunks = 0;           // computed beside the loop
  std::vector<double> work_seconds;   // inside each tick, the simulated physics included
  std::vector<double> late_seconds;   // how much later than due each tick woke up
};

// Runs the simulated kitchen on the calling thread and the rest on two others, which have ended
// when it returns. `heads` (at least one) are swapped in turn.
Result<RealTimeReport> run_in_real_time(const Config& config, const std::vector<LoadedHead>& heads,
                                        const RealTimeOptions& options);

}  // namespace nudge
