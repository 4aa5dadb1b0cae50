#include "src/commands/auth_key.h"

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/state.h"
#include "src/daemon/curve_door.h"
#include "src/ports/change_lock.h"
#include "src/ports/devices.h"
#include "src/ports/keyring.h"
#include "src/ports/private_file.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

struct KeyFlags {
  std::string name, key, role = "supervisor", file;
};

Result<std::unique_ptr<Folder>> open_run(const Program& program, const std::string& flag) {
  const Result<std::string> path = run_path(program, flag);
  if (!path.ok()) return path.status();
  return open_folder(*path);
}

Result<Keyring> read_keyring(Folder& run) {
  const Result<std::string> text = read_private(run, kKeyringFile, Keyring::kMaxFile);
  if (text.status().code() == Code::kNotFound) return Keyring();
  if (!text.ok()) return text.status();
  return Keyring::decode(*text);
}

// A daemon that runs sees the file change; nobody has to ask it.
int change(const Program& program, const std::string& state, const char* done,
           const std::function<Status(Keyring&)>& act) {
  Result<std::string> path = run_path(program, state);
  if (!path.ok()) return fail_open(program, path.status());
  // From reading to writing: another command at the same time must not undo what this one does.
  const Result<ChangeLock> lock = ChangeLock::take(*path);
  if (!lock.ok()) return fail(lock.status());
  Result<std::unique_ptr<Folder>> run = open_folder(*path);
  if (!run.ok()) return fail(run.status());
  Result<Keyring> keyring = read_keyring(**run);
  if (!keyring.ok()) return fail(keyring.status());
  if (const Status acted = act(*keyring); !acted.ok()) return fail(acted);
  if (const Status kept = replace_private(**run, kKeyringFile, keyring->encode()); !kept.ok()) {
    return fail(kept);
  }
  std::puts(program.json ? "{\"ok\": true}" : done);
  return kExitOk;
}

int add(const Program& program, const std::string& state, const KeyFlags& flags) {
  return change(program, state, "added; it may come in at once", [&](Keyring& keyring) -> Status {
    const std::optional<CurveKey> key = from_z85(flags.key);
    if (!key) {
      return invalid_argument("'" + flags.key +
                              "' is not a public key: 40 characters of Z85, as 'nudge auth key "
                              "make' prints it");
    }
    Keyring::Entry entry{
        .name = flags.name, .use = Keyring::Use::kTeleop, .role = Role::kScript, .key = *key};
    if (flags.role == to_string(Keyring::Use::kRobot)) {
      entry.use = Keyring::Use::kRobot;
    } else if (const std::optional<Role> role = device_role(flags.role)) {
      entry.role = *role;
    }
    return keyring.add(std::move(entry));
  });
}

int revoke(const Program& program, const std::string& state, const std::string& name) {
  return change(
      program, state, "revoked; its connections end within a second",
      [&](Keyring& keyring) -> Status {
        if (keyring.remove(name)) return {};
        return not_found("there is no key called '" + name + "'; see 'nudge auth key ls'");
      });
}

int list(const Program& program, const std::string& state) {
  Result<std::unique_ptr<Folder>> run = open_run(program, state);
  if (!run.ok()) return fail_open(program, run.status());
  const Result<Keyring> keyring = read_keyring(**run);
  if (!keyring.ok()) return fail(keyring.status());
  const auto role_text = [](const Keyring::Entry& entry) {
    return std::string(entry.use == Keyring::Use::kRobot ? to_string(entry.use)
                                                         : to_string(entry.role));
  };
  if (program.json) {
    Json rows = Json::array();
    for (const Keyring::Entry& entry : keyring->list()) {
      rows.push_back(
          {{"name", entry.name}, {"role", role_text(entry)}, {"key", to_z85(entry.key)}});
    }
    std::printf("%s\n", rows.dump(2).c_str());
    return kExitOk;
  }
  Table table({"name", "role", "key"});
  for (const Keyring::Entry& entry : keyring->list()) {
    table.add({entry.name, role_text(entry), to_z85(entry.key)});
  }
  std::fputs(table.text().c_str(), stdout);
  return kExitOk;
}

int show_key(const Program& program, const CurveKey& key) {
  const std::string text = to_z85(key);
  if (program.json) {
    std::printf("%s\n", Json({{"key", text}}).dump().c_str());
  } else {
    std::puts(text.c_str());
  }
  return kExitOk;
}

int server(const Program& program, const std::string& state) {
  const Result<std::string> path = run_path(program, state);
  if (!path.ok()) return fail_open(program, path.status());
  const Result<ChangeLock> lock = ChangeLock::take(*path);
  if (!lock.ok()) return fail(lock.status());
  Result<std::unique_ptr<Folder>> run = open_folder(*path);
  if (!run.ok()) return fail(run.status());
  const Result<CurveIdentity> identity = CurveIdentity::load_or_create(**run, kCurveKeyFile);
  if (!identity.ok()) return fail(identity.status());
  return show_key(program, identity->public_key());
}

// On the machine of the robot or the arm: its secret never leaves it.
int make(const Program& program, const std::string& path) {
  const std::filesystem::path file = std::filesystem::absolute(path);
  if (std::filesystem::exists(std::filesystem::symlink_status(file))) {
    return fail(already_exists(path + " is there already; it is not written over"));
  }
  std::error_code error;
  if (!std::filesystem::is_directory(file.parent_path(), error)) {
    return fail(not_found("there is no folder " + file.parent_path().string()));
  }
  Result<std::unique_ptr<Folder>> folder = open_folder(file.parent_path().string());
  if (!folder.ok()) return fail(folder.status());
  const Result<CurveIdentity> identity =
      CurveIdentity::load_or_create(**folder, file.filename().string());
  if (!identity.ok()) return fail(identity.status());
  return show_key(program, identity->public_key());
}

}  // namespace

void add_auth_key_command(Program& program, CLI::App& auth,
                          const std::shared_ptr<std::string>& state) {
  CLI::App* command = auth.add_subcommand(
      "key", "Keys of robots and devices on other machines: make, add, list and revoke them");
  command->require_subcommand(1);
  auto flags = std::make_shared<KeyFlags>();
  CLI::App* making = command->add_subcommand("make", "A pair of keys for a client, into a file");
  making->add_option("file", flags->file, "The file, readable by you alone")->required();
  making->callback([&program, flags] {
    program.run = [&program, flags] { return make(program, flags->file); };
  });
  CLI::App* own = command->add_subcommand("server", "The daemon's own key, which clients need");
  own->callback(
      [&program, state] { program.run = [&program, state] { return server(program, *state); }; });
  CLI::App* ls = command->add_subcommand("ls", "Every key that may come in");
  ls->callback(
      [&program, state] { program.run = [&program, state] { return list(program, *state); }; });
  CLI::App* adding = command->add_subcommand("add", "Let a key in");
  adding->add_option("name", flags->name, "Whose it is, as the log will say")->required();
  adding->add_option("key", flags->key, "The public key, 40 characters")->required();
  adding
      ->add_option("--role", flags->role,
                   "robot, or for the teleop port: viewer, supervisor, engineer or script")
      ->capture_default_str()
      ->check(CLI::IsMember({"robot", "viewer", "supervisor", "engineer", "script"}));
  adding->callback([&program, state, flags] {
    program.run = [&program, state, flags] { return add(program, *state, *flags); };
  });
  CLI::App* dropping = command->add_subcommand("revoke", "A key may not come in any more, at once");
  dropping->add_option("name", flags->name, "Its name, as in 'nudge auth key ls'")->required();
  dropping->callback([&program, state, flags] {
    program.run = [&program, state, flags] { return revoke(program, *state, flags->name); };
  });
}

}  // namespace nudge
