#include "src/loop/first_training.h"

#include <filesystem>
#include <type_traits>
#include <utility>

#include "nudge/random.h"
#include "policy/backbone.h"
#include "policy/trainer.h"
#include "replay/follow.h"
#include "src/learning/sentences.h"
#include "src/loop/clock.h"
#include "src/loop/perception.h"
#include "src/loop/robot_record.h"
#include "src/loop/state_folder.h"
#include "src/loop/state_log.h"

namespace nudge {
namespace {

constexpr std::size_t kNormaliserRows = 4096;  // drawn to measure normalisers on
const Actor kEngineer = {.name = "operator", .role = Role::kEngineer};

// Whether an event can change what a dataset of this robot holds.
bool may_teach(const Payload& payload) {
  return std::visit(
      []<typename T>(const T&) {
        return std::is_same_v<T, EpisodeStarted> || std::is_same_v<T, EpisodeEnded> ||
               std::is_same_v<T, SpanOpened> || std::is_same_v<T, SpanClosed> ||
               std::is_same_v<T, SpanSplit> || std::is_same_v<T, Words> ||
               std::is_same_v<T, InstructionChanged> || std::is_same_v<T, Label> ||
               std::is_same_v<T, StepsDiscarded> || std::is_same_v<T, WordsActed> ||
               std::is_same_v<T, WordsUndone> || std::is_same_v<T, CorrectionsWithdrawn> ||
               std::is_same_v<T, CorrectionsRestored> || std::is_same_v<T, EpisodeEvicted>;
      },
      payload);
}

std::size_t trainable(const DatasetCounts& counts, SampleClass c) {
  return counts.trainable[static_cast<std::size_t>(c)];
}

// learner.base_steps on batches drawn by `mix`.
Status train_on(Dataset& dataset, const Config& config, const Mix& mix, std::uint64_t seed,
                Trainer& trainer, const std::function<void(std::size_t)>& on_step) {
  Random random(Random::derive(seed, 2));
  Batch batch;
  const auto steps = static_cast<std::size_t>(config.learner.base_steps);
  for (std::size_t step = 0; step < steps; ++step) {
    NUDGE_TRY(dataset.sample(batch, static_cast<std::size_t>(config.learner.batch), mix, random));
    NUDGE_TRY(trainer.step(batch));
    if (on_step) on_step(step + 1);
  }
  return {};
}

// The first edit of an upstream's chunks: there has been a policy all along, so that it is
// corrections that teach, and what went well beside them that keeps the edit where they were made.
Result<std::vector<std::byte>> first_edit(Dataset& dataset, const Config& config,
                                          const HeadSpec& head, const Lineage& lineage,
                                          const std::function<void(std::size_t)>& on_step) {
  const DatasetCounts counts = dataset.counts();
  const std::size_t corrections = trainable(counts, SampleClass::kCorrection);
  const std::size_t others = trainable(counts, SampleClass::kAutonomousSuccess) +
                             trainable(counts, SampleClass::kDemonstration);
  if (corrections == 0 || others == 0) {
    return failed_precondition(
        "the log holds " + std::to_string(corrections) + " steps of corrections and " +
        std::to_string(others) +
        " of the upstream at work in episodes labelled success; an edit is learned from both: take "
        "over and correct, and say which episodes succeeded");
  }
  const auto seed = static_cast<std::uint64_t>(config.learner.seed);
  const Mix mix = sampling_mix(config);
  Random random(Random::derive(seed, 3));
  Batch all;
  NUDGE_TRY(dataset.sample(all, kNormaliserRows, mix, random));
  Result<std::vector<std::byte>> fresh = initial_weights(head, all, seed, lineage);
  if (!fresh.ok()) return fresh;
  Result<std::shared_ptr<const Weights>> start = Weights::parse(*std::move(fresh));
  if (!start.ok()) return start.status();
  Result<std::unique_ptr<Trainer>> trainer =
      Trainer::create(*start, nullptr, base_trainer_options(config));
  if (!trainer.ok()) return trainer.status();
  NUDGE_TRY(train_on(dataset, config, mix, seed, **trainer, on_step));
  return (*trainer)->weights(lineage);
}

Result<FirstWeights> first_weights(Result<std::vector<std::byte>> weights) {
  if (!weights.ok()) return weights.status();
  return FirstWeights{.weights = *std::move(weights), .base = {}};
}

}  // namespace

Result<FirstWeights> train_from_scratch(Dataset& dataset, const Config& config,
                                        const PolicyShape& shape, Material material,
                                        const std::function<void(std::size_t)>& on_step) {
  const auto seed = static_cast<std::uint64_t>(config.learner.seed);
  Lineage lineage;
  lineage.kind = WeightsKind::kFull;
  lineage.prefix = dataset.prefix();
  lineage.config_hash = training_config_hash(config);
  lineage.backbone_hash = shape.backbone_hash;
  HeadSpec head = head_spec(config, shape);
  if (config.policy.reference == PolicyReference::kUpstream) {
    return first_weights(first_edit(dataset, config, head, lineage, on_step));
  }
  const DatasetCounts counts = dataset.counts();
  const std::size_t available = trainable(counts, SampleClass::kDemonstration);
  if (available == 0) {
    const std::string others =
        counts.other_shape_episodes == 0
            ? ""
            : " (" + std::to_string(counts.other_shape_episodes) +
                  " episodes are of the robot as it was before its spec changed)";
    return failed_precondition("the log holds no demonstrations to train on" + others +
                               "; take over and show the task while no weights are loaded");
  }
  const Batch all = dataset.demonstration_probe(available, seed);
  const HeadSpec editing = head;
  if (config.policy.reference == PolicyReference::kPlanner) {
    return first_weights(initial_weights(editing, all, seed, lineage));
  }
  const bool base = config.policy.reference == PolicyReference::kBase;
  if (base) head.edit = head.reference_chunk = false;
  Result<std::vector<std::byte>> fresh = initial_weights(head, all, seed, lineage);
  if (!fresh.ok()) return fresh.status();
  Result<std::shared_ptr<const Weights>> start = Weights::parse(*std::move(fresh));
  if (!start.ok()) return start.status();
  Result<std::unique_ptr<Trainer>> trainer =
      Trainer::create(*start, nullptr, base_trainer_options(config));
  if (!trainer.ok()) return trainer.status();
  Mix mix = sampling_mix(config);
  if (material == Material::kDemonstrations) {
    mix.share.fill(0);
    mix.share[static_cast<std::size_t>(SampleClass::kDemonstration)] = 1;
  }
  NUDGE_TRY(train_on(dataset, config, mix, seed, **trainer, on_step));
  Result<std::vector<std::byte>> trained = (*trainer)->weights(lineage);
  if (!trained.ok() || !base) return first_weights(std::move(trained));
  lineage.base_hash = to_hex(sha256(*trained));
  Result<FirstWeights> both = first_weights(initial_weights(editing, all, seed, lineage));
  if (both.ok()) both->base = *std::move(trained);
  return both;
}

Result<std::unique_ptr<FirstTraining>> FirstTraining::open(const FirstTrainingOptions& options) {
  const Status there = require_log(posix_files(), options.state_folder);
  if (there.code() == Code::kNotFound) {
    return not_found(there.message() +
                     "; start 'nudge run' with this state folder and record demonstrations");
  }
  if (!there.ok()) return there;
  const WallTime wall = wall_now();
  const std::string boot = "train-" + std::to_string(wall.time_since_epoch().count());
  Result<std::unique_ptr<Log>> log = open_state_log(
      posix_files(), options.state_folder,
      state_log_options(options.state_folder, options.config, boot, steady_now(), wall));
  if (!log.ok()) return log.status();
  Result<std::optional<RobotSpec>> robot = recorded_robot(**log);
  if (!robot.ok()) return robot.status();
  if (!*robot) {
    return unimplemented(
        "the log in " + options.state_folder +
        " does not say what the robot is: it is of an earlier version; start 'nudge run' with the "
        "robot once, and stop it again");
  }
  std::string about_words;
  Result<std::unique_ptr<Backbone>> backbone =
      make_backbone(options.config, (*robot)->observation, &about_words);
  if (!backbone.ok()) return backbone.status();
  if (!about_words.empty() && options.notice) {
    options.notice(LogLevel::kWarn, "words", about_words);
  }
  const PolicyShape shape = policy_shape(options.config, **robot, **backbone);
  Result<std::unique_ptr<Rollout>> rollout = Rollout::open(
      rollout_options(options.config, options.state_folder + "/weights", (*robot)->id, shape));
  if (!rollout.ok()) return rollout.status();
  DatasetOptions dataset = dataset_options(options.config, shape);
  NUDGE_TRY(let_relabel(options.config, dataset));
  std::unique_ptr<FirstTraining> training(new FirstTraining(
      options, *std::move(log), **std::move(robot), shape, dataset, *std::move(rollout)));
  NUDGE_TRY(training->fold());
  return training;
}

FirstTraining::FirstTraining(const FirstTrainingOptions& options, std::unique_ptr<Log> log,
                             RobotSpec robot, const PolicyShape& shape,
                             const DatasetOptions& dataset, std::unique_ptr<Rollout> rollout)
    : options_(options),
      log_(std::move(log)),
      robot_(std::move(robot)),
      shape_(shape),
      rollout_(std::move(rollout)),
      recorder_(*log_, "train-" + std::to_string(wall_now().time_since_epoch().count()),
                {.name = "nudge", .role = Role::kScript}),
      succession_(std::make_unique<Succession>(
          posix_files(), *rollout_, dataset, round_planner_options(options_.config),
          probation_options(options_.config),
          [this](Payload payload, const std::optional<Actor>& actor, std::string id) {
            return actor ? recorder_.append(std::move(payload), moment(), *actor, std::move(id))
                         : recorder_.append(std::move(payload), moment());
          },
          [this](LogLevel level, std::string_view component, const std::string& message) {
            if (options_.notice) options_.notice(level, component, message);
          })) {}

Moment FirstTraining::moment() const {
  return {.now = steady_now(),
          .wall = wall_now(),
          .control_tick = 0,
          .policy_step = 0,
          .weights = succession_->history().live()};
}

Status FirstTraining::fold() {
  return follow(*log_, succession_->folded(), [&](const FeedItem& item) -> Status {
    NUDGE_TRY(succession_->fold(item));
    const auto* event = std::get_if<Event>(&item);
    if (event == nullptr || may_teach(event->payload)) material_ = last_sequence(item);
    if (event == nullptr) return {};
    if (const auto* started = std::get_if<EpisodeStarted>(&event->payload)) {
      instructions_[event->episode] = started->instruction;
    }
    return {};
  });
}

Result<FirstWeights> FirstTraining::train(Material material,
                                          const std::function<void(std::size_t)>& on_step) {
  return train_from_scratch(succession_->dataset(), options_.config, shape_, material, on_step);
}

Result<std::shared_ptr<const Weights>> FirstTraining::weights(WeightsVersion version) {
  NUDGE_TRY(succession_->fits(version));
  return rollout_->weights(version, history());
}

Result<WeightsVersion> FirstTraining::install(const std::vector<std::byte>& weights,
                                              const std::vector<std::byte>& base) {
  Result<WeightsVersion> installed =
      succession_->install(weights, kEngineer, log_->next_weights_version(), wall_now(), base);
  NUDGE_TRY(recorder_.commit());
  NUDGE_TRY(fold());
  return installed;
}

}  // namespace nudge
