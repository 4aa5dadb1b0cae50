// From what a sentence means to what this robot can do about it: directions to channels, amounts to
// rates and times, and words for people that say what will happen.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "feedback/broker.h"
#include "feedback/language.h"
#include "feedback/nudge_plan.h"
#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

struct MotionWordsConfig {
  ActionSpec action;
  // Which channel moves the robot where, in its own frame: "up=+tool_z left=+tool_y
  // forward=+tool_x close=-gripper turn_left=+tool_yaw tilt_up=-tool_pitch roll_right=+tool_roll",
  // any of them left out. "auto": those channels that the robot has by these names; "none": words
  // move nothing.
  std::string axes = "auto";
  Viewpoint view = Viewpoint::kFacing;  // of a speaker whose message does not say
  double bit = 0.02;                    // metres of "a bit"; above 0
  double most = 0.05;                   // metres that one nudge moves at most; at least `bit`
  NudgeBounds bounds;
};

// A value: as a function it is the broker's Understand. Pure, thread-safe as values are.
class MotionWords {
 public:
  // kInvalidArgument: the axes name a channel that the robot lacks, or cannot be read.
  static Result<MotionWords> make(const MotionWordsConfig& config);

  Understood operator()(const WordsMessage& message) const;

 private:
  enum class Unit { kMetres, kRadians, kShare };  // kShare: of a channel without a unit
  struct Axis {
    std::size_t channel = 0;
    float sign = 1;
    Unit unit = Unit::kShare;
    double forwards = 1, backwards = 1;  // unit per second at +1 and at -1, above 0
  };
  // In the robot's frame. The other direction of each is the axis backwards.
  enum AxisName { kAxisUp, kAxisLeft, kAxisForward, kAxisClose, kAxisTurn, kAxisTilt, kAxisRoll };
  static constexpr std::size_t kAxes = 7;

  explicit MotionWords(const MotionWordsConfig& config) : config_(config) {}
  Status add_axis(std::size_t axis, std::string_view channel, float sign);
  Status read_axes(std::string_view text);
  void find_axes();
  Understood understand_moves(const Meaning& meaning, Viewpoint view) const;

  MotionWordsConfig config_;
  std::array<std::optional<Axis>, kAxes> axes_{};
};

}  // namespace nudge
