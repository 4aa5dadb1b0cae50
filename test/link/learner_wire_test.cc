#include "src/learning/learner_wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "nudge/random.h"

namespace nudge {
namespace {

Frame frame_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}
WireMessage header_alone(const std::string& text) { return {.header = frame_of(text), .body = {}}; }
std::vector<std::byte> on_the_wire(const WireMessage& message) {
  std::vector<std::byte> bytes;
  for (const std::byte byte : prefix_of(message)) bytes.push_back(byte);
  for (const std::byte byte : message.header) bytes.push_back(byte);
  for (const std::byte byte : message.body) bytes.push_back(byte);
  return bytes;
}
// What the reader says of bytes that come in pieces of this size; gives the messages out.
Status read_all(LearnerWireReader& reader, std::span<const std::byte> bytes, std::size_t piece,
                std::vector<WireMessage>& messages) {
  while (!bytes.empty()) {
    const std::span<std::byte> room = reader.room();
    const std::size_t count = std::min({room.size(), bytes.size(), piece});
    std::copy_n(bytes.begin(), count, room.begin());
    bytes = bytes.subspan(count);
    NUDGE_TRY(reader.took(count));
    if (auto whole = reader.take()) messages.push_back(*std::move(whole));
  }
  return {};
}

TEST(LearnerWire, BringsEveryLearnerMessageBack) {
  const auto hello = decode_learner_message(encode(LearnerMessage(LearnerHello{
      .pid = 7, .config_hash = "ab", .core_type = "SkylakeX", .confined = true, .sandbox = "s"})));
  ASSERT_TRUE(hello.ok()) << hello.status().message();
  EXPECT_EQ(std::get<LearnerHello>(*hello).pid, 7);
  EXPECT_EQ(std::get<LearnerHello>(*hello).core_type, "SkylakeX");
  EXPECT_TRUE(std::get<LearnerHello>(*hello).confined);
  EXPECT_EQ(std::get<LearnerHello>(*hello).sandbox, "s");

  const auto request = decode_learner_message(encode(LearnerMessage(FeedRequest{.from = 12})));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(std::get<FeedRequest>(*request).from, 12u);

  CandidateMessage sent;
  sent.base = 3;
  sent.kind = WeightsKind::kProvisional;
  sent.prefix = 99;
  sent.steps = 20;
  sent.train_seconds = 0.25;
  sent.loss = 0.5;
  sent.weights = frame_of("bytes");
  const auto candidate = decode_learner_message(encode(LearnerMessage(sent)));
  ASSERT_TRUE(candidate.ok()) << candidate.status().message();
  const auto& got = std::get<CandidateMessage>(*candidate);
  EXPECT_EQ(got.base, 3u);
  EXPECT_EQ(got.kind, WeightsKind::kProvisional);
  EXPECT_EQ(got.prefix, 99u);
  EXPECT_EQ(got.train_seconds, 0.25);
  EXPECT_EQ(got.weights, sent.weights);

  const auto progress = decode_learner_message(encode(LearnerMessage(
      LearnerProgress{.through = 5, .rounds = 1, .aborted_rounds = 2, .trouble = "x"})));
  ASSERT_TRUE(progress.ok());
  EXPECT_EQ(std::get<LearnerProgress>(*progress).aborted_rounds, 2u);
}

TEST(LearnerWire, BringsEveryDaemonMessageBack) {
  LearnerWelcome sent{.feature_size = 6,
                      .proprioception_size = 4,
                      .action_size = 4,
                      .policy_period_ns = 100'000'000,
                      .backbone_hash = "cd",
                      .weights_folder = "/w"};
  const auto welcome = decode_daemon_message(encode(DaemonMessage(sent)));
  ASSERT_TRUE(welcome.ok()) << welcome.status().message();
  EXPECT_EQ(std::get<LearnerWelcome>(*welcome).policy_period_ns, 100'000'000u);

  const auto items =
      decode_daemon_message(encode(DaemonMessage(FeedItems{.durable = 4, .page = frame_of("ab")})));
  ASSERT_TRUE(items.ok());
  EXPECT_EQ(std::get<FeedItems>(*items).page, frame_of("ab"));

  EXPECT_TRUE(decode_daemon_message(encode(DaemonMessage(LearnerStop{}))).ok());
}

TEST(LearnerWire, RefusesAnotherProtocolVersionByName) {
  const auto result = decode_learner_message(header_alone(R"({"protocol":3,"type":"hello"})"));
  EXPECT_EQ(result.status().code(), Code::kUnimplemented);
}

TEST(LearnerWire, RefusesWhatLacksAFieldOrHasOneOutOfRange) {
  for (const char* text :
       {R"({"protocol":4,"type":"feed"})", R"({"protocol":4,"type":"feed","from":-1})",
        R"({"protocol":4,"type":"feed","from":1.5})", R"({"protocol":4,"type":"feed","from":"1"})",
        R"({"protocol":4,"type":"nothing"})", R"({"protocol":4})", R"({"type":"feed"})", "[]", "",
        "{"}) {
    EXPECT_EQ(decode_learner_message(header_alone(text)).status().code(), Code::kInvalidArgument)
        << text;
  }
}

TEST(LearnerWire, RefusesABodyWhereNoneBelongs) {
  WireMessage hello = encode(LearnerMessage(LearnerHello{}));
  hello.body = frame_of("more");
  EXPECT_FALSE(decode_learner_message(hello).ok());
  WireMessage stop = encode(DaemonMessage(LearnerStop{}));
  stop.body = frame_of("more");
  EXPECT_FALSE(decode_daemon_message(stop).ok());
}

TEST(LearnerWire, ReadsMessagesInWhateverPiecesTheyCome) {
  const WireMessage first = encode(LearnerMessage(FeedRequest{.from = 12}));
  CandidateMessage candidate;
  candidate.weights = frame_of("some weights");
  const WireMessage second = encode(LearnerMessage(candidate));
  std::vector<std::byte> bytes = on_the_wire(first);
  for (const std::byte byte : on_the_wire(second)) bytes.push_back(byte);
  for (const std::size_t piece : {1, 3, 7, 100'000}) {
    LearnerWireReader reader(100);
    std::vector<WireMessage> messages;
    ASSERT_TRUE(read_all(reader, bytes, piece, messages).ok());
    EXPECT_FALSE(reader.within());
    EXPECT_EQ(messages, (std::vector<WireMessage>{first, second})) << piece;
  }
}

TEST(LearnerWire, RefusesAMessageByItsSizesBeforeTheRestArrives) {
  const auto refused = [](std::size_t header, std::size_t body) {
    WireMessage sizes;
    sizes.header.resize(header);
    sizes.body.resize(body);
    const WirePrefix prefix = prefix_of(sizes);
    LearnerWireReader reader(100);
    std::vector<WireMessage> messages;
    return read_all(reader, prefix, 100, messages).code() == Code::kInvalidArgument;
  };
  EXPECT_FALSE(refused(kMaxLearnerHeader, 100));
  EXPECT_TRUE(refused(kMaxLearnerHeader + 1, 0));
  EXPECT_TRUE(refused(0, 0));
  EXPECT_TRUE(refused(1, 101));
}

TEST(LearnerWire, RefusesADeeplyNestedHeaderBeforeParsingIt) {
  EXPECT_FALSE(decode_learner_message(header_alone(std::string(100'000, '['))).ok());
  EXPECT_FALSE(decode_learner_message(header_alone(std::string(1'000, '['))).ok());
}

TEST(LearnerWire, SurvivesMutatedHeaders) {
  Random random(3);
  const WireMessage whole = encode(LearnerMessage(FeedRequest{.from = 12}));
  for (int i = 0; i < 20'000; ++i) {
    WireMessage message = whole;
    for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      message.header[random.below(message.header.size())] =
          static_cast<std::byte>(random.below(256));
    }
    (void)decode_learner_message(message);  // no crash, no exception
    (void)decode_daemon_message(message);
  }
}

}  // namespace
}  // namespace nudge
