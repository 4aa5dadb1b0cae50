// The simulated kitchen by level: what a control tick of physics, a pair of pictures and looks
// drawn anew cost, and how often the expert does the task, from standard starts and from states
// that a failing policy leaves behind.
#include <benchmark/benchmark.h>

#include <stdexcept>

#include "src/sim/kitchen_cameras.h"
#include "test/support/perturbed_kitchen.h"

namespace nudge {
namespace {

std::unique_ptr<KitchenRobot> kitchen(const benchmark::State& state) {
  auto robot = KitchenRobot::create({.level = static_cast<int>(state.range(0))});
  if (!robot.ok()) throw std::runtime_error(robot.status().message());
  return *std::move(robot);
}

void BM_ControlTick(benchmark::State& state) {
  const auto robot = kitchen(state);
  for (auto _ : state) {
    if (!robot->advance().ok()) state.SkipWithError("the physics became unstable");
  }
}

// Front and wrist, 128x128, JPEG included.
void BM_PairOfPictures(benchmark::State& state) {
  const auto robot = kitchen(state);
  auto cameras = KitchenCameras::create(robot->level(), 85);
  if (!cameras.ok()) {
    state.SkipWithError(cameras.status().message().c_str());
    return;
  }
  const std::vector<double> positions = robot->positions();
  for (auto _ : state) {
    if (!(*cameras)->render(positions, nullptr, robot->now()).ok()) {
      state.SkipWithError("no picture");
    }
  }
}

// Counters: share of the starts from which the task is done, and policy steps taken in those.
void BM_Expert(benchmark::State& state) {
  const bool perturbed = state.range(1) != 0;
  const auto robot = kitchen(state);
  Expert expert({}, robot->level());
  double starts = 0, done = 0, ticks = 0;
  for (auto _ : state) {
    const auto seed = static_cast<std::uint64_t>(1000 + starts++);
    if (!(perturbed ? perturb(*robot, seed) : robot->reset(seed)).ok()) {
      state.SkipWithError("no start");
    }
    const ControlTick before = robot->ticks();
    expert.begin();
    const auto finished = expert_finishes(*robot, expert);
    if (!finished.ok() || !*finished) continue;
    ++done;
    ticks += static_cast<double>(robot->ticks() - before);
  }
  state.counters["starts"] = starts;
  state.counters["done"] = done / starts;
  state.counters["steps"] = ticks / 5 / done;
}

BENCHMARK(BM_ControlTick)->ArgName("level")->DenseRange(1, 4);
BENCHMARK(BM_PairOfPictures)->ArgName("level")->DenseRange(1, 4);
BENCHMARK(BM_Expert)
    ->ArgNames({"level", "perturbed"})
    ->ArgsProduct({{1, 2, 3, 4}, {0, 1}})
    ->Iterations(300)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace nudge

BENCHMARK_MAIN();
