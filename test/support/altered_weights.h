// Weights with something done to them, as a broken or hostile learner might send.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "policy/input_layout.h"
#include "policy/weights.h"

namespace nudge::test {

using Tensors = std::map<std::string, std::vector<float>>;

inline Lineage child_lineage(const Weights& parent, WeightsKind kind = WeightsKind::kFull) {
  Lineage lineage = parent.lineage();
  lineage.parent_hash = to_hex(parent.hash());
  lineage.kind = kind;
  return lineage;
}

inline std::vector<std::byte> altered_weights(const Weights& from, const Lineage& lineage,
                                              const std::function<void(Tensors&)>& change) {
  Tensors tensors;
  for (const auto& [name, view] : from.file().tensors()) tensors[name] = values_of(from, name);
  change(tensors);
  const auto bytes = write_weights(from.head(), lineage, tensors);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return *bytes;
}

// The last layer: what leaves the net.
inline std::string output_layer(const Weights& weights) {
  return "net." + std::to_string(weights.head().layers);
}

}  // namespace nudge::test
