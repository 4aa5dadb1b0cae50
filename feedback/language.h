// What a sentence asks a moving robot for: a fixed vocabulary and a few rules, no learning, no
// guessing. docs/reference/words.md lists what is understood.
//
// The rule that keeps misreadings out: a sentence moves the robot only if every word of it is
// known and all of them together have one reading. "Put it in the left drawer" holds a word about
// drawers, so it is no motion. A doubt about "stop" ends in a stop; any other doubt moves nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nudge {

// Where to. The person's directions are as they see the scene; the robot's own are as it faces.
enum class Direction : std::uint8_t {
  kUp,
  kDown,
  kLeft,     // the person's
  kRight,    // the person's
  kAway,     // from the person
  kNear,     // to the person
  kForward,  // the robot's own: the way it reaches
  kBack,
  kRobotLeft,
  kRobotRight,
  kTurnLeft,  // about the vertical, counter-clockwise seen from above
  kTurnRight,
  kTiltUp,  // the tool's tip
  kTiltDown,
  kRollLeft,
  kRollRight,
  kClose,  // the gripper
  kOpen,
};
inline constexpr std::size_t kDirections = 18;
Direction opposite(Direction direction);
bool is_turn(Direction direction);     // measured in degrees
bool is_gripper(Direction direction);  // kClose, kOpen

struct Amount {
  enum class Kind : std::uint8_t {
    kUnsaid,   // "lower"
    kTiny,     // "a hair"
    kSmall,    // "a bit"
    kLarge,    // "a lot"
    kMetres,   // "two centimetres"
    kDegrees,  // "five degrees"
  };
  Kind kind = Kind::kUnsaid;
  double value = 0;  // of kMetres and kDegrees: above 0, finite
  friend bool operator==(const Amount&, const Amount&) = default;
};

struct Move {
  Direction direction = Direction::kUp;
  Amount amount;
  friend bool operator==(const Move&, const Move&) = default;
};

// The policy's own rates times `scale`; never above what the policy proposes, whoever applies it.
struct SpeedWish {
  bool absolute = false;  // "half speed"; else a factor to the speed in force: "slower"
  double scale = 1;       // above 0
  friend bool operator==(const SpeedWish&, const SpeedWish&) = default;
};

struct Meaning {
  enum class Kind : std::uint8_t {
    kOther,          // not about how the robot moves now: an instruction, or a comment
    kChat,           // "good job": a comment wherever it is said
    kNotUnderstood,  // about motion, but without one clear reading; `why` is for people
    kHold,           // "stop", however it is said
    kMove,           // `moves`, all at once
    kGoBack,         // "undo that"
    kSpeed,          // `speed`
  };
  Kind kind = Kind::kOther;
  std::vector<Move> moves = {};  // 1 to 3, no two along one axis; kClose or kOpen stands alone
  SpeedWish speed = {};
  std::string why = {};
};

// Any bytes; longer than `kLongestSentence` is kOther. Pure.
inline constexpr std::size_t kLongestSentence = 1000;
Meaning read_sentence(std::string_view text);

}  // namespace nudge
