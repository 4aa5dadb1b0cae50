// Any bytes as a vocabulary, and as a sentence to split by one. The first byte divides the two.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/word_pieces.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_split(const nudge::WordPieces& pieces, std::string_view text) {
  for (const std::size_t longest : {2u, 5u, 256u}) {
    const auto numbers = pieces.split(text, longest);
    check(numbers.size() >= 2 && numbers.size() <= longest);
    for (const std::int64_t number : numbers) {
      check(number >= 0 && number < static_cast<std::int64_t>(pieces.size()));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nudge::WordPieces;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const WordPieces known =
      *WordPieces::make("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##a\n##b\nab\n.\n\xc3\x9f\n");
  check_split(known, text);
  if (size == 0) return 0;
  const std::size_t middle = data[0] % size;
  const auto made = WordPieces::make(text.substr(0, middle));
  if (made.ok()) check_split(*made, text.substr(middle));
  return 0;
}
