#include "src/loop/inference.h"

namespace nudge {

Inference::Inference(std::unique_ptr<Backbone> backbone, std::uint64_t seed)
    : backbone_(std::move(backbone)), noise_(seed) {}

bool Inference::take_from(SwapSlot<LoadedHead>& slot) {
  const LoadedHead* const taken = slot.try_take();
  if (taken == nullptr) return false;
  head_ = taken;
  return true;
}

Result<ActionChunk> Inference::infer(const std::vector<float>& features,
                                     const std::vector<float>& proprioception, Instant observed) {
  if (head_ == nullptr || head_->head == nullptr) {
    return failed_precondition(
        "there are no weights to run; train some from demonstrations (nudge train) and promote "
        "them");
  }
  const HeadSpec& spec = head_->head->spec();
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
  NUDGE_TRY(head_->head->sample(batch, noise_values_, chunk.actions));
  return chunk;
}

}  // namespace nudge
