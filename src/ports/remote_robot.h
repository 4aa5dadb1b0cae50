// A robot in another process, as the step thread sees it: every call returns at once. The socket is
// RobotPort's, on the io thread; docs/reference/robot-protocol.md says what travels between.
#pragma once

#include <memory>
#include <vector>

#include "nudge/robot.h"
#include "src/ports/robot_link.h"

namespace nudge {

// Made by RobotPort from the robot's hello; outlives the connection, and the port. A robot that
// reconnects or restarts with the same spec goes on behind the same object.
class RemoteRobot final : public Robot {
 public:
  explicit RemoteRobot(std::shared_ptr<RobotLink> link);

  const RobotSpec& spec() const override { return link_->spec; }

  // Asks for a new episode and returns; `resetting()` tells when the robot is done.
  // kUnavailable: not connected.
  Status reset(std::uint64_t seed) override;
  // True from reset() until the robot answered or was lost, and when asked first. Step thread.
  bool resetting() override;
  // How the last reset ended; ok while one is under way. Step thread.
  Status reset_result() override { return reset_result_; }

  // The newest observation; its time is mapped to this process's clock, see ClockMap. The images
  // are the newest frame of each camera, as JPEG, copied on each call. kUnavailable: not
  // connected, or the robot itself said so. An observation that no newer one replaces is returned
  // again, and grows old: whoever drives must look at its time.
  Result<Observation> observe() override;

  // Hands the action to the io thread; it echoes the tick of the newest observe(), so that the
  // robot refuses it when it comes too late. A deadline beyond 1 s is cut to it.
  Status apply(const Action& action, Instant deadline) override;

  // Any thread; never blocks. A hold cancels the action that was applied before it and not sent
  // yet. An estop is sent again after each reconnection until reset_estop().
  void hold() override;
  void estop() override;
  // Sends and returns. kUnavailable: not connected, and the latch stays.
  Status reset_estop() override;

  bool connected() const { return link_->session.load(std::memory_order_acquire) != 0; }

 private:
  std::shared_ptr<RobotLink> link_;
  RobotLink::Received newest_;
  std::uint32_t reset_request_ = 0;
  std::uint32_t reset_session_ = 0;
  bool resetting_ = false;
  bool just_begun_ = false;  // the reset, and nobody has asked yet
  Status reset_result_;
};

}  // namespace nudge
