#include <torch/script.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

#include "policy/script_backbone.h"
#include "policy/weights.h"

namespace nudge {
namespace {

constexpr const char* kAbout = "nudge.json";  // an extra file of the archive
constexpr const char* kExport = "export it again with scripts/export_backbone.py";
constexpr std::size_t kMaxAbout = 64u << 10;
constexpr std::size_t kMaxCameras = 16;
constexpr int kMaxSide = 8192;
constexpr std::size_t kMaxProprioception = 256;
constexpr double kProbeTolerance = 1e-2;  // other kernels add up in another order
constexpr int kWarmUps = 3;               // the executor specialises within the first runs

// What LibTorch threw, without its own stack: the lines that say what was wrong.
std::string said(const std::exception& error) {
  const auto* ours = dynamic_cast<const c10::Error*>(&error);
  std::string text = ours != nullptr ? ours->what_without_backtrace() : error.what();
  if (text.size() > 600) text.resize(600);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// An operator that this LibTorch does not have, or an archive of a later format.
bool is_of_a_newer_version(const std::string& text) {
  for (const char* words : {"Unknown builtin op", "maximum supported version", "No such operator",
                            "Could not find schema", "Unknown type name", "is too old",
                            "expected at most", "Unrecognized data format"}) {
    if (text.find(words) != std::string::npos) return true;
  }
  return false;
}

Status cannot_load(const std::string& file, const std::exception& error) {
  const std::string text = said(error);
  if (is_of_a_newer_version(text)) {
    return unimplemented(
        "backbone " + file + " needs a newer LibTorch than this program's (" + TORCH_VERSION +
        "): " + text +
        "; export it with a PyTorch of that version, or write that part of it with "
        "operators that the older one has");
  }
  return invalid_argument("backbone " + file + " is no TorchScript that can be loaded: " + text +
                          "; " + kExport);
}

struct About {
  ScriptBackboneInfo info;
  std::vector<float> probe;  // features of probe()
};

Result<About> read_about(const std::string& file, const std::string& text) {
  const auto wrong = [&](const std::string& what) {
    return invalid_argument("backbone " + file + ": " + what + "; " + kExport);
  };
  if (text.empty()) return wrong("it does not say what it takes (it has no extra file nudge.json)");
  if (text.size() > kMaxAbout) return wrong("its nudge.json is too long");
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    if (!json.is_object() || json.value("nudge_backbone", nlohmann::json()) != 1) {
      return wrong("its nudge.json is none of version 1");
    }
    About about;
    const auto count = [&](const char* name, std::size_t most) {
      const auto value = json.at(name).get<std::int64_t>();
      return value < 0 || static_cast<std::size_t>(value) > most ? most + 1
                                                                 : static_cast<std::size_t>(value);
    };
    about.info.features = count("features", kMaxFeatures);
    about.info.proprioception = count("proprioception", kMaxProprioception);
    if (about.info.features < 1 || about.info.features > kMaxFeatures) {
      return wrong("it must make 1 to " + std::to_string(kMaxFeatures) + " features");
    }
    if (about.info.proprioception > kMaxProprioception) {
      return wrong("it may take at most " + std::to_string(kMaxProprioception) +
                   " values of proprioception");
    }
    const auto& cameras = json.at("cameras");
    if (!cameras.is_array() || cameras.size() > kMaxCameras) {
      return wrong("its cameras must be a list of at most 16");
    }
    for (const auto& each : cameras) {
      CameraSpec camera{.name = each.at("name").get<std::string>(),
                        .width = each.at("width").get<int>(),
                        .height = each.at("height").get<int>()};
      if (camera.width < 1 || camera.width > kMaxSide || camera.height < 1 ||
          camera.height > kMaxSide) {
        return wrong("the pictures of camera '" + camera.name + "' have no possible size");
      }
      about.info.cameras.push_back(std::move(camera));
    }
    about.probe = json.at("probe").get<std::vector<float>>();
    if (about.probe.size() != about.info.features) {
      return wrong("it has no features of its probe, or not as many as it makes");
    }
    return about;
  } catch (const nlohmann::json::exception& error) {
    return wrong(std::string("its nudge.json cannot be read: ") + error.what());
  }
}

// What forward() must take and give.
Status check_signature(const std::string& file, const torch::jit::Module& module) {
  static const std::string kWanted =
      "forward(self, pictures: List[Tensor], proprioception: Tensor, instruction: str) -> Tensor";
  const auto forward = module.find_method("forward");
  if (!forward) return invalid_argument("backbone " + file + " has no " + kWanted);
  const c10::FunctionSchema& schema = forward->function().getSchema();
  const std::vector<std::string> wanted = {"Tensor[]", "Tensor", "str"};
  bool fits = schema.arguments().size() == wanted.size() + 1 && schema.returns().size() == 1 &&
              schema.returns()[0].type()->str() == "Tensor";
  for (std::size_t i = 0; fits && i < wanted.size(); ++i) {
    fits = schema.arguments()[i + 1].type()->str() == wanted[i];
  }
  if (fits) return {};
  std::ostringstream has;
  has << schema;
  return invalid_argument("backbone " + file + " has " + has.str() + ", and should have " +
                          kWanted + "; " + kExport);
}

// A picture and values that no backbone finds uniform, the same here and in the exporter.
std::uint8_t probe_pixel(std::int64_t y, std::int64_t x, std::int64_t channel) {
  return static_cast<std::uint8_t>((7 * x + 13 * y + 29 * channel + x * y) % 256);
}
float probe_value(std::size_t i) { return 0.1F * static_cast<float>(i % 11) - 0.5F; }

class ScriptBackbone final : public Backbone {
 public:
  static Result<std::unique_ptr<ScriptBackbone>> load(const std::string& file, DeviceUse use) {
    const Result<TorchDevice> device = choose_device(use, "policy.device");
    if (!device.ok()) return device.status();
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
      return not_found("backbone " + file + " cannot be opened; policy.backbone names it");
    }
    // Read once: the bytes that are hashed are those that run.
    std::string bytes;
    std::vector<char> block(1u << 20);
    while (stream.read(block.data(), static_cast<std::streamsize>(block.size())),
           stream.gcount() > 0) {
      bytes.append(block.data(), static_cast<std::size_t>(stream.gcount()));
      if (bytes.size() > kMaxScriptBackbone) {
        return invalid_argument("backbone " + file + " is larger than 1 GiB");
      }
    }
    at::set_num_threads(1);
    std::unique_ptr<ScriptBackbone> made(new ScriptBackbone());
    made->file_ = file;
    made->digest_ = to_hex(sha256(std::as_bytes(std::span(bytes.data(), bytes.size()))));
    std::istringstream archive(std::move(bytes));
    if (*device == TorchDevice::kCpu) {
      NUDGE_TRY(made->open(archive, TorchDevice::kCpu));
      return made;
    }
    const Status on_gpu = made->open(archive, TorchDevice::kCuda);
    if (on_gpu.ok()) return made;
    // Whatever is wrong with the file itself, the CPU says.
    NUDGE_TRY(made->open(archive, TorchDevice::kCpu));
    if (use == DeviceUse::kAuto) return made;
    return failed_precondition(
        on_gpu.message() +
        "; so it is on the GPU, and on the CPU it works: set policy.device to "
        "\"auto\" or \"cpu\"");
  }

  // Binds it to a robot.
  Status use(const ObservationSpec& spec, DecodeJpeg decode) {
    if (spec.proprioception.size() != info_.proprioception) {
      return invalid_argument("backbone " + file_ + " takes " +
                              std::to_string(info_.proprioception) +
                              " values of proprioception, the robot has " +
                              std::to_string(spec.proprioception.size()) + "; " + kExport);
    }
    std::ostringstream identity;
    identity << "torchscript backbone 1\n" << digest_ << '\n';
    for (const Channel& channel : spec.proprioception) {
      identity << channel.name << ' ' << channel.unit << '\n';
    }
    for (const CameraSpec& camera : info_.cameras) {
      const auto found =
          std::find_if(spec.cameras.begin(), spec.cameras.end(),
                       [&](const CameraSpec& each) { return each.name == camera.name; });
      const auto size = [](const CameraSpec& of) {
        return std::to_string(of.width) + " x " + std::to_string(of.height);
      };
      if (found == spec.cameras.end()) {
        return invalid_argument("backbone " + file_ + " looks at camera '" + camera.name +
                                "', which the robot does not have");
      }
      if (found->width != camera.width || found->height != camera.height) {
        return invalid_argument("backbone " + file_ + " takes pictures of " + size(camera) +
                                " from camera '" + camera.name + "', the robot's are " +
                                size(*found) + "; " + kExport);
      }
      identity << camera.name << '\n';
    }
    const std::string text = identity.str();
    hash_ = to_hex(sha256(std::as_bytes(std::span(text.data(), text.size()))));
    decode_ = std::move(decode);
    return {};
  }

  const ScriptBackboneInfo& info() const { return info_; }
  std::size_t feature_size() const override { return info_.features; }
  const std::string& hash() const override { return hash_; }
  std::vector<std::string> cameras() const override {
    std::vector<std::string> names;
    for (const CameraSpec& camera : info_.cameras) names.push_back(camera.name);
    return names;
  }

  Result<std::vector<float>> encode(const Observation& observation,
                                    const std::string& instruction) override {
    if (observation.proprioception.size() != info_.proprioception) {
      return invalid_argument(
          "the observation has " + std::to_string(observation.proprioception.size()) +
          " values of proprioception, the backbone takes " + std::to_string(info_.proprioception));
    }
    // Kept for as long as the tensors below see their memory.
    std::vector<std::vector<std::uint8_t>> pictures;
    for (const CameraSpec& camera : info_.cameras) {
      Result<std::vector<std::uint8_t>> pixels = pixels_of(observation, camera, decode_);
      if (!pixels.ok()) return pixels.status();
      pictures.push_back(*std::move(pixels));
    }
    return run(pictures, observation.proprioception, instruction);
  }

 private:
  ScriptBackbone() = default;

  // Loads and tries it there. Each device gets a module of its own: the executor specialises on
  // what its first runs see.
  Status open(std::istream& archive, TorchDevice where) {
    archive.clear();
    archive.seekg(0);
    device_ = where == TorchDevice::kCuda ? at::kCUDA : at::kCPU;
    std::string about_text;
    try {
      torch::jit::ExtraFilesMap extra{{kAbout, ""}};
      module_ = torch::jit::load(archive, device_, extra);
      module_.eval();
      about_text = extra[kAbout];
    } catch (const std::exception& error) {
      return cannot_load(file_, error);
    }
    NUDGE_TRY(check_signature(file_, module_));
    Result<About> about = read_about(file_, about_text);
    if (!about.ok()) return about.status();
    info_ = about->info;
    info_.device = where;
    return try_probe(about->probe);
  }

  Result<std::vector<float>> run(std::vector<std::vector<std::uint8_t>>& pictures,
                                 const std::vector<float>& proprioception,
                                 const std::string& instruction) {
    try {
      const at::InferenceMode inference;
      c10::List<at::Tensor> seen;
      for (std::size_t i = 0; i < pictures.size(); ++i) {
        const CameraSpec& camera = info_.cameras[i];
        seen.push_back(
            at::from_blob(pictures[i].data(), {camera.height, camera.width, 3}, at::kByte)
                .to(device_));
      }
      // A copy: an empty vector has no memory to look at.
      at::Tensor measured =
          at::empty({static_cast<std::int64_t>(proprioception.size())}, at::kFloat);
      std::copy(proprioception.begin(), proprioception.end(), measured.data_ptr<float>());
      const c10::IValue made = module_.forward({seen, measured.to(device_), instruction});
      if (!made.isTensor()) return invalid_argument("backbone " + file_ + " gave no tensor");
      const at::Tensor features = made.toTensor().to(at::kCPU, at::kFloat).contiguous().flatten();
      if (features.numel() != static_cast<std::int64_t>(info_.features)) {
        return invalid_argument("backbone " + file_ + " made " + std::to_string(features.numel()) +
                                " features, and says that it "
                                "makes " +
                                std::to_string(info_.features) + "; " + kExport);
      }
      const float* first = features.data_ptr<float>();
      std::vector<float> values(first, first + features.numel());
      if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
        return invalid_argument("backbone " + file_ + " made a feature that is not finite");
      }
      return values;
    } catch (const std::exception& error) {
      if (is_of_a_newer_version(said(error))) return cannot_load(file_, error);
      return invalid_argument("backbone " + file_ + " failed: " + said(error));
    }
  }

  Status try_probe(const std::vector<float>& expected) {
    std::vector<std::vector<std::uint8_t>> pictures;
    for (const CameraSpec& camera : info_.cameras) {
      std::vector<std::uint8_t>& picture = pictures.emplace_back();
      for (int y = 0; y < camera.height; ++y) {
        for (int x = 0; x < camera.width; ++x) {
          for (int c = 0; c < 3; ++c) picture.push_back(probe_pixel(y, x, c));
        }
      }
    }
    std::vector<float> measured(info_.proprioception);
    for (std::size_t i = 0; i < measured.size(); ++i) measured[i] = probe_value(i);
    Result<std::vector<float>> made = run(pictures, measured, "probe");
    for (int i = 1; i < kWarmUps && made.ok(); ++i) made = run(pictures, measured, "probe");
    if (!made.ok()) return made.status();
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
      difference = std::max(difference, std::abs(static_cast<double>((*made)[i] - expected[i])));
    }
    info_.probe_difference = difference / std::max(largest, 1e-6);
    if (info_.probe_difference <= kProbeTolerance) return {};
    return invalid_argument("backbone " + file_ +
                            " makes other features of its probe here (LibTorch " + TORCH_VERSION +
                            ") than where it was exported: they differ by " +
                            std::to_string(100 * info_.probe_difference) +
                            " % of the largest; export it with a PyTorch of this version");
  }

  std::string file_, digest_, hash_;
  ScriptBackboneInfo info_;
  c10::Device device_{c10::kCPU};
  torch::jit::Module module_;
  DecodeJpeg decode_;
};

}  // namespace

Result<ScriptBackboneInfo> inspect_script_backbone(const std::string& file, DeviceUse use) {
  const Result<std::unique_ptr<ScriptBackbone>> loaded = ScriptBackbone::load(file, use);
  if (!loaded.ok()) return loaded.status();
  return (*loaded)->info();
}

Result<std::unique_ptr<Backbone>> make_script_backbone(const std::string& file,
                                                       const ObservationSpec& spec,
                                                       DecodeJpeg decode, DeviceUse use) {
  Result<std::unique_ptr<ScriptBackbone>> loaded = ScriptBackbone::load(file, use);
  if (!loaded.ok()) return loaded.status();
  NUDGE_TRY((*loaded)->use(spec, std::move(decode)));
  return std::unique_ptr<Backbone>(*std::move(loaded));
}

}  // namespace nudge
