#include "policy/instruction_features.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nudge/random.h"

namespace nudge {
namespace {

class TwoNumbers : public Backbone {
 public:
  std::size_t feature_size() const override { return 2; }
  const std::string& hash() const override { return hash_; }
  Result<std::vector<float>> encode(const Observation&, const std::string&) override {
    return std::vector<float>{1, 2};
  }

 private:
  std::string hash_ = std::string(64, 'e');
};

double length(const std::vector<float>& v) {
  double squares = 0;
  for (const float x : v) squares += static_cast<double>(x) * x;
  return std::sqrt(squares);
}

TEST(InstructionFeatures, StandBehindWhatTheBackboneSees) {
  int asked = 0;
  const EncodeSentence encode = [&](const std::string& sentence) -> Result<std::vector<float>> {
    ++asked;
    return hashed_sentence(sentence);
  };
  auto backbone = with_instruction(std::make_unique<TwoNumbers>(), encode, "h", 4);
  ASSERT_TRUE(backbone.ok()) << backbone.status().message();
  EXPECT_EQ((*backbone)->feature_size(), 6u);
  const auto lift = (*backbone)->encode({}, "lift the block");
  (void)(*backbone)->encode({}, "lift the block");
  EXPECT_EQ(asked, 1) << "once for each sentence";
  const auto close = (*backbone)->encode({}, "close the drawer");
  ASSERT_TRUE(lift.ok() && close.ok());
  const auto words = project_sentence(hashed_sentence("lift the block"), 4);
  EXPECT_EQ(*lift, (std::vector<float>{1, 2, words[0], words[1], words[2], words[3]}));
  EXPECT_NE(*lift, *close);
  EXPECT_EQ(*(*backbone)->encode({}, ""), (std::vector<float>{1, 2, 0, 0, 0, 0}));
}

TEST(InstructionFeatures, AreKeyedByEverythingThatDecidesThem) {
  const EncodeSentence encode = [](const std::string&) -> Result<std::vector<float>> {
    return std::vector<float>{1};
  };
  const auto hash = [&](const std::string& encoder, std::size_t size) {
    return (*with_instruction(std::make_unique<TwoNumbers>(), encode, encoder, size))->hash();
  };
  EXPECT_EQ(hash("a", 4).size(), 64u);
  EXPECT_EQ(hash("a", 4), hash("a", 4));
  EXPECT_NE(hash("a", 4), hash("b", 4));
  EXPECT_NE(hash("a", 4), hash("a", 5));
}

TEST(InstructionFeatures, ThatWouldBeTooManyAreRefused) {
  const auto size = [](std::size_t numbers) {
    return with_instruction(std::make_unique<TwoNumbers>(), {}, "a", numbers).status().code();
  };
  EXPECT_EQ(size(0), Code::kInvalidArgument);
  EXPECT_EQ(size(kMaxFeatures - 1), Code::kInvalidArgument);
  EXPECT_EQ(size(kMaxFeatures - 2), Code::kOk);
}

TEST(InstructionFeatures, KeepDistancesBetweenSentences) {
  Random random(5);
  for (int round = 0; round < 20; ++round) {
    std::vector<float> a(384), b(384), difference(384);
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] = static_cast<float>(random.normal());
      b[i] = static_cast<float>(random.normal());
      difference[i] = a[i] - b[i];
    }
    const auto x = project_sentence(a, 64), y = project_sentence(b, 64);
    std::vector<float> between(64);
    for (std::size_t i = 0; i < 64; ++i) between[i] = x[i] - y[i];
    EXPECT_NEAR(length(between) / length(difference), 1, 0.35);
  }
}

TEST(HashedSentence, KnowsWordsAndNoMeaning) {
  EXPECT_EQ(hashed_sentence("Lift the block!"), hashed_sentence("the block, lift"));
  EXPECT_NE(hashed_sentence("lift the block"), hashed_sentence("drop the block"));
  EXPECT_NEAR(length(hashed_sentence("lift the block")), 1, 1e-6);
  EXPECT_EQ(length(hashed_sentence(" .")), 0);
}

}  // namespace
}  // namespace nudge
