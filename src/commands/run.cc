#include <cstdio>
#include <thread>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/commands/command.h"
#include "src/commands/page_address.h"
#include "src/commands/service.h"
#include "src/commands/stop_signal.h"
#include "src/daemon/daemon.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/sim/live_kitchen.h"

namespace nudge {
namespace {

int run_daemon(const Program& program, const std::string& state_flag, bool learn) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  const Result<std::string> state = state_folder(program, state_flag);
  if (!state.ok()) return fail(state.status());
  const Config& config = loaded->config;
  const std::atomic<bool>& stop = stop_on_signal();
  use_one_torch_thread();
  Result<std::unique_ptr<Logger>> logger = Logger::start(config.logging, stderr);
  if (!logger.ok()) return fail(logger.status());

  KitchenOptions kitchen = kitchen_options(config);
  kitchen.cameras = config.sim.cameras;
  Result<std::unique_ptr<LiveKitchen>> robot = LiveKitchen::create(kitchen, steady_now);
  if (!robot.ok()) return fail(robot.status());
  DaemonOptions options;
  options.config = config;
  options.state_folder = *state;
  options.instruction = kKitchenInstruction;
  if (learn) options.program = program.self_path;
  options.notice = [&](LogLevel level, std::string_view component, const std::string& message) {
    (*logger)->log(level, component, message);
  };
  EventLoop loop;
  Result<std::unique_ptr<Daemon>> daemon = Daemon::open(loop, **robot, options);
  if (!daemon.ok()) return fail(daemon.status());
  (*robot)->start();
  if (const Status started = (*daemon)->start(); !started.ok()) return fail(started);
  std::printf("%s\n", page_address(**daemon).c_str());
  std::fflush(stdout);
  ServiceManager manager;
  manager.ready("serving on port " + std::to_string((*daemon)->http_port()));
  while (!stop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (!(*daemon)->stalled()) manager.alive();
  }
  manager.stopping();
  (*daemon)->stop();
  (*robot)->stop();
  return kExitOk;
}

}  // namespace

void add_run_command(Program& program) {
  CLI::App* command =
      program.app.add_subcommand("run", "The daemon beside the robot: control, ports, learning");
  auto state = std::make_shared<std::string>();
  auto no_learning = std::make_shared<bool>(false);
  command->add_option("--state", *state, "State folder; by default state.dir of the configuration");
  command->add_flag("--no-learning", *no_learning, "Start no learner: the weights stay");
  command->callback([&program, state, no_learning] {
    program.run = [&program, state, no_learning] {
      return run_daemon(program, *state, !*no_learning);
    };
  });
}

}  // namespace nudge
