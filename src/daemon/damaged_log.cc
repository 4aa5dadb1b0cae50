#include "src/daemon/damaged_log.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "src/loop/state_log.h"

namespace nudge {
namespace {

// Whether a log holds nothing at all. One that cannot be opened holds something.
Result<bool> holds_nothing(FileSystem& files, const std::string& folder) {
  const auto segments = files.list(folder + "/segments");
  if (!segments.ok() && segments.status().code() != Code::kNotFound) return segments.status();
  if (segments.ok() && !segments->empty()) return false;
  LogOptions look;
  look.dir = folder;
  look.boot = "look";
  look.read_only = true;
  const auto log = Log::open(files, look);
  if (log.status().code() == Code::kUnavailable) return log.status();
  return log.ok() ? (*log)->durable() == 0 : log.status().code() == Code::kNotFound;
}

// A name that is free.
Result<std::string> name_for(FileSystem& files, const std::string& state, const std::string& when) {
  const std::string first = state + "/" + std::string(kDamagedPrefix) + when;
  std::string name = first;
  for (int i = 2;; ++i) {
    const Result<bool> taken = files.exists(name);
    if (!taken.ok()) return taken.status();
    if (!*taken) return name;
    name = first + "-" + std::to_string(i);
  }
}

}  // namespace

Result<SetAside> set_damaged_log_aside(FileSystem& files, const std::string& state, Instant now,
                                       WallTime wall) {
  const std::string folder = state + "/log";
  const std::string waits = state + "/" + kSalvaged;
  // Where it is gone: so that nobody else begins one meanwhile.
  NUDGE_TRY(files.make_directory(folder));
  const Result<bool> nothing = holds_nothing(files, folder);
  if (!nothing.ok()) return nothing.status();
  Result<std::unique_ptr<File>> lock = files.open(folder + "/lock", OpenMode::kCreate);
  if (!lock.ok()) return lock.status();
  if (!(*lock)->lock().ok()) {
    return unavailable(folder + ": the log is in use; stop the daemon first");
  }
  SetAside aside;
  aside.gone = *nothing;
  std::string from = folder;
  if (aside.gone) {
    Result<std::string> older = newest_set_aside(files, state);
    if (!older.ok()) return older.status();
    aside.folder = *std::move(older);
    if (!aside.folder.empty()) from = aside.folder;
    if (aside.folder.empty()) NUDGE_TRY(files.make_directory(folder + "/segments"));
  }
  const std::string name = std::to_string(wall.time_since_epoch() / std::chrono::seconds(1));
  LogOptions to;
  to.dir = state + "/log.salvaging";
  to.boot = "salvage-" + name;
  to.now = now;
  to.wall_now = wall;
  SalvageKnown known;
  known.head = std::max(newest_signed_head(files, state), signed_end(files, from));
  known.weights = newest_weights(files, state);
  known.cut_off = aside.gone;
  // What a try that was broken off has left: it was made from the damaged log, which is whole yet.
  NUDGE_TRY(files.remove_folder(to.dir));
  NUDGE_TRY(files.remove_folder(waits));
  Result<SalvageReport> report = salvage_log(files, from, to, known);
  if (!report.ok()) {
    (void)files.remove_folder(to.dir);
    return report.status().with_context(
        folder +
        ": it is damaged, and a new log of what can be read of it could not be made (it needs as "
        "much space again as can be read). Make room and start again, or put a backup in its "
        "place; nothing was changed");
  }
  aside.report = *std::move(report);
  // From here on it is complete, and by its name everybody knows.
  NUDGE_TRY(files.rename(to.dir, waits));
  NUDGE_TRY(files.sync_directory(state));
  std::string place;  // nothing is kept of a log that holds nothing
  if (!aside.gone) {
    Result<std::string> free = name_for(files, state, name);
    if (!free.ok()) return free.status();
    aside.folder = place = *std::move(free);
  }
  NUDGE_TRY(replace_log(files, state, kSalvaged, place));
  return aside;
}

std::string describe(const SetAside& aside) {
  std::string text = aside.gone ? "the log was missing or empty" : "the log was damaged";
  if (!aside.gone) text += " and is kept in " + aside.folder;
  text += "; a new one was made, as by 'nudge log salvage',";
  if (aside.gone) text += " of " + (aside.folder.empty() ? "nothing" : aside.folder) + ",";
  text += " with the " + std::to_string(aside.report.events) + " events and " +
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

std::string describe_finished(const std::string& state) {
  return "an earlier start found that the log was damaged, and was broken off when a new one was "
         "complete, as by 'nudge log salvage'; that one is in use now, and the damaged one is kept "
         "in " +
         state + "/" + std::string(kDamagedPrefix) +
         "*. If no weights run, an engineer has to promote some ('nudge weights promote')";
}

}  // namespace nudge
