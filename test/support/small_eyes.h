// Eyes that see little: for tests of what is done with a file of policy/vision_spec.h.
#pragma once

#include "nudge/random.h"
#include "policy/vision_spec.h"

namespace nudge::test {

struct SmallEyesLook {
  std::size_t side = 16, stride = 2;
};

// Two cameras, sentences of 3 numbers; knows "go left" and "go right". Weights are random.
inline VisionFile small_eyes(std::uint64_t seed = 1, std::size_t proprioception = 2,
                             SmallEyesLook look = {}) {
  VisionFile file;
  file.spec = {.cameras = {"front", "wrist"},
               .side = look.side,
               .stride = look.stride,
               .proprioception_size = proprioception,
               .sentence_size = 3,
               .hidden = 12,
               .features = 8,
               .encoder = "an encoder",
               .supervision = "nothing: random weights"};
  file.known = {.text = {"go left", "go right"}, .vectors = {1, 0, 0, 0, 1, 0}};
  Random random(seed);
  for (const auto& [name, shape] : tensors_of(file.spec)) {
    std::int64_t count = 1;
    for (const auto s : shape) count *= s;
    auto& values = file.tensors[name];
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(static_cast<float>(name.ends_with(".scale") ? random.uniform(0.5, 2)
                                                                   : random.uniform(-0.3, 0.3)));
    }
  }
  return file;
}

}  // namespace nudge::test
