#include <algorithm>
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
#include "src/loop/logged_evaluation.h"
#include "src/loop/robot_record.h"

namespace nudge {
namespace {

struct EvalFlags {
  std::string state;  // empty: state.dir of the configuration
  std::uint64_t version = 0;
  std::uint32_t starts = 100;
  std::uint64_t seed = 1;
  bool help_signal = false;
  std::uint32_t calibration = 100;
  bool on_log = false;
  std::vector<std::string> said;  // "INSTRUCTION=WORDS"
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
                                                    Log& log, WeightsVersion* version) {
  const Result<WeightsHistory> history = weights_history(log);
  if (!history.ok()) return history.status();
  *version = flags.version != 0 ? flags.version : history->newest_full();
  if (*version == 0) {
    return not_found("there are no weights yet; 'nudge train' makes the first ones");
  }
  return stored_weights(program, flags.state, *version, *history);
}

// kInvalidArgument: not of that form, or no instruction of the level.
Result<SaidInstead> phrases_of(const std::vector<std::string>& said, const KitchenLevel& level) {
  SaidInstead phrases;
  for (const std::string& one : said) {
    const std::size_t at = one.find('=');
    if (at == std::string::npos) {
      return invalid_argument("--say '" + one + "' is not of the form INSTRUCTION=WORDS");
    }
    const std::string instruction = one.substr(0, at);
    if (std::ranges::find(level.data().tasks, instruction, &KitchenTask::instruction) ==
        level.data().tasks.end()) {
      return invalid_argument("--say: level " + std::to_string(level.data().number) +
                              " has no task \"" + instruction + "\"");
    }
    phrases[instruction] = one.substr(at + 1);
  }
  return phrases;
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

nlohmann::json to_json(const LoggedError& error) {
  return {{"chunks", error.chunks},
          {"episodes", error.episodes},
          {"error", error.error < 0 ? nlohmann::json() : nlohmann::json(error.error)}};
}

void print_error(const char* of, const LoggedError& error) {
  if (error.error < 0) {
    std::printf("  %-21s there are none yet\n", of);
    return;
  }
  std::printf("  %-21s %.2f standard deviations off, on %zu chunks of %zu episodes\n", of,
              error.error, error.chunks, error.episodes);
}

int run_on_log(const Program& program, Log& log, const Config& config, const RobotSpec& robot,
               const std::shared_ptr<const Weights>& weights, WeightsVersion version) {
  const Result<LoggedEvaluation> result = evaluate_on_log(log, config, robot, weights);
  if (!result.ok()) return fail(result.status());
  if (program.json) {
    const nlohmann::json json = {{"version", version},
                                 {"robot", robot.id},
                                 {"demonstrations", to_json(result->demonstrations)},
                                 {"held_out_corrections", to_json(result->held_out_corrections)},
                                 {"deployments", result->deployments},
                                 {"successes", result->successes},
                                 {"failures", result->failures},
                                 {"other_shape_episodes", result->other_shape_episodes}};
    std::printf("%s\n", json.dump(2).c_str());
    return kExitOk;
  }
  std::printf("weights v%llu of robot '%s', against what the log holds:\n",
              static_cast<unsigned long long>(version), robot.id.c_str());
  print_error("demonstrations", result->demonstrations);
  print_error("held-out corrections", result->held_out_corrections);
  std::printf("%llu of %llu labelled episodes of its deployment succeeded\n",
              static_cast<unsigned long long>(result->successes),
              static_cast<unsigned long long>(result->successes + result->failures));
  if (result->other_shape_episodes > 0) {
    std::printf("left out: %llu episodes of the robot as it was before its spec changed\n",
                static_cast<unsigned long long>(result->other_shape_episodes));
  }
  return kExitOk;
}

int run_eval(const Program& program, const EvalFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  use_one_torch_thread();
  Result<std::unique_ptr<Log>> log = open_log(program, flags.state, /*read_only=*/true);
  if (!log.ok()) return fail(log.status());
  WeightsVersion version = 0;
  const Result<std::shared_ptr<const Weights>> weights =
      load_weights(program, flags, **log, &version);
  if (!weights.ok()) return fail(weights.status());
  Config config = loaded->config;
  if (!flags.state.empty()) config.state.dir = flags.state;
  const Result<std::unique_ptr<KitchenRobot>> kitchen =
      KitchenRobot::create(kitchen_options(config));
  if (!kitchen.ok()) return fail(kitchen.status());
  const Result<SaidInstead> phrases = phrases_of(flags.said, (*kitchen)->level());
  if (!phrases.ok()) return fail(phrases.status());
  const Result<std::optional<RobotSpec>> recorded = recorded_robot(**log);
  if (!recorded.ok()) return fail(recorded.status());
  const RobotSpec robot = recorded->value_or((*kitchen)->spec());
  // No other robot can be simulated here.
  if (flags.on_log || robot.id != (*kitchen)->spec().id) {
    return run_on_log(program, **log, config, robot, *weights, version);
  }
  log->reset();  // whoever wants the log need not wait for an evaluation
  if (flags.help_signal) {
    return run_help_signal(program, flags, config, *weights, version);
  }
  ProgressBar bar(stderr, progress_style(stderr, program.json || program.quiet), "evaluating",
                  flags.starts, steady_now());
  const std::vector<std::uint64_t> seeds = evaluation_seeds(flags.seed, flags.starts);
  const Result<EvaluationResult> result = evaluate(
      config, *weights, seeds, std::clamp(std::thread::hardware_concurrency(), 1u, 4u),
      [&](std::size_t done) { bar.update(done, "episodes", steady_now()); }, nullptr, *phrases);
  if (!result.ok()) return fail(result.status());
  bar.finish("done", steady_now());
  const Interval interval = wilson_interval(result->successes(), flags.starts);
  if (program.json) {
    std::vector<std::string> instructions;
    for (const std::uint64_t seed : seeds) {
      instructions.push_back((*kitchen)->instruction_for(seed));
    }
    const nlohmann::json json = {
        {"version", version},          {"successes", result->successes()},
        {"starts", flags.starts},      {"interval_95", {interval.low, interval.high}},
        {"success", result->success},  {"steps", result->steps},
        {"instructions", instructions}};
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
      "eval",
      "How often weights succeed alone in the simulated kitchen; of another robot, how near they "
      "come to what its log holds");
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
  command
      ->add_option("--say", flags->said,
                   "INSTRUCTION=WORDS: tell the policy WORDS where a start's task has that "
                   "instruction; the task stays; repeatable")
      ->allow_extra_args(false);
  command->add_flag("--on-log", flags->on_log,
                    "Against the log's demonstrations and held-out corrections, of any robot");
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
