// BERT's tokens: text to the numbers that a sentence encoder reads. WordPiece (Wu et al., "Google's
// neural machine translation system", 2016) over words in lower case without accents, as the
// models of Devlin et al., "BERT", 2019, were trained on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"

namespace nudge {

// Longest text that is split, and longest vocabulary that is read; what lies behind is refused.
inline constexpr std::size_t kMaxSentenceBytes = 4'000;
inline constexpr std::size_t kMaxVocabularyBytes = 8u << 20;

// Immutable; may be read from any thread.
class WordPieces {
 public:
  // `vocabulary`: one token a line, its number is the line's, from 0. kInvalidArgument without the
  // tokens [UNK], [CLS] and [SEP], with a token twice, or too large.
  static Result<WordPieces> make(std::string_view vocabulary);

  // [CLS], the pieces of `text`, [SEP]; at most `longest` (>= 2) numbers, pieces beyond that are
  // left out. What is not UTF-8 is left out, letters of scripts that have no lower case stay as
  // they are. Lower case and accents are known of Latin, Greek and Cyrillic letters.
  std::vector<std::int64_t> split(std::string_view text, std::size_t longest) const;

  std::size_t size() const { return numbers_.size(); }

 private:
  void add_word(const std::u32string& word, std::vector<std::int64_t>& into) const;

  std::map<std::string, std::int64_t, std::less<>> numbers_;
  std::int64_t unknown_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace nudge
