#include "src/daemon/gate_thread.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::milliseconds(10);

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

GateThread::GateThread(std::unique_ptr<Rollout> rollout, Links& links, WallTime (*wall)(),
                       Tell tell)
    : rollout_(std::move(rollout)), links_(links), wall_(wall), tell_(std::move(tell)) {}

GateThread::~GateThread() { stop(); }

void GateThread::set_succession(std::unique_ptr<Succession> succession, WeightsVersion next) {
  succession_ = std::move(succession);
  next_ = next;
}

Succession::Record GateThread::record() {
  return [this](Payload payload, const std::optional<Actor>& actor, std::string id) {
    untold_.push_back({.payload = std::move(payload), .actor = actor, .id = std::move(id)});
    while (!untold_.empty() &&
           links_.writer.push_reserved(WriterItem(std::move(untold_.front())))) {
      untold_.pop_front();
    }
    return Status{};
  };
}

void GateThread::hand_over(LoadedHead head) { links_.heads.publish(std::move(head)); }

void GateThread::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-gate");
}

void GateThread::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void GateThread::run() {
  while (!stop_) {
    links_.gate.take_all(items_, kPatience);
    for (GateItem& item : items_) take(item);
    fold();
    while (!untold_.empty() &&
           links_.writer.push_reserved(WriterItem(std::move(untold_.front())))) {
      untold_.pop_front();
    }
    while (!unanswered_.empty() && links_.gate_answers.try_push(std::move(unanswered_.front()))) {
      unanswered_.pop_front();
    }
    // What is in use until now is freed here, off the inference thread.
    links_.heads.collect();
    Result<std::optional<LoadedHead>> back = succession_->heed();
    check(back.status());
    if (back.ok() && *back) {
      hand_over(**std::move(back));
      ++links_.flushes;
    }
    const AuthorityState state = links_.state;
    const bool person_drives =
        state == AuthorityState::kHuman || state == AuthorityState::kTakeover;
    if (std::optional<LoadedHead> head = succession_->take_due(person_drives)) {
      hand_over(*std::move(head));
    }
    if (probes_stale_) {
      check(succession_->refresh_probes());
      probes_stale_ = false;
    }
    if (std::exchange(counts_stale_, false)) links_.dataset.put(succession_->dataset().counts());
    links_.gate_status.put({.paused = succession_->planner().paused(),
                            .waits_for_feedback = succession_->planner().waits_for_feedback(),
                            .anything_new = succession_->planner().anything_new()});
  }
}

void GateThread::take(GateItem& item) {
  std::visit(Overloaded{[&](FeedBatch& batch) {
                          for (FeedItem& one : batch.items) unfolded_.push_back(std::move(one));
                          fold();
                        },
                        [&](TickNews& news) { take(news); },
                        [&](CandidateMessage& candidate) {
                          const auto& records = succession_->history().records();
                          const WeightsVersion next =
                              records.empty() ? 1 : records.rbegin()->first + 1;
                          check(succession_->consider(candidate, std::max(next, next_), wall_()));
                          links_.candidate_at_gate = false;
                        },
                        [&](WeightsAct& weights) { act(weights); }},
             item);
}

void GateThread::fold() {
  while (!unfolded_.empty()) {
    const Status folded = succession_->fold(unfolded_.front());
    const bool later =
        folded.code() == Code::kResourceExhausted || folded.code() == Code::kUnavailable;
    check(folded);
    if (later) return;
    counts_stale_ = true;
    const auto* event = std::get_if<Event>(&unfolded_.front());
    if (event != nullptr && std::holds_alternative<EpisodeEnded>(event->payload)) {
      probes_stale_ = true;
    }
    unfolded_.pop_front();
  }
}

void GateThread::take(const TickNews& news) {
  Succession& s = *succession_;
  if (news.chunk) s.on_chunk(news.chunk->version, news.chunk->latency, news.chunk->taken);
  if (news.episode_begun) s.on_episode_started();
  if (news.takeover) s.on_takeover();
  if (news.auto_step) s.on_auto_step(*news.auto_step);
  check(s.on_played(news.played).status());
  if (news.non_finite) s.on_non_finite();
  if (news.episode_over) s.on_episode_ended();
}

void GateThread::act(const WeightsAct& act) {
  const std::string& id = act.message.id;
  Status done = std::visit(
      Overloaded{[&](const PromoteWeights& promote) {
                   return succession_->promote(promote.version, act.actor, id);
                 },
                 [&](const RollBackWeights&) -> Status {
                   Result<LoadedHead> head = succession_->roll_back_by_hand(act.actor, id);
                   if (!head.ok()) return head.status();
                   hand_over(*std::move(head));
                   ++links_.flushes;
                   return {};
                 },
                 [&](const ResumeLearning&) { return succession_->resume_learning(act.actor, id); },
                 [&](const WithdrawCorrections& withdraw) {
                   return succession_->withdraw(withdraw.supervisor, act.actor, id);
                 },
                 [&](const RestoreCorrections& restore) {
                   return succession_->restore(restore.supervisor, act.actor, id);
                 }},
      act.message.body);
  unanswered_.push_back({.id = id, .status = std::move(done)});
}

void GateThread::check(const Status& status) {
  if (status.ok() || status.message() == trouble_) return;
  trouble_ = status.message();
  tell_(LogLevel::kError, "gate", trouble_);
}

}  // namespace nudge
