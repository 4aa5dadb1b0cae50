#include "src/daemon/front_desk.h"

#include <gtest/gtest.h>

#include "test/support/fake_robot.h"

namespace nudge {
namespace {

const Actor kAnna = {.name = "anna#1", .role = Role::kSupervisor};
const Actor kBen = {.name = "ben#2", .role = Role::kSupervisor};
const Actor kEva = {.name = "eva#3", .role = Role::kEngineer};
const Actor kVic = {.name = "vic#4", .role = Role::kViewer};

// The desk on a loop that the test runs, with the other threads played by the test.
class FrontDeskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DeskInfo info;
    info.robot = robot_.spec();
    info.program = "nudge test";
    info.boot = "boot-1";
    info.fresh = std::chrono::milliseconds(200);
    auto desk = FrontDesk::make(robot_, links_, loop_, std::move(info), Past{});
    ASSERT_TRUE(desk.ok()) << desk.status().message();
    desk_ = *std::move(desk);
    desk_->start();
  }

  // Lets the desk look at its links.
  void look() {
    const auto end = loop_.after(std::chrono::milliseconds(15), [this] { loop_.stop(); });
    loop_.run();
  }
  void show(AuthorityState state, std::optional<Actor> holder = {}, LeaseEpoch epoch = 0) {
    Snapshot snapshot;
    snapshot.tick = ++tick_;
    snapshot.state = state;
    snapshot.lease = {.epoch = epoch, .holder = std::move(holder)};
    links_.snapshot.put(std::move(snapshot));
    look();
  }
  void notice(WriterNotice notice) {
    ASSERT_TRUE(links_.notices.try_push(std::move(notice)));
    desk_->wake();
    look();
  }

  template <typename Body>
  void submit(const Actor& who, const std::string& id, Body body) {
    desk_->submit(FeedbackMessage{.id = id, .actor = who, .body = std::move(body)},
                  [this](const Ack& ack) { acks_.push_back(ack); });
  }
  template <typename Body>
  void operate(const Actor& who, const std::string& id, Body body) {
    desk_->submit(OperatorMessage{.id = id, .body = std::move(body)}, who,
                  [this](const Ack& ack) { acks_.push_back(ack); });
  }
  std::vector<AuthorityAct> acts() {
    std::vector<AuthorityAct> taken;
    links_.acts.try_take_all(taken);
    return taken;
  }
  JogCommand jog(LeaseEpoch epoch) {
    JogCommand command;
    command.robot = robot_.spec().id;
    command.epoch = epoch;
    command.sequence = ++sequence_;
    command.echoed_tick = tick_;
    command.dead_man = true;
    command.action = {0.1f, 0.2f};
    return command;
  }

  FakeRobot robot_;
  Links links_;
  EventLoop loop_;
  std::unique_ptr<FrontDesk> desk_;
  std::vector<Ack> acks_;
  ControlTick tick_ = 0;
  std::uint64_t sequence_ = 0;
};

TEST_F(FrontDeskTest, StopReachesTheRobotAtOnceWhoeverPressesIt) {
  submit(kVic, "s1", Stop{});
  EXPECT_EQ(robot_.estops, 1) << "before anybody looks at a queue";
  EXPECT_EQ(links_.stop_presses, 1u);
  submit(kVic, "s1", Stop{});
  EXPECT_EQ(robot_.estops, 2) << "a repeated id stops again";
  EXPECT_EQ(links_.stop_presses, 2u);
}

TEST_F(FrontDeskTest, StopReachesTheRobotThoughTheQueueOfActsIsFull) {
  for (int i = 0; i < 256; ++i) {
    ASSERT_TRUE(links_.acts.try_push({.id = "", .actor = kAnna, .body = Release{}}));
  }
  submit(kVic, "s1", Stop{});
  EXPECT_EQ(robot_.estops, 1);
  EXPECT_EQ(links_.stop_presses, 1u);
}

TEST_F(FrontDeskTest, ATakeoverIsAcknowledgedOnlyWhenItIsOnDisk) {
  submit(kAnna, "t1", TakeoverRequest{});
  ASSERT_EQ(acts().size(), 1u);
  ActAnswer granted{.id = "t1", .status = {}, .epoch = 4, .holder = "", .logged = true};
  notice({.answers = {granted}, .durable = {}, .not_stored = {}, .events = {}});
  EXPECT_TRUE(acks_.empty()) << "granted, and not yet on disk";
  notice({.answers = {}, .durable = {"t1"}, .not_stored = {}, .events = {}});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_TRUE(acks_[0].status.ok());
  EXPECT_EQ(acks_[0].epoch, 4u);
}

TEST_F(FrontDeskTest, TheSecondToAskIsToldWhoIsBusy) {
  show(AuthorityState::kHuman, kAnna, 4);
  submit(kBen, "t2", TakeoverRequest{});
  ASSERT_EQ(acts().size(), 1u) << "the authority decides, not the desk";
  ActAnswer busy{.id = "t2",
                 .status = failed_precondition("busy: anna#1 has the lease"),
                 .epoch = 0,
                 .holder = "anna#1",
                 .logged = false};
  notice({.answers = {busy}, .durable = {}, .not_stored = {}, .events = {}});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_EQ(acks_[0].status.code(), Code::kFailedPrecondition);
  EXPECT_EQ(acks_[0].holder, "anna#1");
}

TEST_F(FrontDeskTest, OnlyTheHoldersCommandsOfTheEpochInForceReachTheStepThread) {
  show(AuthorityState::kHuman, kAnna, 4);
  submit(kAnna, "", jog(3));
  EXPECT_FALSE(links_.jog.try_take()) << "an old epoch";
  submit(kAnna, "", jog(5));
  EXPECT_FALSE(links_.jog.try_take()) << "an epoch that was never granted";
  submit(kBen, "", jog(4));
  EXPECT_FALSE(links_.jog.try_take()) << "somebody else, who knows the epoch";
  submit(kAnna, "", jog(4));
  const auto taken = links_.jog.try_take();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->actor, kAnna);
  EXPECT_EQ(taken->command.epoch, 4u);
  // The lease changed hands, and the former holder has not noticed.
  show(AuthorityState::kHuman, kBen, 5);
  submit(kAnna, "", jog(4));
  EXPECT_FALSE(links_.jog.try_take());
  EXPECT_TRUE(acks_.empty()) << "nobody waits for the answer to a jog";
}

TEST_F(FrontDeskTest, OfManyCommandsTheNewestWinsAndNoneQueues) {
  show(AuthorityState::kHuman, kAnna, 4);
  for (int i = 0; i < 1000; ++i) submit(kAnna, "", jog(4));
  const auto taken = links_.jog.try_take();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->command.sequence, 1000u);
  EXPECT_FALSE(links_.jog.try_take());
}

TEST_F(FrontDeskTest, AMessageSentTwiceActsOnceAndIsAnsweredTwice) {
  submit(kAnna, "t1", TakeoverRequest{});
  submit(kAnna, "t1", TakeoverRequest{});
  EXPECT_EQ(acts().size(), 1u);
  ActAnswer granted{.id = "t1", .status = {}, .epoch = 4, .holder = "", .logged = true};
  notice({.answers = {granted}, .durable = {"t1"}, .not_stored = {}, .events = {}});
  ASSERT_EQ(acks_.size(), 2u);
  submit(kAnna, "t1", TakeoverRequest{});
  EXPECT_TRUE(acts().empty());
  ASSERT_EQ(acks_.size(), 3u);
  EXPECT_EQ(acks_[0], acks_[1]);
  EXPECT_EQ(acks_[1], acks_[2]);
}

TEST_F(FrontDeskTest, AStepThreadThatTakesNothingIsSaidSo) {
  for (int i = 0; i < 256; ++i) {
    ASSERT_TRUE(links_.acts.try_push({.id = "", .actor = kAnna, .body = Release{}}));
  }
  submit(kAnna, "t1", TakeoverRequest{});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_EQ(acks_[0].status.code(), Code::kUnavailable);
  // And may be tried again under the same id.
  acts();
  submit(kAnna, "t1", TakeoverRequest{});
  EXPECT_EQ(acts().size(), 1u);
}

TEST_F(FrontDeskTest, WhatTheLogCouldNotTakeIsRefusedAndMayBeSentAgain) {
  const auto words = WordsMessage{.text = "well done", .meant = WordsUse::kComment};
  submit(kAnna, "w1", words);
  notice({.answers = {},
          .durable = {},
          .not_stored = {{"w1", resource_exhausted("the disk is full")}},
          .events = {}});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_EQ(acks_[0].status.code(), Code::kResourceExhausted);
  submit(kAnna, "w1", words);
  notice({.answers = {}, .durable = {"w1"}, .not_stored = {}, .events = {}});
  ASSERT_EQ(acks_.size(), 2u);
  EXPECT_TRUE(acks_[1].status.ok());
}

TEST_F(FrontDeskTest, WhatIsDoneAboutAccessIsKeptUnderItsDoersNameAndAnsweredWhenItIsOnDisk) {
  std::vector<Status> done;
  const auto note = [&](const Status& status) { done.push_back(status); };
  desk_->record(PairingCodeMade{Role::kViewer}, kEva, note);
  desk_->record(PairingCodeMade{Role::kEngineer}, kEva, note);
  desk_->record(PairingCodeMade{Role::kViewer}, kEva, {});
  std::vector<WriterItem> items;
  links_.writer.try_take_all(items);
  ASSERT_EQ(items.size(), 3u);
  const auto& first = std::get<RecordWanted>(items[0]);
  const auto& second = std::get<RecordWanted>(items[1]);
  EXPECT_EQ(first.actor->name, "eva#3");
  EXPECT_EQ(std::get<PairingCodeMade>(first.payload).role, Role::kViewer);
  EXPECT_NE(first.id, second.id);
  EXPECT_TRUE(done.empty());
  notice({.answers = {}, .durable = {second.id}, .not_stored = {}, .events = {}});
  ASSERT_EQ(done.size(), 1u);
  EXPECT_TRUE(done[0].ok());
  notice({.answers = {},
          .durable = {},
          .not_stored = {{first.id, resource_exhausted("the disk is full")}},
          .events = {}});
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[1].code(), Code::kResourceExhausted);
}

TEST_F(FrontDeskTest, WhatIsDoneAboutAccessIsRefusedWhereTheLogDoesNotKeepUp) {
  while (links_.writer.push_reserved(WriterItem(SnapshotWanted{}))) {
  }
  Status done;
  desk_->record(PairingCodeMade{}, kEva, [&](const Status& status) { done = status; });
  EXPECT_EQ(done.code(), Code::kResourceExhausted);
  desk_->record(PairingCodeMade{}, kEva, {});
}

TEST_F(FrontDeskTest, StopSaidIsAnsweredWhenItHoldsAndIsOnDisk) {
  submit(kVic, "w1", WordsMessage{.text = "Stop!"});
  const auto asked = acts();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Hold>(asked[0].body));
  EXPECT_TRUE(asked[0].logged_elsewhere);
  notice({.answers = {}, .durable = {"w1"}, .not_stored = {}, .events = {}});
  EXPECT_TRUE(acks_.empty()) << "on disk, and the authority has not answered";
  notice({.answers = {{"w1", {}, 0, "", false}}, .durable = {}, .not_stored = {}, .events = {}});
  ASSERT_EQ(acks_.size(), 1u);
  ASSERT_TRUE(acks_[0].words.has_value());
  EXPECT_EQ(acks_[0].words->use, WordsUse::kHold);
  EXPECT_TRUE(acks_[0].words->acted);
}

TEST_F(FrontDeskTest, TakingAnInstructionBackBringsTheOneBeforeItToTheRobot) {
  submit(kAnna, "i1", WordsMessage{.text = "pick up the cup"});
  submit(kAnna, "i2", WordsMessage{.text = "pick up the bowl"});
  EXPECT_EQ(links_.instruction.try_take(), "pick up the bowl");
  submit(kAnna, "u2", UndoWords{.words = "i2"});
  EXPECT_EQ(links_.instruction.try_take(), "pick up the cup");
}

TEST_F(FrontDeskTest, AViewerMayStopAndSayStopAndNothingElse) {
  submit(kVic, "t1", TakeoverRequest{});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_EQ(acks_[0].status.code(), Code::kPermissionDenied);
  EXPECT_TRUE(acts().empty());
  submit(kVic, "h1", Hold{});
  const auto held = acts();
  ASSERT_EQ(held.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Hold>(held[0].body));
}

TEST_F(FrontDeskTest, EngineersDecideAboutWeightsAndSupervisorsMayRollBack) {
  operate(kAnna, "p1", PromoteWeights{.version = 1});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_EQ(acks_[0].status.code(), Code::kPermissionDenied);
  operate(kVic, "r0", RollBackWeights{});
  EXPECT_EQ(acks_.back().status.code(), Code::kPermissionDenied);
  operate(kAnna, "r1", RollBackWeights{});
  operate(kEva, "p2", PromoteWeights{.version = 2});
  std::vector<GateItem> items;
  links_.gate.try_take_all(items);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(std::get<WeightsAct>(items[0]).actor, kAnna);

  // Done is acknowledged when it is on disk, refused at once.
  ASSERT_TRUE(links_.gate_answers.try_push({.id = "r1", .status = {}}));
  ASSERT_TRUE(links_.gate_answers.try_push({.id = "p2", .status = not_found("no version 2")}));
  look();
  ASSERT_EQ(acks_.size(), 3u);
  EXPECT_EQ(acks_[2].id, "p2");
  EXPECT_EQ(acks_[2].status.code(), Code::kNotFound);
  notice({.answers = {}, .durable = {"r1"}, .not_stored = {}, .events = {}});
  ASSERT_EQ(acks_.size(), 4u);
  EXPECT_EQ(acks_[3].id, "r1");
  EXPECT_TRUE(acks_[3].status.ok());
}

// ---- the past -----------------------------------------------------------------------------------

// Two episodes, the first with a span of Anna's.
std::vector<Event> past() {
  std::vector<Event> events;
  const auto add = [&](Payload payload, EpisodeId episode, const Actor& actor = kAnna) {
    Event event;
    event.sequence = events.size() + 1;
    event.id = "past:" + std::to_string(event.sequence);
    event.episode = episode;
    event.time = Instant(std::chrono::seconds(events.size()));
    event.boot = "boot-1";
    event.actor = actor;
    event.payload = std::move(payload);
    events.push_back(std::move(event));
  };
  add(EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift"}, 1);
  add(SpanOpened{1, SpanKind::kTakeover, 1, 10}, 1);
  add(SpanClosed{1, SpanEnd::kReleased, 17, true}, 1);
  add(SpanOpened{2, SpanKind::kNudge, 1, 20}, 1);
  add(SpanClosed{2, SpanEnd::kReleased, 23, true}, 1);
  add(EpisodeEnded{EpisodeEnd::kTaskDone, 40}, 1);
  add(EpisodeStarted{EpisodePurpose::kDeployment, 2, "lift"}, 2);
  return events;
}

TEST_F(FrontDeskTest, ALabelOfASpanBelongsToTheSpansEpisodeHoweverLateItIs) {
  notice({.answers = {}, .durable = {}, .not_stored = {}, .events = past()});
  submit(kAnna, "l1", LabelMessage{.episode = 0, .span = 1, .value = LabelValue::kDiscard});
  submit(kAnna, "l2", LabelMessage{.episode = 1, .span = 1, .value = LabelValue::kNone});
  submit(kAnna, "l3", LabelMessage{.episode = 0, .span = 0, .value = LabelValue::kSuccess});
  std::vector<WriterItem> items;
  ASSERT_TRUE(links_.writer.try_take_all(items));
  std::vector<EpisodeId> meant;
  for (const WriterItem& item : items) {
    meant.push_back(std::get<Label>(std::get<FeedbackRecord>(item).payload).episode);
  }
  EXPECT_EQ(meant, (std::vector<EpisodeId>{1, 1, 2}));
  submit(kAnna, "l4", LabelMessage{.episode = 2, .span = 1, .value = LabelValue::kSuccess});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_EQ(acks_[0].status.code(), Code::kInvalidArgument);
  EXPECT_NE(acks_[0].status.message().find("of episode 1"), std::string::npos);
}

TEST_F(FrontDeskTest, ASplitMustLieWithinItsTakeover) {
  notice({.answers = {}, .durable = {}, .not_stored = {}, .events = past()});
  for (const std::uint32_t step : {9u, 19u}) {
    submit(kAnna, "bad:" + std::to_string(step), SplitSpan{.span = 1, .step = step});
  }
  submit(kAnna, "nudge", SplitSpan{.span = 2, .step = 21});
  submit(kAnna, "none", SplitSpan{.span = 3, .step = 21});
  ASSERT_EQ(acks_.size(), 4u);
  EXPECT_EQ(acks_[0].status.code(), Code::kInvalidArgument);
  EXPECT_EQ(acks_[1].status.code(), Code::kInvalidArgument);
  EXPECT_EQ(acks_[2].status.code(), Code::kInvalidArgument);
  EXPECT_EQ(acks_[3].status.code(), Code::kNotFound);
  for (const std::uint32_t step : {10u, 14u, 18u}) {
    submit(kAnna, "good:" + std::to_string(step), SplitSpan{.span = 1, .step = step});
  }
  EXPECT_EQ(acks_.size(), 4u) << "the rest waits for the disk";
  std::vector<WriterItem> items;
  ASSERT_TRUE(links_.writer.try_take_all(items));
  EXPECT_EQ(items.size(), 3u);
}

TEST_F(FrontDeskTest, UndoMeansTheEndOfTheEpisodeThatIsOverUntilTheNextBegins) {
  const auto undone = [this](const std::string& id) {
    submit(kAnna, id, UndoLast{.seconds = 0.3});
    std::vector<WriterItem> items;
    EXPECT_TRUE(links_.writer.try_take_all(items));
    return std::get<StepsDiscarded>(std::get<FeedbackRecord>(items.at(0)).payload);
  };
  Snapshot snapshot;
  snapshot.episode = 1;
  snapshot.policy_step = 39;
  links_.snapshot.put(snapshot);
  look();
  const StepsDiscarded running = undone("u1");
  const auto steps = running.last_step - running.first_step + 1;
  EXPECT_EQ(running.last_step, 39u);
  snapshot.episode = 0;  // between two episodes the step thread counts nothing
  snapshot.policy_step = 0;
  links_.snapshot.put(snapshot);
  look();
  const StepsDiscarded over = undone("u2");
  EXPECT_EQ(over.episode, 1u);
  EXPECT_EQ(over.first_step, 40 - steps);
  EXPECT_EQ(over.last_step, 39u);
  snapshot.episode = 2;
  snapshot.policy_step = 5;
  links_.snapshot.put(snapshot);
  look();
  EXPECT_EQ(undone("u3").episode, 2u);
}

TEST_F(FrontDeskTest, AnEpisodeIsReadByTheArchiveAndTheDeskDoesNotWait) {
  notice({.answers = {},
          .durable = {},
          .not_stored = {},
          .events = past(),
          .steps = {{1, "/log/1.seg", 8, 9, 200, 500}}});
  std::vector<Result<std::string>> answers;
  const auto keep = [&](Result<std::string> content) { answers.push_back(std::move(content)); };
  desk_->read_episode(1, keep);
  desk_->read_frame(1, "front", 3, keep);
  desk_->read_episode(3, keep);
  ASSERT_EQ(answers.size(), 1u) << "of one that never was";
  EXPECT_EQ(answers[0].status().code(), Code::kNotFound);
  std::vector<ArchiveRequest> requests;
  ASSERT_TRUE(links_.archive.try_take_all(requests));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(std::get<EpisodeRecord>(requests[0].wanted).spans.size(), 2u);
  const auto& frame = std::get<FrameWanted>(requests[1].wanted);
  EXPECT_EQ(frame.place.path, "/log/1.seg");
  EXPECT_EQ(frame.place.end_offset, 500u);
  EXPECT_EQ(frame.step, 3u);
  // In another order, and once each.
  for (const std::size_t i : {1u, 0u, 0u}) {
    ASSERT_TRUE(links_.archive_answers.try_push(
        {.number = requests[i].number, .content = std::to_string(i)}));
  }
  desk_->wake();
  look();
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(*answers[1], "1");
  EXPECT_EQ(*answers[2], "0");
}

TEST_F(FrontDeskTest, AnArchiveThatHangsRefusesFurtherReadersAndHoldsUpNobody) {
  notice({.answers = {}, .durable = {}, .not_stored = {}, .events = past()});
  std::size_t refused = 0;
  for (std::size_t i = 0; i < kMaxArchiveRequests + 5; ++i) {
    desk_->read_episode(1, [&](Result<std::string> content) {
      refused += content.status().code() == Code::kResourceExhausted ? 1 : 0;
    });
  }
  EXPECT_EQ(refused, 5u);
  std::vector<ArchiveRequest> requests;
  ASSERT_TRUE(links_.archive.try_take_all(requests));  // taken, and never answered
  desk_->read_episode(1, [&](Result<std::string> content) { refused += content.ok() ? 0 : 1; });
  EXPECT_EQ(refused, 6u);
  submit(kVic, "s1", Stop{});
  EXPECT_EQ(robot_.estops, 1);
}

TEST_F(FrontDeskTest, TellsWhenTheNextRoundComes) {
  WriterStatus writer;
  writer.learner_on = writer.learner_connected = true;
  links_.writer_status.put(writer);
  links_.gate_status.put({.paused = false, .waits_for_feedback = false, .anything_new = true});
  DatasetCounts counts;
  counts.steps = 44;
  links_.dataset.put(std::move(counts));
  for (int i = 0; i < 6; ++i) look();
  EXPECT_EQ(desk_->learning().next, "after this episode");
  EXPECT_EQ(desk_->dataset().steps, 44u);
  links_.gate_status.put({.paused = false, .waits_for_feedback = false, .anything_new = false});
  for (int i = 0; i < 6; ++i) look();
  EXPECT_EQ(desk_->learning().next,
            "after the next correction, or label that changes what is taught");
}

TEST_F(FrontDeskTest, SaysWhenTheLearnerIsNotConfined) {
  const auto told = [&](const WriterStatus& status) {
    links_.writer_status.put(status);
    for (int i = 0; i < 6; ++i) look();
  };
  WriterStatus writer;
  writer.learner_on = true;
  told(writer);
  EXPECT_FALSE(desk_->learning().confined.has_value()) << "no learner has said anything";
  writer.learner_connected = true;
  writer.learner_confined = false;
  writer.learner_sandbox = "seccomp, no landlock";
  told(writer);
  EXPECT_EQ(desk_->learning().confined, false);
  EXPECT_NE(desk_->learning().detail.find("not confined (seccomp, no landlock)"),
            std::string::npos);
  writer.learner_connected = false;
  told(writer);
  EXPECT_NE(desk_->learning().detail.find("sent away"), std::string::npos);
  writer.learner_connected = writer.learner_confined = true;
  told(writer);
  EXPECT_EQ(desk_->learning().confined, true);
  EXPECT_EQ(desk_->learning().detail, "");
}

TEST_F(FrontDeskTest, NotRecordingIsShown) {
  WriterStatus full;
  full.recording = false;
  full.trouble = "the disk is full";
  links_.writer_status.put(full);
  look();
  EXPECT_FALSE(desk_->recording());
  links_.writer_status.put(WriterStatus{});
  look();
  EXPECT_TRUE(desk_->recording());
}

TEST_F(FrontDeskTest, WhatTheDiskDoesNotTakeIsShownUntilItDoes) {
  WriterStatus writer;
  writer.unwritten = "config.toml: no space";
  writer.over_budget = "too many steps";
  links_.writer_status.put(writer);
  links_.head_export.put({.trouble = "no space", .waiting = 3, .exported = 8, .dropped = 1});
  look();
  EXPECT_EQ(desk_->storage().text(),
            "config.toml: no space; too many steps; 3 signed heads are not kept in log.heads_file: "
            "no space");
  EXPECT_EQ(desk_->storage().heads_exported, 8u);
  EXPECT_EQ(desk_->storage().heads_dropped, 1u);
  links_.writer_status.put(WriterStatus{});
  links_.head_export.put({.trouble = "", .waiting = 0, .exported = 11, .dropped = 1});
  look();
  EXPECT_EQ(desk_->storage().text(), "");
}

TEST_F(FrontDeskTest, AFileOfHeadsThatDoesNotAnswerIsShown) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(links_.signed_heads.try_push("head"));
  look();
  EXPECT_EQ(desk_->storage().heads, "4 signed heads are not kept: log.heads_file does not answer");
  EXPECT_EQ(desk_->storage().heads_waiting, 4u);
}

TEST_F(FrontDeskTest, DeclinedHelpReachesTheStepThreadAndIsAcknowledgedWhenItIsOnDisk) {
  submit(kAnna, "d0", DeclineHelp{.help = 12});
  ASSERT_EQ(acks_.size(), 1u);
  EXPECT_EQ(acks_[0].status.code(), Code::kFailedPrecondition) << "nobody asks";
  Snapshot asking;
  asking.help.help = 12;
  links_.snapshot.put(std::move(asking));
  look();
  submit(kVic, "d1", DeclineHelp{.help = 12});
  EXPECT_EQ(acks_.back().status.code(), Code::kPermissionDenied);
  EXPECT_EQ(links_.declined_help, 0u);
  submit(kAnna, "d2", DeclineHelp{.help = 12});
  EXPECT_EQ(links_.declined_help, 12u);
  std::vector<WriterItem> items;
  links_.writer.try_take_all(items);
  ASSERT_EQ(items.size(), 1u);
  const auto& record = std::get<FeedbackRecord>(items[0]);
  EXPECT_EQ(std::get<HelpEnded>(record.payload).reason, HelpEnd::kDeclined);
  EXPECT_EQ(acks_.size(), 2u);
  notice({.answers = {}, .durable = {"d2"}, .not_stored = {}, .events = {}});
  ASSERT_EQ(acks_.size(), 3u);
  EXPECT_TRUE(acks_[2].status.ok());
}

TEST_F(FrontDeskTest, SuccessesWithoutAPersonMoveTheThresholdsOfHelp) {
  const auto first = links_.help_thresholds.try_take();
  ASSERT_TRUE(first.has_value()) << "told at the start";
  EXPECT_EQ(*first, HelpThresholds{});
  WriterNotice notices;
  for (EpisodeId episode = 1; episode <= 9; ++episode) {
    const auto add = [&](Payload payload, const Actor& actor) {
      Event event;
      event.episode = episode;
      event.actor = actor;
      event.payload = std::move(payload);
      notices.events.push_back(std::move(event));
    };
    add(EpisodeStarted{}, kAnna);
    add(HelpScored{0.2, 0.1, 4.0}, kAnna);
    add(Label{episode, 0, LabelValue::kSuccess}, kAnna);
  }
  notice(std::move(notices));
  const auto learned = links_.help_thresholds.try_take();
  ASSERT_TRUE(learned.has_value());
  EXPECT_EQ(learned->disagreement, 0.2);
}

}  // namespace
}  // namespace nudge
