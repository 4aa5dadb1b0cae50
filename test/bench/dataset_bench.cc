// The learner's view: a batch of 256 chunks, start to first sample, and a late label, on real
// segment files with steps of about 360 bytes (64 features, 16 proprioception, 7 actions).
//
//   dataset_bench --benchmark_filter=Sample
//
// Files lie in NUDGE_BENCH_DIR (default /dev/shm, else the temporary folder) and are removed at the
// end; a size whose files do not fit twice into the free space is skipped. "Warm" means that every
// page has been mapped and read, as it is in a learner that folded the log itself.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replay/dataset.h"
#include "replay/segment.h"

namespace nudge {
namespace {

constexpr std::size_t kFeatures = 64, kProprioception = 16, kActions = 7, kEpisodeSteps = 1000;

DatasetOptions options() {
  DatasetOptions o;
  o.feature_size = kFeatures;
  o.proprioception_size = kProprioception;
  o.action_size = kActions;
  o.horizon = 8;
  return o;
}

// A life of `steps` steps: of ten episodes two are demonstrations; of the others each begins alone,
// is corrected for a tenth of its steps by one of six people, and is labelled a success.
class Life {
 public:
  explicit Life(std::size_t steps) : steps_(steps) {
    const char* chosen = std::getenv("NUDGE_BENCH_DIR");
    std::filesystem::path base = chosen ? chosen : "/dev/shm";
    if (!chosen && !std::filesystem::is_directory(base)) {
      base = std::filesystem::temp_directory_path();
    }
    if (std::filesystem::space(base).available < 2 * steps * 360) return;
    dir_ =
        base / ("nudge_dataset_bench_" + std::to_string(::getpid()) + "_" + std::to_string(steps));
    std::filesystem::create_directories(dir_);
    write();
  }
  ~Life() {
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }
  Life(const Life&) = delete;

  bool exists() const { return !items.empty(); }
  std::vector<FeedItem> items;

  static Life& of(std::size_t steps) {
    // One at a time: the large ones take gigabytes.
    static std::unique_ptr<Life> life;
    if (!life || life->steps_ != steps) {
      life.reset();
      life = std::make_unique<Life>(steps);
    }
    return *life;
  }

 private:
  void event(EpisodeId episode, Payload payload, const std::string& actor) {
    Event e;
    e.sequence = ++sequence_;
    e.episode = episode;
    e.actor = {actor, Role::kSupervisor};
    e.payload = std::move(payload);
    items.emplace_back(std::move(e));
  }
  void run(SegmentWriter& writer, Step& step, std::size_t n, ControlSource source, SpanId span) {
    StepsRef ref{step.episode, writer.path(), sequence_ + 1, sequence_ + n, writer.end(), 0};
    for (std::size_t i = 0; i < n; ++i) {
      step.sequence = ++sequence_;
      step.source = source;
      step.span = span;
      step.features[i % kFeatures] = static_cast<float>(i % 100) * 0.01f;
      step.executed[i % kActions] = static_cast<float>(i % 7) * 0.1f;
      if (!writer.append(step).ok()) std::abort();
      ++step.policy_step;
    }
    ref.end_offset = writer.end();
    items.emplace_back(std::move(ref));
  }
  void write() {
    Step step;
    step.features.assign(kFeatures, 0.5f);
    step.proprioception.assign(kProprioception, 0.1f);
    step.proposed.assign(kActions, 0.2f);
    step.requested.assign(kActions, 0.3f);
    step.executed.assign(kActions, 0.4f);
    SegmentSpec spec;
    spec.feature_size = kFeatures;
    spec.proprioception_size = kProprioception;
    spec.action_size = kActions;
    for (EpisodeId id = 1; id <= std::max<std::size_t>(1, steps_ / kEpisodeSteps); ++id) {
      spec.episode = id;
      const std::string path = (dir_ / ("episode-" + std::to_string(id) + ".seg")).string();
      auto writer = SegmentWriter::create(posix_files(), path, spec, 1 << 20);
      if (!writer.ok()) std::abort();
      step.episode = id;
      step.policy_step = 0;
      const bool demonstration = id % 10 < 2;
      event(
          id,
          EpisodeStarted{
              demonstration ? EpisodePurpose::kDemonstration : EpisodePurpose::kDeployment, 0, ""},
          "script");
      if (demonstration) {
        run(**writer, step, kEpisodeSteps, ControlSource::kScript, 0);
      } else {
        const std::string person = "person-" + std::to_string(id % 6);
        run(**writer, step, 400, ControlSource::kPolicy, 0);
        event(id, SpanOpened{id, SpanKind::kTakeover, 1, step.policy_step}, person);
        run(**writer, step, 100, ControlSource::kHuman, id);
        event(id, SpanClosed{id, SpanEnd::kReleased, step.policy_step - 1, true}, person);
        run(**writer, step, kEpisodeSteps - 500, ControlSource::kPolicy, 0);
      }
      event(id, EpisodeEnded{EpisodeEnd::kTaskDone, step.policy_step}, "script");
      if (!demonstration) event(id, Label{id, 0, LabelValue::kSuccess}, "person-0");
      if (!(*writer)->sync().ok() || !(*writer)->finish().ok()) std::abort();
    }
  }

  std::size_t steps_;
  std::filesystem::path dir_;
  Sequence sequence_ = 0;
};

bool fold(Dataset& dataset, const Life& life) {
  for (const FeedItem& item : life.items) {
    if (!dataset.apply(item).ok()) return false;
  }
  return true;
}

std::size_t resident_bytes_without_files() {
  std::size_t total = 0, resident = 0, shared = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%zu %zu %zu", &total, &resident, &shared) != 3) resident = shared = 0;
    std::fclose(f);
  }
  return (resident - shared) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void SampleBatchOf256(benchmark::State& state) {
  const Life& life = Life::of(static_cast<std::size_t>(state.range(0)));
  if (!life.exists()) return state.SkipWithError("no room for the segment files");
  const std::size_t before = resident_bytes_without_files();
  Dataset dataset(posix_files(), options());
  if (!fold(dataset, life)) return state.SkipWithError("cannot fold");
  state.counters["bytes_per_step"] = static_cast<double>(resident_bytes_without_files() - before) /
                                     static_cast<double>(state.range(0));
  Batch batch;
  Random random(1);
  std::vector<double> times;
  for (int i = 0; i < 200; ++i) {
    if (!dataset.sample(batch, 256, {}, random).ok()) return state.SkipWithError("cannot sample");
  }
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    if (!dataset.sample(batch, 256, {}, random).ok()) return state.SkipWithError("cannot sample");
    const auto end = std::chrono::steady_clock::now();
    times.push_back(std::chrono::duration<double, std::micro>(end - start).count());
    benchmark::DoNotOptimize(batch.actions.data());
  }
  std::sort(times.begin(), times.end());
  state.counters["p50_us"] = times[times.size() / 2];
  state.counters["p99_us"] = times[times.size() * 99 / 100];
}
BENCHMARK(SampleBatchOf256)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Arg(10'000'000)
    ->Unit(benchmark::kMicrosecond);

// From an empty dataset to the first batch, the segments in the page cache.
void StartToFirstSample(benchmark::State& state) {
  const Life& life = Life::of(static_cast<std::size_t>(state.range(0)));
  if (!life.exists()) return state.SkipWithError("no room for the segment files");
  for (auto _ : state) {
    auto dataset = std::make_unique<Dataset>(posix_files(), options());
    Batch batch;
    Random random(1);
    if (!fold(*dataset, life) || !dataset->sample(batch, 256, {}, random).ok()) {
      return state.SkipWithError("cannot fold");
    }
    state.PauseTiming();
    dataset.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(StartToFirstSample)->Arg(1'000'000)->Arg(5'000'000)->Unit(benchmark::kMillisecond);

// A label on an old episode of 1,000 steps, and taking it back.
void LateLabel(benchmark::State& state) {
  const Life& life = Life::of(static_cast<std::size_t>(state.range(0)));
  if (!life.exists()) return state.SkipWithError("no room for the segment files");
  Dataset dataset(posix_files(), options());
  if (!fold(dataset, life)) return state.SkipWithError("cannot fold");
  Event label;
  label.sequence = dataset.prefix();
  label.actor = {"engineer", Role::kEngineer};
  bool on = false;
  for (auto _ : state) {
    on = !on;
    ++label.sequence;
    label.payload = Label{5, 0, on ? LabelValue::kFailure : LabelValue::kNone};
    if (!dataset.apply(label).ok()) return state.SkipWithError("cannot apply");
  }
}
BENCHMARK(LateLabel)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace nudge

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  nudge::Life::of(0);  // removes the last files
  return 0;
}
