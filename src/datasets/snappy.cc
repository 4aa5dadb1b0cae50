#include "src/datasets/snappy.h"

#include <cstdint>

namespace nudge {

Result<std::string> snappy_decompress(std::span<const std::byte> bytes, std::size_t size) {
  const Status damaged = data_loss("a compressed page is damaged");
  std::size_t at = 0;
  const auto next = [&]() -> std::uint32_t {
    return at < bytes.size() ? static_cast<std::uint32_t>(bytes[at++]) : 0u;
  };
  std::uint64_t declared = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    if (at >= bytes.size()) return damaged;
    const std::uint32_t part = next();
    declared |= static_cast<std::uint64_t>(part & 0x7F) << shift;
    if ((part & 0x80) == 0) break;
  }
  // A copy of 64 bytes takes three: no honest page grows by more.
  if (declared != size || size > 24 * bytes.size() + 64) return damaged;
  std::string out;
  out.reserve(size);
  while (at < bytes.size()) {
    const std::uint32_t tag = next();
    std::size_t length = 0;
    std::size_t offset = 0;
    switch (tag & 3) {
      case 0: {
        length = tag >> 2;
        if (length >= 60) {
          const std::size_t extra = length - 59;
          if (extra > bytes.size() - at) return damaged;
          length = 0;
          for (std::size_t i = 0; i < extra; ++i) length |= std::size_t{next()} << (8 * i);
        }
        length += 1;
        if (length > bytes.size() - at || length > size - out.size()) return damaged;
        out.append(reinterpret_cast<const char*>(bytes.data() + at), length);
        at += length;
        continue;
      }
      case 1:
        if (bytes.size() - at < 1) return damaged;
        length = 4 + ((tag >> 2) & 7);
        offset = ((tag >> 5) << 8) | next();
        break;
      case 2:
        if (bytes.size() - at < 2) return damaged;
        length = 1 + (tag >> 2);
        offset = next();
        offset |= std::size_t{next()} << 8;
        break;
      default:
        if (bytes.size() - at < 4) return damaged;
        length = 1 + (tag >> 2);
        for (int i = 0; i < 4; ++i) offset |= std::size_t{next()} << (8 * i);
        break;
    }
    if (offset == 0 || offset > out.size() || length > size - out.size()) return damaged;
    // A copy may overlap what it makes.
    for (std::size_t i = 0; i < length; ++i) out.push_back(out[out.size() - offset]);
  }
  if (out.size() != size) return damaged;
  return out;
}

}  // namespace nudge
