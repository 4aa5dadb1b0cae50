#include "src/loop/state_log.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "src/ports/signed_head.h"

namespace nudge {
namespace {

std::string log_of(const std::string& state) { return state + "/log"; }
std::string heads_of(const std::string& state) { return state + "/" + HeadSeal::kFolder; }

// One line; empty: it cannot be read.
std::string head_text(FileSystem& files, const std::string& folder) {
  const auto file = files.open(folder + "/" + HeadSeal::kFile, OpenMode::kRead);
  if (!file.ok()) return "";
  std::string text(SignedHead::kMaxBytes, '\0');
  const auto read = (*file)->pread(std::as_writable_bytes(std::span(text)), 0);
  if (!read.ok()) return "";
  text.resize(*read);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Into the log that it is of, so that this can be checked against it wherever it goes.
Status keep_head(FileSystem& files, const std::string& state) {
  if (newest_signed_head(files, state) == 0) return {};
  const std::string text = newest_head_text(files, state) + "\n";
  const auto file = files.open(log_of(state) + "/" + HeadSeal::kFile, OpenMode::kCreate);
  if (!file.ok()) return file.status();
  NUDGE_TRY((*file)->truncate(0));
  NUDGE_TRY((*file)->pwrite(std::as_bytes(std::span(text)), 0));
  NUDGE_TRY((*file)->sync());
  return files.sync_directory(log_of(state));
}

// When a log was set aside, and which one of that second it is.
using AsideName = std::pair<std::uint64_t, std::uint64_t>;

// None: the name is no such log's.
std::optional<AsideName> aside_name(std::string_view name) {
  for (const std::string_view prefix : {kDamagedPrefix, kBeforePrefix}) {
    if (!name.starts_with(prefix)) continue;
    AsideName aside;
    const char* const end = name.data() + name.size();
    auto read = std::from_chars(name.data() + prefix.size(), end, aside.first);
    if (read.ec == std::errc() && read.ptr != end && *read.ptr == '-') {
      read = std::from_chars(read.ptr + 1, end, aside.second);
    }
    if (read.ec == std::errc() && read.ptr == end) return aside;
  }
  return std::nullopt;
}

// Of a folder that need not be there.
Result<std::vector<std::string>> names_in(FileSystem& files, const std::string& folder) {
  Result<std::vector<std::string>> names = files.list(folder);
  if (names.status().code() == Code::kNotFound) return std::vector<std::string>();
  return names;
}

Result<bool> has_segments(FileSystem& files, const std::string& log) {
  const auto names = names_in(files, log + "/segments");
  if (!names.ok()) return names.status();
  return std::any_of(names->begin(), names->end(),
                     [](const std::string& name) { return name.ends_with(".seg"); });
}

// An empty file is what SQLite takes for a new database.
Result<bool> has_database(FileSystem& files, const std::string& log) {
  const auto file = files.open(log + "/log.db", OpenMode::kRead);
  if (file.status().code() == Code::kNotFound) return false;
  if (!file.ok()) return file.status();
  const auto size = (*file)->size();
  if (!size.ok()) return size.status();
  return *size > 0;
}

}  // namespace

Result<std::unique_ptr<Log>> open_state_log(FileSystem& files, const std::string& state,
                                            const LogOptions& options) {
  const Result<std::string> finished = finish_replacement(files, state);
  if (!finished.ok()) return finished.status();
  if (options.read_only) return Log::open(files, options);
  const auto refused_when_empty = [&]() -> Status {
    const Result<std::string> missing = missing_log(files, state);
    if (!missing.ok()) return missing.status();
    return missing->empty() ? Status() : data_loss(*missing);
  };
  // First, so that nothing is made in a place that is empty for the wrong reasons.
  const Result<bool> database = has_database(files, options.dir);
  if (!database.ok()) return database.status();
  if (!*database) NUDGE_TRY(refused_when_empty());
  LogOptions known = options;
  known.known_end = newest_signed_head(files, state);
  Result<std::unique_ptr<Log>> log = Log::open(files, known);
  if (!log.ok()) return log.status();
  if ((*log)->durable() == 0) NUDGE_TRY(refused_when_empty());
  // What was ready for the place of this log, which kept it: it is older than this one from now on.
  NUDGE_TRY(files.remove_folder(state + "/" + kSalvaged));
  const Status unmarked = files.remove(state + "/" + kReencodedMark);
  if (!unmarked.ok() && unmarked.code() != Code::kNotFound) return unmarked;
  return log;
}

Status require_log(FileSystem& files, const std::string& state) {
  const Result<std::string> finished = finish_replacement(files, state);
  const Result<bool> there = files.exists(log_of(state));
  if (there.status().code() == Code::kPermissionDenied) {
    return permission_denied("the log in " + log_of(state) +
                             " belongs to somebody else; run this as the daemon's user");
  }
  if (!finished.ok()) return finished.status();
  if (!there.ok()) return there.status();
  if (*there) return {};
  const Result<std::string> missing = missing_log(files, state);
  if (!missing.ok()) return missing.status();
  if (!missing->empty()) return data_loss(*missing);
  return not_found("there is no log in " + log_of(state));
}

Result<std::string> missing_log(FileSystem& files, const std::string& state) {
  const std::string log = log_of(state);
  const auto missing = [&](const std::string& sign) {
    return log + " is missing or empty, and " + sign +
           "; 'nudge log salvage' makes a new log of what can still be read, under numbers that "
           "were not given yet; or put a backup in its place";
  };
  if (const Sequence head = newest_signed_head(files, state); head > 0) {
    return missing("its signed head in " + std::string(HeadSeal::kFolder) +
                   "/ says that there were " + std::to_string(head) + " entries");
  }
  const Result<std::string> aside = newest_set_aside(files, state);
  if (!aside.ok()) return aside.status();
  if (!aside->empty()) return missing("one that was set aside is in " + *aside);
  if (const WeightsVersion weights = newest_weights(files, state); weights > 0) {
    return missing("there are weights up to v" + std::to_string(weights));
  }
  const Result<bool> database = has_database(files, log), segments = has_segments(files, log);
  if (!database.ok()) return database.status();
  if (!segments.ok()) return segments.status();
  if (!*database && *segments) return missing("recorded steps are in " + log + "/segments");
  return std::string();
}

Result<std::string> newest_set_aside(FileSystem& files, const std::string& state) {
  const auto names = names_in(files, state);
  if (!names.ok()) return names.status();
  std::optional<AsideName> newest;
  std::string folder;
  for (const std::string& name : *names) {
    const std::optional<AsideName> at = aside_name(name);
    if (!at || (newest && *at <= *newest)) continue;
    const std::string path = state + "/" + name;
    const Result<bool> database = has_database(files, path), segments = has_segments(files, path);
    if (!database.ok()) return database.status();
    if (!segments.ok()) return segments.status();
    if (!*database && !*segments) continue;
    newest = at;
    folder = path;
  }
  return folder;
}

WeightsVersion newest_weights(FileSystem& files, const std::string& state) {
  const auto names = names_in(files, state + "/weights");
  WeightsVersion newest = 0;
  if (!names.ok()) return newest;
  for (const std::string& name : *names) {
    WeightsVersion version = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), version);
    const bool ours = wrong == std::errc() && end != name.data() + name.size() && *end == '.';
    if (ours && version < WeightsVersion{1} << 56) newest = std::max(newest, version);
  }
  return newest;
}

Sequence signed_end(FileSystem& files, const std::string& folder) {
  const Result<SignedHead> head = SignedHead::parse(head_text(files, folder));
  return head.ok() ? head->head.sequence : 0;
}

Sequence newest_signed_head(FileSystem& files, const std::string& state) {
  return signed_end(files, heads_of(state));
}

std::string newest_head_text(FileSystem& files, const std::string& state) {
  return head_text(files, heads_of(state));
}

Status replace_log(FileSystem& files, const std::string& state, const std::string& waits,
                   const std::string& aside) {
  if (aside.empty()) {
    NUDGE_TRY(files.remove_folder(log_of(state)));
  } else {
    NUDGE_TRY(keep_head(files, state));
    NUDGE_TRY(files.rename(log_of(state), aside));
  }
  // Or the second name could outlive a power loss without the first, and the old log be gone.
  NUDGE_TRY(files.sync_directory(state));
  const Result<std::string> placed = finish_replacement(files, state);
  if (!placed.ok()) return placed.status();
  if (!placed->empty()) return {};
  // Somebody who opened it at this moment has done it for us; or has begun a log of his own, which
  // is empty, and which nobody opens a second time.
  const Result<bool> still = files.exists(state + "/" + waits);
  if (!still.ok()) return still.status();
  if (!*still) return {};
  return unavailable(log_of(state) +
                     ": another program has just begun a log here; end it, and try again");
}

Result<std::string> finish_replacement(FileSystem& files, const std::string& state) {
  const Result<bool> there = files.exists(log_of(state));
  if (!there.ok()) return there.status();
  if (*there) return std::string();
  const Result<bool> salvaged = files.exists(state + "/" + kSalvaged);
  if (!salvaged.ok()) return salvaged.status();
  std::string waits = kSalvaged;
  if (!*salvaged) {
    const Result<bool> marked = files.exists(state + "/" + kReencodedMark);
    const Result<bool> reencoded = files.exists(state + "/" + kReencoded);
    if (!marked.ok()) return marked.status();
    if (!reencoded.ok()) return reencoded.status();
    if (!*marked || !*reencoded) return std::string();
    waits = kReencoded;
  }
  // It is of the old log's chain, and lies in its folder.
  const Status gone = files.remove(heads_of(state) + "/" + HeadSeal::kFile);
  if (!gone.ok() && gone.code() != Code::kNotFound) return gone;
  if (gone.ok()) NUDGE_TRY(files.sync_directory(heads_of(state)));
  const Status placed = files.rename(state + "/" + waits, log_of(state));
  if (placed.code() == Code::kNotFound) return std::string();  // somebody else was quicker
  NUDGE_TRY(placed);
  NUDGE_TRY(files.sync_directory(state));
  return waits;
}

Status seal_new_log(const std::string& state, const ChainHead& head, WallTime wall) {
  const Result<bool> seals = posix_files().exists(heads_of(state));
  if (!seals.ok() || !*seals) return seals.status();
  Result<HeadSeal> seal = HeadSeal::open(heads_of(state));
  if (!seal.ok()) return seal.status();
  return seal->write(head, wall);
}

}  // namespace nudge
