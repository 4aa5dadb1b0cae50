// The daemon's step, inference and writer threads beside a robot of 1 kHz that does nothing but
// integrate, while weights are swapped under it. Two questions: does swapping cost the control tick
// anything over the same run without it, and is a tick ever missed? CPU time is taken inside the
// tick, and how late it woke up beside it, as wake-ups say more about a virtual machine than about
// the program. Once more under load: the robot shows two cameras, and beside it a process trains,
// as the learner does, and one keeps steps on the disk.
//
// NUDGE_BENCH_SECONDS (3 by default) is the length of each run, NUDGE_BENCH_FIFO the SCHED_FIFO
// priority of the step thread (0: the ordinary scheduler).
#include <benchmark/benchmark.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <thread>

#include "policy/trainer.h"
#include "replay/log.h"
#include "src/daemon/real_time.h"
#include "src/loop/clock.h"
#include "test/support/random_batch.h"
#include "test/support/temp_folder.h"
#include "test/support/untrained_head.h"

namespace {

using nudge::seconds;

// Seven joints in velocity control at 1 kHz, a policy of 50 Hz; with cameras two of them at 15 Hz,
// whose pictures are 6 kB.
class PointRobot final : public nudge::Robot {
 public:
  explicit PointRobot(bool cameras) {
    spec_.id = "points";
    spec_.control_period = std::chrono::milliseconds(1);
    spec_.policy_period = std::chrono::milliseconds(20);
    for (int i = 0; i < kJoints; ++i) {
      const std::string name = "joint_" + std::to_string(i);
      spec_.observation.proprioception.push_back({name, "rad", -3, 3});
      spec_.action.channels.push_back({name, "rad/s", -1, 1});
    }
    spec_.observation.object_state = {{"target", "m", -1, 1}};
    if (cameras) spec_.observation.cameras = {{"front", 128, 128}, {"wrist", 128, 128}};
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
    if (observation.time - shown_ >= kFrame) {
      shown_ = observation.time;
      for (const nudge::CameraSpec& camera : spec_.observation.cameras) {
        observation.images.push_back({.camera = camera.name,
                                      .width = camera.width,
                                      .height = camera.height,
                                      .captured = shown_,
                                      .rgb = {},
                                      .jpeg = std::vector<std::uint8_t>(6000, 0x5a)});
      }
    }
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
  static constexpr nudge::Duration kFrame = std::chrono::milliseconds(66);
  nudge::RobotSpec spec_;
  std::vector<float> positions_;
  nudge::Instant shown_{};
};

// A process beside the daemon, which counts what it has done, until the end of its scope. Made
// while this process has one thread.
class Beside {
 public:
  using Done = std::atomic<std::uint64_t>;

  explicit Beside(const std::function<void(Done&)>& work) {
    void* shared =
        ::mmap(nullptr, sizeof(Done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) std::abort();
    done_ = new (shared) Done(0);
    pid_ = ::fork();
    if (pid_ < 0) std::abort();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      work(*done_);
      ::_exit(1);
    }
    while (*done_ == 0 && ::waitpid(pid_, nullptr, WNOHANG) == 0) ::usleep(10'000);
  }
  ~Beside() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::munmap(done_, sizeof(Done));
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  std::uint64_t done() const { return *done_; }
  double cpu_seconds() const {
    clockid_t clock{};
    timespec spent{};
    if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &spent) != 0) return 0;
    return static_cast<double>(spent.tv_sec) + 1e-9 * static_cast<double>(spent.tv_nsec);
  }

 private:
  Done* done_ = nullptr;
  pid_t pid_ = -1;
};

// Steps of training with batches of 256 and a head of 0.9 MB, one after the other, with the
// learner's niceness.
void train(Beside::Done& done) {
  const sched_param ordinary{};
  (void)::sched_setscheduler(0, SCHED_BATCH, &ordinary);
  if (::nice(static_cast<int>(nudge::Config().learner.nice)) == -1) return;
  nudge::use_one_torch_thread();
  nudge::HeadSpec spec;
  spec.feature_size = 64;
  spec.proprioception_size = 7;
  spec.action_size = 4;
  nudge::Random random(1);
  const nudge::Batch batch = nudge::random_batch(spec, 256, random);
  const auto bytes = nudge::initial_weights(spec, batch, 1, {});
  if (!bytes.ok()) return;
  const auto weights = nudge::Weights::parse(*bytes);
  if (!weights.ok()) return;
  const auto trainer = nudge::Trainer::create(*weights, nullptr, nudge::TrainerOptions::full());
  if (!trainer.ok()) return;
  while ((*trainer)->step(batch).ok()) ++done;
}

// 30 steps of 424 bytes a hundred times a second, each thirty durable before the next.
void ingest(const std::string& folder, Beside::Done& done) {
  constexpr std::uint32_t kBatch = 30;
  nudge::SegmentSpec spec;
  spec.feature_size = 128;
  spec.proprioception_size = 9;
  spec.action_size = 4;
  nudge::LogOptions options;
  options.dir = folder;
  options.boot = "bench";
  const auto log = nudge::Log::open(nudge::posix_files(), options);
  if (!log.ok()) return;
  const auto episode = (*log)->start_episode(spec);
  if (!episode.ok()) return;
  nudge::Step step;
  step.episode = *episode;
  step.features.assign(spec.feature_size, 0.5f);
  step.proprioception.assign(spec.proprioception_size, 0.5f);
  for (auto* action : {&step.proposed, &step.requested, &step.executed}) {
    action->assign(spec.action_size, 0.1f);
  }
  for (auto next = std::chrono::steady_clock::now();; next += std::chrono::milliseconds(10)) {
    std::this_thread::sleep_until(next);
    for (std::uint32_t i = 0; i < kBatch; ++i, ++step.policy_step) {
      if (!(*log)->append(step).ok()) return;
    }
    if (!(*log)->commit().ok()) return;
    done += kBatch;
  }
}

double micros(nudge::Duration duration) { return 1e6 * seconds(duration); }

std::uint64_t longer_than(const nudge::DurationHistogram& times, nudge::Duration bound) {
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < nudge::DurationHistogram::kBuckets; ++i) {
    const bool below = i < nudge::DurationHistogram::kBounds.size() &&
                       nudge::Duration(nudge::DurationHistogram::kBounds[i]) <= bound;
    if (!below) found += times.counts()[i];
  }
  return found;
}

void control(benchmark::State& state, bool cameras) {
  const char* length = std::getenv("NUDGE_BENCH_SECONDS");
  const char* fifo = std::getenv("NUDGE_BENCH_FIFO");
  nudge::Config config;
  config.daemon.fifo_priority = fifo != nullptr ? std::strtol(fifo, nullptr, 10) : 0;
  config.limits.clamps_to_hold = 1023;  // untrained heads overshoot
  config.limits.clamp_window_ticks = 1024;
  PointRobot robot(cameras);
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
    state.counters["over_a_period"] =
        static_cast<double>(longer_than(report->work, robot.spec().control_period));
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

// range(0): swaps per second.
void control_at_1_khz(benchmark::State& state) { control(state, false); }
BENCHMARK(control_at_1_khz)->Arg(0)->Arg(5)->Arg(50)->Iterations(1)->Unit(benchmark::kSecond);

void control_under_load(benchmark::State& state) {
  const nudge::test::TempFolder folder;
  const Beside trains(train);
  const Beside ingests([&](Beside::Done& done) { ingest(folder / "log", done); });
  const std::uint64_t trained = trains.done(), ingested = ingests.done();
  const double spent = trains.cpu_seconds();
  const nudge::Instant begun = nudge::steady_now();
  control(state, true);
  const double took = seconds(nudge::steady_now() - begun);
  const auto steps = static_cast<double>(trains.done() - trained);
  state.counters["training_steps_per_s"] = steps / took;
  state.counters["training_steps_per_cpu_s"] = steps / (trains.cpu_seconds() - spent);
  state.counters["ingested_steps_per_s"] = static_cast<double>(ingests.done() - ingested) / took;
}
BENCHMARK(control_under_load)->Arg(0)->Arg(50)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace

BENCHMARK_MAIN();
