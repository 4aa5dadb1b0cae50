// Rows that mean nothing, of the right shape: for first weights of a head whose speed, not whose
// actions, is looked at.
#pragma once

#include <cstddef>
#include <vector>

#include "nudge/batch.h"
#include "nudge/random.h"
#include "policy/head.h"

namespace nudge {

// Whole chunks without references, all in one cluster.
inline Batch random_batch(const HeadSpec& spec, std::size_t size, Random& random) {
  Batch batch;
  batch.size = size;
  batch.feature_size = spec.feature_size;
  batch.proprioception_size = spec.proprioception_size;
  batch.action_size = spec.action_size;
  batch.horizon = spec.horizon;
  const auto fill = [&](std::vector<float>& column, std::size_t width) {
    column.resize(size * width);
    for (float& value : column) value = static_cast<float>(random.normal());
  };
  fill(batch.features, spec.feature_size);
  fill(batch.proprioception, spec.proprioception_size);
  fill(batch.actions, spec.horizon * spec.action_size);
  batch.mask.assign(size * spec.horizon, 1);
  batch.weight.assign(size, 1);
  batch.advantage.assign(size, Advantage::kPositive);
  batch.cluster.assign(size, 1);
  return batch;
}

}  // namespace nudge
