#include "src/daemon/writer_thread.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::milliseconds(5);
// A learner that reads the log from its start asks for the next page as soon as it has one.
constexpr Duration kPatienceWhileBehind = std::chrono::microseconds(200);
// Features are ready a millisecond after their step began; a step takes many. Later than this,
// inference hangs, and the step is lost rather than the log held up.
constexpr Duration kFeaturesPatience = std::chrono::milliseconds(500);
constexpr std::size_t kMaxOpenSteps = 512;
constexpr std::size_t kFeedBatch = 500;
constexpr Duration kBetweenReplaced = std::chrono::minutes(1);  // lines about the same
constexpr std::size_t kEvictAtOnce = 4;                         // each is a commit
constexpr std::size_t kSnapshotPages = 256;                     // a turn: 1 MiB

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

// Trouble with disk or memory that the robot does not stop for.
bool may_pass(const Status& status) {
  return status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable;
}

}  // namespace

WriterThread::WriterThread(Log& log, StopLatch latch, std::unique_ptr<LearnerHost> host,
                           Links& links, WriterThreadOptions options, Tell tell, Wake wake)
    : log_(log),
      latch_(std::move(latch)),
      host_(std::move(host)),
      links_(links),
      options_(std::move(options)),
      tell_(std::move(tell)),
      wake_(std::move(wake)),
      recorder_(log, options_.boot, options_.self),
      retention_(options_.budget_bytes),
      fed_(options_.fed),
      latch_wanted_(latch_.latched()) {
  moment_.weights = options_.live;
}

WriterThread::~WriterThread() { stop(); }

void WriterThread::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-writer");
}

void WriterThread::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void WriterThread::run() {
  while (!stop_) turn(host_ && host_->behind(log_) ? kPatienceWhileBehind : kPatience);
  turn(Duration::zero());
  settle(/*all=*/true);
  write_latch();
  commit();
  seal(/*now=*/true);
  // Here, since the learner dies with the thread that started it.
  if (host_) host_->stop();
}

void WriterThread::write_latch() {
  if (latch_.latched() == latch_wanted_) return;
  check(latch_.set(latch_wanted_), "the STOP latch is not on disk");
}

void WriterThread::turn(Duration patience) {
  links_.writer.take_all(items_, patience);
  for (WriterItem& item : items_) take(item);
  settle(/*all=*/false);
  write_latch();
  const Instant now = options_.clock();
  const LogStats stats = log_.stats();
  const bool pending = stats.appended != stats.durable;
  if (commit_wanted_ || (pending && now - committed_ >= options_.commit_every)) commit();
  seal(/*now=*/false);
  write_unwritten();
  if (room_wanted_ && recording_) make_room();
  if (snapshotting_) go_on_with_snapshot();
  pass_on();
  serve_learner();
  publish();
}

// Signs the log's head, so that it can be kept elsewhere.
void WriterThread::seal(bool now) {
  if (!options_.seal || log_.head().sequence == sealed_) return;
  const Instant time = options_.clock();
  if (!now && sealed_ != 0 && time - sealed_at_ < options_.seal_every) return;
  sealed_ = log_.head().sequence;
  sealed_at_ = time;
  const Status kept = options_.seal->write(log_.head(), options_.wall());
  if (!kept.ok() && kept.message() != seal_trouble_) {
    tell_(LogLevel::kWarn, "log", "the signed head is not on disk: " + kept.message());
  }
  seal_trouble_ = kept.message();
  // Also one that this disk did not take. What does not fit is counted there.
  if (options_.export_heads)
    (void)links_.signed_heads.try_push(std::string(options_.seal->newest()));
}

// What a full disk has kept from being written at the start, as soon as it can be.
void WriterThread::write_unwritten() {
  const Instant now = options_.clock();
  if (unwritten_.empty() || now - rewritten_at_ < options_.rewrite_every) return;
  rewritten_at_ = now;
  std::erase_if(unwritten_, [](const UnwrittenFile& file) { return file.write().ok(); });
  if (unwritten_.empty()) {
    tell_(LogLevel::kInfo, "state", "what could not be written at the start is on disk now");
  }
}

void WriterThread::take(WriterItem& item) {
  std::visit(Overloaded{[&](StepReport& report) { take(report); },
                        [&](StepFeatures& features) {
                          features_.push_back(std::move(features));
                          if (features_.size() > kMaxOpenSteps) features_.pop_front();
                        },
                        [&](FeedbackRecord& record) { take(record); },
                        [&](RecordWanted& record) { take(record); },
                        [&](SnapshotWanted&) { take_snapshot(); }},
             item);
}

void WriterThread::take(StepReport& report) {
  latch_wanted_ = report.decision.stop_latched;  // STOP waits for nothing
  waiting_.push_back({.report = std::move(report), .came = options_.clock()});
  settle(/*all=*/false);
}

// Reports are recorded in order; one whose step has ended waits for the step's features.
void WriterThread::settle(bool all) {
  while (!waiting_.empty()) {
    Waiting& first = waiting_.front();
    const bool last_chance = all || options_.clock() - first.came >= kFeaturesPatience;
    if (!settle(first.report, last_chance)) return;
    waiting_.pop_front();
  }
}

bool WriterThread::settle(StepReport& report, bool last_chance) {
  std::optional<StepFeatures> features;
  if (report.finished) {
    const Step& step = *report.finished;
    const auto mine = std::find_if(features_.begin(), features_.end(), [&](const StepFeatures& f) {
      return f.episode == step.episode && f.step == step.policy_step;
    });
    if (mine == features_.end()) {
      if (!last_chance) return false;
      if (unrecorded_ == 0) {
        recorder_.steps_lost(step.policy_step, 1, step.source == ControlSource::kHuman);
      }
      report.finished.reset();
    } else {
      features = std::move(*mine);
      report.finished->reference = std::move(features->reference.actions);
      report.finished->reference_age = features->reference.age;
      features_.erase(features_.begin(), mine + 1);
    }
  }
  report.moment.weights = moment_.weights;
  const Moment& moment = report.moment;
  moment_ = moment;
  if (report.lost > 0 && unrecorded_ == 0)
    recorder_.steps_lost(report.lost_first, report.lost, report.lost_human);
  if (report.begun) {
    // One that could not be ended must not keep all later ones from the log.
    if (log_.open_episode() != 0) end_episode(EpisodeEnd::kAborted, 0, moment);
    SegmentSpec segment = options_.segment;
    segment.episode = report.begun->episode;
    const Result<EpisodeId> begun =
        recorder_.begin_episode({.purpose = report.begun->purpose,
                                 .seed = report.begun->seed,
                                 .instruction = report.begun->instruction},
                                segment, moment);
    // The robot works on without a record; people see that there is none.
    unrecorded_ = begun.ok() ? 0 : report.begun->episode;
    check(begun.status(), "this episode is not recorded");
    commit_wanted_ = true;
  }
  TickOutcome outcome;
  outcome.decision = &report.decision;
  outcome.step_begun = report.step_begun;
  outcome.played = report.played;
  if (unrecorded_ == 0) outcome.finished = std::move(report.finished);
  if (unrecorded_ != 0) outcome.step_begun = false;
  const bool auto_step = outcome.finished && (outcome.finished->source == ControlSource::kPolicy ||
                                              outcome.finished->source == ControlSource::kNudge);
  const bool clamped = outcome.finished && (outcome.finished->flags & kStepClamped) != 0;
  const Status recorded =
      recorder_.on_tick(outcome, features ? std::move(features->features) : std::vector<float>(),
                        features ? std::move(features->images) : std::vector<Image>(),
                        report.decision.lease.holder.value_or(options_.self), moment);
  check(recorded, "a step");
  for (const ActAnswer& answer : report.decision.answers) {
    if (answer.status.ok() && !answer.logged) {
      unlogged_.push_back(answer);
      commit_wanted_ = true;
      continue;
    }
    notice_.answers.push_back(answer);
    if (!answer.logged) continue;
    if (recorded.ok()) {
      waiting_ids_.push_back(answer.id);
    } else {
      notice_.not_stored.emplace_back(answer.id, recorded);
    }
  }
  if (!report.decision.records.empty() || report.decision.span_end) commit_wanted_ = true;
  if (unrecorded_ == 0) record_help(report, moment);
  if (report.over) {
    if (log_.open_episode() != 0) end_episode(report.over->reason, report.over->steps, moment);
    unrecorded_ = 0;
    commit_wanted_ = room_wanted_ = true;
  }
  TickNews news;
  news.chunk = report.chunk;
  news.episode_begun = report.begun.has_value();
  news.episode_over = report.over.has_value();
  for (const AuthorityRecord& record : report.decision.records) {
    const auto* change = std::get_if<AuthorityChanged>(&record.payload);
    if (change != nullptr && change->from == AuthorityState::kAuto &&
        change->to == AuthorityState::kTakeover) {
      news.takeover = true;
    }
  }
  if (auto_step) news.auto_step = clamped;
  news.non_finite = report.decision.roll_back_weights;
  news.played = report.played;
  const bool matters = news.chunk || news.episode_begun || news.episode_over || news.takeover ||
                       news.auto_step || news.non_finite ||
                       (news.played != 0 && news.played != moment_.weights);
  if (matters) (void)links_.gate.push_reserved(GateItem(std::move(news)));
  return true;
}

void WriterThread::record_help(const StepReport& report, const Moment& moment) {
  const auto append = [&](const auto& payload) {
    if (!payload) return;
    check(recorder_.append(*payload, moment), "what the policy asked");
    commit_wanted_ = true;
  };
  append(report.help_ended);
  append(report.help_asked);
  append(report.help_scored);
}

void WriterThread::end_episode(EpisodeEnd reason, std::uint32_t steps, const Moment& moment) {
  check(recorder_.end_episode(reason, steps, moment), "the end of an episode");
}

void WriterThread::take(FeedbackRecord& record) {
  Moment moment = now_moment();
  const Status taken = recorder_.append(record.payload, moment, record.actor, record.id);
  commit_wanted_ = true;
  if (record.id.empty()) {
    check(taken, "feedback");
  } else if (taken.ok()) {
    waiting_ids_.push_back(record.id);
  } else {
    notice_.not_stored.emplace_back(record.id, taken);
  }
}

void WriterThread::take(RecordWanted& record) {
  const Moment moment = now_moment();
  const std::string id = record.id;
  const Status taken = recorder_.append(std::move(record.payload), moment,
                                        record.actor.value_or(options_.self), std::move(record.id));
  check(taken, "what was decided");
  if (!id.empty()) {
    if (taken.ok()) {
      waiting_ids_.push_back(id);
    } else {
      notice_.not_stored.emplace_back(id, taken);
    }
  }
  commit_wanted_ = true;
}

Moment WriterThread::now_moment() const {
  Moment moment = moment_;
  moment.now = options_.clock();
  moment.wall = options_.wall();
  return moment;
}

void WriterThread::check(const Status& status, std::string_view what) {
  if (status.ok() || status.message() == trouble_) return;
  trouble_ = status.message();
  tell_(LogLevel::kError, "log", "NOT RECORDING (" + std::string(what) + "): " + trouble_);
}

void WriterThread::commit() {
  commit_wanted_ = false;
  committed_ = options_.clock();
  const Status committed = recorder_.commit();
  if (!committed.ok()) {
    // Control goes on; what waits is committed as soon as the disk takes it, and acknowledged then.
    if (recording_) tell_(LogLevel::kError, "log", "NOT RECORDING: " + committed.message());
    recording_ = false;
    trouble_ = committed.message();
    return;
  }
  if (!recording_) tell_(LogLevel::kWarn, "log", "recording again");
  recording_ = true;
  trouble_.clear();
  std::move(unlogged_.begin(), unlogged_.end(), std::back_inserter(notice_.answers));
  unlogged_.clear();
  for (std::string& id : waiting_ids_) notice_.durable.push_back(std::move(id));
  waiting_ids_.clear();
}

// Whoever asks while one is under way gets that one.
void WriterThread::take_snapshot() {
  if (snapshotting_) return;
  const Status started = log_.start_snapshot(options_.snapshot);
  snapshotting_ = started.ok();
  if (!started.ok()) notice_.snapshot = started;
}

void WriterThread::go_on_with_snapshot() {
  const Result<bool> done = log_.go_on_with_snapshot(kSnapshotPages);
  if (done.ok() && !*done) return;
  snapshotting_ = false;
  notice_.snapshot = done.status();
}

void WriterThread::make_room() {
  const LogStats stats = log_.stats();
  if (stats.appended != stats.durable) return;  // after the next commit, which acknowledges
  const Result<std::vector<Victim>> gone =
      recorder_.make_room(retention_, now_moment(), kEvictAtOnce);
  if (!gone.ok()) {
    check(gone.status(), "no room could be made");
    return;
  }
  for (const Victim& victim : *gone) {
    tell_(LogLevel::kInfo, "log",
          "the steps of episode " + std::to_string(victim.episode) + " (" +
              words_for(victim.worth) + ", " + std::to_string(victim.bytes / 1024) +
              " kB) were deleted: log.budget_bytes is reached");
  }
  room_wanted_ = gone->size() == kEvictAtOnce;
  const bool stuck = retention_.over_budget() && gone->empty();
  const bool told = !over_budget_.empty();
  over_budget_.clear();
  if (!stuck) return;
  over_budget_ =
      "the recorded steps take " + std::to_string(retention_.bytes()) +
      " bytes, more than log.budget_bytes, and nothing of them may be deleted: what is left are "
      "demonstrations, episodes that weights are judged by, and the newest";
  if (!told) tell_(LogLevel::kWarn, "log", over_budget_);
}

// What has become durable, to the gate and to people.
void WriterThread::pass_on() {
  while (fed_ < log_.durable()) {
    Result<std::vector<FeedItem>> items = log_.feed(fed_ + 1, kFeedBatch);
    if (!items.ok()) {
      if (!may_pass(items.status())) check(items.status(), "the log cannot be read");
      break;
    }
    if (items->empty()) break;
    const Sequence last = last_sequence(items->back());
    std::vector<Event> events;
    std::vector<StepsRef> steps;
    for (const FeedItem& item : *items) {
      if (const auto* event = std::get_if<Event>(&item)) events.push_back(*event);
      if (const auto* run = std::get_if<StepsRef>(&item)) steps.push_back(*run);
    }
    // The gate is behind: the same again later, nothing is lost.
    if (!links_.gate.push_reserved(GateItem(FeedBatch{*std::move(items)}))) break;
    fed_ = last;
    for (Event& event : events) {
      if (const auto* live = std::get_if<WeightsLive>(&event.payload)) {
        moment_.weights = live->version;
      } else if (const auto* back = std::get_if<WeightsRolledBack>(&event.payload)) {
        moment_.weights = back->to;
      }
      notice_.events.push_back(std::move(event));
    }
    std::move(steps.begin(), steps.end(), std::back_inserter(notice_.steps));
  }
  pass_candidate_on();
  const bool news = !notice_.answers.empty() || !notice_.durable.empty() ||
                    !notice_.not_stored.empty() || !notice_.events.empty() ||
                    !notice_.steps.empty() || notice_.snapshot.has_value();
  if (!news) return;
  if (links_.notices.try_push(std::move(notice_))) {
    notice_ = {};
    if (wake_) wake_();
  }
}

void WriterThread::serve_learner() {
  if (!host_) return;
  const Status served = host_->serve(log_, Duration::zero());
  if (!served.ok() && served.message() != learner_trouble_) {
    tell_(LogLevel::kError, "learner", served.message());
  }
  learner_trouble_ = served.message();
  if (host_->connected()) learner_seen_ = options_.clock();
  const bool loose = host_->connected() && !host_->confined();
  if (loose && !std::exchange(loose_told_, true)) {
    tell_(LogLevel::kWarn, "learner",
          "the learner works without all of its sandbox (" + host_->sandbox() +
              "), as learner.require_sandbox = false lets it: whoever breaks into it can read this "
              "user's files");
  }
  const std::uint64_t replaced = host_->replaced_candidates();
  if (replaced > replaced_told_ && options_.clock() - replaced_told_at_ >= kBetweenReplaced) {
    tell_(LogLevel::kWarn, "learner",
          std::to_string(replaced - replaced_told_) +
              " finished rounds gave way to newer ones before the gate had time for them");
    replaced_told_ = replaced;
    replaced_told_at_ = options_.clock();
  }
}

// One at a time: all others wait where newer ones take their place.
void WriterThread::pass_candidate_on() {
  if (!candidate_ && host_ && !links_.candidate_at_gate) {
    if (auto next = host_->take_candidate()) candidate_ = GateItem(*std::move(next));
  }
  if (!candidate_) return;
  links_.candidate_at_gate = true;
  if (links_.gate.push_reserved(*std::move(candidate_))) {
    candidate_.reset();
  } else {
    links_.candidate_at_gate = false;
  }
}

void WriterThread::publish() {
  WriterStatus status;
  status.log = log_.stats();
  status.recording = recording_ && status.log.recording && unrecorded_ == 0;
  status.trouble = trouble_;
  status.over_budget = over_budget_;
  for (const UnwrittenFile& file : unwritten_) {
    status.unwritten += (status.unwritten.empty() ? "" : "; ") + file.trouble;
  }
  if (options_.seal) {
    status.head_sequence = sealed_;
    status.head = options_.seal->newest();
  }
  if (host_) {
    status.learner_on = true;
    status.learner_connected = host_->connected();
    status.learner_deaths = host_->deaths();
    status.learner = host_->progress();
    status.learner_seen = learner_seen_;
    status.learner_confined = host_->confined();
    status.learner_sandbox = host_->sandbox();
  }
  links_.writer_status.put(std::move(status));
}

}  // namespace nudge
