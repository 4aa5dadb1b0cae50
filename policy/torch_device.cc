#include <torch/torch.h>
#include <torch/version.h>

#include <string>

#include "policy/device.h"

namespace nudge {
namespace {

// Empty: a GPU adds one and one. Else what LibTorch says, as of one that it has no code for.
std::string trouble_with_gpu() {
  try {
    const at::Tensor one = at::ones({1}, at::TensorOptions(at::kFloat).device(at::kCUDA));
    if (at::mm(one.view({1, 1}), one.view({1, 1})).add(one).item<float>() == 2.0F) return "";
    return "it computes wrong";
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return text.substr(0, text.find('\n'));
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::string way_out(const std::string& key) {
  return "; or set " + key + " to \"auto\" or \"cpu\"";
}

}  // namespace

bool torch_has_cuda() { return at::Context::hasCUDART(); }

bool gpu_is_there() {
  try {
    return torch_has_cuda() && torch::cuda::is_available();
  } catch (const std::exception&) {
    return false;  // a driver that is too old for it, for example
  }
}

Status check_device(DeviceUse use, const std::string& key) {
  if (use != DeviceUse::kCuda || gpu_is_there()) return {};
  return failed_precondition(
      key + " = \"cuda\", and there is no GPU here that LibTorch " + TORCH_VERSION + " can use: " +
      (torch_has_cuda() ? "it has CUDA, but finds no device; 'nvidia-smi' says whether driver and "
                          "GPU are there, "
                          "and this user must be able to open /dev/nvidia*"
                        : "it was built without CUDA; build Nudge with one that has it, as "
                          "docs/how-to/use-a-gpu.md says") +
      way_out(key));
}

Result<TorchDevice> choose_device(DeviceUse use, const std::string& key) {
  NUDGE_TRY(check_device(use, key));
  if (use == DeviceUse::kCpu || !gpu_is_there()) return TorchDevice::kCpu;
  static const std::string trouble = trouble_with_gpu();
  if (!trouble.empty()) {
    if (use == DeviceUse::kAuto) return TorchDevice::kCpu;
    return failed_precondition(key + " = \"cuda\", and the GPU does not compute with LibTorch " +
                               TORCH_VERSION + ": " + trouble + way_out(key));
  }
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  return TorchDevice::kCuda;
}

std::string device_text(TorchDevice device) {
  return device == TorchDevice::kCuda ? "a GPU" : "the CPU";
}

}  // namespace nudge
