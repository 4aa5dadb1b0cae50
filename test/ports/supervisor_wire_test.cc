#include "src/ports/supervisor_wire.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "replay/event_codec.h"
#include "src/ports/desk.h"
#include "src/ports/history.h"
#include "src/ports/http_message.h"
#include "test/support/golden.h"
#include "test/support/port_samples.h"

namespace nudge {
namespace {

using test::golden;

const Actor kAnna = {"anna#1", Role::kSupervisor};

template <typename T>
T feedback(std::string_view text) {
  const auto message = parse_client_message(text, kAnna);
  EXPECT_TRUE(message.ok()) << text << ": " << message.status().message();
  if (!message.ok()) return {};
  const auto* given = std::get_if<FeedbackMessage>(&*message);
  EXPECT_NE(given, nullptr) << text;
  EXPECT_EQ(given->actor, kAnna);
  EXPECT_TRUE(std::holds_alternative<T>(given->body)) << text;
  return std::get<T>(given->body);
}

template <typename T>
T other(std::string_view text) {
  const auto message = parse_client_message(text, kAnna);
  EXPECT_TRUE(message.ok()) << text << ": " << message.status().message();
  if (!message.ok() || !std::holds_alternative<T>(*message)) {
    ADD_FAILURE() << text;
    return {};
  }
  return std::get<T>(*message);
}

std::string refusal(std::string_view text) {
  const auto message = parse_client_message(text, kAnna);
  EXPECT_FALSE(message.ok()) << text;
  EXPECT_EQ(message.status().code(), Code::kInvalidArgument);
  return message.status().message();
}

// ---- from the client ----------------------------------------------------------------------------

TEST(SupervisorWire, ReadsEveryMessageOfTheDocument) {
  feedback<TakeoverRequest>(R"({"type":"takeover","id":"a"})");
  feedback<Release>(R"({"type":"release","id":"a"})");
  feedback<HandBack>(R"({"type":"hand_back","id":"a"})");
  feedback<Stop>(R"({"type":"stop","id":"a"})");
  feedback<ResetStop>(R"({"type":"reset_stop","id":"a"})");
  feedback<ResetFault>(R"({"type":"reset_fault","id":"a"})");
  feedback<Hold>(R"({"type":"hold","id":"a"})");

  const auto jog = feedback<JogCommand>(
      R"({"type":"jog","epoch":3,"sequence":17,"tick":1234,"dead_man":true,"action":[0,0.5,-1,0]})");
  EXPECT_EQ(jog.epoch, 3u);
  EXPECT_EQ(jog.sequence, 17u);
  EXPECT_EQ(jog.echoed_tick, 1234u);
  EXPECT_TRUE(jog.dead_man);
  EXPECT_EQ(jog.action, (Action{0, 0.5F, -1, 0}));
  EXPECT_EQ(jog.robot, "");

  const auto words = feedback<WordsMessage>(
      R"({"type":"words","id":"a","text":"lift the \u00e4pfel","meant":"comment"})");
  EXPECT_EQ(words.text, "lift the \xc3\xa4pfel");
  EXPECT_EQ(words.meant, WordsUse::kComment);
  const auto label =
      feedback<LabelMessage>(R"({"type":"label","id":"a","episode":4,"span":2,"value":"discard"})");
  EXPECT_EQ(label.episode, 4u);
  EXPECT_EQ(label.span, 2u);
  EXPECT_EQ(label.value, LabelValue::kDiscard);
  EXPECT_EQ(feedback<UndoLast>(R"({"type":"undo","id":"a","seconds":2.5})").seconds, 2.5);
  const auto split = feedback<SplitSpan>(R"({"type":"split","id":"a","span":5,"step":31})");
  EXPECT_EQ(split.span, 5u);
  EXPECT_EQ(split.step, 31u);
  EXPECT_EQ(feedback<DeclineHelp>(R"({"type":"decline_help","id":"a","help":12})").help, 12u);

  (void)feedback<EndEpisode>(R"({"type":"end_episode","id":"a"})");

  const auto promote = other<OperatorMessage>(R"({"type":"promote","id":"p","version":4})");
  EXPECT_EQ(promote.id, "p");
  EXPECT_EQ(std::get<PromoteWeights>(promote.body).version, 4u);
  const auto back = other<OperatorMessage>(R"({"type":"roll_back","id":"p"})");
  EXPECT_TRUE(std::holds_alternative<RollBackWeights>(back.body));
  const auto resume = other<OperatorMessage>(R"({"type":"resume_learning","id":"p"})");
  EXPECT_TRUE(std::holds_alternative<ResumeLearning>(resume.body));

  EXPECT_EQ(other<FramesWanted>(R"({"type":"frames","cameras":["front","wrist"]})").cameras,
            (std::vector<std::string>{"front", "wrist"}));
  EXPECT_EQ(other<FrameSeen>(R"({"type":"frame_seen","camera":1,"sequence":8})").sequence, 8u);
  EXPECT_EQ(other<Ping>(R"({"type":"ping","sent":12.5})").sent, 12.5);
  EXPECT_EQ(other<AskToDrive>(R"({"type":"ask_to_drive","id":"a-1"})").id, "a-1");
}

TEST(SupervisorWire, IgnoresFieldsThatItDoesNotKnow) {
  feedback<Hold>(R"({"later":{"a":[1]},"type":"hold","id":"a"})");
}

TEST(SupervisorWire, TakesTheActorFromTheConnectionAndNeverFromTheText) {
  const auto message =
      parse_client_message(R"({"type":"hold","id":"a","actor":{"name":"eve","role":3}})", kAnna);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(std::get<FeedbackMessage>(*message).actor, kAnna);
}

TEST(SupervisorWire, RefusesWhatIsNoObject) {
  for (const char* text : {"", "{", "[]", "3", "null", "\"stop\"", "{}}", "{\"type\":\"hold\"",
                           "{'type':'hold'}", "{\"type\":\"hold\",\"id\":\"\xff\"}"}) {
    refusal(text);
  }
}

TEST(SupervisorWire, NamesATypeThatDoesNotExistAndKeepsTheIdForTheAnswer) {
  RefusedMessage refused;
  const auto message = parse_client_message(R"({"type":"dance","id":"d1"})", kAnna, &refused);
  ASSERT_FALSE(message.ok());
  EXPECT_NE(message.status().message().find("dance"), std::string::npos);
  EXPECT_EQ(refused.id, "d1");
  EXPECT_FALSE(refused.jog);
  refusal(R"({"id":"d1"})");
  refusal(R"({"type":7,"id":"d1"})");
}

TEST(SupervisorWire, RefusesIdsThatBreakTheRulesAndDoesNotRepeatThem) {
  const std::string longest(64, 'x');
  feedback<Hold>(R"({"type":"hold","id":")" + longest + "\"}");
  for (const std::string& id :
       {std::string(R"("")"), std::string(R"("a b")"), std::string("7"), std::string("null"),
        "\"" + longest + "x\"", std::string(R"("a\u0000")"), std::string(R"("ä")")}) {
    RefusedMessage refused;
    const std::string text = R"({"type":"hold","id":)" + id + "}";
    EXPECT_FALSE(parse_client_message(text, kAnna, &refused).ok()) << text;
    EXPECT_EQ(refused.id, "");
  }
  refusal(R"({"type":"hold"})");
  refusal(R"({"type":"promote","version":4})");
}

TEST(SupervisorWire, NeverRefusesStopForItsForm) {
  for (const char* text : {R"({"type":"stop"})", R"({"type":"stop","id":7})",
                           R"({"type":"stop","id":"a b"})", R"({"type":"stop","id":"ok"})"}) {
    feedback<Stop>(text);
  }
  const auto message = parse_client_message(R"({"type":"stop","id":"a b"})", kAnna);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(std::get<FeedbackMessage>(*message).id, "");  // the broker says what was wrong
}

TEST(SupervisorWire, RefusesNumbersThatNoCommandCanHave) {
  const auto jog = [](const std::string& action, const std::string& sequence = "1") {
    return R"({"type":"jog","epoch":1,"sequence":)" + sequence +
           R"(,"tick":1,"dead_man":true,"action":[)" + action + "]}";
  };
  feedback<JogCommand>(jog("0,0,0,3e38"));  // too fast, and finite: for the limits to cut
  for (const char* action :
       {"1e999", "-1e999", "1e300", "-1e39", "NaN", "Infinity", "null", "\"1\"", "true", "[1]"}) {
    RefusedMessage refused;
    EXPECT_FALSE(parse_client_message(jog(action), kAnna, &refused).ok()) << action;
  }
  for (const char* sequence : {"-1", "1.5", "1e3", "18446744073709551616", "\"1\"", "null"}) {
    refusal(jog("0", sequence));
  }
  feedback<JogCommand>(jog("0", "18446744073709551615"));
  refusal(R"({"type":"split","id":"a","span":1,"step":4294967296})");
  refusal(R"({"type":"undo","id":"a","seconds":1e999})");
  refusal(R"({"type":"undo","id":"a","seconds":"3"})");
  refusal(R"({"type":"ping","sent":1e999})");
  refusal(R"({"type":"jog","epoch":1,"sequence":1,"tick":1,"dead_man":1,"action":[]})");
}

TEST(SupervisorWire, SaysThatARefusedMessageWasAJog) {
  RefusedMessage refused;
  EXPECT_FALSE(parse_client_message(R"({"type":"jog"})", kAnna, &refused).ok());
  EXPECT_TRUE(refused.jog);
}

TEST(SupervisorWire, BoundsLists) {
  std::string zeros = "0";
  for (int i = 1; i < 64; ++i) zeros += ",0";
  const auto jog = [](const std::string& action) {
    return R"({"type":"jog","epoch":1,"sequence":1,"tick":1,"dead_man":true,"action":[)" + action +
           "]}";
  };
  EXPECT_EQ(feedback<JogCommand>(jog(zeros)).action.size(), 64u);
  refusal(jog(zeros + ",0"));
  refusal(R"({"type":"ask_to_drive"})");
  refusal(R"({"type":"frames","cameras":"front"})");
  refusal(R"({"type":"frames","cameras":[1]})");
  std::string cameras = "\"c\"";
  for (int i = 0; i < 16; ++i) cameras += ",\"c\"";
  refusal(R"({"type":"frames","cameras":[)" + cameras + "]}");
  refusal(R"({"type":"frames","cameras":[")" + std::string(65, 'c') + "\"]}");
}

TEST(SupervisorWire, RefusesWordsThatAreNotInTheirLists) {
  EXPECT_NE(refusal(R"({"type":"label","id":"a","value":"good"})").find("value"),
            std::string::npos);
  refusal(R"({"type":"words","id":"a","text":"hi","meant":"nudge"})");
  refusal(R"({"type":"words","id":"a","text":"hi"})");
  refusal(R"({"type":"words","id":"a","meant":"comment"})");
}

TEST(SupervisorWire, LetsALabelMeanTheNewestEpisodeWhenItNamesNone) {
  const auto label = feedback<LabelMessage>(R"({"type":"label","id":"a","value":"success"})");
  EXPECT_EQ(label.episode, 0u);
  EXPECT_EQ(label.span, 0u);
}

TEST(SupervisorWire, MeasuresSizeAndDepthBeforeItParses) {
  std::string text = R"({"type":"hold","id":"a","x":")";
  text += std::string(kMaxSupervisorMessage - text.size() - 2, 'y') + "\"}";
  ASSERT_EQ(text.size(), kMaxSupervisorMessage);
  feedback<Hold>(text);
  refusal(text + " ");

  const auto nested = [](std::size_t depth) {
    return R"({"type":"hold","id":"a","x":)" + std::string(depth - 1, '[') +
           std::string(depth - 1, ']') + "}";
  };
  feedback<Hold>(nested(16));
  EXPECT_NE(refusal(nested(17)).find("nested"), std::string::npos);
  refusal(std::string(60'000, '['));
}

TEST(SupervisorWire, CountsDepthOutsideOfTextsOnly) {
  EXPECT_EQ(json_depth("3", 16), 0);
  EXPECT_EQ(json_depth("{}", 16), 1);
  EXPECT_EQ(json_depth(R"([[{"a":[]}],[]])", 16), 4);
  EXPECT_EQ(json_depth(R"(["[[[[","\"[[[","\\",[]])", 16), 2);
  EXPECT_EQ(json_depth("]]]][", 16), 1);
  EXPECT_EQ(json_depth("\"\\", 16), 0);
  EXPECT_EQ(json_depth(std::string(1000, '['), 16), 17);
}

// ---- from the daemon ----------------------------------------------------------------------------

TEST(SupervisorWire, WritesHelloAsTheDocumentShowsIt) {
  Caller you;
  you.actor = {"tablet#3", Role::kEngineer};
  you.device = "d-0123456789abcdef";
  const std::string text = encode_hello(test::sample_desk_info(), you, true);
  EXPECT_EQ(text, golden("ports/hello.json", text));
  you.device.clear();
  const std::string plain = encode_hello(test::sample_desk_info(), you);
  EXPECT_EQ(plain.find("\"device\""), std::string::npos);
  EXPECT_NE(plain.find("\"secure\":false"), std::string::npos);
}

TEST(SupervisorWire, WritesStatusAsTheDocumentShowsIt) {
  const Snapshot snapshot = test::sample_snapshot();
  const History history = test::sample_history();
  const LearningStatus learning = test::sample_learning();
  const StatusView view = {.snapshot = snapshot,
                           .history = history,
                           .learning = learning,
                           .recording = true,
                           .viewers = 2};
  const std::string text = encode_status(view, true);
  EXPECT_EQ(text, golden("ports/status.json", text));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["refused_commands"], 6);  // a thumb that is up is none
  EXPECT_EQ(nlohmann::json::parse(encode_status(view, false))["lease"]["mine"], false);
}

TEST(SupervisorWire, WritesAStatusWhileNothingHasHappenedYet) {
  const Snapshot snapshot;
  const History history;
  const LearningStatus learning;
  const std::string text = encode_status({snapshot, history, learning}, false);
  EXPECT_EQ(text, golden("ports/status-boot.json", text));
  EXPECT_EQ(nlohmann::json::parse(text)["lease"]["holder"], nullptr);
}

TEST(SupervisorWire, WritesNullForWhatIsNotFiniteAndMendsWhatIsNotUtf8) {
  Snapshot snapshot = test::sample_snapshot();
  snapshot.observation.proprioception = {std::numeric_limits<float>::quiet_NaN(), 1,
                                         std::numeric_limits<float>::infinity()};
  snapshot.robot_trouble = "no answer \xff";
  const History history;
  const LearningStatus learning;
  const auto json = nlohmann::json::parse(encode_status({snapshot, history, learning}, false));
  EXPECT_EQ(json["proprioception"], nlohmann::json::parse("[null, 1, null]"));
  EXPECT_EQ(json["robot_trouble"], "no answer \xef\xbf\xbd");
}

TEST(SupervisorWire, WritesAcksPongsAndProblems) {
  const std::string granted =
      encode_ack({.id = "t-1", .status = {}, .echo = "yours", .epoch = 3, .holder = {}});
  EXPECT_EQ(granted, golden("ports/ack.json", granted));
  const std::string busy = encode_ack({.id = "t-2",
                                       .status = failed_precondition("busy: anna drives"),
                                       .echo = {},
                                       .epoch = 0,
                                       .holder = "anna#1"});
  EXPECT_EQ(busy, golden("ports/ack-busy.json", busy));
  const std::string pong = encode_pong({12.5}, Instant(std::chrono::microseconds(8'123'400)));
  EXPECT_EQ(pong, golden("ports/pong.json", pong));
  const std::string asked = encode_asked_to_drive({"phone#4", Role::kSupervisor});
  EXPECT_EQ(asked, golden("ports/asked-to-drive.json", asked));
  const std::string problem = encode_problem(invalid_argument("the message is not valid JSON"));
  EXPECT_EQ(problem, golden("ports/problem.json", problem));
}

TEST(SupervisorWire, TellsWhatBecameOfWords) {
  Ack ack;
  ack.id = "w-1";
  ack.echo = "understood as: move the tool 2 cm down";
  ack.words = WordsAck{WordsUse::kNudge, "move the tool 2 cm down", true, "", false, true};
  const std::string text = encode_ack(ack);
  EXPECT_EQ(text, golden("ports/ack-words.json", text));
  const auto use = [&](WordsUse each) {
    ack.words->use = each;
    return nlohmann::json::parse(encode_ack(ack))["words"]["use"].get<std::string>();
  };
  EXPECT_EQ(use(WordsUse::kHold), "hold");
  EXPECT_EQ(use(WordsUse::kSpeed), "speed");
  EXPECT_EQ(use(WordsUse::kInstruction), "instruction");
  EXPECT_EQ(use(WordsUse::kComment), "comment");
  EXPECT_EQ(use(WordsUse::kNotUnderstood), "not_understood");
}

TEST(SupervisorWire, ReadsWordsTheirConfirmationAndTheirUndoing) {
  const auto read = [](const std::string& text) { return parse_client_message(text, kAnna); };
  const auto words =
      read(R"({"type":"words","id":"w","text":"left","meant":"comment","view":"behind"})");
  ASSERT_TRUE(words.ok()) << words.status().message();
  const auto body = std::get<WordsMessage>(std::get<FeedbackMessage>(*words).body);
  EXPECT_EQ(body.view, Viewpoint::kBehind);
  const auto yes = read(R"({"type":"confirm_words","id":"y","words":"w"})");
  EXPECT_EQ(std::get<ConfirmWords>(std::get<FeedbackMessage>(*yes).body).words, "w");
  const auto undo = read(R"({"type":"undo_words","id":"u","words":"w"})");
  EXPECT_EQ(std::get<UndoWords>(std::get<FeedbackMessage>(*undo).body).words, "w");
  for (const char* wrong :
       {R"({"type":"confirm_words","id":"y"})", R"({"type":"undo_words","id":"u","words":"a b"})",
        R"({"type":"undo_words","words":"w"})",
        R"({"type":"words","id":"w","text":"x","meant":"comment","view":"up"})",
        R"({"type":"words","id":"w","text":"x","meant":"comment","view":1})"}) {
    EXPECT_EQ(read(wrong).status().code(), Code::kInvalidArgument) << wrong;
  }
}

TEST(SupervisorWire, WritesTheCurvesOfThePast) {
  const std::string text = encode_curves(test::sample_history());
  EXPECT_EQ(text, golden("ports/curves.json", text));
  const std::string episodes = encode_episodes(test::sample_history(), 1);
  EXPECT_EQ(episodes, golden("ports/episodes.json", episodes));
}

TEST(SupervisorWire, ShowsTheNewestEpisodesThatHaveEndedOldestFirst) {
  History history;
  test::EventMaker events;
  for (EpisodeId id = 1; id <= 300; ++id) {
    history.apply(events.make(EpisodeStarted{}, id));
    if (id < 300) history.apply(events.make(EpisodeEnded{EpisodeEnd::kTaskDone, 5}, id));
  }
  const auto curves = nlohmann::json::parse(encode_curves(history));
  ASSERT_EQ(curves["episodes"].size(), kCurveEpisodes);
  EXPECT_EQ(curves["episodes"].front()["id"], 100);
  EXPECT_EQ(curves["episodes"].back()["id"], 299);
}

TEST(SupervisorWire, WritesTheVersionsOfTheWeightsNewestFirst) {
  const std::string text = encode_weights(test::sample_history(), test::sample_ledger());
  EXPECT_EQ(text, golden("ports/weights.json", text));
}

TEST(SupervisorWire, WritesWhatIsLearned) {
  const std::string text =
      encode_learning(test::sample_dataset(), test::sample_ledger(), test::sample_learning());
  EXPECT_EQ(text, golden("ports/learning.json", text));
}

TEST(SupervisorWire, BoundsTheListsOfWhatIsLearned) {
  DatasetCounts dataset;
  for (int i = 0; i < 5'000; ++i) {
    dataset.supervisors.push_back(
        {"p" + std::to_string(i), static_cast<std::uint64_t>(i), 0, 0, 0});
  }
  LearningLedger ledger;
  test::EventMaker events;
  for (WeightsVersion version = 1; version <= 300; ++version) {
    const Sha256 hash = test::sample_hash(static_cast<std::uint8_t>(version));
    ledger.apply(events.make(CandidateReceived{.hash = hash, .prefix = version}));
    ledger.apply(events.make(WeightsAccepted{version, hash, 0, WeightsKind::kFull, "{}"}));
  }
  const auto learning = nlohmann::json::parse(encode_learning(dataset, ledger, LearningStatus{}));
  EXPECT_EQ(learning["rounds"].size(), kShownRounds);
  EXPECT_EQ(learning["rounds"].back()["version"], 300);
  EXPECT_EQ(learning["dataset"]["supervisors"].size(), kShownSupervisors);
  EXPECT_EQ(learning["dataset"]["supervisors"][0]["name"], "p4999");
}

TEST(SupervisorWire, WritesAGateReportThatCannotBeReadAsNull) {
  for (const std::string& report :
       {std::string("not JSON"), std::string(9000, ' ') + "{}",
        std::string(40, '[') + std::string(40, ']'), std::string("{\"a\":\"\xff\"}")}) {
    History history;
    test::EventMaker events;
    history.apply(events.make(WeightsAccepted{1, {}, 0, WeightsKind::kFull, report}));
    const auto weights = nlohmann::json::parse(encode_weights(history, LearningLedger{}));
    EXPECT_EQ(weights["versions"][0]["gate"], nullptr) << report.substr(0, 40);
  }
}

// One of each kind, with the fields that the log's own goldens have.
std::vector<Payload> every_kind() {
  return {Booted{"nudge 0.1.0", "kitchen"},
          EpisodeStarted{EpisodePurpose::kDeployment, 5, "lift"},
          EpisodeEnded{EpisodeEnd::kTaskDone, 44},
          SpanOpened{5, SpanKind::kTakeover, 3, 10},
          SpanClosed{5, SpanEnd::kReleased, 17, true},
          SpanSplit{5, 12},
          StepsLost{3, 2, true},
          AuthorityChanged{AuthorityState::kHuman, AuthorityState::kHold, "command_stale"},
          LeaseGranted{3},
          LeaseEnded{3, "released"},
          Words{"lift the red block", WordsUse::kInstruction, "instruction: lift the red block"},
          InstructionChanged{"lift the red block"},
          Label{7, 0, LabelValue::kSuccess},
          StepsDiscarded{7, 10, 12},
          CandidateReceived{{}, 3, WeightsKind::kFull, 800, 1.5},
          WeightsAccepted{4, {}, 3, WeightsKind::kFull, "{}"},
          WeightsRejected{{}, 3, "forgets", "too much"},
          WeightsLive{4},
          WeightsConfirmed{4},
          WeightsRolledBack{4, 3, "takeovers"},
          WeightsPromoted{4},
          LearningPaused{"two rollbacks"},
          LearningResumed{},
          Fault{"robot_stale", "no answer"},
          Stopped{},
          StopReset{},
          WordsConfirmed{"w-1"},
          WordsActed{"w-1", 5},
          WordsUndone{"w-1"},
          HelpAsked{12, HelpReason::kNoProgress, 0.625},
          HelpEnded{12, HelpEnd::kTakenOver},
          HelpScored{0.25, 0.125, 4.5},
          CorrectionsWithdrawn{"anna"},
          CorrectionsRestored{"anna"},
          EpisodeEvicted{4, EpisodeWorth::kPlainSuccess, 1200, 1290, 88, 36864},
          PairingCodeMade{Role::kEngineer},
          DevicePaired{"d-3f0a51c2b7e94d18", "Anna's tablet", Role::kSupervisor, "192.168.1.7"},
          DeviceRevoked{"d-3f0a51c2b7e94d18", "Anna's tablet", DeviceEnd::kByHand},
          KeyAdded{"left-arm", KeyUse::kTeleop, Role::kSupervisor,
                   "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"},
          KeyRemoved{"left-arm", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"},
          TokenChanged{Role::kSupervisor, "c0ffee0123456789"}};
}

TEST(SupervisorWire, WritesEveryKindOfEventThatPeopleSee) {
  test::EventMaker events;
  std::string all;
  for (const Payload& payload : every_kind()) {
    const Event event = events.make(payload, 7, 12, kAnna);
    if (!is_shown(event)) continue;
    const std::string text = encode_event(event);
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["data"], nlohmann::json::parse(*encode_payload(payload)));
    all += text + "\n";
  }
  EXPECT_EQ(all, golden("ports/events.jsonl", all));
}

TEST(SupervisorWire, ShowsTheKindsOfTheDocumentAndNoOthers) {
  const std::set<std::string> hidden = {"lease_granted", "lease_ended", "candidate_received",
                                        "words_acted", "help_scored"};
  test::EventMaker events;
  ASSERT_EQ(every_kind().size(), std::variant_size_v<Payload>);
  for (const Payload& payload : every_kind()) {
    EXPECT_EQ(is_shown(events.make(payload)), !hidden.contains(std::string(kind_of(payload))))
        << kind_of(payload);
  }
}

TEST(SupervisorWire, SaysOfEveryReasonForHelpWhatIsWrong) {
  std::set<std::string> said;
  for (const HelpReason reason :
       {HelpReason::kDisagreement, HelpReason::kNoProgress, HelpReason::kBoth}) {
    Snapshot snapshot = test::sample_snapshot();
    snapshot.help.reason = reason;
    const LearningStatus learning = test::sample_learning();
    const auto status = nlohmann::json::parse(
        encode_status({.snapshot = snapshot, .history = History{}, .learning = learning}, false));
    said.insert(std::string(status["help"]["reason"]) + ": " + std::string(status["help"]["why"]));
  }
  EXPECT_EQ(said.size(), 3u);
}

// ---- why it does not move -----------------------------------------------------------------------

TEST(SupervisorWire, SaysOfEveryWayIntoAStateWhyAndWhatToDo) {
  for (const TransitionRule& rule : transition_table()) {
    const std::string_view text = why_text(rule.to, to_string(rule.trigger));
    EXPECT_NE(text, why_text(rule.to, "a cause of a later version"))
        << to_string(rule.to) << " by " << to_string(rule.trigger) << " has no words of its own";
    EXPECT_EQ(text.back(), '.');
  }
  EXPECT_EQ(why_text(AuthorityState::kHold, "boot"),
            "The robot has just started. Press Start when the scene is clear.");
  EXPECT_NE(why_text(AuthorityState::kEstop, "boot"), why_text(AuthorityState::kEstop, "?"));
}

TEST(SupervisorWire, HasGeneralWordsForEveryState) {
  for (int state = 0; state <= static_cast<int>(AuthorityState::kEstop); ++state) {
    EXPECT_FALSE(why_text(static_cast<AuthorityState>(state), "?").empty());
  }
}

}  // namespace
}  // namespace nudge
