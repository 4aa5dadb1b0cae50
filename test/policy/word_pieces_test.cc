#include "policy/word_pieces.h"

#include <gtest/gtest.h>

#include "test/support/sentence_goldens.h"

namespace nudge {
namespace {

WordPieces tiny() {
  const auto pieces = WordPieces::make(test::old_golden("words/tiny-encoder/vocab.txt"));
  EXPECT_TRUE(pieces.ok()) << pieces.status().message();
  return *pieces;
}

TEST(WordPieces, AreTheReferenceImplementations) {
  const WordPieces pieces = tiny();
  const auto sentences = test::golden_sentences("tiny");
  ASSERT_EQ(sentences.size(), 11u);
  for (const auto& sentence : sentences) {
    EXPECT_EQ(pieces.split(sentence.text, 24), sentence.tokens) << sentence.text;
  }
}

TEST(WordPieces, CutALongSentenceAndStillEndIt) {
  const WordPieces pieces = tiny();
  const auto whole = pieces.split("lift the block", 100);
  ASSERT_EQ(whole.size(), 5u);
  const auto cut = pieces.split("lift the block", 4);
  EXPECT_EQ(cut, (std::vector<std::int64_t>{whole[0], whole[1], whole[2], whole[4]}));
  EXPECT_EQ(pieces.split("lift", 2).size(), 2u);
}

TEST(WordPieces, LeaveOutWhatIsNotUtf8) {
  const WordPieces pieces = tiny();
  const auto plain = pieces.split("lift", 10);
  for (const char* odd : {"li\xff"
                          "ft",
                          "\xc0\x80lift", "lift\xe2\x82", "l\xed\xa0\x80ift"}) {
    EXPECT_EQ(pieces.split(odd, 10), plain) << odd;
  }
}

TEST(WordPieces, RefuseAVocabularyThatIsNotBerts) {
  EXPECT_EQ(WordPieces::make("a\nb\n").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(WordPieces::make("[UNK]\n[CLS]\n[SEP]\na\na\n").status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(WordPieces::make(std::string(kMaxVocabularyBytes + 1, 'a')).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
