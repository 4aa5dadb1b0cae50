#include "src/datasets/robot_names.h"

#include "policy/backbone.h"

namespace nudge {
namespace {

std::vector<std::string> names_of(const std::vector<Channel>& channels) {
  std::vector<std::string> names;
  for (const Channel& channel : channels) names.push_back(channel.name);
  return names;
}

void fit(std::vector<std::string>& names, std::size_t size, const std::string& otherwise) {
  if (names.size() == size) return;
  names.clear();
  for (std::size_t i = 0; i < size; ++i) names.push_back(otherwise + "_" + std::to_string(i));
}

}  // namespace

RobotNames robot_names(const RobotSpec& spec) {
  RobotNames names;
  names.robot = spec.id;
  names.state = names_of(spec.observation.proprioception);
  names.object_state = names_of(spec.observation.object_state);
  names.action = names_of(spec.action.channels);
  names.policy_period = spec.policy_period;
  const auto backbone = make_state_backbone(spec.observation);
  if (backbone.ok()) names.state_backbone = (*backbone)->hash();
  return names;
}

RobotNames fitted(const RobotNames& names, const SegmentSpec& segment) {
  RobotNames out = names;
  fit(out.state, segment.proprioception_size, "state");
  fit(out.action, segment.action_size, "action");
  const bool from_state =
      !names.state_backbone.empty() && segment.backbone_hash == names.state_backbone;
  if (!from_state) out.object_state.clear();
  fit(out.object_state, segment.feature_size, "feature");
  if (!from_state) out.state_backbone.clear();
  return out;
}

}  // namespace nudge
