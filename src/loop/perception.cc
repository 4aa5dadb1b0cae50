#include "src/loop/perception.h"

#include <span>
#include <utility>
#include <vector>

#include "policy/script_backbone.h"
#include "src/datasets/jpeg.h"
#include "src/learning/sentences.h"

namespace nudge {
namespace {

constexpr const char* kState = "state";

// As policy/script_backbone.h wants it.
Result<std::vector<std::uint8_t>> pixels_of(std::span<const std::uint8_t> jpeg, int width,
                                            int height) {
  const auto bytes = std::as_bytes(jpeg);
  const Result<PictureSize> size = jpeg_size(bytes);
  if (!size.ok()) return invalid_argument(size.status().message());
  if (size->width != width || size->height != height) {
    return invalid_argument("the picture is " + std::to_string(size->width) + " x " +
                            std::to_string(size->height) + ", the robot's specification says " +
                            std::to_string(width) + " x " + std::to_string(height));
  }
  Result<RgbPicture> picture = decode_jpeg(bytes);
  if (!picture.ok()) return invalid_argument(picture.status().message());
  return std::move(picture->rgb);
}

Result<std::unique_ptr<Backbone>> make_eyes(const Config& config, const ObservationSpec& spec) {
  if (!looks_at_cameras(config)) return make_state_backbone(spec);
  return make_script_backbone(config.policy.backbone, spec, pixels_of);
}

}  // namespace

Result<std::unique_ptr<Backbone>> make_backbone(const Config& config, const ObservationSpec& spec,
                                                std::string* note) {
  Result<std::unique_ptr<Backbone>> eyes = make_eyes(config, spec);
  if (!eyes.ok() || config.policy.instruction_size == 0) return eyes;
  Result<SentenceSource> source = sentence_source(config);
  if (!source.ok()) return source.status();
  if (note != nullptr) *note = source->note;
  return with_instruction(*std::move(eyes), std::move(source->encode), source->hash,
                          static_cast<std::size_t>(config.policy.instruction_size));
}

bool looks_at_cameras(const Config& config) { return config.policy.backbone != kState; }

}  // namespace nudge
