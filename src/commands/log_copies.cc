#include "src/commands/log_copies.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "policy/folder.h"
#include "policy/weights_store.h"
#include "replay/backup.h"
#include "src/cli/exit_code.h"
#include "src/commands/state.h"
#include "src/daemon/damaged_log.h"
#include "src/daemon/entrance.h"
#include "src/loop/clock.h"
#include "src/loop/state_folder.h"
#include "src/ports/access.h"
#include "src/ports/signed_head.h"

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

// Also what an older version kept beside the weights.
bool is_secret(const fs::path& file) { return file.extension() == ".key"; }

// For its owner alone.
Status copy_secret(const fs::path& from, const std::string& to) {
  std::error_code error;
  fs::create_directories(to, error);
  NUDGE_TRY(status_of(error, to));
  fs::permissions(to, fs::perms::owner_all, error);
  NUDGE_TRY(status_of(error, to));
  const std::string target = to + "/" + from.filename().string();
  fs::copy_file(from, target, fs::copy_options::overwrite_existing, error);
  NUDGE_TRY(status_of(error, target));
  fs::permissions(target, fs::perms::owner_read | fs::perms::owner_write, error);
  return status_of(error, target);
}

// The keys that sign weights and heads.
Status copy_keys(const std::string& state, const std::string& to) {
  for (const std::string folder : {"keys", HeadSeal::kFolder}) {
    std::error_code none;
    for (const fs::directory_entry& entry : fs::directory_iterator(state + "/" + folder, none)) {
      if (!entry.is_regular_file(none) || !is_secret(entry.path())) continue;
      NUDGE_TRY(copy_secret(entry.path(), to + "/" + folder));
    }
  }
  return {};
}

// The newest signed head, of before the snapshot: what is copied holds it. Empty: there is none.
std::string head_before(const std::string& state) {
  std::ifstream file(state + "/" + HeadSeal::kFolder + "/" + HeadSeal::kFile);
  std::string line;
  std::getline(file, line);
  return SignedHead::parse(line).ok() ? line : "";
}

Status write_head(const std::string& line, const std::string& to) {
  if (line.empty()) return {};
  const std::string folder = to + "/" + HeadSeal::kFolder;
  std::error_code error;
  fs::create_directories(folder, error);
  NUDGE_TRY(status_of(error, folder));
  fs::permissions(folder, fs::perms::owner_all, error);
  NUDGE_TRY(status_of(error, folder));
  std::ofstream file(folder + "/" + HeadSeal::kFile, std::ios::trunc);
  file << line << '\n';
  file.flush();
  return file ? Status() : unavailable("cannot write " + folder + "/" + HeadSeal::kFile);
}

// The weights and the settings: what a robot needs beside its log and its keys to boot.
Status copy_rest(const std::string& state, const std::string& to) {
  std::error_code error;
  const std::string weights = to + "/weights";
  fs::create_directories(weights, error);
  NUDGE_TRY(status_of(error, weights));
  fs::permissions(weights, fs::perms::owner_all, error);
  NUDGE_TRY(status_of(error, weights));
  for (const fs::directory_entry& entry : fs::directory_iterator(state + "/weights", error)) {
    if (!entry.is_regular_file(error) || is_secret(entry.path())) continue;
    const std::string target = weights + "/" + entry.path().filename().string();
    // Versions never change; one of the right size is there.
    const bool version = entry.path().extension() == ".safetensors";
    std::error_code none;
    if (version && fs::file_size(target, none) == entry.file_size(error)) continue;
    fs::copy_file(entry.path(), target, fs::copy_options::overwrite_existing, error);
    if (error == std::errc::no_such_file_or_directory) error.clear();  // pruned meanwhile
    NUDGE_TRY(status_of(error, target));
  }
  error.clear();
  if (fs::exists(state + "/config.toml", error)) {
    fs::copy_file(state + "/config.toml", to + "/config.toml", fs::copy_options::overwrite_existing,
                  error);
  }
  return status_of(error, to + "/config.toml");
}

Result<VerifyReport> verified(const std::string& folder, const std::string& head = "") {
  LogOptions options;
  options.dir = folder;
  options.boot = "cli";
  options.now = steady_now();
  options.wall_now = wall_now();
  options.read_only = true;
  const auto log = Log::open(posix_files(), options);
  if (!log.ok()) return log.status();
  const Result<SignedHead> kept = SignedHead::parse(head);
  return (*log)->verify(kept.ok() ? std::vector<ChainHead>{kept->head} : std::vector<ChainHead>{});
}

// Of the copied weights: robots that edit a base do not work without it.
Status check_bases(const std::string& to, VerifyReport& report) {
  Result<std::unique_ptr<Folder>> folder = open_folder(to + "/weights");
  if (!folder.ok()) return folder.status();
  Result<std::vector<std::string>> problems = problems_of_bases(**folder);
  if (!problems.ok()) return problems.status();
  for (std::string& problem : *problems) report.problems.push_back("weights: " + problem);
  return {};
}

int back_up(const Program& program, const std::string& flag, const std::string& to, bool keys) {
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return fail_open(program, state.status());
  std::error_code error;
  if (fs::equivalent(*state, to, error)) {
    return fail(invalid_argument(to + " is the state folder itself; name another folder"));
  }
  const bool made = fs::create_directories(to, error);
  if (error) return fail(status_of(error, to));
  // It holds what people said, and perhaps keys.
  if (made) fs::permissions(to, fs::perms::owner_all, error);
  BackupReport report;
  const std::string head = head_before(*state);
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
  if (const Status written = write_head(head, to); !written.ok()) return fail(written);
  if (keys) {
    if (const Status copied = copy_keys(*state, to); !copied.ok()) return fail(copied);
  }
  Result<VerifyReport> whole = verified(to + "/log", head);
  if (!whole.ok()) return fail(whole.status());
  if (const Status bases = check_bases(to, *whole); !bases.ok()) return fail(bases);
  if (program.json) {
    const Json result = {{"ok", whole->ok()},
                         {"folder", to},
                         {"events", whole->events},
                         {"steps", whole->steps},
                         {"segments", report.segments},
                         {"copied_segments", report.copied_segments},
                         {"copied_bytes", report.copied_bytes},
                         {"head", !head.empty()},
                         {"keys", keys},
                         {"problems", whole->problems}};
    std::printf("%s\n", result.dump(2).c_str());
  } else {
    std::printf("%llu events, %llu steps in %llu segments; %llu of them were new (%llu kB)\n",
                shown(whole->events), shown(whole->steps), shown(report.segments),
                shown(report.copied_segments), shown(report.copied_bytes / 1024));
    for (const std::string& problem : whole->problems) std::printf("PROBLEM %s\n", problem.c_str());
    if (!whole->ok()) {
      std::puts("the backup has the damage that the log has; see 'nudge log salvage'");
    } else if (keys) {
      std::puts(
          "the backup was read and is whole; keep it private, it holds the keys that sign weights "
          "and heads");
    } else {
      std::puts(
          "the backup was read and is whole. The key that signs weights is not in it (--keys takes "
          "it along): a robot that boots from it without keys/ holds until weights are trained "
          "anew");
    }
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
  const Result<SetAside> done = set_damaged_log_aside(*state, steady_now(), wall_now());
  if (!done.ok()) return fail(done.status());
  const SalvageReport* report = &done->report;
  const std::string& aside = done->folder;
  if (program.json) {
    const Json result = {{"events", report->events},
                         {"steps", report->steps},
                         {"lost", report->lost},
                         {"damaged_segments", report->damaged_segments},
                         {"database", report->database},
                         {"certain", report->certain},
                         {"set_aside", aside}};
    std::printf("%s\n", result.dump(2).c_str());
    return kExitOk;
  }
  std::printf("saved %llu events and %llu steps; %llu entries could not be read\n",
              shown(report->events), shown(report->steps), shown(report->lost));
  if (report->damaged_segments > 0) {
    std::printf("%llu segment files are damaged in part\n", shown(report->damaged_segments));
  }
  if (!report->database) std::puts("not all of the database could be read");
  if (!report->certain) {
    std::puts(
        "nobody knows which weights were confirmed last and whose teaching was withdrawn: the "
        "robot "
        "holds until weights are promoted, and nothing is learned until learning is resumed");
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
  auto keys = std::make_shared<bool>(false);
  copy->add_flag("--keys", *keys,
                 "Also the keys that sign weights and heads; keep such a backup private");
  copy->callback([&program, state, folder, keys] {
    program.run = [&program, state, folder, keys] {
      return back_up(program, *state, *folder, *keys);
    };
  });
  CLI::App* save = command.add_subcommand(
      "salvage", "Make a new log of what can be read of a damaged one, which is set aside");
  save->callback(
      [&program, state] { program.run = [&program, state] { return salvage(program, *state); }; });
}

}  // namespace nudge
