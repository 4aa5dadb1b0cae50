// A robot that does what tests tell it: it stands at the far side of the Robot seam.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "nudge/robot.h"

namespace nudge {

class FakeRobot : public Robot {
 public:
  explicit FakeRobot(Duration control = std::chrono::milliseconds(20),
                     Duration policy = std::chrono::milliseconds(100)) {
    spec_.id = "fake";
    spec_.control_period = control;
    spec_.policy_period = policy;
    spec_.observation.proprioception = {{"x", "m", -1, 1}};
    spec_.observation.object_state = {{"target", "m", -1, 1}};
    spec_.action.channels = {{"x", "m/s", -0.25f, 0.25f}, {"y", "m/s", -0.25f, 0.25f}};
  }

  const RobotSpec& spec() const override { return spec_; }
  Status reset(std::uint64_t) override {
    ++resets;
    success = false;
    busy = slow_reset;
    return reset_answer;
  }
  std::string instruction() const override { return scene; }
  void instruct(const std::string& instruction) override { told = instruction; }
  bool resetting() override { return busy; }
  Status reset_result() override { return reset_ended; }
  Result<Observation> observe() override {
    if (silent) return unavailable("the fake robot does not answer");
    Observation observation;
    // One that resets has nothing new to show.
    if (!busy) seen = now;
    observation.time = seen;
    observation.proprioception = {position};
    observation.object_state = {0.5f};
    observation.images = images;
    observation.success = success;
    observation.over = over;
    observation.stopped = stopped;
    return observation;
  }
  Status apply(const Action& action, Instant) override {
    applied.push_back(action);
    return {};
  }
  void hold() override { ++holds; }
  void estop() override { ++estops; }
  Status reset_estop() override {
    ++estop_resets;
    return estop_resets > refused_resets ? Status{} : unavailable("the fake robot is busy");
  }

  Instant now{std::chrono::seconds(1)};  // the time its state is read at
  float position = 0;
  std::string scene;     // what its next episodes call for
  std::string told;      // the newest instruction it heard of
  bool silent = false;   // stops answering
  bool success = false;  // until the next reset
  Over over = Over::kNo;
  bool stopped = false;  // says that a stop of its own holds it
  std::vector<Image> images;
  bool slow_reset = false;  // a reset lasts until the test clears `busy`
  bool busy = false;
  Status reset_answer, reset_ended;
  int resets = 0;
  Instant seen{};
  std::vector<Action> applied;
  std::atomic<int> holds{0};
  std::atomic<int> estops{0};
  int estop_resets = 0;
  int refused_resets = 0;  // so many resets fail

 private:
  RobotSpec spec_;
};

}  // namespace nudge
