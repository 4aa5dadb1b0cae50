// Trains the project's own eyes (vision_spec.h): what is true of a scene, or what somebody who
// knows the task would do there, is read off the features by one linear layer each, which is thrown
// away afterwards. AdamW with a rate that falls along a cosine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "nudge/status.h"
#include "policy/vision_spec.h"

namespace nudge {

// What is told about each example, in this order. NaN: not known, and not asked.
struct VisionTargets {
  std::size_t positions = 0;  // of something, relative to the tool, m: three numbers each
  std::size_t flags = 0;      // 0 or 1
  std::size_t values = 0;     // of about size 1
  std::size_t width() const { return 3 * positions + flags + values; }
};

// Columns, row-major.
struct VisionExamples {
  std::size_t size = 0;
  std::vector<std::uint8_t> pictures;   // [size, cameras, 3, side, side]
  std::vector<float> proprioception;    // [size, proprioception_size]
  std::vector<std::uint32_t> sentence;  // [size], a row of the known sentences; kNoSentence: none
  std::vector<float> targets;           // [size, targets.width()]
};
inline constexpr std::uint32_t kNoSentence = 0xffffffff;

struct VisionTrainerOptions {
  std::uint64_t seed = 1;
  std::size_t steps = 6000;
  std::size_t batch = 64;       // prototype
  double learning_rate = 1e-3;  // at the beginning; prototype
  double weight_decay = 0.02;   // against learning pictures by heart; its own share is not measured
};

// How far off the targets are, on examples that it was not trained on.
struct VisionError {
  // Median distance of the first position, m, where that is within 5 cm, 5 to 15 cm, and beyond;
  // negative: there are none.
  double near = -1, middle = -1, far = -1;
  double flags = -1;   // share of flags that are told wrongly
  double values = -1;  // root of the mean square
};

// Not thread-safe: one thread. Equal input gives equal weights on the same machine.
class VisionTrainer {
 public:
  // A network with random weights. Proprioception is normalised as in `examples`. kInvalidArgument:
  // something does not fit.
  static Result<std::unique_ptr<VisionTrainer>> make(const VisionSpec& spec,
                                                     const VisionTargets& targets,
                                                     KnownSentences known,
                                                     const VisionTrainerOptions& options,
                                                     const VisionExamples& examples);
  ~VisionTrainer();
  VisionTrainer(const VisionTrainer&) = delete;
  VisionTrainer& operator=(const VisionTrainer&) = delete;

  // All options.steps. `on_step` is told the number of steps done and the mean loss of the last
  // 100. kInternal: LibTorch failed.
  Status train(const VisionExamples& examples,
               const std::function<void(std::size_t step, double loss)>& on_step);
  Result<VisionError> error(const VisionExamples& held_out);
  VisionFile file() const;

 private:
  VisionTrainer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
