#include "src/commands/log_reencode.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/state.h"
#include "src/loop/clock.h"
#include "src/loop/perception.h"
#include "src/loop/reencoding.h"
#include "src/loop/robot_record.h"

namespace nudge {
namespace {

int reencode(const Program& program, const std::string& flag) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  if (!looks_at_cameras(loaded->config)) {
    return fail(failed_precondition(
        "policy.backbone is \"state\": the object state is not in the log but as features; name a "
        "backbone that looks at cameras, with --set policy.backbone=..."));
  }
  use_one_torch_thread();
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return fail_open(program, state.status());
  std::optional<RobotSpec> robot;
  {
    Result<std::unique_ptr<Log>> log = open_log(program, flag, /*read_only=*/true);
    if (!log.ok()) return fail_open(program, log.status());
    Result<std::optional<RobotSpec>> recorded = recorded_robot(**log);
    if (!recorded.ok()) return fail(recorded.status());
    robot = *std::move(recorded);
  }
  if (!robot) {
    return fail(
        failed_precondition("the log does not say what the robot is: it is of an earlier "
                            "version; start 'nudge run' once, and stop it again"));
  }
  std::string note;
  const Result<std::unique_ptr<Backbone>> backbone =
      make_backbone(loaded->config, robot->observation, &note);
  if (!backbone.ok()) return fail(backbone.status());
  if (!note.empty()) std::fprintf(stderr, "note: %s\n", note.c_str());
  std::optional<ProgressBar> bar;
  const Result<ReencodeReport> report =
      reencode_log(posix_files(), *state, **backbone, steady_now(), wall_now(),
                   [&](std::uint64_t done, std::uint64_t total) {
                     if (!bar) {
                       bar.emplace(stderr, progress_style(stderr, program.json || program.quiet),
                                   "encoding", total, steady_now());
                     }
                     bar->update(done, "entries", steady_now());
                   });
  if (!report.ok()) {
    bar.reset();
    return fail(report.status());
  }
  if (bar) bar->finish("done", steady_now());
  bar.reset();
  if (program.json) {
    const nlohmann::json json = {{"steps", report->steps},     {"encoded", report->encoded},
                                 {"reused", report->reused},   {"kept", report->kept},
                                 {"without", report->without}, {"set_aside", report->set_aside}};
    std::printf("%s\n", json.dump(2).c_str());
    return kExitOk;
  }
  const auto shown = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf("%llu steps: %llu encoded now, %llu earlier, %llu had these features already\n",
              shown(report->steps), shown(report->encoded), shown(report->reused),
              shown(report->kept));
  if (report->without > 0) {
    std::printf("%llu steps have no fitting pictures, and teach nothing with this backbone\n",
                shown(report->without));
  }
  if (report->set_aside.empty()) {
    std::puts("the log stays as it is");
    return kExitOk;
  }
  std::printf(
      "the log as it was is kept in %s\nweights of another backbone are refused from now on; "
      "'nudge train' makes new ones\n",
      report->set_aside.c_str());
  return kExitOk;
}

}  // namespace

void add_log_reencode(Program& program, CLI::App& command, std::shared_ptr<std::string> state) {
  CLI::App* again = command.add_subcommand(
      "reencode", "Make the features of all steps anew, with policy.backbone");
  again->callback([&program, state] {
    program.calculates = true;  // as no other command of the log's
    program.run = [&program, state] { return reencode(program, *state); };
  });
}

}  // namespace nudge
