#include "replay/backup.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "replay/chain_rows.h"
#include "replay/database.h"
#include "replay/migration.h"
#include "replay/segment_reader.h"

namespace nudge {
namespace {

constexpr std::size_t kBlock = 1u << 20;  // bytes
// Of what is not in its place yet.
constexpr std::string_view kNew = ".new";

struct Wanted {
  EpisodeId episode = 0;
  std::string file;
  std::uint64_t bytes = 0;
};

// Copies [from, end) of one file to the same place in another; not synced.
Status copy(File& source, File& target, std::uint64_t from, std::uint64_t end,
            const std::string& path) {
  std::vector<std::byte> block(kBlock);
  while (from < end) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, end - from));
    const auto read = source.pread(std::span(block).first(want), from);
    if (!read.ok()) return read.status();
    if (*read == 0) return data_loss(path + " is shorter than what was committed");
    NUDGE_TRY(target.pwrite(std::span(block).first(*read), from));
    from += *read;
  }
  return {};
}

// 0: there is none.
Result<std::uint64_t> size_of(FileSystem& files, const std::string& path) {
  auto file = files.open(path, OpenMode::kRead);
  if (file.status().code() == Code::kNotFound) return std::uint64_t{0};
  if (!file.ok()) return file.status();
  return (*file)->size();
}

Result<bool> same_bytes(File& one, File& other) {
  const auto size = one.size();
  if (!size.ok()) return size.status();
  const auto other_size = other.size();
  if (!other_size.ok()) return other_size.status();
  if (*size != *other_size) return false;
  std::vector<std::byte> a(kBlock), b(kBlock);
  for (std::uint64_t at = 0; at < *size;) {
    const auto read = one.pread(a, at);
    if (!read.ok()) return read.status();
    const auto other_read = other.pread(b, at);
    if (!other_read.ok()) return other_read.status();
    if (*read == 0 || *read != *other_read) return false;
    if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(*read), b.begin())) {
      return false;
    }
    at += *read;
  }
  return true;
}

Status remove_if_there(FileSystem& files, const std::string& path) {
  const auto there = files.exists(path);
  if (!there.ok()) return there.status();
  return *there ? files.remove(path) : Status();
}

// The segments that a database knows and that have not been evicted.
Result<std::vector<Wanted>> wanted_by(Database& database) {
  auto rows = database.prepare(
      "SELECT file, committed_bytes, episode FROM segments WHERE committed_bytes > 0 AND episode "
      "NOT IN (SELECT subject FROM events WHERE kind = 'episode_evicted') ORDER BY episode");
  if (!rows.ok()) return rows.status();
  std::vector<Wanted> wanted;
  for (;;) {
    const auto row = rows->step();
    if (!row.ok()) return row.status();
    if (!*row) return wanted;
    wanted.push_back({rows->natural(2), std::string(rows->text(0)), rows->natural(1)});
    if (wanted.back().file.find('/') != std::string::npos) {
      return data_loss("names a file outside its folder");
    }
  }
}

Result<std::vector<ChainedRun>> runs_of(Database& database, EpisodeId episode) {
  auto rows = database.prepare("SELECT " + std::string(kRunColumns) +
                               " FROM runs WHERE episode = ?1 ORDER BY first_sequence");
  if (!rows.ok()) return rows.status();
  rows->bind(1, episode);
  std::vector<ChainedRun> runs;
  for (;;) {
    const auto row = rows->step();
    if (!row.ok()) return row.status();
    if (!*row) return runs;
    runs.push_back(chained_run(*rows));
  }
}

// Whether the records of a run are those that were recorded. One of schema version 1 has no digest:
// of it checksums, places and numbers are looked at.
Result<bool> holds(SegmentReader& segment, const ChainedRun& run) {
  Sequence expected = run.first;
  std::uint64_t end = run.first_offset;
  ChainHash digest{};
  const auto scanned = segment.scan(run.first_offset, run.end_offset,
                                    [&](const StepView& step, const RecordPlace& place) {
                                      if (place.offset != end || step.sequence != expected)
                                        return false;
                                      end += place.bytes;
                                      ++expected;
                                      if (run.digest) digest = chain_record(digest, step.record);
                                      return true;
                                    });
  if (!scanned.ok()) return scanned.status();
  return end == run.end_offset && expected == run.last + 1 &&
         (!run.digest || digest == *run.digest);
}

// Up to which byte a file is what the log recorded: the end of the last of its runs, or less. 0:
// not even its header is, or there is none.
Result<std::uint64_t> good_bytes(FileSystem& files, const std::string& path, const Wanted& wanted,
                                 const std::vector<ChainedRun>& runs) {
  auto segment = SegmentReader::open(files, path);
  const Code code = segment.status().code();
  if (code == Code::kNotFound || code == Code::kDataLoss || code == Code::kUnimplemented) {
    return std::uint64_t{0};
  }
  if (!segment.ok()) return segment.status();
  if ((*segment)->spec().episode != wanted.episode) return std::uint64_t{0};
  std::uint64_t good = (*segment)->first();
  for (const ChainedRun& run : runs) {
    const auto whole = holds(**segment, run);
    if (!whole.ok()) return whole.status();
    if (!*whole) return good;
    good = run.end_offset;
  }
  const auto size = size_of(files, path);
  if (!size.ok()) return size.status();
  return *size >= wanted.bytes ? std::max(good, wanted.bytes) : good;
}

Status check_database(Database& database) {
  if (const auto version = schema_version(database); !version.ok()) return version.status();
  const auto checked = database.text("PRAGMA integrity_check(1)");
  if (!checked.ok()) return checked.status();
  if (*checked != "ok") return data_loss(*checked);
  const auto fits = chain_fits(database);
  if (!fits.ok()) return fits.status();
  return *fits ? Status() : data_loss("its chain does not fit");
}

// Whether the database of an old copy is an earlier state of this one. Folds its journal back.
Status check_earlier(const std::string& path, Database& newer) {
  const std::string advice = "; nothing was changed. Name a new folder, and keep this one";
  auto opened = Database::open(path, Database::Mode::kExisting);
  if (!opened.ok()) return opened.status();
  Database& old = **opened;
  const auto version = schema_version(old);
  if (version.status().code() == Code::kDataLoss) {
    return data_loss(path + ": the copy is damaged" + advice);
  }
  if (!version.ok()) return version.status();
  if (*version != kSchemaVersion) {
    return already_exists(path + ": the copy is of an older version" + advice);
  }
  auto last = old.prepare("SELECT link, sequence FROM events ORDER BY sequence DESC LIMIT 1");
  if (!last.ok()) return last.status();
  const auto any = last->step();
  if (any.status().code() == Code::kDataLoss) {
    return data_loss(path + ": the copy is damaged" + advice);
  }
  if (!any.ok()) return any.status();
  if (*any) {
    auto same = newer.prepare("SELECT link FROM events WHERE sequence = ?1");
    if (!same.ok()) return same.status();
    same->bind(1, last->natural(1));
    const auto found = same->step();
    if (!found.ok()) return found.status();
    if (!*found || hash_of(*last, 0) != hash_of(*same, 0)) {
      return already_exists(
          path +
          ": the copy is no earlier state of this log, but of another one, or of this one "
          "before it was salvaged, encoded anew or put back" +
          advice);
    }
  }
  last->reset();
  return old.checkpoint();
}

// One backup.
class Copying {
 public:
  Copying(FileSystem& files, const std::string& log, const std::string& to)
      : files_(files), from_(log + "/segments/"), to_(to), segments_(to + "/segments") {}

  Result<BackupReport> run(const std::string& snapshot, const BackupOptions& options) {
    NUDGE_TRY(files_.make_directory(to_));
    NUDGE_TRY(sync_parent(files_, to_));
    NUDGE_TRY(files_.make_directory(segments_));
    auto lock = files_.open(to_ + "/lock", OpenMode::kCreate);
    if (!lock.ok()) return lock.status();
    NUDGE_TRY((*lock)->lock().with_context("the copy is in use"));
    NUDGE_TRY(remove_unfinished());
    NUDGE_TRY(prepare_all(snapshot, options));
    if (!report_.gone.empty()) {
      NUDGE_TRY(remove_unfinished());
      return std::move(report_);
    }
    NUDGE_TRY(files_.sync_directory(to_));
    if (options.before_replacing) NUDGE_TRY(options.before_replacing());
    NUDGE_TRY(replace());
    return std::move(report_);
  }

 private:
  std::string fresh(const std::string& file) const { return to_ + "/" + file + std::string(kNew); }

  // What a copy that was broken off has left.
  Status remove_unfinished() {
    const auto names = files_.list(to_);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (name.ends_with(kNew)) NUDGE_TRY(files_.remove(to_ + "/" + name));
    }
    return {};
  }

  Status prepare_all(const std::string& snapshot, const BackupOptions& options) {
    {
      auto database = Database::open(snapshot, Database::Mode::kExisting);
      if (!database.ok()) return database.status().with_context(snapshot);
      NUDGE_TRY(check_database(**database)
                    .with_context("the log's database cannot be copied, and the copy stays as it "
                                  "was; see 'nudge log verify'"));
      const auto before = files_.exists(to_ + "/log.db");
      if (!before.ok()) return before.status();
      if (*before) NUDGE_TRY(check_earlier(to_ + "/log.db", **database));
      auto wanted = wanted_by(**database);
      if (!wanted.ok()) return wanted.status().with_context(snapshot);
      for (const Wanted& segment : *wanted) {
        known_.insert(segment.file);
        const auto runs = runs_of(**database, segment.episode);
        if (!runs.ok()) return runs.status().with_context(snapshot);
        NUDGE_TRY(prepare(segment, *runs, options));
      }
    }
    if (!report_.gone.empty()) return {};
    auto source = files_.open(snapshot, OpenMode::kRead);
    if (!source.ok()) return source.status();
    const auto size = (*source)->size();
    if (!size.ok()) return size.status();
    auto target = files_.open(fresh("log.db"), OpenMode::kCreateNew);
    if (!target.ok()) return target.status();
    NUDGE_TRY(copy(**source, **target, 0, *size, snapshot));
    NUDGE_TRY((*target)->sync());
    report_.copied_bytes += *size;
    return {};
  }

  // Makes what the copy lacks of a segment, beside its place.
  Status prepare(const Wanted& segment, const std::vector<ChainedRun>& runs,
                 const BackupOptions& options) {
    ++report_.segments;
    const std::string old_path = segments_ + "/" + segment.file;
    const auto good = good_bytes(files_, old_path, segment, runs);
    if (!good.ok()) return good.status();
    if (*good >= segment.bytes) return {};
    auto source = files_.open(from_ + segment.file, OpenMode::kRead);
    if (source.status().code() == Code::kNotFound) {
      const bool lost = std::ranges::find(options.missing, segment.file) != options.missing.end();
      (lost ? report_.damaged : report_.gone).push_back(segment.file);
      return {};
    }
    if (!source.ok()) return source.status();
    const auto there = (*source)->size();
    if (!there.ok()) return there.status();
    const std::uint64_t end = std::min(segment.bytes, *there);
    {
      auto target = files_.open(fresh(segment.file), OpenMode::kCreateNew);
      if (!target.ok()) return target.status();
      if (*good > 0) {
        auto old = files_.open(old_path, OpenMode::kRead);
        if (!old.ok()) return old.status();
        NUDGE_TRY(copy(**old, **target, 0, *good, old_path));
      }
      if (*good < end) NUDGE_TRY(copy(**source, **target, *good, end, from_ + segment.file));
      NUDGE_TRY((*target)->sync());
    }
    const auto now = good_bytes(files_, fresh(segment.file), segment, runs);
    if (!now.ok()) return now.status();
    if (*now < segment.bytes) report_.damaged.push_back(segment.file);
    const auto before = size_of(files_, old_path);
    if (!before.ok()) return before.status();
    // Of two that are damaged the old one stays, unless it is shorter.
    if (*now <= *good && *before >= end) return files_.remove(fresh(segment.file));
    prepared_.push_back(segment.file);
    ++report_.copied_segments;
    report_.copied_bytes += end - std::min(*good, end);
    return {};
  }

  // Segments first: the old database reads them as well as the new one, which comes then.
  Status replace() {
    for (const std::string& file : prepared_) {
      NUDGE_TRY(files_.rename(fresh(file), segments_ + "/" + file));
    }
    NUDGE_TRY(files_.sync_directory(segments_));
    // A journal of whoever looked into the old copy is not the new one's; it was folded back.
    for (const char* journal : {"/log.db-wal", "/log.db-shm"}) {
      NUDGE_TRY(remove_if_there(files_, to_ + journal));
    }
    NUDGE_TRY(files_.rename(fresh("log.db"), to_ + "/log.db"));
    NUDGE_TRY(files_.sync_directory(to_));
    const auto names = files_.list(segments_);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (!known_.contains(name)) NUDGE_TRY(files_.remove(segments_ + "/" + name));
    }
    return {};
  }

  FileSystem& files_;
  std::string from_, to_, segments_;
  std::set<std::string> known_;        // to the new database
  std::vector<std::string> prepared_;  // beside their place
  BackupReport report_;
};

}  // namespace

Result<BackupReport> back_up_log(FileSystem& files, const std::string& log,
                                 const std::string& snapshot, const std::string& to,
                                 const BackupOptions& options) {
  return Copying(files, log, to).run(snapshot, options);
}

Result<bool> replace_by_copy(FileSystem& files, const std::string& from, const std::string& to) {
  auto source = files.open(from, OpenMode::kRead);
  if (!source.ok()) return source.status();
  const auto size = (*source)->size();
  if (!size.ok()) return size.status();
  {
    auto before = files.open(to, OpenMode::kRead);
    if (!before.ok() && before.status().code() != Code::kNotFound) return before.status();
    if (before.ok()) {
      const auto same = same_bytes(**source, **before);
      if (!same.ok()) return same.status();
      if (*same) return false;
    }
  }
  const std::string fresh = to + std::string(kNew);
  NUDGE_TRY(remove_if_there(files, fresh));
  {
    auto target = files.open(fresh, OpenMode::kCreateNew);
    if (!target.ok()) return target.status();
    NUDGE_TRY(copy(**source, **target, 0, *size, from));
    NUDGE_TRY((*target)->sync());
  }
  NUDGE_TRY(files.rename(fresh, to));
  NUDGE_TRY(sync_parent(files, to));
  return true;
}

}  // namespace nudge
