// What the log is made of: discrete events and, beside them, the steps. Both carry one sequence.
// The numbers of persisted enums and the names of payloads never change; new ones are added.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "nudge/types.h"

namespace nudge {

// ---- payloads: one struct per kind of event ---------------------------------------------------

struct Booted {
  std::string program;  // name and version of the daemon
  std::string robot;    // RobotSpec::id
  // What the robot is, as one line of JSON (`robot` of its hello; robot-protocol.md), and the hex
  // SHA-256 of that part of it which decides whether what was recorded teaches this robot. Both are
  // empty in events of payload versions 1 and 2, and where a boot had no robot.
  std::string spec = {};
  std::string shape = {};
};

enum class EpisodePurpose : std::uint8_t { kDeployment = 0, kDemonstration = 1, kEvaluation = 2 };
struct EpisodeStarted {
  EpisodePurpose purpose = EpisodePurpose::kDeployment;
  std::uint64_t seed = 0;   // given to Robot::reset()
  std::string instruction;  // in force at the first step
};

enum class EpisodeEnd : std::uint8_t { kTaskDone = 0, kTimeLimit = 1, kReset = 2, kAborted = 3 };
struct EpisodeEnded {
  EpisodeEnd reason = EpisodeEnd::kAborted;  // never a judgement: that is a Label
  std::uint32_t steps = 0;                   // policy steps taken
};

// Spans: who drove, marked exactly. A span covers the policy steps first_step..last_step of its
// episode, both included.
enum class SpanKind : std::uint8_t { kTakeover = 0, kNudge = 1 };
struct SpanOpened {
  SpanId span = 0;
  SpanKind kind = SpanKind::kTakeover;
  LeaseEpoch epoch = 0;
  std::uint32_t first_step = 0;
};
enum class SpanEnd : std::uint8_t {
  kReleased = 0,   // the person let go or handed back
  kLinkLost = 1,   // steps after the last fresh command are not part of it
  kPreempted = 2,  // a higher role took the lease
  kEpisodeEnded = 3,
  kFault = 4,
  kStopped = 5,
};
struct SpanClosed {
  SpanId span = 0;
  SpanEnd reason = SpanEnd::kReleased;
  std::uint32_t last_step =
      0;                 // of the steps with a fresh command; < first_step: the span is empty
  bool complete = true;  // false: steps of it were lost; a training window ends there
};
// Splits a takeover: steps before `correction_from` undo a mess (recovery), the rest show how to do
// the task (correction). Without a split all of it is correction.
struct SpanSplit {
  SpanId span = 0;
  std::uint32_t correction_from = 0;
};

struct StepsLost {  // a gap: the sequence goes on, the steps do not
  std::uint32_t first_step = 0;
  std::uint32_t count = 0;
  bool human = false;
};

enum class AuthorityState : std::uint8_t {
  kHold = 0,
  kTakeover = 1,
  kHuman = 2,
  kHandback = 3,
  kAuto = 4,
  kFaultHold = 5,
  kEstop = 6,
};
struct AuthorityChanged {
  AuthorityState from = AuthorityState::kHold;
  AuthorityState to = AuthorityState::kHold;
  std::string cause;  // stable word, "released", "command_stale"
};
struct LeaseGranted {
  LeaseEpoch epoch = 0;
};
struct LeaseEnded {
  LeaseEpoch epoch = 0;
  std::string cause;
};

enum class WordsUse : std::uint8_t {
  kNotUnderstood = 0,
  kInstruction = 1,
  kNudge = 2,
  kComment = 3,
  kHold = 4,
  kSpeed = 5,
};
struct Words {
  std::string text;  // at most 1,000 bytes, as the person said it
  WordsUse use = WordsUse::kComment;
  std::string understood_as;  // echoed to the person
};
struct InstructionChanged {
  std::string instruction;
};
// What became of words; each names the id of their Words event.
struct WordsConfirmed {
  std::string words;  // that asked for it: "let go"
};
struct WordsActed {
  std::string words;
  SpanId span = 0;  // of kind kNudge: the steps that they bent
};
struct WordsUndone {
  std::string words;  // taken back: the steps that their nudge bent are not learned from
};

enum class LabelValue : std::uint8_t { kNone = 0, kSuccess = 1, kFailure = 2, kDiscard = 3 };
struct Label {
  EpisodeId episode = 0;                 // the episode meant; late labels name an ended one
  SpanId span = 0;                       // 0: the whole episode
  LabelValue value = LabelValue::kNone;  // kNone takes the label back
};
// "Undo the last N seconds": these steps are excluded from every dataset.
struct StepsDiscarded {
  EpisodeId episode = 0;
  std::uint32_t first_step = 0;
  std::uint32_t last_step = 0;
};

enum class WeightsKind : std::uint8_t { kProvisional = 0, kFull = 1 };
using Sha256 = std::array<std::uint8_t, 32>;

struct CandidateReceived {
  Sha256 hash{};  // of the candidate's bytes
  WeightsVersion parent = 0;
  WeightsKind kind = WeightsKind::kFull;
  Sequence prefix = 0;       // trained on the log up to and including this
  double train_seconds = 0;  // wall time of the round
  // As the learner tells it; all zero in events of the first payload version.
  std::uint32_t steps = 0;                // of the optimiser
  double loss = 0;                        // mean over the round's last tenth
  std::uint32_t correction_episodes = 0;  // that it may learn from, up to the prefix
  std::uint64_t correction_steps = 0;     // the same, recovery included
  std::uint64_t demonstration_steps = 0;
};
struct WeightsAccepted {
  WeightsVersion version = 0;
  Sha256 hash{};
  WeightsVersion parent = 0;
  WeightsKind kind = WeightsKind::kFull;
  std::string report;  // the gate's figures, one line of JSON
};
struct WeightsRejected {
  Sha256 hash{};
  WeightsVersion parent = 0;
  std::string reason;  // stable word: "non_finite", "wrong_shape", "forgets", ...
  std::string detail;  // for people
};
struct WeightsLive {
  WeightsVersion version = 0;
};  // its first action was applied
struct WeightsConfirmed {
  WeightsVersion version = 0;
};  // survived probation; may be booted
struct WeightsRolledBack {
  WeightsVersion from = 0;
  WeightsVersion to = 0;
  std::string reason;
};
struct WeightsPromoted {
  WeightsVersion version = 0;
};  // by an engineer's act; confirmed at once

struct LearningPaused {
  std::string reason;
};
struct LearningResumed {};
struct Fault {
  std::string code;
  std::string detail;
};
struct Stopped {};  // STOP was pressed; latched
struct StopReset {};

// The policy asked a person for help: it is unsure, or it does not get on.
enum class HelpReason : std::uint8_t { kDisagreement = 0, kNoProgress = 1, kBoth = 2 };
struct HelpAsked {
  std::uint64_t help = 0;  // number over the life of the log, from 1
  HelpReason reason = HelpReason::kDisagreement;
  double score = 0;  // 0..1, of the worst sign at that moment; 0.5 is where it asks
};
enum class HelpEnd : std::uint8_t {
  kTakenOver = 0,  // a person came
  kDeclined = 1,   // a person said that it is not needed in this episode
  kSettled = 2,    // the signs have gone by themselves
  kHeld = 3,       // the policy stopped driving for another reason
  kEpisodeEnded = 4,
};
struct HelpEnded {
  std::uint64_t help = 0;
  HelpEnd reason = HelpEnd::kTakenOver;
};
// The worst sign of each kind while the policy drove in an episode, asked or not: what later
// thresholds are made from (policy/help_thresholds.h).
struct HelpScored {
  double disagreement = -1;  // largest, smoothed; deviations of the action, < 0: unknown
  double travel = -1;        // smallest, share of the channels' range, < 0: unknown
  double seconds = 0;        // that the policy drove, since the last takeover
};

// Nothing that this person taught is learned from any more, whenever they taught it; and the way
// back. Weights that had learned from it stay as they are (policy/weights_history.h tells which).
struct CorrectionsWithdrawn {
  std::string
      supervisor;  // of the person: "anna", whatever device or connection they spoke through
};
struct CorrectionsRestored {
  std::string supervisor;
};

// What an episode is worth when room must be made: the least first (replay/retention.h).
enum class EpisodeWorth : std::uint8_t {
  kPlainSuccess = 0,  // the policy alone, and it worked
  kUnjudged = 1,  // the policy alone: nobody said how it went, or that it must not be learned from
  kPlainFailure = 2,  // the policy alone, and it failed
  kNudged = 3,        // words bent it
  kCorrected = 4,     // a person drove
};
// The steps of an episode were deleted, to keep the log within its budget. Its events stay.
struct EpisodeEvicted {
  EpisodeId episode = 0;
  EpisodeWorth worth = EpisodeWorth::kPlainSuccess;
  Sequence first = 0;  // of its steps; with `last` the numbers that can no longer be read,
  Sequence last = 0;   // but for events between them. Both 0: it had none
  std::uint64_t steps = 0;
  std::uint64_t bytes = 0;  // of the file
};

// Who may come in. Only what is public stands in these: never a code, a token or a private key.
struct PairingCodeMade {
  Role role = Role::kViewer;  // that a device gets for it
};
struct DevicePaired {
  std::string device;  // its id, for as long as it may come
  std::string name;    // as its person typed it
  Role role = Role::kViewer;
  std::string from;  // address that the code came from
};
enum class DeviceEnd : std::uint8_t {
  kByHand = 0,  // an engineer sent it away
  kCopied = 1,  // its refresh was used twice: somebody has a copy
  kUnused = 2,  // it had not come for long
};
struct DeviceRevoked {
  std::string device;
  std::string name;
  DeviceEnd reason = DeviceEnd::kByHand;
};
// The list of keys became another one; the daemon tells when it sees that, also at its start.
enum class KeyUse : std::uint8_t { kRobot = 0, kTeleop = 1 };  // which port it opens
struct KeyAdded {
  std::string name;
  KeyUse use = KeyUse::kTeleop;
  Role role = Role::kSupervisor;
  std::string key;  // the public one, as 40 characters of Z85
};
struct KeyRemoved {
  std::string name;
  std::string key;
};
// A role's token of this machine became another one; the daemon tells when it sees that, also at
// its start.
struct TokenChanged {
  Role role = Role::kViewer;
  std::string id;  // token_id(): which one it is now; empty: the role has none
};

// A record of these kinds in the log is a fact; which ones exist is part of the log's format.
using Payload =
    std::variant<Booted, EpisodeStarted, EpisodeEnded, SpanOpened, SpanClosed, SpanSplit, StepsLost,
                 AuthorityChanged, LeaseGranted, LeaseEnded, Words, InstructionChanged, Label,
                 StepsDiscarded, CandidateReceived, WeightsAccepted, WeightsRejected, WeightsLive,
                 WeightsConfirmed, WeightsRolledBack, WeightsPromoted, LearningPaused,
                 LearningResumed, Fault, Stopped, StopReset, WordsConfirmed, WordsActed,
                 WordsUndone, HelpAsked, HelpEnded, HelpScored, CorrectionsWithdrawn,
                 CorrectionsRestored, EpisodeEvicted, PairingCodeMade, DevicePaired, DeviceRevoked,
                 KeyAdded, KeyRemoved, TokenChanged>;

// One discrete event.
struct Event {
  std::string id;         // made by the sender, [A-Za-z0-9_.:-]{1,64}; sending it again
                          // changes nothing
  Sequence sequence = 0;  // given by the log
  EpisodeId episode = 0;
  std::uint32_t policy_step = 0;  // the step during which it happened
  ControlTick control_tick = 0;
  Instant time;  // robot's steady clock; comparable only within one boot
  WallTime wall_time;
  std::string boot;            // id of the boot, as in Booted's event; at most 36 bytes
  Actor actor;                 // who did it; role kScript and the program's name for our own acts
  WeightsVersion weights = 0;  // live at that moment
  Payload payload;
};

// Why a step must be looked at twice. Persisted: never renumber.
enum StepFlag : std::uint32_t {
  kStepClamped = 1u << 0,  // executed differs from requested
  kStepFirstOfChunk = 1u << 1,
  kStepStale = 1u << 2,   // no fresh command or chunk: the robot held during part of it
  kStepShort = 1u << 3,   // shorter than a policy period: control changed hands, which ends a step
  kStepSlowed = 1u << 4,  // words had slowed the policy: its rates were cut by them
};

// One policy step. Written to the episode's segment file.
struct Step {
  Sequence sequence = 0;  // given by the log
  EpisodeId episode = 0;
  std::uint32_t policy_step = 0;  // from 0 in each episode
  ControlTick control_tick = 0;   // first tick of the step
  Instant time;                   // robot's steady clock, of the observation
  WallTime wall_time;
  WeightsVersion weights = 0;  // that proposed
  ControlSource source = ControlSource::kHold;
  std::uint32_t flags = 0;      // StepFlag
  SpanId span = 0;              // open during the step; 0: none
  std::vector<float> features;  // [backbone's size], stored as fp16
  std::vector<float> proprioception;
  Action proposed;   // by the policy, also while a person drives; empty: none
  Action requested;  // by whoever was in control, mean over the step's ticks
  Action executed;   // after limits, mean over the step's ticks
  // What somebody else proposed for the chunk that begins with this step (policy/reference.h):
  // [SegmentSpec::reference_rows, action_size], aligned to the step's start; empty: nothing.
  std::vector<float> reference;
  // Control ticks from the observation that the reference answers to this step's.
  std::uint32_t reference_age = 0;
  std::vector<Image> images;  // only .camera, .captured, .width, .height and .jpeg are stored
};

using Entry = std::variant<Event, Step>;

}  // namespace nudge
