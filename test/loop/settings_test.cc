#include "src/learning/settings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

// The defaults of a Config and those of the parts stand in two places. Where they differ on
// purpose, the test says so.
class SettingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto robot = KitchenRobot::create({});
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = (*robot)->spec();
    auto backbone = make_state_backbone(robot_.observation);
    ASSERT_TRUE(backbone.ok());
    shape_ = policy_shape(config_, robot_, **backbone);
  }
  Config config_;
  RobotSpec robot_;
  PolicyShape shape_;
};

TEST_F(SettingsTest, TheShapeOfThePolicyIsThatOfRobotAndBackbone) {
  EXPECT_EQ(shape_.feature_size, robot_.observation.object_state.size());
  EXPECT_EQ(shape_.proprioception_size, robot_.observation.proprioception.size());
  EXPECT_EQ(shape_.action_size, robot_.action.size());
  EXPECT_EQ(shape_.policy_period, robot_.policy_period);
  EXPECT_EQ(shape_.backbone_hash.size(), 64u);
}

TEST_F(SettingsTest, TheHeadHasTheDefaultArchitecture) {
  HeadSpec expected;
  expected.feature_size = shape_.feature_size;
  expected.proprioception_size = shape_.proprioception_size;
  expected.action_size = shape_.action_size;
  EXPECT_EQ(head_spec(config_, shape_), expected);
  EXPECT_TRUE(expected.validate().ok());
}

TEST_F(SettingsTest, RoundsTrainWithTheTrainersDefaults) {
  const auto same = [](const TrainerOptions& a, const TrainerOptions& b) {
    EXPECT_EQ(a.learning_rate, b.learning_rate);
    EXPECT_EQ(a.ema_decay, b.ema_decay);
    EXPECT_EQ(a.weight_decay, b.weight_decay);
    EXPECT_EQ(a.gradient_clip, b.gradient_clip);
    EXPECT_EQ(a.beta1, b.beta1);
    EXPECT_EQ(a.beta2, b.beta2);
    EXPECT_EQ(a.advantage_dropout, b.advantage_dropout);
    EXPECT_EQ(a.reference_dropout, b.reference_dropout);
    EXPECT_EQ(a.proximal, b.proximal);
    EXPECT_EQ(a.max_relative_distance, b.max_relative_distance);
  };
  same(trainer_options(config_, WeightsKind::kFull), TrainerOptions::full());
  same(trainer_options(config_, WeightsKind::kProvisional), TrainerOptions::micro());
  same(base_trainer_options(config_), TrainerOptions::base());
  EXPECT_EQ(config_.learner.batch, static_cast<std::int64_t>(kBatchSize));
  EXPECT_EQ(config_.learner.full_steps, static_cast<std::int64_t>(kFullSteps));
  EXPECT_EQ(config_.learner.micro_steps, static_cast<std::int64_t>(kMicroSteps));
  EXPECT_EQ(config_.learner.base_steps, static_cast<std::int64_t>(kBaseSteps));
}

TEST_F(SettingsTest, WhatARobotReportsExactlyIsTaughtWithoutNoise) {
  EXPECT_EQ(trainer_options(config_, WeightsKind::kFull).feature_noise, 0);
  EXPECT_EQ(base_trainer_options(config_).feature_noise, 0);
  config_.policy.backbone = "kitchen";
  EXPECT_EQ(trainer_options(config_, WeightsKind::kFull).feature_noise,
            config_.learner.feature_noise);
  EXPECT_EQ(base_trainer_options(config_).feature_noise, config_.learner.feature_noise);
}

TEST_F(SettingsTest, EveryTrainingOfAHeadIsOnTheLearnersDevice) {
  EXPECT_EQ(TrainerOptions{}.device, DeviceUse::kCpu);
  for (const DeviceUse use : {DeviceUse::kAuto, DeviceUse::kCpu, DeviceUse::kCuda}) {
    config_.learner.device = use;
    EXPECT_EQ(trainer_options(config_, WeightsKind::kFull).device, use);
    EXPECT_EQ(trainer_options(config_, WeightsKind::kProvisional).device, use);
    EXPECT_EQ(base_trainer_options(config_).device, use);
  }
}

TEST_F(SettingsTest, BatchesAreMixedAsTheSamplerAdvises) {
  EXPECT_EQ(sampling_mix(config_), Mix{});
}

TEST_F(SettingsTest, OnlyMicroRoundsDrawACorrectionAsOftenAsItsShareSays) {
  EXPECT_EQ(sampling_mix(config_, WeightsKind::kFull), sampling_mix(config_));
  EXPECT_EQ(sampling_mix(config_).oversampling, config_.learner.oversampling);
  EXPECT_TRUE(std::isinf(sampling_mix(config_, WeightsKind::kProvisional).oversampling));
}

TEST_F(SettingsTest, SharesMayBeOfEachStep) {
  config_.learner.share_of = ShareOf::kStep;
  EXPECT_TRUE(sampling_mix(config_).by_rows);
}

TEST_F(SettingsTest, TheGateHasItsDefaults) {
  const GateOptions made = gate_options(config_);
  const GateOptions own;
  EXPECT_EQ(made.max_relative_change, own.max_relative_change);
  EXPECT_EQ(made.change_floor, own.change_floor);
  EXPECT_EQ(made.demonstration_ratio, own.demonstration_ratio);
  EXPECT_EQ(made.demonstration_slack, own.demonstration_slack);
  EXPECT_EQ(made.action_soft_limit, own.action_soft_limit);
  EXPECT_EQ(made.action_soft_share, own.action_soft_share);
  EXPECT_EQ(made.action_hard_limit, own.action_hard_limit);
  EXPECT_EQ(made.held_out_worse, own.held_out_worse);
  EXPECT_EQ(made.held_out_slack, own.held_out_slack);
  EXPECT_EQ(made.held_out_episodes, own.held_out_episodes);
  EXPECT_EQ(config_.gate.probe_heldout, static_cast<std::int64_t>(kMaxProbeChunks));
  EXPECT_EQ(config_.gate.probe_demonstrations, static_cast<std::int64_t>(kMaxProbeChunks));
  EXPECT_EQ(config_.gate.probe_observations, static_cast<std::int64_t>(kMaxProbeObservations));
}

TEST_F(SettingsTest, EveryKeyOfTheGateReachesIt) {
  config_.gate.max_change = 0.7;
  config_.gate.demonstration_ratio = 1.7;
  config_.gate.demonstration_slack = 0.27;
  config_.gate.heldout_worse = 0.37;
  config_.gate.min_heldout_episodes = 9;
  const GateOptions made = gate_options(config_);
  EXPECT_EQ(made.max_relative_change, 0.7);
  EXPECT_EQ(made.demonstration_ratio, 1.7);
  EXPECT_EQ(made.demonstration_slack, 0.27);
  EXPECT_EQ(made.held_out_worse, 0.37);
  EXPECT_EQ(made.held_out_episodes, 9u);
}

TEST_F(SettingsTest, ProbationHasItsDefaults) {
  const ProbationOptions made = probation_options(config_);
  const ProbationOptions own;
  EXPECT_EQ(made.episodes, own.episodes);
  EXPECT_EQ(made.own_steps, own.own_steps);
  EXPECT_EQ(made.clamp_min_steps, own.clamp_min_steps);
  EXPECT_EQ(made.clamp_ratio, own.clamp_ratio);
  EXPECT_EQ(made.clamp_floor, own.clamp_floor);
  EXPECT_EQ(made.latency_budget, own.latency_budget);
  EXPECT_EQ(made.late_limit, own.late_limit);
  EXPECT_EQ(made.late_window, own.late_window);
  EXPECT_EQ(made.confidence, own.confidence);
  EXPECT_TRUE(made.validate().ok());
}

TEST_F(SettingsTest, ARoundNeedsACorrectionOfOneChunk) {
  const RoundPlannerOptions made = round_planner_options(config_);
  const RoundPlannerOptions own;
  EXPECT_EQ(made.micro_min_steps, own.micro_min_steps);
  EXPECT_EQ(made.micro_min_steps, head_spec(config_, shape_).horizon);
  EXPECT_EQ(made.rollbacks_to_pause, own.rollbacks_to_pause);
  EXPECT_EQ(made.seed, static_cast<std::uint64_t>(config_.learner.seed));
}

TEST_F(SettingsTest, OutcomesTeachWhereSuccessesHaveAShareOrFailuresAreNegatives) {
  EXPECT_FALSE(round_planner_options(config_).outcomes_teach);
  config_.learner.share_autonomous = 0.2;
  EXPECT_TRUE(round_planner_options(config_).outcomes_teach);
  config_.learner.share_autonomous = 0;
  config_.learner.failures = Unwanted::kNegative;
  EXPECT_TRUE(round_planner_options(config_).outcomes_teach);
}

TEST_F(SettingsTest, ChunksArePlayedWithThePlayersDefaults) {
  const ChunkPlayerOptions made = player_options(config_, robot_);
  const ChunkPlayerOptions own;
  EXPECT_EQ(made.replan_after, own.replan_after);
  EXPECT_EQ(made.blend, own.blend);
  EXPECT_EQ(made.horizon, head_spec(config_, shape_).horizon);
  EXPECT_EQ(made.action_size, shape_.action_size);
  EXPECT_EQ(made.policy_period, robot_.policy_period);
  EXPECT_TRUE(made.validate().ok());
}

TEST_F(SettingsTest, TheHelpSignalHasItsDefaultsAndTheRangesOfTheRobot) {
  const HelpSignalOptions own;
  HelpSignalOptions made = help_signal_options(config_, robot_);
  EXPECT_TRUE(made.validate().ok());
  EXPECT_EQ(made.policy_period, robot_.policy_period);
  EXPECT_EQ(made.window, own.window);
  EXPECT_EQ(made.smoothing, own.smoothing);
  ASSERT_EQ(made.range.size(), robot_.observation.proprioception.size());
  for (const double range : made.range) EXPECT_GT(range, 0);
  config_.help.window_s = 0.1;
  made = help_signal_options(config_, robot_);
  EXPECT_EQ(made.window, 2 * robot_.policy_period) << "the least that shows anything";
}

TEST_F(SettingsTest, TheAuthorityHasItsDefaults) {
  const AuthorityConfig made = authority_config(config_, robot_);
  const AuthorityConfig own;
  EXPECT_EQ(made.robot, robot_.id);
  EXPECT_EQ(made.control_period, robot_.control_period);
  EXPECT_EQ(made.fresh, own.fresh);
  EXPECT_EQ(made.lease, own.lease);
  EXPECT_EQ(made.reacquire, own.reacquire);
  EXPECT_EQ(made.takeover_timeout, own.takeover_timeout);
  EXPECT_EQ(made.handback_timeout, own.handback_timeout);
  EXPECT_EQ(made.watchdog, own.watchdog);
  EXPECT_EQ(made.clamp_limit, own.clamp_limit);
  EXPECT_EQ(made.clamp_window, own.clamp_window);
  EXPECT_FALSE(made.script_may_start) << "never beside a real robot";
  EXPECT_TRUE(made.validate().ok());
}

TEST_F(SettingsTest, OneLimitIsMeantForAllChannels) {
  config_.limits.max_rate = {0.8};
  config_.limits.max_change_per_tick = {0.1, 0.2, 0.3, 0.4};
  const LimitsConfig made = limits_config(config_, robot_);
  EXPECT_EQ(made.max_rate, (std::vector<double>{0.8, 0.8, 0.8, 0.8}));
  EXPECT_EQ(made.max_step, (std::vector<double>{0.1, 0.2, 0.3, 0.4}));
  EXPECT_FALSE(made.workspace.has_value());
}

TEST_F(SettingsTest, AWorkspaceNeedsBothOfItsCorners) {
  config_.limits.workspace_lower = {0.2, -0.3, 0.0};
  EXPECT_FALSE(limits_config(config_, robot_).workspace.has_value());
  config_.limits.workspace_upper = {0.6, 0.3, 0.5};
  const LimitsConfig made = limits_config(config_, robot_);
  ASSERT_TRUE(made.workspace.has_value());
  EXPECT_EQ(made.workspace->lower[1], -0.3);
  EXPECT_EQ(made.workspace->upper[2], 0.5);
}

TEST_F(SettingsTest, TheDatasetLearnsWhatADeployedHeadIsAskedFor) {
  const DatasetOptions made = dataset_options(config_, shape_);
  const DatasetOptions own;
  EXPECT_EQ(made.advantage, Advantage::kPositive);
  EXPECT_EQ(made.before_takeover, own.before_takeover);
  EXPECT_EQ(made.before_takeover_advantage, own.before_takeover_advantage);
  EXPECT_EQ(made.horizon, head_spec(config_, shape_).horizon);
  EXPECT_EQ(made.backbone_hash, shape_.backbone_hash);
  EXPECT_TRUE(made.validate().ok());
}

TEST_F(SettingsTest, WhatReachesTheMathematicsIsInTheTrainingHash) {
  const std::string before = training_config_hash(config_);
  config_.probation.episodes = 7;
  config_.learner.nice = 3;
  EXPECT_EQ(training_config_hash(config_), before);
  config_.learner.full_steps = 299;
  EXPECT_NE(training_config_hash(config_), before);
}

TEST_F(SettingsTest, CamerasThatMatterAreOfThePolicyAllNoneOrNamed) {
  robot_.observation.cameras = {{"front", 64, 64}, {"wrist", 64, 64}};
  std::vector<std::string> unknown;
  const auto matter = [&](const std::string& value) {
    config_.robot.cameras_that_matter = value;
    return cameras_that_matter(config_, robot_, {"wrist"}, unknown);
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(matter("policy"), Names({"wrist"}));
  EXPECT_EQ(matter("all"), Names({"front", "wrist"}));
  EXPECT_EQ(matter("none"), Names());
  EXPECT_EQ(matter("wrist, front"), Names({"wrist", "front"}));
  EXPECT_TRUE(unknown.empty());
  EXPECT_EQ(matter("front,gripper"), Names({"front"}));
  EXPECT_EQ(unknown, Names({"gripper"}));
}

TEST_F(SettingsTest, CamerasThatARobotLacksDoNotMatter) {
  config_.robot.cameras_that_matter = "front";
  std::vector<std::string> unknown;
  EXPECT_TRUE(cameras_that_matter(config_, robot_, {}, unknown).empty());
}

TEST_F(SettingsTest, AMeasuredChannelHasTheNameAndTheUnitOfTheActionsIntegral) {
  const auto measured = measured_channels(robot_);
  ASSERT_EQ(measured.size(), 4u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(measured[i], i);
  EXPECT_EQ(measured[3], std::nullopt) << "the gripper's rate and its opening have two names";
  robot_.action.channels[1].unit = "rad/s";
  EXPECT_EQ(measured_channels(robot_)[1], std::nullopt);
}

TEST_F(SettingsTest, DeclaredBoundsAreKeptOnlyWhenAskedFor) {
  EXPECT_TRUE(limits_config(config_, robot_).positions.empty());
  config_.limits.position_bounds = true;
  const LimitsConfig made = limits_config(config_, robot_);
  ASSERT_EQ(made.positions.size(), 4u);
  ASSERT_TRUE(made.positions[2]);
  EXPECT_EQ(made.positions[2]->channel, 2u);
  EXPECT_EQ(made.positions[2]->upper, robot_.observation.proprioception[2].upper);
  EXPECT_FALSE(made.positions[3]);
  EXPECT_TRUE(Limits::make(made, robot_.action, robot_.control_period).ok());
}

}  // namespace
}  // namespace nudge
