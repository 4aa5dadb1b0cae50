// Who moves the robot. One pure state machine, asked once per control tick by the step thread:
// time, the robot's state, the acts of people, the newest command and the policy's proposal go in;
// what the robot does this tick comes out. docs/reference/authority.md draws it.
//
// The order of severity (ESTOP > FAULT_HOLD > HOLD > HUMAN > TAKEOVER > AUTO), the freshness of
// commands by echoed tick and the rule that nothing resumes by itself follow what PX4's commander
// and manual control selector do; see also MoveIt Servo's and the UR client's command timeouts.
//
// This is software. It is not a safety-rated stop.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "feedback/limits.h"
#include "feedback/message.h"
#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

// "HOLD", "TAKEOVER", "HUMAN", "HANDBACK", "AUTO", "FAULT_HOLD", "ESTOP".
std::string_view to_string(AuthorityState state);

// ---- why a state changes ----------------------------------------------------------------------

enum class Trigger : std::uint8_t {
  kStopped,
  kStopReset,
  kTickDisorder,
  kLoopGap,
  kRobotNotFinite,
  kRobotStale,
  kWeightsFailed,
  kPolicyNotFinite,
  kPolicyWrongSize,
  kInferenceLate,
  kFaultReset,
  kHoldAsked,
  kOutOfLimits,
  kResetFailed,
  kCameraStale,
  kTakeoverAsked,
  kPreempted,
  kReleased,
  kHandBackAsked,
  kDriving,
  kTakeoverTimeout,
  kDeadManReleased,
  kCommandStale,
  kCommandsNotFinite,
  kPolicyReady,
  kHandBackTimeout,
};
inline constexpr std::size_t kTriggers = 26;

// The stable word that goes into AuthorityChanged::cause: "command_stale". Never changes.
std::string_view to_string(Trigger trigger);

// One line of the machine. There is no transition that is not in the table, and the code moves
// only by looking it up; docs/reference/authority.md prints the same lines.
struct TransitionRule {
  AuthorityState from;
  Trigger trigger;         // its word is the cause
  std::string_view event;  // for people
  AuthorityState to;
};
std::span<const TransitionRule> transition_table();

// ---- configuration ----------------------------------------------------------------------------

struct AuthorityConfig {
  std::string robot;          // RobotSpec::id; commands for another robot are refused
  Duration control_period{};  // T, RobotSpec::control_period; above 0, at most 20 ms

  // Longest age of a command, or of the robot's state, that may still move the robot. 200 ms:
  // MoveIt Servo waits 100 ms, the UR client caps at 200 ms. At least 3 T, at most 500 ms.
  Duration fresh = std::chrono::milliseconds(200);
  // The same for the robot's state alone, where that comes less often; 0: `fresh`. At least
  // `fresh`, at most 60 s.
  Duration state_fresh{};
  // The robot asks for each of its moves and waits for the answer: while it asks for nothing
  // (TickInputs::resetting) an old state is no fault, and nor is a policy that takes its time.
  bool asks = false;
  // A holder outside TAKEOVER and HUMAN who sends no valid command for this long loses the lease.
  // 500 ms: PX4's for a lost manual control. At least `fresh`.
  Duration lease = std::chrono::milliseconds(500);
  // For this long after a lost holder's last sign of life, only they (or a higher role) may take
  // over; then anyone may. 5 s: as in PX4's failsafe tests. At least `lease`.
  Duration reacquire = std::chrono::seconds(5);
  // A leader arm may start to drive within this distance of the robot, per joint, in the joint's
  // own unit (rad; m of a sliding one). Relative jog is always aligned. Above 0.
  double align = 0.1;
  // Channels of proprioception that a leader arm is compared with, in the order of
  // JogCommand::leader. Empty: the robot has none, and commands of leader arms are refused.
  std::vector<std::size_t> joints = {};
  // Longest gap between two ticks. At least 3 T.
  Duration watchdog = std::chrono::milliseconds(200);
  // Inference may be this many control periods late after the end of a chunk.
  int late_periods = 3;
  Duration takeover_timeout = std::chrono::seconds(10);  // in TAKEOVER without driving
  Duration handback_timeout = std::chrono::seconds(2);   // in HANDBACK without a usable proposal
  // Longest age of the newest frame of a camera that matters. Above 0, at most 10 s.
  Duration camera_fresh = std::chrono::milliseconds(500);
  // Longest time that a robot may take to reset; above 0, at most 10 min.
  Duration reset_longest = std::chrono::seconds(30);
  // A robot that was stopped may say so for this long after STOP was reset; above 0, at most 10 s.
  // 1 s: several times the way to a robot and back, and less than it takes to walk up to it.
  Duration reset_stop_patience = std::chrono::seconds(1);

  // More than this many clamped ticks among the last `clamp_window` end in HOLD.
  int clamp_limit = 10;
  int clamp_window = 50;  // 1..1024
  // This many commands with values that are not finite within `not_finite_window` end in HOLD.
  int not_finite_limit = 3;  // 1..16
  Duration not_finite_window = std::chrono::seconds(1);

  // A nudge bends no channel by more than this (normalised), changes by at most `nudge_ramp` per
  // tick and is gone after `nudge_longest` (at most 2 s).
  double nudge_bound = 0.5;
  double nudge_ramp = 0.05;
  Duration nudge_longest = std::chrono::seconds(2);
  // Words slow the policy down to this share of its own rates, and never make it faster than they
  // are; above 0, at most 1. A quarter: slow enough to watch, too fast for an arm to seem stuck.
  double slowest = 0.25;

  // A program (Role::kScript) may hand back only what it holds. True lets it start the policy from
  // a free HOLD as well: for simulations without a person, never beside a real robot.
  bool script_may_start = false;

  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// What outlives a restart.
struct AuthorityBoot {
  bool stop_latched = false;  // from the latch file; unreadable counts as true
  LeaseEpoch last_epoch = 0;  // highest LeaseGranted in the log
};

// ---- inputs -----------------------------------------------------------------------------------

// A motion word, typed: acts in AUTO only, added to the policy's rates.
struct NudgeBias {
  Action bias;             // normalised rates, [ActionSpec::size()]; all zero takes the nudge back
  Duration length{};       // ramps included; longer than nudge_longest is cut to it
  std::string words = {};  // id of the words that it comes from; empty: none
};

// Ends the nudge that comes from these words, on its ramp. Another one goes on.
struct EndNudge {
  std::string words;
};

// Words about the policy's speed, in any state. The new share of its own rates is kept within
// AuthorityConfig::slowest and 1; forget_words() takes it back to 1.
struct SpeedChange {
  bool absolute = false;  // the share itself; else a factor to the one in force
  double scale = 1;       // finite, above 0
};

// A deliberate act. Travels through a lossless queue, its role already checked by the broker.
struct AuthorityAct {
  std::string id;  // of the message; empty: nobody waits for an answer
  Actor actor;     // name is unique per driving device: it is what the lease is bound to
  std::variant<TakeoverRequest, Release, HandBack, Hold, Stop, ResetStop, ResetFault, NudgeBias,
               EndNudge, SpeedChange, EndEpisode>
      body;
  bool logged_elsewhere = false;  // the id is that of words, which have an event of their own: no
                                  // record of the authority may carry it
};

// A jog command with the sender that the connection vouches for. Latest wins.
struct SentJog {
  Actor actor;
  JogCommand command;
};

struct TickInputs {
  Instant now;           // robot's steady clock
  ControlTick tick = 0;  // of this call; from 1, increasing
  Instant observed;      // when the newest robot state was read, same clock; Instant::min(): never
  bool robot_finite = true;            // every proprioception value of it is finite
  std::span<const float> position;     // its proprioception, in the units of RobotSpec; needed only
                                       // where there are limits of position, or a leader arm
  std::span<const AuthorityAct> acts;  // since the last tick, oldest first
  const SentJog* jog = nullptr;        // newest that arrived since the last tick; null: none
  // Presses of STOP since boot, counted by whoever receives them, beside the queue of acts: a count
  // only grows, so that no newer message and no full queue can lose a press.
  std::uint64_t stop_presses = 0;
  // The robot says that a stop of its own holds it: as good as a press. After a reset it has
  // `reset_stop_patience` to take that back.
  bool robot_stopped = false;
  const Action* proposed = nullptr;  // the policy's action for this tick, in every state; null:
                                     // the chunk has ended, or was flushed
  Instant proposed_from;             // ActionChunk::observed of its chunk
  // Of the cameras that matter, the one whose newest frame is oldest: when it was captured (min():
  // none came yet; max(): no camera matters), and its name.
  Instant oldest_frame = Instant::max();
  std::string_view oldest_camera = {};
  // The robot does what reset() asked of it: nothing else moves it, its state may be old, and the
  // timers of TAKEOVER and HANDBACK wait; for at most `reset_longest`.
  bool resetting = false;
  std::string_view reset_failed = {};  // the reset ended on this tick, badly: why; empty: no
  std::string_view no_takeover = {};   // why nobody can take over now; empty: they can
  bool weights_failed = false;         // the weights in use did not pass their check, or wait for
                                       // the rollback asked for; having no weights is no failure
};

// ---- the decision -----------------------------------------------------------------------------

enum class Motion : std::uint8_t {
  kApply,  // Robot::apply(executed)
  kHold,   // Robot::hold()
  kEstop,  // Robot::estop()
};

struct Lease {
  LeaseEpoch epoch = 0;         // of the newest grant
  std::optional<Actor> holder;  // none: the lease is free
  friend bool operator==(const Lease&, const Lease&) = default;
};

// Something for the log. Order is kept.
struct AuthorityRecord {
  std::string id;   // of the act that caused it, on the last record it caused: durable means all
                    // are; empty: the writer makes one up
  Actor actor;      // who caused it; name "authority", role kScript: a rule or a timer
  Payload payload;  // AuthorityChanged, LeaseGranted, LeaseEnded, Stopped, StopReset or Fault
};

// What became of an act. Goes to Broker::on_decided().
struct ActAnswer {
  std::string id;
  Status status;         // kFailedPrecondition: wrong state, or busy (then `holder` is set)
  LeaseEpoch epoch = 0;  // granted, or held already
  std::string holder;    // who has the lease, when that is why the act was refused
  bool logged = false;   // a record carries the id: acknowledge when that is durable; else now
  double speed_before = 1, speed = 1;  // share of the policy's rates, before the act and after it
};

// Why a jog command was dropped. For counters; never renumber.
enum class CommandRefusal : std::uint8_t {
  kWrongRobot = 0,
  kNotHolder = 1,  // sent by somebody else than the holder
  kWrongEpoch = 2,
  kFutureTick = 3,     // echoes a tick that had not been issued
  kStale = 4,          // age at least FRESH
  kNotIncreasing = 5,  // duplicate or reordered
  kWrongSize = 6,
  kNotFinite = 7,
  kDeadManUp = 8,  // valid, renews the lease, moves nothing
};
inline constexpr std::size_t kCommandRefusals = 9;
std::string_view to_string(CommandRefusal refusal);

struct Decision {
  AuthorityState state = AuthorityState::kHold;  // after this tick's transitions
  Motion motion = Motion::kHold;
  // kPolicy or kNudge in AUTO, kHuman while anyone drives through a takeover, a program included
  // (the lease's actor says who), else kHold.
  ControlSource source = ControlSource::kHold;
  Action requested;      // by the source; empty when nobody asked for motion
  Action executed;       // [ActionSpec::size()], finite, within limits; what `motion` kApply
                         // sends, and zero with the others
  bool clamped = false;  // Limited::clamped
  bool changed = false;  // Limited::changed
  bool stale = false;    // AUTO, but the policy proposed nothing: slowing down
  double speed = 1;      // share of the policy's own rates that it is given in AUTO, (0, 1]
  std::string nudge;     // kNudge: id of the words that bend the policy; empty: it had none
  Actor nudge_by;        // kNudge: who said them
  bool flush_policy =
      false;  // drop the chunk and the inference under way, reset the policy's state
  bool roll_back_weights = false;  // the policy proposed values that are not finite
  bool reset_failed = false;       // the reset was given up, or ended badly
  bool end_episode = false;        // somebody says that the episode is over
  bool stop_latched = false;       // keep the latch file equal to this, off the step thread
  Lease lease;
  // Set on the tick that leaves HUMAN: how its span ended.
  std::optional<SpanEnd> span_end;
  // The tick on which the newest accepted command arrived; steps after it are not part of the span.
  ControlTick last_fresh_tick = 0;
  std::vector<AuthorityRecord> records;
  std::vector<ActAnswer> answers;  // one per act with an id, in order
};

// ---- the machine ------------------------------------------------------------------------------

// Not thread-safe: belongs to the step thread. tick() allocates only when something changes.
class Authority {
 public:
  // kInvalidArgument from validate(). Starts in HOLD, or in ESTOP when the latch was kept.
  static Result<Authority> make(const AuthorityConfig& config, Limits limits,
                                const AuthorityBoot& boot);

  // Once per control tick. The answer is valid until the next call.
  const Decision& tick(const TickInputs& in);

  // The episode is over, and with it what words asked of it: full speed again, no nudge.
  void forget_words();

  AuthorityState state() const { return state_; }
  const Lease& lease() const { return lease_; }
  const std::array<std::uint64_t, kCommandRefusals>& refused_commands() const { return refused_; }

 private:
  Authority(const AuthorityConfig& config, Limits limits, const AuthorityBoot& boot);

  void begin(const TickInputs& in);
  void watch_reset(const TickInputs& in);
  void watch_cameras(const TickInputs& in);
  // Moves along the table's row for the present state, if it has one, and says whether it did.
  bool fire(Trigger trigger, const Actor& by, const TickInputs& in);
  void record(const Actor& by, Payload payload);
  std::optional<Trigger> fault(const TickInputs& in, std::string& detail) const;

  void handle(const AuthorityAct& act, const TickInputs& in);
  Status take_over(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer);
  std::string frozen(const TickInputs& in) const;  // for people
  Status release(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer);
  Status hand_back(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer);
  Status reset_stop(const AuthorityAct& act, const TickInputs& in);
  Status end_episode(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer);
  Status reset_fault(const AuthorityAct& act, const TickInputs& in);
  Status start_nudge(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer);
  Status change_speed(const AuthorityAct& act, ActAnswer& answer);
  // Words move the robot for the lease's holder or, while it is free, for any person.
  Status may_speak(const Actor& actor, ActAnswer& answer) const;
  void end_lease(const Actor& by, std::string_view cause);
  // Who keeps `actor` from having the lease now; null: nobody.
  const Actor* in_the_way(const Actor& actor, Instant now) const;

  void judge_command(const TickInputs& in);
  void drop(CommandRefusal why) { ++refused_[static_cast<std::size_t>(why)]; }
  std::optional<Instant> time_of(ControlTick tick) const;
  bool aligned(const TickInputs& in) const;
  void run_timers(const TickInputs& in);
  void bend(const TickInputs& in, const Action& policy);
  const Action& slowed(const Action& proposed);
  bool too_many_clamped(bool clamped);
  void move(const TickInputs& in);

  AuthorityConfig config_;
  Limits limits_;
  AuthorityState state_ = AuthorityState::kHold;
  Instant entered_;  // when the present state began
  ControlTick entered_tick_ = 0;
  Lease lease_;
  std::optional<Actor> reserved_for_;  // the lost holder, until `reacquire` has passed
  Instant sign_of_life_;               // newest valid command or act of the (last) holder

  bool ticked_ = false;
  Instant last_now_;
  ControlTick last_tick_ = 0;
  struct Issued {
    ControlTick tick = 0;
    Instant time;
  };
  std::vector<Issued> issued_;  // ring by tick number, long enough for FRESH
  std::uint64_t stops_seen_ = 0;
  bool stopped_now_ = false;
  Instant stop_reset_ = Instant::min();  // when STOP was reset last
  std::optional<Instant> reset_began_;   // the one that is under way
  Instant reset_over_ = Instant::min();  // newest tick of a reset that was not too long
  bool camera_stale_ = false;
  bool still_ = false;  // nothing has been seen since: no motion
  std::optional<Trigger> fault_now_;

  bool driving_ = false;        // an accepted command with the dead-man held, in this epoch
  std::uint64_t sequence_ = 0;  // of the epoch's newest command
  Action command_;
  std::vector<float> leader_;  // joints of whoever made it
  Instant command_time_;       // of the control tick it echoes
  ControlTick last_fresh_tick_ = 0;
  std::vector<Instant> not_finite_;  // arrival of the newest such commands, oldest first

  Instant proposal_end_;  // of the last proposed action
  std::vector<bool> clamp_ring_;
  std::size_t clamp_at_ = 0;
  int clamp_count_ = 0;

  Action nudge_;  // wanted
  Action bias_;   // reached on its ramp
  Instant nudge_end_;
  bool nudging_ = false;
  Action bent_;  // proposed with bias_ added
  double speed_ = 1;
  Action slowed_;  // proposed times speed_

  std::array<std::uint64_t, kCommandRefusals> refused_{};
  Decision decision_;
};

}  // namespace nudge
