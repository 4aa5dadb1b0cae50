#include "src/daemon/damaged_log.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <utility>

#include "policy/folder.h"
#include "src/loop/state_folder.h"
#include "src/ports/signed_head.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;

// Set aside or not, complete or not: the number was given.
WeightsVersion newest_weights(const std::string& state) {
  WeightsVersion newest = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(state + "/weights", error)) {
    const std::string name = entry.path().filename().string();
    WeightsVersion version = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), version);
    const bool ours = wrong == std::errc() && end != name.data() + name.size() && *end == '.';
    if (ours && version < WeightsVersion{1} << 56) newest = std::max(newest, version);
  }
  return newest;
}

}  // namespace

Sequence newest_signed_head(const std::string& state) {
  Result<std::unique_ptr<File>> file =
      posix_files().open(state + "/" + HeadSeal::kFolder + "/" + HeadSeal::kFile, OpenMode::kRead);
  if (!file.ok()) return 0;
  std::string text(SignedHead::kMaxBytes, '\0');
  const auto read = (*file)->pread(std::as_writable_bytes(std::span(text)), 0);
  if (!read.ok()) return 0;
  text.resize(*read);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const Result<SignedHead> head = SignedHead::parse(text);
  return head.ok() ? head->head.sequence : 0;
}

Result<SetAside> set_damaged_log_aside(const std::string& state, Instant now, WallTime wall) {
  FileSystem& files = posix_files();
  const std::string folder = state + "/log";
  Result<std::unique_ptr<File>> lock = files.open(folder + "/lock", OpenMode::kCreate);
  if (!lock.ok()) return lock.status();
  if (!(*lock)->lock().ok()) {
    return unavailable(folder + ": the log is in use; stop the daemon first");
  }
  const std::string name = std::to_string(wall.time_since_epoch() / std::chrono::seconds(1));
  LogOptions to;
  to.dir = state + "/log.salvaged";
  to.boot = "salvage-" + name;
  to.now = now;
  to.wall_now = wall;
  // What a try that was broken off has left: it was made from the damaged log, which is whole yet.
  std::error_code error;
  fs::remove_all(to.dir, error);
  NUDGE_TRY(status_of(error, to.dir));
  Result<SalvageReport> report = salvage_log(
      files, folder, to, {.head = newest_signed_head(state), .weights = newest_weights(state)});
  if (!report.ok()) {
    fs::remove_all(to.dir, error);
    return report.status().with_context(
        folder +
        ": it is damaged, and a new log of what can be read of it could not be made (it needs as "
        "much space again). Make room and start again, or put a backup in its place; nothing was "
        "changed");
  }
  SetAside aside;
  aside.report = *std::move(report);
  aside.folder = state + "/log.damaged-" + name;
  for (int i = 2; fs::exists(aside.folder, error); ++i) {
    aside.folder = state + "/log.damaged-" + name + "-" + std::to_string(i);
  }
  // Beside it, so that it can be checked against the head that was signed last.
  fs::copy_file(state + "/" + HeadSeal::kFolder + "/" + HeadSeal::kFile,
                folder + "/" + HeadSeal::kFile, fs::copy_options::overwrite_existing, error);
  NUDGE_TRY(files.rename(folder, aside.folder));
  NUDGE_TRY(files.rename(to.dir, folder));
  NUDGE_TRY(files.sync_directory(state));
  return aside;
}

std::string describe(const SetAside& aside) {
  std::string text = "the log was damaged and is kept in " + aside.folder +
                     "; a new one was made, as by 'nudge log salvage', with the " +
                     std::to_string(aside.report.events) + " events and " +
                     std::to_string(aside.report.steps) + " steps that could be read (" +
                     std::to_string(aside.report.lost) + " entries could not).";
  if (!aside.report.certain) {
    text +=
        " Nobody knows which weights were confirmed last and whose teaching was withdrawn: no "
        "weights run until an engineer promotes some ('nudge weights promote'), and nothing is "
        "learned until one resumes learning.";
  }
  return text;
}

}  // namespace nudge
