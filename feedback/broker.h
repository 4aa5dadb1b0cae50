// Judges what supervisors send and turns it into acts for the authority, events for the log, and
// answers that are given only when the event is on disk. Words pass through one function, so that a
// grammar can take the place of the built-in one.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "feedback/authority.h"
#include "feedback/message.h"
#include "nudge/event.h"
#include "nudge/status.h"

namespace nudge {

// The answer to a message, sent to every connection that sent its id.
struct Ack {
  std::string id;
  Status status;         // ok: done, and on disk if it is something that is kept
  std::string echo;      // for people: "understood as: stop", "busy: anna drives"
  LeaseEpoch epoch = 0;  // of a granted takeover
  std::string holder;    // busy: who has the lease
  friend bool operator==(const Ack&, const Ack&) = default;
};

// What a sentence means.
struct Understood {
  WordsUse use = WordsUse::kNotUnderstood;
  std::string understood_as;                             // echoed to the person
  std::variant<std::monostate, Hold, NudgeBias> motion;  // acts at once
};
using Understand = std::function<Understood(const WordsMessage&)>;

// "stop" in any case and punctuation is Hold, whatever other function takes this one's place; all
// else is what the page's mode says.
Understood understand_only_stop(const WordsMessage& words);

struct BrokerConfig {
  std::string robot;                  // RobotSpec::id
  std::size_t action_size = 0;        // ActionSpec::size()
  Duration policy_period{};           // of a policy step; above 0
  std::size_t remembered_ids = 4096;  // recent messages whose answer is kept; at least 16
  Status validate() const;
};

// What the receiving thread knows of the rest, as of the newest decision and commit.
struct Situation {
  AuthorityState state = AuthorityState::kHold;
  Lease lease;
  EpisodeId newest_episode = 0;   // running or ended; 0: none yet
  std::uint32_t policy_step = 0;  // newest step of that episode
  SpanId newest_span = 0;         // 0: none yet
  std::uint64_t help = 0;         // what the policy asks now, as in HelpAsked; 0: nothing
};

// An event to be logged, as far as the broker can fill it in.
struct FeedbackRecord {
  std::string id;  // of the message, on the last record it caused; empty: the writer makes one
  Actor actor;
  EpisodeId episode = 0;
  std::uint32_t policy_step = 0;
  Payload payload;  // Words, InstructionChanged, Label, StepsDiscarded, SpanSplit or HelpEnded
};

struct Handled {
  std::optional<Ack> ack;           // send now: refused, or a repeated id
  bool stop = false;                // raise the STOP count and call Robot::estop(), before all else
  std::optional<AuthorityAct> act;  // into the lossless queue
  std::optional<SentJog> jog;       // into the latest-wins slot
  std::vector<FeedbackRecord> records;  // to the writer, in order
};

// Not thread-safe: belongs to the io thread. Never blocks.
class Broker {
 public:
  // True when the log already holds an event with this id; must not wait for the disk.
  using Known = std::function<bool(std::string_view id)>;

  static Result<Broker> make(const BrokerConfig& config, Known known,
                             Understand understand = understand_only_stop);

  // Judges one message. A repeated id changes nothing and gets the same answer, once there is one;
  // STOP is the exception: it stops whatever its id and its sender's role. "Stop", said, holds even
  // when the memory of ids is full.
  Handled handle(const FeedbackMessage& message, const Situation& situation);

  // The authority decided about an act. Refused, or nothing to log: the answer to send now.
  std::optional<Ack> on_decided(const ActAnswer& answer);

  // The event with this id is on disk: the answer to send now; none when nobody waits for it.
  std::optional<Ack> on_durable(std::string_view id);

  // The event could not be stored (disk full, queue closed): the refusal to send. The id is
  // forgotten, so that sending it again tries again.
  std::optional<Ack> on_not_stored(std::string_view id, const Status& why);

  // Commands that were not passed on, by reason. Those that are, the authority judges and counts.
  const std::array<std::uint64_t, kCommandRefusals>& refused_commands() const { return refused_; }

 private:
  struct Remembered {
    std::string actor;
    Ack ack;
    bool decided = true;   // false: an act the authority has not answered yet
    bool durable = false;  // its event is on disk
    bool answered = false;
  };
  Broker(const BrokerConfig& config, Known known, Understand understand);

  void take_jog(const Actor& actor, const JogCommand& jog, const Situation& situation,
                Handled& out);
  void take_stop(const FeedbackMessage& message, Handled& out);
  bool repeated(const FeedbackMessage& message, Handled& out) const;
  Status judge(const FeedbackMessage& message, const Situation& situation, Handled& out,
               std::string& echo) const;
  Status judge_words(const FeedbackMessage& message, const WordsMessage& words,
                     const Situation& situation, Handled& out, std::string& echo) const;
  // Forgets the oldest answered message when the memory is full; false: all of them wait.
  bool make_room();
  Remembered& remember(const FeedbackMessage& message);

  BrokerConfig config_;
  Known known_;
  Understand understand_;
  std::unordered_map<std::string, Remembered> recent_;
  std::deque<std::string> order_;  // the same ids, oldest first
  std::array<std::uint64_t, kCommandRefusals> refused_{};
  // Of the newest command that was passed on.
  LeaseEpoch newest_epoch_ = 0;
  std::uint64_t newest_sequence_ = 0;
};

}  // namespace nudge
