// Taking an object from where it is to where it should be: the part of a skill that the levels with
// places share, and how far along that is.
#pragma once

#include "src/sim/grasp.h"

namespace nudge {

struct Placing {
  Vec3 goal{};        // m; the object's centre when it rests there
  double carry = 0;   // m; height of its centre on the way
  double near = 0.0;  // m off the goal to the side; nearer than this it is lowered
  // m off the goal to the side; what stands there nearer than this is let go, as a person would:
  // taking it up again to put it down a centimetre better teaches nothing but doubt.
  double enough = 0.0;
};

// Not thread-safe.
class PickAndPlace {
 public:
  void begin();
  Action act(const KitchenState& state, const Vec3& object, const GraspShape& shape,
             const Placing& placing, const HandStyle& style);

 private:
  Grasp grasp_;
  bool letting_go_ = false;
  int lowering_ = 0;   // steps
  double height_ = 0;  // m, of the object one step ago
};

// The fingers have let go of it, or are elsewhere.
bool released(const KitchenState& state, const Vec3& object);

// Straight up and with open fingers, away from what was put down.
Action withdraw(const HandStyle& style);

// As KitchenLevel::progress(), of bringing an object that rests at height `rest` to a place: about
// -0.8 at a usual start; kPlaced and less than 6 cm more once it is there and released.
inline constexpr double kPlaced = 0.2;
double place_progress(const KitchenState& state, const Vec3& object, double rest,
                      const Placing& placing, bool there);

}  // namespace nudge
