// Pictures as a backbone takes them: pixels of a camera's frame, from the JPEG as it is stored, so
// that what was recorded can be encoded again to the same features.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "nudge/robot.h"
#include "nudge/status.h"

namespace nudge {

// The pixels of a JPEG: height x width x 3, row-major, top row first. Of another size or damaged:
// kInvalidArgument.
using DecodeJpeg = std::function<Result<std::vector<std::uint8_t>>(
    std::span<const std::uint8_t> jpeg, int width, int height)>;

// The pixels of the observation's frame of `camera`, which has the camera's size: from its JPEG
// where it has one, else as they are. kUnavailable: there is no frame. kInvalidArgument: it has
// another size or is damaged.
Result<std::vector<std::uint8_t>> pixels_of(const Observation& observation,
                                            const CameraSpec& camera, const DecodeJpeg& decode);

// `rgb` [height, width, 3] as [3, side, side]: each pixel the mean of those it covers, rounded.
// Whole numbers only, so that it is the same everywhere. side <= width, height.
void shrink(std::span<const std::uint8_t> rgb, std::size_t width, std::size_t height,
            std::size_t side, std::span<std::uint8_t> out);

}  // namespace nudge
