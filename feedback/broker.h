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

// What became of words, for people.
struct WordsAck {
  WordsUse use = WordsUse::kNotUnderstood;
  std::string as = {};   // "move the tool 2 cm down"
  bool acted = false;    // the authority took it, or the instruction is in force
  std::string why = {};  // it did not act; empty when it did, and when there is nothing to do
  bool confirm = false;  // asks back: nothing happens before ConfirmWords
  bool undo = false;     // UndoWords may take it back now
  friend bool operator==(const WordsAck&, const WordsAck&) = default;
};

// The answer to a message, sent to every connection that sent its id.
struct Ack {
  std::string id;
  Status status;         // ok: done, and on disk if it is something that is kept
  std::string echo;      // for people: "understood as: stop", "busy: anna drives"
  LeaseEpoch epoch = 0;  // of a granted takeover
  std::string holder;    // busy: who has the lease
  std::optional<WordsAck> words = std::nullopt;  // to WordsMessage, ConfirmWords and UndoWords
  friend bool operator==(const Ack&, const Ack&) = default;
};

struct GoBack {};  // the last nudge, the other way

// What a sentence means.
struct Understood {
  WordsUse use = WordsUse::kNotUnderstood;
  std::string understood_as;  // echoed to the person
  // Acts at once, unless `confirm`.
  std::variant<std::monostate, Hold, NudgeBias, SpeedChange, GoBack> motion;
  bool confirm = false;  // asks back first
  std::string why = {};  // kNudge without a motion: why this robot cannot do it
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
  Duration confirm_within = std::chrono::seconds(10);  // after the words that asked back
  Duration go_back_within = std::chrono::seconds(30);  // after the nudge; above 0, both of them
  Status validate() const;
};

// What the receiving thread knows of the rest, as of the newest decision and commit.
struct Situation {
  AuthorityState state = AuthorityState::kHold;
  Lease lease;
  EpisodeId newest_episode = 0;   // running or ended; 0: none yet
  std::uint32_t policy_step = 0;  // newest step of that episode
  SpanId newest_span = 0;         // 0: none yet
  std::string instruction = {};   // in force
  Instant now = {};               // robot's steady clock
  bool resetting = false;         // somebody is to drive, and waits for the robot's reset
  Instant driving_since = {};     // when the policy began to drive, the last time; same clock
  std::uint64_t help = 0;         // what the policy asks now, as in HelpAsked; 0: nothing
  bool episode_runs = false;      // the newest one
};

// An event to be logged, as far as the broker can fill it in.
struct FeedbackRecord {
  std::string id;  // of the message, on the last record it caused; empty: the writer makes one
  Actor actor;
  EpisodeId episode = 0;
  std::uint32_t policy_step = 0;
  // Words*, InstructionChanged, Label, StepsDiscarded, SpanSplit or HelpEnded
  Payload payload;
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
  // STOP is the exception: it stops whatever its id and its sender's role, and each press is a fact
  // of its own, logged under an id of the broker's when its own was used. "Stop", said, holds even
  // when the memory of ids is full.
  Handled handle(const FeedbackMessage& message, const Situation& situation);

  // The authority decided about an act. Refused, or nothing to log: the answer to send now.
  std::optional<Ack> on_decided(const ActAnswer& answer);

  // The event with this id is on disk: the answer to send now; none when nobody waits for it. The
  // answer carries the message's id, which a repeated STOP's event has not.
  std::optional<Ack> on_durable(std::string_view id);

  // The event could not be stored (disk full, queue closed): the refusal to send, once it is known
  // what became of the act that came with it. The id is forgotten, so that sending it again tries
  // again.
  std::optional<Ack> on_not_stored(std::string_view id, const Status& why);

  // The act with this id did not reach the authority (its queue is full): the same, at once.
  std::optional<Ack> on_not_asked(std::string_view id, const Status& why);

  // Commands that were not passed on, by reason. Those that are, the authority judges and counts.
  const std::array<std::uint64_t, kCommandRefusals>& refused_commands() const { return refused_; }

 private:
  struct Remembered {
    std::string actor;
    Ack ack;
    bool decided = true;   // false: an act the authority has not answered yet
    bool durable = false;  // its event is on disk
    bool answered = false;
    Status not_stored;   // ok: nothing is known against it
    std::string spoken;  // id of the words that the act is about; empty: none
    std::string undoes;  // id of the words that it takes back; empty: none
  };
  // Words that may still be confirmed or taken back.
  struct Spoken {
    Actor actor;
    Understood understood;
    Instant said;
    EpisodeId episode = 0;
    std::string reverse = {};                     // of GoBack: the nudge's words; empty: none
    std::optional<std::string> instruction = {};  // kInstruction: the one before it
    double speed_before = 1;                      // kSpeed, once it has acted
    bool asks = false, undone = false;
  };
  struct Verdict {
    std::string echo;
    std::optional<WordsAck> words;
    std::string spoken;
    std::string undoes;
  };
  Broker(const BrokerConfig& config, Known known, Understand understand);

  void take_jog(const Actor& actor, const JogCommand& jog, const Situation& situation,
                Handled& out);
  void take_stop(const FeedbackMessage& message, Handled& out);
  bool repeated(const FeedbackMessage& message, Handled& out) const;
  std::string id_of_repeated_stop(const std::string& id);
  Status judge(const FeedbackMessage& message, const Situation& situation, Handled& out,
               Verdict& verdict);
  Status judge_words(const FeedbackMessage& message, const WordsMessage& words,
                     const Situation& situation, Handled& out, Verdict& verdict);
  Status judge_confirm(const FeedbackMessage& message, const ConfirmWords& confirm,
                       const Situation& situation, Handled& out, Verdict& verdict);
  Status judge_undo(const FeedbackMessage& message, const UndoWords& undo,
                    const Situation& situation, Handled& out, Verdict& verdict);
  // The words of this message's sender; why not.
  Result<Spoken*> find_spoken(const std::string& id, const Actor& actor);
  // The nudge that "go back", said at `asked`, reverses: the last one, if it was recent and neither
  // taken back nor cut short, so that it is known how far it came. Null: there is none.
  const Spoken* reversible(const Situation& situation, Instant asked) const;
  void remember_spoken(const std::string& id, Spoken spoken);
  // What the authority made of the act of words.
  void settle_words(const ActAnswer& answer, Remembered& entry);
  // Taking these words back did not come about: it may be tried again. Empty: nothing was.
  void restore(const std::string& undoes);
  std::optional<Ack> forget(const std::string& id, Status why);
  // Forgets the oldest answered message when the memory is full; false: all of them wait.
  bool make_room();
  // Under `id`: the message's own, but for a STOP that repeats one.
  Remembered& remember(const std::string& id, const FeedbackMessage& message);

  BrokerConfig config_;
  Known known_;
  Understand understand_;
  std::uint64_t repeated_stops_ = 0;
  std::unordered_map<std::string, Remembered> recent_;
  std::deque<std::string> order_;                   // the same ids, oldest first
  std::unordered_map<std::string, Spoken> spoken_;  // by id of the message
  std::deque<std::string> spoken_order_;            // the same ids, oldest first
  std::string nudge_words_;                         // of the newest nudge that the authority took
  std::optional<std::string> instruction_;          // newest that went through here
  std::string instruction_words_;                   // and the words that it came from
  std::string speed_words_;                         // the newest that changed the speed
  std::array<std::uint64_t, kCommandRefusals> refused_{};
  // Of the newest command that was passed on.
  LeaseEpoch newest_epoch_ = 0;
  std::uint64_t newest_sequence_ = 0;
};

}  // namespace nudge
