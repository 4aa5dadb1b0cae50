// The daemon's step, inference and writer threads beside a robot of 1 kHz that does nothing but
// integrate, while weights are swapped under it. Two questions: does swapping cost the control tick
// anything over the same run without it, and is a tick ever missed? CPU time is taken inside the
// tick, and how late it woke up beside it, as wake-ups say more about a virtual machine than about
// the program.
//
// NUDGE_BENCH_SECONDS (3 by default) is the length of each run, NUDGE_BENCH_FIFO the SCHED_FIFO
// priority of the step thread (0: the ordinary scheduler).
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "policy/trainer.h"
#include "src/daemon/real_time.h"
#include "src/loop/clock.h"
#include "test/support/temp_folder.h"
#include "test/support/untrained_head.h"

namespace {

using nudge::seconds;

// Seven joints in velocity control at 1 kHz, a policy of 50 Hz.
class PointRobot final : public nudge::Robot {
 public:
  PointRobot() {
    spec_.id = "points";
    spec_.control_period = std::chrono::milliseconds(1);
    spec_.policy_period = std::chrono::milliseconds(20);
    for (int i = 0; i < kJoints; ++i) {
      const std::string name = "joint_" + std::to_string(i);
      spec_.observation.proprioception.push_back({name, "rad", -3, 3});
      spec_.action.channels.push_back({name, "rad/s", -1, 1});
    }
    spec_.observation.object_state = {{"target", "m", -1, 1}};
    positions_.assign(kJoints, 0.0f);
  }
  const nudge::RobotSpec& spec() const override { return spec_; }
  nudge::Status reset(std::uint64_t) override {
    positions_.assign(kJoints, 0.0f);
    return {};
  }
  nudge::Result<nudge::Observation> observe() override {
    nudge::Observation observation;
    observation.time = nudge::steady_now();
    observation.proprioception = positions_;
    observation.object_state = {0.5f};
    return observation;
  }
  nudge::Status apply(const nudge::Action& action, nudge::Instant) override {
    for (std::size_t i = 0; i < positions_.size(); ++i) positions_[i] += 0.001f * action[i];
    return {};
  }
  void hold() override {}
  void estop() override {}
  nudge::Status reset_estop() override { return {}; }

 private:
  static constexpr int kJoints = 7;
  nudge::RobotSpec spec_;
  std::vector<float> positions_;
};

double micros(nudge::Duration duration) { return 1e6 * seconds(duration); }

// range(0): swaps per second.
void control_at_1_khz(benchmark::State& state) {
  const char* length = std::getenv("NUDGE_BENCH_SECONDS");
  const char* fifo = std::getenv("NUDGE_BENCH_FIFO");
  nudge::Config config;
  config.daemon.fifo_priority = fifo != nullptr ? std::strtol(fifo, nullptr, 10) : 0;
  config.limits.clamps_to_hold = 1023;  // untrained heads overshoot
  config.limits.clamp_window_ticks = 1024;
  PointRobot robot;
  nudge::use_one_torch_thread();
  const std::vector<nudge::LoadedHead> heads = {nudge::untrained_head(robot.spec(), config, 1),
                                                nudge::untrained_head(robot.spec(), config, 2)};
  nudge::RealTimeOptions options;
  options.length = nudge::from_seconds(length != nullptr ? std::strtod(length, nullptr) : 3);
  options.swap_every = state.range(0) > 0
                           ? nudge::Duration(std::chrono::seconds(1)) / state.range(0)
                           : nudge::Duration::zero();
  for ([[maybe_unused]] auto iteration : state) {
    const nudge::test::TempFolder folder;
    options.folder = folder / "state";
    const auto report = nudge::run_in_real_time(robot, config, heads, options);
    if (!report.ok()) {
      state.SkipWithError(report.status().message().c_str());
      return;
    }
    state.counters["ticks"] = static_cast<double>(report->ticks);
    state.counters["missed"] = static_cast<double>(report->missed);
    state.counters["swaps"] = static_cast<double>(report->swaps);
    state.counters["lost_steps"] = static_cast<double>(report->lost_steps);
    state.counters["cpu_s"] = seconds(report->cpu);
    state.counters["work_mean_us"] =
        micros(report->work.sum()) / static_cast<double>(report->work.count());
    state.counters["work_p50_us"] = micros(report->work.quantile(0.5));
    state.counters["work_p99_us"] = micros(report->work.quantile(0.99));
    state.counters["work_worst_us"] = micros(report->work.worst());
    state.counters["late_p50_us"] = micros(report->late.quantile(0.5));
    state.counters["late_p99_us"] = micros(report->late.quantile(0.99));
    state.counters["late_worst_us"] = micros(report->late.worst());
  }
}
BENCHMARK(control_at_1_khz)->Arg(0)->Arg(5)->Arg(50)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace

BENCHMARK_MAIN();
