// Any bytes as a segment file that is read window by window, damage passed over. What it finds must
// be what a mapping of the same bytes finds, and more only behind damage.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "replay/segment_reader.h"
#include "test/support/one_file.h"

namespace {

using namespace nudge;

using test::OneFile;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> copy(size);
  if (size > 0) std::memcpy(copy.data(), data, size);
  OneFile files(copy);
  const auto map = SegmentMap::view(copy, "fuzz");
  const auto reader = SegmentReader::open(files, "fuzz");
  if (map.ok() != reader.ok()) std::abort();
  if (!map.ok()) return 0;

  const std::uint64_t first = (*map)->first();
  const std::uint64_t unbroken = (*map)->valid_end(first);
  std::vector<RecordPlace> found;
  const auto whole = (*reader)->scan(first, size, [&](const StepView&, const RecordPlace& place) {
    found.push_back(place);
    return true;
  });
  if (!whole.ok()) std::abort();
  if (*whole && size > first && unbroken != size) {
    // Only a sequence that falls is no matter of the reader's.
    std::uint64_t at = first;
    for (const RecordPlace& place : found) {
      if (place.offset != at) std::abort();
      at += place.bytes;
    }
    if (at != size) std::abort();
  }
  std::uint64_t reached = first;
  for (const RecordPlace& place : found) {
    if (place.offset < reached || place.bytes == 0) std::abort();
    if (place.offset > reached && reached < unbroken) std::abort();  // passed over what is whole
    reached = place.offset + place.bytes;
    const auto step = (*reader)->read(place);
    if (!step.ok()) std::abort();
    for (std::size_t i = 0; i < step->images; ++i) {
      if (step->image(i).camera >= (*reader)->spec().cameras.size()) std::abort();
    }
  }
  if (reached < unbroken) std::abort();
  return 0;
}
