// Small weights for tests of what handles them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nudge/random.h"
#include "policy/weights.h"

namespace nudge::test {

inline HeadSpec small_head() {
  HeadSpec head;
  head.feature_size = 6;
  head.proprioception_size = 3;
  head.action_size = 2;
  head.horizon = 4;
  head.hidden = 8;
  head.layers = 2;
  return head;
}

inline Lineage some_lineage(WeightsKind kind = WeightsKind::kFull) {
  Lineage lineage;
  lineage.parent_hash = std::string(64, 'a');
  lineage.kind = kind;
  lineage.prefix = 1234;
  lineage.seed = ~std::uint64_t{0};
  lineage.config_hash = std::string(64, '1');
  lineage.backbone_hash = std::string(64, '2');
  lineage.steps = 300;
  return lineage;
}

inline std::map<std::string, std::vector<float>> random_tensors(const HeadSpec& head,
                                                                std::uint64_t seed) {
  Random random(seed);
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, shape] : tensors_of(head)) {
    std::size_t size = 1;
    for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
    for (std::size_t i = 0; i < size; ++i) {
      tensors[name].push_back(static_cast<float>(random.normal()));
    }
  }
  return tensors;
}

inline std::vector<std::byte> weights_bytes(std::uint64_t seed,
                                            WeightsKind kind = WeightsKind::kFull) {
  const auto bytes =
      write_weights(small_head(), some_lineage(kind), random_tensors(small_head(), seed));
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return *bytes;
}

inline std::shared_ptr<const Weights> some_weights(std::uint64_t seed,
                                                   WeightsKind kind = WeightsKind::kFull) {
  const auto weights = Weights::parse(weights_bytes(seed, kind));
  EXPECT_TRUE(weights.ok()) << weights.status().message();
  return *weights;
}

// Weights that edit `base`, which some_weights() may be.
inline std::shared_ptr<const Weights> edit_of(const Weights& base, std::uint64_t seed,
                                              WeightsKind kind = WeightsKind::kFull) {
  HeadSpec head = small_head();
  head.reference_chunk = head.edit = true;
  Lineage lineage = some_lineage(kind);
  lineage.base_hash = to_hex(base.hash());
  const auto bytes = write_weights(head, lineage, random_tensors(head, seed));
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  const auto weights = Weights::parse(*bytes);
  EXPECT_TRUE(weights.ok()) << weights.status().message();
  return *weights;
}

}  // namespace nudge::test
