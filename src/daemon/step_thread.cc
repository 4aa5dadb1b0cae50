#include "src/daemon/step_thread.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nudge/random.h"

namespace nudge {
namespace {

// A chunk that has not come by then never will: the request was refused or inference failed.
constexpr Duration kChunkPatience = std::chrono::seconds(1);
constexpr std::size_t kMaxBacklog = 20'000;
const Actor kEpisodes = {.name = "episodes", .role = Role::kScript};

Duration thread_cpu_time() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

}  // namespace

StepThread::StepThread(Robot& robot, std::unique_ptr<Controller> controller, Links& links,
                       StepThreadOptions options)
    : robot_(robot),
      controller_(std::move(controller)),
      links_(links),
      options_(std::move(options)),
      state_(controller_->authority().state()) {
  links_.state = state_;
  if (options_.help) help_.emplace(*options_.help);
  if (state_ == AuthorityState::kEstop) cause_ = "stopped";
  Snapshot snapshot;
  snapshot.now = options_.clock();
  snapshot.observation.time = snapshot.now;
  snapshot.wall = options_.wall();
  snapshot.state = state_;
  snapshot.cause = cause_;
  snapshot.step_limit = options_.episode_steps;
  snapshot.instruction = options_.instruction;
  links_.snapshot.put(std::move(snapshot));
}

StepThread::~StepThread() { stop(); }

Status StepThread::start() {
  stop_ = false;
  links_.heartbeat = options_.clock().time_since_epoch().count();
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-step");
  if (options_.fifo_priority <= 0) return {};
  sched_param priority{};
  priority.sched_priority = options_.fifo_priority;
  const int error = pthread_setschedparam(thread_.native_handle(), SCHED_FIFO, &priority);
  if (error == 0) return {};
  return permission_denied(
      "the step thread runs without real-time priority (" + std::string(std::strerror(error)) +
      "); give the service LimitRTPRIO= or CAP_SYS_NICE, or set daemon.fifo_priority to 0");
}

void StepThread::stop() {
  stop_ = true;
  if (!thread_.joinable()) return;
  thread_.join();
  robot_.hold();
  if (episode_ != 0) end_episode(options_.clock(), EpisodeEnd::kAborted);
}

void StepThread::run() {
  const Duration period = robot_.spec().control_period;
  Instant due = options_.clock() + period;
  while (!stop_) {
    std::this_thread::sleep_until(std::chrono::steady_clock::time_point(due.time_since_epoch()));
    const Duration spent = thread_cpu_time();
    tick(options_.clock(), due);
    work_.add(thread_cpu_time() - spent);
    due += period;
    const Instant now = options_.clock();
    if (now > due) {
      // Ticks that were missed are not made up for: the robot needs the newest, not all of them.
      const auto late = static_cast<std::uint64_t>((now - due) / period) + 1;
      missed_ += late;
      due += period * static_cast<std::int64_t>(late);
    }
  }
}

Moment StepThread::moment(Instant now) const {
  return {.now = now,
          .wall = options_.wall(),
          .control_tick = controller_->control_tick(),
          .policy_step = controller_->policy_step(),
          .weights = 0};
}

void StepThread::tick(Instant now, Instant due) {
  links_.heartbeat.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  late_.add(now - due);
  ask_for_needed_steps();
  StepReport report;
  bool unplayable = false;
  if (std::optional<ComputedChunk> chunk = links_.chunks.try_take()) {
    asked_ = false;
    const WeightsVersion version = chunk->chunk.version;
    std::optional<ActionChunk> planned;
    const bool plans = options_.asking != nullptr && !options_.asking->policy_elsewhere();
    if (plans) planned = chunk->chunk;
    // One that was edited between this tick's beginning and now is about an observation that this
    // tick has yet to see.
    const Instant seen = options_.asking == nullptr ? now : std::max(now, chunk->chunk.observed);
    Status taken = controller_->player().load(std::move(chunk->chunk), seen);
    if (plans && taken.ok()) options_.asking->plan(*planned);
    // A robot that asks waits for an answer that is not to come, and is no late inference.
    unplayable = options_.asking != nullptr && taken.code() == Code::kInvalidArgument;
    if (unplayable) failed_weights_ = version;
    // Flushed or overtaken while it was computed: the next one is asked for at once.
    const bool news = taken.code() != Code::kAborted && taken.code() != Code::kDeadlineExceeded;
    if (news) {
      report.chunk = {.version = version, .latency = chunk->latency, .taken = std::move(taken)};
    }
  }
  if (const std::uint64_t flushes = links_.flushes; flushes != flushes_seen_) {
    flushes_seen_ = flushes;
    controller_->player().flush(now);
    asked_ = false;
  }
  if (std::optional<std::string> instruction = links_.instruction.try_take()) {
    options_.instruction = *std::move(instruction);
    robot_.instruct(options_.instruction);
    controller_->player().flush(now);  // what was planned is for another task
    asked_ = false;
  }
  links_.acts.try_take_all(acts_);
  // Letting go comes first; a press that arrived with it is judged in the next tick.
  jog_ = links_.let_go.try_take();
  if (!jog_) jog_ = links_.jog.try_take();
  if (std::exchange(hold_at_next_tick_, false)) {
    acts_.push_back({.id = "", .actor = kEpisodes, .body = Hold{}});
  }

  const bool was_resetting = resetting_;
  if (options_.asking != nullptr) {
    heed_asking_robot(now);
  } else {
    ask_about_reset();
  }
  if (failed_weights_ != 0 && links_.loaded != failed_weights_) failed_weights_ = 0;
  ControlInputs inputs;
  inputs.acts = acts_;
  inputs.jog = jog_ ? &*jog_ : nullptr;
  inputs.stop_presses = links_.stop_presses;
  inputs.weights_failed = failed_weights_ != 0 || unplayable;
  inputs.resetting = resetting_;
  inputs.reset_failed = reset_failed_;
  inputs.no_takeover = asking_.no_takeover;
  inputs.clock = options_.clock;
  const TickOutcome outcome = controller_->tick(now, options_.wall(), inputs);
  const Decision& decision = *outcome.decision;
  if (decision.roll_back_weights) failed_weights_ = controller_->player().version();
  if (decision.flush_policy) asked_ = false;

  if (decision.reset_failed) {
    reset_trouble_ = reset_failed_.empty() ? "its reset took too long" : reset_failed_;
    reset_failed_.clear();
    reset_pending_ = resetting_ = false;
  }
  // The reset ended at some time since the last tick: what was seen before this one may be older.
  if (was_resetting || resetting_) reset_seen_ = now;
  if (reset_pending_ && !resetting_ && controller_->observation().time >= reset_seen_) {
    reset_pending_ = false;
    episode_begun_ = now;
    controller_->begin_episode(episode_, now);
  }
  count(now, outcome);
  watch_for_help(now, outcome, report);
  if (options_.asking != nullptr) tell_asking_robot(now, decision);
  // Only once the authority has let somebody drive: a reset may move the robot. One that asks has
  // reset its scene itself by the time it asks.
  const bool waits = options_.asking != nullptr && resetting_;
  if (episode_ == 0 && !stands(decision.state) && !waits) begin_episode(now, report);
  if (!stands(decision.state)) moved_ = now;
  // What was observed before a reset says nothing about the scene after it.
  const bool begun = report.begun.has_value();
  if (!begun && !reset_pending_) ask_inference(now, outcome);
  publish(now, outcome);

  const bool matters = report.chunk || report.begun || outcome.finished || outcome.step_begun ||
                       !decision.records.empty() || !decision.answers.empty() ||
                       decision.span_end || decision.roll_back_weights || report.help_asked ||
                       report.help_ended || decision.last_fresh_tick == controller_->control_tick();
  if (matters || !backlog_.empty()) {
    report.moment = moment(now);
    report.decision = decision;
    report.finished = outcome.finished;
    report.step_begun = outcome.step_begun;
    report.played = outcome.played;
    this->report(std::move(report));
  }
  if (begun) return;  // nor whether it is over
  if (const std::optional<EpisodeEnd> over = episode_is_over(now, decision)) {
    end_episode(now, *over);
    hold_at_next_tick_ = !options_.continuous;
  }
}

void StepThread::ask_about_reset() {
  if (!resetting_ || robot_.resetting()) return;
  resetting_ = false;
  if (const Status ended = robot_.reset_result(); !ended.ok()) {
    reset_failed_ = "the reset failed: " + ended.message();
  }
}

// What was seen before this says nothing about the scene of now. A robot that asks has looked at it
// before it asked.
Instant StepThread::scene_since(Instant now) const {
  return options_.asking == nullptr ? now : std::min(now, options_.asking->newest());
}

void StepThread::heed_asking_robot(Instant now) {
  asking_ = options_.asking->take_news();
  resetting_ = robot_.resetting();
  if (asking_.new_episode && episode_ != 0) end_episode(now, EpisodeEnd::kReset);
  if (asking_.instruction && *asking_.instruction != options_.instruction) {
    options_.instruction = *asking_.instruction;
    if (episode_ != 0) {
      controller_->player().flush(now);
      RecordWanted record{
          .payload = InstructionChanged{options_.instruction}, .actor = std::nullopt, .id = ""};
      (void)links_.writer.push_reserved(WriterItem(std::move(record)));
    }
  }
  // One that is too old for the player is no news: the robot has asked again since.
  if (asking_.proposal) {
    const Instant seen = std::max(now, asking_.proposal->observed);
    (void)controller_->player().load(std::move(*asking_.proposal), seen);
  }
  const bool drives = state_ == AuthorityState::kAuto || state_ == AuthorityState::kHandback;
  if (!asking_.hold.empty() &&
      (drives || state_ == AuthorityState::kHuman || state_ == AuthorityState::kTakeover)) {
    acts_.push_back({.id = "", .actor = kEpisodes, .body = Hold{}});
  }
}

void StepThread::tell_asking_robot(Instant now, const Decision& decision) {
  TickVerdict verdict;
  verdict.state = decision.state;
  verdict.source = decision.source;
  verdict.rates = decision.executed;
  verdict.speed = decision.speed;
  verdict.observed = controller_->observation().time;
  verdict.instruction = options_.instruction;
  if (decision.source == ControlSource::kNudge) {
    verdict.bias = decision.executed;
    const Action policy = controller_->player().at(now);
    for (std::size_t i = 0; i < verdict.bias.size(); ++i) {
      verdict.bias[i] -= static_cast<float>(decision.speed) * policy[i];
    }
  }
  options_.asking->decided(std::move(verdict));
}

void StepThread::begin_episode(Instant now, StepReport& report) {
  episode_ = options_.next_episode++;
  episode_begun_ = moved_ = now;
  autonomous_ = takeovers_ = steps_ = 0;
  human_ = {};
  const std::uint64_t seed = Random::derive(options_.seed, episode_);
  reset_trouble_.clear();
  Status begun = robot_.reset(seed);
  resetting_ = begun.ok() && robot_.resetting();
  if (begun.ok() && !resetting_) begun = robot_.reset_result();
  if (!begun.ok()) reset_failed_ = "the reset failed: " + begun.message();
  if (std::string told = robot_.instruction(); !told.empty())
    options_.instruction = std::move(told);
  reset_pending_ = resetting_ || !begun.ok();
  reset_seen_ = now;
  controller_->begin_episode(reset_pending_ ? 0 : episode_, scene_since(now));
  if (help_) help_->begin_episode();
  asked_ = false;
  // Where there is nothing that could drive but a person, a person shows the task.
  const bool policy =
      links_.loaded != 0 || (options_.asking != nullptr && options_.asking->policy_elsewhere());
  report.begun = {.episode = episode_,
                  .seed = seed,
                  .instruction = options_.instruction,
                  .purpose = policy ? EpisodePurpose::kDeployment : EpisodePurpose::kDemonstration};
}

void StepThread::end_episode(Instant now, EpisodeEnd reason) {
  StepReport report;
  report.moment = moment(now);
  report.decision.state = state_;
  report.decision.stop_latched = state_ == AuthorityState::kEstop;
  report.decision.lease = controller_->authority().lease();
  // The last, unfinished step still belongs to the episode.
  report.finished = controller_->finish_step();
  if (report.finished) ++steps_;
  if (help_) {
    report.help_ended = help_->end_episode();
    report.help_scored = help_->scored();
    help_->begin_episode();
  }
  report.over = {.reason = reason, .steps = steps_};
  this->report(std::move(report));
  last_success_ = reason == EpisodeEnd::kTaskDone;
  episode_ = 0;
  reset_pending_ = resetting_ = false;
  controller_->forget_words();
  controller_->begin_episode(0, scene_since(now));
  asked_ = false;
}

std::optional<EpisodeEnd> StepThread::episode_is_over(Instant now, const Decision& decision) {
  if (episode_ == 0) return std::nullopt;
  // Nobody knows what the scene looks like: the next start asks for another reset.
  if (decision.reset_failed) return EpisodeEnd::kAborted;
  // At once: what a policy does after that, nobody has shown it.
  if (!reset_pending_ && controller_->observation().success) return EpisodeEnd::kTaskDone;
  if (!reset_pending_ && controller_->observation().over != Over::kNo) {
    return controller_->observation().over == Over::kTruncated ? EpisodeEnd::kTimeLimit
                                                               : EpisodeEnd::kAborted;
  }
  if (decision.end_episode) return EpisodeEnd::kReset;
  if (autonomous_ >= options_.episode_steps && decision.state == AuthorityState::kAuto) {
    return EpisodeEnd::kTimeLimit;
  }
  if (stands(decision.state) && now - moved_ >= options_.abandon) return EpisodeEnd::kAborted;
  return std::nullopt;
}

void StepThread::count(Instant now, const TickOutcome& outcome) {
  const Decision& decision = *outcome.decision;
  if (outcome.finished) {
    ++steps_;
    const ControlSource source = outcome.finished->source;
    if (source == ControlSource::kPolicy || source == ControlSource::kNudge) ++autonomous_;
  }
  if (decision.source == ControlSource::kHuman) human_ += robot_.spec().control_period;
  for (const AuthorityRecord& record : decision.records) {
    if (const auto* change = std::get_if<AuthorityChanged>(&record.payload)) {
      cause_ = change->cause;
      if (change->to != AuthorityState::kFaultHold) fault_.clear();
      if (change->to == AuthorityState::kHuman) ++takeovers_;
      if (change->to == AuthorityState::kAuto) driving_since_ = now;
    }
    if (const auto* fault = std::get_if<Fault>(&record.payload)) fault_ = fault->detail;
  }
  state_ = decision.state;
  links_.state = state_;
  robot_trouble_ = outcome.robot.ok() ? reset_trouble_ : outcome.robot.message();
  if (outcome.robot.ok() && !asking_.trouble.empty()) robot_trouble_ = asking_.trouble;
  if (robot_trouble_.empty() && !outcome.frozen.empty() && !resetting_) {
    robot_trouble_ = "camera '" + std::string(outcome.frozen) + "' shows nothing new";
  }
}

void StepThread::watch_for_help(Instant now, const TickOutcome& outcome, StepReport& report) {
  if (!help_) return;
  if (const std::optional<HelpThresholds> learned = links_.help_thresholds.try_take()) {
    help_->set_thresholds(*learned);
  }
  const bool person = state_ == AuthorityState::kTakeover || state_ == AuthorityState::kHuman;
  report.help_ended = help_->on_control(state_ == AuthorityState::kAuto, person, now);
  if (const std::uint64_t declined = links_.declined_help; declined != declined_seen_) {
    declined_seen_ = declined;
    (void)help_->decline(declined);  // it is in the log already
  }
  if (const std::optional<ComputedDoubt> doubt = links_.doubts.try_take()) {
    help_->on_disagreement(doubt->disagreement, doubt->observed);
  }
  if (!outcome.finished || episode_ == 0) return;
  const ControlSource source = outcome.finished->source;
  if (source != ControlSource::kPolicy && source != ControlSource::kNudge) return;
  const HelpChange change = help_->on_step(outcome.finished->proprioception);
  if (change.asked) ++help_asks_;
  report.help_asked = change.asked;
  if (change.ended) report.help_ended = change.ended;
}

void StepThread::ask_inference(Instant now, const TickOutcome& outcome) {
  if (asked_ && now - asked_at_ > kChunkPatience) asked_ = false;
  const WeightsVersion loaded = links_.loaded;
  const Observation& observation = controller_->observation();
  // One that asks gets a chunk for each observation, and none without.
  const bool asks = options_.asking != nullptr;
  const bool wanted =
      asks ? observation.time > asked_about_ && !resetting_ && !options_.asking->policy_elsewhere()
           : controller_->player().needs_chunk(now) || loaded != controller_->player().version();
  // A robot that reports NaN is the authority's; the weights are not to be blamed for what they
  // make of it.
  const bool chunk = episode_ != 0 && loaded != 0 && !asked_ && is_finite(observation) && wanted;
  if (!chunk && !outcome.step_begun) return;
  InferenceRequest request;
  request.observation = observation;
  request.instruction = options_.instruction;
  request.episode = episode_;
  request.tick = controller_->control_tick();
  if (outcome.step_begun) request.step = controller_->policy_step();
  request.chunk = chunk;
  const auto step = request.step;
  if (!links_.requests.try_push(std::move(request))) {
    // The step goes into the log without them, rather than hold it up.
    if (step) {
      StepFeatures none{.episode = episode_, .step = *step, .features = {}, .images = {}};
      (void)links_.writer.push_reserved(WriterItem(std::move(none)));
    }
    return;
  }
  if (chunk) {
    asked_ = true;
    asked_at_ = now;
    asked_about_ = observation.time;
  }
}

void StepThread::report(StepReport report) {
  // In order: what waits goes first.
  while (!backlog_.empty()) {
    if (!links_.writer.push_reserved(WriterItem(std::move(backlog_.front())))) break;
    backlog_.pop_front();
  }
  if (report.finished) finished_ = {report.finished->episode, report.finished->policy_step};
  const bool awaited = report.begun || report.over || !report.decision.records.empty() ||
                       !report.decision.answers.empty() || report.decision.span_end;
  if (awaited && options_.asking != nullptr) needed_ = finished_;
  ask_for_needed_steps();
  const bool human = report.finished && report.finished->source == ControlSource::kHuman;
  const bool must = human || report.begun || report.over || !report.decision.records.empty() ||
                    !report.decision.answers.empty() || report.decision.span_end ||
                    report.help_asked || report.help_ended;
  if (lost_ > 0 && backlog_.empty()) {
    report.lost_first = lost_first_;
    report.lost = lost_;
    report.lost_human = lost_human_;
  }
  WriterItem item(std::move(report));
  const bool taken = backlog_.empty() && (must ? links_.writer.push_reserved(std::move(item))
                                               : links_.writer.try_push(std::move(item)));
  if (taken) {
    lost_ = 0;
    lost_human_ = false;
    return;
  }
  StepReport& kept = std::get<StepReport>(item);
  if (kept.lost == 0) kept.lost_first = lost_first_;
  kept.lost = lost_;
  kept.lost_human = lost_human_;
  if (kept.finished) {
    if (kept.lost == 0) kept.lost_first = kept.finished->policy_step;
    ++kept.lost;
    ++lost_total_;
    kept.lost_human = kept.lost_human || human;
    kept.finished.reset();
  }
  // What was lost before a report that must arrive is told with it, so that it belongs to its
  // episode.
  const bool waits = must && backlog_.size() < kMaxBacklog;
  lost_first_ = kept.lost_first;
  lost_ = waits ? 0 : kept.lost;
  lost_human_ = !waits && kept.lost_human;
  if (waits) backlog_.push_back(std::move(kept));
}

// Where the queue is full, at the next tick.
void StepThread::ask_for_needed_steps() {
  if (!needed_) return;
  InferenceRequest request;
  request.needed = needed_;
  if (links_.requests.try_push(std::move(request))) needed_.reset();
}

void StepThread::publish(Instant now, const TickOutcome& outcome) {
  const Decision& decision = *outcome.decision;
  const Observation& observation = controller_->observation();
  Snapshot snapshot;
  snapshot.now = now;
  snapshot.wall = options_.wall();
  snapshot.tick = controller_->control_tick();
  snapshot.state = decision.state;
  snapshot.cause = reset_pending_ && !stands(decision.state) ? "resetting" : cause_;
  snapshot.fault = fault_;
  snapshot.driving_since = driving_since_;
  snapshot.lease = decision.lease;
  snapshot.source = decision.source;
  if (!controller_->player().exhausted(now)) snapshot.proposed = controller_->player().at(now);
  snapshot.requested = decision.requested;
  snapshot.executed = decision.executed;
  snapshot.clamped = decision.clamped;
  snapshot.speed = decision.speed;
  snapshot.episode = episode_;
  snapshot.policy_step = controller_->policy_step();
  snapshot.autonomous = autonomous_;
  snapshot.step_limit = options_.episode_steps;
  if (episode_ != 0) snapshot.episode_length = now - episode_begun_;
  snapshot.instruction = options_.instruction;
  snapshot.takeovers = takeovers_;
  snapshot.last_success = last_success_;
  snapshot.human = human_;
  snapshot.observation.time = observation.time;
  snapshot.observation.proprioception = observation.proprioception;
  snapshot.observation.object_state = observation.object_state;
  snapshot.observation.success = observation.success;
  snapshot.robot_trouble = robot_trouble_;
  snapshot.caution = asking_.caution;
  snapshot.playing = controller_->player().version();
  snapshot.refused_commands = controller_->authority().refused_commands();
  snapshot.missed_ticks = missed_;
  snapshot.lost_steps = lost_total_;
  if (help_) {
    snapshot.help = help_->state();
    snapshot.uncertainty = help_->uncertainty();
    snapshot.help_asks = help_asks_;
  }
  snapshot.work = work_;
  snapshot.late = late_;
  links_.snapshot.put(std::move(snapshot));
  if (!observation.images.empty() && observation.images.front().captured > newest_frame_) {
    newest_frame_ = observation.images.front().captured;
    links_.frames.put(observation.images);
  }
}

}  // namespace nudge
