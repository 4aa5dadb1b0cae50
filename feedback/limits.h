// The last thing between a wish and the robot: finite, not too fast, not too sudden, inside the box
// and the joints' bounds.
//
// Actions are rates, so each limit of motion has its place here: velocity is max_rate, acceleration
// max_step (and brake_step), position the box and `positions`. A limit on the step of a position
// would be max_rate times the control period over again.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

// A box in the robot's base frame, metres.
struct WorkspaceBox {
  std::array<double, 3> lower{};
  std::array<double, 3> upper{};
};

// What an action channel's rate moves, and how far.
struct PositionLimit {
  std::size_t channel = 0;  // of proprioception, in the unit whose rate the action channel is
  double lower = 0, upper = 0;
};

struct LimitsConfig {
  // Largest |rate| per channel, normalised, in (0, 1]; [ActionSpec::size()]. Empty: 1 everywhere.
  std::vector<double> max_rate;
  // Largest change of a rate from one control tick to the next, normalised, above 0; same size.
  // Empty: 5 per second, so full speed within 0.2 s.
  std::vector<double> max_step;
  // The same while slowing down to a hold; at least max_step. Empty: three times max_step.
  std::vector<double> brake_step;
  // When set, action channels 0..2 are rates (m/s at +-1, by their Channel) of the position given
  // by proprioception channels 0..2, and no tick may move further outwards than the wall.
  std::optional<WorkspaceBox> workspace;
  // The same for single channels, such as the joints of an arm: at most one for each action
  // channel, whose Channel gives the rates (per second) that +-1 stand for. [ActionSpec::size()],
  // or empty.
  std::vector<std::optional<PositionLimit>> positions;
  // Cuts up to this much (normalised rate, 0..0.5) are made but not reported as `clamped`: a head
  // trained on actions at the limit overshoots it by its own noise, and would be held for it.
  double slack = 0.1;
};

// What became of a requested action.
struct Limited {
  bool refused = false;  // something was not finite or of the wrong size; nothing was executed
  bool changed = false;  // executed differs from requested, by whatever little
  // The rate limit or the box cut off more than `slack`. Smoothing by max_step alone is not
  // counted: every touch of a stick and every closing gripper is a jump, and a person would be
  // thrown out for it. It still shows in `changed`, and in requested beside executed.
  bool clamped = false;
};

// Pure but for the memory of the last executed action. Not thread-safe: the step thread's.
class Limits {
 public:
  // kInvalidArgument naming the field. `control_period` is that of RobotSpec.
  static Result<Limits> make(const LimitsConfig& config, const ActionSpec& spec,
                             Duration control_period);

  std::size_t size() const { return last_.size(); }
  double max_rate(std::size_t i) const { return max_rate_[i]; }
  // `position` (proprioception) holds a finite number wherever a limit of position looks.
  bool sees(std::span<const float> position) const;

  // Finiteness first, then rate, then change per tick (a channel slows down by up to `brake_step`,
  // speeds up by `max_step`), then positions: walls are approached no faster than can be braked,
  // and win over smoothness. `position` is the robot's proprioception, read only where a wall needs
  // it. What is not finite is never clamped: `executed` is then all zero, `refused` is set, the
  // memory is zero.
  Limited apply(std::span<const float> requested, std::span<const float> position,
                Action& executed);

  // One tick of slowing down to zero from whatever was executed last. Always finite. Walls still
  // hold when `position` is usable; when it is not, the rates are zero at once.
  void brake(std::span<const float> position, Action& executed);

  // True when `requested` is finite, of the right size, and neither rate limit nor wall would cut
  // more than `slack` from it.
  bool permits(std::span<const float> requested, std::span<const float> position) const;

  // The robot was stopped by other means (hold, estop): the next action starts from zero.
  void forget();
  bool at_rest() const;  // the last executed action was all zero
  std::span<const float> last() const { return last_; }

 private:
  Limits() = default;
  bool usable(std::span<const float> requested, std::span<const float> position) const;
  Status add_walls(std::size_t i, const PositionLimit& limit, const ActionSpec& spec,
                   double period);
  // Smallest and largest rate of channel `i` that stays inside its walls for one tick; a position
  // outside may only move back in.
  std::pair<double, double> wall(std::size_t i, std::span<const float> position) const;
  // Fastest rate towards a wall `room` away (in ticks at rate 1) that can still be braked.
  static double approach(double room, double brake);

  static constexpr double kFree = 1e9;  // no wall in this direction
  std::vector<double> max_rate_;
  std::vector<double> max_step_;
  std::vector<double> brake_step_;
  struct Walls {
    std::size_t action = 0;
    PositionLimit at;
    double forwards = 0;   // of the position's unit per tick at rate +1
    double backwards = 0;  // likewise at rate -1, positive
  };
  std::vector<Walls> walls_;
  double slack_ = 0;
  Action last_;
};

}  // namespace nudge
