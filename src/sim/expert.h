// A scripted person: does a level's task from any state within reach. Sees what an observation
// holds and nothing else. Used for demonstrations, and as the hands of the scripted supervisor.
// What to do is the level's skill; how steady and how fast the hand is, this one's.
#pragma once

#include <cstdint>
#include <memory>

#include "nudge/random.h"
#include "nudge/types.h"
#include "src/sim/level.h"
#include "src/sim/lift_level.h"

namespace nudge {

struct ExpertOptions {
  // Share of full speed of the hand; people differ. 1: as fast as the robot goes.
  double speed = 1.0;
  // Standard deviation of the slow (0.5 s) unsteadiness of the hand, as normalised rate, while far
  // from the block. 0: none. About 0.1 looks human and still succeeds.
  double unsteadiness = 0.0;
  std::uint64_t seed = 0;
  // Share of the episodes in which the hand is hasty (HandStyle::hasty), drawn from the seed of
  // each.
  double hasty_share = 0.0;
};

// Not thread-safe. Call once per policy step and hold the action for that long.
class Expert {
 public:
  // The level lives longer.
  explicit Expert(const ExpertOptions& options = {}, const KitchenLevel& level = lift_level());
  // A copy goes on from where the other one is.
  Expert(const Expert& other);
  Expert& operator=(const Expert& other);
  Expert(Expert&&) noexcept = default;
  Expert& operator=(Expert&&) noexcept = default;
  ~Expert() = default;

  // Forgets the episode before; the unsteadiness is drawn anew from the seed.
  void begin();
  void begin(std::uint64_t seed);

  // What to do now. An observation that is not of the level gives the zero action.
  Action act(const Observation& observation);

 private:
  ExpertOptions options_;
  const KitchenLevel* level_;
  Random random_;
  HandStyle style_;
  std::unique_ptr<KitchenSkill> skill_;
};

}  // namespace nudge
