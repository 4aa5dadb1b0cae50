#include "src/ports/robot_wire.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "test/support/golden.h"
#include "test/support/recording_robot.h"
#include "test/support/wire_samples.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RobotHello sample_hello() {
  RobotHello hello;
  hello.program = "nudge-client 0.1.0";
  hello.instance = "00112233445566ff";
  hello.capabilities = {"reset", "estop", "cameras"};
  hello.spec = test::small_spec();
  return hello;
}

RobotObservation sample_observation() {
  RobotObservation m;
  m.tick = 41;
  m.time = Instant(seconds(7));
  m.sent = Instant(seconds(7) + milliseconds(1));
  m.applied = 12;
  m.success = true;
  m.holding = true;
  m.proprioception = {0.5f, -0.25f};
  m.object_state = {1.5f};
  m.frames = {{0, 64, 48, Instant(seconds(6)), {0xff, 0xd8, 0xff, 0xd9}}};
  return m;
}

template <typename Message>
WireBytes bytes_of(const Message& message, std::uint32_t session = 0x01020304) {
  WireBytes out;
  const Status status = encode(message, session, out);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

RobotObservation sample_over() {
  RobotObservation m = sample_observation();
  m.success = false;
  m.over = Over::kTruncated;
  return m;
}

std::vector<std::pair<std::string, WireBytes>> samples() {
  using M = RobotMessage;
  using C = RobotCommand;
  return {
      {"hello", bytes_of(M(sample_hello()), 0)},
      {"observation", bytes_of(M(sample_observation()))},
      {"observation-over", bytes_of(M(sample_over()))},
      {"report", bytes_of(M(RobotReport{3, RobotReport::Of::kReset, unavailable("no answer")}))},
      {"welcome", bytes_of(C(RobotWelcome{1, "nudge 0.1.0"}))},
      {"refusal", bytes_of(C(Refusal{RefusalReason::kBusy, "one at a time"}), 0)},
      {"action", bytes_of(C(RobotAction{5, 41, milliseconds(40), {0.5f, -1.0f}}))},
      {"hold", bytes_of(C(RobotHold{}))},
      {"estop", bytes_of(C(RobotEstop{}))},
      {"reset_estop", bytes_of(C(RobotResetEstop{9}))},
      {"reset", bytes_of(C(RobotReset{10, 0xfedcba9876543210}))},
  };
}

TEST(RobotWire, BytesAreThoseOfTheGoldenFiles) {
  for (const auto& [name, bytes] : samples()) {
    const std::string now = test::hex_dump(bytes);
    EXPECT_EQ(test::golden("ports/robot-" + name + ".hex", now), now) << name;
  }
}

TEST(RobotWire, AnObservationReadsAsItWasWritten) {
  const auto framed = decode_robot_message(bytes_of(RobotMessage(sample_observation())));
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  EXPECT_EQ(framed->session, 0x01020304u);
  EXPECT_EQ(std::get<RobotObservation>(framed->message), sample_observation());
}

TEST(RobotWire, AnObservationThatEndsItsEpisodeIsOneThatOlderDaemonsReadToo) {
  WireBytes bytes = bytes_of(RobotMessage(sample_over()));
  const auto framed = decode_robot_message(bytes);
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  EXPECT_EQ(std::get<RobotObservation>(framed->message), sample_over());
  EXPECT_EQ(WireReader::open(bytes)->minor(), 1) << "appended fields belong to a minor version";
  bytes[bytes.size() - 2] = std::byte{3};
  EXPECT_EQ(decode_robot_message(bytes).status().code(), Code::kInvalidArgument);
}

TEST(RobotWire, AHelloMayLeaveOutWhatTheRobotLacks) {
  RobotHello hello = sample_hello();
  hello.spec.observation = {};
  std::string text(WireReader::open(bytes_of(RobotMessage(hello), 0))->rest());
  for (const std::string list : {R"("cameras":[],)", R"("object_state":[],)",
                                 R"("proprioception":[],)", R"(,"proprioception":[])"}) {
    if (const auto at = text.find(list); at != std::string::npos) text.erase(at, list.size());
  }
  ASSERT_EQ(text.find("object_state"), std::string::npos) << text;
  WireBytes bytes;
  WireWriter(bytes, WireType::kRobotHello, 0).text(text);
  const auto framed = decode_robot_message(bytes);
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  EXPECT_EQ(std::get<RobotHello>(framed->message).spec, hello.spec);
}

TEST(RobotWire, TheSpecOfABootReadsAsItWasWrittenAndIsBounded) {
  RobotSpec spec = test::small_spec();
  spec.action.channels[0] = {"tool_x", "m/s", -0.25f, 0.25f, true, true};
  spec.observation.proprioception[0] = {"tool_x", "m", 0, 1};
  const auto back = parse_spec(spec_text(spec));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(*back, spec);
  EXPECT_EQ(parse_spec(std::string(4 * kMaxHello + 1, ' ')).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(parse_spec("{}").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(parse_spec("[").status().code(), Code::kInvalidArgument);
}

TEST(RobotWire, TheLongestSpecThatAHelloMayHaveCanBeRecorded) {
  RobotSpec spec = test::small_spec();
  spec.observation.object_state.clear();
  while (spec.observation.object_state.size() < kMaxChannels) {
    spec.observation.object_state.push_back(
        {std::to_string(spec.observation.object_state.size()), "1", -0.1f, 0.1f});
  }
  const auto back = parse_spec(spec_text(spec));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(*back, spec);
  EXPECT_LE(spec_text(spec).size(), 64u << 10) << "what an event's text may have";
}

TEST(RobotWire, AnAbsoluteChannelNeedsItsPositionAndNamesAreUnique) {
  RobotSpec spec = test::small_spec();
  spec.action.channels[0] = {"wrist", "rad/s", -1, 1, true};
  EXPECT_NE(validate(spec).message().find("'wrist'"), std::string::npos);
  spec.observation.proprioception[0] = {"wrist", "m", -3, 3};
  EXPECT_FALSE(validate(spec).ok()) << "in another unit";
  spec.observation.proprioception[0].unit = "rad";
  EXPECT_TRUE(validate(spec).ok()) << validate(spec).message();
  spec.observation.proprioception[1].name = "wrist";
  EXPECT_NE(validate(spec).message().find("like channel 0"), std::string::npos);
}

TEST(RobotWire, AHelloReadsAsItWasWritten) {
  const auto framed = decode_robot_message(bytes_of(RobotMessage(sample_hello())));
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  const auto& hello = std::get<RobotHello>(framed->message);
  EXPECT_EQ(difference(hello.spec, sample_hello().spec), "");
  EXPECT_EQ(hello.instance, sample_hello().instance);
  EXPECT_EQ(hello.capabilities, sample_hello().capabilities);
}

TEST(RobotWire, BoundsOfChannelsSurviveTheirJson) {
  RobotHello hello = sample_hello();
  hello.spec.action.channels[0] = {"x", "m/s", -0.1f, 1e-38f};
  const auto framed = decode_robot_message(bytes_of(RobotMessage(hello)));
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  EXPECT_EQ(difference(std::get<RobotHello>(framed->message).spec, hello.spec), "");
}

TEST(RobotWire, CommandsReadAsTheyWereWritten) {
  const RobotAction action{5, 41, milliseconds(40), {0.5f, -1.0f}};
  auto framed = decode_robot_command(bytes_of(RobotCommand(action)));
  ASSERT_TRUE(framed.ok()) << framed.status().message();
  EXPECT_EQ(std::get<RobotAction>(framed->message), action);
  framed = decode_robot_command(bytes_of(RobotCommand(RobotReset{3, 99})));
  ASSERT_TRUE(framed.ok());
  EXPECT_EQ(std::get<RobotReset>(framed->message), (RobotReset{3, 99}));
  framed = decode_robot_command(bytes_of(RobotCommand(Refusal{RefusalReason::kBusy, "no"})));
  ASSERT_TRUE(framed.ok());
  EXPECT_EQ(std::get<Refusal>(framed->message), (Refusal{RefusalReason::kBusy, "no"}));
}

TEST(RobotWire, AReportCarriesEveryCode) {
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    const Status status(static_cast<Code>(code), code == 0 ? "" : "why");
    const auto framed = decode_robot_message(
        bytes_of(RobotMessage(RobotReport{1, RobotReport::Of::kResetEstop, status})));
    ASSERT_TRUE(framed.ok());
    EXPECT_EQ(std::get<RobotReport>(framed->message).status, status);
  }
}

TEST(RobotWire, AnActionThatIsNotFiniteIsRefused) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    const auto bytes = bytes_of(RobotCommand(RobotAction{1, 1, milliseconds(1), {0.f, bad}}));
    EXPECT_EQ(decode_robot_command(bytes).status().code(), Code::kInvalidArgument);
  }
}

TEST(RobotWire, AnObservationThatIsNotFiniteIsLeftToTheAuthority) {
  RobotObservation m = sample_observation();
  m.proprioception[1] = std::numeric_limits<float>::quiet_NaN();
  const auto framed = decode_robot_message(bytes_of(RobotMessage(m)));
  ASSERT_TRUE(framed.ok());
  EXPECT_TRUE(std::isnan(std::get<RobotObservation>(framed->message).proprioception[1]));
}

TEST(RobotWire, EveryTruncationIsRefused) {
  for (const auto& [name, bytes] : samples()) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto cut = std::span(bytes).first(size);
      EXPECT_FALSE(decode_robot_message(cut).ok()) << name << " " << size;
      EXPECT_FALSE(decode_robot_command(cut).ok()) << name << " " << size;
      // The same with a header that tells the truth about the length.
      if (size < kWireHeader) continue;
      WireBytes honest(cut.begin(), cut.end());
      test::set_length(honest);
      EXPECT_FALSE(decode_robot_message(honest).ok()) << name << " " << size;
      EXPECT_FALSE(decode_robot_command(honest).ok()) << name << " " << size;
    }
  }
}

TEST(RobotWire, TrailingBytesAreRefusedUnlessTheMinorVersionIsNewer) {
  WireBytes bytes = bytes_of(RobotCommand(RobotAction{1, 1, milliseconds(1), {0.f}}));
  bytes.push_back(std::byte{7});
  test::set_length(bytes);
  EXPECT_EQ(decode_robot_command(bytes).status().code(), Code::kInvalidArgument);
  bytes[5] = std::byte{kWireMinor + 1};
  EXPECT_TRUE(decode_robot_command(bytes).ok());
}

TEST(RobotWire, AnotherMagicOrMajorVersionIsRefused) {
  WireBytes bytes = bytes_of(RobotCommand(RobotHold{}));
  bytes[0] = std::byte{'X'};
  EXPECT_EQ(decode_robot_command(bytes).status().code(), Code::kInvalidArgument);
  bytes = bytes_of(RobotCommand(RobotHold{}));
  bytes[4] = std::byte{2};
  EXPECT_EQ(decode_robot_command(bytes).status().code(), Code::kUnimplemented);
}

TEST(RobotWire, AHelloWithoutACommonVersionIsRefusedAndSaysWhichThereAre) {
  RobotHello hello = sample_hello();
  hello.min_version = 2;
  hello.max_version = 3;
  const auto framed = decode_robot_message(bytes_of(RobotMessage(hello)));
  EXPECT_EQ(framed.status().code(), Code::kUnimplemented);
  EXPECT_NE(framed.status().message().find("2 to 3"), std::string::npos);
}

TEST(RobotWire, AHelloIsBoundedBeforeItIsParsed) {
  const auto decode = [](const std::string& json) {
    WireBytes out;
    WireWriter(out, WireType::kRobotHello, 0).text(json);
    return decode_robot_message(out).status();
  };
  EXPECT_EQ(decode(std::string(kMaxHello + 1, ' ')).code(), Code::kInvalidArgument);
  EXPECT_EQ(decode(std::string(9, '[') + std::string(9, ']')).code(), Code::kInvalidArgument);
  EXPECT_EQ(decode("[]").code(), Code::kInvalidArgument);
  EXPECT_EQ(decode("{}").code(), Code::kInvalidArgument);
  EXPECT_EQ(decode("{\"protocol\": {\"min\": 1, \"max\": 18446744073709551615}}").code(),
            Code::kInvalidArgument);
  EXPECT_EQ(decode("\xff\xfe").code(), Code::kInvalidArgument);
}

TEST(RobotWire, AHelloNamesTheFieldThatIsWrong) {
  RobotHello hello = sample_hello();
  WireBytes bytes = bytes_of(RobotMessage(hello));
  std::string json(reinterpret_cast<const char*>(bytes.data()) + kWireHeader,
                   bytes.size() - kWireHeader);
  const std::size_t at = json.find("\"upper\":0.25");
  ASSERT_NE(at, std::string::npos);
  json.replace(at, 12, "\"upper\":null");
  WireWriter(bytes, WireType::kRobotHello, 0).text(json);
  const Status status = decode_robot_message(bytes).status();
  EXPECT_NE(status.message().find("hello.robot.action[0] 'upper'"), std::string::npos)
      << status.message();
}

TEST(RobotWire, RandomChangesNeverCrashAndWhatIsAcceptedReadsAsItself) {
  std::mt19937 random(7);
  const auto all = samples();
  for (int i = 0; i < 20'000; ++i) {
    WireBytes bytes = all[random() % all.size()].second;
    for (unsigned k = 0; k <= random() % 4; ++k) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    if (random() % 2 == 0) test::set_length(bytes);
    if (const auto message = decode_robot_message(bytes); message.ok()) {
      WireBytes again;
      ASSERT_TRUE(encode(message->message, message->session, again).ok());
      ASSERT_TRUE(decode_robot_message(again).ok());
    }
    if (const auto command = decode_robot_command(bytes); command.ok()) {
      WireBytes again;
      ASSERT_TRUE(encode(command->message, command->session, again).ok());
      ASSERT_TRUE(decode_robot_command(again).ok());
    }
  }
}

TEST(RobotWire, ASpecThatMakesNoSenseIsRefused) {
  const auto refused = [](auto&& change) {
    RobotSpec spec = test::small_spec();
    change(spec);
    return !validate(spec).ok();
  };
  EXPECT_TRUE(validate(test::small_spec()).ok());
  EXPECT_TRUE(refused([](RobotSpec& s) { s.id = ""; }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.id = std::string(65, 'x'); }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.control_period = milliseconds(21); }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.control_period = Duration::zero(); }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.policy_period = milliseconds(22); }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.action.channels.clear(); }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.action.channels.resize(65, {"x", "m", 0, 1}); }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.action.channels[0].name = "a\nb"; }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.action.channels[0].upper = NAN; }));
  EXPECT_TRUE(refused([](RobotSpec& s) { s.observation.cameras[0].width = 0; }));
}

TEST(RobotWire, TheDifferenceOfTwoSpecsIsNamed) {
  const RobotSpec before = test::small_spec();
  RobotSpec now = before;
  EXPECT_EQ(difference(now, before), "");
  now.action.channels[1].name = "tool_y";
  EXPECT_EQ(difference(now, before), "action channel 1 is 'tool_y', not 'y'");
  now = before;
  now.observation.proprioception.pop_back();
  EXPECT_EQ(difference(now, before), "proprioception has 1 channels, not 2");
  now = before;
  now.action.channels[1].gripper = true;
  EXPECT_EQ(difference(now, before), "action channel 1 is a gripper, not an axis");
  now = before;
  now.action.channels[0].absolute = true;
  EXPECT_EQ(difference(now, before), "action channel 0 takes positions, not rates");
  now = before;
  now.observation.cameras[0].width = 128;
  EXPECT_EQ(difference(now, before), "camera 0 is 'front' (128x48), not 'front' (64x48)");
}

}  // namespace
}  // namespace nudge
