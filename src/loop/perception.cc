#include "src/loop/perception.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <span>
#include <utility>
#include <vector>

#include "policy/script_backbone.h"
#include "policy/vision_backbone.h"
#include "policy/weights.h"
#include "src/datasets/jpeg.h"
#include "src/learning/sentences.h"
#include "src/loop/kitchen_eyes.h"

namespace nudge {
namespace {

constexpr const char* kState = "state";
constexpr const char* kKitchen = "kitchen";

// Which kind a configuration names.
enum class Kind { kState, kKitchen, kVisionFile, kScript };
Kind kind_of(const Config& config) {
  const std::string& name = config.policy.backbone;
  if (name == kState) return Kind::kState;
  if (name == kKitchen) return Kind::kKitchen;
  return name.ends_with(".safetensors") ? Kind::kVisionFile : Kind::kScript;
}

Result<std::vector<std::byte>> vision_bytes(const Config& config) {
  if (kind_of(config) == Kind::kKitchen) {
    const std::span<const std::byte> eyes = kitchen_eyes();
    return std::vector<std::byte>(eyes.begin(), eyes.end());
  }
  const std::string& file = config.policy.backbone;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return not_found("backbone " + file + " cannot be opened; policy.backbone names it");
  }
  std::vector<std::byte> bytes(kMaxVisionFile + 1);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(stream.gcount()));  // one too many is refused later
  return bytes;
}

std::string names_of(const std::vector<std::string>& cameras) {
  std::string text;
  for (const std::string& camera : cameras) text += " " + camera;
  return text.empty() ? " no camera" : text;
}

// As policy/picture.h wants it.
Result<std::vector<std::uint8_t>> decoded(std::span<const std::uint8_t> jpeg, int width,
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

// Without ears: whatever is said, it looks as if nothing had been.
class DeafBackbone final : public Backbone {
 public:
  explicit DeafBackbone(std::unique_ptr<Backbone> eyes) : eyes_(std::move(eyes)) {
    const std::string keyed = "deaf " + eyes_->hash();
    hash_ = to_hex(sha256(std::as_bytes(std::span(keyed))));
  }
  std::size_t feature_size() const override { return eyes_->feature_size(); }
  std::vector<std::string> cameras() const override { return eyes_->cameras(); }
  const std::string& hash() const override { return hash_; }
  Result<std::vector<float>> encode(const Observation& observation,
                                    const std::string& /*instruction*/) override {
    return eyes_->encode(observation, "");
  }

 private:
  std::unique_ptr<Backbone> eyes_;
  std::string hash_;
};

// What `config` says of all kinds, around what one kind has made.
Result<std::unique_ptr<Backbone>> with_ears(std::unique_ptr<Backbone> eyes, const Config& config,
                                            SentenceSource source) {
  if (config.policy.instruction_size > 0) {
    Result<std::unique_ptr<Backbone>> told =
        with_instruction(std::move(eyes), std::move(source.encode), source.hash,
                         static_cast<std::size_t>(config.policy.instruction_size));
    if (!told.ok()) return told;
    eyes = *std::move(told);
  }
  if (config.policy.listens) return eyes;
  return std::unique_ptr<Backbone>(std::make_unique<DeafBackbone>(std::move(eyes)));
}

}  // namespace

Result<std::unique_ptr<Backbone>> make_backbone(const Config& config, const ObservationSpec& spec,
                                                std::string* note) {
  const Kind kind = kind_of(config);
  const bool vision = kind == Kind::kKitchen || kind == Kind::kVisionFile;
  SentenceSource source;
  if (vision || config.policy.instruction_size > 0) {
    Result<SentenceSource> found = sentence_source(config);
    if (!found.ok()) return found.status();
    source = *std::move(found);
    if (note != nullptr) *note = source.note;
  }
  Result<std::unique_ptr<Backbone>> eyes = std::unique_ptr<Backbone>();
  if (kind == Kind::kState) {
    eyes = make_state_backbone(spec);
  } else if (kind == Kind::kScript) {
    eyes = make_script_backbone(config.policy.backbone, spec, decoded, config.policy.device);
  } else {
    Result<std::vector<std::byte>> bytes = vision_bytes(config);
    if (!bytes.ok()) return bytes.status();
    eyes = make_vision_backbone(
        *std::move(bytes), spec,
        {.decode = decoded, .encode = source.encode, .encoder_hash = source.hash});
    if (!eyes.ok()) return eyes.status().with_context(config.policy.backbone);
  }
  if (!eyes.ok()) return eyes;
  return with_ears(*std::move(eyes), config, std::move(source));
}

Result<VisionFile> vision_file(const Config& config) {
  const Kind kind = kind_of(config);
  if (kind != Kind::kKitchen && kind != Kind::kVisionFile) {
    return invalid_argument("backbone " + config.policy.backbone +
                            " is none of the project's own eyes: kitchen, or a file that ends in "
                            ".safetensors");
  }
  Result<std::vector<std::byte>> bytes = vision_bytes(config);
  if (!bytes.ok()) return bytes.status();
  Result<VisionFile> file = VisionFile::parse(*std::move(bytes));
  if (!file.ok()) return file.status().with_context(config.policy.backbone);
  return file;
}

bool looks_at_cameras(const Config& config) { return kind_of(config) != Kind::kState; }

Result<std::string> backbone_summary(const Config& config) {
  switch (kind_of(config)) {
    case Kind::kState: return std::string("the object state as the robot reports it");
    case Kind::kScript: {
      const Result<ScriptBackboneInfo> info =
          inspect_script_backbone(config.policy.backbone, config.policy.device);
      if (!info.ok()) return info.status();
      std::vector<std::string> cameras;
      for (const CameraSpec& camera : info->cameras) cameras.push_back(camera.name);
      std::array<char, 32> difference{};
      std::snprintf(difference.data(), difference.size(), "%.1e", info->probe_difference);
      return std::to_string(info->features) + " features of" + names_of(cameras) + " and " +
             std::to_string(info->proprioception) + " values, on " + device_text(info->device) +
             "; what was exported and what runs here differ by " + difference.data();
    }
    case Kind::kKitchen:
    case Kind::kVisionFile: break;
  }
  Result<std::vector<std::byte>> bytes = vision_bytes(config);
  if (!bytes.ok()) return bytes.status();
  const Result<VisionFile> file = VisionFile::parse(*std::move(bytes));
  if (!file.ok()) return file.status().with_context(config.policy.backbone);
  return std::to_string(file->spec.features) + " features of" + names_of(file->spec.cameras) +
         " and " + std::to_string(file->spec.proprioception_size) + " values, taught with " +
         file->spec.supervision;
}

}  // namespace nudge
