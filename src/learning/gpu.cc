#include "src/learning/gpu.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "nudge/random.h"
#include "policy/trainer.h"
#include "src/learning/settings.h"

namespace nudge {
namespace {

constexpr int kTrialSteps = 3;

// "nvidia0", "nvidiactl", "nvidia-uvm": what computing needs. Not the display's, not profiling's.
bool is_compute_device(std::string_view name) {
  if (name == "nvidiactl" || name == "nvidia-uvm" || name == "nvidia-uvm-tools") return true;
  constexpr std::string_view kFront = "nvidia";
  return name.size() > kFront.size() && name.starts_with(kFront) &&
         std::all_of(name.begin() + kFront.size(), name.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

// A few steps of a head as large as the one to come, on rows that mean nothing.
Status try_steps(const Config& config) {
  PolicyShape shape;
  shape.feature_size = 64;
  shape.proprioception_size = 8;
  shape.action_size = 4;
  const HeadSpec head = head_spec(config, shape);
  Batch batch;
  batch.size = static_cast<std::size_t>(config.learner.batch);
  batch.feature_size = head.feature_size;
  batch.proprioception_size = head.proprioception_size;
  batch.action_size = head.action_size;
  batch.horizon = head.horizon;
  Random random(1);
  const auto fill = [&](std::vector<float>& column, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) column.push_back(static_cast<float>(random.normal()));
  };
  fill(batch.features, batch.size * head.feature_size);
  fill(batch.proprioception, batch.size * head.proprioception_size);
  fill(batch.actions, batch.size * head.horizon * head.action_size);
  batch.mask.assign(batch.size * head.horizon, 1);
  batch.weight.assign(batch.size, 1);
  batch.advantage.assign(batch.size, Advantage::kPositive);
  Result<std::vector<std::byte>> bytes = initial_weights(head, batch, 1, {});
  if (!bytes.ok()) return bytes.status();
  Result<std::shared_ptr<const Weights>> weights = Weights::parse(*std::move(bytes));
  if (!weights.ok()) return weights.status();
  Result<std::unique_ptr<Trainer>> trainer =
      Trainer::create(*weights, nullptr, trainer_options(config, WeightsKind::kFull));
  if (!trainer.ok()) return trainer.status();
  for (int i = 0; i < kTrialSteps; ++i) NUDGE_TRY((*trainer)->step(batch));
  return (*trainer)->weights({}).status();
}

// The first line: what LibTorch throws goes on with its own stack.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

Status check_devices(const Config& config) {
  NUDGE_TRY(check_device(config.learner.device, "learner.device"));
  return check_device(config.policy.device, "policy.device");
}

void open_gpu_files(SandboxOptions& options, const std::string& root) {
  std::error_code error;
  std::vector<std::string> devices;
  for (const auto& entry : std::filesystem::directory_iterator(root + "/dev", error)) {
    if (is_compute_device(entry.path().filename().string())) {
      devices.push_back(entry.path().string());
    }
  }
  if (devices.empty()) return;
  std::sort(devices.begin(), devices.end());
  options.writable.insert(options.writable.end(), devices.begin(), devices.end());
  // Its newer versions take it for an error when they cannot name the threads that they make.
  options.writable.emplace_back("/proc/self/task");
  options.readable.emplace_back("/proc/self");
  std::vector<std::string> told = {"/proc/driver/nvidia",
                                   "/proc/driver/nvidia-uvm",
                                   "/proc/devices",
                                   "/proc/modules",
                                   "/proc/sys/vm/mmap_min_addr",
                                   "/sys/module/nvidia",
                                   "/sys/module/nvidia_uvm",
                                   "/dev/nvidia-caps"};
  for (std::string& path : told) {
    path = root + path;
    if (std::filesystem::exists(path, error)) options.readable.push_back(std::move(path));
  }
  // The GPUs' own folders, and no other device's: "/sys/bus/pci/drivers/nvidia/0000:01:00.0" leads
  // there.
  for (const auto& entry :
       std::filesystem::directory_iterator(root + "/sys/bus/pci/drivers/nvidia", error)) {
    if (entry.path().filename().string().find(':') == std::string::npos) continue;
    const std::filesystem::path folder = std::filesystem::canonical(entry.path(), error);
    if (!error) options.readable.push_back(folder.string());
  }
}

Status settle_device(DeviceUse asked, const SandboxReport& sandbox, Config& config,
                     std::string* note) {
  config.learner.device = DeviceUse::kCpu;
  if (asked == DeviceUse::kCpu || !torch_has_cuda()) {
    return choose_device(asked, "learner.device").status();
  }
  Status works = check_device(DeviceUse::kCuda, "learner.device");
  const bool there = works.ok();
  if (there && sandbox.landlock == 0) {
    works = failed_precondition(
        "training on a GPU needs Landlock (Linux 5.13 and up, in the list of lsm=): without it the "
        "driver's leave to write would be one for all files of this user; learner.device = \"cpu\" "
        "does without a GPU");
  }
  if (works.ok()) {
    config.learner.device = DeviceUse::kCuda;
    works = try_steps(config);
    if (works.ok()) return {};
    config.learner.device = DeviceUse::kCpu;
    works = failed_precondition("a few steps on the GPU failed in the learner's sandbox (" +
                                sandbox.text() + "): " + first_line(works.message()) +
                                "; learner.memory_mib bounds its memory, and learner.device = "
                                "\"cpu\" does without a GPU");
  }
  if (asked == DeviceUse::kCuda) return works;
  if (there) *note = works.message();
  if (!there && sandbox.devices) {
    *note = "LibTorch finds no GPU, although its driver's devices are there";
  }
  return {};
}

}  // namespace nudge
