#include "src/ports/teleop_wire.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "src/ports/supervisor_wire.h"
#include "test/support/golden.h"
#include "test/support/wire_samples.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TeleopHello sample_hello() {
  TeleopHello hello;
  hello.program = "nudge-teleop";
  hello.instance = "00112233445566ff";
  hello.name = "leader arm";
  hello.token = "secret";
  hello.robot = "kitchen";
  hello.every = 2;
  return hello;
}

JogCommand sample_jog() { return {"kitchen", 3, 17, 1234, true, {0.5f, -1.0f, 0, 0}}; }

TeleopWelcome sample_welcome() {
  return {.version = 1,
          .role = Role::kScript,
          .action_size = 4,
          .control_period = milliseconds(20),
          .policy_period = milliseconds(100),
          .fresh = milliseconds(200),
          .name = "leader arm#t1",
          .program = "nudge 0.1.0",
          .robot = "kitchen"};
}

TeleopState sample_state() {
  TeleopState m;
  m.tick = 1234;
  m.now = Instant(seconds(20));
  m.observed = Instant(seconds(20) - milliseconds(3));
  m.state = AuthorityState::kHuman;
  m.source = ControlSource::kHuman;
  m.mine = true;
  m.recording = true;
  m.holder_role = Role::kSupervisor;
  m.holder = "leader arm#t1";
  m.epoch = 3;
  m.episode = 7;
  m.policy_step = 12;
  m.autonomous = 9;
  m.step_limit = 100;
  m.playing = 4;
  m.proprioception = {0.5f, 0.25f};
  m.object_state = {0.125f};
  return m;
}

Ack sample_ack() { return {"id-1", failed_precondition("busy"), "busy: anna drives", 2, "anna"}; }

template <typename Message>
WireBytes bytes_of(const Message& message, std::uint32_t session = 0x01020304) {
  WireBytes out;
  const Status status = encode(message, session, out);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

JogCommand sample_leader_jog() {
  JogCommand jog = sample_jog();
  jog.leader = {0.25f, -1.5f};
  return jog;
}

std::vector<std::pair<std::string, WireBytes>> samples() {
  using M = TeleopMessage;
  using R = TeleopReply;
  return {
      {"hello", bytes_of(M(sample_hello()), 0)},
      {"jog", bytes_of(M(sample_jog()))},
      {"leader-jog", bytes_of(M(sample_leader_jog()))},
      {"feedback", bytes_of(M(TeleopFeedback{R"({"type": "takeover", "id": "id-1"})"}))},
      {"alive", bytes_of(M(TeleopAlive{}))},
      {"bye", bytes_of(M(TeleopBye{}))},
      {"welcome", bytes_of(R(sample_welcome()))},
      {"refusal", bytes_of(R(Refusal{RefusalReason::kToken, "no such token"}), 0)},
      {"state", bytes_of(R(sample_state()))},
      {"ack", bytes_of(R(sample_ack()))},
  };
}

TEST(TeleopWire, BytesAreThoseOfTheGoldenFiles) {
  for (const auto& [name, bytes] : samples()) {
    const std::string now = test::hex_dump(bytes);
    EXPECT_EQ(test::golden("ports/teleop-" + name + ".hex", now), now) << name;
  }
}

TEST(TeleopWire, OnlyALeaderArmsJogNeedsTheNewerMinorVersion) {
  const WireBytes plain = bytes_of(TeleopMessage(sample_jog()));
  const WireBytes leader = bytes_of(TeleopMessage(sample_leader_jog()));
  EXPECT_EQ(plain[5], std::byte{0});
  EXPECT_EQ(leader[5], std::byte{1});
  const auto read = decode_teleop_message(leader);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(std::get<JogCommand>(read->message).leader, sample_leader_jog().leader);
  EXPECT_EQ(std::get<JogCommand>(read->message).action, sample_jog().action);
  // The older one with the newer one's fields is refused, and so is the reverse.
  WireBytes wrong = leader;
  wrong[5] = std::byte{0};
  EXPECT_FALSE(decode_teleop_message(wrong).ok());
  wrong = plain;
  wrong[5] = std::byte{1};
  EXPECT_FALSE(decode_teleop_message(wrong).ok());
}

TEST(TeleopWire, ALeaderArmMayNotHaveMoreJointsThanAnActionHasChannels) {
  JogCommand jog = sample_jog();
  jog.leader.assign(65, 0.0f);
  WireBytes out;
  EXPECT_EQ(encode(TeleopMessage(jog), 1, out).code(), Code::kInvalidArgument);
}

TEST(TeleopWire, MessagesReadAsTheyWereWritten) {
  const auto jog = decode_teleop_message(bytes_of(TeleopMessage(sample_jog())));
  ASSERT_TRUE(jog.ok()) << jog.status().message();
  EXPECT_EQ(jog->session, 0x01020304u);
  const auto& read = std::get<JogCommand>(jog->message);
  EXPECT_EQ(read.robot, "kitchen");
  EXPECT_EQ(read.epoch, 3u);
  EXPECT_EQ(read.sequence, 17u);
  EXPECT_EQ(read.echoed_tick, 1234u);
  EXPECT_TRUE(read.dead_man);
  EXPECT_EQ(read.action, sample_jog().action);

  const auto hello = decode_teleop_message(bytes_of(TeleopMessage(sample_hello()), 0));
  ASSERT_TRUE(hello.ok()) << hello.status().message();
  EXPECT_EQ(std::get<TeleopHello>(hello->message).token, "secret");
  EXPECT_EQ(std::get<TeleopHello>(hello->message).every, 2u);
}

TEST(TeleopWire, RepliesReadAsTheyWereWritten) {
  const auto read = [](const TeleopReply& reply) {
    auto framed = decode_teleop_reply(bytes_of(reply));
    EXPECT_TRUE(framed.ok()) << framed.status().message();
    return framed.ok() ? framed->message : TeleopReply();
  };
  EXPECT_EQ(std::get<TeleopState>(read(sample_state())), sample_state());
  EXPECT_EQ(std::get<TeleopWelcome>(read(sample_welcome())), sample_welcome());
  EXPECT_EQ(std::get<Ack>(read(sample_ack())), sample_ack());
}

TEST(TeleopWire, AcksAreThoseOfTheSupervisorsPort) {
  WireBytes out;
  WireWriter(out, WireType::kTeleopAck, 1).text(encode_ack(sample_ack()));
  const auto framed = decode_teleop_reply(out);
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  EXPECT_EQ(std::get<Ack>(framed->message), sample_ack());
}

TEST(TeleopWire, AnAckWithALongEchoStillSaysWhatWasDecided) {
  Ack ack = sample_ack();
  ack.echo = std::string(5000, '\x01');  // six bytes each, escaped
  const auto framed = decode_teleop_reply(bytes_of(TeleopReply(ack)));
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  EXPECT_EQ(std::get<Ack>(framed->message).status, ack.status);
}

TEST(TeleopWire, AnAckThatIsNotOkIsNeverReadAsSuccess) {
  WireBytes out;
  WireWriter(out, WireType::kTeleopAck, 1).text(R"({"ok": false, "code": "ok", "id": "a"})");
  const auto framed = decode_teleop_reply(out);
  ASSERT_TRUE(framed.ok());
  EXPECT_FALSE(std::get<Ack>(framed->message).status.ok());
  WireWriter(out, WireType::kTeleopAck, 1).text(R"({"id": "a"})");
  EXPECT_FALSE(decode_teleop_reply(out).ok());
}

TEST(TeleopWire, EveryFeedbackReadsAsItselfOnTheSupervisorsPort) {
  const Actor actor{"leader#t1", Role::kSupervisor};
  const std::vector<FeedbackBody> bodies = {
      TakeoverRequest{},
      Release{},
      HandBack{},
      Stop{},
      ResetStop{},
      ResetFault{},
      Hold{},
      WordsMessage{"a \"quoted\" word\n\xc3\xa4", WordsUse::kComment},
      LabelMessage{7, 2, LabelValue::kDiscard},
      UndoLast{2.5},
      SplitSpan{3, 31},
      DeclineHelp{12},
      EndEpisode{}};
  for (const FeedbackBody& body : bodies) {
    const auto text = feedback_text(FeedbackMessage{"id-1", actor, body});
    ASSERT_TRUE(text.ok());
    const auto parsed = parse_client_message(*text, actor);
    ASSERT_TRUE(parsed.ok()) << *text << ": " << parsed.status().message();
    const auto& message = std::get<FeedbackMessage>(*parsed);
    EXPECT_EQ(message.id, "id-1");
    EXPECT_EQ(message.actor, actor);
    EXPECT_EQ(message.body.index(), body.index()) << *text;
  }
  EXPECT_FALSE(feedback_text(FeedbackMessage{"id-1", actor, sample_jog()}).ok());
}

TEST(TeleopWire, AJogThatIsNotFiniteIsLeftToTheAuthorityWhichCountsIt) {
  JogCommand jog = sample_jog();
  jog.action[1] = std::numeric_limits<float>::quiet_NaN();
  const auto framed = decode_teleop_message(bytes_of(TeleopMessage(jog)));
  ASSERT_TRUE(framed.ok());
  EXPECT_TRUE(std::isnan(std::get<JogCommand>(framed->message).action[1]));
}

TEST(TeleopWire, EveryTruncationIsRefused) {
  for (const auto& [name, bytes] : samples()) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto cut = std::span(bytes).first(size);
      EXPECT_FALSE(decode_teleop_message(cut).ok()) << name << " " << size;
      EXPECT_FALSE(decode_teleop_reply(cut).ok()) << name << " " << size;
      if (size < kWireHeader) continue;
      WireBytes honest(cut.begin(), cut.end());
      test::set_length(honest);
      // A text has no length of its own: what it says is the parser's to judge.
      EXPECT_TRUE(name == "feedback" || !decode_teleop_message(honest).ok()) << name << " " << size;
      EXPECT_FALSE(decode_teleop_reply(honest).ok()) << name << " " << size;
    }
  }
}

TEST(TeleopWire, AMessageOfTheRobotsPortIsRefused) {
  WireBytes out;
  { WireWriter(out, WireType::kRobotHold, 1); }
  EXPECT_FALSE(decode_teleop_message(out).ok());
  EXPECT_FALSE(decode_teleop_reply(out).ok());
}

TEST(TeleopWire, AHelloIsBoundedAndNamesWhatIsWrong) {
  const auto status_of = [](TeleopHello hello) {
    return decode_teleop_message(bytes_of(TeleopMessage(hello), 0)).status();
  };
  TeleopHello hello = sample_hello();
  hello.name = "";
  EXPECT_NE(status_of(hello).message().find("'name'"), std::string::npos);
  hello = sample_hello();
  hello.name = std::string(65, 'x');
  EXPECT_FALSE(status_of(hello).ok());
  hello.name = "tab\there";
  EXPECT_FALSE(status_of(hello).ok());
  hello = sample_hello();
  hello.token = std::string(257, 'x');
  EXPECT_NE(status_of(hello).message().find("'token'"), std::string::npos);
  hello = sample_hello();
  hello.every = kMaxStateEvery + 1;
  EXPECT_FALSE(status_of(hello).ok());
  hello = sample_hello();
  hello.min_version = 2;
  hello.max_version = 2;
  EXPECT_EQ(status_of(hello).code(), Code::kUnimplemented);
}

TEST(TeleopWire, RandomChangesNeverCrashAndWhatIsAcceptedCanBeWritten) {
  std::mt19937 random(11);
  const auto all = samples();
  for (int i = 0; i < 20'000; ++i) {
    WireBytes bytes = all[random() % all.size()].second;
    for (unsigned k = 0; k <= random() % 4; ++k) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    if (random() % 2 == 0) test::set_length(bytes);
    WireBytes again;
    if (const auto message = decode_teleop_message(bytes); message.ok()) {
      ASSERT_TRUE(encode(message->message, message->session, again).ok());
      ASSERT_TRUE(decode_teleop_message(again).ok());
    }
    if (const auto reply = decode_teleop_reply(bytes); reply.ok()) {
      ASSERT_TRUE(encode(reply->message, reply->session, again).ok());
      ASSERT_TRUE(decode_teleop_reply(again).ok());
    }
  }
}

}  // namespace
}  // namespace nudge
