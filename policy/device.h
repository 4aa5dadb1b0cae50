// Where LibTorch computes: on the CPU, or on a GPU where this machine has one that it can use.
//
// Nothing else of Nudge knows what a GPU is: weights, features and batches are vectors of floats in
// the CPU's memory, whatever made them. Computing on a GPU is in float32 throughout (no TF32), and
// its results equal the CPU's but for the order in which numbers are added up:
// docs/how-to/use-a-gpu.md states how far. Functions may be called from any thread.
#pragma once

#include <string>

#include "nudge/status.h"

namespace nudge {

enum class DeviceUse { kAuto, kCpu, kCuda };  // what a configuration asks for
enum class TorchDevice { kCpu, kCuda };

// LibTorch was built with CUDA. Speaks to no driver.
bool torch_has_cuda();

// ... and the driver knows a GPU. The driver then opens its devices and may make threads: in the
// learner's process only once it is in its sandbox. Takes no memory of the GPU's.
bool gpu_is_there();

// kFailedPrecondition: kCuda, and there is no GPU; the message says why and what to do, and names
// the configuration's `key`. For programs that are about to start.
Status check_device(DeviceUse use, const std::string& key);

// kAuto takes the GPU where there is one that computes at all. The error of check_device(); and
// kFailedPrecondition where kCuda finds one that does not. Whoever is given the GPU computes on it
// in float32 and deterministically from then on, in all of this process.
Result<TorchDevice> choose_device(DeviceUse use, const std::string& key);

// "the CPU", "a GPU".
std::string device_text(TorchDevice device);

}  // namespace nudge
