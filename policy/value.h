// How well an episode is going: a distribution over its return, from what was recorded of a step.
//
// The value function of RECAP (Physical Intelligence, "pi*0.6: a VLA that learns from experience",
// 2025, section IV): a network gives p(bin | features, proprioception) over kValueBins bins of the
// return, is trained on the cross entropy to the return that followed, and its value is the mean,
//   V(o) = sum over bins b of p(b | o) * v(b).
// Returns are normalised to -1..0 (replay/returns.h says how). A return between two bins counts for
// both, in proportion, so that the target's mean is the return itself (the projection of Bellemare,
// Dabney and Munos, "A distributional perspective on reinforcement learning", 2017). Where features
// tell the instruction (policy/instruction_features.h), the value is that of the instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nudge/status.h"

namespace nudge {

inline constexpr std::size_t kValueBins = 201;  // evenly from -1 to 0, both included; RECAP's

struct ValueSpec {
  std::size_t feature_size = 0;         // 1..kMaxFeatures
  std::size_t proprioception_size = 0;  // 0..256
  std::size_t hidden = 128;             // width of each hidden layer, 1..2048
  std::size_t layers = 2;               // hidden layers, 1..8

  friend bool operator==(const ValueSpec&, const ValueSpec&) = default;
  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// Columns are row-major with as many rows as there are returns.
struct ValueBatch {
  std::vector<float> features;        // [rows, feature_size]
  std::vector<float> proprioception;  // [rows, proprioception_size]
  std::vector<float> returns;         // [rows], -1..0
};

struct ValueOptions {
  std::uint64_t seed = 0;
  double learning_rate = 1e-3;  // AdamW
  double weight_decay = 1e-2;   // AdamW's own default: logs are small, and easily known by heart
  // Standard deviation of noise on normalised inputs, against knowing episodes by heart.
  double noise = 0.1;
  double gradient_clip = 1.0;  // global L2 norm
};

// Not thread-safe: one thread at a time. Equal spec, sample, options and batches give equal bytes
// on the same build, BLAS core type and machine, with one thread (use_one_torch_thread()).
class ValueTrainer {
 public:
  // `sample`: typical rows, at least one, whose inputs the normalisers are measured on.
  // kInvalidArgument for sizes that do not match or numbers that are not finite.
  static Result<std::unique_ptr<ValueTrainer>> create(const ValueSpec& spec,
                                                      const ValueBatch& sample,
                                                      const ValueOptions& options);
  ~ValueTrainer();
  ValueTrainer(const ValueTrainer&) = delete;
  ValueTrainer& operator=(const ValueTrainer&) = delete;

  // One optimiser step. kInvalidArgument for wrong sizes, a return out of -1..0 or a number that is
  // not finite; kFailedPrecondition when the loss or its gradient is not finite: the parameters
  // are then as before the step.
  Status step(const ValueBatch& batch);
  double last_loss() const;  // cross entropy of the last step, in nats

  // The value function as bytes: safetensors, with the spec as metadata "value".
  Result<std::vector<std::byte>> bytes() const;

 private:
  ValueTrainer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Immutable after load(). One thread at a time.
class ValueFunction {
 public:
  // Strict: every tensor of the spec and no other, in its shape, finite, scales positive.
  // kDataLoss.
  static Result<std::unique_ptr<ValueFunction>> load(std::vector<std::byte> bytes);
  ~ValueFunction();
  ValueFunction(const ValueFunction&) = delete;
  ValueFunction& operator=(const ValueFunction&) = delete;

  const ValueSpec& spec() const;

  // Fills `values` [rows], each in -1..0. kInvalidArgument for wrong sizes or inputs that are not
  // finite.
  Status evaluate(std::span<const float> features, std::span<const float> proprioception,
                  std::span<float> values) const;

 private:
  ValueFunction();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
