// What a GPU is worth, and where: training steps, a head's sample, and a large TorchScript
// backbone, on the CPU's one core and on the GPU. scripts/check_cuda.sh builds and runs it.
//
//   device_bench [--seconds S]     a line of JSON for each figure
#include <torch/script.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "nudge/random.h"
#include "policy/device.h"
#include "policy/head.h"
#include "policy/script_backbone.h"
#include "policy/trainer.h"
#include "test/support/random_batch.h"

namespace nudge {
namespace {

constexpr int kSide = 224;          // of a picture; there are two
constexpr std::int64_t kMaps = 48;  // per layer of the backbone
constexpr int kLayers = 8;
constexpr int kRounds = 5;  // the median of so many is told

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return *std::move(result);
}
void must(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

// Seconds that one call takes: the median of the rounds, each as long as its share of `seconds`.
double seconds_of(const std::function<void()>& work, double seconds) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < 5; ++i) work();  // kernels are chosen, memory is taken
  std::vector<double> each;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    double passed = 0;
    int calls = 0;
    while (passed < seconds / kRounds) {
      work();
      ++calls;
      passed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    each.push_back(passed / calls);
  }
  std::sort(each.begin(), each.end());
  return each[kRounds / 2];
}

void tell(const std::string& what, TorchDevice device, double value, const char* unit) {
  const nlohmann::ordered_json line = {{"what", what},
                                       {"device", device == TorchDevice::kCuda ? "cuda" : "cpu"},
                                       {"value", value},
                                       {"unit", unit}};
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

HeadSpec head_of(std::size_t hidden) {
  HeadSpec spec;
  spec.feature_size = 64;
  spec.proprioception_size = 8;
  spec.action_size = 4;
  spec.hidden = hidden;
  return spec;
}

Batch rows(const HeadSpec& spec, std::size_t size) {
  Random random(1);
  return random_batch(spec, size, random);
}

std::shared_ptr<const Weights> fresh(const HeadSpec& spec) {
  return must(Weights::parse(must(initial_weights(spec, rows(spec, 256), 1, {}))));
}

void train(TorchDevice device, std::size_t hidden, std::size_t batch, double seconds) {
  const HeadSpec spec = head_of(hidden);
  TrainerOptions options;
  options.device = device == TorchDevice::kCuda ? DeviceUse::kCuda : DeviceUse::kCpu;
  const auto trainer = must(Trainer::create(fresh(spec), nullptr, options));
  const Batch b = rows(spec, batch);
  const double step = seconds_of([&] { must(trainer->step(b)); }, seconds);
  tell("training, width " + std::to_string(hidden) + ", batch " + std::to_string(batch), device,
       1 / step, "steps/s");
}

// A head has no code for a GPU; what it would be made of there has. Each product waits for the one
// before it.
void products_of_a_sample(TorchDevice device, std::size_t hidden, double seconds) {
  const HeadSpec spec = head_of(hidden);
  const at::InferenceMode inference;
  const at::Device where = device == TorchDevice::kCuda ? at::kCUDA : at::kCPU;
  const auto width = static_cast<std::int64_t>(hidden);
  const at::Tensor weight = at::zeros({width, width}, at::TensorOptions(at::kFloat).device(where));
  const at::Tensor input = at::zeros({width}, at::kFloat);
  const double sample = seconds_of(
      [&] {
        at::Tensor x = input.to(where);
        for (std::size_t i = 0; i < spec.euler_steps * (spec.layers + 1); ++i) {
          x = at::silu(at::mv(weight, x));
        }
        if (x.cpu().numel() != width) throw std::runtime_error("a product of another size");
      },
      seconds);
  tell("products of a head's sample, width " + std::to_string(hidden), device, sample * 1e6, "us");
}

void sample(std::size_t hidden, double seconds) {
  const HeadSpec spec = head_of(hidden);
  const auto head = must(ActionHead::load(fresh(spec)));
  const Batch b = rows(spec, 1);
  std::vector<float> chunk(b.actions.size());
  const double one = seconds_of(
      [&] {
        must(head->sample({1, b.features, b.proprioception, b.advantage, {}}, b.actions, chunk));
      },
      seconds);
  tell("head's sample, width " + std::to_string(hidden), TorchDevice::kCpu, one * 1e6, "us");
}

// Convolutions of about the size of a ResNet-18, for two cameras.
std::string backbone_file(const std::filesystem::path& folder) {
  torch::jit::Module module("Backbone");
  torch::manual_seed(1);
  module.register_buffer("first", 0.05 * at::randn({kMaps, 3, 7, 7}));
  module.register_buffer("others", 0.05 * at::randn({kLayers, kMaps, kMaps, 3, 3}));
  module.define(R"(
def forward(self, pictures: List[Tensor], proprioception: Tensor, instruction: str) -> Tensor:
    x = torch.stack(pictures).permute([0, 3, 1, 2]).float() / 255.0
    x = torch.relu(torch.conv2d(x, self.first, None, [2, 2], [3, 3]))
    for i in range(self.others.size(0)):
        x = torch.relu(torch.conv2d(x, self.others[i], None, [1, 1], [1, 1]))
    return torch.cat([x.mean([2, 3]).flatten(), proprioception])
)");
  // The probe of docs/reference/backbone-format.md.
  const at::Tensor picture = at::empty({kSide, kSide, 3}, at::kByte);
  for (std::int64_t y = 0; y < kSide; ++y) {
    for (std::int64_t x = 0; x < kSide; ++x) {
      for (std::int64_t c = 0; c < 3; ++c) {
        picture.data_ptr<std::uint8_t>()[(y * kSide + x) * 3 + c] =
            static_cast<std::uint8_t>((7 * x + 13 * y + 29 * c + x * y) % 256);
      }
    }
  }
  const at::Tensor measured = at::tensor({-0.5F, -0.4F});
  const at::Tensor features =
      module.forward({c10::List<at::Tensor>({picture, picture}), measured, std::string("probe")})
          .toTensor()
          .contiguous();
  const float* first = features.data_ptr<float>();
  nlohmann::json about = {{"nudge_backbone", 1},
                          {"features", features.numel()},
                          {"proprioception", 2},
                          {"probe", std::vector<float>(first, first + features.numel())}};
  for (const char* name : {"front", "wrist"}) {
    about["cameras"].push_back({{"name", name}, {"width", kSide}, {"height", kSide}});
  }
  const std::string file = folder / "backbone.pt";
  std::ofstream out(file, std::ios::binary);
  torch::jit::ExtraFilesMap extra{{"nudge.json", about.dump()}};
  module.save(out, extra);
  return file;
}

void encode(TorchDevice device, const std::string& file, double seconds) {
  ObservationSpec spec;
  spec.proprioception = {{"x", "m", -1, 1}, {"y", "m", -1, 1}};
  spec.cameras = {{"front", kSide, kSide}, {"wrist", kSide, kSide}};
  const auto backbone = must(make_script_backbone(
      file, spec, {}, device == TorchDevice::kCuda ? DeviceUse::kCuda : DeviceUse::kCpu));
  Observation seen;
  seen.proprioception = {0.25F, -0.75F};
  for (const CameraSpec& camera : spec.cameras) {
    Image image;
    image.camera = camera.name;
    image.width = image.height = kSide;
    image.rgb.assign(std::size_t{3} * kSide * kSide, 100);
    seen.images.push_back(std::move(image));
  }
  const double one = seconds_of([&] { must(backbone->encode(seen, "go").status()); }, seconds);
  tell("backbone, two pictures of 224 x 224", device, one * 1e3, "ms");
}

int run(double seconds) {
  use_one_torch_thread();
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("nudge-device-bench-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  int code = 0;
  try {
    const std::string file = backbone_file(folder);
    std::vector<TorchDevice> devices = {TorchDevice::kCpu};
    if (gpu_is_there()) devices.push_back(TorchDevice::kCuda);
    for (const TorchDevice device : devices) {
      train(device, 256, 128, seconds);
      train(device, 1024, 1024, seconds);
      for (const std::size_t hidden : {256, 1024}) products_of_a_sample(device, hidden, seconds);
      encode(device, file, seconds);
    }
    for (const std::size_t hidden : {256, 1024}) sample(hidden, seconds);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "device_bench: %s\n", error.what());
    code = 1;
  }
  std::filesystem::remove_all(folder);
  return code;
}

}  // namespace
}  // namespace nudge

int main(int argc, char** argv) {
  double seconds = 2;
  if (argc == 3 && std::strcmp(argv[1], "--seconds") == 0) {
    seconds = std::strtod(argv[2], nullptr);
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: device_bench [--seconds S]\n");
    return 64;
  }
  return nudge::run(seconds);
}
