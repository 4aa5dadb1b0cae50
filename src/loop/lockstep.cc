#include "src/loop/lockstep.h"

#include "src/loop/clock.h"

namespace nudge {

Lockstep::Lockstep(KitchenRobot& robot, Controller& controller, Inference& inference,
                   const LockstepOptions& options)
    : robot_(robot),
      controller_(controller),
      inference_(inference),
      options_(options),
      start_(robot.now()) {}

Result<EpisodeResult> Lockstep::run(EpisodeId episode, std::uint64_t seed, Companion& companion) {
  NUDGE_TRY(robot_.reset(seed));
  instruction_ = robot_.instruction_for(seed);
  if (const auto said = options_.said_instead.find(instruction_);
      said != options_.said_instead.end()) {
    instruction_ = said->second;
  }
  inference_.begin_episode(Random::derive(seed, 1));
  controller_.begin_episode(episode, robot_.now());
  coming_.reset();
  plan_again_ = false;
  seen_any_ = false;

  const Instant begun = robot_.now();
  std::vector<float> features;  // of the step under way
  AlignedReference reference;
  const auto give_reference = [&reference](Step& step) {
    step.reference = std::move(reference.actions);
    step.reference_age = reference.age;
    reference = {};
  };
  std::vector<Image> images;
  EpisodeResult result;
  while (true) {
    const Instant now = robot_.now();
    NUDGE_TRY(deliver_chunk(now, companion));
    ControlInputs inputs;
    NUDGE_TRY(companion.before_tick(now, inputs));
    const Instant before = robot_.now();
    TickOutcome outcome = controller_.tick(now, wall(now), inputs);
    // hold() and estop() pass no simulated time by themselves.
    Status trouble;
    if (robot_.now() == before) trouble = robot_.advance();

    std::vector<float> finished_features;
    std::vector<Image> finished_images;
    if (outcome.finished) {
      give_reference(*outcome.finished);
      finished_features = std::move(features);
      finished_images = std::move(images);
      ++result.policy_steps;
    }
    if (outcome.step_begun && !options_.unrecorded) {
      const Result<const Observation*> seen = look();
      Result<std::vector<float>> encoded = seen.ok() ? inference_.encode(**seen, instruction_)
                                                     : Result<std::vector<float>>(seen.status());
      if (seen.ok()) images = (*seen)->images;
      if (encoded.ok()) {
        features = *std::move(encoded);
        Result<AlignedReference> proposed = inference_.reference(
            controller_.observation(), instruction_, features, controller_.control_tick());
        if (proposed.ok()) {
          reference = *std::move(proposed);
        } else if (trouble.ok()) {
          trouble = proposed.status();
        }
      } else if (trouble.ok()) {
        trouble = encoded.status();
      }
    }
    NUDGE_TRY(companion.after_tick(now, wall(now), outcome, std::move(finished_features),
                                   std::move(finished_images)));
    NUDGE_TRY(trouble);  // only now: what the tick brought belongs into the log all the same
    NUDGE_TRY(plan(now, companion));

    result.success = controller_.observation().success;
    result.length = robot_.now() - begun;
    if (result.success || result.length >= options_.time_limit) {
      result.reason = result.success ? EpisodeEnd::kTaskDone : EpisodeEnd::kTimeLimit;
      // The last, unfinished step still belongs to the episode.
      TickOutcome last;
      last.decision = outcome.decision;
      last.finished = controller_.finish_step();
      if (last.finished) {
        give_reference(*last.finished);
        ++result.policy_steps;
        Decision quiet = *outcome.decision;  // its records were taken with the tick itself
        quiet.records.clear();
        quiet.answers.clear();
        quiet.span_end.reset();
        last.decision = &quiet;
        NUDGE_TRY(
            companion.after_tick(now, wall(now), last, std::move(features), std::move(images)));
      }
      return result;
    }
  }
}

Result<const Observation*> Lockstep::look() {
  const Observation& newest = controller_.observation();
  if (robot_.spec().observation.cameras.empty()) return &newest;
  if (seen_any_ && seen_tick_ == controller_.control_tick()) return &seen_;
  seen_ = newest;
  Result<std::vector<Image>> pictures = robot_.pictures();
  if (!pictures.ok()) return pictures.status();
  seen_.images = *std::move(pictures);
  seen_tick_ = controller_.control_tick();
  seen_any_ = true;
  return &seen_;
}

Status Lockstep::deliver_chunk(Instant now, Companion& companion) {
  if (!coming_ || coming_->arrives > now) return {};
  ComingChunk coming = std::move(*coming_);
  coming_.reset();
  const WeightsVersion version = coming.chunk.version;
  const Status loaded = controller_.player().load(std::move(coming.chunk), now);
  // Flushed or overtaken while it was computed: the next one is asked for at once.
  if (loaded.code() == Code::kAborted || loaded.code() == Code::kDeadlineExceeded) return {};
  return companion.on_chunk(version, coming.computed_in, loaded);
}

Status Lockstep::plan(Instant now, Companion& companion) {
  if (coming_ || inference_.version() == 0) return {};
  // The newest observation was read at this tick's start; whatever moved since is the latency.
  if (!plan_again_ && !controller_.player().needs_chunk(now)) return {};
  const Observation& observation = controller_.observation();
  // A robot that reports NaN is the authority's; the weights are not to be blamed for what they
  // make of it.
  if (!is_finite(observation)) return {};
  plan_again_ = false;
  const Result<const Observation*> seen = look();
  if (!seen.ok()) return seen.status();
  Result<std::vector<float>> features = inference_.encode(**seen, instruction_);
  if (!features.ok()) return features.status();
  const Instant wall_begin = steady_now();
  const Result<AlignedReference> reference =
      inference_.reference(observation, instruction_, *features, controller_.control_tick());
  if (!reference.ok()) return reference.status();
  Result<ActionChunk> chunk =
      inference_.infer(*features, observation.proprioception, observation.time, reference->actions);
  if (chunk.status().code() == Code::kUnavailable) return {};  // nothing to edit: the robot holds
  if (!chunk.ok()) return chunk.status();
  coming_ = ComingChunk{.arrives = now + options_.inference_latency,
                        .computed_in = steady_now() - wall_begin,
                        .chunk = *std::move(chunk)};
  if (options_.doubt_samples == 0) return {};
  const Result<std::optional<double>> doubt =
      inference_.disagreement(*features, observation.proprioception, options_.doubt_samples,
                              options_.doubt_rows, reference->actions);
  if (!doubt.ok()) return doubt.status();
  if (*doubt) companion.on_disagreement(**doubt, observation.time);
  return {};
}

Status Unattended::before_tick(Instant /*now*/, ControlInputs& inputs) {
  acts_.clear();
  if (state_ == AuthorityState::kHold) {
    acts_.push_back({.id = "start:" + std::to_string(++asked_),
                     .actor = {.name = "evaluation", .role = Role::kSupervisor},
                     .body = HandBack{}});
  }
  inputs.acts = acts_;
  return {};
}

Status Unattended::after_tick(Instant /*now*/, WallTime /*wall*/, const TickOutcome& outcome,
                              std::vector<float> /*features*/, std::vector<Image> /*images*/) {
  state_ = outcome.decision->state;
  if (state_ == AuthorityState::kFaultHold) {
    return internal("the policy alone ended in FAULT_HOLD");
  }
  return {};
}

}  // namespace nudge
