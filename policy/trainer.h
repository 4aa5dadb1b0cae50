// One round of learning: optimiser steps on batches of action chunks.
//
// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019) on a masked,
// weighted flow-matching loss, or on a Huber loss for the regression head. The result of a round is
// the exponential moving average of the parameters, not the parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nudge/batch.h"
#include "nudge/status.h"
#include "policy/device.h"
#include "policy/weights.h"

namespace nudge {

// "Prototype" below: the project's kinematic prototype (15 demonstrations, 25 corrected episodes).
struct TrainerOptions {
  std::uint64_t seed = 0;
  double learning_rate = 1e-3;  // prototype
  double ema_decay = 0.99;      // weight of the past at each step; prototype
  double weight_decay =
      1e-4;  // diffusion policy's order of magnitude (Chi et al. 2023: 1e-6..1e-3)
  double gradient_clip = 1.0;  // global L2 norm; prototype
  double beta1 = 0.9;          // Kingma and Ba, "Adam", 2015
  double beta2 = 0.999;
  double epsilon = 1e-8;
  // Probability of hiding the advantage token of a row, so that a head also works without one
  // (classifier-free guidance; Ho and Salimans 2022 use .1 to .2).
  double advantage_dropout = 0.2;
  // Probability of hiding the reference chunk of a row, so that features are not ignored and a
  // head that edits can act alone. RLT's, as RLinf implements it.
  double reference_dropout = 0.5;
  // Standard deviation of noise added to features, in normalised units: augmentation in feature
  // space, against learning a few hundred steps' pictures by heart. Proprioception is exact, and
  // stays. Kitchen level 3 from cameras, trained on one log: 0 solves 158 of 200 starts, 0.1 177,
  // 0.2 162.
  double feature_noise = 0.1;
  // Pull towards the confirmed weights, decoupled from Adam's scaling like weight decay: each step
  // goes learning_rate * proximal of the way back (L2-SP; Li et al., "Explicit inductive bias for
  // transfer learning", 2018). It holds versions together: a full round, which does not begin at
  // the confirmed weights, is drawn two fifths of the way to them.
  double proximal = 0.5;
  // Bound on ||parameters - confirmed|| / ||confirmed|| over all trained tensors; the step is
  // projected back onto it.
  double max_relative_distance = 1.0;
  double huber_delta = 1.0;  // regression only, in normalised action units
  DeviceUse device = DeviceUse::kCpu;
  // A step by tensor operations, as on a GPU, wherever it runs: what a test without a GPU can
  // compare. On the CPU half as fast.
  bool by_tensors = false;

  // Full round: the defaults, from the version that an engineer promoted last.
  static TrainerOptions full() { return {}; }
  // Micro-round: optimiser kept between the rounds of an episode; prototype.
  static TrainerOptions micro() {
    TrainerOptions o;
    o.ema_decay = 0.95;
    return o;
  }
  // First weights, from demonstrations alone: 3,000 steps; prototype.
  static TrainerOptions base() {
    TrainerOptions o;
    o.proximal = 0;
    o.max_relative_distance = 0;  // 0: no bound
    return o;
  }
  // kInvalidArgument naming the first value out of its range.
  Status validate() const;
};

inline constexpr std::size_t kBatchSize = 128;  // prototype
// From the origin, kitchen levels 2 to 4: as good within two points as 3,000 from scratch.
inline constexpr std::size_t kFullSteps = 1'000;
inline constexpr std::size_t kMicroSteps = 100;   // 60 forget more of all else
inline constexpr std::size_t kBaseSteps = 3'000;  // prototype

// Makes the first weights of a head: seeded random layers, and normalisers measured on `data`
// (every masked action, every row's features). A channel that does not move in `data` gets the
// median scale of its group, so that its first movement is not taken for an enormous one. The
// output layer of a head that edits is zero: it passes references on until it is trained.
// `lineage` is written as given, except that parent_hash is cleared and seed is set to `seed`.
// kInvalidArgument when sizes do not match, or data is empty or not finite.
Result<std::vector<std::byte>> initial_weights(const HeadSpec& spec, const Batch& data,
                                               std::uint64_t seed, Lineage lineage);

// Not thread-safe: one thread at a time. Equal start, confirmed weights, options and batches give
// equal bytes on the same build, BLAS core type and machine (call torch::set_num_threads(1) first);
// on a GPU on the same one, with the same driver. Random numbers are the CPU's on every device, so
// that a round on a GPU sees the same noise.
class Trainer {
 public:
  // `confirmed` may be null: the start weights take its place for the proximal term and the bound.
  // kInvalidArgument for bad options, or when the two heads differ in their HeadSpec; the error of
  // choose_device().
  static Result<std::unique_ptr<Trainer>> create(std::shared_ptr<const Weights> start,
                                                 std::shared_ptr<const Weights> confirmed,
                                                 const TrainerOptions& options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // One optimiser step. Rows count by Batch::weight; rows and actions past their mask count
  // nothing. References are read by heads with HeadSpec::reference_chunk. kInvalidArgument for
  // wrong sizes, kFailedPrecondition when the loss or gradient is not finite: the parameters are
  // then as before the step.
  Status step(const Batch& batch);

  std::uint32_t steps() const;       // done so far
  double last_loss() const;          // of the last step, in squared normalised action units
  double relative_distance() const;  // of the parameters to the confirmed ones, as bounded

  // The moving average as a weights file. `lineage` is written as given, except that `steps` and
  // `seed` are this trainer's own. May be called between steps, any number of times.
  Result<std::vector<std::byte>> weights(Lineage lineage) const;

 private:
  Trainer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Sets LibTorch's intra-op threads to one for this process: control, inference and learning each
// own a core or a share of one, and small matrices only lose by more. Call once, at start.
void use_one_torch_thread();

}  // namespace nudge
