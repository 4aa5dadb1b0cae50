#include "nudge/utf8.h"

#include <cstddef>

namespace nudge {

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
    };
    const auto follows = [&](std::size_t k) { return (byte(k) & 0xc0u) == 0x80u; };
    const unsigned first = byte(0);
    if (first < 0x80) {
      i += 1;
    } else if (first >= 0xc2 && first <= 0xdf && follows(1)) {
      i += 2;
    } else if (first >= 0xe0 && first <= 0xef && follows(1) && follows(2) &&
               (first != 0xe0 || byte(1) >= 0xa0) && (first != 0xed || byte(1) <= 0x9f)) {
      i += 3;
    } else if (first >= 0xf0 && first <= 0xf4 && follows(1) && follows(2) && follows(3) &&
               (first != 0xf0 || byte(1) >= 0x90) && (first != 0xf4 || byte(1) <= 0x8f)) {
      i += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace nudge
