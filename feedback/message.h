// What a supervisor may send. Plain values: the wire formats in src/ parse into these, the broker
// judges them. Thread-safe as values are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nudge/event.h"
#include "nudge/types.h"

namespace nudge {

// "Let me drive." Sent when the dead-man is pressed, in AUTO and again after every HOLD: a press
// that nobody asked for through this lossless message never moves the robot.
struct TakeoverRequest {};

// One command of a driving person, sent at 20 Hz or more for as long as they hold the lease; with
// dead_man false (thumb lifted) it moves nothing but keeps the lease alive.
struct JogCommand {
  std::string robot;            // RobotSpec::id; at most 64 bytes
  LeaseEpoch epoch = 0;         // as granted
  std::uint64_t sequence = 0;   // increases with every command of the epoch
  ControlTick echoed_tick = 0;  // newest control tick the sender had seen when it made this
  bool dead_man = false;        // held at that moment
  Action action;                // normalised rates, [ActionSpec::size()]
  // A leader arm's own joints when it made this, in the units and the order of the robot's joints
  // (AuthorityConfig::joints); empty: relative jog, which is always aligned.
  std::vector<float> leader = {};
};

struct Release {};     // gives the lease up; the robot holds
struct HandBack {};    // lets the policy drive; from the boot's HOLD it is called "start"
struct Stop {};        // the page's STOP: latches, from any role
struct ResetStop {};   // ends the latch; the robot holds
struct ResetFault {};  // ends FAULT_HOLD once its cause is gone; the robot holds
struct Hold {};        // "stop", said: the robot holds; from anyone

// "This episode is over": the robot holds, and the episode ends as it is. Not while somebody else
// has the lease, unless their role is lower.
struct EndEpisode {};

// Where the person looks from: at the robot's face, as a camera in front of it does, or over its
// shoulder. What is left for one is right for the other.
enum class Viewpoint : std::uint8_t { kFacing, kBehind };

// Something said or typed.
struct WordsMessage {
  std::string text;                         // 1 to 1,000 bytes of UTF-8
  WordsUse meant = WordsUse::kInstruction;  // kInstruction or kComment, by the page's mode; motion
                                            // words are recognised in both
  std::optional<Viewpoint> view = std::nullopt;  // of the speaker; none: the configured one
};

// "Yes" to words that asked back: they act now. By their speaker, within 10 s, once.
struct ConfirmWords {
  std::string words;  // id of their message
};

// Takes words back: a nudge under way ends on its ramp, an instruction or a speed gives way to the
// one before, and steps that the nudge bent are not learned from. By their speaker.
struct UndoWords {
  std::string words;  // id of their message
};

struct LabelMessage {
  EpisodeId episode = 0;  // 0: the newest one
  SpanId span = 0;        // 0: the whole episode
  LabelValue value = LabelValue::kNone;
};

// "Undo the last N seconds": those steps of the newest episode are never learned from.
struct UndoLast {
  double seconds = 0;  // above 0, at most 600
};

// Steps of the takeover before `step` undo a mess, from it on they show how to do the task.
struct SplitSpan {
  SpanId span = 0;
  std::uint32_t step = 0;  // policy step of the span's episode
};

// "No help needed": the policy asks no more in this episode.
struct DeclineHelp {
  std::uint64_t help = 0;  // as in HelpAsked
};

using FeedbackBody = std::variant<TakeoverRequest, JogCommand, Release, HandBack, Stop, ResetStop,
                                  ResetFault, Hold, WordsMessage, LabelMessage, UndoLast, SplitSpan,
                                  ConfirmWords, UndoWords, DeclineHelp, EndEpisode>;

struct FeedbackMessage {
  std::string id;  // made by the sender, [A-Za-z0-9_.:-]{1,64}, never used for anything else; a
                   // JogCommand needs none
  Actor actor;     // from the authenticated connection, never from the message's own bytes
  FeedbackBody body;
};

}  // namespace nudge
