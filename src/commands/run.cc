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
#include "src/ports/robot_port.h"
#include "src/sim/live_kitchen.h"

namespace nudge {
namespace {

// How often a person is told that nothing has connected yet.
constexpr Duration kRobotPatience = std::chrono::seconds(30);

// The robot that the daemon drives, and what keeps it alive.
struct Driven {
  std::unique_ptr<LiveKitchen> kitchen;
  std::unique_ptr<RobotPort> port;
  std::shared_ptr<RemoteRobot> remote;
  Robot* robot = nullptr;

  void start() const {
    if (kitchen) kitchen->start();
  }
  void stop() const {
    if (kitchen) kitchen->stop();
  }
};

Result<Driven> open_kitchen(const Config& config) {
  KitchenOptions options = kitchen_options(config);
  options.cameras = config.sim.cameras;
  Result<std::unique_ptr<LiveKitchen>> kitchen = LiveKitchen::create(options, steady_now);
  if (!kitchen.ok()) return kitchen.status();
  Driven driven;
  driven.kitchen = *std::move(kitchen);
  driven.robot = driven.kitchen.get();
  return driven;
}

// Nothing can be prepared before the robot has said what it is.
Result<Driven> wait_for_robot(EventLoop& loop, const Config& config, Logger& logger,
                              const std::atomic<bool>& stop) {
  RobotPortOptions options;
  options.port = static_cast<std::uint16_t>(config.ports.robot);
  Result<std::unique_ptr<RobotPort>> port = RobotPort::listen(loop, options);
  if (!port.ok()) return port.status();
  Driven driven;
  driven.port = *std::move(port);
  std::thread io([&loop] { loop.run(); });
  Instant told{};
  while (!stop && driven.remote == nullptr) {
    if (told == Instant{} || steady_now() - told > kRobotPatience) {
      told = steady_now();
      logger.log(LogLevel::kInfo, "robot",
                 "waiting for a robot on port " + std::to_string(driven.port->port()));
    }
    Result<std::shared_ptr<RemoteRobot>> robot =
        driven.port->wait_for_robot(std::chrono::milliseconds(200));
    if (robot.ok()) driven.remote = *std::move(robot);
  }
  loop.stop();
  io.join();
  if (driven.remote == nullptr) return aborted("stopped before a robot connected");
  driven.robot = driven.remote.get();
  logger.log(LogLevel::kInfo, "robot", driven.robot->spec().id + " is connected");
  return driven;
}

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

  EventLoop loop;
  const bool remote = config.robot.driver == RobotDriver::kRemote;
  Result<Driven> driven =
      remote ? wait_for_robot(loop, config, **logger, stop) : open_kitchen(config);
  if (driven.status().code() == Code::kAborted) return kExitOk;
  if (!driven.ok()) return fail(driven.status());
  DaemonOptions options;
  options.config = config;
  options.state_folder = *state;
  options.instruction = remote ? "" : kKitchenInstruction;
  options.continuous = !remote;
  options.robot_port = driven->port.get();
  if (learn) options.program = program.self_path;
  options.notice = [&](LogLevel level, std::string_view component, const std::string& message) {
    (*logger)->log(level, component, message);
  };
  Result<std::unique_ptr<Daemon>> daemon = Daemon::open(loop, *driven->robot, options);
  if (!daemon.ok()) return fail(daemon.status());
  driven->start();
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
  driven->stop();
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
