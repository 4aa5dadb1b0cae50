// The simulated kitchen in real time: a robot whose world goes on by one control tick whenever it
// is asked for its state, and whose cameras deliver frames from a thread of their own, as real ones
// do.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "src/handoff/latest.h"
#include "src/sim/kitchen_cameras.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {

// Threads as Robot says. start() and stop() belong to whoever owns it.
class LiveKitchen final : public Robot {
 public:
  using Clock = Instant (*)();  // the robot's steady clock

  // `options.cameras` gives spec() the two cameras. Errors as KitchenRobot::create().
  static Result<std::unique_ptr<LiveKitchen>> create(const KitchenOptions& options, Clock clock);
  ~LiveKitchen() override;

  void start();  // the cameras; nothing without them
  void stop();

  const RobotSpec& spec() const override { return spec_; }
  Status reset(std::uint64_t seed) override;
  // A tick that nobody applied an action to is simulated as standing still.
  Result<Observation> observe() override;
  Status apply(const Action& action, Instant deadline) override;
  // What people read before the first episode.
  const std::string& instruction_at_start() const {
    return robot_->level().data().tasks.front().instruction;
  }
  std::string instruction() const override;
  void instruct(const std::string& instruction) override;
  void hold() override;
  void estop() override;
  Status reset_estop() override;

 private:
  LiveKitchen(std::unique_ptr<KitchenRobot> robot, std::unique_ptr<KitchenCameras> cameras,
              Clock clock);
  void film();

  struct Scene {
    std::vector<double> positions;
    std::shared_ptr<const KitchenLooks> looks;
    Instant captured;
  };

  std::unique_ptr<KitchenRobot> robot_;
  std::unique_ptr<KitchenCameras> cameras_;
  Clock clock_;
  RobotSpec spec_;
  bool moved_ = true;  // since the last observe()
  Instant next_frame_{};
  std::vector<Image> frames_;  // newest
  Latest<Scene> scenes_;       // to the cameras
  Latest<std::vector<Image>> filmed_;
  std::atomic<bool> stop_{false};
  std::thread filming_;
};

}  // namespace nudge
