#include "src/loop/inference.h"

#include <algorithm>

#include "policy/disagreement.h"
#include "policy/input_layout.h"

namespace nudge {

Inference::Inference(std::unique_ptr<Backbone> backbone, std::uint64_t seed,
                     ReferenceOptions references, double guidance)
    : backbone_(std::move(backbone)),
      noise_(seed),
      references_(std::move(references)),
      guidance_(static_cast<float>(guidance)),
      doubt_(Random::derive(seed, kDoubtStream)) {}

Result<std::vector<float>> Inference::encode(const Observation& observation,
                                             const std::string& instruction) {
  if (backbone_->cameras().empty() || observation.object_state.empty()) {
    return backbone_->encode(observation, instruction);
  }
  Observation seen = observation;
  seen.object_state.clear();
  return backbone_->encode(seen, instruction);
}

bool Inference::take_from(SwapSlot<LoadedHead>& slot) {
  // The head in use is the publisher's to free as soon as another one is taken.
  const ReferenceSource* const before = source();
  const LoadedHead* const taken = slot.try_take();
  if (taken == nullptr) return false;
  head_ = taken;
  // What another base proposed is nothing for this head to edit.
  if (source() != before) reference_tick_.reset();
  action_scale_.clear();
  return true;
}

namespace {

Status no_head() {
  return failed_precondition(
      "there are no weights to run; train some from demonstrations (nudge train) and promote them");
}

void repeat(const std::vector<float>& row, std::size_t times, std::vector<float>& out) {
  out.clear();
  for (std::size_t i = 0; i < times; ++i) out.insert(out.end(), row.begin(), row.end());
}

}  // namespace

Result<AlignedReference> Inference::reference(const Observation& observation,
                                              const std::string& instruction,
                                              const std::vector<float>& features,
                                              ControlTick tick) {
  if (source() == nullptr) return AlignedReference{};
  if (reference_tick_ == tick) return reference_;
  reference_tick_.reset();
  Result<std::optional<ReferenceChunk>> proposed =
      source()->propose(observation, instruction, features, tick);
  if (!proposed.ok()) return proposed.status().with_context("reference");
  reference_ = {};
  if (*proposed) {
    Result<AlignedReference> aligned = align_reference(**proposed, tick, references_.fit);
    if (!aligned.ok()) return aligned.status().with_context("reference");
    reference_ = *std::move(aligned);
  }
  reference_tick_ = tick;
  return reference_;
}

Result<ActionChunk> Inference::infer(const std::vector<float>& features,
                                     const std::vector<float>& proprioception, Instant observed,
                                     const std::vector<float>& reference) {
  if (head_ == nullptr || head_->head == nullptr) return no_head();
  const HeadSpec& spec = head_->head->spec();
  if (spec.edit && reference.empty() && !references_.act_without) {
    return unavailable("there is no reference chunk to edit, or only one too old; the robot holds");
  }
  ActionChunk chunk;
  chunk.horizon = spec.horizon;
  chunk.action_size = spec.action_size;
  chunk.version = head_->version;
  chunk.observed = observed;
  chunk.actions.resize(spec.horizon * spec.action_size);
  noise_values_.resize(chunk.actions.size());
  for (float& value : noise_values_) value = static_cast<float>(noise_.normal());
  HeadBatch batch;
  batch.size = 1;
  batch.features = features;
  batch.proprioception = proprioception;
  if (spec.reference_chunk) batch.reference = reference;
  batch.guidance = guidance_;
  NUDGE_TRY(head_->head->sample(batch, noise_values_, chunk.actions));
  return chunk;
}

Result<std::optional<double>> Inference::disagreement(const std::vector<float>& features,
                                                      const std::vector<float>& proprioception,
                                                      std::size_t samples, std::size_t rows,
                                                      const std::vector<float>& reference) {
  if (head_ == nullptr || head_->head == nullptr) return no_head();
  if (samples < 2 || samples > 64) return invalid_argument("disagreement needs 2 to 64 samples");
  const HeadSpec& spec = head_->head->spec();
  if (spec.kind != HeadKind::kFlow) return std::optional<double>();
  repeat(features, samples, doubt_features_);
  repeat(proprioception, samples, doubt_proprioception_);
  doubt_noise_.resize(samples * spec.horizon * spec.action_size);
  doubt_chunks_.resize(doubt_noise_.size());
  for (float& value : doubt_noise_) value = static_cast<float>(doubt_.normal());
  HeadBatch batch;
  batch.size = samples;
  batch.features = doubt_features_;
  batch.proprioception = doubt_proprioception_;
  batch.guidance = guidance_;
  if (spec.reference_chunk && !reference.empty()) {
    repeat(reference, samples, doubt_reference_);
    batch.reference = doubt_reference_;
  }
  NUDGE_TRY(head_->head->sample(batch, doubt_noise_, doubt_chunks_));
  if (action_scale_.empty()) action_scale_ = values_of(head_->head->weights(), "norm.action.scale");
  return std::optional<double>(nudge::disagreement(doubt_chunks_, samples, spec.horizon,
                                                   std::clamp<std::size_t>(rows, 1, spec.horizon),
                                                   action_scale_));
}

}  // namespace nudge
