// Any bytes as the payload of an event: a line with its kind, then the text.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "replay/event_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return 0;
  const auto payload = decode_payload(text.substr(0, line), 1, bytes.subspan(line + 1));
  if (!payload.ok()) return 0;
  // What was accepted can be written, and reads as itself.
  const auto again = encode_payload(*payload);
  if (!again.ok()) std::abort();
  const auto back = decode_payload(kind_of(*payload), kPayloadVersion,
                                   std::as_bytes(std::span(again->data(), again->size())));
  if (!back.ok() || *encode_payload(*back) != *again) std::abort();
  return 0;
}
