// The last thing between a wish and the robot: finite, not too fast, not too sudden, inside the
// box.
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
  bool needs_position() const { return workspace_.has_value(); }

  // Finiteness first, then rate, then change per tick (a channel slows down by up to `brake_step`,
  // speeds up by `max_step`), then the box: walls are approached no faster than can be braked, and
  // win over smoothness. `position` [3], metres, is read only when there is a box. What is not
  // finite is never clamped: `executed` is then all zero, `refused` is set, the memory is zero.
  Limited apply(std::span<const float> requested, std::span<const float> position,
                Action& executed);

  // One tick of slowing down to zero from whatever was executed last. Always finite. The box still
  // holds when `position` is usable; when it is not, the rates are zero at once.
  void brake(std::span<const float> position, Action& executed);

  // True when `requested` is finite, of the right size, and neither rate limit nor box would cut
  // more than `slack` from it.
  bool permits(std::span<const float> requested, std::span<const float> position) const;

  // The robot was stopped by other means (hold, estop): the next action starts from zero.
  void forget();
  bool at_rest() const;  // the last executed action was all zero
  std::span<const float> last() const { return last_; }

 private:
  Limits() = default;
  bool usable(std::span<const float> requested, std::span<const float> position) const;
  // Smallest and largest rate of channel `i` that stays inside the box for one tick; a position
  // outside the box may only move back in.
  std::pair<double, double> wall(std::size_t i, std::span<const float> position) const;
  // Fastest rate towards a wall `room` away (in ticks at rate 1) that can still be braked.
  static double approach(double room, double brake);

  static constexpr double kFree = 1e9;  // no wall in this direction
  std::vector<double> max_rate_;
  std::vector<double> max_step_;
  std::vector<double> brake_step_;
  std::optional<WorkspaceBox> workspace_;
  std::array<double, 3> forwards_{};   // metres per tick at rate +1
  std::array<double, 3> backwards_{};  // metres per tick at rate -1, positive
  double slack_ = 0;
  Action last_;
};

}  // namespace nudge
