#include "src/commands/live_demo.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/cli/terminal.h"
#include "src/commands/episode_lines.h"
#include "src/commands/page_address.h"
#include "src/commands/stop_signal.h"
#include "src/daemon/daemon.h"
#include "src/learning/learner_process.h"
#include "src/loop/base_policy.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/sim/live_kitchen.h"

namespace nudge {
namespace {

// Control ticks: four of five seconds.
constexpr std::int64_t kDemoClamps = 200;
constexpr std::int64_t kDemoClampWindow = 250;

// The policy that the robot starts with, made in lockstep, unless there is one.
Status prepare_policy(const Program& program, const DeploymentOptions& options) {
  Result<std::unique_ptr<Deployment>> deployment = Deployment::open(options);
  if (!deployment.ok()) return deployment.status();
  if ((*deployment)->history().confirmed() != 0) return {};
  const Config& config = options.config;
  const auto demonstrations = static_cast<std::uint32_t>(config.demo.demonstrations);
  // The training is nearly all of it.
  ProgressBar bar(stderr, progress_style(stderr, program.quiet), "first policy",
                  static_cast<std::uint64_t>(config.learner.base_steps) + 1, steady_now());
  const Result<BasePolicyTimes> made = make_base_policy(
      **deployment, config, static_cast<std::uint64_t>(config.learner.seed), demonstrations,
      [&](BasePolicyStage stage, std::uint64_t done, std::uint64_t) {
        const bool training = stage == BasePolicyStage::kTraining;
        bar.update(training ? done : 0,
                   training ? "training on demonstrations" : "recording demonstrations",
                   steady_now());
      });
  if (!made.ok()) return made.status();
  bar.finish("done", steady_now());
  return {};
}

LearnerProcessOptions supervisor_process(const Program& program, const LiveDemoOptions& options,
                                         std::uint16_t port) {
  LearnerProcessOptions process;
  process.command = {
      program.self_path, "supervise",          "--state",  options.state_folder,
      "--port",          std::to_string(port), "--config", options.state_folder + "/config.toml"};
  process.name = "the scripted supervisor";
  process.nice = 0;
  process.log_file = options.state_folder + "/supervisor.log";
  return process;
}

}  // namespace

int run_live_demo(const Program& program, const LiveDemoOptions& options) {
  const std::atomic<bool>& stop = stop_on_signal();
  use_one_torch_thread();
  const std::string log_file = options.state_folder + "/nudge.log";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> log_stream(
      std::fopen(log_file.c_str(), "a"), &std::fclose);
  if (log_stream == nullptr) {
    return fail(unavailable("cannot write " + log_file + ": " + std::strerror(errno)));
  }
  Result<std::unique_ptr<Logger>> logger = Logger::start(options.config.logging, log_stream.get());
  if (!logger.ok()) return fail(logger.status());

  DeploymentOptions lockstep;
  lockstep.config = options.config;
  lockstep.config.sim.cameras = false;
  lockstep.state_folder = options.state_folder;
  lockstep.learn = false;
  if (const Status made = prepare_policy(program, lockstep); !made.ok()) return fail(made);

  KitchenOptions kitchen = kitchen_options(options.config);
  kitchen.cameras = true;
  Result<std::unique_ptr<LiveKitchen>> robot = LiveKitchen::create(kitchen, steady_now);
  if (robot.status().code() == Code::kUnavailable) {
    std::fprintf(stderr, "note: no pictures: %s\n", robot.status().message().c_str());
    kitchen.cameras = false;
    robot = LiveKitchen::create(kitchen, steady_now);
  }
  if (!robot.ok()) return fail(robot.status());
  // A policy that has learned little runs into its limits, which ends in HOLD on a real robot. Here
  // it hurts nobody, and the supervisor, who comes after a second, is to be the one who helps.
  Config config = options.config;
  config.limits.clamps_to_hold = kDemoClamps;
  config.limits.clamp_window_ticks = kDemoClampWindow;
  EpisodeLines lines(stdout);
  DaemonOptions daemon_options;
  daemon_options.config = config;
  daemon_options.state_folder = options.state_folder;
  daemon_options.instruction = (*robot)->instruction_at_start();
  daemon_options.program = program.self_path;
  daemon_options.listener = &lines;
  daemon_options.notice = [&](LogLevel level, std::string_view component,
                              const std::string& message) {
    (*logger)->log(level, component, message);
    if (level == LogLevel::kWarn || level == LogLevel::kError) {
      std::fprintf(stderr, "note: %s: %s\n", std::string(component).c_str(), message.c_str());
    }
  };
  EventLoop loop;
  Result<std::unique_ptr<Daemon>> daemon = Daemon::open(loop, **robot, daemon_options);
  if (!daemon.ok()) return fail(daemon.status());
  lines.watch((*daemon)->desk());
  (*robot)->start();
  if (const Status started = (*daemon)->start(); !started.ok()) return fail(started);
  std::printf("\n  Open  %s\n\n  The robot holds until you press Start there. Ctrl-C ends.\n\n",
              page_address(**daemon).c_str());
  std::fflush(stdout);

  LearnerProcess supervisor(supervisor_process(program, options, (*daemon)->teleop_port()));
  while (!stop) {
    if (const Status kept = supervisor.keep_alive(steady_now()); !kept.ok()) {
      std::fprintf(stderr, "note: %s\n", kept.message().c_str());
    }
    (*daemon)->tend();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::printf("stopping\n");
  supervisor.stop();
  (*daemon)->stop();
  (*robot)->stop();
  return kExitOk;
}

}  // namespace nudge
