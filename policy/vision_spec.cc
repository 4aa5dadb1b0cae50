#include "policy/vision_spec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "nudge/half.h"
#include "nudge/types.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxCamerasSeen = 4;
constexpr std::size_t kMaxSentence = 256;  // bytes
constexpr const char* kKnown = "known";
constexpr float kLargestHalf = 65504;

Status wrong(const std::string& what) { return invalid_argument("vision backbone: " + what); }

std::int64_t elements(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const auto s : shape) n *= s;
  return n;
}

bool is_measure(const std::string& name) { return name.starts_with("norm."); }

// F16 or F32 as floats. Empty: another type or shape.
std::vector<float> floats_of(const TensorView& view, const std::vector<std::int64_t>& shape) {
  if (view.shape != shape) return {};
  std::vector<float> values(static_cast<std::size_t>(elements(shape)));
  if (view.dtype == Dtype::kF32) {
    std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  } else if (view.dtype == Dtype::kF16) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      Half half = 0;
      std::memcpy(&half, view.bytes.data() + 2 * i, 2);
      values[i] = float_from_half(half);
    }
  } else {
    return {};
  }
  return values;
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

Result<VisionSpec> spec_from(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("version", Json()) != 1 ||
      json.value("kind", Json()) != "vision") {
    return wrong("the metadata \"backbone\" is none of version 1");
  }
  VisionSpec spec;
  try {
    spec.cameras = json.at("cameras").get<std::vector<std::string>>();
    const auto count = [&](const char* name) {
      const auto value = json.at(name).get<std::int64_t>();
      return static_cast<std::size_t>(std::clamp<std::int64_t>(value, 0, 1 << 20));
    };
    spec.side = count("side");
    spec.proprioception_size = count("proprioception_size");
    spec.sentence_size = count("sentence_size");
    spec.hidden = count("hidden");
    spec.features = count("features");
    if (json.contains("stride")) spec.stride = count("stride");  // older files have none
    spec.encoder = json.at("encoder").get<std::string>();
    spec.supervision = json.at("supervision").get<std::string>();
  } catch (const Json::exception& error) {
    return wrong(std::string("the metadata \"backbone\" cannot be read: ") + error.what());
  }
  NUDGE_TRY(spec.validate());
  return spec;
}

std::string json_of(const VisionSpec& spec) {
  return Json{{"version", 1},
              {"kind", "vision"},
              {"cameras", spec.cameras},
              {"side", spec.side},
              {"stride", spec.stride},
              {"proprioception_size", spec.proprioception_size},
              {"sentence_size", spec.sentence_size},
              {"hidden", spec.hidden},
              {"features", spec.features},
              {"encoder", spec.encoder},
              {"supervision", spec.supervision}}
      .dump();
}

Status check_known(const KnownSentences& known, std::size_t size) {
  if (known.text.size() > kMaxSentences) return wrong("it knows too many sentences");
  for (const std::string& text : known.text) {
    if (text.empty() || text.size() > kMaxSentence) {
      return wrong("a sentence that it knows is empty or too long");
    }
  }
  if (known.vectors.size() != known.text.size() * size || !all_finite(known.vectors)) {
    return wrong("the vectors of the sentences that it knows do not fit");
  }
  return {};
}

}  // namespace

Status VisionSpec::validate() const {
  const auto range = [](const char* name, std::size_t value, std::size_t low, std::size_t high) {
    if (value >= low && value <= high) return Status();
    return wrong(std::string(name) + " is " + std::to_string(value) + ", allowed are " +
                 std::to_string(low) + " to " + std::to_string(high));
  };
  NUDGE_TRY(range("the number of cameras", cameras.size(), 1, kMaxCamerasSeen));
  for (const std::string& name : cameras) {
    if (name.empty() || name.size() > 63) return wrong("a camera's name has 1 to 63 bytes");
  }
  if (std::set<std::string>(cameras.begin(), cameras.end()).size() != cameras.size()) {
    return wrong("two cameras have the same name");
  }
  NUDGE_TRY(range("side", side, 16, 256));
  if (stride != 2 && stride != 4) return wrong("stride must be 2 or 4");
  if (side % (4 * stride) != 0) return wrong("side must be a multiple of 4 x stride");
  NUDGE_TRY(range("proprioception_size", proprioception_size, 0, 256));
  NUDGE_TRY(range("sentence_size", sentence_size, 1, 4096));
  NUDGE_TRY(range("hidden", hidden, 1, 2048));
  NUDGE_TRY(range("features", features, 1, kMaxFeatures));
  if (encoder.size() > 64) return wrong("encoder has more than 64 bytes");
  if (supervision.size() > 1000) return wrong("supervision has more than 1,000 bytes");
  return {};
}

std::array<VisionLayer, kVisionLayers> layers_of(const VisionSpec& spec) {
  const auto stride = static_cast<std::int64_t>(spec.stride);
  return {{{16, stride + 3, stride}, {24, 3, 2}, {32, 3, 2}, {32, 3, 1}}};
}

std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensors_of(const VisionSpec& spec) {
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> all;
  const auto words = static_cast<std::int64_t>(kWordsHidden);
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    all.emplace_back(name + ".weight", std::vector<std::int64_t>{out, in});
    all.emplace_back(name + ".bias", std::vector<std::int64_t>{out});
  };
  const std::array<VisionLayer, kVisionLayers> layers = layers_of(spec);
  linear("words", words, static_cast<std::int64_t>(spec.sentence_size));
  for (std::size_t camera = 0; camera < spec.cameras.size(); ++camera) {
    std::int64_t in = 3;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const VisionLayer& layer = layers[i];
      const std::string name = "camera." + std::to_string(camera) + "." + std::to_string(i);
      all.emplace_back(name + ".weight",
                       std::vector<std::int64_t>{layer.maps, in, layer.kernel, layer.kernel});
      all.emplace_back(name + ".bias", std::vector<std::int64_t>{layer.maps});
      if (i > 0) linear(name + ".words", 2 * layer.maps, words);
      in = layer.maps;
    }
  }
  const auto across = static_cast<std::int64_t>(spec.side / (4 * spec.stride));
  const std::int64_t maps = layers.back().maps * across * across;
  const auto hidden = static_cast<std::int64_t>(spec.hidden);
  const auto proprioception = static_cast<std::int64_t>(spec.proprioception_size);
  linear("trunk", hidden, static_cast<std::int64_t>(spec.cameras.size()) * maps + proprioception);
  linear("trunk.words", 2 * hidden, words);
  linear("features", static_cast<std::int64_t>(spec.features), hidden);
  all.emplace_back("norm.proprioception.mean", std::vector<std::int64_t>{proprioception});
  all.emplace_back("norm.proprioception.scale", std::vector<std::int64_t>{proprioception});
  return all;
}

Result<VisionFile> VisionFile::parse(std::vector<std::byte> bytes) {
  if (bytes.size() > kMaxVisionFile) return wrong("the file has more than 64 MiB");
  Result<SafetensorsFile> parsed = SafetensorsFile::parse(std::move(bytes));
  if (!parsed.ok()) return parsed.status().with_context("vision backbone");
  const auto metadata = [&](const char* name) {
    const auto found = parsed->metadata().find(name);
    return found == parsed->metadata().end() ? std::string() : found->second;
  };
  Result<VisionSpec> spec = spec_from(metadata("backbone"));
  if (!spec.ok()) return spec.status();
  VisionFile file;
  file.spec = *std::move(spec);
  const Json known = Json::parse(metadata("sentences"), nullptr, /*allow_exceptions=*/false);
  if (!known.is_array() ||
      !std::all_of(known.begin(), known.end(), [](const Json& each) { return each.is_string(); })) {
    return wrong("the metadata \"sentences\" is no list of texts");
  }
  file.known.text = known.get<std::vector<std::string>>();
  auto wanted = tensors_of(file.spec);
  wanted.emplace_back(
      kKnown, std::vector<std::int64_t>{static_cast<std::int64_t>(file.known.text.size()),
                                        static_cast<std::int64_t>(file.spec.sentence_size)});
  for (const auto& [name, shape] : wanted) {
    const auto found = parsed->tensors().find(name);
    if (found == parsed->tensors().end()) return wrong("tensor " + name + " is missing");
    std::vector<float> values = floats_of(found->second, shape);
    if (values.size() != static_cast<std::size_t>(elements(shape))) {
      return wrong("tensor " + name + " has another shape or type");
    }
    if (!all_finite(values)) return wrong("tensor " + name + " holds a value that is not finite");
    if (name == kKnown) {
      file.known.vectors = std::move(values);
    } else {
      file.tensors.emplace(name, std::move(values));
    }
  }
  if (parsed->tensors().size() != wanted.size()) return wrong("it has tensors that nothing needs");
  NUDGE_TRY(check_known(file.known, file.spec.sentence_size));
  const auto& scale = file.tensors.at("norm.proprioception.scale");
  if (!std::all_of(scale.begin(), scale.end(), [](float v) { return v > 0; })) {
    return wrong("a scale of proprioception is not positive");
  }
  return file;
}

Result<std::vector<std::byte>> VisionFile::write() const {
  NUDGE_TRY(spec.validate());
  NUDGE_TRY(check_known(known, spec.sentence_size));
  std::map<std::string, TensorToWrite> out;
  std::map<std::string, std::vector<std::uint16_t>> halves;
  for (const auto& [name, shape] : tensors_of(spec)) {
    const auto found = tensors.find(name);
    if (found == tensors.end() ||
        found->second.size() != static_cast<std::size_t>(elements(shape))) {
      return wrong("tensor " + name + " is missing or has another size");
    }
    const std::vector<float>& values = found->second;
    if (is_measure(name)) {
      out[name] = {Dtype::kF32, shape, std::as_bytes(std::span(values))};
      continue;
    }
    std::vector<std::uint16_t>& half = halves[name];
    for (const float value : values) {
      if (!(std::abs(value) <= kLargestHalf)) {
        return wrong("tensor " + name + " holds a value that F16 cannot");
      }
      half.push_back(half_from_float(value));
    }
    out[name] = {Dtype::kF16, shape, std::as_bytes(std::span(half))};
  }
  out[kKnown] = {
      Dtype::kF32,
      {static_cast<std::int64_t>(known.text.size()), static_cast<std::int64_t>(spec.sentence_size)},
      std::as_bytes(std::span(known.vectors))};
  return write_safetensors({{"backbone", json_of(spec)}, {"sentences", Json(known.text).dump()}},
                           out);
}

}  // namespace nudge
