#include "src/commands/log_copies.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "policy/flat_object.h"
#include "policy/folder.h"
#include "policy/manifest.h"
#include "policy/weights.h"
#include "policy/weights_store.h"
#include "replay/backup.h"
#include "src/cli/exit_code.h"
#include "src/commands/local_daemon.h"
#include "src/commands/state.h"
#include "src/daemon/damaged_log.h"
#include "src/loop/clock.h"
#include "src/loop/state_folder.h"
#include "src/loop/state_log.h"
#include "src/ports/signed_head.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr Duration kPatience = std::chrono::seconds(60);
constexpr std::size_t kSnapshotPages = 4096;
constexpr const char *kWeights = ".safetensors", *kManifest = ".manifest.json";
constexpr int kTries = 5;  // of a snapshot, while episodes are evicted under our hands

unsigned long long shown(std::uint64_t number) { return number; }

// ---- backup ----

// The daemon makes the snapshot: nobody opens its database beside it.
Status ask_for_snapshot(const std::string& state) {
  return ask_daemon(state, "POST", "/api/v1/log/snapshot", "{}", kPatience).status();
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
bool is_secret(const std::string& name) { return name.ends_with(".key"); }

// The folder and those on the way, for their owner alone.
Status make_private_folder(const std::string& path) {
  std::error_code error;
  if (fs::create_directories(path, error)) fs::permissions(path, fs::perms::owner_all, error);
  NUDGE_TRY(status_of(error, path));
  return sync_parent(posix_files(), path);
}

// Names of the plain files in a folder; none when it is not there.
Result<std::vector<std::string>> files_in(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return std::vector<std::string>{};
  std::vector<std::string> names;
  auto entry = fs::directory_iterator(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code gone;
    if (entry->is_regular_file(gone)) names.push_back(entry->path().filename().string());
  }
  NUDGE_TRY(status_of(error, folder));
  std::sort(names.begin(), names.end());
  return names;
}

// The keys that sign weights and heads.
Status copy_keys(const std::string& state, const std::string& to) {
  for (const std::string folder : {"keys", HeadSeal::kFolder}) {
    const std::string from = state + "/" + folder, target = to + "/" + folder;
    const Result<std::vector<std::string>> names = files_in(from);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (!is_secret(name)) continue;
      NUDGE_TRY(make_private_folder(target));
      const Result<bool> copied =
          replace_by_copy(posix_files(), from + "/" + name, target + "/" + name);
      if (!copied.ok()) return copied.status();
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
  const std::string path = to + "/" + HeadSeal::kFolder;
  NUDGE_TRY(make_private_folder(path));
  Result<std::unique_ptr<Folder>> folder = open_folder(path);
  if (!folder.ok()) return folder.status();
  const std::string text = line + "\n";
  return replace_file(**folder, HeadSeal::kFile, std::as_bytes(std::span(text)),
                      Folder::Privacy::kPrivate);
}

std::string without(const std::string& name, std::string_view suffix) {
  return name.substr(0, name.size() - suffix.size());
}

// Whether a file of weights is what its manifest says; true when there is no such manifest.
Result<bool> fits_manifest(Folder& weights, const std::string& version) {
  const auto text = weights.read(version + kManifest, Manifest::kMaxBytes);
  if (text.status().code() == Code::kNotFound) return true;
  if (!text.ok()) return text.status();
  std::string_view line(reinterpret_cast<const char*>(text->data()), text->size());
  if (line.ends_with('\n')) line.remove_suffix(1);
  const Result<FlatObject> manifest = FlatObject::parse(line);
  if (!manifest.ok()) return false;
  const Result<std::string> hash = manifest->get<std::string>("hash");
  const auto bytes = weights.read(version + kWeights, WeightsStore::kMaxWeightsBytes);
  if (!bytes.ok()) return bytes.status();
  return hash.ok() && to_hex(sha256(*bytes)) == *hash;
}

// The weights. What is in the copy already stays where the robot's own has been damaged since;
// those are told in `damaged`.
Status copy_weights(const std::string& state, const std::string& to,
                    std::vector<std::string>& damaged) {
  const std::string from = state + "/weights/", target = to + "/weights/";
  NUDGE_TRY(make_private_folder(to + "/weights"));
  // A manifest is written after its weights: whatever is named in the first list is whole in the
  // second.
  const Result<std::vector<std::string>> first = files_in(state + "/weights");
  if (!first.ok()) return first.status();
  const Result<std::vector<std::string>> second = files_in(state + "/weights");
  if (!second.ok()) return second.status();
  if (second->empty()) return {};
  Result<std::unique_ptr<Folder>> folder = open_folder(state + "/weights");
  if (!folder.ok()) return folder.status();
  const auto copy = [&](const std::string& name) -> Status {
    const Result<bool> copied = replace_by_copy(posix_files(), from + name, target + name);
    // Pruned meanwhile.
    return copied.status().code() == Code::kNotFound ? Status() : copied.status();
  };
  std::set<std::string> spared;  // versions whose files in the copy stay
  for (const std::string& name : *second) {
    if (!name.ends_with(kWeights)) continue;
    const std::string version = without(name, kWeights);
    const Result<bool> fits = fits_manifest(**folder, version);
    if (fits.status().code() == Code::kNotFound) continue;
    if (!fits.ok() && fits.status().code() != Code::kDataLoss) return fits.status();
    if (!fits.ok() || !*fits) {
      damaged.push_back("weights/" + name + " is not what its manifest says");
      std::error_code error;
      spared.insert(version);
      if (fs::exists(target + name, error)) continue;
    }
    NUDGE_TRY(copy(name));
  }
  for (const std::string& name : *first) {
    if (name.ends_with(kWeights) || name.ends_with(kTemporarySuffix) || is_secret(name)) continue;
    std::error_code error;
    if (name.ends_with(kManifest)) {
      const std::string version = without(name, kManifest);
      // Without its weights it would only be set aside.
      if (!fs::exists(target + version + kWeights, error)) continue;
      if (spared.contains(version) && fs::exists(target + name, error)) continue;
    }
    NUDGE_TRY(copy(name));
  }
  return {};
}

Status copy_settings(const std::string& state, const std::string& to) {
  const Result<bool> copied =
      replace_by_copy(posix_files(), state + "/config.toml", to + "/config.toml");
  return copied.status().code() == Code::kNotFound ? Status() : copied.status();
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
  std::vector<std::string> damaged;  // weights
  const std::string head = head_before(*state);
  BackupOptions options;
  // Not after the log: its weights are to be there.
  options.before_replacing = [&] { return copy_weights(*state, to, damaged); };
  for (int i = 0; i < kTries; ++i) {
    if (const Status taken = snapshot(program, flag, *state); !taken.ok()) {
      return fail_open(program, taken);
    }
    const std::string database = *state + "/log/snapshot.db";
    Result<BackupReport> copied =
        back_up_log(posix_files(), *state + "/log", database, to + "/log", options);
    fs::remove(database, error);
    if (!copied.ok()) return fail(copied.status());
    report = *std::move(copied);
    if (report.gone.empty()) break;
    options.missing = report.gone;
  }
  if (!report.gone.empty()) {
    return fail(unavailable("episodes are deleted faster than they can be copied; " + to +
                            " holds the backup of before. Try again"));
  }
  if (const Status copied = copy_settings(*state, to); !copied.ok()) return fail(copied);
  if (const Status written = write_head(head, to); !written.ok()) return fail(written);
  if (keys) {
    if (const Status copied = copy_keys(*state, to); !copied.ok()) return fail(copied);
  }
  Result<VerifyReport> whole = verified(to + "/log", head);
  if (!whole.ok()) return fail(whole.status());
  std::move(damaged.begin(), damaged.end(), std::back_inserter(whole->problems));
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
      std::puts(
          "the backup has what could be read: what was whole in it before still is, and the rest "
          "is "
          "damaged on the robot. After 'nudge log salvage' back up into a new folder");
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

int say_whole(const Program& program) {
  std::puts(program.json ? "{\"whole\": true}" : "the log is whole: there is nothing to salvage");
  return kExitOk;
}

int salvage(const Program& program, const std::string& flag) {
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return fail_open(program, state.status());
  FileSystem& files = posix_files();
  const std::string folder = *state + "/log";
  const Result<std::string> finished = finish_replacement(files, *state);
  if (!finished.ok()) return fail(finished.status());
  const Result<VerifyReport> whole = verified(folder, newest_head_text(files, *state));
  const bool empty = whole.ok() ? whole->last == 0 : whole.status().code() == Code::kNotFound;
  if (empty) {
    const Result<std::string> missing = missing_log(files, *state);
    if (!missing.ok()) return fail(missing.status());
    if (missing->empty() && !whole.ok()) {
      return fail(not_found("there is no log in " + *state + "; name it with --state"));
    }
    if (missing->empty() && whole->ok()) return say_whole(program);
    if (!missing->empty()) std::fprintf(stderr, "%s\n", missing->c_str());
  } else if (whole.ok() && whole->ok()) {
    return say_whole(program);
  }
  if (whole.status().code() == Code::kUnimplemented) return fail(whole.status());  // a newer one
  const Result<SetAside> done = set_damaged_log_aside(files, *state, steady_now(), wall_now());
  if (!done.ok()) return fail(done.status());
  // The daemon signs one in any case.
  (void)seal_new_log(*state, done->report.head, wall_now());
  const SalvageReport* report = &done->report;
  const std::string& aside = done->folder;
  if (program.json) {
    const Json result = {
        {"events", report->events},     {"steps", report->steps},
        {"lost", report->lost},         {"damaged_segments", report->damaged_segments},
        {"database", report->database}, {"certain", report->certain},
        {"gone", done->gone},           {"set_aside", aside}};
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
  if (!done->gone) {
    std::printf("the damaged log was set aside in %s\n", aside.c_str());
  } else if (!aside.empty()) {
    std::printf("the log was gone; the new one was made of %s\n", aside.c_str());
  } else {
    std::puts("the log was gone; the new one begins behind all numbers that are known");
  }
  return kExitOk;
}

}  // namespace

void add_log_copies(Program& program, CLI::App& command,
                    const std::shared_ptr<std::string>& state) {
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
