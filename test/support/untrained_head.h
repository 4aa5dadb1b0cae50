// A head of the right shape for a robot that has learned nothing: what it does does not matter,
// that it runs does.
#pragma once

#include <memory>
#include <stdexcept>

#include "policy/trainer.h"
#include "src/config/config.h"
#include "src/learning/settings.h"
#include "src/loop/inference.h"
#include "src/loop/perception.h"
#include "test/support/random_batch.h"

namespace nudge {

inline LoadedHead untrained_head(const RobotSpec& spec, const Config& config,
                                 WeightsVersion version) {
  auto backbone = make_backbone(config, spec.observation);
  const PolicyShape shape = policy_shape(config, spec, **backbone);
  const HeadSpec head_shape = head_spec(config, shape);
  Random random(version);
  const Batch data = random_batch(head_shape, 4, random);
  Lineage lineage;
  lineage.backbone_hash = shape.backbone_hash;
  lineage.config_hash = training_config_hash(config);
  auto bytes = initial_weights(head_shape, data, version, lineage);
  if (!bytes.ok()) throw std::runtime_error(bytes.status().message());
  auto weights = Weights::parse(*std::move(bytes));
  if (!weights.ok()) throw std::runtime_error(weights.status().message());
  auto head = ActionHead::load(*weights);
  if (!head.ok()) throw std::runtime_error(head.status().message());
  return {.version = version, .head = std::shared_ptr<ActionHead>(*std::move(head))};
}

}  // namespace nudge
