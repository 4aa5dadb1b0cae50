// Messages between the daemon and a robot in another process, as docs/reference/robot-protocol.md
// specifies them. No socket here: bytes in, values out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "nudge/robot.h"
#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/frame.h"

namespace nudge {

inline constexpr std::uint16_t kDefaultRobotPort = 5571;
inline constexpr std::size_t kMaxRobotMessage = 16u
                                                << 20;  // bytes, from the robot, frames included
inline constexpr std::size_t kMaxRobotCommand = 4096;   // bytes, from the daemon
inline constexpr std::size_t kMaxSpecText = 64u << 10;  // bytes, of parse_spec()
inline constexpr Duration kLongestDeadline = std::chrono::seconds(1);

// ---- robot to daemon ---------------------------------------------------------------------------

struct RobotHello {
  int min_version = kWireMajor;  // of the protocol, spoken by the robot's side
  int max_version = kWireMajor;
  std::string program;   // 1 to 64 printable bytes: "nudge-client 0.1.0"
  std::string instance;  // 1 to 64 printable bytes, random per process: a second hello of the same
                         // instance is a reconnection
  std::vector<std::string>
      capabilities;       // at most 16 of at most 32 bytes; unknown ones are ignored
  bool estopped = false;  // the robot refuses to move until reset_estop
  RobotSpec spec;
};

// A new frame of a camera, as JPEG.
struct CameraFrame {
  std::uint16_t camera = 0;  // index in the spec's cameras
  std::uint16_t width = 0;   // pixels
  std::uint16_t height = 0;  // pixels
  Instant captured;          // robot's own clock
  std::vector<std::uint8_t> jpeg;
  friend bool operator==(const CameraFrame&, const CameraFrame&) = default;
};

struct RobotObservation {
  std::uint64_t tick = 0;     // number of this observation; from 1, increasing
  Instant time;               // robot's own steady clock, when the state was read
  Instant sent;               // the same clock, when this message was made; not before `time`
  std::uint64_t applied = 0;  // RobotAction::sequence of the newest action that moved it; 0: none
  bool success = false;
  bool estopped = false;
  bool holding = false;               // it stands still, by hold() or by its own watchdog
  Over over = Over::kNo;              // the robot ends its episode
  std::vector<float> proprioception;  // may hold what is not finite: the authority judges that
  std::vector<float> object_state;
  std::vector<CameraFrame> frames;  // only those of new exposures
  friend bool operator==(const RobotObservation&, const RobotObservation&) = default;
};

// What became of a request; or, unasked, that the robot cannot be observed.
struct RobotReport {
  enum class Of : std::uint16_t { kReset = 1, kResetEstop = 2, kObserve = 3 };
  std::uint32_t request = 0;  // as in the request; 0: unasked
  Of of = Of::kObserve;
  Status status;
};

using RobotMessage = std::variant<RobotHello, RobotObservation, RobotReport>;

// ---- daemon to robot ---------------------------------------------------------------------------

struct RobotWelcome {
  std::uint16_t version = kWireMajor;  // of the protocol, spoken from now on
  std::string program;                 // of the daemon, at most 64 bytes
  friend bool operator==(const RobotWelcome&, const RobotWelcome&) = default;
};
struct RobotAction {
  std::uint64_t sequence = 0;  // from 1, increasing within a session
  std::uint64_t tick = 0;      // of the observation that it answers
  Duration deadline{};  // after its receipt, robot's clock: stop when nothing newer came by then
  Action action;        // all finite
  friend bool operator==(const RobotAction&, const RobotAction&) = default;
};
struct RobotHold {
  friend bool operator==(const RobotHold&, const RobotHold&) = default;
};
struct RobotEstop {
  friend bool operator==(const RobotEstop&, const RobotEstop&) = default;
};
struct RobotResetEstop {
  std::uint32_t request = 0;
  friend bool operator==(const RobotResetEstop&, const RobotResetEstop&) = default;
};
struct RobotReset {
  std::uint32_t request = 0;
  std::uint64_t seed = 0;
  friend bool operator==(const RobotReset&, const RobotReset&) = default;
};
using RobotCommand = std::variant<RobotWelcome, Refusal, RobotAction, RobotHold, RobotEstop,
                                  RobotResetEstop, RobotReset>;

// ---- bytes -------------------------------------------------------------------------------------

// Into `out`, whose memory is used again. kInvalidArgument when a bound is broken; `out` is then
// not to be sent.
Status encode(const RobotMessage& message, std::uint32_t session, WireBytes& out);
Status encode(const RobotObservation& message, std::uint32_t session, WireBytes& out);
Status encode(const RobotCommand& message, std::uint32_t session, WireBytes& out);

// kInvalidArgument names the rule that is broken; kUnimplemented: another protocol version.
Result<Framed<RobotMessage>> decode_robot_message(std::span<const std::byte> frame);
Result<Framed<RobotCommand>> decode_robot_command(std::span<const std::byte> frame);

// Whether the spec can be sent, and makes sense: names, counts, finite bounds, periods.
Status validate(const RobotSpec& spec);
// As the hello's `robot`, on one line; equal specs give equal texts. And back: bounded and
// validated, the errors name the field.
std::string spec_text(const RobotSpec& spec);
Result<RobotSpec> parse_spec(std::string_view text);
// The first difference, for people: "action channel 1 is 'tool_y', not 'tool_x'"; empty: none.
std::string difference(const RobotSpec& now, const RobotSpec& before);

}  // namespace nudge
