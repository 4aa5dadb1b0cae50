// The action head, the training step and the gate, beside the bare matrix products they are made
// of. Run on one core with the BLAS core type set, as the program does: OPENBLAS_NUM_THREADS=1.
#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "nudge/random.h"
#include "policy/disagreement.h"
#include "policy/gate.h"
#include "policy/head.h"
#include "policy/input_layout.h"
#include "policy/trainer.h"
#include "test/support/random_batch.h"

namespace nudge {
namespace {

// Level 1 of the kitchen: 230,000 parameters with `features` = 64, 0.9 MB.
HeadSpec spec_of(std::size_t features) {
  HeadSpec spec;
  spec.feature_size = features;
  spec.proprioception_size = 7;
  spec.action_size = 4;
  return spec;
}

Batch data(const HeadSpec& spec, std::size_t size, std::uint64_t seed) {
  Random random(seed);
  Batch b = random_batch(spec, size, random);
  for (std::size_t i = 0; i < size; ++i) b.cluster[i] = i / 16;
  return b;
}

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return *std::move(result);
}

std::shared_ptr<const Weights> parsed(Result<std::vector<std::byte>> bytes) {
  return must(Weights::parse(must(std::move(bytes))));
}

std::shared_ptr<const Weights> fresh(const HeadSpec& spec) {
  return parsed(initial_weights(spec, data(spec, 256, 1), 1, {}));
}

// The BLAS that LibTorch uses, whichever it is; Fortran's interface, column-major.
template <typename F>
F* blas(const char* name) {
  auto* f = reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
  if (f == nullptr) throw std::runtime_error(std::string("no BLAS function ") + name);
  return f;
}
// The processor that its kernels were made for; empty: it is not OpenBLAS.
std::string blas_core_type() {
  auto* name = reinterpret_cast<char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  return name != nullptr ? name() : "";
}
using Sgemv = void(const char*, const int*, const int*, const float*, const float*, const int*,
                   const float*, const int*, const float*, float*, const int*);
using Sgemm = void(const char*, const char*, const int*, const int*, const int*, const float*,
                   const float*, const int*, const float*, const int*, const float*, float*,
                   const int*);

struct Layers {
  std::vector<int> in, out;
  std::vector<std::vector<float>> weight;
  explicit Layers(const HeadSpec& spec) {
    const InputLayout layout(spec);
    for (std::size_t i = 0; i <= spec.layers; ++i) {
      in.push_back(static_cast<int>(i == 0 ? layout.width : spec.hidden));
      out.push_back(static_cast<int>(i == spec.layers ? layout.output : spec.hidden));
      weight.emplace_back(static_cast<std::size_t>(in.back()) * out.back(), 0.01F);
    }
  }
};

// Per iteration: one sample of a chunk, batch 1, all Euler steps.
void sample_of(benchmark::State& state, const HeadSpec& spec) {
  auto head = must(ActionHead::load(fresh(spec)));
  const Batch b = data(spec, 1, 2);
  std::vector<float> chunk(b.actions.size());
  if (!head->warm_up().ok()) state.SkipWithError("warm-up failed");
  for (auto _ : state) {
    const Status status =
        head->sample({1, b.features, b.proprioception, b.advantage, {}}, b.actions, chunk);
    if (!status.ok()) state.SkipWithError(status.message().c_str());
    benchmark::DoNotOptimize(chunk.data());
  }
}
void head_sample(benchmark::State& state) {
  sample_of(state, spec_of(static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(head_sample)->Arg(16)->Arg(64)->Unit(benchmark::kMicrosecond);

// Per iteration: what it costs to see how sure the policy is of a chunk, eight samples in one
// batch.
void head_sample_of_eight(benchmark::State& state) {
  const HeadSpec spec = spec_of(static_cast<std::size_t>(state.range(0)));
  auto head = must(ActionHead::load(fresh(spec)));
  const Batch b = data(spec, 8, 2);
  std::vector<float> chunks(b.actions.size());
  for (auto _ : state) {
    const Status status =
        head->sample({8, b.features, b.proprioception, b.advantage, {}}, b.actions, chunks);
    if (!status.ok()) state.SkipWithError(status.message().c_str());
    benchmark::DoNotOptimize(
        disagreement(chunks, 8, spec.horizon, 4, std::vector<float>(spec.action_size, 1.0F)));
  }
}
BENCHMARK(head_sample_of_eight)->Arg(16)->Arg(64)->Unit(benchmark::kMicrosecond);

// The matrix-vector products of the same network, as many times.
void bare_products_of(benchmark::State& state, const HeadSpec& spec) {
  auto head = must(ActionHead::load(fresh(spec)));  // loads the BLAS
  auto* sgemv = blas<Sgemv>("sgemv_");
  const Layers layers(spec);
  const std::size_t widest =
      static_cast<std::size_t>(std::max(*std::max_element(layers.in.begin(), layers.in.end()),
                                        *std::max_element(layers.out.begin(), layers.out.end())));
  std::vector<float> x(widest, 0.1F), y(widest);
  const int one = 1;
  const float alpha = 1, beta = 0;
  for (auto _ : state) {
    for (std::size_t k = 0; k < spec.euler_steps; ++k) {
      for (std::size_t i = 0; i < layers.in.size(); ++i) {
        sgemv("T", &layers.in[i], &layers.out[i], &alpha, layers.weight[i].data(), &layers.in[i],
              x.data(), &one, &beta, y.data(), &one);
      }
    }
    benchmark::DoNotOptimize(y.data());
  }
}
void bare_products_of_a_sample(benchmark::State& state) {
  bare_products_of(state, spec_of(static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(bare_products_of_a_sample)->Arg(16)->Arg(64)->Unit(benchmark::kMicrosecond);

// How a sample's cost grows with the head: range(0) is the width of its layers.
void head_by_width(benchmark::State& state) {
  HeadSpec spec = spec_of(64);
  spec.hidden = static_cast<std::size_t>(state.range(0));
  sample_of(state, spec);
}
BENCHMARK(head_by_width)->RangeMultiplier(2)->Range(128, 1024)->Unit(benchmark::kMicrosecond);

void bare_products_by_width(benchmark::State& state) {
  HeadSpec spec = spec_of(64);
  spec.hidden = static_cast<std::size_t>(state.range(0));
  bare_products_of(state, spec);
}
BENCHMARK(bare_products_by_width)
    ->RangeMultiplier(2)
    ->Range(128, 1024)
    ->Unit(benchmark::kMicrosecond);

// ... and with the actions of a chunk.
void head_by_horizon(benchmark::State& state) {
  HeadSpec spec = spec_of(64);
  spec.horizon = static_cast<std::size_t>(state.range(0));
  sample_of(state, spec);
}
BENCHMARK(head_by_horizon)->RangeMultiplier(2)->Range(4, 64)->Unit(benchmark::kMicrosecond);

void training_step(benchmark::State& state) {
  const HeadSpec spec = spec_of(static_cast<std::size_t>(state.range(0)));
  auto trainer = must(Trainer::create(fresh(spec), nullptr, TrainerOptions::full()));
  const Batch b = data(spec, static_cast<std::size_t>(state.range(1)), 3);
  for (auto _ : state) {
    const Status status = trainer->step(b);
    if (!status.ok()) state.SkipWithError(status.message().c_str());
  }
  state.counters["steps/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(training_step)
    ->Args({16, 128})
    ->Args({16, 256})
    ->Args({64, 256})
    ->Unit(benchmark::kMicrosecond);

// How a training step's cost grows with the head: range(0) is the width of its layers.
void training_by_width(benchmark::State& state) {
  HeadSpec spec = spec_of(64);
  spec.hidden = static_cast<std::size_t>(state.range(0));
  auto trainer = must(Trainer::create(fresh(spec), nullptr, TrainerOptions::full()));
  const Batch b = data(spec, 256, 3);
  for (auto _ : state) {
    const Status status = trainer->step(b);
    if (!status.ok()) state.SkipWithError(status.message().c_str());
  }
}
BENCHMARK(training_by_width)->RangeMultiplier(2)->Range(128, 1024)->Unit(benchmark::kMillisecond);

// Forward, gradient by weight and gradient by input of every layer: what a step cannot do without.
void bare_products_of_a_step(benchmark::State& state) {
  const HeadSpec spec = spec_of(static_cast<std::size_t>(state.range(0)));
  auto head = must(ActionHead::load(fresh(spec)));
  auto* sgemm = blas<Sgemm>("sgemm_");
  Layers layers(spec);
  const int b = static_cast<int>(state.range(1));
  std::vector<float> x(static_cast<std::size_t>(b) * 512, 0.1F), y(x.size());
  std::vector<float> gradient(512 * 512);
  const float alpha = 1, beta = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < layers.in.size(); ++i) {
      const int in = layers.in[i], out = layers.out[i];
      const float* w = layers.weight[i].data();
      sgemm("T", "N", &out, &b, &in, &alpha, w, &in, x.data(), &in, &beta, y.data(), &out);
      sgemm("N", "T", &in, &out, &b, &alpha, x.data(), &in, y.data(), &out, &beta, gradient.data(),
            &in);
      if (i > 0)
        sgemm("N", "N", &in, &b, &out, &alpha, w, &in, y.data(), &out, &beta, x.data(), &in);
    }
    benchmark::DoNotOptimize(gradient.data());
    std::fill(x.begin(), x.end(), 0.1F);  // keeps the numbers normal
  }
}
BENCHMARK(bare_products_of_a_step)
    ->Args({16, 128})
    ->Args({16, 256})
    ->Args({64, 256})
    ->Unit(benchmark::kMicrosecond);

// A whole check with full probes. range(0) 1: the reference's errors are cached; 0: both heads run.
void gate_check(benchmark::State& state) {
  const HeadSpec spec = spec_of(64);
  const auto live = fresh(spec);
  auto trainer = must(Trainer::create(live, nullptr, TrainerOptions::full()));
  for (int i = 0; i < 5; ++i) {
    if (!trainer->step(data(spec, 128, 4)).ok()) state.SkipWithError("training failed");
  }
  Lineage lineage;
  lineage.parent_hash = to_hex(live->hash());
  const auto candidate = parsed(trainer->weights(lineage));
  ProbeSet probes;
  probes.held_out = data(spec, kMaxProbeChunks, 5);
  probes.demonstrations = data(spec, kMaxProbeChunks, 6);
  probes.recent = data(spec, kMaxProbeObservations, 7);
  auto gate = must(Gate::create({}));
  const GateContext context{live, {live}, spec, ""};
  if (!gate->set_probes(probes).ok()) state.SkipWithError("probes refused");
  for (auto _ : state) {
    if (state.range(0) == 0) {
      state.PauseTiming();
      if (!gate->set_probes(probes).ok()) state.SkipWithError("probes refused");
      state.ResumeTiming();
    }
    const GateReport report = must(gate->check(candidate, context));
    if (report.held_out_error < 0) state.SkipWithError("the check ended early");
  }
}
BENCHMARK(gate_check)->Arg(1)->Arg(0)->Unit(benchmark::kMillisecond);

// Load, warm-up and first sample: what a swap costs off the control path, without verification.
void head_load_and_warm_up(benchmark::State& state) {
  const auto weights = fresh(spec_of(64));
  for (auto _ : state) {
    auto head = must(ActionHead::load(weights));
    if (!head->warm_up().ok()) state.SkipWithError("warm-up failed");
  }
}
BENCHMARK(head_load_and_warm_up)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace nudge

int main(int argc, char** argv) {
  nudge::use_one_torch_thread();
  benchmark::AddCustomContext("blas_core_type", nudge::blas_core_type());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
