#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "src/cli/blas.h"
#include "src/cli/exit_code.h"
#include "src/commands/command.h"

int main(int argc, char** argv) {
  try {
    nudge::Program program(std::filesystem::read_symlink("/proc/self/exe").string());
    CLI::App& app = program.app;
    app.set_version_flag("--version", "nudge " NUDGE_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("-c,--config", program.config_file, "Configuration file (TOML)");
    app.add_option("--set", program.sets, "One setting, as in --set learner.batch=64 (repeatable)");
    app.add_flag("--json", program.json, "Print results as JSON");
    app.add_flag("-q,--quiet", program.quiet, "No progress bars");
    nudge::add_demo_command(program);
    nudge::add_run_command(program);
    nudge::add_supervise_command(program);
    nudge::add_robot_command(program);
    nudge::add_learn_command(program);
    nudge::add_train_command(program);
    nudge::add_backbone_command(program);
    nudge::add_eval_command(program);
    nudge::add_log_command(program);
    nudge::add_weights_command(program);
    nudge::add_export_command(program);
    nudge::add_import_command(program);
    nudge::add_auth_command(program);
    nudge::add_config_command(program);
    nudge::add_doctor_command(program);
    try {
      app.parse(argc, argv);
    } catch (const CLI::RequiredError& error) {
      // A word that is no command is missed first, and only then found to be too much.
      const std::vector<std::string> left = app.remaining(/*recurse=*/true);
      if (left.empty()) {
        app.exit(error);
      } else {
        std::fprintf(stderr,
                     "nudge: unknown command or flag '%s'\nRun with --help for more information.\n",
                     left.front().c_str());
      }
      return nudge::kExitUsage;
    } catch (const CLI::ParseError& error) {
      const int code = app.exit(error);
      return code == 0 ? nudge::kExitOk : nudge::kExitUsage;
    }
    if (!program.run) return nudge::kExitUsage;
    // Before anything that could start threads: may start the program anew, see blas.h.
    if (program.calculates) {
      if (const nudge::Status status = nudge::prefer_fast_blas(argv); !status.ok()) {
        std::fprintf(stderr, "nudge: %s\n", status.message().c_str());
      }
    }
    return program.run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "nudge: internal error: %s; please report it\n", error.what());
    return nudge::kExitSoftware;
  }
}
