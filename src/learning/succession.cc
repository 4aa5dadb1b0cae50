#include "src/learning/succession.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace nudge {
namespace {

constexpr std::uint32_t kAcceptedBetweenPrunes = 20;

// The learner is another process: what it calls a number may be none.
CandidateReceived received(const CandidateMessage& candidate) {
  const auto finite = [](double value) { return std::isfinite(value) ? value : 0.0; };
  return {.hash = sha256(candidate.weights),
          .parent = candidate.base,
          .kind = candidate.kind,
          .prefix = candidate.prefix,
          .train_seconds = finite(candidate.train_seconds),
          .steps = candidate.steps,
          .loss = finite(candidate.loss),
          .correction_episodes = candidate.correction_episodes,
          .correction_steps = candidate.correction_steps,
          .demonstration_steps = candidate.demonstration_steps};
}

}  // namespace

Succession::Succession(FileSystem& files, Rollout& rollout, const DatasetOptions& dataset,
                       const RoundPlannerOptions& planner, const ProbationOptions& probation,
                       Record record, Tell tell)
    : rollout_(rollout),
      record_(std::move(record)),
      tell_(std::move(tell)),
      dataset_(files, dataset),
      planner_(planner),
      probation_(probation),
      shape_(dataset.shape) {}

// ---- the log ------------------------------------------------------------------------------------

Status Succession::fold(const FeedItem& item) {
  const std::size_t refused = dataset_.refused_takeovers().size();
  Status folded = dataset_.apply(item);
  const auto* steps = std::get_if<StepsRef>(&item);
  if (folded.code() == Code::kDataLoss && steps != nullptr) {
    tell_(LogLevel::kError, "log", "steps are lost to learning: " + folded.message());
    dataset_.pass_over(*steps);
    ++damaged_runs_;
    folded = {};
  }
  NUDGE_TRY(folded);
  if (const auto* event = std::get_if<Event>(&item)) {
    planner_.apply(*event);
    teachers_.apply(*event);
    if (const auto* boot = std::get_if<Booted>(&event->payload)) boot_shape_ = boot->shape;
    if (const auto* accepted = std::get_if<WeightsAccepted>(&event->payload)) {
      const bool newest = made_for_.empty() || made_for_.rbegin()->first < accepted->version;
      if (!newest || made_for_.empty() || made_for_.rbegin()->second != boot_shape_) {
        made_for_[accepted->version] = boot_shape_;
      }
    }
    if (const auto* live = std::get_if<WeightsLive>(&event->payload);
        live != nullptr && live->version == announced_) {
      announced_ = 0;
    }
    if (const auto* rejected = std::get_if<WeightsRejected>(&event->payload)) {
      tell_refused(refused, *rejected);
    }
    if (std::holds_alternative<LearningPaused>(event->payload)) pause_asked_ = false;
    if (std::holds_alternative<WeightsRolledBack>(event->payload)) going_back_ = false;
  }
  folded_ = last_sequence(item);
  return {};
}

void Succession::tell_refused(std::size_t known, const WeightsRejected& rejected) const {
  const std::vector<EpisodeId>& all = dataset_.refused_takeovers();
  if (!booted_ || all.size() == known) return;
  std::string episodes;
  for (std::size_t i = known; i < all.size(); ++i) {
    if (i > known && all[i] == all[i - 1]) continue;
    episodes += (episodes.empty() ? "" : ", ") + std::to_string(all[i]);
  }
  tell_(LogLevel::kWarn, "learner",
        "the gate refuses every round that learns from what people did in episode " + episodes +
            " (" + rejected.reason + ": " + rejected.detail + "); " +
            std::to_string(all.size() - known) +
            (all.size() - known == 1 ? " takeover teaches nothing until somebody labels it"
                                     : " takeovers teach nothing until somebody labels them") +
            " a success");
}

Status Succession::fits(WeightsVersion version) const {
  const auto next = made_for_.upper_bound(version);
  if (next == made_for_.begin()) return {};
  const std::string& made_for = std::prev(next)->second;
  if (made_for.empty() || shape_.empty() || made_for == shape_) return {};
  return failed_precondition("v" + std::to_string(version) +
                             " was made for the robot as it was then, and its channels, rates or "
                             "policy period are others now; train anew with 'nudge train'");
}

Result<LoadedHead> Succession::load(WeightsVersion version) {
  NUDGE_TRY(fits(version));
  return rollout_.load(version, history());
}

Result<std::optional<LoadedHead>> Succession::boot() {
  booted_ = true;
  const WeightsVersion confirmed = history().confirmed();
  probation_.on_boot(confirmed, {});
  if (confirmed == 0) return std::optional<LoadedHead>();
  Result<LoadedHead> head = load(confirmed);
  if (head.ok()) return std::optional<LoadedHead>(*std::move(head));
  // The robot holds rather than run what nobody confirmed.
  tell_(LogLevel::kError, "weights",
        "the confirmed weights v" + std::to_string(confirmed) + " cannot be used (" +
            head.status().message() + "); the robot holds until others are promoted");
  NUDGE_TRY(record(Fault{.code = "weights", .detail = head.status().message()}));
  return std::optional<LoadedHead>();
}

// ---- candidates ---------------------------------------------------------------------------------

Status Succession::consider(const CandidateMessage& candidate, WeightsVersion next, WallTime wall) {
  // Its parent may be what was just found wanting; the fold does not know yet.
  if (going_back_) return supersede(candidate);
  NUDGE_TRY(record(received(candidate)));
  Result<Admission> admission = rollout_.consider(
      candidate.weights, Offered::kByLearner, history(), std::max(next, given_ + 1), wall,
      [this](WeightsVersion v) { return fits(v).ok(); });
  if (!admission.ok()) {
    tell_(LogLevel::kError, "weights", admission.status().message());
    return {};
  }
  NUDGE_TRY(record(admission->record()));
  if (!admission->report.accepted) {
    ++counts_.rejected;
    tell_(LogLevel::kWarn, "gate",
          "weights refused (" + admission->report.reason + "): " + admission->report.detail);
    return {};
  }
  ++counts_.accepted;
  given_ = admission->version;
  staged_ = std::move(admission->head);
  // Also where nothing is ever confirmed the folder must not grow for ever.
  if (++unpruned_ >= kAcceptedBetweenPrunes) prune();
  return {};
}

void Succession::prune() {
  unpruned_ = 0;
  if (const Status pruned = rollout_.prune(history()); !pruned.ok()) {
    tell_(LogLevel::kWarn, "weights", "old versions stay: " + pruned.message());
  }
}

Status Succession::supersede(const CandidateMessage& candidate) {
  NUDGE_TRY(record(received(candidate)));
  return record(WeightsRejected{.hash = sha256(candidate.weights),
                                .parent = candidate.base,
                                .reason = std::string(kSuperseded),
                                .detail = "a correction or a rollback came meanwhile"});
}

Result<WeightsVersion> Succession::install(std::span<const std::byte> weights,
                                           const Actor& engineer, WeightsVersion next,
                                           WallTime wall, std::span<const std::byte> base) {
  NUDGE_TRY(refresh_probes());
  Result<Admission> admission = rollout_.consider(
      weights, Offered::kByEngineer, history(), std::max(next, given_ + 1), wall,
      [this](WeightsVersion v) { return fits(v).ok(); }, base);
  if (!admission.ok()) return admission.status();
  NUDGE_TRY(record(admission->record()));
  if (!admission->report.accepted) {
    return failed_precondition("the gate refused the weights (" + admission->report.reason +
                               "): " + admission->report.detail);
  }
  given_ = admission->version;
  NUDGE_TRY(record_(WeightsPromoted{.version = admission->version}, engineer, ""));
  probation_.on_confirmed(admission->version);
  staged_ = std::move(admission->head);
  return admission->version;
}

Status Succession::refresh_probes() {
  NUDGE_TRY(rollout_.refresh_probes(dataset_));
  const std::string trouble = dataset_.take_unread().message();
  if (std::exchange(unread_, trouble) != trouble && !trouble.empty()) {
    tell_(LogLevel::kError, "log",
          "steps are missing from what the gate tries weights on: " + trouble);
  }
  return {};
}

std::optional<LoadedHead> Succession::take_due(bool person_drives) {
  // Weights that the log does not hold yet do not run: a crash would lose track of them.
  if (!staged_ || person_drives) return std::nullopt;
  const WeightsRecord* known = history().find(staged_->version);
  if (known == nullptr) return std::nullopt;
  return std::exchange(staged_, std::nullopt);
}

// ---- acts of people -----------------------------------------------------------------------------

Status Succession::promote(WeightsVersion version, const Actor& engineer, const std::string& id) {
  const WeightsRecord* known = history().find(version);
  if (known == nullptr) {
    return not_found("there are no weights v" + std::to_string(version));
  }
  if (known->kind != WeightsKind::kFull) {
    return failed_precondition("v" + std::to_string(version) +
                               " is provisional; only full versions can be promoted");
  }
  Result<LoadedHead> head = load(version);
  if (!head.ok()) return head.status();
  NUDGE_TRY(record_(WeightsPromoted{.version = version}, engineer, id));
  probation_.on_confirmed(version);
  staged_ = *std::move(head);
  return {};
}

Result<LoadedHead> Succession::roll_back_by_hand(const Actor& actor, const std::string& id) {
  const WeightsVersion from = std::max(history().live(), history().confirmed());
  const WeightsVersion to = history().roll_back_target();
  if (from == 0 || to == 0) {
    return failed_precondition("there is no earlier version to go back to");
  }
  // Before anything is written: a version that cannot run is nothing to go back to.
  if (Result<LoadedHead> head = load(to); !head.ok()) return head.status();
  return roll_back(from, to, "by_hand", actor, id);
}

Status Succession::resume_learning(const Actor& engineer, const std::string& id) {
  if (!planner_.paused()) return failed_precondition("learning is not paused");
  return record_(LearningResumed{}, engineer, id);
}

Status Succession::withdraw(const std::string& person, const Actor& engineer,
                            const std::string& id) {
  NUDGE_TRY(withdrawable(teachers_, person));
  return record_(CorrectionsWithdrawn{.supervisor = person}, engineer, id);
}

Status Succession::restore(const std::string& person, const Actor& engineer,
                           const std::string& id) {
  NUDGE_TRY(restorable(teachers_, person));
  return record_(CorrectionsRestored{.supervisor = person}, engineer, id);
}

// ---- what happens to the robot ------------------------------------------------------------------

Result<bool> Succession::on_played(WeightsVersion version) {
  if (version == 0 || version == announced_) return false;
  if (announced_ == 0 && version == history().live()) return false;
  const WeightsRecord* known = history().find(version);
  if (known == nullptr) return internal("weights v" + std::to_string(version) + " run unknown");
  // A last action of what was just taken back is no news.
  if (going_back_ || known->state == WeightsState::kRolledBack) return false;
  const WeightsKind kind = known->kind;
  announced_ = version;
  NUDGE_TRY(record(WeightsLive{.version = version}));
  probation_.on_live(version, kind);
  tell_(LogLevel::kInfo, "weights", "v" + std::to_string(version) + " is live");
  return true;
}

void Succession::on_chunk(WeightsVersion version, Duration latency, const Status& taken) {
  if (taken.code() == Code::kInvalidArgument) {
    // Refused by the player, so it never reached the robot, and its version may never have played:
    // the verdict is on that version all the same.
    const WeightsRecord* known = history().find(version);
    if (known == nullptr || known->state == WeightsState::kRolledBack) return;
    probation_.on_live(version, known->kind);
    probation_.on_inference(latency);
    probation_.on_non_finite();
    if (std::exchange(refused_, version) != version) {
      tell_(LogLevel::kError, "policy",
            "v" + std::to_string(version) + " gave an action that cannot be played (" +
                taken.message() + "); the robot did not get it");
    }
    return;
  }
  probation_.on_inference(latency);
}

Result<std::optional<LoadedHead>> Succession::heed() {
  if (planner_.wants_pause() && !pause_asked_) {
    pause_asked_ = true;
    tell_(LogLevel::kWarn, "learner",
          "learning is paused: weights were rolled back too often in a row");
    NUDGE_TRY(record(LearningPaused{.reason = "rolled back twice in a row"}));
  }
  const Verdict verdict = probation_.verdict();
  if (verdict.kind == Verdict::Kind::kConfirm) {
    ++counts_.confirmed;
    NUDGE_TRY(record(WeightsConfirmed{.version = verdict.version}));
    probation_.on_confirmed(verdict.version);
    tell_(LogLevel::kInfo, "probation", "v" + std::to_string(verdict.version) + " is confirmed");
    prune();
    return std::optional<LoadedHead>();
  }
  if (verdict.kind == Verdict::Kind::kRollBack) {
    tell_(LogLevel::kWarn, "probation",
          "rolling back v" + std::to_string(verdict.version) + " to v" +
              std::to_string(verdict.to) + ": " + verdict.detail);
    Result<LoadedHead> head =
        roll_back(verdict.version, verdict.to, verdict.reason, std::nullopt, "");
    if (!head.ok()) return head.status();
    return std::optional<LoadedHead>(*std::move(head));
  }
  return std::optional<LoadedHead>();
}

Result<LoadedHead> Succession::roll_back(WeightsVersion from, WeightsVersion to,
                                         const std::string& reason,
                                         const std::optional<Actor>& actor, const std::string& id) {
  ++counts_.rolled_back;
  // First on the robot, then in the log: going back must not wait for a disk.
  LoadedHead head;  // none: the robot holds
  if (to != 0) {
    Result<LoadedHead> loaded = load(to);
    if (loaded.ok()) {
      head = *std::move(loaded);
    } else {
      NUDGE_TRY(record(Fault{.code = "weights", .detail = loaded.status().message()}));
      tell_(LogLevel::kError, "weights",
            "the confirmed weights v" + std::to_string(to) + " cannot be used (" +
                loaded.status().message() + "); the robot holds until others are promoted");
    }
  }
  NUDGE_TRY(record_(WeightsRolledBack{.from = from, .to = to, .reason = reason}, actor, id));
  going_back_ = true;
  staged_.reset();
  announced_ = 0;
  probation_.on_rolled_back(to);
  return head;
}

}  // namespace nudge
