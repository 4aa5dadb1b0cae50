#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/state.h"
#include "src/core/statistics.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"

namespace nudge {
namespace {

struct EvalFlags {
  std::string state;  // empty: state.dir of the configuration
  std::uint64_t version = 0;
  std::uint32_t starts = 100;
  std::uint64_t seed = 1;
};

Result<std::shared_ptr<const Weights>> load_weights(const Program& program, const EvalFlags& flags,
                                                    WeightsVersion* version) {
  Result<std::unique_ptr<Log>> log = open_log(program, flags.state, /*read_only=*/true);
  if (!log.ok()) return log.status();
  const Result<WeightsHistory> history = weights_history(**log);
  if (!history.ok()) return history.status();
  *version = flags.version != 0 ? flags.version : history->newest_full();
  if (*version == 0) {
    return not_found("there are no weights yet; 'nudge train' makes the first ones");
  }
  return stored_weights(program, flags.state, *version, *history);
}

int run_eval(const Program& program, const EvalFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  use_one_torch_thread();
  WeightsVersion version = 0;
  const Result<std::shared_ptr<const Weights>> weights = load_weights(program, flags, &version);
  if (!weights.ok()) return fail(weights.status());
  ProgressBar bar(stderr, progress_style(stderr, program.json || program.quiet), "evaluating",
                  flags.starts, steady_now());
  const Result<EvaluationResult> result =
      evaluate(loaded->config, *weights, evaluation_seeds(flags.seed, flags.starts),
               std::clamp(std::thread::hardware_concurrency(), 1u, 4u),
               [&](std::size_t done) { bar.update(done, "episodes", steady_now()); });
  if (!result.ok()) return fail(result.status());
  bar.finish("done", steady_now());
  const Interval interval = wilson_interval(result->successes(), flags.starts);
  if (program.json) {
    const nlohmann::json json = {
        {"version", version},         {"successes", result->successes()},
        {"starts", flags.starts},     {"interval_95", {interval.low, interval.high}},
        {"success", result->success}, {"steps", result->steps}};
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    std::printf("weights v%llu: %llu of %u starts succeed (95 %% interval %.0f to %.0f %%)\n",
                static_cast<unsigned long long>(version),
                static_cast<unsigned long long>(result->successes()), flags.starts,
                100 * interval.low, 100 * interval.high);
  }
  return kExitOk;
}

}  // namespace

void add_eval_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "eval", "How often weights succeed alone in the simulated kitchen");
  auto flags = std::make_shared<EvalFlags>();
  command->add_option("--state", flags->state,
                      "State folder; by default state.dir of the configuration");
  command->add_option("--version-number", flags->version, "Which weights; 0: the newest full ones")
      ->capture_default_str();
  command->add_option("--starts", flags->starts, "How many held-out starts")
      ->capture_default_str()
      ->check(CLI::Range(1u, 100'000u));
  command->add_option("--seed", flags->seed, "Of the starts")->capture_default_str();
  command->callback(
      [&program, flags] { program.run = [&program, flags] { return run_eval(program, *flags); }; });
}

}  // namespace nudge
