#include "src/daemon/front_desk.h"

#include <algorithm>

namespace nudge {
namespace {

// How often the newest snapshot is looked at, and every how many looks people are told: 200 and 20
// times a second.
constexpr Duration kLook = std::chrono::milliseconds(5);
constexpr int kLooksPerStatus = 10;
constexpr std::size_t kMaxWaiting = 4096;
constexpr const char* kAfterFeedback =
    "after the next correction, or label that changes what is taught";
constexpr std::size_t kHeadsOfAnExport = 2;  // more wait only for a disk that does not answer
constexpr Duration kLearnerStale = std::chrono::seconds(60);

Ack refusal(const std::string& id, Status status) {
  Ack ack;
  ack.id = id;
  ack.status = std::move(status);
  return ack;
}

}  // namespace

bool Past::apply(const Event& event) {
  history.apply(event);
  episodes.apply(event);
  ledger.apply(event);
  if (const auto* span = std::get_if<SpanOpened>(&event.payload)) newest_span = span->span;
  return help.apply(event);
}

Result<std::unique_ptr<FrontDesk>> FrontDesk::make(Robot& robot, Links& links, EventLoop& loop,
                                                   DeskInfo info, Past past, Understand understand,
                                                   Instant (*clock)()) {
  std::unique_ptr<FrontDesk> desk(
      new FrontDesk(robot, links, loop, std::move(info), std::move(past), clock));
  const RobotSpec& spec = desk->info_.robot;
  Result<Broker> broker = Broker::make(
      {.robot = spec.id, .action_size = spec.action.size(), .policy_period = spec.policy_period},
      [history = &desk->past_.history](std::string_view id) { return history->knows(id); },
      std::move(understand));
  if (!broker.ok()) return broker.status();
  desk->broker_ = std::make_unique<Broker>(*std::move(broker));
  return desk;
}

FrontDesk::FrontDesk(Robot& robot, Links& links, EventLoop& loop, DeskInfo info, Past past,
                     Instant (*clock)())
    : robot_(robot),
      links_(links),
      loop_(loop),
      info_(std::move(info)),
      past_(std::move(past)),
      clock_(clock),
      alive_(std::make_shared<int>(0)) {
  frames_.resize(info_.robot.observation.cameras.size());
  const EpisodeRecord* newest = past_.episodes.find(past_.newest_episode);
  if (newest != nullptr && newest->ended && newest->ended->steps > 0) {
    newest_step_ = newest->ended->steps - 1;
  }
}

void FrontDesk::start() {
  links_.help_thresholds.put(past_.help.thresholds());
  look();  // the first request must not be answered with a state that never was
  looking_ = loop_.every(kLook, [this] { look(); });
}

void FrontDesk::stop() { looking_.reset(); }

void FrontDesk::wake() {
  if (awake_.exchange(true)) return;
  loop_.post([this, alive = std::weak_ptr<void>(alive_)] {
    if (!alive.lock()) return;
    take_notices();
    take_readings();
  });
}

void FrontDesk::look() {
  if (std::optional<WriterStatus> writer = links_.writer_status.try_take()) {
    writer_ = *std::move(writer);
  }
  if (std::optional<HeadExportStatus> heads = links_.head_export.try_take()) {
    head_export_ = *std::move(heads);
  }
  update_storage();
  if (std::optional<GateStatus> gate = links_.gate_status.try_take()) gate_ = *gate;
  if (std::optional<DatasetCounts> counts = links_.dataset.try_take()) {
    dataset_ = *std::move(counts);
  }
  take_notices();
  take_readings();
  if (links_.gate_answers.try_take_all(gate_answers_)) {
    for (GateAnswer& answer : gate_answers_) {
      if (answer.status.ok()) continue;  // acknowledged when it is on disk
      const auto waiting = operators_.find(answer.id);
      if (waiting == operators_.end()) continue;
      const Reply reply = std::move(waiting->second);
      operators_.erase(waiting);
      reply(refusal(answer.id, std::move(answer.status)));
    }
  }
  if (std::optional<std::vector<Image>> frames = links_.frames.try_take()) {
    for (Image& image : *frames) {
      const auto& cameras = info_.robot.observation.cameras;
      const auto camera = std::find_if(cameras.begin(), cameras.end(),
                                       [&](const CameraSpec& c) { return c.name == image.camera; });
      if (camera == cameras.end()) continue;
      const auto index = static_cast<std::size_t>(camera - cameras.begin());
      frames_[index] = std::move(image);
      for (DeskListener* listener : listeners_) listener->on_frame(index);
    }
  }
  if (++looks_ % kLooksPerStatus != 0) return;
  update_learning();
  for (DeskListener* listener : listeners_) listener->on_status();
}

void FrontDesk::take_snapshot() {
  std::optional<Snapshot> snapshot = links_.snapshot.try_take();
  if (!snapshot) return;
  snapshot_ = *std::move(snapshot);
  episode_seen(snapshot_.episode);
  // Between two episodes the step thread counts nothing.
  if (snapshot_.episode != 0 && snapshot_.episode == past_.newest_episode) {
    newest_step_ = snapshot_.policy_step;
  }
  // Commands that went no further than the broker moved nothing, either.
  for (std::size_t i = 0; i < kCommandRefusals; ++i) {
    snapshot_.refused_commands[i] += broker_->refused_commands()[i];
  }
}

void FrontDesk::take_notices() {
  // Whoever is told of their lease drives at once: the broker must know of it by then.
  take_snapshot();
  awake_ = false;
  if (!links_.notices.try_take_all(notices_)) return;
  bool learned = false;
  for (WriterNotice& notice : notices_) {
    for (const Event& event : notice.events) {
      learned = past_.apply(event) || learned;
      episode_seen(event.episode);
    }
    for (const StepsRef& steps : notice.steps) past_.episodes.apply(steps);
    if (notice.snapshot) {
      for (const Read& reply : std::exchange(snapshots_, {})) {
        if (notice.snapshot->ok()) {
          reply(std::string(R"({"snapshot":"log/snapshot.db"})"));
        } else {
          reply(*notice.snapshot);
        }
      }
    }
    for (const ActAnswer& answered : notice.answers) {
      if (const std::optional<Ack> ack = broker_->on_decided(answered)) answer(*ack);
    }
    for (const std::string& id : notice.durable) {
      if (const std::optional<Ack> ack = broker_->on_durable(id)) answer(*ack);
      if (auto mine = records_.extract(id)) mine.mapped()({});
      if (const auto mine = operators_.find(id); mine != operators_.end()) {
        const Reply reply = std::move(mine->second);
        operators_.erase(mine);
        reply(refusal(id, {}));
      }
    }
    for (const auto& [id, why] : notice.not_stored) {
      if (const std::optional<Ack> ack = broker_->on_not_stored(id, why)) answer(*ack);
      if (auto mine = records_.extract(id)) mine.mapped()(why);
      if (const auto mine = operators_.find(id); mine != operators_.end()) {
        const Reply reply = std::move(mine->second);
        operators_.erase(mine);
        reply(refusal(id, why));
      }
    }
    if (notice.events.empty()) continue;
    for (DeskListener* listener : listeners_) listener->on_events(notice.events);
  }
  if (learned) links_.help_thresholds.put(past_.help.thresholds());
}

void FrontDesk::answer(const Ack& ack) {
  const auto [begin, end] = waiting_.equal_range(ack.id);
  std::vector<Reply> replies;
  for (auto it = begin; it != end; ++it) replies.push_back(std::move(it->second));
  waiting_.erase(begin, end);
  for (const Reply& reply : replies) reply(ack);
}

void FrontDesk::episode_seen(EpisodeId episode) {
  if (episode <= past_.newest_episode) return;
  past_.newest_episode = episode;
  newest_step_ = 0;
}

// What a message about a span leaves open, or has wrong, is known here. Of a span that is too long
// ago the broker judges what it can.
Status FrontDesk::complete(FeedbackMessage& message) const {
  if (auto* label = std::get_if<LabelMessage>(&message.body)) {
    EpisodeId episode = 0;
    if (past_.episodes.find_span(label->span, &episode) == nullptr) return {};
    if (label->episode != 0 && label->episode != episode) {
      return invalid_argument("span " + std::to_string(label->span) + " is of episode " +
                              std::to_string(episode) + ", not of " +
                              std::to_string(label->episode));
    }
    label->episode = episode;
  } else if (const auto* split = std::get_if<SplitSpan>(&message.body)) {
    const SpanRecord* span = past_.episodes.find_span(split->span);
    if (span == nullptr) return {};
    const std::string name = "span " + std::to_string(split->span);
    if (span->kind != SpanKind::kTakeover) {
      return invalid_argument(name + " is a nudge; only takeovers are split");
    }
    // Its first step: all of it is correction. Behind its last one: all of it is recovery.
    const bool late = span->closed && split->step > std::uint64_t{span->closed->last_step} + 1;
    if (split->step < span->first_step || late) {
      return invalid_argument(
          name + " begins at step " + std::to_string(span->first_step) +
          (span->closed ? " and ends at " + std::to_string(span->closed->last_step) : "") +
          "; step " + std::to_string(split->step) + " is not in it");
    }
  }
  return {};
}

Situation FrontDesk::situation() const {
  Situation situation;
  situation.state = snapshot_.state;
  situation.lease = snapshot_.lease;
  situation.newest_episode = past_.newest_episode;
  situation.policy_step = newest_step_;
  situation.newest_span = past_.newest_span;
  situation.instruction = snapshot_.instruction;
  situation.now = clock_();
  situation.resetting = snapshot_.cause == "resetting";
  situation.driving_since = snapshot_.driving_since;
  situation.help = snapshot_.help.help;
  situation.episode_runs = snapshot_.episode != 0;
  return situation;
}

void FrontDesk::submit(FeedbackMessage message, Reply reply) {
  const bool jog = std::holds_alternative<JogCommand>(message.body);
  const std::string id = message.id;
  // A message that is sent again gets the same answer, whatever has become of its span.
  if (!past_.history.knows(id)) {
    if (Status wrong = complete(message); !wrong.ok()) return reply(refusal(id, std::move(wrong)));
  }
  Handled handled = broker_->handle(message, situation());
  if (handled.stop) {
    ++links_.stop_presses;
    robot_.estop();
  }
  if (handled.jog) {
    Latest<SentJog>& slot = handled.jog->command.dead_man ? links_.jog : links_.let_go;
    slot.put(*std::move(handled.jog));
  }
  if (jog) return;
  if (handled.ack) {
    reply(*handled.ack);
  } else if (waiting_.size() >= kMaxWaiting) {
    reply(refusal(id, resource_exhausted("too many messages wait for an answer; try again later")));
  } else {
    waiting_.emplace(id, std::move(reply));
  }
  if (handled.act) {
    const std::string act = handled.act->id;
    if (!links_.acts.try_push(*std::move(handled.act))) {
      const Status full =
          unavailable("the step thread does not take what people ask for; it stalls");
      if (const std::optional<Ack> ack = broker_->on_not_asked(act, full)) answer(*ack);
      return;
    }
  }
  for (FeedbackRecord& record : handled.records) {
    std::optional<std::string> instruction;
    std::uint64_t declined = 0;
    if (const auto* ended = std::get_if<HelpEnded>(&record.payload)) declined = ended->help;
    if (const auto* changed = std::get_if<InstructionChanged>(&record.payload)) {
      instruction = changed->instruction;
    }
    if (links_.writer.push_reserved(WriterItem(std::move(record)))) {
      if (declined != 0) links_.declined_help = declined;
      if (instruction) links_.instruction.put(*std::move(instruction));
      continue;
    }
    const Status full = resource_exhausted("the log does not keep up; send it again");
    if (const std::optional<Ack> ack = broker_->on_not_stored(id, full)) answer(*ack);
    return;
  }
}

void FrontDesk::submit(OperatorMessage message, const Actor& actor, Reply reply) {
  const std::string id = message.id;
  const bool roll_back = std::holds_alternative<RollBackWeights>(message.body);
  const Role needed = roll_back ? Role::kSupervisor : Role::kEngineer;
  if (actor.role < needed) {
    reply(refusal(id, permission_denied(roll_back ? "only a supervisor or an engineer rolls back"
                                                  : "only an engineer decides this")));
    return;
  }
  if (past_.history.knows(id)) {
    reply(refusal(id, {}));  // done already
    return;
  }
  if (operators_.size() >= kMaxWaiting || operators_.contains(id)) {
    reply(refusal(id, unavailable("it is being done already; wait for the first answer")));
    return;
  }
  operators_.emplace(id, std::move(reply));
  if (links_.gate.push_reserved(GateItem(WeightsAct{std::move(message), actor}))) return;
  const Reply refused = std::move(operators_.at(id));
  operators_.erase(id);
  refused(refusal(id, unavailable("the gate does not keep up; send it again")));
}

void FrontDesk::read_episode(EpisodeId episode, Read reply) {
  const EpisodeRecord* record = past_.episodes.find(episode);
  if (record == nullptr) {
    return reply(
        not_found("there is no episode " + std::to_string(episode) + ", or it is too long ago"));
  }
  read({.number = 0, .wanted = *record}, std::move(reply));
}

void FrontDesk::read_frame(EpisodeId episode, std::string camera, std::uint32_t step, Read reply) {
  const EpisodeRecord* record = past_.episodes.find(episode);
  if (record == nullptr) {
    return reply(
        not_found("there is no episode " + std::to_string(episode) + ", or it is too long ago"));
  }
  read({.number = 0,
        .wanted =
            FrameWanted{.place = place_of(*record), .camera = std::move(camera), .step = step}},
       std::move(reply));
}

EpisodeId FrontDesk::episode_of(SpanId span) const {
  EpisodeId episode = 0;
  return past_.episodes.find_span(span, &episode) == nullptr ? 0 : episode;
}

void FrontDesk::read(ArchiveRequest request, Read reply) {
  const auto busy = [] {
    return resource_exhausted("too many people look at the past at once; try again");
  };
  // Counted here, so that there is room for every answer.
  if (readings_.size() >= kMaxArchiveRequests) return reply(busy());
  request.number = ++newest_reading_;
  const std::uint64_t number = request.number;
  if (!links_.archive.try_push(std::move(request))) return reply(busy());
  readings_.emplace(number, std::move(reply));
}

void FrontDesk::snapshot_log(Read reply) {
  if (snapshots_.size() >= kMaxArchiveRequests) {
    return reply(resource_exhausted("too many ask for a copy of the log at once; try again"));
  }
  if (!links_.writer.push_reserved(WriterItem(SnapshotWanted{}))) {
    return reply(resource_exhausted("the log does not keep up; try again"));
  }
  snapshots_.push_back(std::move(reply));
}

void FrontDesk::record(Payload what, const Actor& who, std::function<void(Status)> done) {
  const Status full = resource_exhausted("the log does not keep up; try again");
  if (done && records_.size() >= kMaxWaiting) return done(full);
  std::string id = "access:" + info_.boot + ":" + std::to_string(++newest_record_);
  RecordWanted wanted{.payload = std::move(what), .actor = who, .id = id};
  if (!links_.writer.push_reserved(WriterItem(std::move(wanted)))) {
    if (done) done(full);
    return;
  }
  if (done) records_.emplace(std::move(id), std::move(done));
}

void FrontDesk::take_readings() {
  if (!links_.archive_answers.try_take_all(read_)) return;
  for (ArchiveAnswer& answer : read_) {
    const auto at = readings_.find(answer.number);
    if (at == readings_.end()) continue;
    const Read reply = std::move(at->second);
    readings_.erase(at);
    reply(std::move(answer.content));
  }
}

void FrontDesk::update_storage() {
  const std::size_t untaken = links_.signed_heads.size();
  storage_.unwritten = writer_.unwritten;
  storage_.over_budget = writer_.over_budget;
  storage_.heads_exported = head_export_.exported;
  storage_.heads_waiting = head_export_.waiting + untaken;
  storage_.heads_dropped = head_export_.dropped + links_.signed_heads.refused();
  storage_.heads.clear();
  if (untaken > kHeadsOfAnExport) {
    storage_.heads = std::to_string(storage_.heads_waiting) +
                     " signed heads are not kept: log.heads_file does not answer";
  } else if (!head_export_.trouble.empty()) {
    storage_.heads = std::to_string(storage_.heads_waiting) +
                     " signed heads are not kept in log.heads_file: " + head_export_.trouble;
  }
}

void FrontDesk::update_learning() {
  LearningStatus learning;
  learning.done = writer_.learner.rounds;
  const bool greeted = !writer_.learner_sandbox.empty();
  if (greeted) learning.confined = writer_.learner_confined;
  const bool loose = greeted && !writer_.learner_confined;
  if (!writer_.learner_on) {
    learning.state = "off";
    learning.next = "learning is off";
  } else if (gate_.paused) {
    learning.state = "paused";
    learning.detail = "Weights were rolled back twice in a row. An engineer can resume learning.";
    learning.next = "when an engineer resumes learning";
  } else if (!writer_.learner_connected) {
    const bool stale = snapshot_.now - writer_.learner_seen > kLearnerStale;
    learning.state = stale ? "stale" : "restarting";
    learning.detail = stale ? "The learner has been gone for a minute; see learner.log."
                            : "The learner process is starting.";
    if (loose) {
      learning.detail = "The learner is sent away: it is not confined (" + writer_.learner_sandbox +
                        "). See learner.require_sandbox.";
    }
    learning.next = "when the learner is back";
  } else if (gate_.waits_for_feedback) {
    learning.state = "waiting";
    learning.detail =
        "Weights were rolled back. Learning goes on with the next correction, or a label that "
        "changes what is taught.";
    learning.next = kAfterFeedback;
  } else {
    const bool behind = writer_.learner.through < writer_.log.durable;
    learning.state = behind ? "training" : "idle";
    learning.detail = writer_.learner.trouble;
    if (learning.detail.empty() && loose) {
      learning.detail = "The learner is not confined (" + writer_.learner_sandbox + ").";
    }
    learning.next = gate_.anything_new ? "after this episode" : kAfterFeedback;
  }
  learning_ = std::move(learning);
}

}  // namespace nudge
