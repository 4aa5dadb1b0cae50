// A head small enough for tests, and data for it: the action is a smooth function of what is seen.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nudge/batch.h"
#include "nudge/random.h"
#include "policy/gate.h"
#include "policy/head.h"
#include "policy/input_layout.h"
#include "policy/trainer.h"

namespace nudge {

inline HeadSpec small_spec(HeadKind kind = HeadKind::kFlow, bool reference = false) {
  HeadSpec spec;
  spec.kind = kind;
  spec.feature_size = 3;
  spec.proprioception_size = 2;
  spec.action_size = 2;
  spec.horizon = 4;
  spec.hidden = 32;
  spec.layers = 2;
  spec.reference_chunk = reference;
  return spec;
}

// Rows in clusters of eight. Every fourth window ends after two actions. `twist` turns the rule.
inline Batch small_batch(std::size_t size, std::uint64_t seed, double twist = 0) {
  Random random(seed);
  Batch b;
  b.size = size;
  b.feature_size = 3;
  b.proprioception_size = 2;
  b.action_size = 2;
  b.horizon = 4;
  for (std::size_t r = 0; r < size; ++r) {
    for (int i = 0; i < 3; ++i) b.features.push_back(static_cast<float>(random.uniform(1, 3)));
    for (int i = 0; i < 2; ++i) b.proprioception.push_back(static_cast<float>(random.uniform()));
    const float* f = b.features.data() + r * 3;
    const float* p = b.proprioception.data() + r * 2;
    for (std::size_t h = 0; h < 4; ++h) {
      const bool inside = r % 4 != 3 || h < 2;
      const double angle = f[0] + 0.1 * static_cast<double>(h) + twist;
      b.actions.push_back(static_cast<float>(0.5 * std::sin(angle) + 0.2 * p[0]));
      b.actions.push_back(static_cast<float>(0.5 * std::cos(f[1] + twist) - 0.2 * p[1]));
      b.mask.push_back(inside ? 1.0F : 0.0F);
    }
    b.weight.push_back(1);
    b.advantage.push_back(Advantage::kPositive);
    b.cluster.push_back(r / 8);
  }
  return b;
}

inline HeadSpec edit_spec(HeadKind kind = HeadKind::kFlow) {
  HeadSpec spec = small_spec(kind, true);
  spec.edit = true;
  return spec;
}

// Every row has its own actions, each off by `by`, as its reference.
inline Batch with_reference(Batch b, float by = 0) {
  b.reference = b.actions;
  for (float& v : b.reference) v += by;
  b.has_reference.assign(b.size, 1);
  return b;
}

inline std::shared_ptr<const Weights> parsed(const Result<std::vector<std::byte>>& bytes) {
  if (!bytes.ok()) throw std::runtime_error(bytes.status().message());
  auto weights = Weights::parse(*bytes);
  if (!weights.ok()) throw std::runtime_error(weights.status().message());
  return *weights;
}

inline std::shared_ptr<const Weights> fresh(const HeadSpec& spec, std::uint64_t seed = 1) {
  return parsed(initial_weights(spec, small_batch(256, 1), seed, {}));
}

inline Lineage child_of(const Weights& parent) {
  Lineage lineage;
  lineage.parent_hash = to_hex(parent.hash());
  return lineage;
}

// `steps` steps on batches of 64 by the rule that `twist` names.
inline std::shared_ptr<const Weights> trained(const std::shared_ptr<const Weights>& start,
                                              int steps, double twist = 0,
                                              TrainerOptions options = TrainerOptions::base()) {
  auto trainer = Trainer::create(start, nullptr, options);
  if (!trainer.ok()) throw std::runtime_error(trainer.status().message());
  for (int i = 0; i < steps; ++i) {
    const Status status =
        (*trainer)->step(small_batch(64, 100 + static_cast<std::uint64_t>(i), twist));
    if (!status.ok()) throw std::runtime_error(status.message());
  }
  return parsed((*trainer)->weights(child_of(*start)));
}

// The same weights after `change` has had its way with the tensors.
template <typename Change>
std::shared_ptr<const Weights> altered(const Weights& from, const Lineage& lineage, Change change) {
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, view] : from.file().tensors()) tensors[name] = values_of(from, name);
  change(tensors);
  return parsed(write_weights(from.head(), lineage, tensors));
}

inline std::vector<float> normal_noise(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> noise(size);
  for (auto& z : noise) z = static_cast<float>(random.normal());
  return noise;
}

inline HeadBatch conditions_of(const Batch& b) {
  HeadBatch in;
  in.size = b.size;
  in.features = b.features;
  in.proprioception = b.proprioception;
  in.advantage = b.advantage;
  in.reference = b.reference;
  in.has_reference = b.has_reference;
  return in;
}

// Mean absolute error of sampled actions, in action units, inside the windows.
inline double sampled_error(const std::shared_ptr<const Weights>& weights, const Batch& b) {
  auto head = ActionHead::load(weights);
  if (!head.ok()) throw std::runtime_error(head.status().message());
  std::vector<float> chunks(b.actions.size());
  const Status status = (*head)->sample(conditions_of(b), normal_noise(chunks.size(), 3), chunks);
  if (!status.ok()) throw std::runtime_error(status.message());
  double error = 0, count = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (b.mask[i / b.action_size] == 0) continue;
    error += std::abs(chunks[i] - b.actions[i]);
    ++count;
  }
  return error / count;
}

}  // namespace nudge
