// JSON of the supervisor's port, as docs/reference/supervisor-port.md specifies it. The teleop port
// carries the same messages. Bytes are bounded (size, depth) before they are parsed.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "feedback/broker.h"
#include "feedback/message.h"
#include "nudge/robot.h"
#include "src/daemon/snapshot.h"

namespace nudge {

inline constexpr std::size_t kMaxSupervisorMessage = 64u << 10;  // bytes
inline constexpr int kMaxSupervisorDepth = 16;

// What a client may send besides feedback.
struct FramesWanted {
  std::vector<std::string> cameras;  // at most 16; replaces what was wanted before
};
struct FrameSeen {
  std::uint32_t camera = 0;    // index in the hello's list
  std::uint32_t sequence = 0;  // as in the frame's header
};
struct Ping {
  double sent = 0;  // the client's own clock, echoed
};
// Weights and learning: acts of an engineer.
struct PromoteWeights {
  WeightsVersion version = 0;
};
struct RollBackWeights {};  // to the last confirmed version, or what came before it
struct ResumeLearning {};
struct OperatorMessage {
  std::string id;  // as FeedbackMessage::id
  std::variant<PromoteWeights, RollBackWeights, ResumeLearning> body;
};
using ClientMessage = std::variant<FeedbackMessage, OperatorMessage, FramesWanted, FrameSeen, Ping>;

// One text message of `actor`. kInvalidArgument names what is wrong and where; unknown fields are
// ignored, unknown types are not.
Result<ClientMessage> parse_client_message(std::string_view text, const Actor& actor);

// The depth of nesting of a JSON text, without parsing it; stops counting beyond `limit`.
int json_depth(std::string_view text, int limit);

std::string encode_ack(const Ack& ack);
std::string encode_pong(const Ping& ping, Instant now);

}  // namespace nudge
