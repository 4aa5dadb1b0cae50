#include "src/daemon/writer_thread.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>

#include "replay/dataset.h"
#include "src/daemon/step_thread.h"
#include "test/support/fake_robot.h"
#include "test/support/faulty_files.h"
#include "test/support/log_script.h"
#include "test/support/small_policy.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};
const Actor kSelf = {.name = "nudge", .role = Role::kScript};

std::atomic<Instant> fake_now{Instant(std::chrono::seconds(1))};  // one test runs the thread
Instant fake_clock() { return fake_now; }
WallTime fake_wall() { return WallTime(fake_clock().time_since_epoch()); }

// The step thread's and the writer's own functions, called by the test, with a real log on a real
// disk between them; only the robot, inference and, where a test says so, the disk are made up.
class WriterThreadTest : public ::testing::Test {
 protected:
  WriterThreadTest() : files_(posix_files()) {}

  void SetUp() override {
    fake_now = Instant(std::chrono::seconds(1));
    LogOptions options;
    options.dir = folder_ / "log";
    options.boot = "boot-1";
    options.ballast_bytes = 4096;
    auto log = Log::open(files_, options);
    ASSERT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);

    ControllerOptions control = test::small_controller(robot_.spec());
    control.limits.max_step = {2.0, 2.0};
    auto controller = Controller::make(robot_, control);
    ASSERT_TRUE(controller.ok()) << controller.status().message();
    StepThreadOptions step;
    step.clock = fake_clock;
    step.wall = fake_wall;
    step.instruction = "lift";
    step.episode_steps = 100'000;
    step_ = std::make_unique<StepThread>(robot_, *std::move(controller), links_, step);
    make_writer();
    links_.loaded = 3;
  }

  // In place of the one before.
  void make_writer(std::unique_ptr<LearnerHost> host = nullptr,
                   const std::function<void(WriterThreadOptions&)>& change = {}) {
    writer_.reset();
    auto latch = StopLatch::open(posix_files(), latch_path());
    ASSERT_TRUE(latch.ok()) << latch.status().message();
    WriterThreadOptions writer;
    writer.clock = fake_clock;
    writer.wall = fake_wall;
    writer.boot = "boot-1";
    writer.self = kSelf;
    writer.segment.feature_size = 1;
    writer.segment.proprioception_size = 1;
    writer.segment.action_size = 2;
    if (change) change(writer);
    writer_ = std::make_unique<WriterThread>(
        *log_, *std::move(latch), std::move(host), links_, std::move(writer),
        [this](LogLevel, std::string_view, const std::string& text) { told_.push_back(text); },
        [] {});
  }

  // The learner's end, which has said hello. Null: failed.
  std::unique_ptr<DaemonLink> make_writer_with_learner() {
    LearnerHostOptions options;
    options.socket_path = folder_ / "run/learner";
    auto host = LearnerHost::open(options, fake_clock);
    EXPECT_TRUE(host.ok()) << host.status().message();
    if (!host.ok()) return nullptr;
    make_writer(*std::move(host));
    auto link = DaemonLink::connect("ipc://" + options.socket_path);
    EXPECT_TRUE(link.ok()) << link.status().message();
    if (!link.ok()) return nullptr;
    EXPECT_TRUE((*link)->send(LearnerMessage(LearnerHello{})).ok());
    return *std::move(link);
  }

  std::string latch_path() const { return folder_ / "stop.latch"; }

  // One control tick, the inference that it asks for, and, unless it stalls, a turn of the writer.
  void tick(int count = 1) {
    for (int i = 0; i < count; ++i) {
      robot_.now += kTick;
      fake_now = robot_.now;
      step_->tick(robot_.now, robot_.now);
      if (std::optional<Snapshot> snapshot = links_.snapshot.try_take()) {
        snapshot_ = *std::move(snapshot);
      }
      infer();
      if (!writer_stalls_) turn();
    }
  }
  void infer() {
    std::vector<InferenceRequest> requests;
    links_.requests.try_take_all(requests);
    for (InferenceRequest& request : requests) {
      if (request.step && features_come_) {
        StepFeatures features{
            .episode = request.episode, .step = *request.step, .features = {0.25f}, .images = {}};
        (void)links_.writer.push_reserved(WriterItem(std::move(features)));
      }
      if (!request.chunk) continue;
      links_.chunks.put({.chunk = test::steady_chunk(request.observation.time, 3, 0.5f)});
    }
  }
  void turn() {
    writer_->turn(Duration::zero());
    if (std::optional<WriterStatus> status = links_.writer_status.try_take()) {
      status_ = *std::move(status);
    }
    std::vector<WriterNotice> notices;
    links_.notices.try_take_all(notices);
    for (WriterNotice& notice : notices) {
      for (ActAnswer& answer : notice.answers) answers_.push_back(std::move(answer));
      for (std::string& id : notice.durable) durable_.push_back(std::move(id));
      for (auto& refused : notice.not_stored) not_stored_.push_back(std::move(refused));
      for (Event& event : notice.events) events_.push_back(std::move(event));
    }
  }

  void act(const std::string& id, decltype(AuthorityAct::body) body) {
    ASSERT_TRUE(links_.acts.try_push({.id = id, .actor = kAnna, .body = std::move(body)}));
  }
  void jog() {
    SentJog sent{.actor = kAnna, .command = {}};
    sent.command.robot = robot_.spec().id;
    sent.command.epoch = snapshot_.lease.epoch;
    sent.command.sequence = ++sequence_;
    sent.command.echoed_tick = snapshot_.tick;
    sent.command.dead_man = true;
    sent.command.action = {0.3f, -0.3f};
    links_.jog.put(std::move(sent));
    tick();
  }
  void start_policy() {
    act("start", HandBack{});
    tick(4);
    ASSERT_EQ(snapshot_.state, AuthorityState::kAuto);
  }
  void take_over() {
    act("take", TakeoverRequest{});
    tick();
    for (int i = 0; i < 10 && snapshot_.state != AuthorityState::kHuman; ++i) jog();
    ASSERT_EQ(snapshot_.state, AuthorityState::kHuman);
  }
  void fill_disk() { files_.plan({.at = 1, .for_good = true, .no_space = true}); }
  void free_disk() { files_.plan({}); }
  bool acknowledged(const std::string& id) const {
    return std::ranges::find(durable_, id) != durable_.end();
  }
  bool told(const std::string& part) const {
    return std::ranges::any_of(
        told_, [&](const std::string& text) { return text.find(part) != std::string::npos; });
  }
  template <typename Body>
  std::vector<Body> recorded() const {
    std::vector<Body> found;
    for (const Event& event : events_) {
      if (const auto* body = std::get_if<Body>(&event.payload)) found.push_back(*body);
    }
    return found;
  }
  // Everything durable, as the learner sees it.
  Dataset dataset() {
    DatasetOptions options;
    options.feature_size = 1;
    options.proprioception_size = 1;
    options.action_size = 2;
    options.quarantine_link_lost = false;
    Dataset dataset(posix_files(), options);
    while (dataset.prefix() < log_->durable()) {
      const auto items = log_->feed(dataset.prefix() + 1, 1000);
      EXPECT_TRUE(items.ok()) << items.status().message();
      if (!items.ok() || items->empty()) break;
      for (const FeedItem& item : *items) EXPECT_TRUE(dataset.apply(item).ok());
    }
    return dataset;
  }
  std::size_t corrections() {
    return dataset().counts().trainable[static_cast<std::size_t>(SampleClass::kCorrection)];
  }

  test::TempFolder folder_;
  test::FaultyFiles files_;
  FakeRobot robot_;
  Links links_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<StepThread> step_;
  std::unique_ptr<WriterThread> writer_;
  Snapshot snapshot_;
  WriterStatus status_;
  std::vector<std::string> told_, durable_;
  std::vector<ActAnswer> answers_;
  std::vector<std::pair<std::string, Status>> not_stored_;
  std::vector<Event> events_;
  std::uint64_t sequence_ = 0;
  bool features_come_ = true;
  bool writer_stalls_ = false;
};

// ---- help --------------------------------------------------------------------------------------

TEST_F(WriterThreadTest, WhatThePolicyAsksIsRecordedInItsEpisode) {
  start_policy();
  tick(10);
  StepReport report;
  report.decision.state = AuthorityState::kAuto;
  report.help_asked = HelpAsked{.help = 4, .reason = HelpReason::kBoth, .score = 0.7};
  report.help_ended = HelpEnded{.help = 3, .reason = HelpEnd::kSettled};
  report.help_scored = HelpScored{.disagreement = 0.3, .travel = 0.1, .seconds = 2};
  ASSERT_TRUE(links_.writer.push_reserved(WriterItem(std::move(report))));
  tick(2);
  ASSERT_EQ(recorded<HelpAsked>().size(), 1u);
  EXPECT_EQ(recorded<HelpAsked>()[0].help, 4u);
  EXPECT_EQ(recorded<HelpEnded>().size(), 1u);
  EXPECT_EQ(recorded<HelpScored>().size(), 1u);
  for (const Event& event : events_) {
    if (std::holds_alternative<HelpAsked>(event.payload)) {
      EXPECT_EQ(event.episode, snapshot_.episode);
      EXPECT_EQ(event.actor, kSelf);
    }
  }
}

// ---- spans -------------------------------------------------------------------------------------

TEST_F(WriterThreadTest, ASpanThatALostLinkCutTeachesNothingAfterItsLastFreshCommand) {
  start_policy();
  tick(20);
  take_over();
  for (int i = 0; i < 30; ++i) jog();
  const std::uint32_t last_fresh = snapshot_.policy_step;
  // Silence. The robot follows the last command until that is stale.
  const Instant silent = robot_.now;
  while (snapshot_.state == AuthorityState::kHuman) tick();
  EXPECT_LE(robot_.now - silent, std::chrono::milliseconds(200) + 2 * kTick);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "command_stale");
  EXPECT_GT(snapshot_.policy_step, last_fresh) << "nothing was cut off";
  tick(30);

  ASSERT_EQ(recorded<SpanClosed>().size(), 1u);
  const SpanOpened opened = recorded<SpanOpened>().front();
  const SpanClosed closed = recorded<SpanClosed>().front();
  EXPECT_EQ(closed.reason, SpanEnd::kLinkLost);
  EXPECT_EQ(closed.last_step, last_fresh);
  EXPECT_EQ(corrections(), last_fresh - opened.first_step + 1);
}

TEST_F(WriterThreadTest, ASpanThatEndsWithAnActTeachesAllOfIt) {
  start_policy();
  take_over();
  for (int i = 0; i < 30; ++i) jog();
  act("back", HandBack{});
  tick(30);
  ASSERT_EQ(recorded<SpanClosed>().size(), 1u);
  const SpanClosed closed = recorded<SpanClosed>().front();
  EXPECT_EQ(closed.reason, SpanEnd::kReleased);
  EXPECT_TRUE(closed.complete);
  EXPECT_EQ(corrections(), closed.last_step - recorded<SpanOpened>().front().first_step + 1);
}

TEST_F(WriterThreadTest, HumanStepsThatAFullQueueLostLeaveTheirSpanIncomplete) {
  start_policy();
  take_over();
  writer_stalls_ = true;
  for (int i = 0; i < 100'000 && snapshot_.lost_steps < 5; ++i) jog();
  ASSERT_GE(snapshot_.lost_steps, 5u) << "the queue never filled";
  ASSERT_EQ(snapshot_.state, AuthorityState::kHuman) << "the person goes on driving";
  writer_stalls_ = false;
  for (int i = 0; i < 20; ++i) jog();
  act("back", Release{});
  tick(40);
  ASSERT_EQ(recorded<SpanClosed>().size(), 1u);
  EXPECT_FALSE(recorded<SpanClosed>().front().complete);
  const auto lost = recorded<StepsLost>();
  ASSERT_FALSE(lost.empty());
  EXPECT_TRUE(std::ranges::any_of(lost, [](const StepsLost& some) { return some.human; }));
  std::uint64_t count = 0;
  for (const StepsLost& some : lost) count += some.count;
  EXPECT_GE(count, snapshot_.lost_steps);
}

TEST_F(WriterThreadTest, HumanStepsWhoseFeaturesNeverComeAreLostAndTold) {
  start_policy();
  take_over();
  for (int i = 0; i < 10; ++i) jog();
  features_come_ = false;
  for (int i = 0; i < 20; ++i) jog();
  features_come_ = true;
  for (int i = 0; i < 20; ++i) jog();
  act("back", Release{});
  tick(50);
  ASSERT_EQ(recorded<SpanClosed>().size(), 1u);
  EXPECT_FALSE(recorded<SpanClosed>().front().complete);
  ASSERT_FALSE(recorded<StepsLost>().empty());
  EXPECT_TRUE(recorded<StepsLost>().front().human);
}

// ---- acknowledgements --------------------------------------------------------------------------

TEST_F(WriterThreadTest, AnActIsAcknowledgedOnlyOnceItIsOnDisk) {
  start_policy();
  EXPECT_TRUE(acknowledged("start"));
  tick(20);
  fill_disk();
  take_over();
  for (int i = 0; i < 20; ++i) jog();
  EXPECT_FALSE(acknowledged("take"));
  EXPECT_FALSE(log_->event("take").ok());
  EXPECT_TRUE(recorded<SpanOpened>().empty()) << "nobody is told what a crash could take back";
  free_disk();
  for (int i = 0; i < 20; ++i) jog();
  EXPECT_TRUE(acknowledged("take"));
  EXPECT_TRUE(log_->event("take").ok());
  EXPECT_EQ(std::ranges::count(durable_, "take"), 1);
}

TEST_F(WriterThreadTest, AnAnswerWithoutARecordWaitsForTheRecordsItRestsOn) {
  start_policy();
  tick(20);
  fill_disk();
  take_over();
  for (int i = 0; i < 20; ++i) jog();
  act("again", TakeoverRequest{});
  tick();
  const auto told = [&] {
    return std::ranges::any_of(answers_, [](const ActAnswer& a) { return a.id == "again"; });
  };
  EXPECT_FALSE(told()) << "the lease that it names is not on disk";
  free_disk();
  for (int i = 0; i < 20; ++i) jog();
  EXPECT_TRUE(told());
  EXPECT_TRUE(acknowledged("take"));
}

TEST_F(WriterThreadTest, AFullDiskIsToldAndPeopleKeepControl) {
  start_policy();
  tick(20);
  EXPECT_TRUE(status_.recording);
  fill_disk();
  take_over();
  for (int i = 0; i < 20; ++i) jog();
  EXPECT_EQ(snapshot_.state, AuthorityState::kHuman);
  EXPECT_FALSE(status_.recording);
  EXPECT_FALSE(status_.trouble.empty());
  EXPECT_TRUE(told("NOT RECORDING"));
  const auto messages = told_.size();
  for (int i = 0; i < 100; ++i) jog();
  EXPECT_EQ(told_.size(), messages) << "it is said once, not at each try";

  // STOP reaches the robot, and its latch the disk, though nothing else does.
  ++links_.stop_presses;
  tick(2);
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  EXPECT_GE(robot_.estops, 1);
  const auto latch = StopLatch::open(posix_files(), latch_path());
  ASSERT_TRUE(latch.ok());
  EXPECT_TRUE(latch->latched());

  free_disk();
  tick(40);
  EXPECT_TRUE(status_.recording);
  EXPECT_TRUE(told("recording again"));
  EXPECT_FALSE(recorded<SpanClosed>().front().complete) << "steps were lost meanwhile";
}

TEST_F(WriterThreadTest, AnEpisodeThatTheDiskHasNoRoomForRunsUnrecordedAndTheNextIsRecorded) {
  fill_disk();
  start_policy();
  tick(40);
  EXPECT_FALSE(status_.recording);
  EXPECT_TRUE(told("this episode is not recorded"));
  free_disk();
  act("hold", Hold{});
  tick(60 * 50 + 10);  // abandoned
  EXPECT_EQ(snapshot_.episode, 0u);
  act("again", HandBack{});
  tick(40);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_TRUE(status_.recording);
  ASSERT_EQ(recorded<EpisodeStarted>().size(), 1u);
  EXPECT_EQ(log_->open_episode(), 2u);
}

TEST_F(WriterThreadTest, FeedbackIsAcknowledgedWhenDurableAndRefusedWhenTheLogRefusesIt) {
  const auto say = [&](std::string id, Payload payload) {
    FeedbackRecord record{.id = std::move(id),
                          .actor = kAnna,
                          .episode = 0,
                          .policy_step = 0,
                          .payload = std::move(payload)};
    ASSERT_TRUE(links_.writer.push_reserved(WriterItem(std::move(record))));
  };
  say("words", Words{.text = "well done", .use = WordsUse::kComment, .understood_as = "comment"});
  say(std::string(200, 'x'), Words{.text = "an id out of bounds", .understood_as = ""});
  turn();
  EXPECT_TRUE(acknowledged("words"));
  ASSERT_EQ(not_stored_.size(), 1u);
  EXPECT_EQ(not_stored_[0].first, std::string(200, 'x'));
  EXPECT_EQ(not_stored_[0].second.code(), Code::kInvalidArgument);
  ASSERT_EQ(recorded<Words>().size(), 1u);
}

TEST_F(WriterThreadTest, WhatIsDurableReachesTheGateInOrderAndWithoutAGap) {
  start_policy();
  take_over();
  for (int i = 0; i < 40; ++i) jog();
  act("back", Release{});
  tick(40);
  std::vector<GateItem> items;
  links_.gate.try_take_all(items);
  Sequence next = 1;
  bool takeover = false;
  for (const GateItem& item : items) {
    if (const auto* news = std::get_if<TickNews>(&item)) takeover = takeover || news->takeover;
    const auto* batch = std::get_if<FeedBatch>(&item);
    if (batch == nullptr) continue;
    for (const FeedItem& one : batch->items) {
      EXPECT_EQ(first_sequence(one), next);
      next = last_sequence(one) + 1;
    }
  }
  EXPECT_EQ(next, log_->durable() + 1);
  EXPECT_TRUE(takeover);
}

TEST_F(WriterThreadTest, ALearnerThatSendsMoreThanTheGateTriesTakesNoMoreMemory) {
  const std::unique_ptr<DaemonLink> link = make_writer_with_learner();
  ASSERT_NE(link, nullptr);
  Sequence sent = 0;
  const auto send_and_turn = [&] {
    CandidateMessage candidate;
    candidate.kind = WeightsKind::kFull;
    candidate.prefix = ++sent;
    ASSERT_TRUE(link->send(LearnerMessage(std::move(candidate))).ok());
    fake_now = fake_now.load() + std::chrono::minutes(2);
    turn();
  };
  const auto at_the_gate = [&] {
    std::vector<GateItem> items;
    links_.gate.try_take_all(items);
    std::vector<Sequence> prefixes;
    for (const GateItem& item : items) {
      const auto* candidate = std::get_if<CandidateMessage>(&item);
      if (candidate != nullptr) prefixes.push_back(candidate->prefix);
    }
    return prefixes;
  };
  for (int i = 0; i < 100; ++i) send_and_turn();
  turn();
  EXPECT_EQ(at_the_gate().size(), 1u);
  EXPECT_TRUE(std::any_of(told_.begin(), told_.end(), [](const std::string& text) {
    return text.find("gave way to newer ones") != std::string::npos;
  }));
  turn();
  EXPECT_TRUE(at_the_gate().empty()) << "the gate still tries the one before";
  links_.candidate_at_gate = false;
  turn();
  EXPECT_EQ(at_the_gate(), std::vector<Sequence>{100});
}

TEST_F(WriterThreadTest, ACandidateThatTheGatesQueueHasNoRoomForIsPassedOnWholeLater) {
  const std::unique_ptr<DaemonLink> link = make_writer_with_learner();
  ASSERT_NE(link, nullptr);
  while (links_.gate.push_reserved(GateItem(FeedBatch{}))) {
  }
  CandidateMessage candidate;
  candidate.weights.assign(1000, std::byte{7});
  ASSERT_TRUE(link->send(LearnerMessage(candidate)).ok());
  for (int i = 0; i < 4; ++i) turn();
  std::vector<GateItem> items;
  links_.gate.try_take_all(items);
  turn();
  links_.gate.try_take_all(items);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(std::get<CandidateMessage>(items[0]).weights, candidate.weights);
}

TEST_F(WriterThreadTest, ABudgetThatNothingMayBeDeletedForIsShownUntilItIsKept) {
  test::run_script(*log_, 2);  // of the newest ten nothing goes
  make_writer(nullptr, [](WriterThreadOptions& options) { options.budget_bytes = 1; });
  turn();
  turn();
  EXPECT_NE(status_.over_budget.find("log.budget_bytes"), std::string::npos);
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0], status_.over_budget);
  make_writer(nullptr, [](WriterThreadOptions& options) { options.budget_bytes = 1u << 30; });
  turn();
  turn();
  EXPECT_EQ(status_.over_budget, "");
}

TEST_F(WriterThreadTest, WhatTheStartCouldNotWriteIsTriedAgainAndShownUntilItIsThere) {
  bool full = true;
  int tries = 0;
  writer_->add_unwritten({.trouble = "config.toml: no space", .write = [&]() -> Status {
                            ++tries;
                            return full ? resource_exhausted("no space") : Status();
                          }});
  const auto later = [&] {
    fake_now = fake_now.load() + std::chrono::seconds(6);
    turn();
  };
  later();
  later();
  EXPECT_EQ(tries, 2);
  turn();  // too early
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(status_.unwritten, "config.toml: no space");
  full = false;
  later();
  EXPECT_EQ(status_.unwritten, "");
  later();
  EXPECT_EQ(tries, 3);
}

TEST_F(WriterThreadTest, EachSignedHeadIsHandedOnForItsExportAlsoWhenThisDiskDoesNotTakeIt) {
  const std::string audit = folder_ / "audit";
  make_writer(nullptr, [&](WriterThreadOptions& options) {
    options.seal = *HeadSeal::open(audit);
    options.export_heads = true;
    options.seal_every = std::chrono::seconds(1);
  });
  const auto head_of = [&](const std::string& id) {
    EXPECT_TRUE(log_->append(test::sample_event(id, 0, StopReset{})).ok());
    EXPECT_TRUE(log_->commit().ok());
    fake_now = fake_now.load() + std::chrono::seconds(2);
    turn();
    std::vector<std::string> heads;
    links_.signed_heads.try_take_all(heads);
    EXPECT_EQ(heads.size(), 1u);
    return heads.empty() ? Sequence{0} : SignedHead::parse(heads[0])->head.sequence;
  };
  EXPECT_EQ(head_of("one"), 1u);
  // What is in the way of the file beside it.
  std::filesystem::create_directories(audit + "/head.json.tmp/full");
  EXPECT_EQ(head_of("two"), 2u);
}

TEST_F(WriterThreadTest, TheLatchFollowsStopAndItsReset) {
  start_policy();
  ++links_.stop_presses;
  tick(2);
  EXPECT_TRUE(StopLatch::open(posix_files(), latch_path())->latched());
  act("reset", ResetStop{});
  tick(2);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_FALSE(StopLatch::open(posix_files(), latch_path())->latched());
}

TEST_F(WriterThreadTest, StopCommitsWhatWaitsAndAcknowledgesNothingTwice) {
  start_policy();
  tick(20);
  writer_->start();
  act("take", TakeoverRequest{});
  writer_stalls_ = true;  // its own thread turns now
  tick();
  links_.writer.close();
  writer_->stop();
  EXPECT_TRUE(log_->event("take").ok());
  EXPECT_EQ(log_->stats().appended, log_->durable());
}

}  // namespace
}  // namespace nudge
