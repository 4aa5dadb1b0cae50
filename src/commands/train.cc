#include <cstdio>
#include <nlohmann/json.hpp>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/loop/clock.h"
#include "src/loop/deployment.h"

namespace nudge {
namespace {

struct TrainFlags {
  std::string state;  // empty: state.dir of the configuration
  std::uint32_t record = 0;
  std::optional<std::int64_t> seed;  // none: learner.seed of the configuration
  std::string from = "demonstrations";
};

int run_train(const Program& program, const TrainFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  use_one_torch_thread();
  DeploymentOptions options;
  options.config = loaded->config;
  if (flags.seed) options.config.learner.seed = *flags.seed;
  const auto seed = static_cast<std::uint64_t>(options.config.learner.seed);
  options.state_folder = flags.state.empty() ? loaded->config.state.dir : flags.state;
  options.learn = false;
  options.notice = [](LogLevel, std::string_view component, const std::string& message) {
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(component.size()), component.data(),
                 message.c_str());
  };
  Result<std::unique_ptr<Deployment>> deployment = Deployment::open(options);
  if (!deployment.ok()) return fail(deployment.status());
  if (flags.record > 0) {
    const Status recorded = (*deployment)->demonstrate(flags.record, seed, {});
    if (!recorded.ok()) return fail(recorded);
  }
  const auto total = static_cast<std::uint64_t>(options.config.learner.base_steps);
  ProgressBar bar(stderr, progress_style(stderr, program.json || program.quiet), "training", total,
                  steady_now());
  Result<std::vector<std::byte>> weights =
      (*deployment)
          ->train_from_scratch(flags.from == "log" ? Deployment::Material::kWholeLog
                                                   : Deployment::Material::kDemonstrations,
                               [&](std::size_t step) { bar.update(step, "steps", steady_now()); });
  if (!weights.ok()) return fail(weights.status());
  bar.finish("trained", steady_now());
  const Result<WeightsVersion> version = (*deployment)->install(*weights);
  if (!version.ok()) return fail(version.status());
  if (program.json) {
    const nlohmann::json result = {
        {"version", *version}, {"hash", to_hex(sha256(*weights))}, {"state", options.state_folder}};
    std::printf("%s\n", result.dump(2).c_str());
  } else {
    std::printf("weights v%llu accepted by the gate and promoted; they boot from now on\n",
                static_cast<unsigned long long>(*version));
  }
  return kExitOk;
}

}  // namespace

void add_train_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "train", "Train a policy from scratch on the log, take it through the gate, promote it");
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
  command->callback([&program, flags] {
    program.run = [&program, flags] { return run_train(program, *flags); };
  });
}

}  // namespace nudge
