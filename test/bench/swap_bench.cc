// Hot swap. Two questions:
// 1. What does taking new weights cost a tick of 1 kHz, at 50 swaps a second, over the same loop
//    without swaps? Work is timed inside the tick, as wake-ups say little on a virtual machine.
// 2. How long from accepted bytes to weights that could run: sign, store durably, load, verify,
// parse?
#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "nudge/random.h"
#include "policy/swap_slot.h"
#include "policy/weights_store.h"

namespace {

using Clock = std::chrono::steady_clock;

// About 0.9 MB of floats, as the default head has.
constexpr std::size_t kFloats = 225'000;
struct Prepared {
  std::vector<float> values;
  std::uint64_t version = 0;
};
using Handle = std::shared_ptr<const Prepared>;

Handle prepare(std::uint64_t version) {
  auto prepared = std::make_shared<Prepared>();
  prepared->values.assign(kFloats, static_cast<float>(version));
  prepared->version = version;
  return prepared;
}

double micros(Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

double thread_cpu_micros() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

double quantile(std::vector<double>& values, double q) {
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

// range(0): swaps per second. One iteration is three seconds of a 1 kHz loop.
void acquire(benchmark::State& state) {
  const auto swaps = state.range(0);
  constexpr int kTicks = 3000;
  std::vector<double> wall, cpu;
  std::uint64_t torn = 0, taken = 0;
  for ([[maybe_unused]] auto iteration : state) {
    nudge::SwapSlot<Handle> slot;
    slot.publish(prepare(0));
    std::atomic<bool> stop{false};
    std::thread publisher([&] {
      std::uint64_t version = 0;
      auto next = Clock::now();
      while (!stop.load()) {
        next += swaps > 0 ? std::chrono::microseconds(1'000'000 / swaps)
                          : std::chrono::microseconds(20'000);
        // The control run prepares and frees as well, so that only the hand-over differs.
        Handle prepared = prepare(++version);
        benchmark::DoNotOptimize(prepared);
        if (swaps > 0) slot.publish(std::move(prepared));
        std::this_thread::sleep_until(next);
      }
    });
    auto next = Clock::now();
    for (int tick = 0; tick < kTicks; ++tick) {
      next += std::chrono::milliseconds(1);
      std::this_thread::sleep_until(next);
      const double cpu_before = thread_cpu_micros();
      const auto before = Clock::now();
      const Handle* fresh = slot.try_take();
      benchmark::DoNotOptimize(fresh);
      const auto after = Clock::now();
      cpu.push_back(thread_cpu_micros() - cpu_before);
      wall.push_back(micros(after - before));
      taken += fresh != nullptr;
      const Prepared& used = **slot.current();
      torn += used.values.front() != static_cast<float>(used.version) ||
              used.values.back() != static_cast<float>(used.version);
    }
    stop.store(true);
    publisher.join();
  }
  state.counters["p50_us"] = quantile(wall, 0.5);
  state.counters["p99_us"] = quantile(wall, 0.99);
  state.counters["max_us"] = *std::max_element(wall.begin(), wall.end());
  state.counters["cpu_p99_us"] = quantile(cpu, 0.99);
  state.counters["cpu_max_us"] = *std::max_element(cpu.begin(), cpu.end());
  state.counters["taken"] = static_cast<double>(taken);
  state.counters["torn"] = static_cast<double>(torn);
}
BENCHMARK(acquire)
    ->ArgName("swaps_per_s")
    ->Arg(0)
    ->Arg(50)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// A folder beside the executable rather than in /tmp, which is often in memory.
class BenchFolder {
 public:
  BenchFolder() : path_("swap-bench-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~BenchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<std::byte> head_bytes() {
  nudge::HeadSpec head;
  head.feature_size = 256;
  head.proprioception_size = 16;
  head.action_size = 7;
  head.horizon = 8;
  nudge::Random random(1);
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, shape] : nudge::tensors_of(head)) {
    std::size_t size = 1;
    for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
    for (std::size_t i = 0; i < size; ++i) {
      tensors[name].push_back(static_cast<float>(random.normal()));
    }
  }
  return *nudge::write_weights(head, {}, tensors);
}

// range(0): 1 parse only (hash and form), 2 publish (sign, two fsyncs and renames), 3 load (read,
// verify, hash, parse).
void weights_path(benchmark::State& state) {
  const BenchFolder root;
  auto folder = nudge::open_folder(root.path());
  auto key = nudge::SigningKey::load_or_create(**folder);
  auto store = nudge::WeightsStore::open(std::move(*folder), std::move(*key), "bench");
  const std::vector<std::byte> bytes = head_bytes();
  const auto weights = *nudge::Weights::parse(bytes);
  nudge::WeightsVersion version = 0;
  const auto publish = [&] {
    nudge::PublishRequest request;
    request.version = ++version;
    request.parent = version - 1;
    request.report = "{}";
    if (!store->publish(*weights, request).ok()) state.SkipWithError("publish failed");
  };
  publish();
  std::vector<double> times;
  for ([[maybe_unused]] auto iteration : state) {
    const auto before = Clock::now();
    if (state.range(0) == 1) {
      benchmark::DoNotOptimize(nudge::Weights::parse(bytes));
    } else if (state.range(0) == 2) {
      publish();
    } else if (!store->load(1).ok()) {
      state.SkipWithError("load failed");
    }
    times.push_back(micros(Clock::now() - before));
    if (version % 32 == 0) {
      state.PauseTiming();
      if (!store->prune({1}).ok()) state.SkipWithError("prune failed");
      state.ResumeTiming();
    }
  }
  state.counters["bytes"] = static_cast<double>(bytes.size());
  state.counters["p50_us"] = quantile(times, 0.5);
  state.counters["p99_us"] = quantile(times, 0.99);
}
BENCHMARK(weights_path)
    ->ArgName("parse1_publish2_load3")
    ->Arg(1)
    ->Arg(2)
    ->Arg(3)
    ->Iterations(100)
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
