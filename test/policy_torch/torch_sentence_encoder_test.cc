#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "policy/sentence_encoder.h"
#include "policy/trainer.h"
#include "policy/word_pieces.h"
#include "test/support/sentence_goldens.h"
#include "test/support/temp_folder.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;

const std::string kTiny = test::test_data() + "/words/tiny-encoder";

// Where scripts/setup.sh --for words puts it; empty: it is not there.
std::string fetched_encoder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  fs::path folder = cache != nullptr  ? fs::path(cache)
                    : home != nullptr ? fs::path(home) / ".cache"
                                      : fs::path();
  folder /= "nudge/encoders/all-MiniLM-L6-v2";
  return fs::exists(folder / "model.safetensors") ? folder.string() : std::string();
}

void expect_vectors(const std::string& folder, const std::string& model, double tolerance) {
  use_one_torch_thread();
  const auto encoder = SentenceEncoder::load(folder);
  ASSERT_TRUE(encoder.ok()) << encoder.status().message();
  const auto sentences = test::golden_sentences(model);
  const auto vectors = test::golden_vectors(model);
  ASSERT_EQ(sentences.size(), vectors.size());
  double worst = 0;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const auto vector = (*encoder)->encode(sentences[i].text);
    ASSERT_TRUE(vector.ok()) << vector.status().message();
    ASSERT_EQ(vector->size(), vectors[i].size());
    for (std::size_t k = 0; k < vector->size(); ++k) {
      worst = std::max(worst, std::abs(static_cast<double>((*vector)[k]) - vectors[i][k]));
    }
  }
  EXPECT_LT(worst, tolerance);
  ::testing::Test::RecordProperty("worst_difference", std::to_string(worst));
}

TEST(SentenceEncoder, GivesTheReferenceImplementationsVectors) {
  expect_vectors(kTiny, "tiny", 1e-5);
}

TEST(SentenceEncoder, GivesTheVectorsOfAllMiniLmWhereItWasFetched) {
  const std::string folder = fetched_encoder();
  if (folder.empty()) GTEST_SKIP() << "scripts/setup.sh --for words fetches the encoder";
  expect_vectors(folder, "minilm", 1e-4);
  std::ifstream file(folder + "/vocab.txt", std::ios::binary);
  const auto pieces = WordPieces::make(std::string(std::istreambuf_iterator<char>(file), {}));
  ASSERT_TRUE(pieces.ok()) << pieces.status().message();
  for (const auto& sentence : test::golden_sentences("minilm")) {
    EXPECT_EQ(pieces->split(sentence.text, 256), sentence.tokens) << sentence.text;
  }
}

TEST(SentenceEncoder, ComputesEachSentenceOnce) {
  const auto encoder = SentenceEncoder::load(kTiny);
  ASSERT_TRUE(encoder.ok());
  const auto first = (*encoder)->encode("lift the block");
  const auto second = (*encoder)->encode("lift the block");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_EQ((*encoder)->computed(), 1u);
  for (int i = 0; i < 1'100; ++i) (void)(*encoder)->encode("lift " + std::to_string(i));
  EXPECT_EQ(*(*encoder)->encode("lift the block"), *first) << "forgotten, and computed again";
  EXPECT_EQ((*encoder)->computed(), 1'102u);
}

TEST(SentenceEncoder, TakesASentenceThatIsMuchTooLong) {
  const auto encoder = SentenceEncoder::load(kTiny);
  ASSERT_TRUE(encoder.ok());
  std::string endless;
  for (int i = 0; i < 10'000; ++i) endless += "block ";
  EXPECT_TRUE((*encoder)->encode(endless).ok());
}

TEST(SentenceEncoder, SaysHowToGetOneWhereThereIsNone) {
  test::TempFolder folder;
  const auto encoder = SentenceEncoder::load(folder / "nothing");
  EXPECT_EQ(encoder.status().code(), Code::kNotFound);
  EXPECT_NE(encoder.status().message().find("scripts/setup.sh --for words"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder / "nothing")) << "looking for it must not make it";
}

TEST(SentenceEncoder, RefusesAModelThatIsDamagedOrOfAnotherKind) {
  const auto load_with = [](const std::string& name, auto change) {
    test::TempFolder folder;
    fs::copy(kTiny, folder / "model");
    std::string content;
    {
      std::ifstream file(folder / ("model/" + name), std::ios::binary);
      content.assign(std::istreambuf_iterator<char>(file), {});
    }
    change(content);
    std::ofstream(folder / ("model/" + name), std::ios::binary) << content;
    return SentenceEncoder::load(folder / "model").status().code();
  };
  const auto replace = [](const std::string& from, const std::string& to) {
    return [=](std::string& text) { text.replace(text.find(from), from.size(), to); };
  };
  EXPECT_EQ(load_with("model.safetensors", [](std::string& text) { text.resize(3'000); }),
            Code::kDataLoss);
  EXPECT_EQ(load_with("model.safetensors", replace("query", "quern")), Code::kInvalidArgument);
  EXPECT_EQ(load_with("vocab.txt", [](std::string& text) { text += "one\nmore\n"; }),
            Code::kInvalidArgument);
  EXPECT_EQ(load_with("config.json", replace("\"gelu\"", "\"relu\"")), Code::kInvalidArgument);
  EXPECT_EQ(load_with("config.json", replace("heads\": 2", "heads\": 3")), Code::kInvalidArgument);
  EXPECT_EQ(load_with("config.json", [](std::string& text) { text = "[]"; }),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
