#include "src/commands/command.h"

#include <cstdio>

#include "src/cli/exit_code.h"

namespace nudge {

Result<LoadedConfig> load_config(const Program& program) {
  return load_config(ConfigInputs{
      .file = program.config_file, .environment = nudge_environment(), .sets = program.sets});
}

Result<std::string> state_folder(const Program& program, const std::string& flag) {
  if (!flag.empty()) return flag;
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return loaded.status();
  return loaded->config.state.dir;
}

int fail(const Status& status) {
  std::fprintf(stderr, "nudge: %s\n", status.message().c_str());
  // What a newer Nudge wrote is input that this one cannot read, not a bug in it.
  return status.code() == Code::kUnimplemented ? kExitData : exit_code(status);
}

int fail_config(const Status& status) {
  std::fprintf(stderr, "nudge: %s\n", status.message().c_str());
  return status.code() == Code::kNotFound ? exit_code(status) : kExitConfig;
}

}  // namespace nudge
