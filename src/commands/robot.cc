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

struct RobotFlags {
  PeerFlags peer;
  double wait_s = 5;
};

int run_robot(const Program& program, const RobotFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  const Config& config = loaded->config;
  const std::atomic<bool>& stop = stop_on_signal();
  Result<std::unique_ptr<LiveKitchen>> robot =
      LiveKitchen::create(kitchen_options(config), steady_now);
  if (!robot.ok()) return fail(robot.status());
  RobotClientOptions options;
  options.endpoint = flags.peer.endpoint_of(config.ports.robot);
  options.server_key = flags.peer.server_key;
  options.key_file = flags.peer.key_file;
  options.patience =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(flags.wait_s));
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
  auto flags = std::make_shared<RobotFlags>();
  add_level_flag(*command, program);
  add_peer_flags(*command, flags->peer, "ports.robot");
  command
      ->add_option("--wait", flags->wait_s,
                   "How long to look for the daemon, in s; one that goes away later is waited for "
                   "without end")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 86400.0));
  command->callback([&program, flags] {
    program.run = [&program, flags] { return run_robot(program, *flags); };
  });
}

}  // namespace nudge
