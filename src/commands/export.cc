#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/log_robot.h"
#include "src/commands/state.h"
#include "src/datasets/lerobot_export.h"
#include "src/loop/clock.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

struct ExportFlags {
  std::string state;
  std::string dir;
  std::string format = "v3.0";
  std::string pictures = "embedded";
  std::string codec = "av1";
  std::string outcome = "any";
  std::vector<std::string> purposes = {"deployment", "demonstration"};
  int fps = 0;
  std::uint64_t first = 1;
  std::uint64_t last = UINT64_MAX;
};

bool among(const std::vector<std::string>& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void print_report(const LerobotExportReport& report, const std::string& dir) {
  for (std::size_t i = 0; i < report.skipped.size(); ++i) {
    if (i == 10) {
      std::fprintf(stderr, "nudge: and %zu episodes more; --json names them all\n",
                   report.skipped.size() - i);
      break;
    }
    std::fprintf(stderr, "nudge: episode %llu was left out: %s\n",
                 static_cast<unsigned long long>(report.skipped[i].first),
                 report.skipped[i].second.c_str());
  }
  std::printf("%llu new episodes (%llu steps); %s holds %llu episodes, %llu steps\n",
              static_cast<unsigned long long>(report.new_episodes),
              static_cast<unsigned long long>(report.new_rows), dir.c_str(),
              static_cast<unsigned long long>(report.episodes),
              static_cast<unsigned long long>(report.rows));
  if (report.relabelled > 0) {
    std::printf(
        "people have said more about %llu episodes since they were exported; export into a new "
        "folder to have that as well\n",
        static_cast<unsigned long long>(report.relabelled));
  }
}

Json report_json(const LerobotExportReport& report, const std::string& dir) {
  Json skipped = Json::array();
  for (const auto& [episode, why] : report.skipped) {
    skipped.push_back({{"episode", episode}, {"reason", why}});
  }
  return {{"folder", dir},
          {"version", version_name(report.shape.version)},
          {"new_episodes", report.new_episodes},
          {"new_steps", report.new_rows},
          {"episodes", report.episodes},
          {"steps", report.rows},
          {"relabelled", report.relabelled},
          {"skipped", skipped}};
}

int export_to_lerobot(const Program& program, const ExportFlags& flags) {
  LerobotExportOptions options;
  options.dir = flags.dir;
  options.version = flags.format == "v2.1" ? LerobotVersion::kV21 : LerobotVersion::kV30;
  options.pictures = flags.pictures == "video"      ? PictureStorage::kVideo
                     : flags.pictures == "embedded" ? PictureStorage::kEmbedded
                                                    : PictureStorage::kNone;
  options.codec = flags.codec == "h264" ? VideoCodec::kH264 : VideoCodec::kAv1;
  options.fps = flags.fps;
  options.first = flags.first;
  options.last = flags.last;
  options.successes_only = flags.outcome == "success";
  options.deployments = among(flags.purposes, "deployment");
  options.demonstrations = among(flags.purposes, "demonstration");
  options.evaluations = among(flags.purposes, "evaluation");
  if (options.pictures == PictureStorage::kVideo) {
    const Result<std::string> ffmpeg = find_ffmpeg();
    if (!ffmpeg.ok()) return fail(ffmpeg.status());
    if (const Status able = check_codec(*ffmpeg, options.codec); !able.ok()) return fail(able);
    options.ffmpeg = *ffmpeg;
  }
  Result<std::unique_ptr<Log>> log = open_log(program, flags.state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  Result<LogRobot> robot = log_robot(program, **log);
  if (!robot.ok()) return fail(robot.status());
  options.robot = std::move(robot->names);
  options.source = std::move(robot->source);

  std::optional<ProgressBar> bar;
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!bar) {
      bar.emplace(stderr, progress_style(stderr, program.json || program.quiet), "exporting",
                  std::max<std::uint64_t>(1, total), steady_now());
    }
    bar->update(done, "steps", steady_now());
  };
  const Result<LerobotExportReport> report =
      export_lerobot(posix_files(), **log, options, progress);
  if (!report.ok()) {
    bar.reset();
    return fail(report.status());
  }
  if (bar) bar->finish("exported", steady_now());
  if (program.json) {
    std::printf("%s\n", report_json(*report, flags.dir)
                            .dump(2, ' ', false, Json::error_handler_t::replace)
                            .c_str());
  } else {
    print_report(*report, flags.dir);
  }
  return kExitOk;
}

}  // namespace

void add_export_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("export", "Write episodes for other tools");
  command->require_subcommand(1);
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* lerobot = command->add_subcommand(
      "lerobot", "Write episodes as a LeRobot data set; run it again to add what is new");
  lerobot->add_option("folder", flags->dir, "Of the data set; made when missing")->required();
  lerobot->add_option("--state", flags->state,
                      "State folder; by default state.dir of the configuration");
  lerobot->add_option("--format", flags->format, "v3.0 for LeRobot, v2.1 for openpi")
      ->capture_default_str()
      ->check(CLI::IsMember({"v3.0", "v2.1"}));
  lerobot
      ->add_option("--pictures", flags->pictures,
                   "embedded: the log's JPEGs as they are; video: MP4 by ffmpeg; none")
      ->capture_default_str()
      ->check(CLI::IsMember({"embedded", "video", "none"}));
  lerobot->add_option("--codec", flags->codec, "Of videos")
      ->capture_default_str()
      ->check(CLI::IsMember({"av1", "h264"}));
  lerobot
      ->add_option("--purpose", flags->purposes,
                   "Episodes to take: deployment, demonstration, evaluation, with commas between")
      ->capture_default_str()
      ->delimiter(',')
      ->check(CLI::IsMember({"deployment", "demonstration", "evaluation"}));
  lerobot
      ->add_option("--outcome", flags->outcome,
                   "success: only episodes labelled so; any: all but discarded ones")
      ->capture_default_str()
      ->check(CLI::IsMember({"any", "success"}));
  lerobot->add_option("--from", flags->first, "First episode of the log");
  lerobot->add_option("--to", flags->last, "Last episode of the log");
  lerobot->add_option("--fps", flags->fps, "Steps a second; by default the policy's")
      ->check(CLI::Range(1, 1000));
  lerobot->callback([&program, flags] {
    program.run = [&program, flags] { return export_to_lerobot(program, *flags); };
  });
}

}  // namespace nudge
