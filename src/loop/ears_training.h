// Teaches eyes of the simulated kitchen to hear its tasks said in many ways: policy/vision_ears.h,
// with the sentences of src/sim/kitchen_phrases.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "nudge/status.h"
#include "policy/instruction_features.h"
#include "policy/vision_spec.h"

namespace nudge {

struct EarsTrainingOptions {
  std::size_t ways = 300;      // to say each task; with 200 a tenth less sure
  std::size_t held_out = 100;  // more of each, to measure with
  std::uint64_t seed = 1;
  EncodeSentence encode;  // of sentences
  std::string encoder_hash;
};

struct EarsReport {
  VisionFile file;
  std::size_t sentences = 0;  // taught
  // Shares of sentences that were not taught and are taken for another task.
  double misheard_before = 0, misheard = 0;
};

// Of the kitchen's tasks that `eyes` know. `on_sentence` is told of each encoded sentence. Equal
// options give equal files on the same machine. kFailedPrecondition: the encoder is not the eyes'.
// kInvalidArgument: they know no task of the kitchen. Errors of the encoder and of teach_ears().
Result<EarsReport> train_ears(
    VisionFile eyes, const EarsTrainingOptions& options,
    const std::function<void(std::size_t done, std::size_t total)>& on_sentence);

}  // namespace nudge
