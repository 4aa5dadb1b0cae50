// The robot, as Nudge needs it: the one interface a robot engineer implements. The shape follows
// the gymnasium API (reset, observe, step), split so that control can run faster than the policy.
//
// Threads: reset(), observe() and apply() are called by one thread, the step thread. hold() and
// estop() may be called from any thread at any time, also while apply() is running, and must not
// block for longer than a control tick.
#pragma once

#include <cstdint>

#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

struct RobotSpec {
  std::string id;  // at most 64 bytes, unique among your robots
  ObservationSpec observation;
  ActionSpec action;
  Duration control_period{};  // of apply(); at most 20 ms
  Duration policy_period{};   // of a policy step; a multiple of control_period
};

class Robot {
 public:
  virtual ~Robot() = default;

  // Constant over the robot's life.
  virtual const RobotSpec& spec() const = 0;

  // Prepares a new episode. `seed` fixes every random choice of a simulation; a real robot ignores
  // it. kUnavailable when the robot does not answer.
  virtual Status reset(std::uint64_t seed) = 0;

  // The newest state. kUnavailable when the robot does not answer; the daemon then holds.
  virtual Result<Observation> observe() = 0;

  // Moves at `action` for one control tick. The robot must stop by itself when no call arrives
  // before `deadline` has passed: software above cannot help once this process is stopped.
  // kInvalidArgument for a wrong size or a value that is not finite.
  virtual Status apply(const Action& action, Instant deadline) = 0;

  // Stand still, keep holding what is held. Cleared by the next apply().
  virtual void hold() = 0;

  // Stand still and refuse every apply() until reset_estop(). Not a safety-rated function.
  virtual void estop() = 0;
  virtual Status reset_estop() = 0;
};

}  // namespace nudge
