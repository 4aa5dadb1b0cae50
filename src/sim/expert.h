// A scripted person's skill: lifts the block from any state within reach. Sees what an observation
// holds and nothing else. Used for demonstrations, and as the hands of the scripted supervisor.
#pragma once

#include <cstdint>

#include "nudge/random.h"
#include "nudge/types.h"
#include "src/sim/task.h"

namespace nudge {

struct ExpertOptions {
  // Share of full speed of the hand; people differ. 1: as fast as the robot goes.
  double speed = 1.0;
  // Standard deviation of the slow (0.5 s) unsteadiness of the hand, as normalised rate, while far
  // from the block. 0: none. About 0.1 looks human and still succeeds.
  double unsteadiness = 0.0;
  std::uint64_t seed = 0;
};

// Not thread-safe. Call once per policy step and hold the action for that long.
class Expert {
 public:
  explicit Expert(const ExpertOptions& options = {});

  // Forgets the episode before; the unsteadiness is drawn anew from the seed.
  void begin();
  void begin(std::uint64_t seed);

  // What to do now. An observation that is not of the kitchen gives the zero action.
  Action act(const Observation& observation);

 private:
  ExpertOptions options_;
  Random random_;
  double hover_ = 0.07;    // m above the block, on the way to it
  double speed_ = 1.0;     // normalised
  Vec3 sway_{};            // the hand's unsteadiness, normalised rate
  bool grasping_ = false;  // committed: closing, then lifting
  int grasp_steps_ = 0;
};

}  // namespace nudge
