#include "feedback/broker.h"

#include <set>

#include "feedback/motion_words.h"
#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

struct Desk {
  explicit Desk(std::size_t remembered = 4096, Understand understand = understand_only_stop)
      : broker(*Broker::make(
            {"kitchen-1", 4, milliseconds(100), remembered},
            [this](std::string_view id) { return logged.count(id) > 0; }, std::move(understand))) {
    situation.newest_episode = 7;
    situation.policy_step = 120;
    situation.newest_span = 3;
    situation.lease = {5, kAnna};
  }
  Handled send(const Actor& who, FeedbackBody body, std::string id = "m-1") {
    return broker.handle({std::move(id), who, std::move(body)}, situation);
  }

  std::set<std::string, std::less<>> logged;
  Broker broker;
  Situation situation;
};

JogCommand good_jog(std::uint64_t sequence = 1) {
  return {"kitchen-1", 5, sequence, 10, true, {0, 0, 0, 0}};
}

Code refused(const Handled& handled) {
  EXPECT_TRUE(handled.ack.has_value());
  EXPECT_FALSE(handled.act.has_value());
  EXPECT_TRUE(handled.records.empty());
  return handled.ack ? handled.ack->status.code() : Code::kOk;
}

// ---- roles ------------------------------------------------------------------------------------

TEST(Broker, ViewersMayOnlyLookSayStopAndPressStop) {
  const std::vector<FeedbackBody> forbidden = {TakeoverRequest{},
                                               Release{},
                                               HandBack{},
                                               ResetStop{},
                                               ResetFault{},
                                               WordsMessage{"put it left"},
                                               WordsMessage{"nice", WordsUse::kComment},
                                               LabelMessage{7, 0, LabelValue::kSuccess},
                                               UndoLast{1},
                                               SplitSpan{1, 5},
                                               DeclineHelp{4},
                                               EndEpisode{}};
  for (std::size_t i = 0; i < forbidden.size(); ++i) {
    Desk desk;
    EXPECT_EQ(refused(desk.send(kViewerVic, forbidden[i])), Code::kPermissionDenied) << i;
  }
  Desk desk;
  EXPECT_TRUE(desk.send(kViewerVic, Stop{}, "a").stop);
  EXPECT_TRUE(desk.send(kViewerVic, Hold{}, "b").act.has_value());
  EXPECT_TRUE(desk.send(kViewerVic, WordsMessage{"stop"}, "c").act.has_value());
  desk.situation.lease.holder = kViewerVic;
  EXPECT_FALSE(desk.send(kViewerVic, good_jog()).jog.has_value());
}

TEST(Broker, AnEpisodeIsEndedByHandOnlyWhileOneRuns) {
  Desk desk;
  EXPECT_EQ(refused(desk.send(kAnna, EndEpisode{}, "a")), Code::kFailedPrecondition);
  desk.situation.episode_runs = true;
  const Handled handled = desk.send(kAnna, EndEpisode{}, "b");
  ASSERT_TRUE(handled.act.has_value());
  EXPECT_TRUE(std::holds_alternative<EndEpisode>(handled.act->body));
  EXPECT_EQ(handled.act->id, "b");
}

TEST(Broker, OnlyEngineersResetFaultsAndOnlyPeopleResetStop) {
  for (const Actor& who : {kAnna, kProgram}) {
    Desk desk;
    EXPECT_EQ(refused(desk.send(who, ResetFault{})), Code::kPermissionDenied);
  }
  Desk desk;
  EXPECT_TRUE(desk.send(kEva, ResetFault{}, "f").act.has_value());
  EXPECT_TRUE(desk.send(kAnna, ResetStop{}, "s").act.has_value());
  EXPECT_EQ(refused(desk.send(kProgram, ResetStop{}, "p")), Code::kPermissionDenied);
}

TEST(Broker, PassesActsOnWithTheirIdAndActor) {
  const std::vector<FeedbackBody> bodies = {TakeoverRequest{}, Release{}, HandBack{}, Hold{},
                                            ResetStop{}};
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    Desk desk;
    const Handled handled = desk.send(kAnna, bodies[i], "act");
    ASSERT_TRUE(handled.act.has_value()) << i;
    EXPECT_EQ(handled.act->id, "act");
    EXPECT_EQ(handled.act->actor, kAnna);
    EXPECT_FALSE(handled.ack.has_value());
    EXPECT_FALSE(handled.stop);
  }
}

// ---- jog --------------------------------------------------------------------------------------

TEST(Broker, PassesTheHoldersCommandAndNobodyElses) {
  Desk desk;
  const auto refused = [&](CommandRefusal why) {
    return desk.broker.refused_commands()[static_cast<std::size_t>(why)];
  };
  EXPECT_EQ(desk.send(kAnna, good_jog(), "").jog->actor, kAnna);
  EXPECT_FALSE(desk.send(kBen, good_jog(2), "").jog.has_value());
  EXPECT_FALSE(desk.send(kEva, good_jog(2), "").jog.has_value());
  EXPECT_EQ(refused(CommandRefusal::kNotHolder), 2u);
  JogCommand old = good_jog(2);
  old.epoch = 4;
  EXPECT_FALSE(desk.send(kAnna, old, "").jog.has_value());
  EXPECT_EQ(refused(CommandRefusal::kWrongEpoch), 1u);
  JogCommand other = good_jog(2);
  other.robot = "kitchen-2";
  EXPECT_FALSE(desk.send(kAnna, other, "").jog.has_value());
  EXPECT_EQ(refused(CommandRefusal::kWrongRobot), 1u);
  JogCommand huge = good_jog(2);
  huge.action.assign(1000, 0);
  EXPECT_FALSE(desk.send(kAnna, huge, "").jog.has_value());
  EXPECT_EQ(refused(CommandRefusal::kWrongSize), 1u);
  // What was refused has used up no sequence number.
  EXPECT_TRUE(desk.send(kAnna, good_jog(2), "").jog.has_value());
  desk.situation.lease.holder.reset();
  EXPECT_FALSE(desk.send(kAnna, good_jog(3), "").jog.has_value());
}

TEST(Broker, AnOlderCommandOfTheHolderNeverDisplacesTheOneThatLetsGo) {
  Desk desk;
  JogCommand lets_go = good_jog(7);
  lets_go.dead_man = false;
  EXPECT_FALSE(desk.send(kAnna, lets_go, "").jog->command.dead_man);
  EXPECT_FALSE(desk.send(kAnna, good_jog(6), "").jog.has_value());
  EXPECT_FALSE(desk.send(kAnna, good_jog(7), "").jog.has_value());
  constexpr auto kReason = static_cast<std::size_t>(CommandRefusal::kNotIncreasing);
  EXPECT_EQ(desk.broker.refused_commands()[kReason], 2u);
  // Each epoch counts from the beginning.
  desk.situation.lease.epoch = 6;
  JogCommand anew = good_jog(1);
  anew.epoch = 6;
  EXPECT_TRUE(desk.send(kAnna, anew, "").jog.has_value());
}

// ---- ids and answers --------------------------------------------------------------------------

TEST(Broker, AcknowledgesOnlyWhatIsDurable) {
  Desk desk;
  const Handled handled = desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, "label-1");
  EXPECT_FALSE(handled.ack.has_value());
  ASSERT_EQ(handled.records.size(), 1u);
  EXPECT_EQ(handled.records[0].id, "label-1");
  EXPECT_FALSE(desk.broker.on_durable("label-2").has_value());
  const auto ack = desk.broker.on_durable("label-1");
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->id, "label-1");
  EXPECT_TRUE(ack->status.ok());
  EXPECT_FALSE(desk.broker.on_durable("label-1").has_value());
}

TEST(Broker, ARepeatedIdChangesNothingAndGetsTheSameAnswer) {
  Desk desk;
  desk.send(kAnna, WordsMessage{"put it left"}, "w");
  const Handled early = desk.send(kAnna, WordsMessage{"put it left"}, "w");
  EXPECT_FALSE(early.ack.has_value());  // not durable yet
  EXPECT_TRUE(early.records.empty());
  const auto ack = desk.broker.on_durable("w");
  const Handled again = desk.send(kAnna, LabelMessage{7, 0, LabelValue::kFailure}, "w");
  EXPECT_TRUE(again.records.empty());
  EXPECT_EQ(again.ack, ack);
}

TEST(Broker, ARefusalIsRepeatedToo) {
  Desk desk;
  const Handled first = desk.send(kAnna, LabelMessage{8, 0, LabelValue::kSuccess}, "x");
  desk.situation.newest_episode = 8;
  const Handled second = desk.send(kAnna, LabelMessage{8, 0, LabelValue::kSuccess}, "x");
  EXPECT_EQ(refused(second), Code::kNotFound);
  EXPECT_EQ(second.ack, first.ack);
}

TEST(Broker, AnIdOfSomebodyElseIsRefused) {
  Desk desk;
  desk.send(kAnna, Hold{}, "x");
  EXPECT_EQ(refused(desk.send(kBen, Hold{}, "x")), Code::kAlreadyExists);
}

TEST(Broker, AsksTheLogAboutIdsThatItHasForgotten) {
  Desk desk(16);
  for (int i = 0; i < 40; ++i) {
    const std::string id = "m-" + std::to_string(i);
    desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, id);
    desk.logged.insert(id);
    ASSERT_TRUE(desk.broker.on_durable(id).has_value());
  }
  const Handled handled = desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, "m-0");
  EXPECT_TRUE(handled.records.empty());
  ASSERT_TRUE(handled.ack.has_value());
  EXPECT_TRUE(handled.ack->status.ok());
}

TEST(Broker, PushesBackWhenAllRememberedMessagesWaitButStopAndHoldGoThrough) {
  Desk desk(16);
  for (int i = 0; i < 16; ++i) {
    desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, "m-" + std::to_string(i));
  }
  EXPECT_EQ(refused(desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, "late")),
            Code::kResourceExhausted);
  EXPECT_EQ(refused(desk.send(kAnna, TakeoverRequest{}, "take")), Code::kResourceExhausted);
  EXPECT_TRUE(desk.send(kBen, Hold{}, "hold").act.has_value());
  EXPECT_TRUE(desk.send(kBen, WordsMessage{"Stop!"}, "words").act.has_value());
  const Handled stop = desk.send(kBen, Stop{}, "stop");
  EXPECT_TRUE(stop.stop);
  EXPECT_TRUE(stop.act.has_value());
  // One answer makes room; a refusal for want of room was not remembered.
  desk.broker.on_durable("m-9");
  EXPECT_EQ(desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, "late").records.size(), 1u);
}

TEST(Broker, AnswersAnActWhenItIsDecidedAndDurableInEitherOrder) {
  for (const bool decided_first : {true, false}) {
    Desk desk;
    desk.send(kAnna, TakeoverRequest{}, "t");
    const ActAnswer answer{"t", {}, 6, "", true};
    std::optional<Ack> first;
    std::optional<Ack> second;
    if (decided_first) {
      first = desk.broker.on_decided(answer);
      second = desk.broker.on_durable("t");
    } else {
      first = desk.broker.on_durable("t");
      second = desk.broker.on_decided(answer);
    }
    EXPECT_FALSE(first.has_value());
    ASSERT_TRUE(second.has_value());
    EXPECT_TRUE(second->status.ok());
    EXPECT_EQ(second->epoch, 6u);
  }
}

TEST(Broker, AnswersARefusedActAndOneThatChangedNothingAtOnce) {
  Desk desk;
  desk.send(kBen, TakeoverRequest{}, "t");
  const auto busy =
      desk.broker.on_decided({"t", failed_precondition("busy: anna"), 0, "anna", false});
  ASSERT_TRUE(busy.has_value());
  EXPECT_EQ(busy->holder, "anna");
  EXPECT_EQ(busy->status.code(), Code::kFailedPrecondition);
  EXPECT_EQ(desk.send(kBen, TakeoverRequest{}, "t").ack, busy);
  desk.send(kBen, Hold{}, "h");
  EXPECT_TRUE(desk.broker.on_decided({"h", {}, 0, "", false}).has_value());
  EXPECT_FALSE(desk.broker.on_decided({"unknown", {}, 0, "", false}).has_value());
}

TEST(Broker, ForgetsAMessageThatCouldNotBeStoredSoThatItMayComeAgain) {
  Desk desk;
  desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, "x");
  const auto ack = desk.broker.on_not_stored("x", resource_exhausted("the disk is full"));
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->status.code(), Code::kResourceExhausted);
  EXPECT_EQ(desk.send(kAnna, LabelMessage{7, 0, LabelValue::kSuccess}, "x").records.size(), 1u);
}

TEST(Broker, RefusesIdsThatBreakTheRulesWithoutEchoingThem) {
  for (const std::string& id :
       {std::string(), std::string(65, 'a'), std::string("a b"), std::string("a/b"),
        std::string("\xc3\xa4"), std::string("a\0b", 3)}) {
    Desk desk;
    const Handled handled = desk.send(kAnna, Hold{}, id);
    EXPECT_EQ(refused(handled), Code::kInvalidArgument);
    EXPECT_TRUE(handled.ack->id.empty());
  }
  Desk desk;
  EXPECT_TRUE(desk.send(kAnna, Hold{}, std::string(64, 'a')).act.has_value());
  EXPECT_TRUE(desk.send(kAnna, Hold{}, "A-z_0.9:x").act.has_value());
}

TEST(Broker, RefusesActorsWithoutAUsableName) {
  Desk desk;
  EXPECT_EQ(refused(desk.send({"", Role::kEngineer}, Hold{})), Code::kInvalidArgument);
  EXPECT_EQ(refused(desk.send({std::string(65, 'x'), Role::kEngineer}, Hold{})),
            Code::kInvalidArgument);
}

// ---- STOP -------------------------------------------------------------------------------------

TEST(Broker, StopsWhateverTheIdAndRole) {
  Desk desk;
  for (const Actor& who : {kViewerVic, kProgram, kAnna, kEva, Actor{std::string(500, 'n')}}) {
    for (const std::string& id :
         {std::string("s"), std::string("s"), std::string(), std::string(5000, '?')}) {
      const Handled handled = desk.send(who, Stop{}, id);
      EXPECT_TRUE(handled.stop);
      ASSERT_TRUE(handled.act.has_value());
      EXPECT_TRUE(std::holds_alternative<Stop>(handled.act->body));
      EXPECT_LE(handled.act->actor.name.size(), 64u);
      EXPECT_LE(handled.act->id.size(), 64u);
    }
  }
}

TEST(Broker, ARepeatedStopStopsAgainAndIsAcknowledgedWhenThatIsOnDisk) {
  Desk desk;
  EXPECT_EQ(desk.send(kAnna, Stop{}, "s").act->id, "s");
  desk.broker.on_decided({"s", {}, 0, "", true});
  const auto ack = desk.broker.on_durable("s");
  const Handled again = desk.send(kAnna, Stop{}, "s");
  EXPECT_TRUE(again.stop);
  EXPECT_FALSE(again.ack) << "the first may have been lifted since: this one is not on disk yet";
  const std::string id = again.act->id;
  EXPECT_NE(id, "s") << "the log has an event of that id";
  EXPECT_FALSE(desk.broker.on_decided({id, {}, 0, "", true}));
  EXPECT_EQ(desk.broker.on_durable(id), ack) << "the answer is to the id that was sent";
}

TEST(Broker, ARepeatedStopOfAnEarlierBootIsAFactOfItsOwn) {
  Desk desk;
  desk.logged = {"s", "s:again:1"};
  const Handled again = desk.send(kAnna, Stop{}, "s");
  EXPECT_TRUE(again.stop);
  EXPECT_FALSE(again.ack);
  EXPECT_EQ(again.act->id, "s:again:2");
  const auto lost = desk.broker.on_not_stored("s:again:2", unavailable("no disk"));
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->id, "s");
  EXPECT_EQ(lost->status.code(), Code::kUnavailable);
}

TEST(Broker, AStopUnderAUsedIdIsLoggedUnderAnIdThatFitsTheLog) {
  Desk desk;
  const std::string longest(64, 'x');
  desk.logged = {longest};
  const std::string id = desk.send(kAnna, Stop{}, longest).act->id;
  EXPECT_LE(id.size(), 64u);
  EXPECT_EQ(id.find_first_not_of("x:again1"), std::string::npos) << "and of what it takes";
}

// ---- words ------------------------------------------------------------------------------------

TEST(Broker, TheWordStopHoldsHoweverItIsSpelled) {
  for (const char* text : {"stop", "Stop!", " STOP. ", "stop stop", "Stop, stop!"}) {
    Desk desk;
    const Handled handled = desk.send(kAnna, WordsMessage{text}, "w");
    ASSERT_TRUE(handled.act.has_value()) << text;
    EXPECT_TRUE(std::holds_alternative<Hold>(handled.act->body));
    EXPECT_TRUE(handled.act->logged_elsewhere) << "the id belongs to the words";
    ASSERT_EQ(handled.records.size(), 1u);
    EXPECT_EQ(handled.records[0].id, "w");
    EXPECT_EQ(std::get<Words>(handled.records[0].payload).text, text);
  }
  for (const char* text : {"stopper", "do not stop", "put the stop sign left", "sto"}) {
    Desk desk;
    EXPECT_FALSE(desk.send(kAnna, WordsMessage{text}, "w").act.has_value()) << text;
  }
}

TEST(Broker, NoGrammarCanTakeTheWordStopAway) {
  Desk desk(4096, [](const WordsMessage&) { return Understood{}; });
  EXPECT_TRUE(desk.send(kAnna, WordsMessage{"stop"}, "w").act.has_value());
}

TEST(Broker, OtherWordsAreAnInstructionOrACommentByThePagesMode) {
  Desk desk;
  Handled handled = desk.send(kAnna, WordsMessage{"put it in the left drawer"}, "i");
  ASSERT_EQ(handled.records.size(), 2u);
  EXPECT_EQ(std::get<Words>(handled.records[1].payload).use, WordsUse::kInstruction);
  EXPECT_EQ(std::get<InstructionChanged>(handled.records[0].payload).instruction,
            "put it in the left drawer");
  EXPECT_TRUE(handled.records[0].id.empty());
  EXPECT_EQ(handled.records[1].id, "i") << "the words carry the message's id";
  EXPECT_EQ(desk.broker.on_durable("i")->echo, "instruction: put it in the left drawer");

  handled = desk.send(kAnna, WordsMessage{"that was close", WordsUse::kComment}, "c");
  ASSERT_EQ(handled.records.size(), 1u);
  EXPECT_EQ(std::get<Words>(handled.records[0].payload).use, WordsUse::kComment);
  EXPECT_EQ(refused(desk.send(kAnna, WordsMessage{"x", WordsUse::kNudge}, "n")),
            Code::kInvalidArgument);
}

TEST(Broker, ANudgeActsInAutoAndIsOnlyStoredElsewhere) {
  const auto lower = [](const WordsMessage&) {
    return Understood{WordsUse::kNudge, "lower", NudgeBias{{0, 0, -0.3f, 0}, milliseconds(800)}};
  };
  Desk desk(4096, lower);
  desk.situation.state = AuthorityState::kAuto;
  EXPECT_TRUE(desk.send(kAnna, WordsMessage{"lower"}, "a").act.has_value());
  EXPECT_EQ(desk.send(kViewerVic, WordsMessage{"lower"}, "v").ack->status.code(),
            Code::kPermissionDenied);
  desk.situation.state = AuthorityState::kHuman;
  const Handled handled = desk.send(kAnna, WordsMessage{"lower"}, "b");
  EXPECT_FALSE(handled.act.has_value());
  EXPECT_EQ(handled.records.size(), 1u);
  EXPECT_NE(desk.broker.on_durable("b")->echo.find("stored only"), std::string::npos);
}

// Words and what the authority answers, as both come back.
class WordsDesk : public Desk {
 public:
  WordsDesk() : Desk(4096, *MotionWords::make(config())) {
    situation.state = AuthorityState::kAuto;
    situation.lease = {};
    situation.now = Instant(std::chrono::seconds(100));
    situation.instruction = "lift the block";
  }
  static MotionWordsConfig config() {
    MotionWordsConfig config;
    config.action = four_channels();
    return config;
  }
  // The answer once both are there; the authority's first.
  Ack answer(const std::string& id, const Status& status = {}, double before = 1,
             double speed = 1) {
    const auto early = broker.on_decided({id, status, 0, "", false, before, speed});
    const auto late = broker.on_durable(id);
    EXPECT_NE(early.has_value(), late.has_value()) << id;
    return early ? *early : late.value_or(Ack{});
  }
  Ack say(const std::string& text, const std::string& id, const Actor& who = kAnna) {
    const Handled handled = send(who, WordsMessage{text}, id);
    EXPECT_FALSE(handled.ack.has_value());
    return handled.act ? answer(id) : broker.on_durable(id).value_or(Ack{});
  }
};

TEST(BrokerWords, ANudgeIsActedOnceTheAuthorityTookItAndItIsOnDisk) {
  WordsDesk desk;
  const Handled handled = desk.send(kAnna, WordsMessage{"a bit lower"}, "w");
  ASSERT_TRUE(handled.act.has_value());
  EXPECT_EQ(handled.act->id, "w");
  EXPECT_EQ(std::get<NudgeBias>(handled.act->body).words, "w");
  EXPECT_FALSE(desk.broker.on_durable("w").has_value()) << "the authority has not said so";
  const auto ack = desk.broker.on_decided({"w", {}, 0, "", false});
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(*ack->words,
            (WordsAck{WordsUse::kNudge, "move the tool 2 cm down", true, "", false, true}));
  EXPECT_EQ(ack->echo, "understood as: move the tool 2 cm down");
}

TEST(BrokerWords, WhatTheAuthorityRefusesIsStoredAndSaidSo) {
  WordsDesk desk;
  desk.send(kAnna, WordsMessage{"a bit lower"}, "w");
  const Ack ack = desk.answer("w", failed_precondition("not in HOLD"));
  EXPECT_TRUE(ack.status.ok()) << "the words are stored";
  EXPECT_FALSE(ack.words->acted);
  EXPECT_FALSE(ack.words->undo);
  EXPECT_EQ(ack.words->why, "not in HOLD");
  EXPECT_NE(ack.echo.find("stored only"), std::string::npos);
}

TEST(BrokerWords, OutsideAutoOrUnderAnothersLeaseNothingIsAsked) {
  for (const AuthorityState state :
       {AuthorityState::kHold, AuthorityState::kTakeover, AuthorityState::kHuman,
        AuthorityState::kHandback, AuthorityState::kFaultHold, AuthorityState::kEstop}) {
    WordsDesk desk;
    desk.situation.state = state;
    EXPECT_FALSE(desk.send(kAnna, WordsMessage{"a bit lower"}, "w").act.has_value());
    const auto ack = desk.broker.on_durable("w");
    EXPECT_FALSE(ack->words->acted);
    EXPECT_FALSE(ack->words->why.empty());
    EXPECT_FALSE(desk.send(kAnna, WordsMessage{"let go"}, "o").act.has_value());
    EXPECT_FALSE(desk.broker.on_durable("o")->words->confirm);
  }
  WordsDesk desk;
  desk.situation.lease = {5, kBen};
  EXPECT_FALSE(desk.send(kAnna, WordsMessage{"a bit lower"}, "w").act.has_value());
  EXPECT_EQ(desk.broker.on_durable("w")->words->why, "ben has the lease");
  EXPECT_TRUE(desk.send(kBen, WordsMessage{"a bit lower"}, "b").act.has_value());
  EXPECT_FALSE(desk.send(kProgram, WordsMessage{"a bit lower"}, "p").act.has_value());
}

TEST(BrokerWords, WhileTheRobotResetsNothingIsAsked) {
  WordsDesk desk;
  desk.situation.resetting = true;
  EXPECT_FALSE(desk.send(kAnna, WordsMessage{"a bit lower"}, "w").act.has_value());
  EXPECT_EQ(desk.broker.on_durable("w")->words->why,
            "the robot resets its scene; say it again then");
}

TEST(BrokerWords, StopInAnyWordsIsAHoldOfAnybody) {
  for (const char* text : {"whoa", "hang on", "stop going down", "it will break, stop"}) {
    for (const Actor& who : {kViewerVic, kAnna, kProgram}) {
      WordsDesk desk;
      desk.situation.state = AuthorityState::kHuman;
      const Handled handled = desk.send(who, WordsMessage{text}, "w");
      ASSERT_TRUE(handled.act.has_value()) << text;
      EXPECT_TRUE(std::holds_alternative<Hold>(handled.act->body));
      EXPECT_TRUE(desk.answer("w").words->acted);
    }
  }
}

TEST(BrokerWords, OpeningAsksBackAndActsOnAYesOfTheSameSenderOnce) {
  WordsDesk desk;
  Handled handled = desk.send(kAnna, WordsMessage{"open the gripper"}, "w");
  EXPECT_FALSE(handled.act.has_value());
  EXPECT_TRUE(desk.broker.on_durable("w")->words->confirm);
  EXPECT_EQ(refused(desk.send(kBen, ConfirmWords{"w"}, "b")), Code::kPermissionDenied);
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"v"}, "v1")), Code::kNotFound);
  handled = desk.send(kAnna, ConfirmWords{"w"}, "y");
  ASSERT_TRUE(handled.act.has_value());
  EXPECT_GT(std::get<NudgeBias>(handled.act->body).bias[3], 0);
  EXPECT_EQ(std::get<NudgeBias>(handled.act->body).words, "w");
  EXPECT_EQ(std::get<WordsConfirmed>(handled.records.at(0).payload).words, "w");
  EXPECT_TRUE(desk.answer("y").words->acted);
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"w"}, "again")), Code::kFailedPrecondition);
  EXPECT_FALSE(desk.send(kAnna, ConfirmWords{"w"}, "y").act.has_value()) << "the same yes";
}

TEST(BrokerWords, AYesComesWithinTenSeconds) {
  WordsDesk desk;
  desk.say("let go", "w");
  desk.situation.now += std::chrono::milliseconds(10'001);
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"w"}, "y")), Code::kFailedPrecondition);
  desk.say("let go", "w2");
  desk.situation.state = AuthorityState::kHold;
  const Handled handled = desk.send(kAnna, ConfirmWords{"w2"}, "y2");
  EXPECT_FALSE(handled.act.has_value());
  EXPECT_FALSE(desk.broker.on_durable("y2")->words->acted);
}

TEST(BrokerWords, AYesDoesNotReachIntoTheNextEpisode) {
  WordsDesk desk;
  desk.say("open the gripper", "w");
  ++desk.situation.newest_episode;
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"w"}, "y")), Code::kFailedPrecondition);
}

TEST(BrokerWords, GoingBackReversesTheLastNudgeAfterAYes) {
  WordsDesk desk;
  EXPECT_FALSE(desk.say("go back", "g0").words->confirm) << "there is nothing to go back from";
  desk.say("a bit lower", "n");
  desk.situation.now += std::chrono::seconds(3);
  EXPECT_TRUE(desk.say("go back", "g1").words->confirm);
  const Handled handled = desk.send(kAnna, ConfirmWords{"g1"}, "y");
  ASSERT_TRUE(handled.act.has_value());
  const auto& back = std::get<NudgeBias>(handled.act->body);
  const Understood said = (*MotionWords::make(WordsDesk::config()))({.text = "a bit lower"});
  const auto& lower = std::get<NudgeBias>(said.motion);
  EXPECT_FLOAT_EQ(back.bias[2], -lower.bias[2]);
  desk.answer("y");
  EXPECT_FALSE(desk.say("go back", "g2").words->confirm) << "not back and forth";
}

TEST(BrokerWords, GoingBackForgetsNudgesThatAreLongAgoOrOfAnotherEpisode) {
  WordsDesk desk;
  desk.say("a bit lower", "n");
  desk.situation.now += std::chrono::seconds(31);
  EXPECT_FALSE(desk.say("go back", "g1").words->confirm);
  desk.say("a bit lower", "n2");
  ++desk.situation.newest_episode;
  EXPECT_FALSE(desk.say("go back", "g2").words->confirm);
}

TEST(BrokerWords, ANudgeThatWasCutShortIsNotReversed) {
  WordsDesk desk;
  desk.say("a bit lower", "n");
  // HOLD, STOP or a takeover ended it; nobody knows how far it came.
  desk.situation.now += std::chrono::seconds(2);
  desk.situation.driving_since = desk.situation.now;
  EXPECT_FALSE(desk.say("go back", "g").words->confirm);
}

TEST(BrokerWords, ANudgeThatWasCutShortBeforeTheYesIsNotReversed) {
  WordsDesk desk;
  desk.say("a bit lower", "n");
  EXPECT_TRUE(desk.say("go back", "g").words->confirm);
  desk.situation.now += std::chrono::seconds(2);
  desk.situation.driving_since = desk.situation.now;
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"g"}, "y")), Code::kFailedPrecondition);
}

TEST(BrokerWords, ANudgeThatWasTakenBackBeforeTheYesIsNotReversed) {
  WordsDesk desk;
  desk.say("a bit lower", "n");
  EXPECT_TRUE(desk.say("go back", "g").words->confirm);
  desk.send(kAnna, UndoWords{"n"}, "u");
  desk.answer("u");
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"g"}, "y")), Code::kFailedPrecondition);
}

TEST(BrokerWords, ANudgeThatIsBeingTakenBackIsNotReversed) {
  WordsDesk desk;
  desk.say("a bit lower", "n");
  desk.send(kAnna, UndoWords{"n"}, "u");
  EXPECT_FALSE(desk.say("go back", "g1").words->confirm) << "the authority has not answered";
  desk.answer("u", permission_denied("no"));
  EXPECT_TRUE(desk.say("go back", "g2").words->confirm) << "it goes on";
}

TEST(BrokerWords, ANudgeOfTheMomentInWhichThePolicyBeganIsReversedAfterOtherWordsToo) {
  WordsDesk desk;
  desk.situation.driving_since = desk.situation.now;
  desk.say("a bit lower", "n");
  desk.say("slower", "s");
  EXPECT_TRUE(desk.say("go back", "g").words->confirm);
}

TEST(BrokerWords, AYesReversesOnlyTheNudgeThatWasTheLastWhenGoingBackWasAskedFor) {
  WordsDesk desk;
  desk.say("a bit lower", "n1");
  EXPECT_TRUE(desk.say("go back", "g").words->confirm);
  desk.say("a bit to the left", "n2");
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"g"}, "y")), Code::kFailedPrecondition);
}

TEST(BrokerWords, TheThirtySecondsOfGoingBackEndWhenItIsSaidNotAtTheYes) {
  WordsDesk desk;
  desk.say("a bit lower", "n");
  desk.situation.now += std::chrono::seconds(30);
  EXPECT_TRUE(desk.say("go back", "g").words->confirm);
  desk.situation.now += std::chrono::seconds(10);
  EXPECT_TRUE(desk.send(kAnna, ConfirmWords{"g"}, "y").act.has_value());
}

TEST(BrokerWords, TakingANudgeBackEndsItAndIsLogged) {
  WordsDesk desk;
  desk.say("a bit lower", "w");
  EXPECT_EQ(refused(desk.send(kBen, UndoWords{"w"}, "b")), Code::kPermissionDenied);
  const Handled handled = desk.send(kAnna, UndoWords{"w"}, "u");
  ASSERT_TRUE(handled.act.has_value());
  EXPECT_EQ(std::get<EndNudge>(handled.act->body).words, "w");
  ASSERT_EQ(handled.records.size(), 1u);
  EXPECT_EQ(std::get<WordsUndone>(handled.records[0].payload).words, "w");
  EXPECT_EQ(handled.records[0].id, "u");
  EXPECT_TRUE(desk.answer("u").words->acted);
  EXPECT_EQ(refused(desk.send(kAnna, UndoWords{"w"}, "u2")), Code::kFailedPrecondition);
  EXPECT_FALSE(desk.say("go back", "g").words->confirm) << "it is taken back already";
}

TEST(BrokerWords, TakingAnInstructionBackBringsTheOneBeforeIt) {
  WordsDesk desk;
  EXPECT_TRUE(desk.say("put it in the left drawer", "i1").words->undo);
  desk.say("pick up the cup", "i2");
  Handled handled = desk.send(kAnna, UndoWords{"i2"}, "u2");
  ASSERT_EQ(handled.records.size(), 2u);
  EXPECT_EQ(std::get<InstructionChanged>(handled.records[0].payload).instruction,
            "put it in the left drawer");
  EXPECT_TRUE(std::holds_alternative<WordsUndone>(handled.records[1].payload));
  // Words whose instruction is not in force change none.
  handled = desk.send(kAnna, UndoWords{"i1"}, "u1");
  ASSERT_EQ(handled.records.size(), 1u);
  WordsDesk other;
  other.say("pick up the cup", "i");
  handled = other.send(kAnna, UndoWords{"i"}, "u");
  EXPECT_EQ(std::get<InstructionChanged>(handled.records[0].payload).instruction, "lift the block");
}

TEST(BrokerWords, TakingASpeedBackBringsTheOneBeforeIt) {
  WordsDesk desk;
  desk.send(kAnna, WordsMessage{"slower"}, "s");
  const Ack ack = desk.answer("s", {}, 1.0, 0.7);
  EXPECT_EQ(ack.words->as, "work at 70 % of the policy's own speed");
  EXPECT_TRUE(ack.words->undo);
  const Handled handled = desk.send(kAnna, UndoWords{"s"}, "u");
  ASSERT_TRUE(handled.act.has_value());
  EXPECT_TRUE(std::get<SpeedChange>(handled.act->body).absolute);
  EXPECT_EQ(std::get<SpeedChange>(handled.act->body).scale, 1.0);
}

TEST(BrokerWords, TakingBackWhatNewerWordsReplacedChangesNothingAndSaysSo) {
  WordsDesk desk;
  desk.say("pick up the cup", "i1");
  desk.say("pick up the bowl", "i2");
  desk.say("slower", "s1");
  desk.say("slower", "s2");
  for (const std::string words : {"i1", "s1"}) {
    EXPECT_FALSE(desk.send(kAnna, UndoWords{words}, "u-" + words).act.has_value());
    const auto ack = desk.broker.on_durable("u-" + words);
    EXPECT_FALSE(ack->words->acted);
    EXPECT_EQ(ack->words->why, "newer words are in force; nothing changes");
  }
}

TEST(BrokerWords, ASpeedIsNotTakenBackOutOfItsEpisode) {
  WordsDesk desk;
  desk.say("slower", "s");
  ++desk.situation.newest_episode;
  EXPECT_FALSE(desk.send(kAnna, UndoWords{"s"}, "u").act.has_value());
  const auto ack = desk.broker.on_durable("u");
  EXPECT_FALSE(ack->words->acted);
  EXPECT_EQ(ack->words->why, "the episode in which this was said is over; nothing changes");
}

TEST(BrokerWords, ATaskIsTakenBackInALaterEpisodeToo) {
  WordsDesk desk;
  desk.say("pick up the cup", "i");
  ++desk.situation.newest_episode;
  EXPECT_EQ(desk.send(kAnna, UndoWords{"i"}, "u").records.size(), 2u);
}

TEST(BrokerWords, TakingBackThatTheAuthorityRefusesMayBeTriedAgain) {
  WordsDesk desk;
  desk.say("slower", "s");
  desk.send(kAnna, UndoWords{"s"}, "u1");
  EXPECT_FALSE(desk.answer("u1", failed_precondition("ben has the lease")).words->acted);
  EXPECT_TRUE(desk.send(kAnna, UndoWords{"s"}, "u2").act.has_value());
}

TEST(BrokerWords, TakingBackThatIsNotStoredOrNotAskedIsTriedAgainWithItsId) {
  WordsDesk desk;
  desk.say("slower", "s");
  desk.send(kAnna, UndoWords{"s"}, "u");
  ASSERT_TRUE(desk.broker.on_not_asked("u", unavailable("stalled")).has_value());
  EXPECT_TRUE(desk.send(kAnna, UndoWords{"s"}, "u").act.has_value());
  desk.say("pick up the cup", "i");
  desk.send(kAnna, UndoWords{"i"}, "v");
  ASSERT_TRUE(desk.broker.on_not_stored("v", resource_exhausted("full")).has_value());
  EXPECT_EQ(desk.send(kAnna, UndoWords{"i"}, "v").records.size(), 2u);
}

TEST(BrokerWords, ANudgeThatEndedIsNotReversedThoughThatWasNotStored) {
  WordsDesk desk;
  desk.say("a bit lower", "n");
  desk.send(kAnna, UndoWords{"n"}, "u");
  EXPECT_FALSE(desk.broker.on_not_stored("u", resource_exhausted("full")).has_value());
  ASSERT_TRUE(desk.broker.on_decided({"u", {}, 0, "", false}).has_value());
  EXPECT_FALSE(desk.say("go back", "g").words->confirm);
}

TEST(BrokerWords, AStopIsNotTakenBack) {
  WordsDesk desk;
  EXPECT_FALSE(desk.say("stop", "s").words->undo);
  EXPECT_EQ(refused(desk.send(kAnna, UndoWords{"s"}, "u")), Code::kFailedPrecondition);
}

TEST(BrokerWords, WordsThatCouldNotBeStoredStillTellWhetherTheyActed) {
  WordsDesk desk;
  desk.send(kAnna, WordsMessage{"a bit lower"}, "w");
  EXPECT_FALSE(desk.broker.on_not_stored("w", resource_exhausted("full")).has_value());
  const auto ack = desk.broker.on_decided({"w", {}, 0, "", false});
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->status.code(), Code::kResourceExhausted);
  EXPECT_TRUE(ack->words->acted);
  desk.send(kAnna, WordsMessage{"a bit lower"}, "x");
  const auto unasked = desk.broker.on_not_asked("x", unavailable("stalled"));
  ASSERT_TRUE(unasked.has_value());
  EXPECT_FALSE(unasked->words->acted);
}

TEST(BrokerWords, ViewersNeitherConfirmNorTakeBack) {
  WordsDesk desk;
  desk.say("let go", "w");
  EXPECT_EQ(refused(desk.send(kViewerVic, ConfirmWords{"w"}, "y")), Code::kPermissionDenied);
  EXPECT_EQ(refused(desk.send(kViewerVic, UndoWords{"w"}, "u")), Code::kPermissionDenied);
}

TEST(BrokerWords, OnlyTheNewestWordsAreRemembered) {
  WordsDesk desk;
  desk.say("let go", "first");
  for (int i = 0; i < 300; ++i) desk.say("well done", "c" + std::to_string(i));
  EXPECT_EQ(refused(desk.send(kAnna, ConfirmWords{"first"}, "y")), Code::kNotFound);
}

TEST(Broker, WordsAreBoundedValidUtf8) {
  const auto code = [](std::string text) {
    Desk desk;
    const Handled handled = desk.send(kAnna, WordsMessage{std::move(text)}, "w");
    return handled.ack ? handled.ack->status.code() : Code::kOk;
  };
  EXPECT_EQ(code(std::string(1000, 'a')), Code::kOk);
  EXPECT_EQ(code(std::string(1001, 'a')), Code::kInvalidArgument);
  EXPECT_EQ(code("h\xc3\xb6her, \xe2\x82\xac, \xf0\x9f\x91\x8d\nzweite Zeile"), Code::kOk);
  for (const std::string& bad :
       {std::string("\xff"), std::string("\xc3"), std::string("\xc0\x80"),
        std::string("\xe0\x80\xaf"), std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"),
        std::string("\xf8\x88\x80\x80\x80"), std::string("a\x80"), std::string("\xe2\x28\xa1"),
        std::string("a\0b", 3), std::string("\x1b[2J"), std::string("\x7f"), std::string(),
        std::string(" \n\t ")}) {
    EXPECT_EQ(code(bad), Code::kInvalidArgument) << testing::PrintToString(bad);
  }
}

// ---- labels, undo, split ----------------------------------------------------------------------

TEST(Broker, LabelsNameEpisodesAndSpansThatExist) {
  Desk desk;
  Handled handled = desk.send(kAnna, LabelMessage{0, 0, LabelValue::kFailure}, "a");
  ASSERT_EQ(handled.records.size(), 1u);
  EXPECT_EQ(std::get<Label>(handled.records[0].payload).episode, 7u);
  EXPECT_EQ(handled.records[0].episode, 7u);
  handled = desk.send(kAnna, LabelMessage{2, 3, LabelValue::kDiscard}, "b");
  EXPECT_EQ(std::get<Label>(handled.records[0].payload).span, 3u);
  EXPECT_EQ(handled.records[0].episode, 2u);
  EXPECT_EQ(refused(desk.send(kAnna, LabelMessage{8, 0, LabelValue::kSuccess}, "c")),
            Code::kNotFound);
  EXPECT_EQ(refused(desk.send(kAnna, LabelMessage{7, 4, LabelValue::kSuccess}, "d")),
            Code::kNotFound);
  EXPECT_EQ(refused(desk.send(kAnna, LabelMessage{7, 0, static_cast<LabelValue>(9)}, "e")),
            Code::kInvalidArgument);
  desk.situation.newest_episode = 0;
  EXPECT_EQ(refused(desk.send(kAnna, LabelMessage{0, 0, LabelValue::kSuccess}, "f")),
            Code::kNotFound);
}

TEST(Broker, UndoDiscardsTheStepsOfTheLastSecondsOfTheEpisode) {
  const auto steps = [](double seconds, std::uint32_t at) {
    Desk desk;
    desk.situation.policy_step = at;
    const Handled handled = desk.send(kAnna, UndoLast{seconds}, "u");
    const auto& discarded = std::get<StepsDiscarded>(handled.records.at(0).payload);
    EXPECT_EQ(discarded.episode, 7u);
    return std::pair{discarded.first_step, discarded.last_step};
  };
  EXPECT_EQ(steps(1.0, 120), (std::pair{111u, 120u}));
  EXPECT_EQ(steps(1.01, 120), (std::pair{110u, 120u}));
  EXPECT_EQ(steps(0.001, 120), (std::pair{120u, 120u}));
  EXPECT_EQ(steps(600, 120), (std::pair{0u, 120u}));
  EXPECT_EQ(steps(0.1, 0), (std::pair{0u, 0u}));
  for (const double bad : {0.0, -1.0, 600.1, double{kNan}}) {
    Desk desk;
    EXPECT_EQ(refused(desk.send(kAnna, UndoLast{bad}, "u")), Code::kInvalidArgument) << bad;
  }
  Desk desk;
  desk.situation.newest_episode = 0;
  EXPECT_EQ(refused(desk.send(kAnna, UndoLast{1}, "u")), Code::kFailedPrecondition);
}

TEST(Broker, DeclinesOnlyTheHelpThatIsAskedForNow) {
  Desk desk;
  EXPECT_EQ(refused(desk.send(kAnna, DeclineHelp{4}, "a")), Code::kFailedPrecondition);
  desk.situation.help = 4;
  EXPECT_EQ(refused(desk.send(kAnna, DeclineHelp{3}, "b")), Code::kFailedPrecondition);
  const Handled handled = desk.send(kAnna, DeclineHelp{4}, "c");
  EXPECT_FALSE(handled.act.has_value());
  ASSERT_EQ(handled.records.size(), 1u);
  EXPECT_EQ(handled.records[0].id, "c");
  EXPECT_EQ(handled.records[0].episode, 7u);
  const auto& ended = std::get<HelpEnded>(handled.records[0].payload);
  EXPECT_EQ(ended.help, 4u);
  EXPECT_EQ(ended.reason, HelpEnd::kDeclined);
  desk.situation.help = 0;
  EXPECT_EQ(refused(desk.send(kAnna, DeclineHelp{0}, "d")), Code::kFailedPrecondition);
}

TEST(Broker, SplitsOnlySpansThatExist) {
  Desk desk;
  const Handled handled = desk.send(kAnna, SplitSpan{3, 44}, "a");
  EXPECT_EQ(std::get<SpanSplit>(handled.records.at(0).payload).correction_from, 44u);
  EXPECT_EQ(refused(desk.send(kAnna, SplitSpan{0, 44}, "b")), Code::kNotFound);
  EXPECT_EQ(refused(desk.send(kAnna, SplitSpan{4, 44}, "c")), Code::kNotFound);
}

TEST(Broker, ConfigurationIsChecked) {
  const auto known = [](std::string_view) { return false; };
  EXPECT_FALSE(Broker::make({"", 4, milliseconds(100)}, known).ok());
  EXPECT_FALSE(Broker::make({"r", 0, milliseconds(100)}, known).ok());
  EXPECT_FALSE(Broker::make({"r", 4, Duration::zero()}, known).ok());
  EXPECT_FALSE(Broker::make({"r", 4, milliseconds(100), 15}, known).ok());
  EXPECT_FALSE(Broker::make({"r", 4, milliseconds(100)}, nullptr).ok());
  EXPECT_FALSE(Broker::make({"r", 4, milliseconds(100)}, known, nullptr).ok());
}

}  // namespace
}  // namespace nudge
