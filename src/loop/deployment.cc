#include "src/loop/deployment.h"

#include <algorithm>
#include <utility>

#include "replay/follow.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/loop/perception.h"
#include "src/loop/reference_sources.h"
#include "src/loop/robot_record.h"
#include "src/loop/state_folder.h"
#include "src/loop/state_log.h"

namespace nudge {
namespace {

constexpr Duration kLearnerPatience =
    std::chrono::seconds(120);  // for one round, then give up on it
constexpr int kTicksToStandStill = 100;
constexpr double kAgainApart = 0.01;  // m; most that an object lies elsewhere when it is put back
constexpr std::uint64_t kAgainStream = 6'000'003;
const Actor kDaemon = {.name = "nudge", .role = Role::kScript};
// Who starts and ends episodes: the person who runs the command.
const Actor kOperator = {.name = "operator", .role = Role::kEngineer};

LockstepOptions lockstep_options(const Config& config, const RobotSpec& robot, WallTime wall) {
  LockstepOptions options;
  options.time_limit = robot.policy_period * config.robot.episode_steps;
  options.wall_start = wall;
  return options;
}

// Trouble with disk or memory that control does not stop for.
bool may_pass(const Status& status) {
  return status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable;
}

}  // namespace

struct Deployment::Parts {
  std::unique_ptr<KitchenRobot> robot;
  std::unique_ptr<Controller> controller;
  std::unique_ptr<Inference> inference;
  std::unique_ptr<Log> log;
  std::unique_ptr<Rollout> rollout;
  std::unique_ptr<LearnerHost> host;
  PolicyShape shape;
  std::optional<Broker> broker;
  std::string boot;
  WallTime wall;
};

Result<std::unique_ptr<Deployment>> Deployment::open(const DeploymentOptions& options) {
  const Config& config = options.config;
  Parts parts;
  parts.wall = wall_now();
  parts.boot = new_boot_id(parts.wall);
  NUDGE_TRY(make_state_folder(options.state_folder));

  Result<std::unique_ptr<KitchenRobot>> robot = KitchenRobot::create(kitchen_options(config));
  if (!robot.ok()) return robot.status();
  parts.robot = *std::move(robot);
  const RobotSpec& spec = parts.robot->spec();

  std::string about_words;
  Result<std::unique_ptr<Backbone>> backbone =
      make_backbone(config, spec.observation, &about_words);
  if (!backbone.ok()) return backbone.status();
  if (!about_words.empty() && options.notice) {
    options.notice(LogLevel::kWarn, "words", about_words);
  }
  parts.shape = policy_shape(config, spec, **backbone);
  Result<ReferenceOptions> references = reference_options(config, spec);
  if (!references.ok()) return references.status();
  parts.inference = std::make_unique<Inference>(*std::move(backbone), 0, *std::move(references),
                                                config.policy.guidance);

  const LogOptions log_options =
      state_log_options(options.state_folder, config, parts.boot, parts.robot->now(), parts.wall);
  Result<std::unique_ptr<Log>> log =
      open_state_log(*options.files, options.state_folder, log_options);
  if (!log.ok()) return log.status();
  parts.log = *std::move(log);
  // Not before the lock: a daemon at work in this folder has its own configuration there.
  NUDGE_TRY(write_config_in_force(options.state_folder, config));

  AuthorityBoot authority_boot;
  authority_boot.last_epoch = parts.log->next_lease_epoch() - 1;
  const Result<bool> latched = stop_is_latched(*parts.log);
  if (!latched.ok()) return latched.status();
  authority_boot.stop_latched = *latched;
  Result<std::unique_ptr<Controller>> controller =
      Controller::make(*parts.robot, controller_options(config, spec, authority_boot));
  if (!controller.ok()) return controller.status();
  parts.controller = *std::move(controller);

  Result<std::unique_ptr<Rollout>> rollout = Rollout::open(
      rollout_options(config, options.state_folder + "/weights", spec.id, parts.shape));
  if (!rollout.ok()) return rollout.status();
  parts.rollout = *std::move(rollout);

  if (options.learn) {
    Result<std::unique_ptr<LearnerHost>> opened = LearnerHost::open(
        learner_host_options(config, options.state_folder, options.program, parts.shape),
        steady_now);
    if (!opened.ok()) return opened.status();
    parts.host = *std::move(opened);
  }

  Log* const log_pointer = parts.log.get();
  Result<Broker> broker = Broker::make(
      {.robot = spec.id, .action_size = spec.action.size(), .policy_period = spec.policy_period},
      [log_pointer](std::string_view id) { return log_pointer->event(id).ok(); });
  if (!broker.ok()) return broker.status();
  parts.broker.emplace(*std::move(broker));

  std::unique_ptr<Deployment> deployment(new Deployment(options, std::move(parts)));
  NUDGE_TRY(deployment->boot());
  return deployment;
}

Deployment::Deployment(const DeploymentOptions& options, Parts parts)
    : options_(options),
      robot_(std::move(parts.robot)),
      controller_(std::move(parts.controller)),
      inference_(std::move(parts.inference)),
      log_(std::move(parts.log)),
      rollout_(std::move(parts.rollout)),
      host_(std::move(parts.host)),
      shape_(parts.shape),
      broker_(*std::move(parts.broker)),
      recorder_(*log_, parts.boot, kDaemon),
      retention_(static_cast<std::uint64_t>(options_.config.log.budget_bytes)),
      succession_(
          *options.files, *rollout_, dataset_options(options.config, parts.shape),
          round_planner_options(options.config), probation_options(options.config),
          [this](Payload payload, const std::optional<Actor>& actor, std::string id) {
            commit_wanted_ = true;
            return recorder_.append(std::move(payload), moment(robot_->now()),
                                    actor.value_or(kDaemon), std::move(id));
          },
          [this](LogLevel level, std::string_view component, const std::string& message) {
            tell(level, component, message);
          }),
      supervisor_(supervisor_options(options.config), robot_->level()),
      seat_(supervisor_, robot_->spec().id, "scripted-supervisor", parts.boot + ":sup"),
      hand_back_probe_(supervisor_options(options.config).hand, robot_->level()),
      lockstep_(*robot_, *controller_, *inference_,
                lockstep_options(options.config, robot_->spec(), parts.wall)) {
  options_.config.state.dir = options_.state_folder;
}

Deployment::~Deployment() {
  if (host_) host_->stop();
}

void Deployment::tell(LogLevel level, std::string_view component,
                      const std::string& message) const {
  if (options_.notice) options_.notice(level, component, message);
}

Moment Deployment::moment(Instant now) const {
  return {.now = now,
          .wall = lockstep_.wall(now),
          .control_tick = controller_->control_tick(),
          .policy_step = controller_->policy_step(),
          .weights = history().live()};
}

Status Deployment::boot() {
  for (const std::string& damaged : log_->recovery().damaged)
    tell(LogLevel::kError, "log", damaged);
  Result<std::optional<RobotSpec>> before = recorded_robot(*log_);
  if (!before.ok()) return before.status();
  if (const std::string changes = changes_since(robot_->spec(), *before); !changes.empty()) {
    tell(LogLevel::kWarn, "robot", changes);
  }
  NUDGE_TRY(
      recorder_.append(booted("nudge " NUDGE_VERSION, robot_->spec()), moment(robot_->now())));
  NUDGE_TRY(commit_and_fold());
  Result<std::optional<LoadedHead>> head = succession_.boot();
  if (!head.ok()) return head.status();
  if (*head) swap_in(**std::move(head));
  return commit_wanted_ ? commit_and_fold() : Status{};
}

Status Deployment::fold() {
  const Status folded = follow(*log_, succession_.folded(),
                               [&](const FeedItem& item) { return succession_.fold(item); });
  return may_pass(folded) ? Status() : folded;  // the same again after the next commit
}

Status Deployment::commit_and_fold() {
  commit_wanted_ = false;
  const Status committed = recorder_.commit();
  if (may_pass(committed)) {
    // Control goes on; what waits is committed as soon as the disk takes it, and acknowledged then.
    if (recording_) tell(LogLevel::kError, "log", "NOT RECORDING: " + committed.message());
    recording_ = false;
    return {};
  }
  NUDGE_TRY(committed);
  if (!recording_) tell(LogLevel::kWarn, "log", "recording again");
  recording_ = true;
  for (const std::string& id : std::exchange(waiting_ids_, {})) (void)broker_.on_durable(id);
  return fold();
}

Status Deployment::make_room() {
  if (!recording_) return {};
  const Result<std::vector<Victim>> gone =
      recorder_.make_room(retention_, moment(robot_->now()), SIZE_MAX);
  if (may_pass(gone.status())) return {};  // after a later episode
  if (!gone.ok()) return gone.status();
  for (const Victim& victim : *gone) {
    tell(LogLevel::kInfo, "log",
         "the steps of episode " + std::to_string(victim.episode) + " (" + words_for(victim.worth) +
             ") were deleted: log.budget_bytes is reached");
  }
  return gone->empty() ? Status{} : fold();
}

SegmentSpec Deployment::segment_spec() const { return nudge::segment_spec(robot_->spec(), shape_); }

// ---- first weights ------------------------------------------------------------------------------

Status Deployment::demonstrate(std::size_t count, std::uint64_t seed,
                               const DemonstratorOptions& options) {
  const Actor expert = {.name = "scripted-expert", .role = Role::kScript};
  const std::uint64_t before = succession_.dataset().counts().demonstrations;
  std::size_t made = 0;
  for (std::uint64_t attempt = 0; made < count; ++attempt) {
    if (attempt > 10 * count + 10) {
      return internal(
          "the scripted expert keeps failing; with demo.hasty_share at 0 it does not, unless the "
          "simulation is broken");
    }
    const std::uint64_t start = Random::derive(seed, before + attempt);
    Result<EpisodeId> episode =
        recorder_.begin_episode({.purpose = EpisodePurpose::kDemonstration,
                                 .seed = start,
                                 .instruction = robot_->instruction_for(start)},
                                segment_spec(), moment(robot_->now()));
    if (!episode.ok()) return episode.status();
    std::uint32_t steps = 0;
    inference_->begin_episode(start);
    const Result<bool> success = nudge::demonstrate(
        *robot_, start, options, [&](Observation observation, const Action& action) -> Status {
          Result<std::vector<Image>> pictures = robot_->pictures();
          if (!pictures.ok()) return pictures.status();
          observation.images = *std::move(pictures);
          Result<std::vector<float>> features =
              inference_->encode(observation, robot_->instruction_for(start));
          if (!features.ok()) return features.status();
          // Nobody ticks here: a step is as long as always, from tick 1 on.
          const ControlTick tick =
              1 + steps * static_cast<ControlTick>(robot_->spec().policy_period /
                                                   robot_->spec().control_period);
          Result<AlignedReference> reference =
              inference_->reference(observation, robot_->instruction_for(start), *features, tick);
          if (!reference.ok()) return reference.status();
          Step step;
          step.reference = std::move(reference->actions);
          step.reference_age = reference->age;
          step.episode = *episode;
          step.policy_step = steps++;
          step.time = observation.time;
          step.wall_time = lockstep_.wall(observation.time);
          step.source = ControlSource::kScript;
          step.features = *std::move(features);
          step.proprioception = observation.proprioception;
          step.requested = action;
          step.executed = action;
          step.images = std::move(observation.images);
          return recorder_.append(std::move(step));
        });
    if (!success.ok()) return success.status();
    const Label label{.episode = *episode,
                      .span = 0,
                      .value = *success ? LabelValue::kSuccess : LabelValue::kFailure};
    NUDGE_TRY(recorder_.append(label, moment(robot_->now()), expert, ""));
    NUDGE_TRY(recorder_.end_episode(*success ? EpisodeEnd::kTaskDone : EpisodeEnd::kTimeLimit,
                                    steps, moment(robot_->now())));
    NUDGE_TRY(commit_and_fold());
    if (*success) ++made;
  }
  return {};
}

Result<FirstWeights> Deployment::train_from_scratch(
    Material material, const std::function<void(std::size_t)>& on_step) {
  return nudge::train_from_scratch(succession_.dataset(), options_.config, shape_, material,
                                   on_step);
}

Result<WeightsVersion> Deployment::install(const std::vector<std::byte>& weights,
                                           const std::vector<std::byte>& base) {
  const Result<WeightsVersion> installed = succession_.install(
      weights, kOperator, log_->next_weights_version(), lockstep_.wall(robot_->now()), base);
  NUDGE_TRY(commit_and_fold());
  if (!installed.ok()) return installed;
  std::optional<LoadedHead> head = succession_.take_due(/*person_drives=*/false);
  if (!head) {
    return resource_exhausted(
        "the weights are not in use: the log cannot record them (see the message above); free "
        "some space and start again");
  }
  swap_in(*std::move(head));
  return installed;
}

// ---- an episode ---------------------------------------------------------------------------------

Result<EpisodeOutcome> Deployment::run_episode(std::uint64_t seed) {
  outcome_ = {};
  // What a learner finds in the log when it connects is the past to it; it must not be the first
  // correction.
  if (host_ && !host_->connected()) NUDGE_TRY(learn(robot_->now()));
  Result<EpisodeId> episode =
      recorder_.begin_episode({.purpose = EpisodePurpose::kDeployment,
                               .seed = seed,
                               .instruction = robot_->instruction_for(seed)},
                              segment_spec(), moment(robot_->now()));
  if (!episode.ok()) return episode.status();
  outcome_.episode = *episode;
  seen_ = false;
  seat_.begin_episode(seed);
  hand_back_probe_.begin_episode(*episode, seed);
  taken_over_.reset();
  shift_ = Random(Random::derive(seed, kAgainStream));
  succession_.on_episode_started();

  const Result<EpisodeResult> result = lockstep_.run(*episode, seed, *this);
  if (!result.ok()) {
    (void)commit_and_fold();  // what led to it is worth most; its own failure adds nothing
    return result.status();
  }

  // A last look: the supervisor sees how it ended, and says so.
  for (int look = 0; look < 3 && seat_.label() == LabelValue::kNone; ++look) {
    Result<Observation> last = robot_->observe();
    if (!last.ok()) return last.status();
    std::vector<FeedbackMessage> messages = seat_.look(*last, seat_view(robot_->now()));
    std::erase_if(messages, [](const FeedbackMessage& message) {
      return !std::holds_alternative<LabelMessage>(message.body);
    });
    NUDGE_TRY(receive(messages));
    if (seat_.label() == LabelValue::kNone) NUDGE_TRY(robot_->advance());
  }
  if (recorder_.open_span() != 0) {
    correction_ended_ = robot_->now();
    full_measured_ = false;  // the episode ends with the correction: no micro-round is worth it
  }
  NUDGE_TRY(recorder_.end_episode(result->reason, result->policy_steps, moment(robot_->now())));
  if (recorder_.take_span_closed()) outcome_.corrected = true;
  const Status stands = end_control();
  succession_.on_episode_ended();
  NUDGE_TRY(commit_and_fold());  // first: what led to a fault is worth most
  NUDGE_TRY(make_room());
  NUDGE_TRY(stands);
  Result<std::vector<HandBackError>> answered =
      hand_back_probe_.end_episode([this](WeightsVersion version) { return load_head(version); });
  if (!answered.ok()) return answered.status();
  hand_backs_.insert(hand_backs_.end(), answered->begin(), answered->end());
  NUDGE_TRY(heed_probation(robot_->now()));
  NUDGE_TRY(succession_.refresh_probes());
  NUDGE_TRY(learn_from_episode(robot_->now()));

  outcome_.success = result->success;
  outcome_.label = seat_.label();
  outcome_.policy_steps = result->policy_steps;
  outcome_.takeovers = supervisor_.takeovers();
  outcome_.wrong_takeovers = supervisor_.wrong_takeovers();
  outcome_.length = result->length;
  outcome_.weights = history().live();
  tell(LogLevel::kInfo, "episode",
       std::to_string(outcome_.episode) + (outcome_.success ? " succeeded" : " failed") + " in " +
           std::to_string(outcome_.policy_steps) + " steps, " + std::to_string(outcome_.takeovers) +
           " takeovers, weights v" + std::to_string(outcome_.weights));
  return outcome_;
}

SeatView Deployment::seat_view(Instant now) const {
  const Authority& authority = controller_->authority();
  return {.state = authority.state(),
          .holder = authority.lease().holder,
          .epoch = authority.lease().epoch,
          .tick = controller_->control_tick(),
          .now = now};
}

Status Deployment::receive(const std::vector<FeedbackMessage>& messages) {
  Situation situation;
  situation.state = controller_->authority().state();
  situation.lease = controller_->authority().lease();
  situation.newest_episode = outcome_.episode;
  situation.policy_step = controller_->policy_step();
  situation.newest_span = recorder_.newest_span();
  for (const FeedbackMessage& message : messages) {
    Handled handled = broker_.handle(message, situation);
    if (handled.stop) {
      ++stop_presses_;
      robot_->estop();
    }
    if (handled.act) acts_.push_back(*std::move(handled.act));
    if (handled.jog) jog_ = *std::move(handled.jog);
    if (handled.ack && !handled.ack->status.ok()) ++counts_.refused_messages;
    for (FeedbackRecord& record : handled.records) {
      NUDGE_TRY(recorder_.append(record.payload, moment(robot_->now()), record.actor, record.id));
      if (!record.id.empty()) waiting_ids_.push_back(record.id);
      commit_wanted_ = true;
    }
  }
  return {};
}

Status Deployment::before_tick(Instant now, ControlInputs& inputs) {
  NUDGE_TRY(take_arrivals(now));
  NUDGE_TRY(adopt_staged(now));
  acts_.clear();
  jog_.reset();
  if (controller_->authority().state() == AuthorityState::kHold &&
      !controller_->authority().lease().holder && seat_.label() == LabelValue::kNone) {
    // The operator presses Start; a robot that holds in the middle of an episode for another reason
    // is started again by the supervisor who has the lease.
    acts_.push_back({.id = recorder_.boot() + ":start:" + std::to_string(next_act_++),
                     .actor = kOperator,
                     .body = HandBack{}});
  }
  if (seen_) {
    NUDGE_TRY(receive(seat_.look(controller_->observation(), seat_view(now))));
  }
  inputs.acts = acts_;
  inputs.jog = jog_ ? &*jog_ : nullptr;
  inputs.stop_presses = stop_presses_;
  return {};
}

Status Deployment::after_tick(Instant now, WallTime /*wall*/, const TickOutcome& outcome,
                              std::vector<float> features, std::vector<Image> images) {
  seen_ = true;
  const Decision& decision = *outcome.decision;
  const Actor driver = decision.lease.holder.value_or(kDaemon);
  if (outcome.finished) {
    const ControlSource source = outcome.finished->source;
    if (source == ControlSource::kPolicy) {
      hand_back_probe_.on_step(features, outcome.finished->proprioception);
    } else if (source == ControlSource::kHuman || source == ControlSource::kNudge) {
      hand_back_probe_.on_interference();
    }
  }
  NUDGE_TRY(
      recorder_.on_tick(outcome, std::move(features), std::move(images), driver, moment(now)));
  for (const ActAnswer& answer : decision.answers) {
    if (answer.logged) waiting_ids_.push_back(answer.id);
    (void)broker_.on_decided(answer);
    if (!answer.status.ok()) ++counts_.refused_messages;
  }
  for (const AuthorityRecord& record : decision.records) {
    if (const auto* change = std::get_if<AuthorityChanged>(&record.payload)) {
      if (change->from == AuthorityState::kAuto && change->to == AuthorityState::kTakeover) {
        succession_.on_takeover();
        if (options_.config.demo.again) taken_over_ = robot_->layout();
      }
    }
    commit_wanted_ = true;
  }
  if (outcome.finished) {
    const Step& step = *outcome.finished;
    if (step.source == ControlSource::kHuman) ++outcome_.human_steps;
    if (step.source == ControlSource::kPolicy || step.source == ControlSource::kNudge) {
      succession_.on_auto_step((step.flags & kStepClamped) != 0);
    }
  }
  NUDGE_TRY(played(outcome.played, now));
  if (decision.roll_back_weights) succession_.on_non_finite();
  NUDGE_TRY(heed_probation(now));

  const bool handed_back = recorder_.take_span_closed();
  if (handed_back) hand_back_probe_.on_hand_back(history().live());
  if (handed_back && taken_over_) {
    robot_->put_back(*std::exchange(taken_over_, std::nullopt), kAgainApart, shift_);
    lockstep_.plan_again();
  } else if (outcome.step_begun) {
    hand_back_probe_.on_step_begun(controller_->observation());
  }
  if (handed_back) {
    outcome_.corrected = true;
    correction_ended_ = now;
    micro_measured_ = full_measured_ = false;
    return learn_from_correction(now);
  }
  // While the disk is full, each policy step tries again.
  if (!recording_ && outcome.finished) commit_wanted_ = true;
  return commit_wanted_ ? commit_and_fold() : Status{};
}

Status Deployment::on_chunk(WeightsVersion version, Duration latency, const Status& taken) {
  succession_.on_chunk(version, latency, taken);
  return taken.code() == Code::kInvalidArgument ? Status{} : taken;
}

Status Deployment::end_control() {
  // The episode is over; the robot is brought to a stand before anybody resets the scene.
  controller_->begin_episode(0, robot_->now());
  for (int i = 0; i < kTicksToStandStill; ++i) {
    const Instant now = robot_->now();
    acts_.clear();
    if (controller_->authority().state() != AuthorityState::kHold) {
      acts_.push_back({.id = recorder_.boot() + ":end:" + std::to_string(next_act_++),
                       .actor = kOperator,
                       .body = Hold{}});
    } else if (!controller_->authority().lease().holder) {
      return {};
    }
    ControlInputs inputs;
    inputs.acts = acts_;
    inputs.stop_presses = stop_presses_;
    const TickOutcome outcome = controller_->tick(now, lockstep_.wall(now), inputs);
    if (robot_->now() == now) NUDGE_TRY(robot_->advance());
    NUDGE_TRY(recorder_.on_tick(outcome, {}, {}, kOperator, moment(now)));
    for (const ActAnswer& answer : outcome.decision->answers) (void)broker_.on_decided(answer);
    if (outcome.decision->state == AuthorityState::kFaultHold ||
        outcome.decision->state == AuthorityState::kEstop) {
      return failed_precondition("the robot is in " +
                                 std::string(to_string(outcome.decision->state)) +
                                 " and needs a person; the log's last events say why");
    }
  }
  return internal("the robot did not come to a hold at the end of an episode");
}

// ---- learning -----------------------------------------------------------------------------------

// The learner does one round after the other. In lockstep a round's candidate is there at once, and
// is under way for as long as it took; so what the learner would do meanwhile is done here.

Status Deployment::learn_from_correction(Instant now) {
  NUDGE_TRY(commit_and_fold());
  const auto full = std::ranges::find(
      arrivals_, WeightsKind::kFull, [](const Arrival& arrival) { return arrival.candidate.kind; });
  if (full == arrivals_.end()) return learn(now);
  if (!succession_.planner().full_gives_way()) {
    learn_later_ = true;
    return {};
  }
  const CandidateMessage candidate = std::move(full->candidate);
  arrivals_.erase(full);
  ++counts_.superseded;
  NUDGE_TRY(succession_.supersede(candidate));
  return learn(now);
}

Status Deployment::learn_from_episode(Instant now) {
  // A micro-round of this episode is given up at its end.
  std::erase_if(arrivals_, [](const Arrival& arrival) {
    return arrival.candidate.kind == WeightsKind::kProvisional;
  });
  if (arrivals_.empty()) return learn(now);
  learn_later_ = true;
  return {};
}

Status Deployment::learn(Instant now) {
  learn_later_ = false;
  const Instant begin = options_.clock();
  NUDGE_TRY(commit_and_fold());
  if (!host_) return {};
  if (Status caught_up = host_->catch_up(*log_, kLearnerPatience); !caught_up.ok()) {
    tell(LogLevel::kError, "learner", caught_up.message());  // the robot works on
  }
  if (host_->connected() && !host_->confined() && !std::exchange(loose_told_, true)) {
    tell(LogLevel::kWarn, "learner",
         "the learner works without all of its sandbox (" + host_->sandbox() + ")");
  }
  const Duration took = options_.clock() - begin;
  for (CandidateMessage& candidate : host_->take_candidates()) {
    ++counts_.rounds;
    arrivals_.push_back({.at = now + took, .candidate = std::move(candidate)});
  }
  return {};
}

Status Deployment::take_arrivals(Instant now) {
  while (!arrivals_.empty() && arrivals_.front().at <= now) {
    const Arrival arrival = std::move(arrivals_.front());
    arrivals_.pop_front();
    const Instant begin = options_.clock();
    NUDGE_TRY(
        succession_.consider(arrival.candidate, log_->next_weights_version(), lockstep_.wall(now)));
    staged_until_ = now + (options_.clock() - begin);
    NUDGE_TRY(commit_and_fold());
    if (arrivals_.empty() && learn_later_) NUDGE_TRY(learn(arrival.at));
  }
  return {};
}

Status Deployment::adopt_staged(Instant now) {
  const AuthorityState state = controller_->authority().state();
  const bool person_drives = state == AuthorityState::kHuman || state == AuthorityState::kTakeover;
  if (now < staged_until_) return {};
  if (std::optional<LoadedHead> head = succession_.take_due(person_drives)) {
    swap_in(*std::move(head));
  }
  return {};
}

void Deployment::swap_in(LoadedHead head) {
  slot_.publish(std::move(head));
  if (inference_->take_from(slot_)) lockstep_.plan_again();
  slot_.collect();  // what was in use until now is freed here, on the publisher's side
}

Status Deployment::played(WeightsVersion version, Instant now) {
  const Result<bool> news = succession_.on_played(version);
  if (!news.ok()) return news.status();
  if (!*news) return {};
  NUDGE_TRY(commit_and_fold());
  const double delay = seconds(now - correction_ended_);
  const bool provisional = history().find(version)->kind == WeightsKind::kProvisional;
  if (provisional) hand_back_probe_.on_micro_round(version);
  bool& measured = provisional ? micro_measured_ : full_measured_;
  if (!std::exchange(measured, true)) {
    (provisional ? delays_.micro : delays_.full).push_back(delay);
  }
  return {};
}

Status Deployment::heed_probation(Instant now) {
  Result<std::optional<LoadedHead>> back = succession_.heed();
  if (!back.ok()) return back.status();
  if (*back) {
    arrivals_.clear();
    learn_later_ = false;  // until there is new feedback
    swap_in(**std::move(back));
    controller_->player().flush(now);
  }
  return commit_wanted_ ? commit_and_fold() : Status{};
}

Status Deployment::settle() {
  while (!arrivals_.empty()) {
    NUDGE_TRY(take_arrivals(arrivals_.front().at));
  }
  return {};
}

Result<std::shared_ptr<const Weights>> Deployment::newest_full_weights() {
  const WeightsVersion version = history().newest_full();
  if (version == 0) return not_found("there are no weights yet");
  return rollout_->weights(version, history());
}

DeploymentCounts Deployment::counts() const {
  DeploymentCounts counts = counts_;
  const SuccessionCounts& weights = succession_.counts();
  counts.accepted = weights.accepted;
  counts.rejected = weights.rejected;
  counts.confirmed = weights.confirmed;
  counts.rolled_back = weights.rolled_back;
  if (host_) counts.learner_deaths = host_->deaths();
  return counts;
}

}  // namespace nudge
