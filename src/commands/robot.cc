#include <cstdio>

#include "nudge/robot_client.h"
#include "src/cli/exit_code.h"
#include "src/commands/command.h"
#include "src/commands/stop_signal.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/sim/live_kitchen.h"

namespace nudge {
namespace {

int run_robot(const Program& program, std::uint16_t port_flag) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  const Config& config = loaded->config;
  const std::atomic<bool>& stop = stop_on_signal();
  KitchenOptions kitchen = kitchen_options(config);
  Result<std::unique_ptr<LiveKitchen>> robot = LiveKitchen::create(kitchen, steady_now);
  if (!robot.ok()) return fail(robot.status());
  RobotClientOptions options;
  const auto port = port_flag != 0 ? port_flag : static_cast<std::uint16_t>(config.ports.robot);
  options.endpoint = "tcp://127.0.0.1:" + std::to_string(port);
  Result<std::unique_ptr<RobotClient>> client = RobotClient::connect(options, **robot);
  if (!client.ok()) return fail(client.status());
  (*robot)->start();
  const Status served = (*client)->run(stop);
  (*robot)->stop();
  const RobotClientStats stats = (*client)->stats();
  std::fprintf(
      stderr,
      "nudge robot: %llu actions applied, %llu refused as stale, held by itself %llu times\n",
      static_cast<unsigned long long>(stats.actions),
      static_cast<unsigned long long>(stats.stale_actions),
      static_cast<unsigned long long>(stats.own_holds));
  return served.ok() ? kExitOk : fail(served);
}

}  // namespace

void add_robot_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "robot", "The simulated kitchen as a robot in a process of its own, at the robot port");
  auto port = std::make_shared<std::uint16_t>(0);
  add_level_flag(*command, program);
  command->add_option("--port", *port, "Robot port of the daemon, instead of ports.robot");
  command->callback(
      [&program, port] { program.run = [&program, port] { return run_robot(program, *port); }; });
}

}  // namespace nudge
