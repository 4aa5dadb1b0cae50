#include "src/loop/controller.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace nudge {
namespace {

bool all_finite(std::span<const float> values) {
  for (const float value : values) {
    if (!std::isfinite(value)) return false;
  }
  return true;
}

Action mean_of(const std::vector<double>& sums, std::uint32_t count) {
  Action mean(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) mean[i] = static_cast<float>(sums[i] / count);
  return mean;
}

// Compared as they came: an equal prefix is all that two pictures of a noisy sensor cost.
bool same_picture(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) return false;
  // A frame that is raw may get its JPEG a moment later, and still be the same.
  if (!a.rgb.empty() && !b.rgb.empty()) return a.rgb == b.rgb;
  return a.rgb.empty() == b.rgb.empty() && a.jpeg == b.jpeg;
}

}  // namespace

bool stands(AuthorityState state) {
  return state == AuthorityState::kHold || state == AuthorityState::kFaultHold ||
         state == AuthorityState::kEstop;
}

bool is_finite(const Observation& observation) {
  return all_finite(observation.proprioception) && all_finite(observation.object_state);
}

Result<std::unique_ptr<Controller>> Controller::make(Robot& robot,
                                                     const ControllerOptions& options) {
  Result<Limits> limits =
      Limits::make(options.limits, robot.spec().action, robot.spec().control_period);
  if (!limits.ok()) return limits.status();
  NUDGE_TRY(options.player.validate());
  if (options.camera_same != Duration::zero() &&
      options.camera_same < options.authority.camera_fresh) {
    return invalid_argument("camera_same must be 0, or at least camera_fresh");
  }
  Result<Authority> authority =
      Authority::make(options.authority, *std::move(limits), options.boot);
  if (!authority.ok()) return authority.status();
  return std::unique_ptr<Controller>(new Controller(robot, options, *std::move(authority)));
}

Controller::Controller(Robot& robot, const ControllerOptions& options, Authority authority)
    : robot_(robot),
      authority_(std::move(authority)),
      camera_fresh_(options.authority.camera_fresh),
      camera_same_(options.camera_same),
      executed_unknown_(options.executed_unknown),
      player_(options.player) {
  for (const std::string& name : options.cameras) {
    Watched& camera = cameras_.emplace_back();
    camera.name = name;
  }
}

// Taken, not copied: nobody else looks at an old frame.
void Controller::keep_pictures() {
  if (camera_same_ == Duration::zero()) return;
  for (Watched& camera : cameras_) {
    for (Image& image : observation_.images) {
      if (image.camera == camera.name) std::swap(camera.picture, image);
    }
  }
}

void Controller::watch_cameras(Instant now) {
  for (Watched& camera : cameras_) {
    for (const Image& image : observation_.images) {
      // A frame that is given again, or whose clock is ahead, makes nothing younger.
      if (image.camera != camera.name || image.captured == camera.captured) continue;
      const bool first = camera.captured == Instant::min();
      camera.captured = image.captured;
      camera.newest = std::min(image.captured, now);
      if (camera_same_ == Duration::zero()) continue;
      if (first || !same_picture(image, camera.picture)) camera.same_since = camera.newest;
      if (camera.same_since < now - camera_same_) camera.newest = camera.same_since;
    }
  }
}

void Controller::begin_episode(EpisodeId episode, Instant now) {
  episode_ = episode;
  policy_step_ = 0;
  open_.reset();
  player_.flush(now);
}

TickOutcome Controller::tick(Instant now, WallTime wall, const ControlInputs& inputs) {
  TickOutcome outcome;
  ++tick_;

  Result<Observation> observed = robot_.observe();
  const bool seen = observed.ok();
  if (seen) {
    keep_pictures();
    observation_ = *std::move(observed);
    observed_ = true;
    watch_cameras(now);
  } else {
    outcome.robot = observed.status();  // the last state grows old, and the authority sees it
  }

  TickInputs in;
  in.now = now;
  in.tick = tick_;
  in.observed = observed_ ? observation_.time : Instant::min();
  if (inputs.clock != nullptr && in.observed > now && in.observed <= inputs.clock()) {
    in.observed = now;
  }
  in.robot_finite = is_finite(observation_);
  in.position = observation_.proprioception;
  const auto oldest = std::ranges::min_element(cameras_, {}, &Watched::newest);
  if (oldest != cameras_.end()) {
    in.oldest_frame = oldest->newest;
    in.oldest_camera = oldest->name;
    if (oldest->newest < now - camera_fresh_) outcome.frozen = oldest->name;
  }
  in.acts = inputs.acts;
  in.jog = inputs.jog;
  in.stop_presses = inputs.stop_presses;
  in.robot_stopped = seen && observation_.stopped;
  in.weights_failed = inputs.weights_failed;
  in.resetting = inputs.resetting;
  in.reset_failed = inputs.reset_failed;
  in.no_takeover = inputs.no_takeover;
  const bool has_proposal = !player_.exhausted(now);
  if (has_proposal) {
    proposed_ = player_.at(now);
    in.proposed = &proposed_;
    in.proposed_from = player_.observed();
  }
  const Decision& decision = authority_.tick(in);

  if (open_ && step_is_over(now, decision)) outcome.finished = finish_step();
  if (!open_ && episode_ != 0) {
    begin_step(now, wall, decision);
    if (has_proposal) open_->step.proposed = proposed_;
    outcome.step_begun = true;
  }
  if (open_) add_to_step(decision);

  // STOP was reset: the robot itself still refuses to move. Asked again at each tick until it
  // agrees.
  if (estopped_ && decision.motion != Motion::kEstop) {
    const Status reset = robot_.reset_estop();
    estopped_ = !reset.ok();
    if (!reset.ok() && outcome.robot.ok()) outcome.robot = reset;
  }
  switch (decision.motion) {
    case Motion::kApply: {
      // A tick and a half: late enough for a tick that is a little late, early enough to stop
      // within the next.
      const Duration period = robot_.spec().control_period;
      Status applied = robot_.apply(decision.executed, now + period + period / 2);
      if (!applied.ok() && outcome.robot.ok()) outcome.robot = std::move(applied);
      break;
    }
    case Motion::kHold:
      // A hold ends a reset, so the robot is told once, by whatever makes it stand.
      if (!inputs.resetting || (decision.state != state_ && stands(decision.state))) robot_.hold();
      break;
    case Motion::kEstop:
      robot_.estop();
      estopped_ = true;
      break;
  }
  if (decision.source == ControlSource::kPolicy || decision.source == ControlSource::kNudge) {
    outcome.played = player_.version();
  }
  if (decision.flush_policy) player_.flush(now);
  state_ = decision.state;
  outcome.decision = &decision;
  return outcome;
}

bool Controller::step_is_over(Instant now, const Decision& decision) const {
  if (decision.source != open_->step.source || decision.nudge != open_->nudge) return true;
  // Half a tick of slack: a real clock's ticks are never exact.
  return now - open_->begun + robot_.spec().control_period / 2 >= robot_.spec().policy_period;
}

void Controller::begin_step(Instant now, WallTime wall, const Decision& decision) {
  OpenStep open;
  open.begun = now;
  open.nudge = decision.nudge;
  open.step.episode = episode_;
  open.step.policy_step = policy_step_;
  open.step.control_tick = tick_;
  open.step.time = observation_.time;
  open.step.wall_time = wall;
  open.step.weights = player_.version();
  open.step.source = decision.source;
  open.step.proprioception = observation_.proprioception;
  const std::size_t size = robot_.spec().action.size();
  open.requested.assign(size, 0.0);
  open.executed.assign(size, 0.0);
  if (player_.row(now) && player_.row(now) == player_.first_row())
    open.step.flags |= kStepFirstOfChunk;
  open_ = std::move(open);
}

void Controller::add_to_step(const Decision& decision) {
  ++open_->ticks;
  if (decision.requested.size() == open_->requested.size()) {
    ++open_->requested_ticks;
    for (std::size_t i = 0; i < open_->requested.size(); ++i) {
      open_->requested[i] += decision.requested[i];
    }
  }
  for (std::size_t i = 0; i < open_->executed.size(); ++i)
    open_->executed[i] += decision.executed[i];
  if (decision.clamped) open_->step.flags |= kStepClamped;
  if (decision.stale) open_->step.flags |= kStepStale;
  const bool of_policy =
      open_->step.source == ControlSource::kPolicy || open_->step.source == ControlSource::kNudge;
  if (of_policy && decision.speed < 1) open_->step.flags |= kStepSlowed;
}

std::optional<Step> Controller::finish_step() {
  if (!open_ || open_->ticks == 0) return std::nullopt;
  Step step = std::move(open_->step);
  if (open_->requested_ticks > 0)
    step.requested = mean_of(open_->requested, open_->requested_ticks);
  if (!executed_unknown_) step.executed = mean_of(open_->executed, open_->ticks);
  const auto full = robot_.spec().policy_period / robot_.spec().control_period;
  if (open_->ticks < static_cast<std::uint32_t>(full)) step.flags |= kStepShort;
  open_.reset();
  ++policy_step_;
  return step;
}

}  // namespace nudge
