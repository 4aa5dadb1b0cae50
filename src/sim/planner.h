// A scripted planner for the kitchen: the expert's way of lifting the block, looked ahead by
// several policy steps. Its chunks are references for a head that edits; a planner that misjudges
// where the block is gives that head something to correct.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/sim/expert.h"

namespace nudge {

struct PlannerOptions {
  std::size_t rows = 8;  // policy steps looked ahead
  double error = 0;      // m along y: how far off it takes the block to be
};

// Not thread-safe. Sees what an observation holds and nothing else; equal observations in equal
// order give equal plans.
class KitchenPlanner {
 public:
  explicit KitchenPlanner(const PlannerOptions& options);

  void begin_episode();

  // Actions [rows, kKitchenActionSize] from this observation on, made at control tick `tick`. What
  // comes is foreseen kinematically: the tool goes where it is sent, and a block between closing
  // fingers goes with it. An observation that is not of the kitchen gives zeros.
  std::vector<float> plan(const Observation& observation, std::uint64_t tick);

 private:
  PlannerOptions options_;
  Expert expert_;                  // as of the last whole policy step
  std::uint64_t expert_tick_ = 0;  // when it acted last; 0: not in this episode
};

}  // namespace nudge
