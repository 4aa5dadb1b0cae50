// Messages of the teleoperation port: leader arms, gamepads and programs that drive like people do.
// docs/reference/teleop-protocol.md specifies them. No socket here: bytes in, values out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "feedback/broker.h"
#include "feedback/message.h"
#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/frame.h"

namespace nudge {

inline constexpr std::uint16_t kDefaultTeleopPort = 5572;
inline constexpr std::size_t kMaxTeleopText = 64u << 10;                        // bytes, feedback
inline constexpr std::size_t kMaxTeleopMessage = kMaxTeleopText + kWireHeader;  // from a peer
inline constexpr std::size_t kMaxTeleopReply = 16u << 10;                       // from the daemon
inline constexpr std::uint32_t kMaxStateEvery = 10'000;                         // control ticks

// ---- peer to daemon ----------------------------------------------------------------------------

struct TeleopHello {
  int min_version = kWireMajor;
  int max_version = kWireMajor;
  std::string program;      // 1 to 64 printable bytes
  std::string instance;     // 1 to 64 printable bytes, random per process
  std::string name;         // 1 to 64 printable bytes, shown to others
  std::string token;        // 1 to 256 printable bytes
  std::string robot;        // RobotSpec::id of the robot that it means to drive
  std::uint32_t every = 0;  // control ticks from one state to the next; 0: 50 times a second
};
// The text of a message of the supervisor's port, such as {"type": "takeover", "id": "..."}.
struct TeleopFeedback {
  std::string text;
};
struct TeleopAlive {};  // "I am still here"
struct TeleopBye {};    // the session ends
// A jog is never refused for values that are not finite: the authority counts such commands, and
// holds when they repeat.
using TeleopMessage = std::variant<TeleopHello, JogCommand, TeleopFeedback, TeleopAlive, TeleopBye>;

// ---- daemon to peer ----------------------------------------------------------------------------

struct TeleopWelcome {
  std::uint16_t version = kWireMajor;  // of the protocol, spoken from now on
  Role role = Role::kViewer;           // of the token
  std::uint16_t action_size = 0;       // ActionSpec::size()
  Duration control_period{}, policy_period{};
  Duration fresh{};     // longest age of a jog
  std::string name;     // the peer's, unique per connection: "leader#t2"
  std::string program;  // of the daemon
  std::string robot;    // RobotSpec::id
  friend bool operator==(const TeleopWelcome&, const TeleopWelcome&) = default;
};

// What a driver must know, at the control rate. Times are of the daemon's steady clock.
struct TeleopState {
  ControlTick tick = 0;  // to be echoed by jogs
  Instant now;           // beginning of the tick
  Instant observed;      // Observation::time
  AuthorityState state = AuthorityState::kHold;
  ControlSource source = ControlSource::kHold;
  bool mine = false;          // the reader holds the lease
  bool success = false;       // Observation::success
  bool recording = false;     // feedback can be stored
  bool last_success = false;  // the robot called the newest episode that has ended a success
  Role holder_role = Role::kScript;
  std::string holder;     // who has the lease; empty: nobody
  LeaseEpoch epoch = 0;   // of the newest grant
  EpisodeId episode = 0;  // 0: none runs
  std::uint32_t policy_step = 0;
  std::uint32_t autonomous = 0;  // policy steps of the episode that the policy drove
  std::uint32_t step_limit = 0;  // of those
  WeightsVersion playing = 0;
  std::vector<float> proprioception;
  std::vector<float> object_state;
  friend bool operator==(const TeleopState&, const TeleopState&) = default;
};

using TeleopReply = std::variant<TeleopWelcome, Refusal, TeleopState, Ack>;

// ---- bytes -------------------------------------------------------------------------------------

// Into `out`, whose memory is used again. kInvalidArgument when a bound is broken; `out` is then
// not to be sent.
Status encode(const TeleopMessage& message, std::uint32_t session, WireBytes& out);
Status encode(const TeleopReply& message, std::uint32_t session, WireBytes& out);
// Does not copy the state.
Status encode(const TeleopState& message, std::uint32_t session, WireBytes& out);

// kInvalidArgument names the rule that is broken; kUnimplemented: another protocol version.
Result<Framed<TeleopMessage>> decode_teleop_message(std::span<const std::byte> frame);
Result<Framed<TeleopReply>> decode_teleop_reply(std::span<const std::byte> frame);

// A message as the supervisor's port has it. kInvalidArgument: a jog has no text here.
Result<std::string> feedback_text(const FeedbackMessage& message);

}  // namespace nudge
