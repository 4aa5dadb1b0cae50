// Any bytes as a message of the openpi protocol, from a robot and from an upstream.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "src/ports/openpi_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto message = nudge::OpenpiMessage::parse(bytes);
  if (!message.ok()) return 0;
  for (const auto& [key, value] : message->fields()) {
    const auto image = nudge::openpi_image(value);
    if (image.ok() && image->rgb.size() != std::size_t{3} * static_cast<std::size_t>(image->width) *
                                               static_cast<std::size_t>(image->height)) {
      std::abort();
    }
    (void)nudge::openpi_numbers(value);
  }
  if (const auto chunk = nudge::openpi_actions(*message);
      chunk.ok() && chunk->numbers.size() != chunk->horizon * chunk->width) {
    std::abort();
  }
  // Other actions take the place of the same number of bytes, and are read again.
  if (const auto said = nudge::openpi_actions(*message); said.ok()) {
    const nudge::OpenpiChunk zeros = nudge::make_openpi_chunk(
        said->horizon, said->width, std::vector<double>(said->numbers.size()), said->dtype);
    if (const auto changed = nudge::with_openpi_actions(bytes, zeros)) {
      const auto read = nudge::OpenpiMessage::parse(*changed);
      if (!read.ok() || nudge::openpi_actions(*read)->numbers != zeros.numbers) std::abort();
    }
  }
  // What we add is read again, and takes nothing away.
  const std::string noted = nudge::with_openpi_note(bytes, {.source = "upstream", .state = "AUTO"});
  const auto again = nudge::OpenpiMessage::parse(noted);
  if (again.ok() && again->fields().size() < message->fields().size()) std::abort();
  if (const auto changed = nudge::with_openpi_text(bytes, "prompt", "a");
      changed && nudge::OpenpiMessage::parse(*changed)->text("prompt") != "a") {
    std::abort();
  }
  return 0;
}
