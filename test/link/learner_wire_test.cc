#include "src/learning/learner_wire.h"

#include <gtest/gtest.h>

#include <string>

#include "nudge/random.h"

namespace nudge {
namespace {

Frame frame_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

TEST(LearnerWire, BringsEveryLearnerMessageBack) {
  const auto hello = decode_learner_message(
      encode(LearnerMessage(LearnerHello{.pid = 7, .config_hash = "ab", .core_type = "SkylakeX"})));
  ASSERT_TRUE(hello.ok()) << hello.status().message();
  EXPECT_EQ(std::get<LearnerHello>(*hello).pid, 7);
  EXPECT_EQ(std::get<LearnerHello>(*hello).core_type, "SkylakeX");

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
  const auto result = decode_learner_message({frame_of(R"({"protocol":9,"type":"hello"})")});
  EXPECT_EQ(result.status().code(), Code::kUnimplemented);
}

TEST(LearnerWire, RefusesWhatLacksAFieldOrHasOneOutOfRange) {
  for (const char* text :
       {R"({"protocol":3,"type":"feed"})", R"({"protocol":3,"type":"feed","from":-1})",
        R"({"protocol":3,"type":"feed","from":1.5})", R"({"protocol":3,"type":"feed","from":"1"})",
        R"({"protocol":3,"type":"nothing"})", R"({"protocol":3})", R"({"type":"feed"})", "[]", "",
        "{"}) {
    EXPECT_EQ(decode_learner_message({frame_of(text)}).status().code(), Code::kInvalidArgument)
        << text;
  }
}

TEST(LearnerWire, RefusesAWrongNumberOfFrames) {
  Frames candidate = encode(LearnerMessage(CandidateMessage{}));
  candidate.pop_back();
  EXPECT_FALSE(decode_learner_message(candidate).ok());
  Frames hello = encode(LearnerMessage(LearnerHello{}));
  hello.push_back({});
  EXPECT_FALSE(decode_learner_message(hello).ok());
  EXPECT_FALSE(decode_learner_message({}).ok());
  Frames items = encode(DaemonMessage(FeedItems{.durable = 4, .page = {}}));
  items.pop_back();
  EXPECT_FALSE(decode_daemon_message(items).ok());
  items.resize(3);
  EXPECT_FALSE(decode_daemon_message(items).ok());
}

TEST(LearnerWire, RefusesADeeplyNestedHeaderBeforeParsingIt) {
  EXPECT_FALSE(decode_learner_message({frame_of(std::string(100'000, '['))}).ok());
  EXPECT_FALSE(decode_learner_message({frame_of(std::string(1'000, '['))}).ok());
}

TEST(LearnerWire, SurvivesMutatedHeaders) {
  Random random(3);
  const Frames whole = encode(LearnerMessage(FeedRequest{.from = 12}));
  for (int i = 0; i < 20'000; ++i) {
    Frames frames = whole;
    for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      frames[0][random.below(frames[0].size())] = static_cast<std::byte>(random.below(256));
    }
    (void)decode_learner_message(frames);  // no crash, no exception
    (void)decode_daemon_message(frames);
  }
}

}  // namespace
}  // namespace nudge
