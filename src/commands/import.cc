#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "policy/backbone.h"
#include "replay/segment_reader.h"
#include "src/cli/exit_code.h"
#include "src/cli/scratch_folder.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/log_robot.h"
#include "src/datasets/lerobot_import.h"
#include "src/datasets/lerobot_source.h"
#include "src/loop/clock.h"
#include "src/loop/perception.h"
#include "src/loop/state_folder.h"
#include "src/loop/state_log.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

struct ImportFlags {
  std::string state;
  std::string dir;
  bool without_features = false;
  double positions = 0;
  std::string units = "same";
};

// The newest segment that the log still has; none: it has no episode.
Result<std::optional<SegmentSpec>> newest_segment(Log& log) {
  constexpr EpisodeId kLook = 1'000;  // those before may as well be of another robot
  const EpisodeId next = log.next_episode_id();
  const Result<std::vector<EpisodeSummary>> episodes =
      log.episodes(next > kLook ? next - kLook : 1, kLook);
  if (!episodes.ok()) return episodes.status();
  for (auto episode = episodes->rbegin(); episode != episodes->rend(); ++episode) {
    const auto reader = SegmentReader::open(posix_files(), episode->path);
    if (reader.ok()) return std::optional((*reader)->spec());
  }
  return std::optional<SegmentSpec>();
}

std::size_t size_of(const LerobotSource& source, const char* feature) {
  const auto found = source.info.features.find(feature);
  const bool vector = found != source.info.features.end() && found->second.shape.size() == 1;
  return vector ? found->second.shape[0] : 0;
}

// What makes the features of this robot's policy of what a data set has; null: nothing here does.
Result<std::shared_ptr<Backbone>> backbone_of(const Program& program, const Config& config,
                                              const LogRobot& robot) {
  // One that looks at pictures makes features of the log's own, later: nudge log reencode.
  if (!robot.spec || looks_at_cameras(config)) return std::shared_ptr<Backbone>();
  std::string note;
  Result<std::unique_ptr<Backbone>> made = make_backbone(config, robot.spec->observation, &note);
  if (!made.ok()) return made.status();
  if (!note.empty() && !program.quiet) std::fprintf(stderr, "nudge: %s\n", note.c_str());
  return std::shared_ptr<Backbone>(*std::move(made));
}

// What episodes of this robot hold: as the program says, else as the log's own episodes do, else
// whatever the data set brings.
Status describe_robot(Log& log, const std::string& dir, LerobotImportOptions& options) {
  RobotNames& robot = options.robot;
  const Result<std::optional<SegmentSpec>> segment = newest_segment(log);
  if (!segment.ok()) return segment.status();
  if (*segment) {
    options.segment = **segment;
  } else if (!robot.action.empty()) {
    options.segment.proprioception_size = robot.state.size();
    options.segment.action_size = robot.action.size();
    options.segment.feature_size = robot.object_state.size();
    options.segment.backbone_hash = robot.state_backbone;
    if (options.backbone != nullptr) {
      options.segment.feature_size = options.backbone->feature_size();
      options.segment.backbone_hash = options.backbone->hash();
    }
    options.any_camera = true;
  } else {
    const Result<LerobotSource> source = open_lerobot_source(posix_files(), dir);
    if (!source.ok()) return source.status();
    options.segment.proprioception_size = size_of(*source, lerobot::kState);
    options.segment.action_size = size_of(*source, lerobot::kAction);
    options.any_camera = true;
  }
  if (options.segment.cameras.empty()) options.any_camera = true;
  if (*segment && robot.action.size() != options.segment.action_size) robot.action.clear();
  if (*segment && robot.state.size() != options.segment.proprioception_size) robot.state.clear();
  return {};
}

int import_from_lerobot(const Program& program, const ImportFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  const std::string folder = flags.state.empty() ? loaded->config.state.dir : flags.state;
  if (const Status made = make_state_folder(folder); !made.ok()) return fail(made);
  LerobotImportOptions options;
  options.dir = flags.dir;
  options.without_features = flags.without_features;
  options.positions_at = flags.positions;
  options.units = flags.units == "degrees"   ? LerobotUnits::kDegrees
                  : flags.units == "percent" ? LerobotUnits::kPercent
                                             : LerobotUnits::kSame;
  options.now = steady_now();
  options.wall_now = wall_now();
  options.boot = new_boot_id(options.wall_now);
  Result<std::unique_ptr<Log>> log = open_state_log(
      posix_files(), folder,
      state_log_options(folder, loaded->config, options.boot, options.now, options.wall_now));
  if (!log.ok()) return fail(log.status());
  Result<LogRobot> robot = log_robot(program, **log);
  if (!robot.ok()) return fail(robot.status());
  Result<std::shared_ptr<Backbone>> backbone = backbone_of(program, loaded->config, *robot);
  if (!backbone.ok()) return fail(backbone.status());
  options.backbone = *std::move(backbone);
  options.robot = std::move(robot->names);
  if (const Status known = describe_robot(**log, flags.dir, options); !known.ok()) {
    return fail(known);
  }
  const ScratchFolder scratch("import");
  if (scratch.path().empty())
    return fail(unavailable("no temporary folder can be made; set TMPDIR"));
  options.scratch = scratch.path();

  std::optional<ProgressBar> bar;
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!bar) {
      bar.emplace(stderr, progress_style(stderr, program.json || program.quiet), "importing",
                  std::max<std::uint64_t>(1, total), steady_now());
    }
    bar->update(done, "steps", steady_now());
  };
  const Result<LerobotImportReport> report =
      import_lerobot(posix_files(), **log, options, progress);
  if (!report.ok()) {
    bar.reset();
    fail(report.status());
    // What does not fit is the data, not the command.
    return report.status().code() == Code::kInvalidArgument ? static_cast<int>(kExitData)
                                                            : exit_code(report.status());
  }
  if (bar) bar->finish("imported", steady_now());
  if (program.json) {
    const Json result = {{"folder", flags.dir},
                         {"state", folder},
                         {"new_episodes", report->new_episodes},
                         {"new_steps", report->new_steps},
                         {"known_episodes", report->known_episodes},
                         {"ignored_cameras", report->ignored_cameras}};
    std::printf("%s\n", result.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return kExitOk;
  }
  for (const std::string& camera : report->ignored_cameras) {
    std::fprintf(stderr, "nudge: camera %s was left out: the robot has none of that name\n",
                 camera.c_str());
  }
  std::printf("%llu new demonstrations (%llu steps); %llu were in the log already\n",
              static_cast<unsigned long long>(report->new_episodes),
              static_cast<unsigned long long>(report->new_steps),
              static_cast<unsigned long long>(report->known_episodes));
  return kExitOk;
}

}  // namespace

void add_import_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("import", "Bring demonstrations in");
  command->require_subcommand(1);
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* lerobot = command->add_subcommand(
      "lerobot", "Bring the episodes of a LeRobot data set (v3.0, v2.1) in as demonstrations");
  lerobot->add_option("folder", flags->dir, "Of the data set")->required();
  lerobot->add_option("--state", flags->state,
                      "State folder; by default state.dir of the configuration");
  lerobot->add_flag("--without-features", flags->without_features,
                    "Also when the data set lacks what the policy looks at");
  lerobot
      ->add_option("--positions", flags->positions,
                   "Actions are goal positions; +1 is so much a second, in the robot's unit")
      ->check(CLI::PositiveNumber);
  lerobot
      ->add_option(
          "--units", flags->units,
          "Of state and goals: degrees (a gripper in percent), percent, or the robot's own")
      ->capture_default_str()
      ->check(CLI::IsMember({"same", "degrees", "percent"}));
  lerobot->callback([&program, flags] {
    program.run = [&program, flags] { return import_from_lerobot(program, *flags); };
  });
}

}  // namespace nudge
