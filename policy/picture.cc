#include "policy/picture.h"

#include <algorithm>
#include <array>
#include <string>

namespace nudge {

Result<std::vector<std::uint8_t>> pixels_of(const Observation& observation,
                                            const CameraSpec& camera, const DecodeJpeg& decode) {
  const auto found = std::find_if(observation.images.begin(), observation.images.end(),
                                  [&](const Image& image) { return image.camera == camera.name; });
  if (found == observation.images.end() || (found->jpeg.empty() && found->rgb.empty())) {
    return unavailable("there is no picture of camera '" + camera.name + "' yet");
  }
  const std::string whose = "camera '" + camera.name + "'";
  if (!found->jpeg.empty()) {
    if (!decode) return internal("the backbone was given nothing to read JPEG with");
    Result<std::vector<std::uint8_t>> pixels = decode(found->jpeg, camera.width, camera.height);
    if (!pixels.ok()) return pixels.status().with_context(whose);
    return pixels;
  }
  if (found->rgb.size() !=
      3 * static_cast<std::size_t>(camera.width) * static_cast<std::size_t>(camera.height)) {
    return invalid_argument(whose + ": the picture has another size than the robot's " +
                            "specification says; fix the robot driver");
  }
  return found->rgb;
}

void shrink(std::span<const std::uint8_t> rgb, std::size_t width, std::size_t height,
            std::size_t side, std::span<std::uint8_t> out) {
  for (std::size_t y = 0; y < side; ++y) {
    const std::size_t top = y * height / side, bottom = (y + 1) * height / side;
    for (std::size_t x = 0; x < side; ++x) {
      const std::size_t left = x * width / side, right = (x + 1) * width / side;
      std::array<std::uint32_t, 3> sum{};
      for (std::size_t row = top; row < bottom; ++row) {
        const std::uint8_t* pixel = rgb.data() + 3 * (row * width + left);
        for (std::size_t column = left; column < right; ++column, pixel += 3) {
          for (std::size_t c = 0; c < 3; ++c) sum[c] += pixel[c];
        }
      }
      const auto count = static_cast<std::uint32_t>((bottom - top) * (right - left));
      for (std::size_t c = 0; c < 3; ++c) {
        out[(c * side + y) * side + x] = static_cast<std::uint8_t>((sum[c] + count / 2) / count);
      }
    }
  }
}

}  // namespace nudge
