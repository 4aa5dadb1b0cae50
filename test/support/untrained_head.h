// A head of the right shape for a robot that has learned nothing: what it does does not matter,
// that it runs does.
#pragma once

#include <memory>
#include <stdexcept>
#include <vector>

#include "policy/trainer.h"
#include "src/config/config.h"
#include "src/learning/settings.h"
#include "src/loop/inference.h"
#include "src/loop/perception.h"

namespace nudge {

inline LoadedHead untrained_head(const RobotSpec& spec, const Config& config,
                                 WeightsVersion version) {
  auto backbone = make_backbone(config, spec.observation);
  const PolicyShape shape = policy_shape(config, spec, **backbone);
  Batch data;
  data.size = 4;
  data.feature_size = shape.feature_size;
  data.proprioception_size = shape.proprioception_size;
  data.action_size = shape.action_size;
  data.horizon = static_cast<std::size_t>(config.policy.horizon);
  Random random(version);
  const auto fill = [&](std::vector<float>& column, std::size_t width) {
    column.resize(data.size * width);
    for (float& value : column) value = static_cast<float>(random.normal());
  };
  fill(data.features, data.feature_size);
  fill(data.proprioception, data.proprioception_size);
  fill(data.actions, data.horizon * data.action_size);
  data.mask.assign(data.size * data.horizon, 1.0f);
  data.weight.assign(data.size, 1.0f);
  data.advantage.assign(data.size, Advantage::kPositive);
  data.cluster.assign(data.size, 1);
  Lineage lineage;
  lineage.backbone_hash = shape.backbone_hash;
  lineage.config_hash = training_config_hash(config);
  auto bytes = initial_weights(head_spec(config, shape), data, version, lineage);
  if (!bytes.ok()) throw std::runtime_error(bytes.status().message());
  auto weights = Weights::parse(*std::move(bytes));
  if (!weights.ok()) throw std::runtime_error(weights.status().message());
  auto head = ActionHead::load(*weights);
  if (!head.ok()) throw std::runtime_error(head.status().message());
  return {.version = version, .head = std::shared_ptr<ActionHead>(*std::move(head))};
}

}  // namespace nudge
