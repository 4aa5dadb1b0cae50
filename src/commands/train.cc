#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/openpi.h"
#include "src/commands/stop_signal.h"
#include "src/learning/gpu.h"
#include "src/loop/base_policy.h"
#include "src/loop/clock.h"
#include "src/loop/deployment.h"
#include "src/loop/first_training.h"
#include "src/loop/nightly.h"

namespace nudge {
namespace {

struct TrainFlags {
  std::string state;  // empty: state.dir of the configuration
  std::uint32_t record = 0;
  std::optional<std::int64_t> seed;  // none: learner.seed of the configuration
  std::string from = "demonstrations";
  bool nightly = false;
};

using OnStep = std::function<void(std::size_t)>;
using Notice = std::function<void(LogLevel, std::string_view, const std::string&)>;

struct Trained {
  std::vector<std::byte> weights;
  WeightsVersion version = 0;
};

// `Training` is a Deployment or a FirstTraining.
template <typename Train, typename Training>
Result<Trained> train_and_install(Training& training, const Train& train) {
  Result<FirstWeights> made = train(training);
  if (!made.ok()) return made.status();
  const Result<WeightsVersion> version = training.install(made->weights, made->base);
  if (!version.ok()) return version.status();
  return Trained{std::move(made->weights), *version};
}

Result<Trained> train_kitchen(const Config& config, const std::string& state,
                              const TrainFlags& flags, Material material, const OnStep& on_step,
                              const Notice& notice) {
  DeploymentOptions options;
  options.config = config;
  options.state_folder = state;
  options.learn = false;
  options.notice = notice;
  Result<std::unique_ptr<Deployment>> deployment = Deployment::open(options);
  if (!deployment.ok()) return deployment.status();
  if (flags.record > 0) {
    const auto seed = static_cast<std::uint64_t>(config.learner.seed);
    NUDGE_TRY((*deployment)
                  ->demonstrate(flags.record, seed,
                                demonstrator_options(config, (*deployment)->level())));
  }
  return train_and_install(
      **deployment, [&](Deployment& of) { return of.train_from_scratch(material, on_step); });
}

Result<Trained> train_from_log(const Config& config, const std::string& state, Material material,
                               const OnStep& on_step, const Notice& notice) {
  Result<std::unique_ptr<FirstTraining>> training = FirstTraining::open({config, state, notice});
  if (!training.ok()) return training.status();
  const DatasetCounts counts = (*training)->counts();
  if (counts.other_shape_episodes > 0) {
    notice(LogLevel::kWarn, "robot",
           std::to_string(counts.other_shape_episodes) + " episodes are left out: they are of '" +
               (*training)->robot().id + "' as it was before its spec changed");
  }
  return train_and_install(**training,
                           [&](FirstTraining& of) { return of.train(material, on_step); });
}

void print_nightly(const NightlyResult& result) {
  switch (result.outcome) {
    case NightlyOutcome::kPromoted:
      std::printf("weights v%llu accepted by the gate and promoted; they boot from now on\n",
                  static_cast<unsigned long long>(result.version));
      break;
    case NightlyOutcome::kRefused: std::printf("not promoted: %s\n", result.detail.c_str()); break;
    case NightlyOutcome::kNothingNew:
      std::printf("nothing new since the last nightly training\n");
      break;
  }
  std::printf("report: %s\n", result.report.c_str());
}

// A refusal by the gate is the job's answer, not its failure: what ran before goes on.
int run_nightly_training(const Program& program, const Config& config, const std::string& state,
                         const Notice& notice) {
  const std::atomic<bool>& stop = stop_on_signal();
  std::string at;
  std::optional<ProgressBar> bar;
  const Result<NightlyResult> result = run_nightly(
      {.config = config,
       .state_folder = state,
       .notice = notice,
       .on_progress =
           [&](std::string_view stage, std::uint64_t done, std::uint64_t total) {
             if (at != stage) {
               if (bar) bar->finish("done", steady_now());
               at = stage;
               bar.emplace(stderr, progress_style(stderr, program.json || program.quiet), at, total,
                           steady_now());
             }
             bar->update(done, at == "simulation" ? "episodes" : "steps", steady_now());
           },
       .should_stop = [&] { return stop.load(); }});
  if (!result.ok()) return fail(result.status());
  if (bar) bar->finish("done", steady_now());
  if (program.json) {
    std::printf("%s\n", nightly_json(*result).c_str());
  } else {
    print_nightly(*result);
  }
  return kExitOk;
}

int run_train(const Program& program, const TrainFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  if (const Status there = check_devices(loaded->config); !there.ok()) return fail_config(there);
  use_one_torch_thread();
  Result<Config> of_robot = with_openpi_chunks(loaded->config);
  if (!of_robot.ok()) return fail_config(of_robot.status());
  Config config = *std::move(of_robot);
  if (flags.seed) config.learner.seed = *flags.seed;
  const std::string state = flags.state.empty() ? config.state.dir : flags.state;
  const Material material = flags.from == "log" ? Material::kWholeLog : Material::kDemonstrations;
  const Notice notice = [](LogLevel, std::string_view component, const std::string& message) {
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(component.size()), component.data(),
                 message.c_str());
  };
  if (flags.nightly) return run_nightly_training(program, config, state, notice);
  std::optional<ProgressBar> bar;
  const OnStep on_step = [&](std::size_t step) {
    if (!bar) {
      bar.emplace(stderr, progress_style(stderr, program.json || program.quiet), "training",
                  static_cast<std::uint64_t>(config.learner.base_steps), steady_now());
    }
    bar->update(step, "steps", steady_now());
  };
  Result<Trained> trained = flags.record > 0
                                ? train_kitchen(config, state, flags, material, on_step, notice)
                                : train_from_log(config, state, material, on_step, notice);
  // A log from before logs said what the robot is: of the one robot that could be trained then.
  if (trained.status().code() == Code::kUnimplemented &&
      config.robot.driver == RobotDriver::kKitchen) {
    trained = train_kitchen(config, state, flags, material, on_step, notice);
  }
  if (!trained.ok()) return fail(trained.status());
  if (bar) bar->finish("trained", steady_now());
  if (program.json) {
    const nlohmann::json result = {{"version", trained->version},
                                   {"hash", to_hex(sha256(trained->weights))},
                                   {"state", state}};
    std::printf("%s\n", result.dump(2).c_str());
  } else {
    std::printf("weights v%llu accepted by the gate and promoted; they boot from now on\n",
                static_cast<unsigned long long>(trained->version));
  }
  return kExitOk;
}

}  // namespace

void add_train_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "train", "Train a policy on the log, take it through the gate, promote it");
  auto flags = std::make_shared<TrainFlags>();
  command->add_option("--state", flags->state,
                      "State folder; by default state.dir of the configuration");
  add_level_flag(*command, program);
  command->add_option("--record", flags->record,
                      "First record so many scripted demonstrations in the simulated kitchen");
  command
      ->add_option("--from", flags->from,
                   "What to train on: the demonstrations, or the whole log with its corrections")
      ->capture_default_str()
      ->check(CLI::IsMember({"demonstrations", "log"}));
  command
      ->add_option("--seed", flags->seed, "Of demonstrations and training, instead of learner.seed")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_flag("--nightly", flags->nightly,
                 "Train for longer on the whole log, judging each step of labelled episodes, and "
                 "report; goes on where it was interrupted")
      ->excludes("--record")
      ->excludes("--from");
  command->callback([&program, flags] {
    program.run = [&program, flags] { return run_train(program, *flags); };
  });
}

}  // namespace nudge
