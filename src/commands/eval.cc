#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/state.h"
#include "src/core/statistics.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/loop/help_trace.h"

namespace nudge {
namespace {

struct EvalFlags {
  std::string state;  // empty: state.dir of the configuration
  std::uint64_t version = 0;
  std::uint32_t starts = 100;
  std::uint64_t seed = 1;
  bool help_signal = false;
  std::uint32_t calibration = 100;
};

// The ways of asking that are compared: both halves of the signal, each alone, and what needs no
// signal at all.
struct HelpDetector {
  const char* name;
  HelpSigns signs;
};
constexpr HelpDetector kDetectors[] = {
    {"both", {true, true, true}},         {"disagreement", {true, false, false}},
    {"progress", {false, true, true}},    {"travel alone", {false, true, false}},
    {"time alone", {false, false, true}},
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

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json points_json(const HelpVerdict& verdict) {
  nlohmann::json points = nlohmann::json::array();
  for (const HelpVerdict::Point& point : verdict.points) {
    const auto known = [](const std::optional<double>& value) {
      return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
    };
    points.push_back({point.seconds, known(point.disagreement), known(point.travel)});
  }
  return points;
}

// Thresholds from the first `calibration` starts, and how well they tell in the rest.
int run_help_signal(const Program& program, const EvalFlags& flags, const Config& config,
                    const std::shared_ptr<const Weights>& weights, WeightsVersion version) {
  const std::size_t all = std::size_t{flags.calibration} + flags.starts;
  ProgressBar bar(stderr, progress_style(stderr, program.json || program.quiet), "evaluating", all,
                  steady_now());
  std::vector<HelpTrace> traces;
  const Result<EvaluationResult> result = evaluate(
      config, weights, evaluation_seeds(flags.seed, all),
      std::clamp(std::thread::hardware_concurrency(), 1u, 4u),
      [&](std::size_t done) { bar.update(done, "episodes", steady_now()); }, &traces);
  if (!result.ok()) return fail(result.status());
  bar.finish("done", steady_now());
  const Result<std::unique_ptr<KitchenRobot>> robot =
      KitchenRobot::create({.level = static_cast<int>(config.kitchen.level)});
  if (!robot.ok()) return fail(robot.status());
  const HelpSignalOptions options = help_signal_options(config, (*robot)->spec());
  const std::span<const HelpTrace> calibration(traces.data(), flags.calibration);
  const std::span<const HelpTrace> measured(traces.data() + flags.calibration, flags.starts);
  const std::vector<HelpScored> successes = scores_of_successes(calibration, options);

  nlohmann::json detectors = nlohmann::json::object();
  if (!program.json) {
    std::printf(
        "weights v%llu: thresholds from %zu successes among %u starts; measured on %u\n\n"
        "%-14s %21s %21s %14s\n",
        static_cast<unsigned long long>(version), successes.size(), flags.calibration, flags.starts,
        "sign", "precision", "recall", "seconds before");
  }
  for (const HelpDetector& detector : kDetectors) {
    const HelpThresholds thresholds =
        help_thresholds(successes, config.help.false_alarms, detector.signs);
    const HelpRecord record = help_record(measured, options, thresholds);
    const std::uint64_t asked = record.failures_asked + record.successes_asked;
    const Interval precision = wilson_interval(record.failures_asked, asked);
    const Interval recall = wilson_interval(record.failures_asked, record.failures);
    detectors[detector.name] = {{"thresholds",
                                 {{"disagreement", number_or_null(thresholds.disagreement)},
                                  {"travel", number_or_null(thresholds.travel)},
                                  {"seconds", number_or_null(thresholds.seconds)}}},
                                {"failures", record.failures},
                                {"successes", record.successes},
                                {"failures_asked", record.failures_asked},
                                {"successes_asked", record.successes_asked},
                                {"lead", record.lead}};
    if (program.json) continue;
    std::printf("%-14s %4llu of %4llu (%2.0f-%3.0f %%) %4llu of %4llu (%2.0f-%3.0f %%) %14.1f\n",
                detector.name, static_cast<unsigned long long>(record.failures_asked),
                static_cast<unsigned long long>(asked), 100 * precision.low, 100 * precision.high,
                static_cast<unsigned long long>(record.failures_asked),
                static_cast<unsigned long long>(record.failures), 100 * recall.low,
                100 * recall.high, median(record.lead));
  }
  if (!program.json) return kExitOk;
  const HelpThresholds both = help_thresholds(successes, config.help.false_alarms);
  nlohmann::json episodes = nlohmann::json::array();
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const HelpVerdict verdict = help_verdict(traces[i], options, both);
    episodes.push_back(
        {{"calibration", i < flags.calibration},
         {"success", traces[i].success},
         {"seconds", seconds(traces[i].length)},
         {"asked", verdict.asked ? nlohmann::json(seconds(*verdict.asked)) : nlohmann::json()},
         {"points", points_json(verdict)}});
  }
  const nlohmann::json json = {{"version", version},
                               {"false_alarms", config.help.false_alarms},
                               {"successes_calibrated", successes.size()},
                               {"detectors", std::move(detectors)},
                               {"episodes", std::move(episodes)}};
  std::printf("%s\n", json.dump().c_str());
  return kExitOk;
}

int run_eval(const Program& program, const EvalFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  use_one_torch_thread();
  WeightsVersion version = 0;
  const Result<std::shared_ptr<const Weights>> weights = load_weights(program, flags, &version);
  if (!weights.ok()) return fail(weights.status());
  Config config = loaded->config;
  if (!flags.state.empty()) config.state.dir = flags.state;
  if (flags.help_signal) {
    return run_help_signal(program, flags, config, *weights, version);
  }
  ProgressBar bar(stderr, progress_style(stderr, program.json || program.quiet), "evaluating",
                  flags.starts, steady_now());
  const Result<EvaluationResult> result =
      evaluate(config, *weights, evaluation_seeds(flags.seed, flags.starts),
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
  add_level_flag(*command, program);
  command->add_option("--version-number", flags->version, "Which weights; 0: the newest full ones")
      ->capture_default_str();
  command->add_option("--starts", flags->starts, "How many held-out starts")
      ->capture_default_str()
      ->check(CLI::Range(1u, 100'000u));
  command->add_option("--seed", flags->seed, "Of the starts")->capture_default_str();
  command->add_flag("--help-signal", flags->help_signal,
                    "How well the policy's asking for help tells failures in time");
  command
      ->add_option("--calibration", flags->calibration,
                   "With --help-signal: further starts, which the thresholds are made from")
      ->capture_default_str()
      ->check(CLI::Range(10u, 100'000u));
  command->callback(
      [&program, flags] { program.run = [&program, flags] { return run_eval(program, *flags); }; });
}

}  // namespace nudge
