#include "src/cli/doctor.h"

#include <cstdio>

#include "src/cli/exit_code.h"
#include "src/commands/command.h"
#include "src/datasets/video.h"
#include "src/learning/gpu.h"
#include "src/learning/sandbox.h"
#include "src/loop/perception.h"

namespace nudge {
namespace {

CheckResult check_sandbox(const Config& config) {
  const SandboxReport report = sandbox_of_this_kernel();
  std::string found = "the learner runs without privileges, with " + report.text();
  if (report.whole()) return {CheckState::kOk, found, ""};
  if (config.learner.require_sandbox) {
    return {CheckState::kFail, found + ": it is sent away, and nothing is learned",
            "a kernel with Landlock (Linux 5.13 and up, in the list of lsm=) and seccomp, or "
            "learner.require_sandbox = false: code that breaks into the learner could then read "
            "this user's files, keys too"};
  }
  return {CheckState::kWarn, found,
          report.landlock == 0
              ? "without Landlock (Linux 5.13 and up, in the list of lsm=) code that breaks into "
                "the learner can read this user's files, keys too; run the daemon as a user of its "
                "own"
              : "without seccomp code that breaks into the learner can open connections; a "
                "firewall or a network namespace of the service keeps it in"};
}

CheckResult check_device(const Config& config) {
  if (const Status there = check_devices(config); !there.ok()) {
    return {CheckState::kFail, there.message(), ""};
  }
  const Result<TorchDevice> device = choose_device(config.learner.device, "learner.device");
  if (!device.ok()) return {CheckState::kFail, device.status().message(), ""};
  std::string found = "heads are trained on " + device_text(*device);
  if (*device == TorchDevice::kCuda) {
    if (sandbox_of_this_kernel().landlock > 0) return {CheckState::kOk, found, ""};
    return {CheckState::kWarn, found + " by 'nudge train', and on the CPU by the learner",
            "on a GPU the learner needs Landlock (Linux 5.13 and up, in the list of lsm=)"};
  }
  if (!torch_has_cuda()) found += "; this LibTorch has no CUDA";
  return {CheckState::kOk, found, ""};
}

CheckResult check_backbone(const Config& config) {
  const Result<std::string> summary = backbone_summary(config);
  if (!summary.ok()) return {CheckState::kFail, summary.status().message(), ""};
  return {CheckState::kOk, *summary, ""};
}

}  // namespace

void add_doctor_command(Program& program) {
  CLI::App* command =
      program.app.add_subcommand("doctor", "What this machine lacks, and what to do about it");
  command->callback([&program] {
    program.run = [&program] {
      const Result<LoadedConfig> loaded = load_config(program);
      const Config config = loaded.ok() ? loaded->config : Config{};
      std::vector<Check> checks = standard_checks(config);
      checks.push_back({"config", [&loaded] {
                          if (loaded.ok()) return CheckResult{CheckState::kOk, "valid", ""};
                          return CheckResult{CheckState::kFail, loaded.status().message(),
                                             "run 'nudge config check' after mending it"};
                        }});
      checks.push_back({"sandbox", [&config] { return check_sandbox(config); }});
      checks.push_back({"device", [&config] { return check_device(config); }});
      checks.push_back(
          {"data sets", [] {
             const Result<std::string> ffmpeg = find_ffmpeg();
             if (ffmpeg.ok()) {
               return CheckResult{CheckState::kOk, "Parquet, and video by " + *ffmpeg, ""};
             }
             return CheckResult{CheckState::kWarn, "Parquet, but no video: ffmpeg is not installed",
                                "apt-get install ffmpeg, if data sets shall have MP4 "
                                "instead of pictures"};
           }});
      if (looks_at_cameras(config)) {
        checks.push_back({"backbone", [&config] { return check_backbone(config); }});
      }
      const std::vector<NamedResult> results = run_checks(checks);
      const std::string text = program.json ? doctor_json(results) + "\n" : doctor_text(results);
      std::fputs(text.c_str(), stdout);
      return any_failed(results) ? static_cast<int>(kExitFailed) : static_cast<int>(kExitOk);
    };
  });
}

}  // namespace nudge
