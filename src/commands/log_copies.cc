#include "src/commands/log_copies.h"

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "policy/folder.h"
#include "replay/backup.h"
#include "replay/salvage.h"
#include "src/cli/exit_code.h"
#include "src/commands/state.h"
#include "src/daemon/entrance.h"
#include "src/loop/clock.h"
#include "src/ports/access.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr Duration kPatience = std::chrono::seconds(60);
constexpr std::size_t kSnapshotPages = 4096;
constexpr int kTries = 5;  // of a snapshot, while episodes are evicted under our hands

unsigned long long shown(std::uint64_t number) { return number; }

// ---- backup ----

// The daemon makes the snapshot: nobody opens its database beside it.
Status ask_for_snapshot(const std::string& state) {
  Result<std::unique_ptr<Folder>> folder = open_folder(state + "/run");
  if (!folder.ok()) return folder.status();
  const Result<LocalDoor> door = read_local_door(**folder);
  if (door.status().code() == Code::kNotFound) {
    return unavailable("another program has the log, or the daemon is just starting; try again");
  }
  if (!door.ok()) return door.status();
  const Result<Access> access = Access::load_or_create(**folder);
  if (!access.ok()) return access.status();
  const Result<HttpAnswer> answer = call(*door,
                                         {.method = "POST",
                                          .path = "/api/v1/log/snapshot",
                                          .token = access->token(Role::kEngineer),
                                          .body = "{}"},
                                         kPatience);
  if (!answer.ok()) return answer.status();
  if (answer->status == 200) return {};
  const Json json = Json::parse(answer->body, nullptr, /*allow_exceptions=*/false);
  const std::string detail = json.is_object() && json.contains("detail")
                                 ? json["detail"].get<std::string>()
                                 : "the daemon answered with " + std::to_string(answer->status);
  return answer->status == 507 ? resource_exhausted(detail) : unavailable(detail);
}

// A copy of the database beside the log, by the daemon that has it open, or by us.
Status snapshot(const Program& program, const std::string& flag, const std::string& state) {
  Result<std::unique_ptr<Log>> log = open_log(program, flag, /*read_only=*/true);
  if (log.status().code() == Code::kUnavailable) return ask_for_snapshot(state);
  if (!log.ok()) return log.status();
  NUDGE_TRY((*log)->start_snapshot(state + "/log/snapshot.db"));
  while (true) {
    const Result<bool> done = (*log)->go_on_with_snapshot(kSnapshotPages);
    if (!done.ok()) return done.status();
    if (*done) return {};
  }
}

Status of_files(const std::error_code& error, const std::string& path) {
  if (!error) return {};
  const std::string text = path + ": " + error.message();
  if (error == std::errc::no_space_on_device) return resource_exhausted(text);
  return error == std::errc::permission_denied ? permission_denied(text) : unavailable(text);
}

// The weights with their key, and the settings: what a robot needs beside its log to boot.
Status copy_rest(const std::string& state, const std::string& to) {
  std::error_code error;
  const std::string weights = to + "/weights";
  fs::create_directories(weights, error);
  NUDGE_TRY(of_files(error, weights));
  fs::permissions(weights, fs::perms::owner_all, error);
  NUDGE_TRY(of_files(error, weights));
  for (const fs::directory_entry& entry : fs::directory_iterator(state + "/weights", error)) {
    if (!entry.is_regular_file(error)) continue;
    const std::string target = weights + "/" + entry.path().filename().string();
    // Versions never change; one of the right size is there.
    const bool version = entry.path().extension() == ".safetensors";
    std::error_code none;
    if (version && fs::file_size(target, none) == entry.file_size(error)) continue;
    fs::copy_file(entry.path(), target, fs::copy_options::overwrite_existing, error);
    if (error == std::errc::no_such_file_or_directory) error.clear();  // pruned meanwhile
    NUDGE_TRY(of_files(error, target));
  }
  error.clear();
  if (fs::exists(state + "/config.toml", error)) {
    fs::copy_file(state + "/config.toml", to + "/config.toml", fs::copy_options::overwrite_existing,
                  error);
  }
  return of_files(error, to + "/config.toml");
}

Result<VerifyReport> verified(const std::string& folder) {
  LogOptions options;
  options.dir = folder;
  options.boot = "cli";
  options.now = steady_now();
  options.wall_now = wall_now();
  options.read_only = true;
  const auto log = Log::open(posix_files(), options);
  if (!log.ok()) return log.status();
  return (*log)->verify();
}

int back_up(const Program& program, const std::string& flag, const std::string& to) {
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return fail_open(program, state.status());
  std::error_code error;
  if (fs::equivalent(*state, to, error)) {
    return fail(invalid_argument(to + " is the state folder itself; name another folder"));
  }
  const bool made = fs::create_directories(to, error);
  if (error) return fail(of_files(error, to));
  // It holds the key that signs weights.
  if (made) fs::permissions(to, fs::perms::owner_all, error);
  BackupReport report;
  for (int i = 0; i < kTries; ++i) {
    if (const Status taken = snapshot(program, flag, *state); !taken.ok()) {
      return fail_open(program, taken);
    }
    const std::string database = *state + "/log/snapshot.db";
    Result<BackupReport> copied =
        back_up_log(posix_files(), *state + "/log", database, to + "/log");
    fs::remove(database, error);
    if (!copied.ok()) return fail(copied.status());
    report = *std::move(copied);
    if (report.gone.empty()) break;
  }
  if (!report.gone.empty()) {
    return fail(unavailable("episodes are deleted faster than they can be copied; " + to +
                            " holds the backup of before. Try again"));
  }
  if (const Status rest = copy_rest(*state, to); !rest.ok()) return fail(rest);
  const Result<VerifyReport> whole = verified(to + "/log");
  if (!whole.ok()) return fail(whole.status());
  if (program.json) {
    const Json result = {{"ok", whole->ok()},
                         {"folder", to},
                         {"events", whole->events},
                         {"steps", whole->steps},
                         {"segments", report.segments},
                         {"copied_segments", report.copied_segments},
                         {"copied_bytes", report.copied_bytes},
                         {"problems", whole->problems}};
    std::printf("%s\n", result.dump(2).c_str());
  } else {
    std::printf("%llu events, %llu steps in %llu segments; %llu of them were new (%llu kB)\n",
                shown(whole->events), shown(whole->steps), shown(report.segments),
                shown(report.copied_segments), shown(report.copied_bytes / 1024));
    for (const std::string& problem : whole->problems) std::printf("PROBLEM %s\n", problem.c_str());
    std::puts(whole->ok() ? "the backup was read and is whole; keep it private, it holds the key "
                            "that signs weights"
                          : "the backup has the damage that the log has; see 'nudge log salvage'");
  }
  return whole->ok() ? kExitOk : kExitData;
}

// ---- salvage ----

int salvage(const Program& program, const std::string& flag) {
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return fail_open(program, state.status());
  FileSystem& files = posix_files();
  const std::string folder = *state + "/log";
  const Result<bool> there = files.exists(folder);
  if (!there.ok()) return fail(there.status());
  if (!*there) return fail(not_found("there is no log in " + *state + "; name it with --state"));
  const Result<VerifyReport> whole = verified(folder);
  if (whole.ok() && whole->ok()) {
    std::puts(program.json ? "{\"whole\": true}" : "the log is whole: there is nothing to salvage");
    return kExitOk;
  }
  if (whole.status().code() == Code::kUnimplemented) return fail(whole.status());  // a newer one
  Result<std::unique_ptr<File>> lock = files.open(folder + "/lock", OpenMode::kCreate);
  if (!lock.ok()) return fail(lock.status());
  if (!(*lock)->lock().ok()) {
    return fail(unavailable(folder + ": the log is in use; stop the daemon first"));
  }
  const std::string name = std::to_string(wall_now().time_since_epoch() / std::chrono::seconds(1));
  LogOptions to;
  to.dir = *state + "/log.salvaged";
  to.boot = "salvage-" + name;
  to.now = steady_now();
  to.wall_now = wall_now();
  // What a try that was broken off has left: it was made from the damaged log, which is whole yet.
  std::error_code error;
  fs::remove_all(to.dir, error);
  if (error) return fail(of_files(error, to.dir));
  const Result<SalvageReport> report = salvage_log(files, folder, to);
  if (!report.ok()) return fail(report.status());
  const std::string aside = *state + "/log.damaged-" + name;
  for (const Status& step :
       {files.rename(folder, aside), files.rename(to.dir, folder), files.sync_directory(*state)}) {
    if (!step.ok()) return fail(step);
  }
  if (program.json) {
    const Json result = {
        {"events", report->events},     {"steps", report->steps},
        {"lost", report->lost},         {"damaged_segments", report->damaged_segments},
        {"database", report->database}, {"set_aside", aside}};
    std::printf("%s\n", result.dump(2).c_str());
    return kExitOk;
  }
  std::printf("saved %llu events and %llu steps; %llu entries could not be read\n",
              shown(report->events), shown(report->steps), shown(report->lost));
  if (report->damaged_segments > 0) {
    std::printf("%llu segment files are damaged in part\n", shown(report->damaged_segments));
  }
  if (!report->database) {
    std::puts(
        "nothing of the database could be read: labels, corrections and which weights are "
        "confirmed are lost; the robot holds until weights are promoted");
  }
  std::printf("the damaged log was set aside in %s\n", aside.c_str());
  return kExitOk;
}

}  // namespace

void add_log_copies(Program& program, CLI::App& command, std::shared_ptr<std::string> state) {
  auto folder = std::make_shared<std::string>();
  CLI::App* copy = command.add_subcommand(
      "backup", "Copy log and weights into a folder, also while the daemon runs");
  copy->add_option("folder", *folder, "Made when missing; a backup in it is brought up to date")
      ->required();
  copy->callback([&program, state, folder] {
    program.run = [&program, state, folder] { return back_up(program, *state, *folder); };
  });
  CLI::App* save = command.add_subcommand(
      "salvage", "Make a new log of what can be read of a damaged one, which is set aside");
  save->callback(
      [&program, state] { program.run = [&program, state] { return salvage(program, *state); }; });
}

}  // namespace nudge
