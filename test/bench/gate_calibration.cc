// How well the gate tells good weights from bad ones: candidates of many kinds, made from what a
// state folder has learned and recorded, are offered to the gate, and then tried in the simulated
// kitchen, which knows the truth. Nothing in the folder changes.
//
//   gate_calibration STATE [STARTS [FILTER]] >>candidates.jsonl
//
// A line of JSON for each candidate, with what the gate said and how many of STARTS (200) it and
// the newest full version, which it comes from, solve; paired starts. FILTER: only candidates
// whose names begin with it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "policy/gate.h"
#include "policy/input_layout.h"
#include "policy/trainer.h"
#include "src/core/statistics.h"
#include "src/learning/settings.h"
#include "src/loop/evaluation.h"
#include "src/loop/first_training.h"

namespace nudge {
namespace {

using Bytes = std::vector<std::byte>;
using Tensors = std::map<std::string, std::vector<float>>;

constexpr std::uint64_t kProbeSeed = 7;
constexpr std::uint64_t kStartsSeed = 11;  // not the ones that a demo is measured on

// Done to a batch before it is learned from.
using Spoil = std::function<void(Batch&, Random&)>;

struct Candidate {
  std::string family;
  double strength = 0;  // in the family's own unit
  std::uint64_t seed = 0;
  std::function<Result<Bytes>()> make;

  std::string name() const {
    char text[96];
    std::snprintf(text, sizeof text, "%s/%g/%llu", family.c_str(), strength,
                  static_cast<unsigned long long>(seed));
    return text;
  }
};

std::size_t chunk_size(const Batch& batch) { return batch.horizon * batch.action_size; }

// A share of what was shown is the opposite of it: a person who works against the robot.
Spoil mirrored(double share) {
  return [share](Batch& batch, Random& random) {
    for (std::size_t row = 0; row < batch.size; ++row) {
      if (random.uniform() >= share) continue;
      float* const actions = &batch.actions[row * chunk_size(batch)];
      for (std::size_t i = 0; i < chunk_size(batch); ++i) actions[i] = -actions[i];
    }
  };
}

// A share of what was shown belongs to another moment: labels that have slipped.
Spoil shuffled(double share) {
  return [share](Batch& batch, Random& random) {
    for (std::size_t row = 0; row < batch.size; ++row) {
      if (random.uniform() >= share) continue;
      const std::size_t other = random.below(batch.size);
      std::copy_n(&batch.actions[other * chunk_size(batch)], chunk_size(batch),
                  &batch.actions[row * chunk_size(batch)]);
    }
  };
}

class Study {
 public:
  static Result<std::unique_ptr<Study>> open(const std::string& state, std::size_t starts) {
    Result<LoadedConfig> loaded = load_config({.file = state + "/config.toml"});
    if (!loaded.ok()) return loaded.status();
    auto study = std::make_unique<Study>();
    study->config_ = loaded->config;
    auto training =
        FirstTraining::open({.config = study->config_, .state_folder = state, .notice = {}});
    if (!training.ok()) return training.status();
    study->training_ = *std::move(training);
    NUDGE_TRY(study->prepare(starts));
    return study;
  }

  std::vector<Candidate> candidates();
  Result<nlohmann::json> judge(const Candidate& candidate);

 private:
  Status prepare(std::size_t starts);
  Result<Bytes> learned(std::size_t steps, std::uint64_t seed, const TrainerOptions& options,
                        const Mix& mix, const Spoil& spoil);
  Result<Bytes> altered(const std::function<void(Tensors&)>& change) const;
  Lineage lineage() const;
  std::string output(const char* what) const {
    return "net." + std::to_string(reference_->head().layers) + "." + what;
  }

  Config config_;
  std::unique_ptr<FirstTraining> training_;
  std::shared_ptr<const Weights> reference_;
  WeightsVersion version_ = 0;
  std::unique_ptr<Gate> gate_;
  std::vector<std::uint64_t> starts_;
  EvaluationResult before_;
};

Status Study::prepare(std::size_t starts) {
  version_ = training_->history().newest_full();
  if (version_ == 0) return failed_precondition("the folder has no weights");
  auto reference = training_->weights(version_);
  if (!reference.ok()) return reference.status();
  reference_ = *reference;
  const RolloutOptions sizes;
  ProbeSet probes;
  Dataset& dataset = training_->dataset();
  probes.held_out = dataset.held_out_probe(sizes.probe_held_out);
  probes.demonstrations = dataset.demonstration_probe(sizes.probe_demonstrations, kProbeSeed);
  probes.recent = dataset.recent_observations(sizes.probe_recent);
  probes.recent.horizon = reference_->head().horizon;
  probes.recent.action_size = reference_->head().action_size;
  auto gate = Gate::create(gate_options(config_));
  if (!gate.ok()) return gate.status();
  gate_ = *std::move(gate);
  NUDGE_TRY(gate_->set_probes(std::move(probes)));
  starts_ = evaluation_seeds(kStartsSeed, starts);
  auto before = evaluate(config_, reference_, starts_, /*threads=*/1);
  if (!before.ok()) return before.status();
  before_ = *std::move(before);
  return {};
}

Lineage Study::lineage() const {
  Lineage lineage = reference_->lineage();
  lineage.parent_hash = to_hex(reference_->hash());
  lineage.kind = WeightsKind::kFull;
  return lineage;
}

Result<Bytes> Study::learned(std::size_t steps, std::uint64_t seed, const TrainerOptions& options,
                             const Mix& mix, const Spoil& spoil) {
  TrainerOptions seeded = options;
  seeded.seed = seed;
  auto trainer = Trainer::create(reference_, reference_, seeded);
  if (!trainer.ok()) return trainer.status();
  Random random(seed);
  Random spoiling(seed + 1000);
  Batch batch;
  for (std::size_t step = 0; step < steps; ++step) {
    NUDGE_TRY(training_->dataset().sample(batch, static_cast<std::size_t>(config_.learner.batch),
                                          mix, random));
    if (spoil) spoil(batch, spoiling);
    NUDGE_TRY((*trainer)->step(batch));
  }
  return (*trainer)->weights(lineage());
}

Result<Bytes> Study::altered(const std::function<void(Tensors&)>& change) const {
  Tensors tensors;
  for (const auto& [name, view] : reference_->file().tensors()) {
    tensors[name] = values_of(*reference_, name);
  }
  change(tensors);
  return write_weights(reference_->head(), lineage(), tensors);
}

std::vector<Candidate> Study::candidates() {
  const TrainerOptions full = trainer_options(config_, WeightsKind::kFull);
  const Mix mix = sampling_mix(config_);
  std::vector<Candidate> all;
  const auto rounds = [&](const char* family, std::initializer_list<double> strengths,
                          std::uint64_t seeds, auto make) {
    for (const double strength : strengths) {
      for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        all.push_back({family, strength, seed, [=, this] { return make(strength, seed); }});
      }
    }
  };
  const auto steps_of = [](double strength) { return static_cast<std::size_t>(strength); };
  rounds("round", {100, 300, 1000, 3000}, 4, [=, this](double steps, std::uint64_t seed) {
    return learned(steps_of(steps), seed, full, mix, {});
  });
  rounds("mirrored", {0.05, 0.1, 0.2, 0.4, 1}, 2, [=, this](double share, std::uint64_t seed) {
    return learned(kFullSteps, seed, full, mix, mirrored(share));
  });
  rounds("shuffled", {0.1, 0.2, 0.4, 1}, 2, [=, this](double share, std::uint64_t seed) {
    return learned(kFullSteps, seed, full, mix, shuffled(share));
  });
  rounds("corrections-alone", {1000, 3000}, 2, [=, this](double steps, std::uint64_t seed) {
    Mix alone = mix;
    alone.share.fill(0);
    alone.share[static_cast<std::size_t>(SampleClass::kCorrection)] = 1;
    alone.corrections_may_stand_alone = true;
    return learned(steps_of(steps), seed, full, alone, {});
  });
  rounds("hot", {3, 10, 30}, 2, [=, this](double factor, std::uint64_t seed) {
    TrainerOptions hot = full;
    hot.learning_rate *= factor;
    hot.proximal = 0;
    return learned(300, seed, hot, mix, {});
  });
  rounds("noise", {0.02, 0.05, 0.1, 0.2, 0.3, 0.5}, 2, [=, this](double size, std::uint64_t seed) {
    return altered([=](Tensors& tensors) {
      Random random(seed);
      for (auto& [name, values] : tensors) {
        if (name.rfind("net.", 0) != 0) continue;
        double square = 0;
        for (const float value : values) square += double{value} * value;
        const double scale = size * std::sqrt(square / static_cast<double>(values.size()));
        for (float& value : values) value += static_cast<float>(scale * random.normal());
      }
    });
  });
  // Of the output, in standard deviations of the demonstrated actions; the seed is the channel.
  rounds("offset", {0.05, 0.1, 0.2, 0.4, 0.8}, 3, [=, this](double size, std::uint64_t seed) {
    return altered([=, this](Tensors& tensors) {
      std::vector<float>& bias = tensors[output("bias")];
      const std::size_t channels = reference_->head().action_size;
      for (std::size_t i = (seed - 1) % channels; i < bias.size(); i += channels) {
        bias[i] += static_cast<float>(size);
      }
    });
  });
  rounds("scaled", {0.5, 0.7, 0.85, 1.15, 1.3, 1.6}, 1, [=, this](double factor, std::uint64_t) {
    return altered([=, this](Tensors& tensors) {
      for (const char* what : {"weight", "bias"}) {
        for (float& value : tensors[output(what)]) value *= static_cast<float>(factor);
      }
    });
  });
  return all;
}

Result<nlohmann::json> Study::judge(const Candidate& candidate) {
  Result<Bytes> bytes = candidate.make();
  if (!bytes.ok()) return bytes.status();
  auto weights = Weights::parse(*std::move(bytes));
  if (!weights.ok()) return weights.status();
  GateContext context;
  context.reference = reference_;
  context.parents = {reference_};
  context.head = reference_->head();
  context.backbone_hash = reference_->lineage().backbone_hash;
  const auto report = gate_->check(*weights, context);
  if (!report.ok()) return report.status();
  const auto after = evaluate(config_, *weights, starts_, /*threads=*/1);
  if (!after.ok()) return after.status();
  std::uint64_t only_before = 0;
  std::uint64_t only_after = 0;
  for (std::size_t i = 0; i < starts_.size(); ++i) {
    if (before_.success[i] && !after->success[i]) ++only_before;
    if (!before_.success[i] && after->success[i]) ++only_after;
  }
  return nlohmann::json{{"level", config_.kitchen.level},
                        {"candidate", candidate.name()},
                        {"family", candidate.family},
                        {"strength", candidate.strength},
                        {"starts", starts_.size()},
                        {"before", before_.successes()},
                        {"after", after->successes()},
                        {"only_before", only_before},
                        {"only_after", only_after},
                        {"worse_p", mcnemar_one_sided(only_after, only_before)},
                        {"gate", nlohmann::json::parse(report->to_json())}};
}

int run(const std::string& state, std::size_t starts, const std::string& filter) {
  use_one_torch_thread();
  const auto study = Study::open(state, starts);
  if (!study.ok()) {
    std::fprintf(stderr, "gate_calibration: %s\n", study.status().message().c_str());
    return 1;
  }
  std::vector<Candidate> candidates = (*study)->candidates();
  std::erase_if(candidates, [&](const Candidate& one) { return one.name().rfind(filter, 0) != 0; });
  std::size_t done = 0;
  for (const Candidate& candidate : candidates) {
    const auto judged = (*study)->judge(candidate);
    if (!judged.ok()) {
      std::fprintf(stderr, "gate_calibration: %s: %s\n", candidate.name().c_str(),
                   judged.status().message().c_str());
      return 1;
    }
    std::printf("%s\n", judged->dump().c_str());
    std::fflush(stdout);
    std::fprintf(stderr, "%zu of %zu: %s\n", ++done, candidates.size(), candidate.name().c_str());
  }
  return 0;
}

}  // namespace
}  // namespace nudge

int main(int argc, char** argv) {
  const unsigned long long starts = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200;
  if (argc < 2 || argc > 4 || starts == 0 || starts > 10'000) {
    std::fprintf(stderr, "usage: gate_calibration STATE [STARTS [FILTER]]\n");
    return 64;
  }
  return nudge::run(argv[1], starts, argc > 3 ? argv[3] : "");
}
