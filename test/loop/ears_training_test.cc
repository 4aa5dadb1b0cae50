#include "src/loop/ears_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "policy/vision_ears.h"
#include "src/learning/sentences.h"
#include "src/loop/perception.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

VisionFile shipped_eyes() {
  Config config;
  config.policy.backbone = "kitchen";
  Result<VisionFile> file = vision_file(config);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return *std::move(file);
}

// The shipped eyes as if they had been trained with sentences that know no meaning.
VisionFile eyes_of_hashed_sentences() {
  VisionFile eyes = shipped_eyes();
  eyes.spec.encoder = "hashed";
  eyes.spec.sentence_size = hashed_sentence("a").size();
  auto& weight = eyes.tensors.at("words.weight");
  weight.resize(kWordsHidden * eyes.spec.sentence_size);
  eyes.known.vectors.clear();
  for (const std::string& text : eyes.known.text) {
    const std::vector<float> vector = hashed_sentence(text);
    eyes.known.vectors.insert(eyes.known.vectors.end(), vector.begin(), vector.end());
  }
  return eyes;
}

EarsTrainingOptions few_ways() {
  return {
      .ways = 60, .held_out = 20, .seed = 1, .encode = hashed_sentence, .encoder_hash = "hashed"};
}

void nobody(std::size_t /*done*/, std::size_t /*total*/) {}

TEST(EarsTraining, EachTaskThatTheEyesKnowIsHeardInWordsThatWereNotTaught) {
  const auto report = train_ears(eyes_of_hashed_sentences(), few_ways(), nobody);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->sentences, 600u);  // of ten tasks
  EXPECT_GT(report->misheard_before, 0.3);
  EXPECT_LT(report->misheard, 0.1);
}

TEST(EarsTraining, TheFileSaysHowItsEarsWereMadeAndCanBeWritten) {
  const auto report = train_ears(eyes_of_hashed_sentences(), few_ways(), nobody);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->file.spec.supervision.ends_with("; ears: 60 ways to say each task, seed 1"));
  const auto bytes = report->file.write();
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  EXPECT_TRUE(VisionFile::parse(*bytes).ok());
}

TEST(EarsTraining, EachSentenceIsToldOf) {
  std::size_t last = 0;
  const auto report =
      train_ears(eyes_of_hashed_sentences(), few_ways(), [&](std::size_t done, std::size_t total) {
        EXPECT_EQ(done, ++last);
        EXPECT_EQ(total, 10 * 81u);
      });
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(last, 10 * 81u);
}

TEST(EarsTraining, EqualOptionsGiveEqualFiles) {
  const auto once = train_ears(eyes_of_hashed_sentences(), few_ways(), nobody);
  const auto again = train_ears(eyes_of_hashed_sentences(), few_ways(), nobody);
  ASSERT_TRUE(once.ok() && again.ok());
  EXPECT_TRUE(*once->file.write() == *again->file.write());
}

TEST(EarsTraining, AnotherEncoderThanTheEyesOwnIsRefused) {
  EarsTrainingOptions options = few_ways();
  options.encoder_hash = "another";
  EXPECT_EQ(train_ears(eyes_of_hashed_sentences(), options, nobody).status().code(),
            Code::kFailedPrecondition);
}

TEST(EarsTraining, EyesThatKnowNoTaskOfTheKitchenAreRefused) {
  VisionFile eyes = eyes_of_hashed_sentences();
  eyes.known = {};
  EXPECT_EQ(train_ears(std::move(eyes), few_ways(), nobody).status().code(),
            Code::kInvalidArgument);
}

TEST(EarsTraining, WhatTheEncoderCannotReadEndsIt) {
  EarsTrainingOptions options = few_ways();
  options.encode = [](const std::string&) -> Result<std::vector<float>> {
    return unavailable("no encoder");
  };
  EXPECT_EQ(train_ears(eyes_of_hashed_sentences(), options, nobody).status().code(),
            Code::kUnavailable);
}

// The words of test/bench/learning_paraphrases.json were written by somebody who had seen neither
// those that were taught nor the file.
TEST(ShippedEars, HearWordsThatNobodyTaughtThem) {
  const Result<SentenceSource> source = sentence_source(Config());
  ASSERT_TRUE(source.ok()) << source.status().message();
  const VisionFile eyes = shipped_eyes();
  if (source->hash != eyes.spec.encoder) {
    GTEST_SKIP() << "scripts/setup.sh --for words fetches the encoder";
  }
  std::ifstream file(test::test_data() + "/../bench/learning_paraphrases.json");
  const nlohmann::json phrases = nlohmann::json::parse(file);
  std::vector<SaidTask> tasks;
  for (const auto& [instruction, others] : phrases.items()) {
    SaidTask& task = tasks.emplace_back();
    task.own = *source->encode(instruction);
    for (const std::string other : others) {
      const std::vector<float> vector = *source->encode(other);
      task.ways.insert(task.ways.end(), vector.begin(), vector.end());
    }
  }
  const Result<double> share = misheard(eyes, tasks);
  ASSERT_TRUE(share.ok()) << share.status().message();
  EXPECT_LE(*share, 0.02);  // 3 of 200; 27 before the ears were taught
}

}  // namespace
}  // namespace nudge
