// A robot for tests of connections: it stands at the far side of the Robot seam, keeps what it was
// told, and may be asked for it by any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "nudge/robot.h"
#include "src/loop/clock.h"

namespace nudge::test {

inline RobotSpec small_spec(std::string id = "arm") {
  RobotSpec spec;
  spec.id = std::move(id);
  spec.control_period = std::chrono::milliseconds(5);
  spec.policy_period = std::chrono::milliseconds(20);
  spec.observation.proprioception = {{"x", "m", -1, 1}, {"y", "m", -1, 1}};
  spec.observation.object_state = {{"block", "m", -1, 1}};
  spec.observation.cameras = {{"front", 64, 48}};
  spec.action.channels = {{"x", "m/s", -0.25f, 0.25f}, {"y", "m/s", -0.25f, 0.25f}};
  return spec;
}

class RecordingRobot final : public Robot {
 public:
  explicit RecordingRobot(RobotSpec spec = small_spec()) : spec_(std::move(spec)) {}

  const RobotSpec& spec() const override { return spec_; }
  Status reset(std::uint64_t seed) override {
    std::function<void()> before;
    note([&] { before = on_reset; });
    if (before) before();
    note([&] { resets.push_back(seed); });
    return {};
  }
  bool resetting() override { return slow; }
  Status reset_result() override {
    const std::lock_guard lock(mutex_);
    return reset_ended;
  }
  Result<Observation> observe() override {
    if (broken) return unavailable("the arm is unplugged");
    Observation observation;
    observation.time = steady_now() + clock_offset.load();
    observation.proprioception = {x.load(), 0.5f};
    observation.object_state = {0.25f};
    observation.success = success;
    const std::lock_guard lock(mutex_);
    if (!jpeg.empty()) {
      observation.images.push_back({"front", 64, 48, observation.time, {}, jpeg});
    }
    if (!rgb.empty()) {
      observation.images.push_back({"front", 64, 48, observation.time, rgb, {}});
    }
    observation.over = over;
    observation.stopped = stops_itself;
    return observation;
  }
  Status apply(const Action& action, Instant deadline) override {
    note([&] {
      applied.push_back(action);
      deadlines.push_back(deadline);
      applied_at.push_back(steady_now());
      held = false;
    });
    return {};
  }
  void hold() override {
    note([&] {
      ++holds;
      if (!held) held_at = steady_now();
      held = true;
    });
  }
  void estop() override {
    note([&] {
      ++estops;
      stopped = true;
    });
  }
  Status reset_estop() override {
    note([&] { stopped = false; });
    return {};
  }

  // Waits until `holds_true`, called under the lock, is so.
  template <typename Condition>
  bool wait(Condition&& holds_true, Duration patience = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, std::forward<Condition>(holds_true));
  }
  template <typename Read>
  auto read(Read&& what) {
    const std::lock_guard lock(mutex_);
    return what();
  }

  std::atomic<float> x{0};
  std::atomic<bool> success{false};
  std::atomic<bool> broken{false};
  std::atomic<Over> over{Over::kNo};
  std::atomic<bool> stops_itself{false};
  std::atomic<bool> slow{false};  // a reset is under way
  std::atomic<Duration> clock_offset{Duration::zero()};

  // Under the lock.
  Status reset_ended;
  std::function<void()> on_reset;  // called by reset() without it
  std::vector<std::uint8_t> jpeg, rgb;
  std::vector<std::uint64_t> resets;
  std::vector<Action> applied;
  std::vector<Instant> deadlines, applied_at;
  int holds = 0, estops = 0;
  bool held = true, stopped = false;
  Instant held_at{};

 private:
  template <typename Change>
  void note(Change&& change) {
    {
      const std::lock_guard lock(mutex_);
      change();
    }
    changed_.notify_all();
  }
  RobotSpec spec_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace nudge::test
