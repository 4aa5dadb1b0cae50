#include "src/ports/remote_robot.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace nudge {
namespace {

Status not_connected() { return unavailable("the robot is not connected"); }

}  // namespace

RemoteRobot::RemoteRobot(std::shared_ptr<RobotLink> link) : link_(std::move(link)) {}

Status RemoteRobot::reset(std::uint64_t seed) {
  const std::uint32_t session = link_->session.load(std::memory_order_acquire);
  if (session == 0) return not_connected();
  resetting_ = just_begun_ = true;
  reset_session_ = session;
  reset_result_ = {};
  ++reset_request_;
  link_->reset_wanted.put(
      {session, reset_request_, seed, link_->holds.load(std::memory_order_acquire)});
  link_->wake();
  return {};
}

bool RemoteRobot::resetting() {
  if (!resetting_) return false;
  // An answer may be there at once; what was observed until now is from before it all the same.
  if (std::exchange(just_begun_, false)) return true;
  if (auto done = link_->reset_done.try_take(); done && done->request == reset_request_) {
    resetting_ = false;
    reset_result_ = std::move(done->status);
  } else if (link_->session.load(std::memory_order_acquire) != reset_session_) {
    resetting_ = false;
    reset_result_ = unavailable("the robot was lost while it reset");
  }
  return resetting_;
}

Result<Observation> RemoteRobot::observe() {
  if (auto newest = link_->received.try_take()) newest_ = *std::move(newest);
  const std::uint32_t session = link_->session.load(std::memory_order_acquire);
  if (session == 0) return not_connected();
  if (newest_.session != session) return unavailable("the robot has not sent anything yet");
  if (!newest_.trouble.ok()) return newest_.trouble;
  Observation observation = newest_.observation;
  observation.images.reserve(newest_.images.size());
  for (const auto& image : newest_.images) observation.images.push_back(*image);
  return observation;
}

Status RemoteRobot::apply(const Action& action, Instant deadline) {
  if (action.size() != link_->spec.action.size()) {
    return invalid_argument("an action has " + std::to_string(action.size()) + " values, not " +
                            std::to_string(link_->spec.action.size()));
  }
  if (!std::all_of(action.begin(), action.end(), [](float v) { return std::isfinite(v); })) {
    return invalid_argument("an action is not finite");
  }
  const std::uint32_t session = link_->session.load(std::memory_order_acquire);
  if (session == 0) return not_connected();
  if (newest_.session != session) {
    return failed_precondition("an action needs an observation that it answers");
  }
  if (RobotLink::latched(link_->stops.load(std::memory_order_acquire)) ||
      newest_.observation.stopped) {
    return failed_precondition("the robot is stopped until reset_estop()");
  }
  link_->moving.put(
      {session, newest_.tick, link_->holds.load(std::memory_order_acquire), deadline, action});
  link_->wake();
  return {};
}

void RemoteRobot::hold() {
  link_->holds.fetch_add(1, std::memory_order_acq_rel);
  link_->wake();
}

void RemoteRobot::estop() {
  link_->stop(true);
  link_->wake();
}

Status RemoteRobot::reset_estop() {
  if (!connected()) return not_connected();
  link_->stop(false);
  link_->wake();
  return {};
}

}  // namespace nudge
