// Reading JPEGs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nudge/status.h"

namespace nudge {

struct PictureSize {
  int width = 0;   // pixels
  int height = 0;  // pixels
  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

struct RgbPicture {
  PictureSize size;
  std::vector<std::uint8_t> rgb;  // height x width x 3, top row first
};

// From the header alone. kDataLoss when it is no JPEG, or has more than 16,384 pixels a side.
Result<PictureSize> jpeg_size(std::span<const std::byte> jpeg);
// kDataLoss when it is no whole JPEG; a bound as above. Any thread.
Result<RgbPicture> decode_jpeg(std::span<const std::byte> jpeg);

}  // namespace nudge
