#include "src/commands/command.h"

#include <cstdio>

#include "nudge/utf8.h"
#include "src/cli/exit_code.h"
#include "src/sim/level.h"

namespace nudge {

Result<LoadedConfig> load_config(const Program& program) {
  Result<LoadedConfig> loaded = load_config(ConfigInputs{
      .file = program.config_file, .environment = nudge_environment(), .sets = program.sets});
  if (!loaded.ok()) return loaded;
  Config& config = loaded->config;
  const Result<const KitchenLevel*> level = kitchen_level(static_cast<int>(config.kitchen.level));
  if (!level.ok()) return level.status();
  if (config.robot.driver == RobotDriver::kKitchen &&
      loaded->sources["robot.episode_steps"].origin == ConfigOrigin::kDefault) {
    config.robot.episode_steps = (*level)->data().episode_steps;
  }
  return loaded;
}

void multiplies_nothing(CLI::App& command, Program& program) {
  command.parse_complete_callback([&program] { program.calculates = false; });
}

void add_level_flag(CLI::App& command, Program& program) {
  command
      .add_option_function<int>(
          "--level",
          [&program](int level) {
            program.sets.push_back("kitchen.level=" + std::to_string(level));
          },
          "Level of the simulated kitchen, instead of kitchen.level")
      ->check(CLI::Range(1, static_cast<int>(kitchen_levels().size())));
}

Result<std::string> state_folder(const Program& program, const std::string& flag) {
  if (!flag.empty()) return flag;
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return loaded.status();
  return loaded->config.state.dir;
}

int fail(const Status& status) {
  std::fprintf(stderr, "nudge: %s\n", for_terminal(status.message()).c_str());
  // What a newer Nudge wrote is input that this one cannot read, not a bug in it.
  return status.code() == Code::kUnimplemented ? kExitData : exit_code(status);
}

int fail_config(const Status& status) {
  std::fprintf(stderr, "nudge: %s\n", for_terminal(status.message()).c_str());
  return status.code() == Code::kNotFound ? exit_code(status) : kExitConfig;
}

}  // namespace nudge
