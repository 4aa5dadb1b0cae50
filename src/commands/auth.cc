#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/cli/terminal.h"
#include "src/commands/auth_key.h"
#include "src/commands/auth_token.h"
#include "src/commands/command.h"
#include "src/commands/local_daemon.h"
#include "src/commands/pairing_text.h"
#include "src/commands/state.h"
#include "src/ports/devices.h"
#include "src/ports/private_file.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

// The state folder's devices: asked of the daemon where one runs, else in its file.
class Keys {
 public:
  static Result<Keys> open(const Program& program, const std::string& flag) {
    const Result<std::string> state = state_folder(program, flag);
    if (!state.ok()) return state.status();
    Keys keys;
    keys.state_ = *state;
    const std::string path = *state + "/run";
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      return not_found("there are no devices in " + *state +
                       "; name the daemon's state folder with --state");
    }
    // Who has the log has the folder: the daemon, or we.
    Result<std::unique_ptr<Log>> log = open_log(program, flag, /*read_only=*/true);
    if (log.ok()) {
      keys.lock_ = *std::move(log);
    } else if (log.status().code() != Code::kUnavailable) {
      return log.status();
    }
    Result<std::unique_ptr<Folder>> folder = open_folder(path);
    if (!folder.ok()) return folder.status();
    keys.folder_ = *std::move(folder);
    return keys;
  }

  bool daemon_runs() const { return lock_ == nullptr; }

  // Of the running daemon. An answer that is a refusal is a Status.
  Result<Json> ask(const std::string& method, const std::string& path, const std::string& body) {
    const Result<std::string> answer = ask_daemon(state_, method, path, body);
    if (!answer.ok()) return answer.status();
    Json json = Json::parse(*answer, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return unavailable("the daemon's answer is not understood");
    return json;
  }

  // Of the file, while no daemon runs.
  Result<Devices> load() {
    const Result<std::string> text = read_private(*folder_, kDevicesFile, Devices::kMaxFile);
    if (text.status().code() == Code::kNotFound) return Devices("");
    if (!text.ok()) return text.status();
    return Devices::decode(*text, "");
  }
  Status save(const Devices& devices) {
    return replace_private(*folder_, kDevicesFile, devices.encode());
  }

 private:
  std::string state_;
  std::unique_ptr<Log> lock_;
  std::unique_ptr<Folder> folder_;
};

std::int64_t milliseconds(WallTime time) {
  return time.time_since_epoch() / std::chrono::milliseconds(1);
}

Result<Json> device_rows(Keys& keys) {
  if (keys.daemon_runs()) {
    Result<Json> answer = keys.ask("GET", "/api/v1/devices", "");
    if (!answer.ok()) return answer.status();
    return (*answer)["devices"];
  }
  Result<Devices> devices = keys.load();
  if (!devices.ok()) return devices.status();
  Json rows = Json::array();
  for (const Device& device : devices->list()) {
    rows.push_back({{"id", device.id},
                    {"name", device.name},
                    {"role", to_string(device.role)},
                    {"robot", device.robot},
                    {"paired_ms", milliseconds(device.paired)},
                    {"seen_ms", milliseconds(device.seen)},
                    {"expires_ms", milliseconds(Devices::expiry(device))},
                    {"connected", 0}});
  }
  return rows;
}

std::string time_text(const Json& row, const char* name) {
  return rfc3339(WallTime(std::chrono::milliseconds(row.value(name, std::int64_t{0}))));
}

int list(const Program& program, const std::string& state) {
  Result<Keys> keys = Keys::open(program, state);
  if (!keys.ok()) return fail_open(program, keys.status());
  const Result<Json> rows = device_rows(*keys);
  if (!rows.ok()) return fail(rows.status());
  if (program.json) {
    std::printf("%s\n", rows->dump(2).c_str());
    return kExitOk;
  }
  Table table({"device", "name", "role", "robot", "paired", "seen", "connected"});
  for (const Json& row : *rows) {
    table.add({row.value("id", ""), row.value("name", ""), row.value("role", ""),
               row.value("robot", ""), time_text(row, "paired_ms"), time_text(row, "seen_ms"),
               std::to_string(row.value("connected", 0))});
  }
  std::fputs(table.text().c_str(), stdout);
  return kExitOk;
}

int pair(const Program& program, const std::string& state, const std::string& role) {
  Result<Keys> keys = Keys::open(program, state);
  if (!keys.ok()) return fail_open(program, keys.status());
  if (!keys->daemon_runs()) {
    return fail(unavailable(
        "a device is paired with a daemon that runs; start 'nudge run --listen 0.0.0.0' first"));
  }
  const Result<Json> made =
      keys->ask("POST", "/api/v1/pairing-codes", Json({{"role", role}}).dump());
  if (!made.ok()) return fail(made.status());
  if (program.json) {
    std::printf("%s\n", made->dump(2).c_str());
    return kExitOk;
  }
  PairingOffer offer;
  offer.code = made->value("code", "");
  offer.role = device_role(role).value_or(Role::kSupervisor);
  offer.urls = made->value("urls", std::vector<std::string>());
  offer.fingerprint = made->value("fingerprint", "");
  std::printf("%s", pairing_text(offer, ::isatty(STDOUT_FILENO) == 1).c_str());
  return kExitOk;
}

int revoke(const Program& program, const std::string& state, const std::string& id) {
  Result<Keys> keys = Keys::open(program, state);
  if (!keys.ok()) return fail_open(program, keys.status());
  if (keys->daemon_runs()) {
    const bool plain = !id.empty() && std::all_of(id.begin(), id.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
    if (!plain) return fail(not_found("there is no device '" + id + "'; see 'nudge auth list'"));
    const Result<Json> done = keys->ask("POST", "/api/v1/devices/" + id + "/revoke", "");
    if (!done.ok()) return fail(done.status());
  } else {
    Result<Devices> devices = keys->load();
    if (!devices.ok()) return fail(devices.status());
    if (!devices->revoke(id)) {
      return fail(not_found("there is no device '" + id + "'; see 'nudge auth list'"));
    }
    if (const Status saved = keys->save(*devices); !saved.ok()) return fail(saved);
  }
  std::puts(program.json ? "{\"ok\": true}" : "revoked");
  return kExitOk;
}

}  // namespace

void add_auth_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "auth",
      "Who may come in: devices of people, keys of robots and arms, tokens of this machine");
  command->require_subcommand(1);
  multiplies_nothing(*command, program);
  auto state = std::make_shared<std::string>();
  auto role = std::make_shared<std::string>("supervisor");
  auto id = std::make_shared<std::string>();
  command->add_option("--state", *state, "State folder; by default state.dir of the configuration");
  CLI::App* ls = command->add_subcommand("list", "Every device that is paired");
  ls->callback(
      [&program, state] { program.run = [&program, state] { return list(program, *state); }; });
  CLI::App* add =
      command->add_subcommand("pair", "A code for one more device, of a running daemon");
  add->add_option("--role", *role, "viewer, supervisor or engineer")
      ->capture_default_str()
      ->check(CLI::IsMember({"viewer", "supervisor", "engineer"}));
  add->callback([&program, state, role] {
    program.run = [&program, state, role] { return pair(program, *state, *role); };
  });
  add_auth_key_command(program, *command, state);
  add_auth_token_command(program, *command, state);
  CLI::App* drop = command->add_subcommand("revoke", "A device has no access any more, at once");
  drop->add_option("device", *id, "Its number, as in 'nudge auth list'")->required();
  drop->callback([&program, state, id] {
    program.run = [&program, state, id] { return revoke(program, *state, *id); };
  });
}

}  // namespace nudge
