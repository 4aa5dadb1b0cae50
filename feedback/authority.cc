#include "feedback/authority.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

using State = AuthorityState;
using enum AuthorityState;
using enum Trigger;

constexpr std::string_view kStopEvent = "STOP pressed, by anyone";
constexpr std::string_view kDisorderEvent = "control tick or clock did not advance";
constexpr std::string_view kGapEvent = "gap between two control ticks longer than WDOG";
constexpr std::string_view kRobotNotFiniteEvent = "robot state is not finite";
constexpr std::string_view kRobotStaleEvent = "robot state older than FRESH";
constexpr std::string_view kWeightsEvent = "weights in use failed their check";
constexpr std::string_view kPolicyNotFiniteEvent = "policy proposed a value that is not finite";
constexpr std::string_view kPolicyWrongSizeEvent = "policy proposed an action of the wrong size";
constexpr std::string_view kResetEvent = "the robot's reset failed, or took too long";
constexpr std::string_view kHoldEvent = "\"stop\" said, or hold asked for, by anyone";
constexpr std::string_view kClampEvent = "too many clamped ticks in the window";
constexpr std::string_view kAskEvent = "takeover asked for and lease granted";
constexpr std::string_view kPreemptEvent = "a higher role asked to take over";
constexpr std::string_view kReleaseEvent = "the holder released the lease";
constexpr std::string_view kHandBackEvent = "hand-back or start asked for";
constexpr std::string_view kBadCommandsEvent =
    "commands with values that are not finite, repeatedly";

constexpr TransitionRule kTable[] = {
    {kHold, kStopped, kStopEvent, kEstop},
    {kTakeover, kStopped, kStopEvent, kEstop},
    {kHuman, kStopped, kStopEvent, kEstop},
    {kHandback, kStopped, kStopEvent, kEstop},
    {kAuto, kStopped, kStopEvent, kEstop},
    {kFaultHold, kStopped, kStopEvent, kEstop},
    {kEstop, kStopReset, "STOP reset by a supervisor or engineer", kHold},

    {kHold, kTickDisorder, kDisorderEvent, kFaultHold},
    {kTakeover, kTickDisorder, kDisorderEvent, kFaultHold},
    {kHuman, kTickDisorder, kDisorderEvent, kFaultHold},
    {kHandback, kTickDisorder, kDisorderEvent, kFaultHold},
    {kAuto, kTickDisorder, kDisorderEvent, kFaultHold},
    {kHold, kLoopGap, kGapEvent, kFaultHold},
    {kTakeover, kLoopGap, kGapEvent, kFaultHold},
    {kHuman, kLoopGap, kGapEvent, kFaultHold},
    {kHandback, kLoopGap, kGapEvent, kFaultHold},
    {kAuto, kLoopGap, kGapEvent, kFaultHold},
    {kHold, kRobotNotFinite, kRobotNotFiniteEvent, kFaultHold},
    {kTakeover, kRobotNotFinite, kRobotNotFiniteEvent, kFaultHold},
    {kHuman, kRobotNotFinite, kRobotNotFiniteEvent, kFaultHold},
    {kHandback, kRobotNotFinite, kRobotNotFiniteEvent, kFaultHold},
    {kAuto, kRobotNotFinite, kRobotNotFiniteEvent, kFaultHold},
    {kHold, kRobotStale, kRobotStaleEvent, kFaultHold},
    {kTakeover, kRobotStale, kRobotStaleEvent, kFaultHold},
    {kHuman, kRobotStale, kRobotStaleEvent, kFaultHold},
    {kHandback, kRobotStale, kRobotStaleEvent, kFaultHold},
    {kAuto, kRobotStale, kRobotStaleEvent, kFaultHold},
    {kHold, kWeightsFailed, kWeightsEvent, kFaultHold},
    {kTakeover, kWeightsFailed, kWeightsEvent, kFaultHold},
    {kHuman, kWeightsFailed, kWeightsEvent, kFaultHold},
    {kHandback, kWeightsFailed, kWeightsEvent, kFaultHold},
    {kAuto, kWeightsFailed, kWeightsEvent, kFaultHold},
    {kHold, kPolicyNotFinite, kPolicyNotFiniteEvent, kFaultHold},
    {kTakeover, kPolicyNotFinite, kPolicyNotFiniteEvent, kFaultHold},
    {kHuman, kPolicyNotFinite, kPolicyNotFiniteEvent, kFaultHold},
    {kHandback, kPolicyNotFinite, kPolicyNotFiniteEvent, kFaultHold},
    {kAuto, kPolicyNotFinite, kPolicyNotFiniteEvent, kFaultHold},
    {kHold, kPolicyWrongSize, kPolicyWrongSizeEvent, kFaultHold},
    {kTakeover, kPolicyWrongSize, kPolicyWrongSizeEvent, kFaultHold},
    {kHuman, kPolicyWrongSize, kPolicyWrongSizeEvent, kFaultHold},
    {kHandback, kPolicyWrongSize, kPolicyWrongSizeEvent, kFaultHold},
    {kAuto, kPolicyWrongSize, kPolicyWrongSizeEvent, kFaultHold},
    {kAuto, kInferenceLate, "no proposal for more than 3 T after the last one ended", kFaultHold},
    {kFaultHold, kFaultReset, "fault reset by an engineer, its cause gone", kHold},

    {kTakeover, kHoldAsked, kHoldEvent, kHold},
    {kHuman, kHoldAsked, kHoldEvent, kHold},
    {kHandback, kHoldAsked, kHoldEvent, kHold},
    {kAuto, kHoldAsked, kHoldEvent, kHold},
    {kHuman, kOutOfLimits, kClampEvent, kHold},
    {kAuto, kOutOfLimits, kClampEvent, kHold},
    {kTakeover, kResetFailed, kResetEvent, kHold},
    {kHuman, kResetFailed, kResetEvent, kHold},
    {kHandback, kResetFailed, kResetEvent, kHold},
    {kAuto, kResetFailed, kResetEvent, kHold},
    {kHandback, kCameraStale, "a camera that matters still frozen after 2 s", kHold},
    {kAuto, kCameraStale, "a camera that matters has frozen", kHold},

    {kHold, kTakeoverAsked, kAskEvent, kTakeover},
    {kHandback, kTakeoverAsked, kAskEvent, kTakeover},
    {kAuto, kTakeoverAsked, kAskEvent, kTakeover},
    {kTakeover, kPreempted, kPreemptEvent, kHold},
    {kHuman, kPreempted, kPreemptEvent, kHold},
    {kTakeover, kReleased, kReleaseEvent, kHold},
    {kHuman, kReleased, kReleaseEvent, kHold},
    {kTakeover, kDriving, "fresh command, dead-man held, aligned, robot at rest", kHuman},
    {kTakeover, kTakeoverTimeout, "nobody drove within 10 s", kHold},
    {kTakeover, kCommandsNotFinite, kBadCommandsEvent, kHold},
    {kHuman, kDeadManReleased, "dead-man released", kHold},
    {kHuman, kCommandStale, "newest command older than FRESH", kHold},
    {kHuman, kCommandsNotFinite, kBadCommandsEvent, kHold},

    {kTakeover, kHandBackAsked, kHandBackEvent, kHold},
    {kHuman, kHandBackAsked, kHandBackEvent, kHold},
    {kHold, kHandBackAsked, kHandBackEvent, kHandback},
    {kHandback, kPolicyReady, "proposal from a fresh observation, within limits", kAuto},
    {kHandback, kHandBackTimeout, "no usable proposal within 2 s", kHold},
};

const Actor& nobody() {
  static const Actor actor{"authority", Role::kScript};
  return actor;
}

const Actor& the_robot() {
  static const Actor actor{"robot", Role::kScript};
  return actor;
}

// Who may hold the lease at all. The broker asks the same; this machine does not rely on it.
bool may_drive(Role role) { return role != Role::kViewer; }
bool is_person(Role role) { return role == Role::kSupervisor || role == Role::kEngineer; }

bool all_finite(const Action& action) {
  return std::all_of(action.begin(), action.end(), [](float v) { return std::isfinite(v); });
}

Status wrong_state(State state, std::string_view what) {
  return failed_precondition(std::string(what) + " is not possible in " +
                             std::string(to_string(state)));
}

Status busy(const Actor& holder) {
  return failed_precondition(
      "busy: " + holder.name +
      " has the lease; wait for their release, or ask somebody with a higher "
      "role");
}

}  // namespace

std::string_view to_string(AuthorityState state) {
  switch (state) {
    case kHold: return "HOLD";
    case kTakeover: return "TAKEOVER";
    case kHuman: return "HUMAN";
    case kHandback: return "HANDBACK";
    case kAuto: return "AUTO";
    case kFaultHold: return "FAULT_HOLD";
    case kEstop: return "ESTOP";
  }
  return "unknown";
}

std::string_view to_string(Trigger trigger) {
  switch (trigger) {
    case kStopped: return "stopped";
    case kStopReset: return "stop_reset";
    case kTickDisorder: return "tick_disorder";
    case kLoopGap: return "loop_gap";
    case kRobotNotFinite: return "robot_not_finite";
    case kRobotStale: return "robot_stale";
    case kWeightsFailed: return "weights_failed";
    case kPolicyNotFinite: return "policy_not_finite";
    case kPolicyWrongSize: return "policy_wrong_size";
    case kInferenceLate: return "inference_late";
    case kFaultReset: return "fault_reset";
    case kHoldAsked: return "hold_asked";
    case kOutOfLimits: return "out_of_limits";
    case kResetFailed: return "reset_failed";
    case kCameraStale: return "camera_stale";
    case kTakeoverAsked: return "takeover_asked";
    case kPreempted: return "preempted";
    case kReleased: return "released";
    case kHandBackAsked: return "hand_back_asked";
    case kDriving: return "driving";
    case kTakeoverTimeout: return "takeover_timeout";
    case kDeadManReleased: return "dead_man_released";
    case kCommandStale: return "command_stale";
    case kCommandsNotFinite: return "commands_not_finite";
    case kPolicyReady: return "policy_ready";
    case kHandBackTimeout: return "hand_back_timeout";
  }
  return "unknown";
}

std::string_view to_string(CommandRefusal refusal) {
  switch (refusal) {
    case CommandRefusal::kWrongRobot: return "wrong_robot";
    case CommandRefusal::kNotHolder: return "not_holder";
    case CommandRefusal::kWrongEpoch: return "wrong_epoch";
    case CommandRefusal::kFutureTick: return "future_tick";
    case CommandRefusal::kStale: return "stale";
    case CommandRefusal::kNotIncreasing: return "not_increasing";
    case CommandRefusal::kWrongSize: return "wrong_size";
    case CommandRefusal::kNotFinite: return "not_finite";
    case CommandRefusal::kDeadManUp: return "dead_man_up";
  }
  return "unknown";
}

std::span<const TransitionRule> transition_table() { return kTable; }

// ---- configuration ----------------------------------------------------------------------------

Status AuthorityConfig::validate() const {
  const auto wrong = [](std::string_view what) {
    return invalid_argument("authority: " + std::string(what));
  };
  using std::chrono::milliseconds;
  if (robot.empty() || robot.size() > 64) return wrong("robot must be a name of 1 to 64 bytes");
  if (control_period <= Duration::zero() || control_period > milliseconds(20)) {
    return wrong("control_period must be above 0, at most 20 ms");
  }
  if (fresh < 3 * control_period || fresh > milliseconds(500)) {
    return wrong("fresh must be at least 3 control periods, at most 500 ms");
  }
  if (state_fresh != Duration::zero() &&
      (state_fresh < fresh || state_fresh > std::chrono::seconds(60))) {
    return wrong("state_fresh must be 0, or at least fresh and at most 60 s");
  }
  if (lease < fresh) return wrong("lease must be at least fresh");
  if (reacquire < lease) return wrong("reacquire must be at least lease");
  if (!(align > 0 && std::isfinite(align))) return wrong("align must be above 0 rad");
  if (watchdog < 3 * control_period) return wrong("watchdog must be at least 3 control periods");
  if (late_periods < 1 || late_periods > 100) return wrong("late_periods must be 1 to 100");
  if (takeover_timeout <= Duration::zero()) return wrong("takeover_timeout must be above 0");
  if (handback_timeout <= Duration::zero() || handback_timeout > std::chrono::seconds(2)) {
    return wrong("handback_timeout must be above 0, at most 2 s");
  }
  if (camera_fresh <= Duration::zero() || camera_fresh > std::chrono::seconds(10)) {
    return wrong("camera_fresh must be above 0, at most 10 s");
  }
  if (reset_longest <= Duration::zero() || reset_longest > std::chrono::minutes(10)) {
    return wrong("reset_longest must be above 0, at most 10 min");
  }
  if (reset_stop_patience <= Duration::zero() || reset_stop_patience > std::chrono::seconds(10)) {
    return wrong("reset_stop_patience must be above 0, at most 10 s");
  }
  if (clamp_window < 1 || clamp_window > 1024) return wrong("clamp_window must be 1 to 1024");
  if (clamp_limit < 0 || clamp_limit >= clamp_window) {
    return wrong("clamp_limit must be 0 or more, below clamp_window");
  }
  if (not_finite_limit < 1 || not_finite_limit > 16)
    return wrong("not_finite_limit must be 1 to 16");
  if (not_finite_window <= Duration::zero()) return wrong("not_finite_window must be above 0");
  if (!(nudge_bound > 0 && nudge_bound <= 1))
    return wrong("nudge_bound must be above 0, at most 1");
  if (!(nudge_ramp > 0 && nudge_ramp <= 1)) return wrong("nudge_ramp must be above 0, at most 1");
  if (nudge_longest <= Duration::zero() || nudge_longest > std::chrono::seconds(2)) {
    return wrong("nudge_longest must be above 0, at most 2 s");
  }
  if (!(slowest > 0 && slowest <= 1)) return wrong("slowest must be above 0, at most 1");
  return {};
}

Result<Authority> Authority::make(const AuthorityConfig& config, Limits limits,
                                  const AuthorityBoot& boot) {
  NUDGE_TRY(config.validate());
  return Authority(config, std::move(limits), boot);
}

Authority::Authority(const AuthorityConfig& config, Limits limits, const AuthorityBoot& boot)
    : config_(config), limits_(std::move(limits)) {
  state_ = boot.stop_latched ? kEstop : kHold;
  lease_.epoch = boot.last_epoch;
  // Two ticks per period leave room for a loop that catches up.
  issued_.resize(static_cast<std::size_t>(config_.fresh / config_.control_period) * 2 + 8);
  clamp_ring_.assign(static_cast<std::size_t>(config_.clamp_window), false);
  command_.assign(limits_.size(), 0.0f);
  leader_.reserve(config_.joints.size());
  nudge_.assign(limits_.size(), 0.0f);
  bias_.assign(limits_.size(), 0.0f);
  bent_.assign(limits_.size(), 0.0f);
  slowed_.assign(limits_.size(), 0.0f);
  not_finite_.reserve(static_cast<std::size_t>(config_.not_finite_limit) + 1);
}

// ---- one tick ---------------------------------------------------------------------------------

const Decision& Authority::tick(const TickInputs& in) {
  begin(in);

  const bool pressed = in.stop_presses > stops_seen_;
  stops_seen_ = std::max(stops_seen_, in.stop_presses);
  const auto stop = std::find_if(in.acts.begin(), in.acts.end(), [](const AuthorityAct& act) {
    return std::holds_alternative<Stop>(act.body);
  });
  stopped_now_ = pressed || stop != in.acts.end();
  if (stopped_now_) fire(kStopped, stop != in.acts.end() ? stop->actor : nobody(), in);
  // While it is reset the robot may not know yet.
  if (in.robot_stopped && stop_reset_ < in.now - config_.reset_stop_patience &&
      fire(kStopped, the_robot(), in)) {
    record(the_robot(), Stopped{});
  }

  std::string detail;
  fault_now_ = fault(in, detail);
  if (fault_now_ && fire(*fault_now_, nobody(), in)) {
    record(nobody(), Fault{std::string(to_string(*fault_now_)), std::move(detail)});
    decision_.roll_back_weights =
        *fault_now_ == kPolicyNotFinite || *fault_now_ == kPolicyWrongSize;
  }

  watch_reset(in);
  watch_cameras(in);
  for (const AuthorityAct& act : in.acts) handle(act, in);
  judge_command(in);
  run_timers(in);
  move(in);

  // Only now may anybody have seen this tick: a command that echoed it before was made up.
  issued_[in.tick % issued_.size()] = {in.tick, in.now};
  ticked_ = true;
  last_now_ = std::max(last_now_, in.now);
  last_tick_ = std::max(last_tick_, in.tick);
  decision_.state = state_;
  decision_.lease = lease_;
  decision_.stop_latched = state_ == kEstop;
  decision_.last_fresh_tick = last_fresh_tick_;
  decision_.speed = speed_;
  return decision_;
}

void Authority::begin(const TickInputs& in) {
  if (!ticked_) entered_ = sign_of_life_ = proposal_end_ = in.now;
  decision_.requested.clear();
  decision_.clamped = decision_.changed = decision_.stale = false;
  decision_.flush_policy = decision_.roll_back_weights = decision_.reset_failed = false;
  decision_.end_episode = false;
  decision_.span_end.reset();
  decision_.records.clear();
  decision_.answers.clear();
  if (!in.resetting) {
    reset_began_.reset();
  } else {
    if (!reset_began_) reset_began_ = in.now;
    if (in.now - *reset_began_ < config_.reset_longest) reset_over_ = in.now;
  }
  // What was seen before the reset's end says nothing about where the robot is now.
  still_ = in.resetting || in.observed < reset_over_;
  camera_stale_ = in.oldest_frame < in.now - config_.camera_fresh;
}

std::string Authority::frozen(const TickInputs& in) const {
  return "camera '" + std::string(in.oldest_camera) + "' has shown nothing new for more than " +
         std::to_string(config_.camera_fresh / std::chrono::milliseconds(1)) + " ms";
}

// A policy that looks at a frozen picture drives blind.
void Authority::watch_cameras(const TickInputs& in) {
  if (!camera_stale_) return;
  // A camera may rest while the robot resets, and then take as long as any.
  const bool rested = reset_over_ >= in.now - config_.camera_fresh;
  const bool waits = state_ == kHandback && in.now - entered_ < config_.handback_timeout;
  if ((state_ == kAuto && rested) || waits) return;
  if (!fire(kCameraStale, nobody(), in)) return;
  record(nobody(), Fault{std::string(to_string(kCameraStale)), frozen(in)});
}

void Authority::watch_reset(const TickInputs& in) {
  const bool too_long = in.resetting && reset_over_ < in.now;
  if (in.reset_failed.empty() && !too_long) return;
  decision_.reset_failed = true;
  if (!fire(kResetFailed, nobody(), in)) return;
  std::string detail(in.reset_failed);
  if (too_long) {
    detail = "it took longer than " + std::to_string(seconds(config_.reset_longest)) + " s";
  }
  record(nobody(), Fault{std::string(to_string(kResetFailed)), std::move(detail)});
}

bool Authority::fire(Trigger trigger, const Actor& by, const TickInputs& in) {
  const auto rule = std::find_if(std::begin(kTable), std::end(kTable), [&](const auto& row) {
    return row.from == state_ && row.trigger == trigger;
  });
  if (rule == std::end(kTable)) return false;

  record(by, AuthorityChanged{state_, rule->to, std::string(to_string(trigger))});
  if (state_ == kHuman) {
    switch (trigger) {
      case kStopped: decision_.span_end = SpanEnd::kStopped; break;
      case kCommandStale: decision_.span_end = SpanEnd::kLinkLost; break;
      case kPreempted: decision_.span_end = SpanEnd::kPreempted; break;
      default:
        decision_.span_end =
            rule->to == kFaultHold || trigger == kOutOfLimits || trigger == kCommandsNotFinite
                ? SpanEnd::kFault
                : SpanEnd::kReleased;
    }
  }
  state_ = rule->to;
  entered_ = in.now;
  entered_tick_ = in.tick;
  driving_ = false;
  nudging_ = false;
  std::fill(bias_.begin(), bias_.end(), 0.0f);
  std::fill(clamp_ring_.begin(), clamp_ring_.end(), false);
  clamp_count_ = 0;
  not_finite_.clear();

  switch (state_) {
    case kEstop:
    case kFaultHold:
      end_lease(by, to_string(trigger));
      reserved_for_.reset();
      break;
    case kHandback:
      end_lease(by, "handed_back");
      reserved_for_.reset();
      decision_.flush_policy = true;
      break;
    case kAuto: proposal_end_ = in.now + config_.control_period; break;
    default: break;
  }
  return true;
}

void Authority::record(const Actor& by, Payload payload) {
  decision_.records.push_back({.id = {}, .actor = by, .payload = std::move(payload)});
}

std::optional<Trigger> Authority::fault(const TickInputs& in, std::string& detail) const {
  const auto ms = [](Duration d) { return std::to_string(seconds(d) * 1e3) + " ms"; };
  if (in.tick == 0 || (ticked_ && (in.tick <= last_tick_ || in.now < last_now_))) {
    detail = "tick " + std::to_string(in.tick) + " after tick " + std::to_string(last_tick_);
    return kTickDisorder;
  }
  if (ticked_ && in.now - last_now_ > config_.watchdog) {
    detail = "no control tick for " + ms(in.now - last_now_);
    return kLoopGap;
  }
  if (!in.robot_finite) {
    detail = "a value of the robot's state is not finite";
    return kRobotNotFinite;
  }
  if (!limits_.sees(in.position)) {
    detail = "the robot's position is missing or not finite; its limits need it";
    return kRobotNotFinite;
  }
  // Compared as instants: a robot never seen may be Instant::min(), whose age does not fit.
  // A reset may take its time, and then the first state as long as any.
  const Duration state_fresh = std::max(config_.state_fresh, config_.fresh);
  const bool rests = config_.asks && in.resetting;
  if (!rests && std::max(in.observed, reset_over_) < in.now - state_fresh) {
    detail = "the newest robot state is older than " + ms(state_fresh);
    return kRobotStale;
  }
  if (in.observed > in.now + config_.control_period) {
    detail = "the newest robot state is from the future: its clock is not this one";
    return kRobotStale;
  }
  if (in.weights_failed) {
    detail = "the weights in use failed their check";
    return kWeightsFailed;
  }
  if (in.proposed != nullptr) {
    if (in.proposed->size() != limits_.size()) {
      detail = "the policy proposed " + std::to_string(in.proposed->size()) + " values for " +
               std::to_string(limits_.size()) + " channels";
      return kPolicyWrongSize;
    }
    if (!all_finite(*in.proposed)) {
      detail = "the policy proposed a value that is not finite";
      return kPolicyNotFinite;
    }
  }
  if (state_ == kAuto && in.proposed == nullptr && !config_.asks &&
      in.now - proposal_end_ > config_.late_periods * config_.control_period) {
    detail = "no proposal for " + ms(in.now - proposal_end_);
    return kInferenceLate;
  }
  return std::nullopt;
}

// ---- acts -------------------------------------------------------------------------------------

void Authority::handle(const AuthorityAct& act, const TickInputs& in) {
  ActAnswer answer;
  answer.id = act.id;
  answer.speed_before = speed_;
  const std::size_t before = decision_.records.size();
  if (lease_.holder && lease_.holder->name == act.actor.name) sign_of_life_ = in.now;

  if (std::holds_alternative<Stop>(act.body)) {
    record(act.actor, Stopped{});  // each press is a fact, also the second one
  } else if (std::holds_alternative<Hold>(act.body)) {
    const bool own = lease_.holder && lease_.holder->name == act.actor.name;
    if (fire(kHoldAsked, act.actor, in) || state_ == kHold) {
      // Whoever was driving must ask anew, and a program cannot ask in HOLD: a person's "stop"
      // stays.
      if (!own) {
        end_lease(act.actor, "held");
        reserved_for_.reset();
      }
    }
  } else if (!may_drive(act.actor.role)) {
    answer.status = permission_denied(
        "a viewer may look, and press STOP; ask an engineer for the "
        "supervisor's role");
  } else if (std::holds_alternative<TakeoverRequest>(act.body)) {
    answer.status = take_over(act, in, answer);
  } else if (std::holds_alternative<Release>(act.body)) {
    answer.status = release(act, in, answer);
  } else if (std::holds_alternative<HandBack>(act.body)) {
    answer.status = hand_back(act, in, answer);
  } else if (std::holds_alternative<ResetStop>(act.body)) {
    answer.status = reset_stop(act, in);
  } else if (std::holds_alternative<ResetFault>(act.body)) {
    answer.status = reset_fault(act, in);
  } else if (const auto* end = std::get_if<EndNudge>(&act.body)) {
    if (nudging_ && decision_.nudge == end->words) std::fill(nudge_.begin(), nudge_.end(), 0.0f);
  } else if (std::holds_alternative<SpeedChange>(act.body)) {
    answer.status = change_speed(act, answer);
  } else if (std::holds_alternative<EndEpisode>(act.body)) {
    answer.status = end_episode(act, in, answer);
  } else {
    answer.status = start_nudge(act, in, answer);
  }
  answer.speed = speed_;

  if (act.id.empty()) return;
  if (decision_.records.size() > before && !act.logged_elsewhere) {
    decision_.records.back().id = act.id;
    answer.logged = true;
  }
  decision_.answers.push_back(std::move(answer));
}

const Actor* Authority::in_the_way(const Actor& actor, Instant now) const {
  if (lease_.holder) {
    const bool yields = actor.role > lease_.holder->role;
    return lease_.holder->name == actor.name || yields ? nullptr : &*lease_.holder;
  }
  if (reserved_for_ && now - sign_of_life_ < config_.reacquire) {
    const bool yields = actor.role > reserved_for_->role;
    return reserved_for_->name == actor.name || yields ? nullptr : &*reserved_for_;
  }
  return nullptr;
}

Status Authority::take_over(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer) {
  if (state_ == kFaultHold || state_ == kEstop) return wrong_state(state_, "taking over");
  if (!in.no_takeover.empty()) return failed_precondition(std::string(in.no_takeover));
  if (const Actor* other = in_the_way(act.actor, in.now)) {
    answer.holder = other->name;
    return busy(*other);
  }
  const bool own = lease_.holder && lease_.holder->name == act.actor.name;
  if (own && (state_ == kTakeover || state_ == kHuman)) {
    answer.epoch = lease_.epoch;
    return {};
  }
  if (state_ == kHold && act.actor.role == Role::kScript && !config_.script_may_start && !own &&
      !(reserved_for_ && reserved_for_->name == act.actor.name)) {
    return permission_denied("a program may take over from the policy, not out of a person's HOLD");
  }
  if (lease_.holder && !own) {
    fire(kPreempted, act.actor, in);
    end_lease(act.actor, "preempted");
  }
  end_lease(act.actor, "renewed");
  reserved_for_.reset();
  fire(kTakeoverAsked, act.actor, in);
  lease_ = {lease_.epoch + 1, act.actor};
  sign_of_life_ = in.now;
  sequence_ = 0;
  last_fresh_tick_ = 0;
  answer.epoch = lease_.epoch;
  record(act.actor, LeaseGranted{lease_.epoch});
  return {};
}

Status Authority::release(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer) {
  if (!lease_.holder || lease_.holder->name != act.actor.name) {
    if (lease_.holder) answer.holder = lease_.holder->name;
    return failed_precondition("there is nothing to release: " + act.actor.name +
                               " does not have the lease");
  }
  fire(kReleased, act.actor, in);
  end_lease(act.actor, "released");
  return {};
}

Status Authority::hand_back(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer) {
  if (state_ == kFaultHold || state_ == kEstop) return wrong_state(state_, "handing back");
  if (state_ == kAuto || state_ == kHandback) return {};
  const bool own = lease_.holder && lease_.holder->name == act.actor.name;
  if (!own) {
    // A higher role takes over first: nobody hands back what another still holds.
    const Actor* other = lease_.holder ? &*lease_.holder : in_the_way(act.actor, in.now);
    if (other != nullptr) {
      answer.holder = other->name;
      return busy(*other);
    }
    if (act.actor.role == Role::kScript && !config_.script_may_start) {
      return permission_denied("a program may hand back only what it holds; a person starts");
    }
  }
  if (camera_stale_ && !still_) {
    return failed_precondition(frozen(in) + "; the policy would drive blind");
  }
  if (state_ != kHold) fire(kHandBackAsked, act.actor, in);
  fire(kHandBackAsked, act.actor, in);
  return {};
}

Status Authority::reset_stop(const AuthorityAct& act, const TickInputs& in) {
  if (state_ != kEstop) return wrong_state(state_, "resetting STOP");
  if (!is_person(act.actor.role)) return permission_denied("only a person resets STOP");
  if (stopped_now_) return failed_precondition("STOP was pressed again in this moment");
  fire(kStopReset, act.actor, in);
  record(act.actor, StopReset{});
  stop_reset_ = in.now;
  return {};
}

Status Authority::end_episode(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer) {
  const bool own = lease_.holder && lease_.holder->name == act.actor.name;
  if (lease_.holder && !own && act.actor.role <= lease_.holder->role) {
    answer.holder = lease_.holder->name;
    return busy(*lease_.holder);
  }
  fire(kHoldAsked, act.actor, in);
  if (!own) {
    end_lease(act.actor, "held");
    reserved_for_.reset();
  }
  decision_.end_episode = true;
  return {};
}

Status Authority::reset_fault(const AuthorityAct& act, const TickInputs& in) {
  if (state_ != kFaultHold) return wrong_state(state_, "resetting a fault");
  if (act.actor.role != Role::kEngineer) {
    return permission_denied("resetting a fault needs the engineer's role");
  }
  if (fault_now_) {
    return failed_precondition("the fault is still there: " + std::string(to_string(*fault_now_)));
  }
  fire(kFaultReset, act.actor, in);
  return {};
}

Status Authority::may_speak(const Actor& actor, ActAnswer& answer) const {
  if (!is_person(actor.role)) return permission_denied("only a person's words move the robot");
  if (lease_.holder && lease_.holder->name != actor.name) {
    answer.holder = lease_.holder->name;
    return busy(*lease_.holder);
  }
  return {};
}

Status Authority::change_speed(const AuthorityAct& act, ActAnswer& answer) {
  const SpeedChange& change = std::get<SpeedChange>(act.body);
  NUDGE_TRY(may_speak(act.actor, answer));
  if (!(change.scale > 0) || !std::isfinite(change.scale)) {
    return invalid_argument("a speed is a finite number above 0");
  }
  double wanted = change.absolute ? change.scale : speed_ * change.scale;
  constexpr double kSame = 0.005;  // three times slower and three times faster is where one began
  wanted = wanted > 1 - kSame ? 1.0 : std::max(wanted, config_.slowest);
  if (std::abs(wanted - speed_) < kSame) {
    return failed_precondition(
        change.absolute ? "the policy works at that speed already"
        : speed_ >= 1   ? "the policy works at its own speed; words never make it faster than that"
                        : "the policy works as slowly as words may make it");
  }
  speed_ = wanted;
  return {};
}

void Authority::forget_words() {
  speed_ = 1;
  nudging_ = false;
  std::fill(bias_.begin(), bias_.end(), 0.0f);
}

Status Authority::start_nudge(const AuthorityAct& act, const TickInputs& in, ActAnswer& answer) {
  const NudgeBias& nudge = std::get<NudgeBias>(act.body);
  if (state_ != kAuto) return wrong_state(state_, "bending the policy's motion");
  NUDGE_TRY(may_speak(act.actor, answer));
  if (still_) return failed_precondition("the robot resets its scene; say it again then");
  if (nudge.bias.size() != limits_.size() || !all_finite(nudge.bias) ||
      nudge.length <= Duration::zero()) {
    return invalid_argument("a nudge needs a finite rate for each of " +
                            std::to_string(limits_.size()) + " channels and a length above 0");
  }
  const auto bound = static_cast<float>(config_.nudge_bound);
  for (std::size_t i = 0; i < nudge_.size(); ++i) {
    nudge_[i] = std::clamp(nudge.bias[i], -bound, bound);
  }
  nudge_end_ = in.now + std::min(nudge.length, config_.nudge_longest);
  nudging_ = true;
  decision_.nudge = nudge.words;
  decision_.nudge_by = act.actor;
  return {};
}

void Authority::end_lease(const Actor& by, std::string_view cause) {
  if (!lease_.holder) return;
  record(by, LeaseEnded{lease_.epoch, std::string(cause)});
  lease_.holder.reset();
  driving_ = false;
}

// ---- commands ---------------------------------------------------------------------------------

std::optional<Instant> Authority::time_of(ControlTick tick) const {
  const Issued& issued = issued_[tick % issued_.size()];
  if (tick == 0 || issued.tick != tick) return std::nullopt;
  return issued.time;
}

// Nobody may jerk the robot to where a leader arm happens to be.
bool Authority::aligned(const TickInputs& in) const {
  for (std::size_t i = 0; i < leader_.size(); ++i) {
    const std::size_t channel = config_.joints[i];
    if (channel >= in.position.size()) return false;
    // Not by more than: a distance that is not a number is no small one.
    const double apart = std::abs(double{leader_[i]} - double{in.position[channel]});
    if (!(apart <= config_.align)) return false;
  }
  return true;
}

void Authority::judge_command(const TickInputs& in) {
  if (in.jog == nullptr) return;
  const JogCommand& command = in.jog->command;
  if (command.robot != config_.robot) return drop(CommandRefusal::kWrongRobot);
  if (!lease_.holder || lease_.holder->name != in.jog->actor.name) {
    return drop(CommandRefusal::kNotHolder);
  }
  if (command.epoch != lease_.epoch) return drop(CommandRefusal::kWrongEpoch);
  if (!ticked_ || command.echoed_tick > last_tick_) return drop(CommandRefusal::kFutureTick);
  if (command.sequence <= sequence_) return drop(CommandRefusal::kNotIncreasing);
  const auto echoed = time_of(command.echoed_tick);
  const bool fresh = echoed && in.now - *echoed < config_.fresh;
  if (!command.dead_man) {
    // Letting go counts however late it arrives; as a sign of life only when fresh.
    sequence_ = command.sequence;
    driving_ = false;
    if (fresh) sign_of_life_ = in.now;
    drop(CommandRefusal::kDeadManUp);
    fire(kDeadManReleased, in.jog->actor, in);
    return;
  }
  if (!fresh) return drop(CommandRefusal::kStale);
  sequence_ = command.sequence;
  const bool leads = !command.leader.empty();
  if (command.action.size() != limits_.size() ||
      (leads && command.leader.size() != config_.joints.size())) {
    return drop(CommandRefusal::kWrongSize);
  }
  if (!all_finite(command.action) || !all_finite(command.leader)) {
    drop(CommandRefusal::kNotFinite);
    std::erase_if(not_finite_, [&](Instant at) { return in.now - at > config_.not_finite_window; });
    not_finite_.push_back(in.now);
    if (not_finite_.size() >= static_cast<std::size_t>(config_.not_finite_limit)) {
      fire(kCommandsNotFinite, in.jog->actor, in);
    }
    return;
  }
  sign_of_life_ = in.now;
  if (state_ != kTakeover && state_ != kHuman) return;
  driving_ = true;
  command_ = command.action;
  leader_ = command.leader;
  command_time_ = *echoed;
  last_fresh_tick_ = in.tick;
}

// ---- timers and motion ------------------------------------------------------------------------

void Authority::run_timers(const TickInputs& in) {
  if (still_ && (state_ == kTakeover || state_ == kHandback)) {
    // As if it had been asked for now: the policy has to look at what the reset leaves.
    entered_ = in.now;
    entered_tick_ = in.tick;
    return;
  }
  switch (state_) {
    case kTakeover:
      if (driving_ && in.now - command_time_ < config_.fresh && limits_.at_rest() && aligned(in)) {
        fire(kDriving, *lease_.holder, in);
      } else if (in.now - entered_ >= config_.takeover_timeout) {
        fire(kTakeoverTimeout, nobody(), in);
      }
      break;
    case kHuman:
      if (in.now - command_time_ > config_.fresh) fire(kCommandStale, nobody(), in);
      break;
    case kHandback:
      if (in.tick != entered_tick_ && !camera_stale_ && in.proposed != nullptr &&
          in.proposed_from >= entered_ && limits_.at_rest() &&
          limits_.permits(*in.proposed, in.position)) {
        fire(kPolicyReady, nobody(), in);
      } else if (in.now - entered_ >= config_.handback_timeout) {
        fire(kHandBackTimeout, nobody(), in);
      }
      break;
    default: break;
  }
  if (state_ == kHold && lease_.holder && in.now - sign_of_life_ > config_.lease) {
    reserved_for_ = lease_.holder;
    end_lease(nobody(), "lease_lost");
  }
}

// Moves the bias one ramp step towards what is wanted, in time to be gone at its end.
void Authority::bend(const TickInputs& in, const Action& policy) {
  const auto ramp = static_cast<float>(config_.nudge_ramp);
  float largest = 0;
  for (const float b : bias_) largest = std::max(largest, std::abs(b));
  const auto ticks_down = static_cast<int>(std::ceil(largest / ramp));
  const bool fade = in.now + ticks_down * config_.control_period >= nudge_end_;
  bool any = false;
  for (std::size_t i = 0; i < bias_.size(); ++i) {
    const float goal = fade ? 0.0f : nudge_[i];
    bias_[i] = std::clamp(goal, bias_[i] - ramp, bias_[i] + ramp);
    if (in.now >= nudge_end_) bias_[i] = 0;
    any = any || bias_[i] != 0 || (!fade && nudge_[i] != 0);
    const float proposed = policy[i];
    // Bending within the policy's own range is not a policy that leaves its range.
    const float room = std::max(std::abs(proposed), static_cast<float>(limits_.max_rate(i)));
    bent_[i] = std::clamp(proposed + bias_[i], -room, room);
  }
  nudging_ = any;
}

// Slower is never wilder: each rate keeps its sign and shrinks.
const Action& Authority::slowed(const Action& proposed) {
  if (speed_ >= 1) return proposed;
  for (std::size_t i = 0; i < slowed_.size(); ++i) {
    slowed_[i] = static_cast<float>(speed_ * static_cast<double>(proposed[i]));
  }
  return slowed_;
}

bool Authority::too_many_clamped(bool clamped) {
  clamp_count_ += static_cast<int>(clamped) - static_cast<int>(clamp_ring_[clamp_at_]);
  clamp_ring_[clamp_at_] = clamped;
  clamp_at_ = (clamp_at_ + 1) % clamp_ring_.size();
  return clamp_count_ > config_.clamp_limit;
}

void Authority::move(const TickInputs& in) {
  const Action* wanted = nullptr;
  decision_.source = ControlSource::kHold;
  if (still_) {
    proposal_end_ = in.now + config_.control_period;
  } else if (state_ == kHuman) {
    if (too_many_clamped(!limits_.permits(command_, in.position))) {
      fire(kOutOfLimits, nobody(), in);
    } else {
      wanted = &command_;
      decision_.source = ControlSource::kHuman;
    }
  } else if (state_ == kAuto && in.proposed != nullptr) {
    proposal_end_ = in.now + config_.control_period;
    if (too_many_clamped(!limits_.permits(*in.proposed, in.position))) {
      fire(kOutOfLimits, nobody(), in);
    } else if (nudging_) {
      bend(in, slowed(*in.proposed));
      wanted = &bent_;
      decision_.source = nudging_ ? ControlSource::kNudge : ControlSource::kPolicy;
    } else {
      wanted = &slowed(*in.proposed);
      decision_.source = ControlSource::kPolicy;
    }
  }
  if (decision_.source != ControlSource::kNudge && !nudging_) decision_.nudge.clear();

  if (state_ == kEstop || state_ == kFaultHold || still_) {
    limits_.forget();
    decision_.executed.assign(limits_.size(), 0.0f);
    decision_.motion = state_ == kEstop ? Motion::kEstop : Motion::kHold;
    return;
  }
  if (wanted != nullptr) {
    const Limited limited = limits_.apply(*wanted, in.position, decision_.executed);
    decision_.requested = *wanted;
    decision_.clamped = limited.clamped;
    decision_.changed = limited.changed;
    decision_.motion = limited.refused ? Motion::kHold : Motion::kApply;
    return;
  }
  decision_.stale = state_ == kAuto;
  if (limits_.at_rest()) {
    decision_.executed.assign(limits_.size(), 0.0f);
    decision_.motion = Motion::kHold;
  } else {
    limits_.brake(in.position, decision_.executed);
    decision_.motion = Motion::kApply;
  }
}

}  // namespace nudge
