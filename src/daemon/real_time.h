// The daemon's control side against a real clock, without people: step, inference and writer
// threads as in `nudge run`, with a log of their own, while weights are swapped under them. What
// lockstep cannot tell is measured here: whether a control tick is ever missed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nudge/robot.h"
#include "src/config/config.h"
#include "src/daemon/duration_histogram.h"
#include "src/loop/inference.h"

namespace nudge {

struct RealTimeOptions {
  Duration length = std::chrono::seconds(10);
  Duration swap_every = std::chrono::milliseconds(200);  // zero: the first head stays
  std::uint64_t seed = 1;                                // of the inference's noise
  std::string folder;                                    // of the log; made when missing
};

struct RealTimeReport {
  std::uint64_t ticks = 0;
  std::uint64_t missed = 0;           // ticks that were not over when the next was due
  std::uint64_t swaps = 0;            // heads handed over
  std::uint64_t versions_played = 0;  // changes of the version that moved the robot
  std::uint64_t chunks = 0;           // computed beside the loop and played
  std::uint64_t lost_steps = 0;       // that the writer had no room for
  std::uint64_t logged = 0;           // entries on disk
  DurationHistogram work;             // CPU time of each tick, the robot's driver included
  DurationHistogram late;             // how much later than due each tick began
  Duration cpu{};                     // of the whole process meanwhile
};

// Blocks for `length`; the threads have ended when it returns. `heads` (at least one) are swapped
// in turn. kInvalidArgument: no heads; errors of the log.
Result<RealTimeReport> run_in_real_time(Robot& robot, const Config& config,
                                        const std::vector<LoadedHead>& heads,
                                        const RealTimeOptions& options);

}  // namespace nudge
