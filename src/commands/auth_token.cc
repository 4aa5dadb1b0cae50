#include "src/commands/auth_token.h"

#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/openpi.h"
#include "src/commands/state.h"
#include "src/ports/access.h"
#include "src/ports/change_lock.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kOpenpi = "openpi";

std::optional<Role> role_of(const std::string& name) {
  for (const Role role : Access::kRolesByRank) {
    if (to_string(role) == name) return role;
  }
  return std::nullopt;
}

// What it does with the folder, nobody else does at the same time. A daemon that runs sees the
// files change; nobody has to ask it.
int within(const Program& program, const std::string& state,
           const std::function<Status(Folder&)>& act) {
  const Result<std::string> path = run_path(program, state);
  if (!path.ok()) return fail_open(program, path.status());
  const Result<ChangeLock> lock = ChangeLock::take(*path);
  if (!lock.ok()) return fail(lock.status());
  Result<std::unique_ptr<Folder>> run = open_folder(*path);
  if (!run.ok()) return fail(run.status());
  if (const Status acted = act(**run); !acted.ok()) return fail(acted);
  return kExitOk;
}

int list(const Program& program, const std::string& state) {
  return within(program, state, [&](Folder& run) -> Status {
    const Result<Access> access = Access::load_or_create(run);
    if (!access.ok()) return access.status();
    Json rows = Json::array();
    for (const Role role : Access::kRolesByRank) {
      const std::string& token = access->token(role);
      rows.push_back({{"token", to_string(role)}, {"id", token.empty() ? "" : token_id(token)}});
    }
    // Made when a port first needs it.
    const Result<std::string> key = read_openpi_key(run);
    if (!key.ok() && key.status().code() != Code::kNotFound) return key.status();
    rows.push_back({{"token", kOpenpi}, {"id", key.ok() ? token_id(*key) : ""}});
    if (program.json) {
      std::printf("%s\n", rows.dump(2).c_str());
      return {};
    }
    Table table({"token", "id"});
    for (const Json& row : rows) {
      const std::string id = row.value("id", "");
      table.add({row.value("token", ""), id.empty() ? "none" : id});
    }
    std::fputs(table.text().c_str(), stdout);
    return {};
  });
}

int change(const Program& program, const std::string& state, const std::string& name, bool renew) {
  return within(program, state, [&](Folder& run) -> Status {
    if (const std::optional<Role> role = role_of(name)) {
      Result<Access> access = Access::load_or_create(run);
      if (!access.ok()) return access.status();
      if (renew) {
        access->renew(*role);
      } else {
        access->revoke(*role);
      }
      NUDGE_TRY(access->save(run));
    } else {
      NUDGE_TRY(renew_openpi_key(run));
    }
    std::puts(program.json ? "{\"ok\": true}"
                           : "done; the one before opens nothing any more, and connections that "
                             "came with it end within a second");
    return {};
  });
}

int show(const Program& program, const std::string& state, const std::string& name) {
  return within(program, state, [&](Folder& run) -> Status {
    std::string secret;
    if (const std::optional<Role> role = role_of(name)) {
      const Result<Access> access = Access::load_or_create(run);
      if (!access.ok()) return access.status();
      secret = access->token(*role);
      if (secret.empty()) return not_found("there is no token of the " + name + "'s");
    } else {
      const Result<std::string> key = openpi_key(run);
      if (!key.ok()) return key.status();
      secret = *key;
    }
    std::puts(program.json ? Json({{"token", secret}}).dump().c_str() : secret.c_str());
    return {};
  });
}

}  // namespace

void add_auth_token_command(Program& program, CLI::App& auth,
                            const std::shared_ptr<std::string>& state) {
  CLI::App* command = auth.add_subcommand(
      "token", "The tokens of this machine, which never end: list, rotate and revoke them");
  command->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  const CLI::IsMember roles({"engineer", "supervisor", "viewer", "script"});
  const CLI::IsMember all({"engineer", "supervisor", "viewer", "script", kOpenpi});
  CLI::App* ls = command->add_subcommand("ls", "Which there are; no secret is shown");
  ls->callback(
      [&program, state] { program.run = [&program, state] { return list(program, *state); }; });
  CLI::App* rotate = command->add_subcommand("rotate", "Another one in its place, at once");
  rotate->add_option("token", *name, "The role, or openpi for that port's key")
      ->required()
      ->check(all);
  rotate->callback([&program, state, name] {
    program.run = [&program, state, name] { return change(program, *state, *name, true); };
  });
  CLI::App* drop = command->add_subcommand("revoke", "None for this role, at once");
  drop->add_option("role", *name, "The role")->required()->check(roles);
  drop->callback([&program, state, name] {
    program.run = [&program, state, name] { return change(program, *state, *name, false); };
  });
  CLI::App* one = command->add_subcommand("show", "The secret itself, for a program's settings");
  one->add_option("token", *name, "The role, or openpi")->required()->check(all);
  one->callback([&program, state, name] {
    program.run = [&program, state, name] { return show(program, *state, *name); };
  });
}

}  // namespace nudge
