// From the configuration to each part's own options. The one place that knows both sides.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "feedback/authority.h"
#include "feedback/motion_words.h"
#include "policy/backbone.h"
#include "policy/chunk_player.h"
#include "policy/gate.h"
#include "policy/help_signal.h"
#include "policy/probation.h"
#include "policy/round_planner.h"
#include "policy/trainer.h"
#include "replay/dataset.h"
#include "src/config/config.h"
#include "src/learning/learner_host.h"
#include "src/learning/rollout.h"
#include "src/loop/controller.h"

namespace nudge {

// What the learner must know of robot and backbone, so that its process needs neither.
struct PolicyShape {
  std::size_t feature_size = 0;
  std::size_t proprioception_size = 0;
  std::size_t action_size = 0;
  Duration policy_period{};
  std::string backbone_hash;
  // Of the reference chunks that are recorded. The learner has it from its configuration.
  std::size_t reference_rows = 0;
  std::string robot_shape = {};  // Booted::shape; empty: that of the log's newest boot

  friend bool operator==(const PolicyShape&, const PolicyShape&) = default;
};
PolicyShape policy_shape(const Config& config, const RobotSpec& robot, const Backbone& backbone);
std::size_t reference_rows(const Config& config);  // policy.horizon; 0: there is no reference

HeadSpec head_spec(const Config& config, const PolicyShape& shape);
DatasetOptions dataset_options(const Config& config, const PolicyShape& shape);
// Micro-rounds, of provisional weights, draw a correction as often as its share says.
Mix sampling_mix(const Config& config, WeightsKind kind = WeightsKind::kFull);
TrainerOptions trainer_options(const Config& config, WeightsKind kind);
TrainerOptions base_trainer_options(const Config& config);  // first training, from demonstrations
GateOptions gate_options(const Config& config);
RoundPlannerOptions round_planner_options(const Config& config);
ProbationOptions probation_options(const Config& config);
ChunkPlayerOptions player_options(const Config& config, const RobotSpec& robot);
HelpSignalOptions help_signal_options(const Config& config, const RobotSpec& robot);
// For each action channel, the proprioception channel of the same name whose rate it is ("rad" and
// "rad/s"); none: it has none.
std::vector<std::optional<std::size_t>> measured_channels(const RobotSpec& robot);
AuthorityConfig authority_config(const Config& config, const RobotSpec& robot);
LimitsConfig limits_config(const Config& config, const RobotSpec& robot);
MotionWordsConfig motion_words_config(const Config& config, const RobotSpec& robot);
// Names, out of those of the robot. What the configuration names and the robot lacks goes into
// `unknown`: a simulation without its cameras is no reason to stand still.
std::vector<std::string> cameras_that_matter(const Config& config, const RobotSpec& robot,
                                             const std::vector<std::string>& of_policy,
                                             std::vector<std::string>& unknown);
ControllerOptions controller_options(const Config& config, const RobotSpec& robot,
                                     const AuthorityBoot& boot);  // of the three above

RolloutOptions rollout_options(const Config& config, const std::string& weights_folder,
                               const std::string& robot, const PolicyShape& shape);
// The learner's socket is run/learner of the state folder; with an empty `program` somebody else
// starts the learner.
LearnerHostOptions learner_host_options(const Config& config, const std::string& state_folder,
                                        const std::string& program, const PolicyShape& shape);
// Of every episode; without its number.
SegmentSpec segment_spec(const RobotSpec& robot, const PolicyShape& shape);

// Hex SHA-256 of training_text(): Lineage::config_hash.
std::string training_config_hash(const Config& config);

}  // namespace nudge
