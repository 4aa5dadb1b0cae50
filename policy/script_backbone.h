// A backbone that an operator has exported from PyTorch as TorchScript. The file is code: only what
// the operator's own configuration names is ever loaded. docs/reference/backbone-format.md says
// what it must be; scripts/export_backbone.py makes one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "nudge/robot.h"
#include "nudge/status.h"
#include "policy/backbone.h"
#include "policy/device.h"
#include "policy/picture.h"

namespace nudge {

inline constexpr std::size_t kMaxScriptBackbone = 1u << 30;  // bytes of a file

// What a file says about itself.
struct ScriptBackboneInfo {
  std::size_t features = 0;         // 1..kMaxFeatures
  std::size_t proprioception = 0;   // values that it takes
  std::vector<CameraSpec> cameras;  // in the order in which it takes their pictures
  // Between the features that PyTorch made of the file's probe when it was exported and those that
  // are made here: the largest difference, relative to the largest of them.
  double probe_difference = 0;
  TorchDevice device = TorchDevice::kCpu;  // where it computes
};

// Reads the file and runs it on its probe. kNotFound: no such file. kInvalidArgument: it is no
// TorchScript, takes or gives something else than a backbone does, or makes other features of the
// probe here than where it was exported. kUnimplemented: it needs a newer LibTorch than this one.
// On a GPU it must make the features of its probe as well: one that cannot, because it makes
// tensors on the CPU for example, computes on the CPU with DeviceUse::kAuto, and is
// kFailedPrecondition with kCuda; that one also has the error of choose_device().
Result<ScriptBackboneInfo> inspect_script_backbone(const std::string& file,
                                                   DeviceUse use = DeviceUse::kCpu);

// The errors of inspect_script_backbone(). kInvalidArgument too: the robot has other cameras or
// another number of proprioception channels. Features of a frame are made from its JPEG where it
// has one, as it is stored. encode(): kUnavailable without a picture of each camera.
Result<std::unique_ptr<Backbone>> make_script_backbone(const std::string& file,
                                                       const ObservationSpec& spec,
                                                       DecodeJpeg decode,
                                                       DeviceUse use = DeviceUse::kCpu);

}  // namespace nudge
