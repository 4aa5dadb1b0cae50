#include <atomic>
#include <csignal>
#include <cstdio>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/commands/command.h"
#include "src/learning/gpu.h"
#include "src/learning/learner.h"
#include "src/learning/sandbox.h"

namespace nudge {
namespace {

// Set by the signal handler, read by the learner's loop: an atomic flag is all a handler may touch.
std::atomic<bool> stop_asked{false};

int run_learner(const Program& program, const std::string& endpoint, const std::string& state) {
  // The daemon's file says everything already, its environment and flags included.
  Result<LoadedConfig> loaded =
      load_config(ConfigInputs{.file = program.config_file, .environment = {}, .sets = {}});
  if (!loaded.ok()) return fail_config(loaded.status());
  use_one_torch_thread();
  // Before any thread is made, and before anything that people or robots have made is read.
  SandboxOptions options;
  if (!state.empty()) options.readable = {state + "/weights", state + "/log/segments"};
  Config& config = loaded->config;
  options.memory_bytes = static_cast<std::uint64_t>(config.learner.memory_mib) << 20;
  const DeviceUse asked = config.learner.device;
  if (asked != DeviceUse::kCpu && torch_has_cuda()) open_gpu_files(options);
  Result<SandboxReport> sandbox = enter_sandbox(options);
  if (!sandbox.ok()) return fail(sandbox.status());
  const auto settle = [&](Config& settled) -> Status {
    std::string note;
    NUDGE_TRY(settle_device(asked, *sandbox, settled, &note));
    if (!note.empty()) std::fprintf(stderr, "on the CPU: %s\n", note.c_str());
    return {};
  };
  if (const Status settled = settle(config); !settled.ok()) return fail(settled);
  std::signal(SIGTERM, [](int) { stop_asked = true; });
  std::signal(SIGINT, [](int) { stop_asked = true; });
  Result<std::unique_ptr<DaemonLink>> link = DaemonLink::connect(endpoint);
  if (!link.ok()) return fail(link.status());
  // It is connected: nothing is left to open, and nothing has been read yet.
  sandbox->seccomp = forbid_system_calls(*sandbox);
  std::fprintf(stderr, "sandbox: %s\n", sandbox->text().c_str());
  // The driver may miss a system call that it has used until now.
  if (config.learner.device == DeviceUse::kCuda) {
    if (const Status settled = settle(config); !settled.ok()) return fail(settled);
  }
  Learner learner(config, **link, *sandbox);
  const Status status = learner.run([] { return stop_asked.load(); });
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace

void add_learn_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "learn", "The learner process; started by the daemon, not by hand");
  auto endpoint = std::make_shared<std::string>();
  auto state = std::make_shared<std::string>();
  command->add_option("--endpoint", *endpoint, "Unix socket of the daemon (ipc://FILE)")
      ->required();
  command->add_option("--state", *state,
                      "The daemon's state folder; without it nothing can be read");
  command->callback([&program, endpoint, state] {
    program.run = [&program, endpoint, state] { return run_learner(program, *endpoint, *state); };
  });
}

}  // namespace nudge
