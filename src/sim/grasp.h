// Taking hold of an object from above and pulling it up: the part of a skill that all levels share.
#pragma once

#include "src/sim/level.h"

namespace nudge {

// What the fingers have to know of an object.
struct GraspShape {
  double clearance = 0;   // m; open fingers higher than this above its centre pass over it
  double above = 0;       // m off to the side; nearer than this they may go down
  double around = 0;      // m off to the side; nearer than this it is between them
  double off_centre = 0;  // share of the speed downwards while it is not
  double inside = 0;      // m of opening; an object seen corner to corner is narrower
  double nothing = 0;     // m of opening; the object is wider
  double cruise = 0;      // m; tool height from which on nothing else is in the way sideways
};

// For an object of these half sizes however it lies, with things no higher than `obstacles` around
// it.
GraspShape grasp_shape(const KitchenObject& object, double obstacles);

// Share of the way taken per step; below 1: no overshoot.
inline constexpr double kReachGain = 0.8;
inline constexpr double kReachStep = kToolSpeed * 0.1;  // m that +1 moves in a policy step
// Normalised rate that takes away an error in m, at most `limit`.
float rate_towards(double error, double limit);

// Not thread-safe.
class Grasp {
 public:
  void begin();
  // What to do now to have the object in the grip and to lift it.
  Action act(const KitchenState& state, const Vec3& object, const GraspShape& shape,
             const HandStyle& style);
  // Closed on it firmly enough to carry it, as of the last act().
  bool firm() const;

 private:
  bool grasping_ = false;  // committed: closing, then lifting
  int steps_ = 0;
};

// Whether the fingers are closed on the object, at this instant.
bool gripped(const KitchenState& state, const Vec3& object, const GraspShape& shape);

}  // namespace nudge
