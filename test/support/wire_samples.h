// Frames of the ZeroMQ ports as tests look at them.
#pragma once

#include <cctype>
#include <string>

#include "src/ports/frame.h"

namespace nudge::test {

// 16 bytes a line: in hex, and as text.
inline std::string hex_dump(const WireBytes& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t line = 0; line < bytes.size(); line += 16) {
    std::string text;
    for (std::size_t i = line; i < line + 16; ++i) {
      if (i >= bytes.size()) {
        out += "   ";
        continue;
      }
      const auto byte = std::to_integer<unsigned>(bytes[i]);
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
      out += ' ';
      text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
    }
    out += ' ' + text + '\n';
  }
  return out;
}

// Makes the header's length that of the frame.
inline void set_length(WireBytes& frame) {
  const std::size_t length = frame.size() - kWireHeader;
  for (std::size_t i = 0; i < 4; ++i) frame[8 + i] = static_cast<std::byte>(length >> (8 * i));
}

}  // namespace nudge::test
