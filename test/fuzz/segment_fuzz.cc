// Any bytes as a segment file. Checksums are made right first, so that the checks behind them are
// reached as well.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "replay/crc32c.h"
#include "replay/segment.h"

namespace {

std::uint32_t word(std::span<std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  if (bytes.size() >= at + 4) std::memcpy(&value, bytes.data() + at, 4);
  return value;
}

void mend(std::span<std::byte> bytes) {
  const std::uint32_t header = word(bytes, 12);
  if (header < 8 || header > bytes.size()) return;
  const std::uint32_t crc = nudge::crc32c(bytes.first(header - 4));
  std::memcpy(bytes.data() + header - 4, &crc, 4);
  for (std::size_t at = header; at + 8 <= bytes.size();) {
    const std::uint32_t size = word(bytes, at + 4);
    if (size < 8 || size > bytes.size() - at) return;
    const std::uint32_t sum = nudge::crc32c(bytes.subspan(at + 4, size - 4));
    std::memcpy(bytes.data() + at, &sum, 4);
    at += size;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  if (size == 0) return 0;
  // The first byte chooses; a copy of exactly the right size lets the sanitizer see each overrun.
  const bool mended = (data[0] & 1) != 0;
  const std::size_t length = size - 1;
  std::vector<std::byte> copy(length);  // from the allocator, so aligned to 16
  if (length > 0) std::memcpy(copy.data(), data + 1, length);
  if (mended) mend(copy);
  const auto map = SegmentMap::view(copy, "fuzz");
  if (!map.ok()) return 0;
  const std::uint64_t end = (*map)->valid_end((*map)->first());
  float sum = 0;
  const Status status =
      (*map)->scan((*map)->first(), end, SegmentMap::Check::kCrc, [&](const StepView& view) {
        for (const auto& part :
             {view.proprioception, view.proposed, view.requested, view.executed}) {
          for (const float value : part) sum += value;
        }
        const auto step = (*map)->decode(view.offset);
        if (!step.ok()) std::abort();
        // What was accepted can be written again.
        std::vector<std::byte> again;
        if (!encode_step((*map)->spec(), *step, step->sequence, again).ok()) std::abort();
        if (again.size() != view.next - view.offset) std::abort();
        return true;
      });
  if (!status.ok()) std::abort();  // valid_end() and scan() must agree
  [[maybe_unused]] static volatile float sink;
  sink = sum;
  return 0;
}
