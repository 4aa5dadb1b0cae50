// What the log costs: durable ingest and feedback, beside the floors that the device and the memory
// set. Files go to NUDGE_BENCH_DIR, or else the folder for temporary files; use a real disk.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "nudge/random.h"
#include "replay/crc32c.h"
#include "replay/log.h"

namespace {

using namespace nudge;
using Clock = std::chrono::steady_clock;

class Folder {
 public:
  Folder() {
    const char* wanted = std::getenv("NUDGE_BENCH_DIR");
    const std::filesystem::path base =
        wanted != nullptr ? std::filesystem::path(wanted) : std::filesystem::temp_directory_path();
    std::string name = (base / "nudge-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Latencies of single operations, reported as counters in microseconds.
class Latencies {
 public:
  void add(Clock::duration d) {
    us_.push_back(std::chrono::duration<double, std::micro>(d).count());
  }
  void report(benchmark::State& state) {
    if (us_.empty()) return;
    std::sort(us_.begin(), us_.end());
    state.counters["p50_us"] = us_[us_.size() / 2];
    state.counters["p99_us"] = us_[us_.size() * 99 / 100];
    state.counters["max_us"] = us_.back();
  }

 private:
  std::vector<double> us_;
};

SegmentSpec spec_of(bool images) {
  SegmentSpec spec;
  spec.feature_size = 128;
  spec.proprioception_size = 9;
  spec.action_size = 4;
  spec.backbone_hash = std::string(64, '0');
  if (images) spec.cameras = {"front", "wrist"};
  return spec;
}

// A record of 424 bytes without images.
Step step_of(bool images) {
  Random random(1);
  Step step;
  step.features.resize(128);
  for (float& value : step.features) value = static_cast<float>(random.normal());
  step.proprioception.assign(9, 0.5f);
  step.proposed.assign(4, 0.1f);
  step.requested.assign(4, 0.1f);
  step.executed.assign(4, 0.1f);
  if (images) {
    for (const char* camera : {"front", "wrist"}) {
      Image image;
      image.camera = camera;
      image.width = image.height = 128;
      image.jpeg.resize(6000);
      for (auto& byte : image.jpeg) byte = static_cast<std::uint8_t>(random.next());
      step.images.push_back(std::move(image));
    }
  }
  return step;
}

Event event_of(std::uint64_t number) {
  Event event;
  event.id = "bench-" + std::to_string(number);
  event.boot = "5b5f7a3e-0000-4000-8000-000000000000";
  event.actor = {"Ada", Role::kSupervisor};
  event.payload = Words{"a bit lower", WordsUse::kNudge, "down 2 cm"};
  return event;
}

std::unique_ptr<Log> open_log(const Folder& folder) {
  LogOptions options;
  options.dir = folder.path() + "/log";
  options.boot = "bench";
  auto log = Log::open(posix_files(), options);
  if (!log.ok()) std::abort();
  return *std::move(log);
}

// Append 30 steps, commit: what the writer does for each batch from the step thread.
void ingest(benchmark::State& state, bool images) {
  constexpr std::uint32_t kBatch = 30;
  constexpr std::uint32_t kEpisode = 3000;  // steps, after which a new segment begins
  Folder folder;
  auto log = open_log(folder);
  Step step = step_of(images);
  Latencies latencies;
  std::uint64_t bytes = 0;
  std::uint64_t number = 0;
  for (auto _ : state) {
    if (log->open_episode() != 0 && step.policy_step >= kEpisode) {
      Event ended = event_of(number++);
      ended.episode = step.episode;
      ended.payload = EpisodeEnded{EpisodeEnd::kTaskDone, step.policy_step};
      if (!log->append(ended).ok()) std::abort();
    }
    if (log->open_episode() == 0) {
      step.episode = *log->start_episode(spec_of(images));
      step.policy_step = 0;
    }
    const auto start = Clock::now();
    for (std::uint32_t i = 0; i < kBatch; ++i, ++step.policy_step) {
      if (!log->append(step).ok()) std::abort();
    }
    bytes += log->stats().pending_step_bytes;
    if (!log->commit().ok()) std::abort();
    latencies.add(Clock::now() - start);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  latencies.report(state);
}
void BM_DurableSteps(benchmark::State& state) { ingest(state, false); }
void BM_DurableStepsWithTwoJpegs(benchmark::State& state) { ingest(state, true); }
BENCHMARK(BM_DurableSteps)->UseRealTime()->MinTime(3);
BENCHMARK(BM_DurableStepsWithTwoJpegs)->UseRealTime()->MinTime(3);

// One event appended and committed: the log's share of acknowledging feedback.
void BM_DurableFeedback(benchmark::State& state) {
  Folder folder;
  auto log = open_log(folder);
  Latencies latencies;
  std::uint64_t number = 0;
  for (auto _ : state) {
    Event event = event_of(number++);
    const auto start = Clock::now();
    if (!log->append(std::move(event)).ok() || !log->commit().ok()) std::abort();
    latencies.add(Clock::now() - start);
  }
  state.SetItemsProcessed(state.iterations());
  latencies.report(state);
}
BENCHMARK(BM_DurableFeedback)->UseRealTime()->MinTime(3);

// The feed as the learner follows it: one commit of 30 steps behind.
void BM_FollowFeed(benchmark::State& state) {
  Folder folder;
  auto log = open_log(folder);
  Step step = step_of(false);
  step.episode = *log->start_episode(spec_of(false));
  for (; step.policy_step < 3000; ++step.policy_step) {
    if (!log->append(step).ok()) std::abort();
  }
  if (!log->commit().ok()) std::abort();
  for (auto _ : state) {
    auto items = log->feed(log->durable() - 30, 100);
    if (!items.ok() || items->empty()) std::abort();
    benchmark::DoNotOptimize(items);
  }
}
BENCHMARK(BM_FollowFeed);

// Floor: the same bytes as a batch of steps, written over reserved space and synced.
void BM_FloorWriteAndSync(benchmark::State& state) {
  Folder folder;
  auto file = *posix_files().open(folder.path() + "/floor", OpenMode::kCreateNew);
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)));
  constexpr std::uint64_t kReserved = 256u << 20;
  if (!file->preallocate(kReserved).ok()) std::abort();
  Latencies latencies;
  std::uint64_t offset = 0;
  for (auto _ : state) {
    const auto start = Clock::now();
    if (!file->pwrite(bytes, offset).ok() || !file->sync().ok()) std::abort();
    latencies.add(Clock::now() - start);
    offset += bytes.size();
    if (offset + bytes.size() > kReserved) offset = 0;
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  latencies.report(state);
}
BENCHMARK(BM_FloorWriteAndSync)
    ->Arg(4096)
    ->Arg(30 * 424)
    ->Arg(30 * 12472)
    ->UseRealTime()
    ->MinTime(1);

void BM_FloorMemcpy(benchmark::State& state) {
  const std::vector<std::byte> from(static_cast<std::size_t>(state.range(0)), std::byte{1});
  std::vector<std::byte> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FloorMemcpy)->Arg(30 * 424)->Arg(30 * 12472);

void BM_Crc32c(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{1});
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Crc32c)->Arg(424)->Arg(12472);

void BM_EncodeStep(benchmark::State& state) {
  const bool images = state.range(0) != 0;
  const SegmentSpec spec = spec_of(images);
  const Step step = step_of(images);
  std::vector<std::byte> out;
  for (auto _ : state) {
    out.clear();
    if (!encode_step(spec, step, 1, out).ok()) std::abort();
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}
BENCHMARK(BM_EncodeStep)->Arg(0)->Arg(1);

}  // namespace

BENCHMARK_MAIN();
