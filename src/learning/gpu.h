// Training on a GPU: whether it may be, what the learner's sandbox leaves open for it, and whether
// it works there.
//
// The order in the learner's process. A context made before the sandbox would not do: the driver's
// threads would stand outside of Landlock, and it opens its devices again whenever it needs memory.
//
//   open_gpu_files(options);      // where training may be on a GPU
//   enter_sandbox(options);
//   settle_device(asked, ...);    // the driver starts here, inside; a few steps are tried
//   ...
//   forbid_system_calls(report);
//   settle_device(asked, ...);    // and tried again: the driver may miss a call now
#pragma once

#include <string>

#include "nudge/status.h"
#include "src/config/config.h"
#include "src/learning/sandbox.h"

namespace nudge {

// What a configuration asks for is there: kFailedPrecondition where learner.device or policy.device
// is cuda without a GPU. Speaks to the driver only then. For programs that are about to start.
Status check_devices(const Config& config);

// Adds what NVIDIA's driver needs, as far as it is there: its devices, what it says of itself in
// /proc and /sys, and the names of the process's own threads, which it sets. Nothing when there is
// no such driver. `root` stands in front of every path but those of the process; tests have their
// own.
void open_gpu_files(SandboxOptions& options, const std::string& root = "");

// Sets learner.device of `config` to what training takes from now on, cpu or cuda, after a few
// steps on a GPU. Where `asked` is auto, the CPU stands in for a GPU that is not there or does not
// work, and `note` says why in a build with CUDA; where it is cuda, that is kFailedPrecondition. A
// GPU without Landlock does not count: its files cannot be opened without opening all others.
Status settle_device(DeviceUse asked, const SandboxReport& sandbox, Config& config,
                     std::string* note);

}  // namespace nudge
