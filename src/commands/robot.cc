#include <cstdio>

#include "nudge/robot_client.h"
#include "src/cli/exit_code.h"
#include "src/commands/command.h"
#include "src/commands/peer_flags.h"
#include "src/commands/stop_signal.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/sim/live_kitchen.h"

namespace nudge {
namespace {

int run_robot(const Program& program, const PeerFlags& peer) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  const Config& config = loaded->config;
  const std::atomic<bool>& stop = stop_on_signal();
  Result<std::unique_ptr<LiveKitchen>> robot =
      LiveKitchen::create(kitchen_options(config), steady_now);
  if (!robot.ok()) return fail(robot.status());
  RobotClientOptions options;
  options.endpoint = peer.endpoint_of(config.ports.robot);
  options.server_key = peer.server_key;
  options.key_file = peer.key_file;
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
  multiplies_nothing(*command, program);
  auto peer = std::make_shared<PeerFlags>();
  add_level_flag(*command, program);
  add_peer_flags(*command, *peer, "ports.robot");
  command->callback(
      [&program, peer] { program.run = [&program, peer] { return run_robot(program, *peer); }; });
}

}  // namespace nudge
