#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "policy/trainer.h"
#include "replay/log.h"
#include "src/cli/blas.h"
#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/cli/plot.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/live_demo.h"
#include "src/core/statistics.h"
#include "src/daemon/real_time.h"
#include "src/learning/gpu.h"
#include "src/loop/campaign.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/loop/perception.h"
#include "src/sim/live_kitchen.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

constexpr double kChance = 0.05;  // the level below which a rise is taken as more than chance
constexpr const char* kMarker = ".nudge-demo";  // says that a folder is the demo's to replace

struct DemoFlags {
  bool headless = false;
  bool proceed = false;  // --continue
  bool fresh = false;
  std::string out = "nudge-demo";
  std::optional<std::int64_t> seed;  // none: learner.seed of the configuration
  std::uint32_t episodes = 0;        // 0: as configured
  std::uint32_t corrected = 0;
  std::uint32_t starts = 0;
  double real_time = 10;  // s
};

Status cannot_make(const std::string& path, const std::error_code& error) {
  const std::string text =
      "cannot make the folder " + path + ": " + error.message() + "; choose another with --out";
  return error == std::errc::permission_denied ? permission_denied(text) : unavailable(text);
}

// Refuses a folder in which another demo is at work: its files would vanish under it.
Status nobody_works_in(const std::string& state) {
  std::error_code error;
  if (!std::filesystem::exists(state + "/log/log.db", error)) return {};
  LogOptions options;
  options.dir = state + "/log";
  options.boot = "look";
  options.read_only = true;
  const Status status = Log::open(posix_files(), options).status();
  return status.code() == Code::kUnavailable ? status : Status{};  // damaged: it goes anyway
}

// The folder for this run: empty, or, for --continue, as the run before left it. One that the demo
// made before is replaced; any other is refused.
Status prepare_folder(const std::string& path, bool proceed) {
  namespace fs = std::filesystem;
  std::error_code error;
  const bool exists = fs::exists(path, error);
  const bool ours = fs::exists(fs::path(path) / kMarker, error);
  if (proceed) {
    if (ours && fs::exists(fs::path(path) / "state", error)) return {};
    return not_found("there is no demo to go on with in " + path +
                     "; name its folder with --out, or leave out --continue");
  }
  if (exists && !ours && (!fs::is_directory(path, error) || !fs::is_empty(path, error))) {
    return already_exists("the folder " + path +
                          " holds something else; choose another with --out");
  }
  NUDGE_TRY(nobody_works_in(path + "/state"));
  fs::remove_all(fs::path(path) / "state", error);
  if (error) return cannot_make(path + "/state", error);
  fs::create_directories(fs::path(path) / "state", error);
  if (error) return cannot_make(path + "/state", error);
  std::ofstream marker(fs::path(path) / kMarker);
  marker << "made by 'nudge demo'; replaced by its next run\n" << std::flush;
  if (!marker) return unavailable("cannot write to the folder " + path + "; is the disk full?");
  return {};
}

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.0f %%", 100 * share);
  return text;
}
std::string decimal(double value, int digits) {
  if (value < 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// The newest two full versions, to be swapped under the running robot.
Result<RealTimeReport> measure_real_time(Deployment& deployment, const Config& config,
                                         const DemoFlags& flags) {
  std::vector<LoadedHead> heads;
  const auto& records = deployment.history().records();
  for (auto it = records.rbegin(); it != records.rend() && heads.size() < 2; ++it) {
    const WeightsRecord& record = it->second;
    if (record.kind != WeightsKind::kFull || record.state == WeightsState::kRolledBack) continue;
    Result<LoadedHead> head = deployment.load_head(it->first);
    if (!head.ok()) return head.status();
    heads.push_back(*std::move(head));
  }
  KitchenOptions kitchen = kitchen_options(config);
  kitchen.cameras = looks_at_cameras(config);  // nobody else watches
  Result<std::unique_ptr<LiveKitchen>> robot = LiveKitchen::create(kitchen, steady_now);
  if (!robot.ok()) return robot.status();
  RealTimeOptions options;
  options.length = from_seconds(flags.real_time);
  options.seed = static_cast<std::uint64_t>(config.learner.seed);
  options.folder = flags.out + "/real-time";
  (*robot)->start();
  Result<RealTimeReport> report = run_in_real_time(**robot, config, heads, options);
  (*robot)->stop();
  return report;
}

Json to_json(const RealTimeReport& report) {
  return {{"ticks", report.ticks},
          {"missed", report.missed},
          {"swaps", report.swaps},
          {"versions_played", report.versions_played},
          {"chunks", report.chunks},
          {"work_us_p50", 1e6 * seconds(report.work.quantile(0.5))},
          {"work_us_p99", 1e6 * seconds(report.work.quantile(0.99))},
          {"work_us_max", 1e6 * seconds(report.work.worst())},
          {"late_ms_p99", 1e3 * seconds(report.late.quantile(0.99))},
          {"late_ms_max", 1e3 * seconds(report.late.worst())}};
}

void print_real_time(const RealTimeReport& report) {
  std::printf(
      "real time at 50 Hz: %llu ticks, %llu missed, %llu swaps; work in a tick p50 %.0f us, "
      "p99 %.0f us, max %.0f us; woke up late p99 %.1f ms, max %.1f ms\n",
      static_cast<unsigned long long>(report.ticks), static_cast<unsigned long long>(report.missed),
      static_cast<unsigned long long>(report.swaps), 1e6 * seconds(report.work.quantile(0.5)),
      1e6 * seconds(report.work.quantile(0.99)), 1e6 * seconds(report.work.worst()),
      1e3 * seconds(report.late.quantile(0.99)), 1e3 * seconds(report.late.worst()));
}

Json to_json(const DemoFlags& flags, const CampaignResult& result,
             const std::optional<RealTimeReport>& real_time, double p_value, double wall) {
  Json points = Json::array();
  for (const CampaignPoint& p : result.points) {
    points.push_back(
        {{"corrected_episodes", p.corrected_episodes},
         {"episodes", p.episodes},
         {"weights", p.weights},
         {"successes", p.successes},
         {"starts", p.starts},
         {"success", p.success},
         {"robot_seconds", p.robot_seconds},
         {"takeovers", p.takeovers},
         {"wrong_takeovers", p.wrong_takeovers},
         {"interventions_per_100_steps", p.interventions_per_100_steps},
         {"human_seconds_per_episode", p.human_seconds_per_episode},
         {"micro_round_seconds_p50", p.micro_seconds < 0 ? Json() : Json(p.micro_seconds)},
         {"full_round_seconds_p50", p.full_seconds < 0 ? Json() : Json(p.full_seconds)},
         {"accepted", p.accepted},
         {"rejected", p.rejected},
         {"superseded", p.superseded},
         {"confirmed", p.confirmed},
         {"rolled_back", p.rolled_back}});
  }
  Json hand_backs = Json::array();
  for (const HandBackError& each : result.hand_backs) {
    hand_backs.push_back({{"episode", each.episode},
                          {"steps", each.followed.steps},
                          {"error_before", each.followed.before},
                          {"error_after", each.followed.after},
                          {"led_steps", each.led.steps},
                          {"led_error_before", each.led.before},
                          {"led_error_after", each.led.after}});
  }
  return {{"seed", *flags.seed},
          {"instructions", result.instructions},
          {"points", points},
          {"test", "exact one-sided McNemar test on paired starts, first point against last"},
          {"solved_only_before", result.solved_only_before},
          {"solved_only_after", result.solved_only_after},
          {"p_value", p_value},
          {"better", p_value < kChance},
          {"micro_round_seconds", result.delays.micro},
          {"full_round_seconds", result.delays.full},
          {"hand_backs", hand_backs},
          // Lockstep has no missed ticks, since time waits; they are counted in real time only.
          {"missed_ticks", real_time ? Json(real_time->missed) : Json()},
          {"real_time", real_time ? to_json(*real_time) : Json()},
          {"learner_deaths", result.counts.learner_deaths},
          {"core_type", blas_core_name()},
          {"wall_seconds", wall}};
}

void print_report(const CampaignResult& result, double p_value, double wall) {
  Table table({"corrected", "episodes", "success", "95 % interval", "takeovers/100 steps",
               "human s/episode", "micro s", "full s", "accepted", "refused", "rolled back"});
  for (const CampaignPoint& p : result.points) {
    const Interval interval = wilson_interval(p.successes, p.starts);
    table.add({std::to_string(p.corrected_episodes), std::to_string(p.episodes),
               std::to_string(p.successes) + "/" + std::to_string(p.starts),
               percent(interval.low) + " to " + percent(interval.high),
               p.episodes == 0 ? "-" : decimal(p.interventions_per_100_steps, 2),
               p.episodes == 0 ? "-" : decimal(p.human_seconds_per_episode, 1),
               decimal(p.micro_seconds, 2), decimal(p.full_seconds, 2), std::to_string(p.accepted),
               std::to_string(p.rejected), std::to_string(p.rolled_back)});
  }
  std::printf("\n%s\n", table.text().c_str());
  if (!result.delays.micro.empty()) {
    std::printf(
        "correction ended to first action of new weights, micro-round: p50 %.2f s, p99 %.2f s"
        " (%zu)\n",
        percentile(result.delays.micro, 0.5), percentile(result.delays.micro, 0.99),
        result.delays.micro.size());
  }
  if (!result.delays.full.empty()) {
    std::printf(
        "correction ended to first action of new weights, full round:  p50 %.2f s, p99 %.2f s"
        " (%zu)\n",
        percentile(result.delays.full, 0.5), percentile(result.delays.full, 0.99),
        result.delays.full.size());
  }
  if (const HandBackMean mean = mean_of(result.hand_backs); mean.hand_backs > 0) {
    std::printf(
        "how far from the supervisor's own action, before the micro-round and with it: %.3f and "
        "%.3f in the second that led to a takeover, %.3f and %.3f after the hand-back (%zu)\n",
        mean.led.before, mean.led.after, mean.followed.before, mean.followed.after,
        mean.hand_backs);
  }
  const DeploymentCounts& c = result.counts;
  std::printf(
      "candidates: %llu, accepted %llu, refused %llu, superseded %llu; confirmed %llu, "
      "rolled back %llu; learner restarts %llu\n",
      static_cast<unsigned long long>(c.rounds), static_cast<unsigned long long>(c.accepted),
      static_cast<unsigned long long>(c.rejected), static_cast<unsigned long long>(c.superseded),
      static_cast<unsigned long long>(c.confirmed), static_cast<unsigned long long>(c.rolled_back),
      static_cast<unsigned long long>(c.learner_deaths));
  std::printf(
      "success, first against last, exact one-sided McNemar test on paired starts: %u solved "
      "only before, %u only after, p = %.2g: %s\n",
      result.solved_only_before, result.solved_only_after, p_value,
      p_value < kChance ? "better than chance" : "NOT better than chance");
  std::printf("wall time %s\n", duration_text(wall).c_str());
}

LearningCurve curve_of(const DemoFlags& flags, const CampaignResult& result,
                       const KitchenLevel& level) {
  LearningCurve curve;
  curve.title =
      "Simulated kitchen, level " + std::to_string(level.data().number) + ": " + level.data().title;
  curve.subtitle = "seed " + std::to_string(*flags.seed) + ", " +
                   std::to_string(result.points.front().starts) + " held-out starts per point";
  for (const CampaignPoint& p : result.points) {
    CurvePoint point;
    point.corrected_episodes = p.corrected_episodes;
    point.successes = p.successes;
    point.starts = p.starts;
    point.interventions_per_100_steps = p.episodes == 0 ? -1 : p.interventions_per_100_steps;
    point.seconds_to_new_weights = p.micro_seconds;
    curve.points.push_back(point);
  }
  return curve;
}

// With the page. What an earlier run recorded and learned is gone on with, unless it is to be
// fresh.
int run_live(const Program& program, const DemoFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  if (const Status there = check_devices(loaded->config); !there.ok()) return fail_config(there);
  std::error_code error;
  const bool there = std::filesystem::exists(flags.out + "/state", error);
  const bool proceed = flags.proceed || (there && !flags.fresh);
  if (Status status = prepare_folder(flags.out, proceed); !status.ok()) return fail(status);
  LiveDemoOptions options;
  options.config = loaded->config;
  if (flags.seed) options.config.learner.seed = *flags.seed;
  options.state_folder = flags.out + "/state";
  return run_live_demo(program, options);
}

int run_headless(const Program& program, DemoFlags flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  if (const Status there = check_devices(loaded->config); !there.ok()) return fail_config(there);
  Result<std::vector<std::size_t>> tasks = tasks_worked_on(loaded->config);
  if (!tasks.ok()) return fail_config(tasks.status());
  use_one_torch_thread();
  if (Status status = prepare_folder(flags.out, flags.proceed); !status.ok()) return fail(status);

  DeploymentOptions options;
  options.config = loaded->config;
  if (!flags.seed) flags.seed = options.config.learner.seed;
  options.config.learner.seed = *flags.seed;
  options.state_folder = flags.out + "/state";
  options.program = program.self_path;
  const std::string log_file = options.state_folder + "/nudge.log";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> log_stream(
      std::fopen(log_file.c_str(), "a"), &std::fclose);
  if (log_stream == nullptr)
    return fail(unavailable("cannot write " + log_file + ": " + std::strerror(errno)));
  Result<std::unique_ptr<Logger>> logger = Logger::start(options.config.logging, log_stream.get());
  if (!logger.ok()) return fail(logger.status());
  std::vector<std::string> notices;  // what the person at the terminal should see
  options.notice = [&](LogLevel level, std::string_view component, const std::string& message) {
    (*logger)->log(level, component, message);
    if (level == LogLevel::kWarn || level == LogLevel::kError) {
      notices.push_back(std::string(component) + ": " + message);
    }
  };
  Result<std::unique_ptr<Deployment>> deployment = Deployment::open(options);
  if (!deployment.ok()) return fail(deployment.status());
  const auto print_notices = [&notices](std::FILE* stream) {
    for (const std::string& notice : notices) std::fprintf(stream, "note: %s\n", notice.c_str());
  };

  CampaignOptions campaign;
  campaign.seed = static_cast<std::uint64_t>(*flags.seed);
  const Config::Demo& demo = loaded->config.demo;
  const auto chosen = [](std::uint32_t flag, std::int64_t configured) {
    return flag != 0 ? flag : static_cast<std::uint32_t>(configured);
  };
  campaign.episodes = chosen(flags.episodes, demo.episodes);
  campaign.corrected_episodes = chosen(flags.corrected, demo.corrected);
  campaign.evaluation_starts = chosen(flags.starts, demo.starts);
  campaign.demonstrations = static_cast<std::uint32_t>(demo.demonstrations);
  campaign.tasks = *std::move(tasks);
  campaign.threads = std::clamp(std::thread::hardware_concurrency(), 1u, 4u);

  const Instant begin = steady_now();
  std::optional<ProgressBar> bar;
  Result<CampaignResult> result =
      run_campaign(**deployment, options.config, campaign,
                   [&](std::uint64_t done, std::uint64_t total, const std::string& message) {
                     if (!bar) {
                       bar.emplace(stderr, progress_style(stderr, program.json || program.quiet),
                                   "nudge demo", total, begin);
                     }
                     bar->update(done, message, steady_now());
                   });
  if (!result.ok()) {
    bar.reset();
    print_notices(stderr);
    return fail(result.status());
  }
  const double wall = seconds(steady_now() - begin);
  bar->finish("done", steady_now());
  bar.reset();
  const double p_value = mcnemar_one_sided(result->solved_only_before, result->solved_only_after);

  std::optional<RealTimeReport> real_time;
  if (flags.real_time > 0) {
    if (!program.json && !program.quiet) {
      std::fprintf(stderr, "nudge demo: %s in real time\n", duration_text(flags.real_time).c_str());
    }
    Result<RealTimeReport> measured =
        measure_real_time(**deployment, (*deployment)->config(), flags);
    if (measured.ok()) {
      real_time = *std::move(measured);
    } else {
      notices.push_back("no figures in real time: " + measured.status().message());
    }
  }
  const Json json = to_json(flags, *result, real_time, p_value, wall);
  std::ofstream result_file(flags.out + "/result.json");
  result_file << json.dump(2) << '\n';
  if (!result_file.flush()) notices.push_back("cannot write " + flags.out + "/result.json");
  const std::string picture = flags.out + "/learning-curve.png";
  const Status plotted = plot_learning_curve(
      curve_of(flags, *result, **kitchen_level(static_cast<int>(options.config.kitchen.level))),
      picture);
  if (program.json) {
    print_notices(stderr);
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    print_notices(stdout);
    print_report(*result, p_value, wall);
    if (real_time) print_real_time(*real_time);
    std::printf("log, weights: %s/state   figures: %s/result.json\n", flags.out.c_str(),
                flags.out.c_str());
    if (plotted.ok()) {
      std::printf("plot: %s\n", picture.c_str());
    } else {
      std::printf("no plot: %s\n", plotted.message().c_str());
    }
  }
  return p_value < kChance ? kExitOk : kExitFailed;
}

}  // namespace

void add_demo_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "demo", "A simulated kitchen robot works, is corrected, learns, and swaps its weights");
  auto flags = std::make_shared<DemoFlags>();
  add_level_flag(*command, program);
  command->add_flag("--headless", flags->headless, "Faster than real time, without a page");
  command->add_flag("--fresh", flags->fresh,
                    "Start over in --out; with the page an earlier run is gone on with");
  command->add_flag("--continue", flags->proceed,
                    "Go on in --out as after a restart: log, weights and corrections stay");
  command->add_option("--out", flags->out, "Folder for state, figures and plot")
      ->capture_default_str();
  command
      ->add_option("--seed", flags->seed,
                   "Fixes every random choice of robot and policy, instead of learner.seed")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--episodes", flags->episodes,
                   "At most so many episodes, instead of the configured number")
      ->check(CLI::Range(1u, 10'000u));
  command
      ->add_option("--corrected", flags->corrected,
                   "Stop after so many corrected episodes, instead of the configured number")
      ->check(CLI::Range(1u, 10'000u));
  command
      ->add_option("--starts", flags->starts,
                   "Held-out starts of each evaluation, instead of the configured number")
      ->check(CLI::Range(1u, 10'000u));
  command
      ->add_option("--real-time", flags->real_time,
                   "Seconds in real time at the end, to count missed control ticks; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  command->callback([&program, flags] {
    program.run = [&program, flags] {
      return flags->headless ? run_headless(program, *flags) : run_live(program, *flags);
    };
  });
}

}  // namespace nudge
