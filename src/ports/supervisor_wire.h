// JSON of the supervisor's port, as docs/reference/supervisor-port.md specifies it. The teleop port
// carries the same messages. Bytes are bounded (size, depth) before they are parsed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "feedback/broker.h"
#include "feedback/message.h"
#include "nudge/robot.h"
#include "src/daemon/snapshot.h"

namespace nudge {

class History;
struct Caller;
class LearningLedger;
struct DatasetCounts;
struct DeskInfo;
struct LearningStatus;

inline constexpr std::size_t kMaxSupervisorMessage = 64u << 10;  // bytes
inline constexpr int kMaxSupervisorDepth = 16;
inline constexpr int kSupervisorProtocol = 1;

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
// Asks whoever has the lease to pass it on. Changes nothing, and is not logged.
struct AskToDrive {
  std::string id;  // as FeedbackMessage::id
};
// Weights and learning: acts of an engineer.
struct PromoteWeights {
  WeightsVersion version = 0;
};
struct RollBackWeights {};  // to the last confirmed version, or what came before it
struct ResumeLearning {};
// Nothing that this person taught is learned from any more; and the way back.
struct WithdrawCorrections {
  std::string supervisor;
};
struct RestoreCorrections {
  std::string supervisor;
};
struct OperatorMessage {
  std::string id;  // as FeedbackMessage::id
  std::variant<PromoteWeights, RollBackWeights, ResumeLearning, WithdrawCorrections,
               RestoreCorrections>
      body;
};
using ClientMessage =
    std::variant<FeedbackMessage, OperatorMessage, FramesWanted, FrameSeen, Ping, AskToDrive>;

// What is known of a message that was refused, for whoever answers it.
struct RefusedMessage {
  std::string id;    // when it had a valid one
  bool jog = false;  // a wrong command has no answer: it is counted
};

// One text message of `actor`. kInvalidArgument names what is wrong and where; unknown fields are
// ignored, unknown types are not. STOP is taken whatever its id: the id is then empty, and the
// broker says so. Numbers are finite and in the range of their type; whether they make sense is
// for the broker. JogCommand::robot is what the message says, else empty: the connection knows.
// `id`: of a message that has no field of that name; empty: such a message lacks one.
Result<ClientMessage> parse_client_message(std::string_view text, const Actor& actor,
                                           RefusedMessage* refused = nullptr,
                                           std::string_view id = {});

// "script", "viewer", "supervisor", "engineer"
std::string_view to_string(Role role);
// "hold", "policy", "human", "nudge", "script"
std::string_view to_string(ControlSource source);
// "none", "success", "failure", "discard"
std::string_view to_string(LabelValue value);
// "deployment", "demonstration", "evaluation"
std::string_view to_string(EpisodePurpose purpose);

// [A-Za-z0-9_.:-]{1,64}
bool is_message_id(std::string_view id);

// The depth of nesting of a JSON text, without parsing it; stops counting beyond `limit`.
int json_depth(std::string_view text, int limit);

// ---- from the daemon ----------------------------------------------------------------------------
// Text of foreign origin that is not UTF-8 is mended with U+FFFD; a number that is not finite is
// null. So none of these can fail.

std::string encode_ack(const Ack& ack);
// A refusal as an answer of HTTP: what a problem has (RFC 9457), and the fields of the ack.
std::string encode_refusal(const Ack& ack, int http_status, std::string_view title);
std::string encode_pong(const Ping& ping, Instant now);
// To the holder of the lease: `by` would like to drive.
std::string encode_asked_to_drive(const Actor& by);
// What could not be understood, to a message without an id.
std::string encode_problem(const Status& why);

// `secure`: over TLS. A device that was paired is named by its id.
std::string encode_hello(const DeskInfo& info, const Caller& you, bool secure = false);
std::string encode_robot(const RobotSpec& robot);  // the `robot` of hello

// Everything that a status shows; the referents must outlive the call.
struct StatusView {
  const Snapshot& snapshot;
  const History& history;
  const LearningStatus& learning;
  bool recording = false;
  std::uint64_t viewers = 0;
  std::string alarm = {};    // DeskInfo::alarm
  std::string storage = {};  // StorageStatus::text()
};
// `mine`: whether the reader has the lease.
std::string encode_status(const StatusView& view, bool mine);

// Whether people may want to see this event; others are never sent.
bool is_shown(const Event& event);
std::string encode_event(const Event& event);

inline constexpr std::size_t kCurveEpisodes = 200;
inline constexpr std::size_t kShownVersions = 100;
// The newest episodes that have ended, at most `most`, and the success among the newest 20.
std::string encode_curves(const History& history, std::size_t most = kCurveEpisodes);
std::string encode_episodes(const History& history, std::size_t most);  // {"episodes": [...]}
std::string encode_weights(const History& history, const LearningLedger& ledger);

inline constexpr std::size_t kShownRounds = 100;
inline constexpr std::size_t kShownSupervisors = 32;
// What is in the dataset, what the newest rounds made of it, and when the next one comes.
std::string encode_learning(const DatasetCounts& dataset, const LearningLedger& ledger,
                            const LearningStatus& learning);
std::string encode_phrases(const History& history);

// One sentence or two for people: why the robot does not move, or who moves it, and what to do.
// `cause` is a word of Trigger, or "boot"; a word that this build does not know gets the state's
// general sentence.
std::string_view why_text(AuthorityState state, std::string_view cause);

}  // namespace nudge
