// Where each part of the input of a head's first layer lies: the order that tensors_of() fixes.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "policy/weights.h"

namespace nudge {

inline constexpr std::size_t kTimeFrequencies = 16;  // one sine and one cosine each
inline constexpr std::size_t kAdvantageWidth = 16;   // of the embedding

// Columns [offset, offset + size) of the input; size 0: absent.
struct InputLayout {
  struct Part {
    std::size_t offset = 0;
    std::size_t size = 0;
  };
  Part noisy, reference, has_reference, features, proprioception, time, advantage;
  std::size_t width = 0;   // of the whole input
  std::size_t output = 0;  // horizon * action_size

  explicit InputLayout(const HeadSpec& spec) {
    const bool flow = spec.kind == HeadKind::kFlow;
    output = spec.horizon * spec.action_size;
    noisy = take(flow ? output : 0);
    reference = take(spec.reference_chunk ? output : 0);
    has_reference = take(spec.edit ? 1 : 0);
    features = take(spec.feature_size);
    proprioception = take(spec.proprioception_size);
    time = take(flow ? 2 * kTimeFrequencies : 0);
    advantage = take(kAdvantageWidth);
  }

 private:
  Part take(std::size_t size) {
    const Part part{width, size};
    width += size;
    return part;
  }
};

// A copy of one tensor's values; empty when the file has none of that name. All are F32 once
// Weights::parse() has accepted them.
inline std::vector<float> values_of(const Weights& weights, const std::string& name) {
  const auto found = weights.file().tensors().find(name);
  if (found == weights.file().tensors().end()) return {};
  std::vector<float> values(found->second.bytes.size() / sizeof(float));
  std::memcpy(values.data(), found->second.bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace nudge
