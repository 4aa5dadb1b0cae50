// The messages between the daemon and its learner process: versioned, bounded, strictly parsed.
// Specified in docs/reference/learner-protocol.md. No socket here: bytes in, values out.
//
// A message on the wire is two sizes of four bytes, little-endian: of a JSON header and of a body;
// then the two.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"

namespace nudge {

inline constexpr int kLearnerProtocol = 4;
inline constexpr std::size_t kMaxLearnerHeader = 64 * 1024;           // bytes
inline constexpr std::size_t kMaxCandidateBytes = 256 * 1024 * 1024;  // bytes
inline constexpr std::size_t kMaxPageBytes = 4 * 1024 * 1024;         // bytes
inline constexpr std::size_t kMaxFeedItems = 512;                     // per message

using Frame = std::vector<std::byte>;

struct WireMessage {
  Frame header;
  Frame body;  // empty but for weights and pages of the feed

  friend bool operator==(const WireMessage&, const WireMessage&) = default;
};
// The sizes that go in front.
using WirePrefix = std::array<std::byte, 8>;
WirePrefix prefix_of(const WireMessage& message);

// Puts messages together out of a stream. Holds one at most, and judges its sizes before it takes
// memory for them.
class LearnerWireReader {
 public:
  explicit LearnerWireReader(std::size_t max_body) : max_body_(max_body) {}

  // Where the next bytes of the stream belong; never empty. Until the next call of anything else.
  std::span<std::byte> room();
  // So many of them are there now, at most room().size(). kInvalidArgument: the message that
  // begins is too long; the peer has to be closed, and nothing else may be called again.
  Status took(std::size_t count);
  // The message, when it is complete. Before took() is called again.
  std::optional<WireMessage> take();

  bool within() const { return filled_ > 0 || stage_ != Stage::kPrefix; }  // a message has begun
  void set_max_body(std::size_t max_body) { max_body_ = max_body; }

 private:
  enum class Stage { kPrefix, kHeader, kBody, kWhole };
  std::size_t max_body_;
  Stage stage_ = Stage::kPrefix;
  std::size_t filled_ = 0;  // bytes of what the stage is about
  WirePrefix prefix_{};
  std::size_t body_size_ = 0;
  WireMessage message_;
};

// ---- learner to daemon -------------------------------------------------------------------------

struct LearnerHello {
  int pid = 0;
  std::string config_hash;  // hex SHA-256 of the training configuration
  std::string core_type;    // of the BLAS library; results are equal only for equal core types
  // What it is confined by (src/learning/sandbox.h), before it has read anything.
  bool confined = false;  // by all that there is
  std::string sandbox;    // in words
};
// "Send me what comes at or after `from`, as soon as there is any."
struct FeedRequest {
  Sequence from = 1;
};
// One finished round.
struct CandidateMessage {
  WeightsVersion base = 0;  // the version it was trained from
  WeightsKind kind = WeightsKind::kFull;
  Sequence prefix = 0;  // trained on the log up to and including this
  std::uint32_t steps = 0;
  double train_seconds = 0;  // wall time of the round, in the learner
  double loss = 0;           // mean over the round's last tenth
  // What the dataset held at the prefix, without what is held out: episodes and steps of people's
  // corrections, recovery included, and steps of demonstrations.
  std::uint32_t correction_episodes = 0;
  std::uint64_t correction_steps = 0;
  std::uint64_t demonstration_steps = 0;
  Frame weights;  // a weights file
};
// Everything up to `through` has been folded and no round is due or running.
struct LearnerProgress {
  Sequence through = 0;
  std::uint32_t rounds = 0;  // finished since the process started
  std::uint32_t aborted_rounds = 0;
  std::string trouble;  // why the last round gave no candidate; empty: none
};
using LearnerMessage = std::variant<LearnerHello, FeedRequest, CandidateMessage, LearnerProgress>;

// ---- daemon to learner -------------------------------------------------------------------------

// The answer to a hello: what the learner must know of robot and backbone.
struct LearnerWelcome {
  std::uint32_t feature_size = 0;
  std::uint32_t proprioception_size = 0;
  std::uint32_t action_size = 0;
  std::uint64_t policy_period_ns = 0;
  std::string backbone_hash;   // hex SHA-256
  std::string weights_folder;  // of accepted weights, read-only for the learner
};

struct FeedItems {
  Sequence durable = 0;  // newest sequence number on disk when this was sent
  Frame page;            // of the feed (replay/feed.h), in sequence order
};
struct LearnerStop {};  // finish: the daemon goes down
using DaemonMessage = std::variant<LearnerWelcome, FeedItems, LearnerStop>;

// What is large in a message is moved, never copied.
WireMessage encode(LearnerMessage message);
WireMessage encode(DaemonMessage message);

// kInvalidArgument naming the first rule that is broken; kUnimplemented for another protocol
// version. Never reads past a bound, never allocates more than the message itself.
Result<LearnerMessage> decode_learner_message(WireMessage message);
Result<DaemonMessage> decode_daemon_message(WireMessage message);

}  // namespace nudge
