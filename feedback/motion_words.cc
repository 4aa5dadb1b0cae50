#include "feedback/motion_words.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string_view>
#include <utility>

namespace nudge {
namespace {

constexpr double kTurnBit = 10, kTurnMost = 20;  // degrees: "a bit", and the most of one nudge
constexpr double kTiny = 0.5, kLarge = 2.5;      // times "a bit"
// Closing "a bit" is half of what moving "a bit" is; a gripper is small.
constexpr double kGripShare = 0.5;
// A gripper that is told to open or close, without how far, is bent for this long: most open and
// close within it, and what holds something stops by itself.
constexpr double kGripSeconds = 0.8;

constexpr std::array<std::string_view, 7> kAxisNames = {
    "up", "left", "forward", "close", "turn_left", "tilt_up", "roll_right"};
// By the right-hand rule: x forward, y left, z up.
constexpr std::array<std::pair<std::string_view, float>, 7> kUsualChannels = {
    {{"tool_z", 1.0f},
     {"tool_y", 1.0f},
     {"tool_x", 1.0f},
     {"gripper", -1.0f},
     {"tool_yaw", 1.0f},
     {"tool_pitch", -1.0f},
     {"tool_roll", 1.0f}}};

// "2 cm", "1.5 cm", "5 mm"
std::string length_text(double metres) {
  char text[32];
  const bool small = metres < 0.00995;
  std::snprintf(text, sizeof text, "%.3g", small ? 1000 * metres : 100 * metres);
  return std::string(text) + (small ? " mm" : " cm");
}
std::string angle_text(double degrees) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g degrees", degrees);
  return text;
}
std::string speed_text(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", 100 * share);
  return text;
}

std::string_view way_text(Direction direction) {
  switch (direction) {
    case Direction::kUp: return "up";
    case Direction::kDown: return "down";
    case Direction::kLeft: return "to your left";
    case Direction::kRight: return "to your right";
    case Direction::kAway: return "away from you";
    case Direction::kNear: return "towards you";
    case Direction::kForward: return "forward";
    case Direction::kBack: return "back";
    case Direction::kRobotLeft: return "to its own left";
    case Direction::kRobotRight: return "to its own right";
    case Direction::kTurnLeft: return "counter-clockwise";
    case Direction::kTurnRight: return "clockwise";
    case Direction::kTiltUp: return "up";
    case Direction::kTiltDown: return "down";
    case Direction::kRollLeft: return "to its left";
    case Direction::kRollRight: return "to its right";
    case Direction::kClose: return "closed";
    case Direction::kOpen: return "open";
  }
  return "";
}

}  // namespace

// ---- which channel is which ---------------------------------------------------------------------

Result<MotionWords> MotionWords::make(const MotionWordsConfig& config) {
  if (!(config.bit > 0) || !(config.most >= config.bit) || !std::isfinite(config.most)) {
    return invalid_argument("words: a bit must be above 0, and the most at least a bit");
  }
  MotionWords words(config);
  if (config.axes == "auto") {
    words.find_axes();
  } else if (config.axes != "none") {
    NUDGE_TRY(words.read_axes(config.axes));
  }
  return words;
}

Status MotionWords::add_axis(std::size_t axis, std::string_view channel, float sign) {
  const auto& channels = config_.action.channels;
  const auto found = std::find_if(channels.begin(), channels.end(),
                                  [&](const Channel& c) { return c.name == channel; });
  if (found == channels.end()) {
    return invalid_argument("words.axes: the robot has no action channel '" + std::string(channel) +
                            "'");
  }
  Axis made;
  made.channel = static_cast<std::size_t>(found - channels.begin());
  made.sign = sign;
  if (found->unit == "m/s") {
    made.unit = Unit::kMetres;
  } else if (found->unit == "rad/s") {
    made.unit = Unit::kRadians;
  } else if (found->unit == "1" || found->unit == "1/s" || found->unit.empty()) {
    made.unit = Unit::kShare;
  } else {
    return invalid_argument("words.axes: channel '" + std::string(channel) + "' has the unit '" +
                            found->unit + "'; words know m/s, rad/s and 1/s");
  }
  made.forwards = static_cast<double>(found->upper);
  made.backwards = -static_cast<double>(found->lower);
  if (sign < 0) std::swap(made.forwards, made.backwards);
  if (!(made.forwards > 0) || !(made.backwards > 0) || !std::isfinite(made.forwards) ||
      !std::isfinite(made.backwards)) {
    return invalid_argument("words.axes: channel '" + std::string(channel) +
                            "' does not move both ways");
  }
  axes_[axis] = made;
  return {};
}

void MotionWords::find_axes() {
  // What the robot lacks, or declares in a way that words cannot use, it has no words for.
  for (std::size_t i = 0; i < kAxes; ++i) {
    const auto& [usual, sign] = kUsualChannels[i];
    std::string_view channel = usual;
    if (kAxisNames[i] == "close") {  // a hand that is declared as one may have any name
      const auto hand = std::ranges::find_if(config_.action.channels, &Channel::gripper);
      if (hand != config_.action.channels.end()) channel = hand->name;
    }
    (void)add_axis(i, channel, sign).ok();
  }
}

Status MotionWords::read_axes(std::string_view text) {
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    const std::string_view pair = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    const auto name = std::find(kAxisNames.begin(), kAxisNames.end(), pair.substr(0, equals));
    if (equals == std::string_view::npos || name == kAxisNames.end() || pair.size() < equals + 3 ||
        (pair[equals + 1] != '+' && pair[equals + 1] != '-')) {
      return invalid_argument("words.axes: cannot read '" + std::string(pair) +
                              "'; write, for example, up=+tool_z, of up, left, forward, close, "
                              "turn_left, tilt_up, roll_right");
    }
    NUDGE_TRY(add_axis(static_cast<std::size_t>(name - kAxisNames.begin()), pair.substr(equals + 2),
                       pair[equals + 1] == '+' ? 1.0f : -1.0f));
  }
  return {};
}

// ---- understanding ------------------------------------------------------------------------------

Understood MotionWords::operator()(const WordsMessage& message) const {
  const Meaning meaning = read_sentence(message.text);
  switch (meaning.kind) {
    case Meaning::Kind::kHold: return {WordsUse::kHold, "stop: hold still", Hold{}};
    case Meaning::Kind::kMove:
      return understand_moves(meaning, message.view.value_or(config_.view));
    case Meaning::Kind::kGoBack: {
      Understood back{WordsUse::kNudge, "undo the last nudge", GoBack{}};
      back.confirm = true;
      return back;
    }
    case Meaning::Kind::kSpeed: {
      const SpeedChange change{meaning.speed.absolute, meaning.speed.scale};
      const std::string what =
          change.absolute    ? "work at " + speed_text(change.scale) + " of the policy's own speed"
          : change.scale < 1 ? "work slower"
                             : "work faster, up to the policy's own speed";
      return {WordsUse::kSpeed, what, change};
    }
    case Meaning::Kind::kNotUnderstood:
      return {WordsUse::kNotUnderstood, "not understood: " + meaning.why, std::monostate{}};
    case Meaning::Kind::kChat:
      return {WordsUse::kComment, "comment: " + message.text, std::monostate{}};
    case Meaning::Kind::kOther: break;
  }
  const bool instruction = message.meant == WordsUse::kInstruction;
  return {message.meant, (instruction ? "instruction: " : "comment: ") + message.text,
          std::monostate{}};
}

Understood MotionWords::understand_moves(const Meaning& meaning, Viewpoint view) const {
  struct Way {
    AxisName axis;
    int sign;
  };
  // The person's left is the robot's right when they face each other.
  const int person = view == Viewpoint::kFacing ? -1 : 1;
  const auto way_of = [&](Direction direction) -> Way {
    switch (direction) {
      case Direction::kUp: return {kAxisUp, 1};
      case Direction::kDown: return {kAxisUp, -1};
      case Direction::kLeft: return {kAxisLeft, person};
      case Direction::kRight: return {kAxisLeft, -person};
      case Direction::kAway: return {kAxisForward, person};
      case Direction::kNear: return {kAxisForward, -person};
      case Direction::kForward: return {kAxisForward, 1};
      case Direction::kBack: return {kAxisForward, -1};
      case Direction::kRobotLeft: return {kAxisLeft, 1};
      case Direction::kRobotRight: return {kAxisLeft, -1};
      case Direction::kTurnLeft: return {kAxisTurn, 1};
      case Direction::kTurnRight: return {kAxisTurn, -1};
      case Direction::kTiltUp: return {kAxisTilt, 1};
      case Direction::kTiltDown: return {kAxisTilt, -1};
      case Direction::kRollLeft: return {kAxisRoll, -1};
      case Direction::kRollRight: return {kAxisRoll, 1};
      case Direction::kClose: return {kAxisClose, 1};
      case Direction::kOpen: return {kAxisClose, -1};
    }
    return {kAxisUp, 1};
  };

  Understood out{WordsUse::kNudge, "", std::monostate{}};
  std::vector<double> effect(config_.action.size(), 0.0);
  const double reach = largest_effect(config_.bounds);
  std::string ways, cut;
  for (const Move& move : meaning.moves) {
    const Way way = way_of(move.direction);
    const bool turn = is_turn(move.direction), grip = is_gripper(move.direction);
    const double bit = turn ? kTurnBit : grip ? kGripShare * config_.bit : config_.bit;
    const double most = turn ? kTurnMost : config_.most;
    double amount = bit;  // metres or degrees
    bool fully = false;
    switch (move.amount.kind) {
      case Amount::Kind::kUnsaid: fully = grip; break;
      case Amount::Kind::kTiny: amount = kTiny * bit; break;
      case Amount::Kind::kSmall: break;
      case Amount::Kind::kLarge: amount = kLarge * bit; break;
      case Amount::Kind::kMetres:
      case Amount::Kind::kDegrees: amount = move.amount.value; break;
    }
    const auto text_of = [turn](double a) { return turn ? angle_text(a) : length_text(a); };
    if (amount > most) {
      if (move.amount.kind >= Amount::Kind::kMetres) {
        cut = "at most " + text_of(most) + " at a time";
      }
      amount = most;
    }
    const std::optional<Axis>& axis = axes_[way.axis];
    std::string how_far = text_of(amount);
    if (axis) {
      const double rate = way.sign > 0 ? axis->forwards : axis->backwards;
      double moved = 0;  // normalised rate times seconds
      const bool matches = axis->unit == (turn ? Unit::kRadians : Unit::kMetres);
      if (fully) {
        moved = std::min(reach, kGripSeconds * config_.bounds.bound);
      } else if (axis->unit == Unit::kShare) {
        moved = amount / most * std::min(reach, config_.bounds.bound);
        how_far = amount < 0.7 * bit ? "very little" : amount > 1.5 * bit ? "a lot" : "a bit";
      } else if (matches) {
        moved = (turn ? amount * std::numbers::pi / 180 : amount) / rate;
      } else {
        out.why = "the robot moves there in another unit than words speak of";
      }
      if (moved > reach) {
        // A slow robot: what it can do within the time that a nudge may last.
        if (axis->unit != Unit::kShare) {
          const double able = reach * rate * (turn ? 180 / std::numbers::pi : 1.0);
          how_far = text_of(able);
          cut = "at most " + how_far + " at a time";
        }
        moved = reach;
      }
      effect[axis->channel] += moved * way.sign * static_cast<double>(axis->sign);
    } else {
      out.why = "the robot has no channel that words could move that way";
    }
    if (!ways.empty()) ways += " and ";
    if (grip) {
      const bool open = move.direction == Direction::kOpen;
      ways += open ? "open the gripper" : "close the gripper";
      if (!fully) ways += axis && axis->unit == Unit::kShare ? " " + how_far : " by " + how_far;
    } else {
      ways += how_far + " " + std::string(way_text(move.direction));
    }
    if (move.direction == Direction::kOpen) out.confirm = true;
  }
  const Direction first = meaning.moves.front().direction;
  const std::string verb =
      is_gripper(first)                                                 ? ""
      : !is_turn(first)                                                 ? "move the tool "
      : first == Direction::kTiltUp || first == Direction::kTiltDown    ? "tilt the tool "
      : first == Direction::kRollLeft || first == Direction::kRollRight ? "roll the tool "
                                                                        : "turn the tool ";
  out.understood_as = verb + ways + (cut.empty() ? "" : " (" + cut + ")");
  if (out.why.empty()) {
    out.motion = plan_nudge(std::move(effect), config_.bounds);
  } else {
    out.confirm = false;
  }
  return out;
}

}  // namespace nudge
