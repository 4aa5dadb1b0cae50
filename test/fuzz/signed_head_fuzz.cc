// Any bytes as the signed head of a log. What is taken has a signature that fits, and is canonical:
// any other byte would not have been.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "src/ports/signed_head.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const nudge::Result<nudge::SignedHead> head = nudge::SignedHead::parse(text);
  if (!head.ok()) return 0;
  std::string other = text;
  for (char& byte : other) {
    const char before = byte;
    byte = static_cast<char>(byte ^ 1);
    const nudge::Result<nudge::SignedHead> changed = nudge::SignedHead::parse(other);
    if (changed.ok() && changed->head != head->head) std::abort();
    byte = before;
  }
  return 0;
}
