// The action head: cached features in, a chunk of actions out.
//
// Flow matching (Lipman et al., "Flow matching for generative modeling", 2023; straight paths as in
// Liu et al., "Flow straight and fast", 2023): a network predicts the velocity from noise at t = 0
// to the normalised chunk at t = 1, integrated with `euler_steps` Euler steps. The regression head
// is the baseline: the same network without noise and time.
//
// A head that edits (HeadSpec::edit) gives reference + scale * e, where e is what the network adds.
// Its flow predicts the end of the path rather than the velocity (as in Salimans and Ho,
// "Progressive distillation for fast sampling of diffusion models", 2022): the last Euler step ends
// on the prediction itself. So a network whose output is zero, as an untrained one's is, passes the
// reference on exactly, and what training adds is the edit. A row without a reference is edited
// from the mean action: the head then acts alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "nudge/batch.h"
#include "nudge/status.h"
#include "policy/weights.h"

namespace nudge {

// What a head is conditioned on: `size` rows of flat columns, row-major, read during the call only.
struct HeadBatch {
  std::size_t size = 0;
  std::span<const float> features;        // [size, feature_size], in the backbone's units
  std::span<const float> proprioception;  // [size, proprioception_size], in the robot's units
  // [size], or empty: kPositive everywhere, which is what a deployed policy asks for.
  std::span<const Advantage> advantage;
  // [size, horizon, action_size] in action units, or empty: no reference chunk. Heads without
  // HeadSpec::reference_chunk refuse one.
  std::span<const float> reference;
  // [size], 1: the row has a reference; or empty: all have, if any.
  std::span<const std::uint8_t> has_reference = {};
  // Classifier-free guidance (Ho and Salimans 2022): the network's answer is that without a token
  // plus this times what the token changes. 1: the token's answer itself, at half the cost.
  float guidance = 1;
};

// Weights do not change after load(). One thread at a time per instance (sample() reuses buffers);
// different instances are independent.
class ActionHead {
 public:
  // Copies the tensors it needs and keeps `weights` alive. kInvalidArgument when a scale of a
  // normaliser is not positive; NaN elsewhere is the gate's to find.
  static Result<std::unique_ptr<ActionHead>> load(std::shared_ptr<const Weights> weights);
  ~ActionHead();
  ActionHead(const ActionHead&) = delete;
  ActionHead& operator=(const ActionHead&) = delete;

  const Weights& weights() const;
  const HeadSpec& spec() const;

  // Runs batch 1 until allocations, kernels' choices and pages are settled. Call it off the control
  // path, before the head is handed to a swap slot.
  Status warm_up();

  // Fills `chunks` [size, horizon, action_size] in action units. Not clamped: limits are the step
  // thread's. `noise` [size, horizon, action_size] holds standard normal numbers (flow only; a
  // regression head ignores it). Equal input gives equal output. kInvalidArgument for a wrong size.
  Status sample(const HeadBatch& in, std::span<const float> noise, std::span<float> chunks);

 private:
  ActionHead();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
