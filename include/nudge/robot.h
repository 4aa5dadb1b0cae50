// The robot, as Nudge needs it: the one interface a robot engineer implements. The shape follows
// the gymnasium API (reset, observe, step), split so that control can run faster than the policy.
//
// Threads: reset(), resetting(), observe() and apply() are called by one thread, the step thread.
// hold() and estop() may be called from any thread at any time, also while apply() or reset() is
// running, and must not block for longer than a control tick.
#pragma once

#include <cstdint>

#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

class Robot {
 public:
  virtual ~Robot() = default;

  // Constant over the robot's life.
  virtual const RobotSpec& spec() const = 0;

  // Prepares a new episode. `seed` fixes every random choice of a simulation; a real robot ignores
  // it. kUnavailable when the robot does not answer. Blocks for no longer than a control tick: a
  // robot that needs more time begins here, and resetting() says when it is done.
  virtual Status reset(std::uint64_t seed) = 0;

  // True from a reset() that takes its time until that reset has ended, well or badly, and at least
  // once, however soon it ended: what was observed until then may be from before. Meanwhile
  // observe() may return the last state again, however old; nothing is applied, and hold() is
  // called only when somebody wants the robot to stand still: a reset that moves the robot stops
  // moving then, and ends with an error. A reset that lasts longer than the daemon's
  // authority.reset_s is given up and held.
  virtual bool resetting() { return false; }
  // How the last reset() ended, once resetting() is false; the message is shown to people.
  virtual Status reset_result() { return {}; }

  // What the scene of this episode calls for, in words, as of the last reset(): a simulation that
  // draws a task with each seed. Empty: whatever people say goes on.
  virtual std::string instruction() const { return {}; }
  // The instruction in force from now on, for a robot whose own idea of success depends on it. Step
  // thread; must not block.
  virtual void instruct(const std::string& /*instruction*/) {}

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
