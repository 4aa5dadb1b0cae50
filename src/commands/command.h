// What the commands of the program share. Each add_..._command() registers one verb with its flags;
// the chosen one leaves its work in Program::run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "src/config/config.h"

namespace nudge {

struct Program {
  explicit Program(std::string self) : self_path(std::move(self)) {}

  CLI::App app{"People correct a deployed robot policy, and it learns while it works."};
  std::string self_path;          // of this program, to start the learner with
  std::string config_file;        // --config
  std::vector<std::string> sets;  // --set
  bool json = false;              // --json
  bool quiet = false;             // --quiet
  bool calculates = true;         // false: multiplies no matrices, and need not wait for blas.h
  std::function<int()> run;       // what was chosen; returns the exit code
};

// The configuration from file, environment and flags; robot.episode_steps, unless somebody set it,
// is that of the kitchen's level. Every message is for the person at the
// terminal.
Result<LoadedConfig> load_config(const Program& program);

// Clears Program::calculates for `command` and all below it; a callback of one below may set it.
void multiplies_nothing(CLI::App& command, Program& program);

// Adds --level, which is kitchen.level for the one run.
void add_level_flag(CLI::App& command, Program& program);

// The state folder: `flag` if given, else state.dir of the configuration.
Result<std::string> state_folder(const Program& program, const std::string& flag);

// Prints "nudge: <message>" to stderr and gives the exit code that fits.
int fail(const Status& status);
int fail_config(const Status& status);

void add_demo_command(Program& program);
void add_run_command(Program& program);
void add_supervise_command(Program& program);
void add_robot_command(Program& program);
void add_learn_command(Program& program);
void add_train_command(Program& program);
void add_backbone_command(Program& program);
void add_eval_command(Program& program);
void add_log_command(Program& program);
void add_weights_command(Program& program);
void add_export_command(Program& program);
void add_import_command(Program& program);
void add_auth_command(Program& program);
void add_config_command(Program& program);
void add_doctor_command(Program& program);

}  // namespace nudge
