// What a guard of the broker lets pass, or keeps, beside its plain case: each was found missing by
// taking the guards away one at a time (scripts/mutation.py).
#include <gtest/gtest.h>

#include "feedback/broker.h"
#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

bool known(std::string_view) { return false; }

Broker made(std::size_t remembered = 4096) {
  return *Broker::make({"kitchen-1", 4, milliseconds(100), remembered}, known);
}

Situation usual_situation() {
  Situation situation;
  situation.newest_episode = 7;
  situation.newest_span = 3;
  return situation;
}

Handled send(Broker& broker, FeedbackBody body, std::string id = "m-1", const Actor& who = kAnna) {
  return broker.handle({std::move(id), who, std::move(body)}, usual_situation());
}

bool takes_words(const std::string& text) {
  Broker broker = made();
  return !send(broker, WordsMessage{text}).ack;
}

bool stops(const std::string& text) {
  Broker broker = made();
  return send(broker, WordsMessage{text}).act.has_value();
}

TEST(BrokerGuards, ARobotsNameAndTheSizeOfItsActionsAreBounded) {
  const auto ok = [](std::string robot, std::size_t size) {
    return Broker::make({std::move(robot), size, milliseconds(100)}, known).ok();
  };
  EXPECT_TRUE(ok(std::string(64, 'r'), 64));
  EXPECT_FALSE(ok(std::string(65, 'r'), 64));
  EXPECT_FALSE(ok(std::string(64, 'r'), 65));
}

TEST(BrokerGuards, AnIdEndsWhereItsCharactersDo) {
  Broker broker = made();
  for (const char first : {'A', 'Z', 'a', 'z', '0', '9'}) {
    EXPECT_TRUE(send(broker, Hold{}, std::string(1, first)).act) << first;
  }
  for (const char beside : {'@', '[', '`', '{', '/', ';', '~', ','}) {
    EXPECT_FALSE(send(broker, Hold{}, std::string(1, beside)).act) << beside;
  }
}

TEST(BrokerGuards, AnActorsNameMayHave64Bytes) {
  Broker broker = made();
  EXPECT_TRUE(send(broker, Hold{}, "m", {std::string(64, 'x'), Role::kSupervisor}).act);
}

TEST(BrokerGuards, TheFirstAndLastPointOfEachLengthOfUtf8AreText) {
  for (const char* point : {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                            "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(takes_words(point)) << testing::PrintToString(point);
  }
  for (const char* surrogate : {"\xed\xa0\x80", "\xed\xbf\xbf"}) {
    EXPECT_FALSE(takes_words(surrogate)) << testing::PrintToString(surrogate);
  }
}

TEST(BrokerGuards, TabsAndNewLinesAreWhatTextFieldsBring) {
  EXPECT_TRUE(takes_words("a bit\tlower"));
  for (const char* text : {"stop\n", "\tstop", "st\top", "stop, stop!", "STOP."}) {
    EXPECT_TRUE(stops(text)) << text;
  }
}

TEST(BrokerGuards, WordsThatCannotBeKeptMoveNothingUnlessTheyAreStop) {
  Broker broker = made(16);
  for (int i = 0; i < 16; ++i) {
    (void)send(broker, LabelMessage{7, 0, LabelValue::kSuccess}, "l" + std::to_string(i));
  }
  const Handled words = send(broker, WordsMessage{"a bit lower"}, "w");
  EXPECT_EQ(words.ack->status.code(), Code::kResourceExhausted);
  EXPECT_FALSE(words.act);
  EXPECT_TRUE(send(broker, WordsMessage{"stop"}, "s").act);
}

TEST(BrokerGuards, ARefusalWaitsForNoDisk) {
  Broker broker = made();
  (void)send(broker, TakeoverRequest{}, "t");
  const auto ack = broker.on_decided({"t", failed_precondition("no"), 0, "", /*logged=*/true});
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->status.code(), Code::kFailedPrecondition);
}

TEST(BrokerGuards, WhatIsAnsweredOrUnknownIsNotAnsweredAsNotStored) {
  Broker broker = made();
  EXPECT_FALSE(broker.on_not_stored("never", unavailable("full")));
  (void)send(broker, TakeoverRequest{}, "t");
  ASSERT_TRUE(broker.on_decided({"t", failed_precondition("no"), 0, "", false}));
  EXPECT_FALSE(broker.on_not_stored("t", unavailable("full")));
  EXPECT_FALSE(broker.on_decided({"t", {}, 1, "", false})) << "nobody is answered twice";
  EXPECT_TRUE(send(broker, TakeoverRequest{}, "t").ack) << "the answer is still known";
}

// A grammar of one word, which is not "stop".
Understood understand_whoa(const WordsMessage& words) {
  if (words.text == "whoa") return {WordsUse::kHold, "hold", Hold{}};
  return {};
}

Broker full(Understand understand) {
  Broker broker = *Broker::make({"kitchen-1", 4, milliseconds(100), 16}, known, understand);
  for (int i = 0; i < 16; ++i) send(broker, TakeoverRequest{}, "t-" + std::to_string(i));
  return broker;
}

bool holds(Broker& broker, const std::string& text) {
  const Handled handled = send(broker, WordsMessage{text}, "w");
  EXPECT_TRUE(handled.ack && !handled.ack->status.ok()) << "there was room for it";
  return handled.act && std::holds_alternative<Hold>(handled.act->body);
}

TEST(BrokerGuards, AStopIsHeardWhenNoMoreIdsCanBeRemembered) {
  Broker broker = full(understand_whoa);
  EXPECT_TRUE(holds(broker, "stop"));  // whatever the grammar knows
  EXPECT_TRUE(holds(broker, "whoa"));  // and what only the grammar knows
  EXPECT_FALSE(holds(broker, "lower"));
}

TEST(BrokerGuards, AStopIsNotLookedForInMoreWordsThanAnybodyMaySend) {
  Broker broker = full(understand_only_stop);
  EXPECT_TRUE(holds(broker, "stop" + std::string(996, '!')));
  EXPECT_FALSE(holds(broker, "stop" + std::string(997, '!')));
}

Understood understand_with_reserve(const WordsMessage& words) {
  Understood understood;
  understood.use = WordsUse::kNudge;
  understood.why = words.text == "hold" ? "" : "the grammar's reserve";
  understood.confirm = words.text == "hold";
  if (understood.confirm) {
    understood.motion = Hold{};
  } else if (words.text != "nowhere") {
    understood.motion = NudgeBias{{0, 0, -0.1f, 0}, milliseconds(500)};
  }
  return understood;
}

TEST(BrokerGuards, WhyNothingMovesNowComesBeforeAReserveOfTheGrammar) {
  Broker broker =
      *Broker::make({"kitchen-1", 4, milliseconds(100)}, known, understand_with_reserve);
  const Handled handled = send(broker, WordsMessage{"lower"}, "w");  // in HOLD
  EXPECT_FALSE(handled.act);
  const auto ack = broker.on_durable("w");
  ASSERT_TRUE(ack && ack->words);
  EXPECT_FALSE(ack->words->acted);
  EXPECT_NE(ack->words->why, "the grammar's reserve");
  EXPECT_NE(ack->words->why, "");
}

TEST(BrokerGuards, AHoldNeverAsksBack) {
  Broker broker =
      *Broker::make({"kitchen-1", 4, milliseconds(100)}, known, understand_with_reserve);
  const Handled handled = send(broker, WordsMessage{"hold"}, "w");
  ASSERT_TRUE(handled.act);
  EXPECT_TRUE(std::holds_alternative<Hold>(handled.act->body));
}

TEST(BrokerGuards, NeitherAYesNorAWayBackMayBeEndless) {
  const auto made_with = [](Duration yes, Duration back) {
    BrokerConfig config{"kitchen-1", 4, milliseconds(100)};
    config.confirm_within = yes;
    config.go_back_within = back;
    return config.validate().ok();
  };
  constexpr Duration kHair{1};
  EXPECT_TRUE(made_with(kHair, kHair));
  EXPECT_FALSE(made_with(Duration::zero(), kHair));
  EXPECT_FALSE(made_with(kHair, Duration::zero()));
}

// What a sentence is answered with, once it is on disk.
std::string echo_of(Understand understand, const std::string& text, const Actor& who = kAnna,
                    AuthorityState state = AuthorityState::kHold,
                    WordsUse meant = WordsUse::kInstruction) {
  Broker broker = *Broker::make({"kitchen-1", 4, milliseconds(100)}, known, understand);
  Situation situation = usual_situation();
  situation.state = state;
  (void)broker.handle({"w", who, WordsMessage{text, meant}}, situation);
  const auto ack = broker.on_durable("w");
  return ack ? ack->echo : "none yet";
}

TEST(BrokerGuards, OnlyWhatIsUnderstoodAsMoreThanItSaysIsCalledUnderstood) {
  EXPECT_EQ(echo_of(understand_only_stop, "nice", kAnna, AuthorityState::kHold, WordsUse::kComment)
                .find("understood as: "),
            std::string::npos);
  const auto nothing = [](const WordsMessage&) {
    return Understood{WordsUse::kNotUnderstood, "not understood", {}, false, {}};
  };
  EXPECT_EQ(echo_of(nothing, "up down").find("understood as: "), std::string::npos);
}

TEST(BrokerGuards, WordsThatAreOnlyStoredSayWhyAndOthersDoNot) {
  EXPECT_NE(echo_of(understand_with_reserve, "lower").find("(stored only: "), std::string::npos);
  const auto nothing = [](const WordsMessage&) {
    return Understood{WordsUse::kNotUnderstood, "not understood", {}, false, {}};
  };
  EXPECT_EQ(echo_of(nothing, "up down").find("stored only"), std::string::npos);
}

TEST(BrokerGuards, AQuestionIsAskedAndNotToldAsDone) {
  const auto asks = [](const WordsMessage&) {
    return Understood{WordsUse::kNudge,
                      "open the gripper",
                      NudgeBias{{0, 0, 0, 0.1f}, milliseconds(500)},
                      true,
                      {}};
  };
  EXPECT_NE(echo_of(asks, "open", kAnna, AuthorityState::kAuto).find("? Confirm it"),
            std::string::npos);
}

TEST(BrokerGuards, AMessageIsDecidedOnceAndOnlyWhenItIsKnown) {
  Broker broker = made();
  EXPECT_FALSE(broker.on_not_asked("never", unavailable("full")));
  ASSERT_TRUE(send(broker, TakeoverRequest{}, "t").act);
  ActAnswer answer;
  answer.id = "t";
  answer.status = failed_precondition("busy");
  ASSERT_TRUE(broker.on_decided(answer));
  EXPECT_FALSE(broker.on_decided(answer));
  EXPECT_FALSE(broker.on_not_asked("t", unavailable("full")));
}

Understood understand_lower(const WordsMessage&) {
  return {WordsUse::kNudge, "lower", NudgeBias{{0, 0, -0.1f, 0}, milliseconds(500)}, false, {}};
}

TEST(BrokerGuards, AProgramsWordsMoveNothingAndItIsToldWhy) {
  EXPECT_NE(echo_of(understand_lower, "lower", kProgram, AuthorityState::kAuto)
                .find("only a person's words"),
            std::string::npos);
}

TEST(BrokerGuards, ACommentCanBeTakenBack) {
  Broker broker = made();
  (void)send(broker, WordsMessage{"nice", WordsUse::kComment}, "w");
  const auto ack = broker.on_durable("w");
  ASSERT_TRUE(ack && ack->words);
  EXPECT_TRUE(ack->words->undo);
}

TEST(BrokerGuards, WordsThatActAreAnsweredWhenTheyAreDecidedAndOnDisk) {
  Broker broker = *Broker::make({"kitchen-1", 4, milliseconds(100)}, known, understand_lower);
  Situation driving = usual_situation();
  driving.state = AuthorityState::kAuto;
  ASSERT_TRUE(broker.handle({"w", kAnna, WordsMessage{"lower"}}, driving).act);
  ActAnswer answer;
  answer.id = "w";
  EXPECT_FALSE(broker.on_decided(answer)) << "it is not on disk";
  EXPECT_TRUE(broker.on_durable("w"));
}

TEST(BrokerGuards, WhatTheGrammarCannotDoItSays) {
  EXPECT_NE(echo_of(understand_with_reserve, "nowhere").find("the grammar's reserve"),
            std::string::npos);
}

TEST(BrokerGuards, ASecondDecisionAboutWordsThatWaitForTheDiskIsNotHeard) {
  Broker broker = *Broker::make({"kitchen-1", 4, milliseconds(100)}, known, understand_lower);
  Situation driving = usual_situation();
  driving.state = AuthorityState::kAuto;
  (void)broker.handle({"w", kAnna, WordsMessage{"lower"}}, driving);
  ActAnswer answer;
  answer.id = "w";
  EXPECT_FALSE(broker.on_decided(answer));
  answer.status = failed_precondition("too late");
  EXPECT_FALSE(broker.on_decided(answer));
  const auto ack = broker.on_durable("w");
  ASSERT_TRUE(ack && ack->words);
  EXPECT_TRUE(ack->words->acted);
}

TEST(BrokerGuards, AnActThatCannotBeStoredIsRefusedAtOnce) {
  Broker broker = made();
  ASSERT_TRUE(send(broker, TakeoverRequest{}, "t").act);
  const auto ack = broker.on_not_stored("t", unavailable("full"));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->status.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace nudge
