// Makes the eyes of the simulated kitchen (policy/vision_spec.h) from pictures of it that are drawn
// up for the purpose (src/sim/kitchen_scenes.h), and then their ears (ears_training.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "policy/instruction_features.h"
#include "policy/vision_trainer.h"
#include "src/loop/ears_training.h"

namespace nudge {

// What the eyes are taught to tell.
enum class EyesSupervision {
  kPoses,    // where the simulator has the object that the instruction names and where it belongs,
             // relative to the tool; whether it is held; how far the drawer is open
  kActions,  // what the scripted expert would do: no pose of anything
  kNone,     // nothing: random weights
};

struct EyesTrainingOptions {
  EyesSupervision supervision = EyesSupervision::kPoses;
  std::vector<int> levels = {1, 2, 3, 4};
  std::size_t frames = 25'000;  // of each level; 98 kB of memory each. With 8,000 they are learned
                                // by heart
  std::size_t held_out = 500;   // of each level, to measure with
  VisionTrainerOptions trainer = {.steps = 25'000};
  std::size_t ways = EarsTrainingOptions{}.ways;  // to say each task; random eyes hear none of them
  EncodeSentence encode;                          // of sentences
  std::string encoder_hash;
  std::string encoder_name;  // for people
};

enum class EyesStage { kPictures, kTraining, kSentences };
// `done` of `total` pictures, steps or sentences; `loss` while training. Told by several threads,
// one at a time.
using OnEyes =
    std::function<void(EyesStage stage, std::size_t done, std::size_t total, double loss)>;

struct EyesReport {
  std::vector<std::byte> file;
  std::map<int, VisionError> error;  // by level; measured before weights are rounded
  // Share of other words for a task that are taken for another's; negative: no ears were taught.
  double misheard = -1;
  double picture_seconds = 0, training_seconds = 0;  // wall time
};

// Equal options give equal files on the same machine. Errors of KitchenScenes, VisionTrainer and
// the encoder; kInvalidArgument without levels or frames.
Result<EyesReport> train_eyes(const EyesTrainingOptions& options, const OnEyes& on_progress);

}  // namespace nudge
