#include "replay/event_codec.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "nudge/random.h"
#include "test/support/golden.h"
#include "test/support/log_samples.h"

namespace nudge {
namespace {

Result<Payload> decode(std::string_view kind, const std::string& json,
                       std::uint32_t version = kPayloadVersion) {
  return decode_payload(kind, version, std::as_bytes(std::span(json)));
}

TEST(EventCodec, WritesEveryKindAsItsGoldenFileAndReadsItBack) {
  for (const Payload& payload : test::every_payload()) {
    const auto text = encode_payload(payload);
    ASSERT_TRUE(text.ok()) << text.status().message();
    const std::string kind(kind_of(payload));
    EXPECT_EQ(*text, test::golden("log/payload-" + kind + ".json", *text)) << kind;
    const auto back = decode(kind, *text);
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_EQ(back->index(), payload.index());
    EXPECT_EQ(*encode_payload(*back), *text);
  }
}

TEST(EventCodec, ReadsCandidatesOfTheFirstVersionWhichKnewLessOfTheRound) {
  const std::string old = test::old_golden("log/payload-v1-candidate_received.json");
  const auto back = decode("candidate_received", old, 1);
  ASSERT_TRUE(back.ok()) << back.status().message();
  const auto& candidate = std::get<CandidateReceived>(*back);
  EXPECT_EQ(candidate.prefix, 1234u);
  EXPECT_EQ(candidate.steps, 0u);
  EXPECT_EQ(candidate.correction_steps, 0u);
  EXPECT_FALSE(decode("candidate_received", old).ok());
  EXPECT_FALSE(decode("candidate_received", *encode_payload(*back), 1).ok());
  EXPECT_TRUE(decode("weights_live", R"({"version":3})", 1).ok()) << "all else is as it was";
}

TEST(EventCodec, ReadsBootsOfEarlierVersionsWhichDidNotSayWhatTheRobotIs) {
  const std::string old = test::old_golden("log/payload-v2-booted.json");
  for (const std::uint32_t version : {1u, 2u}) {
    const auto back = decode("booted", old, version);
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_EQ(std::get<Booted>(*back).robot, "kitchen-1");
    EXPECT_EQ(std::get<Booted>(*back).spec, "");
    EXPECT_FALSE(decode("booted", *encode_payload(*back), version).ok());
  }
  EXPECT_FALSE(decode("booted", old).ok());
}

TEST(EventCodec, HasASampleAndANameOfItsOwnForEveryKind) {
  std::set<std::string_view> names;
  for (const Payload& payload : test::every_payload()) names.insert(kind_of(payload));
  EXPECT_EQ(names.size(), std::variant_size_v<Payload>);
}

TEST(EventCodec, RefusesAMissingAnUnknownAndAWrongFieldOfEveryKind) {
  for (const Payload& payload : test::every_payload()) {
    const std::string kind(kind_of(payload));
    const auto object = nlohmann::json::parse(*encode_payload(payload));
    auto more = object;
    more["surprise"] = 1;
    EXPECT_EQ(decode(kind, more.dump()).status().code(), Code::kInvalidArgument) << kind;
    for (const auto& [key, value] : object.items()) {
      auto less = object;
      less.erase(key);
      EXPECT_EQ(decode(kind, less.dump()).status().code(), Code::kInvalidArgument) << kind << key;
      for (const auto& wrong : {nlohmann::json(), nlohmann::json::array(), nlohmann::json(-1)}) {
        auto bad = object;
        bad[key] = wrong;
        if (value.is_number_float() && wrong.is_number()) continue;
        EXPECT_EQ(decode(kind, bad.dump()).status().code(), Code::kInvalidArgument) << kind << key;
      }
    }
  }
}

TEST(EventCodec, RefusesWhatIsNotAnObjectOfJson) {
  for (const std::string text : {"", "{", "[]", "null", "1", "{}x", "{\"from\":1e999}", "\xff"}) {
    EXPECT_EQ(decode("words", text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(decode("stopped", std::string(kMaxPayloadBytes + 1, ' ')).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(decode("words", std::string(100'000, '[')).status().code(), Code::kInvalidArgument);
}

TEST(EventCodec, RefusesNumbersAndHashesOutOfRange) {
  EXPECT_EQ(decode("label", R"({"episode":1,"span":0,"value":4})").status().code(),
            Code::kInvalidArgument);
  EXPECT_TRUE(decode("label", R"({"episode":1,"span":0,"value":3})").ok());
  EXPECT_EQ(decode("span_split", R"({"span":1,"correction_from":4294967296})").status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(decode("weights_live", R"({"version":18446744073709551616})").status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(decode("weights_rejected", R"({"hash":"00","parent":1,"reason":"x","detail":"y"})")
                .status()
                .code(),
            Code::kInvalidArgument);
}

TEST(EventCodec, SaysThatAnUnknownKindOrVersionComesFromANewerNudge) {
  const auto kind = decode("teleported", "{}");
  EXPECT_EQ(kind.status().code(), Code::kUnimplemented);
  EXPECT_NE(kind.status().message().find("newer"), std::string::npos);
  EXPECT_EQ(decode("stopped", "{}", kPayloadVersion + 1).status().code(), Code::kUnimplemented);
}

TEST(EventCodec, RefusesToWriteWhatNobodyCouldRead) {
  EXPECT_EQ(encode_payload(Words{"\xc3", {}, ""}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(encode_payload(Words{std::string(1001, 'a'), {}, ""}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(encode_payload(Fault{"x", std::string(70'000, 'a')}).status().code(),
            Code::kInvalidArgument);
  CandidateReceived candidate;
  candidate.train_seconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(encode_payload(candidate).status().code(), Code::kInvalidArgument);
}

TEST(EventCodec, KeepsAnyTextOfUtf8) {
  Random random(5);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (std::uint64_t i = random.below(60); i > 0; --i) {
      switch (random.below(3)) {
        case 0: text += static_cast<char>(random.below(128)); break;
        case 1: text += "\xc3\xa9"; break;
        default: text += "\xf0\x9f\xa4\x96"; break;
      }
    }
    const auto back = decode("words", *encode_payload(Words{text, WordsUse::kComment, text}));
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_EQ(std::get<Words>(*back).text, text);
  }
}

TEST(EventCodec, KnowsWhatEachKindIsAbout) {
  EXPECT_EQ(subject_of(SpanClosed{12, SpanEnd::kReleased, 0, true}), 12u);
  EXPECT_EQ(subject_of(Label{4, 12, LabelValue::kSuccess}), 4u);
  EXPECT_EQ(subject_of(WeightsRolledBack{5, 4, ""}), 5u);
  EXPECT_EQ(subject_of(LeaseGranted{7}), 7u);
  EXPECT_EQ(subject_of(Stopped{}), 0u);
}

}  // namespace
}  // namespace nudge
