#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <thread>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/commands/command.h"
#include "src/commands/openpi.h"
#include "src/commands/page_address.h"
#include "src/commands/pairing_text.h"
#include "src/commands/service.h"
#include "src/commands/stop_signal.h"
#include "src/daemon/curve_door.h"
#include "src/daemon/daemon.h"
#include "src/learning/gpu.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/loop/state_folder.h"
#include "src/ports/addresses.h"
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
  OpenpiDriven openpi;
  Robot* robot = nullptr;

  void start() const {
    if (kitchen) kitchen->start();
  }
  void stop() const {
    if (kitchen) kitchen->stop();
  }
};

Result<Driven> open_kitchen(const Config& config) {
  Result<std::unique_ptr<LiveKitchen>> kitchen =
      LiveKitchen::create(kitchen_options(config), steady_now);
  if (!kitchen.ok()) return kitchen.status();
  Driven driven;
  driven.kitchen = *std::move(kitchen);
  driven.robot = driven.kitchen.get();
  return driven;
}

// Null: the ports of ZeroMQ are for this machine alone, as configured.
Result<std::unique_ptr<CurveDoor>> open_door(const Config& config, const std::string& state,
                                             EventLoop& loop, Logger& logger) {
  const bool beyond = !is_loopback_address(config.ports.zmq_address);
  if (!beyond && !config.ports.zmq_curve) return std::unique_ptr<CurveDoor>();
  NUDGE_TRY(make_state_folder(state));
  NUDGE_TRY(make_state_folder(state + "/run"));
  Result<std::unique_ptr<CurveDoor>> door = CurveDoor::open(
      state + "/run", loop,
      [&logger](const std::string& message) { logger.log(LogLevel::kError, "keys", message); });
  if (door.ok()) {
    logger.log(LogLevel::kInfo, "keys",
               "robot and teleop ports speak CURVE; the key of this daemon is " +
                   to_z85((*door)->identity()->public_key()));
  }
  return door;
}

// What robot.spec says the robot must be; none: that is for the robot to say.
Result<std::optional<RobotSpec>> configured_spec(const Config& config) {
  if (config.robot.spec == "hello") return std::optional<RobotSpec>();
  const std::string where = "robot.spec: " + config.robot.spec;
  std::ifstream in(config.robot.spec, std::ios::binary);
  std::string text(kMaxSpecText + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad()) {
    return not_found(where + " cannot be read; 'nudge log robot' prints what such a file holds");
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  Result<RobotSpec> spec = parse_spec(text);
  if (!spec.ok()) return spec.status().with_context(where);
  return std::optional<RobotSpec>(*std::move(spec));
}

// Nothing can be prepared before the robot has said what it is.
Result<Driven> wait_for_robot(EventLoop& loop, const Config& config, CurveDoor* door,
                              Logger& logger, const std::atomic<bool>& stop) {
  RobotPortOptions options;
  options.port = static_cast<std::uint16_t>(config.ports.robot);
  options.address = config.ports.zmq_address;
  if (door != nullptr) {
    options.curve = door->identity();
    options.admits = door->admits(Keyring::Use::kRobot);
  }
  Result<std::optional<RobotSpec>> spec = configured_spec(config);
  if (!spec.ok()) return spec.status();
  options.expected = *std::move(spec);
  options.refused = [&logger](const std::string& why) {
    logger.log(LogLevel::kWarn, "robot", "refused one: " + why);
  };
  Result<std::unique_ptr<RobotPort>> port = RobotPort::listen(loop, options);
  if (!port.ok()) return port.status();
  Driven driven;
  driven.port = *std::move(port);
  if (door != nullptr) door->on_change([port = driven.port.get()] { port->recheck_keys(); });
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

Result<Driven> open_openpi(const Config& config) {
  Result<OpenpiDriven> openpi = openpi_robot(config);
  if (!openpi.ok()) return openpi.status();
  Driven driven;
  driven.openpi = *std::move(openpi);
  driven.robot = driven.openpi.robot.get();
  return driven;
}

struct RunFlags {
  std::string state, listen, certificate, key;
  bool tls = false;
  bool no_learning = false;
};

// "ADDRESS", "ADDRESS:PORT", "[::]:PORT" or an address of IPv6 alone.
Status set_listen(const std::string& text, Config& config) {
  std::string address = text;
  std::string port;
  const std::size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  const std::size_t bracket = text.find(']');
  if (bracketed && bracket != std::string::npos) {
    address = text.substr(1, bracket - 1);
    if (bracket + 1 < text.size() && text[bracket + 1] == ':') port = text.substr(bracket + 2);
  } else if (colon != std::string::npos && text.find(':') == colon) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  const bool has_port = address.size() < text.size() && text.back() != ']';
  std::int64_t number = config.ports.http;
  if (has_port) {
    const auto read = std::from_chars(port.data(), port.data() + port.size(), number);
    if (read.ec != std::errc() || read.ptr != port.data() + port.size() || number < 0 ||
        number > 65535) {
      return invalid_argument("--listen: '" + port + "' is no port; write 0.0.0.0:8080");
    }
  }
  config.ports.address = address;
  config.ports.http = number;
  return {};
}

Status apply(const RunFlags& flags, Config& config) {
  if (!flags.listen.empty()) NUDGE_TRY(set_listen(flags.listen, config));
  if (flags.tls) config.ports.tls = TlsUse::kOn;
  if (!flags.certificate.empty()) config.ports.certificate = flags.certificate;
  if (!flags.key.empty()) config.ports.key = flags.key;
  return check_config(config);
}

// What the person at the terminal needs to open the page here, and to let a tablet in.
void greet(const Daemon& daemon) {
  const std::optional<PairingOffer>& offer = daemon.first_offer();
  std::printf("%s\n", page_address(daemon).c_str());
  if (output_is_kept()) {
    std::printf(
        "this output is kept, so that no token or code is shown in it; 'nudge auth pair --role "
        "engineer' shows a code that opens the page here, 'nudge auth pair' one for a tablet\n");
  } else if (offer) {
    std::printf("%s", pairing_text(*offer, ::isatty(STDOUT_FILENO) == 1).c_str());
  }
  std::fflush(stdout);
}

int run_daemon(const Program& program, const RunFlags& flags) {
  Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  if (const Status applied = apply(flags, loaded->config); !applied.ok()) {
    return fail_config(applied);
  }
  const Result<std::string> state = state_folder(program, flags.state);
  if (!state.ok()) return fail(state.status());
  Config& config = loaded->config;
  if (const Status there = check_devices(config); !there.ok()) return fail_config(there);
  const std::atomic<bool>& stop = stop_on_signal();
  use_one_torch_thread();
  Result<std::unique_ptr<Logger>> logger = Logger::start(config.logging, stderr);
  if (!logger.ok()) return fail(logger.status());

  EventLoop loop;
  Result<std::unique_ptr<CurveDoor>> door = open_door(config, *state, loop, **logger);
  if (!door.ok()) return fail(door.status());
  const bool remote = config.robot.driver == RobotDriver::kRemote;
  const bool asks = config.robot.driver == RobotDriver::kOpenpi;
  Result<Driven> driven = remote ? wait_for_robot(loop, config, door->get(), **logger, stop)
                          : asks ? open_openpi(config)
                                 : open_kitchen(config);
  if (driven.status().code() == Code::kAborted) return kExitOk;
  if (!driven.ok()) return fail(driven.status());
  if (asks) config = with_openpi_chunks(config, *driven->openpi.map);
  DaemonOptions options;
  options.config = config;
  options.state_folder = *state;
  options.instruction = remote || asks ? "" : driven->kitchen->instruction_at_start();
  options.asking = driven->openpi.robot.get();
  options.continuous = !remote;
  options.robot_port = driven->port.get();
  options.door = door->get();
  if (!flags.no_learning) options.program = program.self_path;
  options.notice = [&](LogLevel level, std::string_view component, const std::string& message) {
    (*logger)->log(level, component, message);
  };
  Result<std::unique_ptr<Daemon>> daemon = Daemon::open(loop, *driven->robot, options);
  if (!daemon.ok()) return fail(daemon.status());
  std::unique_ptr<OpenpiService> openpi;
  if (asks) {
    Result<std::unique_ptr<OpenpiService>> service = OpenpiService::open(
        loop, config, driven->openpi, *state + "/run", (*daemon)->editor(),
        [&](const std::string& message, bool trouble) {
          (*logger)->log(trouble ? LogLevel::kWarn : LogLevel::kInfo, "openpi", message);
        });
    if (!service.ok()) return fail(service.status());
    openpi = *std::move(service);
    (*logger)->log(LogLevel::kInfo, "openpi",
                   "waiting for a robot's program on port " + std::to_string(openpi->port()));
  }
  driven->start();
  if (const Status started = (*daemon)->start(); !started.ok()) return fail(started);
  greet(**daemon);
  ServiceManager manager;
  manager.ready("serving on port " + std::to_string((*daemon)->http_port()));
  while (!stop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (!(*daemon)->stalled()) manager.alive();
    (*daemon)->tend();
    if (openpi) openpi->tend();
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
  auto flags = std::make_shared<RunFlags>();
  command->add_option("--state", flags->state,
                      "State folder; by default state.dir of the configuration");
  add_level_flag(*command, program);
  command->add_flag("--no-learning", flags->no_learning, "Start no learner: the weights stay");
  command->add_option("--listen", flags->listen,
                      "ADDRESS[:PORT] of the page, as in 0.0.0.0:8080; TLS beyond this machine");
  command->add_flag("--tls", flags->tls, "TLS on this machine too");
  command->add_option("--cert", flags->certificate, "Your own certificate (PEM), with --key");
  command->add_option("--key", flags->key, "Its key (PEM), readable by you alone");
  command->callback([&program, flags] {
    program.run = [&program, flags] { return run_daemon(program, *flags); };
  });
}

}  // namespace nudge
