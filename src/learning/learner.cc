#include "src/learning/learner.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "policy/folder.h"
#include "policy/weights_store.h"
#include "src/learning/sentences.h"

namespace nudge {
namespace {

constexpr Duration kIdleWait = std::chrono::milliseconds(100);
constexpr Duration kGreetingPatience = std::chrono::seconds(30);
constexpr std::uint32_t kStepsBetweenLooks = 5;  // at the feed, during a round

double wall_seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

WeightsKind kind_of(RoundKind kind) {
  return kind == RoundKind::kMicro ? WeightsKind::kProvisional : WeightsKind::kFull;
}

}  // namespace

Result<CandidateMessage> run_round(const RoundOrder& order, const Config& config, Dataset& dataset,
                                   Trainer& trainer, Lineage lineage,
                                   const std::function<bool()>& should_abort) {
  const auto start = std::chrono::steady_clock::now();
  const bool micro = order.kind == RoundKind::kMicro;
  const auto& learner = config.learner;
  const auto steps = static_cast<std::uint32_t>(micro ? learner.micro_steps : learner.full_steps);
  const Mix mix = sampling_mix(config, kind_of(order.kind));
  const Fresh fresh = {.episode = order.episode, .share = micro ? learner.share_fresh : 0};
  Random random(order.seed);
  Batch batch;
  double loss = 0;
  std::uint32_t loss_steps = 0;
  for (std::uint32_t step = 0; step < steps; ++step) {
    if (step % kStepsBetweenLooks == 0 && should_abort()) {
      return aborted("a newer correction makes this round pointless");
    }
    NUDGE_TRY(dataset.sample(batch, static_cast<std::size_t>(learner.batch), mix, random, fresh));
    NUDGE_TRY(trainer.step(batch));
    if (step >= steps - steps / 10) {
      loss += trainer.last_loss();
      ++loss_steps;
    }
  }
  Result<std::vector<std::byte>> bytes = trainer.weights(std::move(lineage));
  if (!bytes.ok()) return bytes.status();
  CandidateMessage candidate;
  candidate.base = order.base;
  candidate.kind = kind_of(order.kind);
  candidate.prefix = order.prefix;
  candidate.steps = steps;
  candidate.loss = loss_steps > 0 ? loss / loss_steps : 0;
  const DatasetCounts counts = dataset.counts();
  const auto of = [&](SampleClass c) { return counts.trainable[static_cast<std::size_t>(c)]; };
  candidate.correction_episodes =
      static_cast<std::uint32_t>(counts.corrected_episodes - counts.held_out_episodes);
  candidate.correction_steps = of(SampleClass::kCorrection) + of(SampleClass::kRecovery);
  candidate.demonstration_steps = of(SampleClass::kDemonstration);
  candidate.weights = *std::move(bytes);
  candidate.train_seconds = wall_seconds_since(start);
  return candidate;
}

Learner::Learner(const Config& config, DaemonLink& link, const SandboxReport& sandbox)
    : config_(config), link_(link), sandbox_(sandbox), planner_(round_planner_options(config)) {}

Status Learner::run(const std::function<bool()>& stop) {
  NUDGE_TRY(greet(stop));
  while (!stopped_ && !stop()) {
    NUDGE_TRY(take_message(pending_.empty() ? kIdleWait : Duration::zero()));
    NUDGE_TRY(fold_pending());
    NUDGE_TRY(report_progress());
  }
  return {};
}

Status Learner::greet(const std::function<bool()>& stop) {
  LearnerHello hello;
  hello.pid = ::getpid();
  hello.config_hash = training_config_hash(config_);
  if (const char* core = std::getenv("OPENBLAS_CORETYPE")) hello.core_type = core;
  if (config_.learner.device == DeviceUse::kCuda) hello.core_type = "cuda";
  hello.confined = sandbox_.whole();
  hello.sandbox = sandbox_.text();
  NUDGE_TRY(link_.send(LearnerMessage(hello)));
  const auto start = std::chrono::steady_clock::now();
  while (!stop()) {
    const std::optional<DaemonMessage> message = link_.receive(kIdleWait);
    if (message && std::holds_alternative<LearnerWelcome>(*message)) {
      const auto& welcome = std::get<LearnerWelcome>(*message);
      shape_.feature_size = welcome.feature_size;
      shape_.proprioception_size = welcome.proprioception_size;
      shape_.action_size = welcome.action_size;
      shape_.policy_period = Duration(static_cast<std::int64_t>(welcome.policy_period_ns));
      shape_.backbone_hash = welcome.backbone_hash;
      weights_folder_ = welcome.weights_folder;
      DatasetOptions options = dataset_options(config_, shape_);
      NUDGE_TRY(let_relabel(config_, options));
      NUDGE_TRY(options.validate());
      dataset_.emplace(posix_files(), options);
      return link_.send(LearnerMessage(FeedRequest{.from = 1}));
    }
    if (message && std::holds_alternative<LearnerStop>(*message)) {
      stopped_ = true;
      return {};
    }
    if (!link_.open()) return unavailable("the daemon is gone");
    if (wall_seconds_since(start) > seconds(kGreetingPatience)) {
      return deadline_exceeded("the daemon did not answer within 30 s; is it still running?");
    }
  }
  stopped_ = true;
  return {};
}

Status Learner::take_message(Duration timeout) {
  const std::optional<DaemonMessage> message = link_.receive(timeout);
  if (!message) return link_.open() ? Status() : unavailable("the daemon is gone");
  if (std::holds_alternative<LearnerStop>(*message)) {
    stopped_ = true;
    return {};
  }
  const auto* items = std::get_if<FeedItems>(&*message);
  if (items == nullptr) return {};
  Result<std::vector<FeedItem>> page = decode_feed(items->page, kMaxFeedItems);
  if (!page.ok()) return page.status();
  for (FeedItem& item : *page) {
    if (first_sequence(item) != requested_from_) {
      return data_loss("the feed jumps from " + std::to_string(requested_from_) + " to " +
                       std::to_string(first_sequence(item)));
    }
    requested_from_ = last_sequence(item) + 1;
    pending_.push_back(std::move(item));
  }
  durable_ = std::max(durable_, items->durable);
  if (live_from_ == 0) live_from_ = durable_;
  return link_.send(LearnerMessage(FeedRequest{.from = requested_from_}));
}

Status Learner::fold_pending() {
  while (!pending_.empty()) {
    const FeedItem item = std::move(pending_.front());
    pending_.pop_front();
    Status folded = dataset_->apply(item);
    const auto* steps = std::get_if<StepsRef>(&item);
    if (folded.code() == Code::kDataLoss && steps != nullptr) {
      dataset_->pass_over(*steps);  // damaged on disk; the daemon says so
      folded = {};
    }
    NUDGE_TRY(folded);
    const auto* event = std::get_if<Event>(&item);
    if (event == nullptr) continue;
    planner_.apply(*event);
    const std::optional<RoundOrder> order = planner_.due();
    if (!order || order->prefix <= live_from_) continue;
    NUDGE_TRY(run_due_round());
  }
  return {};
}

bool Learner::is_overtaken(const RoundOrder& order) const {
  // One full round takes in all episodes that have ended: rounds that take longer than episodes
  // would fall further and further behind.
  return order.kind == RoundKind::kFull &&
         std::any_of(pending_.begin(), pending_.end(), [](const FeedItem& item) {
           const auto* event = std::get_if<Event>(&item);
           return event != nullptr && std::holds_alternative<EpisodeEnded>(event->payload);
         });
}

bool Learner::something_newer() {
  // Look at what has arrived without folding it: the round must not see more than its prefix.
  if (!take_message(Duration::zero()).ok() || stopped_) return true;
  for (; looked_ahead_ < pending_.size(); ++looked_ahead_) {
    if (const auto* event = std::get_if<Event>(&pending_[looked_ahead_])) ahead_->apply(*event);
  }
  return ahead_->abort_running();
}

Result<std::shared_ptr<const Weights>> Learner::load(WeightsVersion version) {
  const WeightsRecord* record = planner_.weights().find(version);
  if (record == nullptr) return not_found("the log knows no weights v" + std::to_string(version));
  Result<std::unique_ptr<Folder>> folder = open_folder(weights_folder_);
  if (!folder.ok()) return folder.status();
  Result<std::vector<std::byte>> bytes =
      (*folder)->read(std::to_string(version) + ".safetensors", WeightsStore::kMaxWeightsBytes);
  if (!bytes.ok()) return bytes.status();
  Result<std::shared_ptr<const Weights>> weights = Weights::parse(*std::move(bytes));
  if (!weights.ok()) return weights.status().with_context("weights v" + std::to_string(version));
  if ((*weights)->hash() != record->hash) {
    return data_loss("weights v" + std::to_string(version) +
                     " are not the ones that the log names");
  }
  return weights;
}

Result<Trainer*> Learner::trainer_for(const RoundOrder& order,
                                      const std::shared_ptr<const Weights>& start) {
  const bool micro = order.kind == RoundKind::kMicro;
  if (micro && micro_ != nullptr && micro_episode_ == order.episode &&
      micro_hash_ == to_hex(start->hash())) {
    return micro_.get();
  }
  std::shared_ptr<const Weights> confirmed;
  if (const WeightsVersion version = planner_.weights().confirmed(); version != 0) {
    Result<std::shared_ptr<const Weights>> loaded = load(version);
    if (!loaded.ok()) return loaded.status();
    confirmed = *std::move(loaded);
  }
  TrainerOptions options = trainer_options(config_, kind_of(order.kind));
  options.seed = order.seed;
  Result<std::unique_ptr<Trainer>> trainer = Trainer::create(start, confirmed, options);
  if (!trainer.ok()) return trainer.status();
  std::unique_ptr<Trainer>& place = micro ? micro_ : full_;
  place = *std::move(trainer);
  if (micro) micro_episode_ = order.episode;
  return place.get();
}

Status Learner::run_due_round() {
  RoundOrder order = *planner_.due();
  if (is_overtaken(order)) return {};
  order.prefix = dataset_->prefix();  // a round that had to wait sees more than what made it due
  planner_.started(order);
  ahead_ = planner_;
  looked_ahead_ = 0;
  if (something_newer()) {  // known already: not begun
    planner_.gave_up();
    return {};
  }
  trouble_.clear();
  const auto attempt = [&]() -> Result<CandidateMessage> {
    Result<std::shared_ptr<const Weights>> base = load(order.base);
    if (!base.ok()) return base.status();
    Result<std::shared_ptr<const Weights>> start =
        order.start == order.base ? base : load(order.start);
    if (!start.ok()) return start.status();
    Result<Trainer*> trainer = trainer_for(order, *start);
    if (!trainer.ok()) return trainer.status();
    Lineage lineage;
    lineage.parent_hash = to_hex((*base)->hash());
    lineage.kind = kind_of(order.kind);
    lineage.prefix = order.prefix;
    lineage.config_hash = training_config_hash(config_);
    lineage.backbone_hash = shape_.backbone_hash;
    lineage.base_hash = (*base)->lineage().base_hash;
    if (order.start != order.base) lineage.origin_hash = to_hex((*start)->hash());
    return run_round(order, config_, *dataset_, **trainer, lineage,
                     [this] { return something_newer(); });
  };
  Result<CandidateMessage> candidate = attempt();
  full_.reset();
  if (candidate.status().code() == Code::kAborted) {
    planner_.gave_up();
  } else {
    planner_.finished(candidate.ok());
  }
  if (!candidate.ok()) {
    if (order.kind == RoundKind::kMicro) micro_.reset();
    if (candidate.status().code() == Code::kAborted) {
      ++aborted_;
    } else {
      trouble_ = candidate.status().message();
    }
    return {};
  }
  ++rounds_;
  if (order.kind == RoundKind::kMicro) {
    micro_hash_ = to_hex(sha256(candidate->weights));
  }
  return link_.send(LearnerMessage(*std::move(candidate)));
}

Status Learner::report_progress() {
  if (!pending_.empty() || dataset_->prefix() == reported_) return {};
  reported_ = dataset_->prefix();
  return link_.send(LearnerMessage(LearnerProgress{
      .through = reported_, .rounds = rounds_, .aborted_rounds = aborted_, .trouble = trouble_}));
}

}  // namespace nudge
