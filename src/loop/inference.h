// The inference thread's work: observation in, action chunk out, with the head in use.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "nudge/robot.h"
#include "policy/backbone.h"
#include "policy/head.h"
#include "policy/reference.h"
#include "policy/swap_slot.h"

namespace nudge {

// A head that is verified, loaded and warm, with the version it was accepted as.
struct LoadedHead {
  WeightsVersion version = 0;
  std::shared_ptr<ActionHead> head;
  // The frozen head that `head` edits, which comes and goes with it; null: it edits none, or what
  // ReferenceOptions::source proposes.
  std::shared_ptr<ReferenceSource> base = nullptr;
};

// Where reference chunks come from, and how they are fitted to the policy's.
struct ReferenceOptions {
  std::unique_ptr<ReferenceSource> source;  // null: there are none but those of LoadedHead::base
  ReferenceFit fit;
  bool act_without = false;  // a head that edits acts alone while there is none; else: no chunk
};

// Not thread-safe: belongs to one thread.
class Inference {
 public:
  // `seed` fixes the noise that chunks are drawn from. `guidance`: HeadBatch::guidance.
  Inference(std::unique_ptr<Backbone> backbone, std::uint64_t seed,
            ReferenceOptions references = {}, double guidance = 1);

  // Uses the newest head that was published to `slot`, if there is a new one, from the next chunk
  // on; a head without weights means no policy. True when it changed. Wait-free; what was used
  // before is freed by the publisher.
  bool take_from(SwapSlot<LoadedHead>& slot);
  WeightsVersion version() const { return head_ != nullptr ? head_->version : 0; }
  // Of the head in use; null: there is none.
  const HeadSpec* head() const {
    return head_ != nullptr && head_->head != nullptr ? &head_->head->spec() : nullptr;
  }
  const Backbone& backbone() const { return *backbone_; }

  // Starts the noise anew, so that equal starts see equal noise whatever ran before.
  void begin_episode(std::uint64_t seed) {
    noise_ = Random(seed);
    doubt_ = Random(Random::derive(seed, kDoubtStream));
    begin_references();
  }
  // What was proposed until now is of another episode.
  void begin_references() {
    reference_tick_.reset();
    if (source() != nullptr) source()->begin_episode();
  }

  // A backbone that looks at cameras is not shown the object state: what a simulator knows of its
  // objects would not be there on a robot. Errors of Backbone::encode().
  Result<std::vector<float>> encode(const Observation& observation, const std::string& instruction);
  // What the reference source proposes for the observation made at control tick `tick`, aligned to
  // it; empty: nothing, or nothing new enough. Asks the source once a tick. Errors of the source
  // and of align_reference().
  Result<AlignedReference> reference(const Observation& observation, const std::string& instruction,
                                     const std::vector<float>& features, ControlTick tick);
  // A chunk for it is on its way: reference() had better be asked a little later.
  bool awaits_reference(const Observation& observation) const {
    return source() != nullptr && source()->awaits(observation);
  }
  // As of ReferenceSource.
  void offer_reference(ReferenceChunk chunk, Instant observed) {
    if (source() != nullptr) source()->offer(std::move(chunk), observed);
  }
  // `reference` as reference() gave it; heads that take none leave it. kFailedPrecondition without
  // a head; kUnavailable when the head edits and there is nothing to edit; errors of
  // ActionHead::sample().
  Result<ActionChunk> infer(const std::vector<float>& features,
                            const std::vector<float>& proprioception, Instant observed,
                            const std::vector<float>& reference = {});
  // policy/disagreement.h of `samples` (2 to 64) further chunks for the same observation, in their
  // first `rows` rows (as many as there are at most). Their noise is a stream of its own: the
  // chunks of infer() are the same with and without it. Nothing for a head that draws no noise.
  // Errors as infer().
  Result<std::optional<double>> disagreement(const std::vector<float>& features,
                                             const std::vector<float>& proprioception,
                                             std::size_t samples, std::size_t rows,
                                             const std::vector<float>& reference = {});

 private:
  ReferenceSource* source() const {
    const bool base = head_ != nullptr && head_->base != nullptr;
    return base ? head_->base.get() : references_.source.get();
  }

  static constexpr std::uint64_t kDoubtStream = 7'000'003;
  std::unique_ptr<Backbone> backbone_;
  const LoadedHead* head_ = nullptr;  // owned by the slot's taker side
  Random noise_;
  std::vector<float> noise_values_;  // reused
  ReferenceOptions references_;
  float guidance_;
  std::optional<ControlTick> reference_tick_;  // of reference_
  AlignedReference reference_;
  // Of disagreement(); reused.
  Random doubt_;
  std::vector<float> doubt_features_, doubt_proprioception_, doubt_noise_, doubt_chunks_,
      doubt_reference_;
  std::vector<float> action_scale_;  // of the head in use
};

}  // namespace nudge
