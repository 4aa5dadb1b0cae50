#include <cstdio>

#include "src/cli/exit_code.h"
#include "src/commands/command.h"

namespace nudge {

void add_config_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("config", "Show and check the configuration");
  command->require_subcommand(1);
  multiplies_nothing(*command, program);
  CLI::App* print =
      command->add_subcommand("print", "Every setting, and where its value comes from");
  print->callback([&program] {
    program.run = [&program] {
      const Result<LoadedConfig> loaded = load_config(program);
      if (!loaded.ok()) return fail_config(loaded.status());
      const std::string text =
          program.json ? print_config_json(*loaded) + "\n" : print_config(*loaded);
      std::fputs(text.c_str(), stdout);
      return static_cast<int>(kExitOk);
    };
  });
  CLI::App* check = command->add_subcommand("check", "Check it, and say nothing if it is right");
  check->callback([&program] {
    program.run = [&program] {
      const Result<LoadedConfig> loaded = load_config(program);
      if (!loaded.ok()) return fail_config(loaded.status());
      if (program.json) std::puts("{\"ok\": true}");
      return static_cast<int>(kExitOk);
    };
  });
  CLI::App* defaults = command->add_subcommand("defaults", "A file with every key, documented");
  defaults->callback([&program] {
    program.run = [] {
      std::fputs(default_config_file().c_str(), stdout);
      return static_cast<int>(kExitOk);
    };
  });
}

}  // namespace nudge
