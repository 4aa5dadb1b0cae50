#include "src/learning/settings.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "policy/weights.h"
#include "src/loop/perception.h"
#include "src/loop/robot_record.h"

namespace nudge {
namespace {

std::size_t index_of(SampleClass c) { return static_cast<std::size_t>(c); }

// A list in the configuration has one value for each channel, or one for all.
std::vector<double> per_channel(const std::vector<double>& values, std::size_t channels) {
  if (values.size() == 1) return std::vector<double>(channels, values.front());
  return values;
}

// Of a file with the tensors of this head: float32, behind a header that names them.
std::size_t max_weights_bytes(const HeadSpec& head) {
  constexpr std::size_t kHeader = 64u << 10;  // ten times what 8 layers take
  std::size_t bytes = kHeader;
  for (const auto& [name, shape] : tensors_of(head)) {
    std::size_t elements = 1;
    for (const std::int64_t extent : shape) elements *= static_cast<std::size_t>(extent);
    bytes += elements * sizeof(float);
  }
  return bytes;
}

}  // namespace

std::size_t reference_rows(const Config& config) {
  return config.policy.reference == PolicyReference::kNone
             ? 0
             : static_cast<std::size_t>(config.policy.horizon);
}

PolicyShape policy_shape(const Config& config, const RobotSpec& robot, const Backbone& backbone) {
  return {.feature_size = backbone.feature_size(),
          .proprioception_size = robot.observation.proprioception.size(),
          .action_size = robot.action.size(),
          .policy_period = robot.policy_period,
          .backbone_hash = backbone.hash(),
          .reference_rows = reference_rows(config),
          .robot_shape = shape_of(robot)};
}

HeadSpec head_spec(const Config& config, const PolicyShape& shape) {
  HeadSpec spec;
  spec.kind = config.policy.head == PolicyHead::kFlow ? HeadKind::kFlow : HeadKind::kRegression;
  spec.feature_size = shape.feature_size;
  spec.proprioception_size = shape.proprioception_size;
  spec.action_size = shape.action_size;
  spec.horizon = static_cast<std::size_t>(config.policy.horizon);
  spec.hidden = static_cast<std::size_t>(config.policy.hidden);
  spec.layers = static_cast<std::size_t>(config.policy.layers);
  spec.euler_steps = static_cast<std::size_t>(config.policy.euler_steps);
  spec.reference_chunk = spec.edit = reference_rows(config) > 0;
  return spec;
}

DatasetOptions dataset_options(const Config& config, const PolicyShape& shape) {
  DatasetOptions options;
  options.feature_size = shape.feature_size;
  options.proprioception_size = shape.proprioception_size;
  options.action_size = shape.action_size;
  options.horizon = static_cast<std::size_t>(config.policy.horizon);
  options.backbone_hash = shape.backbone_hash;
  options.policy_period = shape.policy_period;
  options.shape = shape.robot_shape;
  options.before_takeover = from_seconds(config.learner.drop_before_takeover_s);
  // A deployed head is asked for positive actions (HeadBatch::advantage); what we learn from is.
  options.advantage = Advantage::kPositive;
  const auto token = [](Unwanted use) {
    return use == Unwanted::kNegative ? Advantage::kNegative : Advantage::kNone;
  };
  options.before_takeover_advantage = token(config.learner.before_takeover);
  options.autonomous_failure_advantage = token(config.learner.failures);
  options.references = reference_rows(config) > 0;
  options.quarantine_clamped = config.learner.quarantine_clamped;
  options.quarantine_link_lost = config.learner.quarantine_link_lost;
  options.quarantine_refused = static_cast<std::uint32_t>(config.learner.quarantine_refused);
  return options;
}

Mix sampling_mix(const Config& config, WeightsKind kind) {
  Mix mix;
  mix.share[index_of(SampleClass::kDemonstration)] = config.learner.share_demonstrations;
  mix.share[index_of(SampleClass::kCorrection)] = config.learner.share_corrections;
  mix.share[index_of(SampleClass::kAutonomousSuccess)] = config.learner.share_autonomous;
  mix.share[index_of(SampleClass::kRecovery)] = config.learner.share_recovery;
  mix.share[index_of(SampleClass::kNudged)] = config.learner.share_nudged;
  mix.share[index_of(SampleClass::kBeforeTakeover)] = config.learner.share_negatives;
  mix.share[index_of(SampleClass::kAutonomousFailure)] = config.learner.share_negatives;
  mix.by_rows = config.learner.share_of == ShareOf::kStep;
  mix.supervisor_cap = config.learner.supervisor_cap;
  mix.oversampling = kind == WeightsKind::kFull ? config.learner.oversampling
                                                : std::numeric_limits<double>::infinity();
  return mix;
}

namespace {

void set_augmentation(TrainerOptions& options, const Config& config) {
  options.advantage_dropout = config.learner.advantage_dropout;
  options.reference_dropout = config.learner.reference_dropout;
  options.feature_noise = looks_at_cameras(config) ? config.learner.feature_noise : 0;
}

}  // namespace

TrainerOptions trainer_options(const Config& config, WeightsKind kind) {
  TrainerOptions options;
  const bool micro = kind == WeightsKind::kProvisional;
  options.learning_rate = micro ? config.learner.micro_rate : config.learner.full_rate;
  options.ema_decay = micro ? config.learner.micro_ema : config.learner.full_ema;
  options.weight_decay = config.learner.weight_decay;
  options.gradient_clip = config.learner.clip;
  options.proximal = config.learner.proximal;
  options.max_relative_distance = config.learner.max_distance;
  options.device = config.learner.device;
  set_augmentation(options, config);
  return options;
}

TrainerOptions base_trainer_options(const Config& config) {
  TrainerOptions options = TrainerOptions::base();
  options.learning_rate = config.learner.base_rate;
  options.weight_decay = config.learner.weight_decay;
  options.gradient_clip = config.learner.clip;
  options.seed = static_cast<std::uint64_t>(config.learner.seed);
  options.device = config.learner.device;
  set_augmentation(options, config);
  return options;
}

GateOptions gate_options(const Config& config) {
  GateOptions options;
  options.max_relative_change = config.gate.max_change;
  options.demonstration_ratio = config.gate.demonstration_ratio;
  options.demonstration_slack = config.gate.demonstration_slack;
  options.held_out_worse = config.gate.heldout_worse;
  options.held_out_episodes = static_cast<std::size_t>(config.gate.min_heldout_episodes);
  options.guidance = config.policy.guidance;
  return options;
}

RoundPlannerOptions round_planner_options(const Config& config) {
  RoundPlannerOptions options;
  // A shorter correction than one chunk shows too little to learn from.
  options.micro_min_steps = static_cast<std::uint32_t>(config.policy.horizon);
  options.rollbacks_to_pause = static_cast<std::uint32_t>(config.probation.rollbacks_to_pause);
  options.outcomes_teach =
      config.learner.share_autonomous > 0 || config.learner.failures == Unwanted::kNegative;
  options.seed = static_cast<std::uint64_t>(config.learner.seed);
  return options;
}

ProbationOptions probation_options(const Config& config) {
  ProbationOptions options;
  options.episodes = static_cast<std::uint32_t>(config.probation.episodes);
  options.own_steps = static_cast<std::uint32_t>(config.probation.min_steps);
  options.clamp_ratio = config.probation.clamp_ratio;
  options.latency_budget = from_milliseconds(config.probation.latency_ms);
  options.confidence = config.probation.confidence;
  options.doubt = config.probation.doubt;
  return options;
}

ChunkPlayerOptions player_options(const Config& config, const RobotSpec& robot) {
  ChunkPlayerOptions options;
  options.policy_period = robot.policy_period;
  options.horizon = static_cast<std::size_t>(config.policy.horizon);
  options.action_size = robot.action.size();
  options.replan_after = static_cast<std::size_t>(config.policy.replan_after);
  options.blend = from_milliseconds(static_cast<double>(config.policy.blend_ms));
  return options;
}

HelpSignalOptions help_signal_options(const Config& config, const RobotSpec& robot) {
  HelpSignalOptions options;
  options.policy_period = robot.policy_period;
  for (const Channel& channel : robot.observation.proprioception) {
    options.range.push_back(static_cast<double>(channel.upper) - channel.lower);
  }
  // A robot of a slow policy has a longer window: two steps are the least that shows anything.
  options.window = std::max(from_seconds(config.help.window_s), 2 * robot.policy_period);
  options.smoothing = from_seconds(config.help.smoothing_s);
  return options;
}

std::vector<std::optional<std::size_t>> measured_channels(const RobotSpec& robot) {
  std::vector<std::optional<std::size_t>> measured(robot.action.size());
  const std::vector<Channel>& seen = robot.observation.proprioception;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const Channel& action = robot.action.channels[i];
    for (std::size_t j = 0; j < seen.size() && !measured[i]; ++j) {
      if (seen[j].name == action.name && seen[j].unit + "/s" == action.unit) measured[i] = j;
    }
  }
  return measured;
}

AuthorityConfig authority_config(const Config& config, const RobotSpec& robot) {
  AuthorityConfig options;
  options.robot = robot.id;
  options.control_period = robot.control_period;
  options.fresh = std::chrono::milliseconds(config.authority.fresh_ms);
  if (config.robot.driver == RobotDriver::kOpenpi) {
    // Requests come when the program has played its chunk, and wait for the policy.
    options.asks = true;
    options.state_fresh = from_seconds(config.openpi.gap_s + config.openpi.answer_s + 1);
  }
  options.lease = std::chrono::milliseconds(config.authority.lease_ms);
  options.reacquire = from_seconds(config.authority.reacquire_s);
  options.takeover_timeout = from_seconds(config.authority.takeover_s);
  options.handback_timeout = from_seconds(config.authority.handback_s);
  options.camera_fresh = std::chrono::milliseconds(config.authority.camera_fresh_ms);
  options.reset_longest = from_seconds(config.authority.reset_s);
  options.watchdog = std::chrono::milliseconds(config.authority.watchdog_ms);
  options.align = config.authority.align;
  for (const std::optional<std::size_t>& channel : measured_channels(robot)) {
    if (channel) options.joints.push_back(*channel);
  }
  options.clamp_limit = static_cast<int>(config.limits.clamps_to_hold);
  options.clamp_window = static_cast<int>(config.limits.clamp_window_ticks);
  options.nudge_bound = config.words.bound;
  options.slowest = config.words.slowest;
  return options;
}

LimitsConfig limits_config(const Config& config, const RobotSpec& robot) {
  LimitsConfig options;
  options.max_rate = per_channel(config.limits.max_rate, robot.action.size());
  options.max_step = per_channel(config.limits.max_change_per_tick, robot.action.size());
  options.slack = config.limits.slack;
  if (config.limits.workspace_lower.size() == 3 && config.limits.workspace_upper.size() == 3) {
    WorkspaceBox box;
    for (std::size_t i = 0; i < 3; ++i) {
      box.lower[i] = config.limits.workspace_lower[i];
      box.upper[i] = config.limits.workspace_upper[i];
    }
    options.workspace = box;
  }
  if (config.limits.position_bounds) {
    for (const std::optional<std::size_t>& channel : measured_channels(robot)) {
      std::optional<PositionLimit>& limit = options.positions.emplace_back();
      if (!channel) continue;
      const Channel& bounds = robot.observation.proprioception[*channel];
      limit = {.channel = *channel, .lower = bounds.lower, .upper = bounds.upper};
    }
  }
  return options;
}

MotionWordsConfig motion_words_config(const Config& config, const RobotSpec& robot) {
  MotionWordsConfig words;
  words.action = robot.action;
  words.axes = config.words.axes;
  words.view = config.words.view == "behind" ? Viewpoint::kBehind : Viewpoint::kFacing;
  words.bit = config.words.bit_m;
  words.most = config.words.most_m;
  words.bounds = NudgeBounds::of(authority_config(config, robot));
  return words;
}

std::vector<std::string> cameras_that_matter(const Config& config, const RobotSpec& robot,
                                             const std::vector<std::string>& of_policy,
                                             std::vector<std::string>& unknown) {
  std::vector<std::string> wanted;
  std::string_view rest = config.robot.cameras_that_matter;
  if (rest == "policy") {
    wanted = of_policy;
  } else if (rest == "all") {
    for (const CameraSpec& camera : robot.observation.cameras) wanted.push_back(camera.name);
  } else if (rest != "none") {
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      std::string_view name = rest.substr(0, comma);
      while (name.starts_with(' ')) name.remove_prefix(1);
      while (name.ends_with(' ')) name.remove_suffix(1);
      if (!name.empty()) wanted.emplace_back(name);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  std::vector<std::string> cameras;
  for (std::string& name : wanted) {
    const bool there = std::ranges::any_of(
        robot.observation.cameras, [&](const CameraSpec& camera) { return camera.name == name; });
    (there ? cameras : unknown).push_back(std::move(name));
  }
  return cameras;
}

ControllerOptions controller_options(const Config& config, const RobotSpec& robot,
                                     const AuthorityBoot& boot) {
  return {.authority = authority_config(config, robot),
          .limits = limits_config(config, robot),
          .player = player_options(config, robot),
          .boot = boot,
          .cameras = {},
          .camera_same = std::chrono::milliseconds(config.authority.camera_same_ms)};
}

RolloutOptions rollout_options(const Config& config, const std::string& weights_folder,
                               const std::string& robot, const PolicyShape& shape) {
  RolloutOptions options;
  options.folder = weights_folder;
  options.key_folder = (std::filesystem::path(weights_folder).parent_path() / "keys").string();
  options.robot = robot;
  options.gate = gate_options(config);
  options.head = head_spec(config, shape);
  options.backbone_hash = shape.backbone_hash;
  options.base = config.policy.reference == PolicyReference::kBase;
  options.probe_held_out = static_cast<std::size_t>(config.gate.probe_heldout);
  options.probe_demonstrations = static_cast<std::size_t>(config.gate.probe_demonstrations);
  options.probe_recent = static_cast<std::size_t>(config.gate.probe_observations);
  options.keep = static_cast<std::size_t>(config.weights.keep);
  return options;
}

LearnerHostOptions learner_host_options(const Config& config, const std::string& state_folder,
                                        const std::string& program, const PolicyShape& shape) {
  LearnerHostOptions host;
  host.socket_path = state_folder + "/run/learner";
  if (!program.empty()) {
    host.process.command = {program,      "learn",
                            "--endpoint", "ipc://" + host.socket_path,
                            "--config",   state_folder + "/config.toml",
                            "--state",    state_folder};
  }
  host.process.nice = static_cast<int>(config.learner.nice);
  host.process.restart_first = from_seconds(config.learner.restart_first_s);
  host.process.restart_max = from_seconds(config.learner.restart_max_s);
  host.process.log_file = state_folder + "/learner.log";
  host.welcome.feature_size = static_cast<std::uint32_t>(shape.feature_size);
  host.welcome.proprioception_size = static_cast<std::uint32_t>(shape.proprioception_size);
  host.welcome.action_size = static_cast<std::uint32_t>(shape.action_size);
  host.welcome.policy_period_ns = static_cast<std::uint64_t>(shape.policy_period.count());
  host.welcome.backbone_hash = shape.backbone_hash;
  host.welcome.weights_folder = std::filesystem::absolute(state_folder + "/weights").string();
  host.config_hash = training_config_hash(config);
  host.require_confined = config.learner.require_sandbox;
  host.max_candidate = max_weights_bytes(head_spec(config, shape));
  return host;
}

SegmentSpec segment_spec(const RobotSpec& robot, const PolicyShape& shape) {
  SegmentSpec segment;
  segment.feature_size = shape.feature_size;
  segment.proprioception_size = shape.proprioception_size;
  segment.action_size = shape.action_size;
  segment.backbone_hash = shape.backbone_hash;
  segment.reference_rows = shape.reference_rows;
  for (const CameraSpec& camera : robot.observation.cameras) segment.cameras.push_back(camera.name);
  return segment;
}

std::string training_config_hash(const Config& config) {
  const std::string text = training_text(config);
  return to_hex(sha256(std::as_bytes(std::span(text.data(), text.size()))));
}

}  // namespace nudge
