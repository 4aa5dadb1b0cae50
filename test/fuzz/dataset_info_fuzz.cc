// Any bytes as the info.json of a data set, and as lines of an export's own book.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "src/datasets/lerobot_layout.h"
#include "src/datasets/lerobot_source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto info = parse_source_info(text); info.ok()) {
    // Paths that were accepted stay inside.
    for (const auto& pattern : {info->data_path, info->video_path}) {
      if (pattern.empty()) continue;
      const auto path = fill_template(
          pattern,
          {{"chunk_index", 1}, {"file_index", 2}, {"episode_chunk", 0}, {"episode_index", 3}},
          "observation.images.front");
      if (path.ok() && (path->empty() || path->front() == '/')) std::abort();
    }
  }
  // What is read can be written, and reads the same again.
  if (const auto shape = parse_ledger_head(text); shape.ok()) {
    const auto again = parse_ledger_head(ledger_head(*shape));
    if (!again.ok()) std::abort();
  }
  if (const auto episode = parse_ledger_line(text); episode.ok()) {
    if (!parse_ledger_line(ledger_line(*episode)).ok()) std::abort();
  }
  return 0;
}
