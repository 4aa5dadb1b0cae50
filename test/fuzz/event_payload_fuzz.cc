// Any bytes as the payload of an event, of each version: a line with its kind, then the text.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "replay/event_codec.h"

namespace {

void read(std::string_view kind, std::uint32_t version, std::span<const std::byte> text) {
  using namespace nudge;
  const auto payload = decode_payload(kind, version, text);
  if (!payload.ok()) return;
  // What was accepted can be written, and reads as itself.
  const auto again = encode_payload(*payload);
  if (!again.ok()) std::abort();
  const auto back = decode_payload(kind_of(*payload), kPayloadVersion,
                                   std::as_bytes(std::span(again->data(), again->size())));
  if (!back.ok() || *encode_payload(*back) != *again) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return 0;
  for (std::uint32_t version = 1; version <= nudge::kPayloadVersion; ++version) {
    read(text.substr(0, line), version, bytes.subspan(line + 1));
  }
  return 0;
}
