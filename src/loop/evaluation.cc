#include "src/loop/evaluation.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "policy/folder.h"
#include "policy/weights_store.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/perception.h"
#include "src/loop/reference_sources.h"

namespace nudge {
namespace {

constexpr std::uint64_t kEvaluationStream = 1'000'003;  // see evaluation_seeds()

// Of the state folder's weights, checked against what `weights` name; null: they name none.
Result<std::shared_ptr<ReferenceSource>> base_of(const Weights& weights, const Config& config) {
  if (weights.lineage().base_hash.empty()) return std::shared_ptr<ReferenceSource>();
  Result<std::unique_ptr<Folder>> folder = open_folder(config.state.dir + "/weights");
  if (!folder.ok()) return folder.status();
  Result<std::shared_ptr<const Weights>> base = read_base(**folder, weights);
  if (!base.ok()) return base.status().with_context("the base that these weights edit");
  return base_source(*std::move(base));
}

// One worker's own robot, controller and head.
Status evaluate_some(const Config& config, const std::shared_ptr<const Weights>& weights,
                     const std::vector<std::uint64_t>& seeds, std::atomic<std::size_t>& next,
                     EvaluationResult& result, std::mutex& mutex, std::size_t& done,
                     const OnEvaluated& on_evaluated, std::vector<HelpTrace>* traces,
                     const SaidInstead& said_instead) {
  KitchenOptions options = kitchen_options(config);
  options.cameras = looks_at_cameras(config);
  Result<std::unique_ptr<KitchenRobot>> robot = KitchenRobot::create(options);
  if (!robot.ok()) return robot.status();
  const RobotSpec& spec = (*robot)->spec();
  Result<std::unique_ptr<Backbone>> backbone = make_backbone(config, spec.observation);
  if (!backbone.ok()) return backbone.status();
  Result<std::unique_ptr<ActionHead>> head = ActionHead::load(weights);
  if (!head.ok()) return head.status();
  if (weights->lineage().backbone_hash != (*backbone)->hash()) {
    return invalid_argument("these weights were trained on the features of another backbone");
  }
  Result<ReferenceOptions> references = reference_options(config, spec);
  if (!references.ok()) return references.status();
  Result<std::shared_ptr<ReferenceSource>> base = base_of(*weights, config);
  if (!base.ok()) return base.status();
  const bool asked = *base != nullptr || references->source != nullptr;
  if (weights->head().edit && !asked) {
    return failed_precondition(
        "these weights edit a reference, and there is none: they name no base, and "
        "policy.reference has no source for the kitchen");
  }
  SwapSlot<LoadedHead> slot;
  slot.publish({.version = 1,
                .head = std::shared_ptr<ActionHead>(*std::move(head)),
                .base = *std::move(base)});
  Inference inference(*std::move(backbone), 0, *std::move(references), config.policy.guidance);
  inference.take_from(slot);
  LockstepOptions lockstep_options;
  lockstep_options.time_limit = spec.policy_period * config.robot.episode_steps;
  lockstep_options.wall_start = wall_now();
  lockstep_options.unrecorded = !asked;
  lockstep_options.said_instead = said_instead;
  if (traces != nullptr) {
    lockstep_options.doubt_samples = static_cast<std::size_t>(config.help.samples);
    lockstep_options.doubt_rows = static_cast<std::size_t>(config.policy.replan_after);
  }

  for (std::size_t i = next++; i < seeds.size(); i = next++) {
    // Each episode begins with a controller of its own, in HOLD and at rest: what one had done
    // before would make results depend on how the threads shared the seeds.
    Result<std::unique_ptr<Controller>> controller =
        Controller::make(**robot, controller_options(config, spec, {}));
    if (!controller.ok()) return controller.status();
    Lockstep lockstep(**robot, **controller, inference, lockstep_options);
    Unattended alone;
    TracedUnattended traced;
    const Result<EpisodeResult> episode =
        lockstep.run(i + 1, seeds[i], traces == nullptr ? alone : traced);
    if (!episode.ok()) return episode.status();
    const std::lock_guard lock(mutex);
    if (traces != nullptr) {
      (*traces)[i] = traced.take();
      (*traces)[i].success = episode->success;
      (*traces)[i].length = episode->length;
    }
    result.success[i] = episode->success;
    result.steps[i] = episode->policy_steps;
    ++done;
    if (on_evaluated) on_evaluated(done);
  }
  return {};
}

}  // namespace

std::uint64_t EvaluationResult::successes() const {
  return static_cast<std::uint64_t>(std::count(success.begin(), success.end(), true));
}

Result<EvaluationResult> evaluate(const Config& config, std::shared_ptr<const Weights> weights,
                                  const std::vector<std::uint64_t>& seeds, unsigned threads,
                                  const OnEvaluated& on_evaluated, std::vector<HelpTrace>* traces,
                                  const SaidInstead& said_instead) {
  if (traces != nullptr) traces->assign(seeds.size(), {});
  EvaluationResult result;
  result.success.assign(seeds.size(), false);
  result.steps.assign(seeds.size(), 0);
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::size_t done = 0;
  std::vector<Status> statuses(std::max(1u, threads));
  std::vector<std::thread> workers;
  for (Status& status : statuses) {
    workers.emplace_back([&, out = &status] {
      *out = evaluate_some(config, weights, seeds, next, result, mutex, done, on_evaluated, traces,
                           said_instead);
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const Status& status : statuses) NUDGE_TRY(status);
  return result;
}

std::vector<std::uint64_t> evaluation_seeds(std::uint64_t seed, std::size_t count) {
  std::vector<std::uint64_t> seeds(count);
  for (std::size_t i = 0; i < count; ++i) {
    seeds[i] = Random::derive(Random::derive(seed, kEvaluationStream), i);
  }
  return seeds;
}

KitchenOptions kitchen_options(const Config& config) {
  KitchenOptions options;
  options.actuation_noise = config.sim.actuation_noise;
  options.cameras = config.sim.cameras || looks_at_cameras(config);
  options.jpeg_quality = static_cast<int>(config.sim.jpeg_quality);
  options.level = static_cast<int>(config.kitchen.level);
  options.random_looks = config.kitchen.random_looks;
  return options;
}

}  // namespace nudge
