#include "replay/backup.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "replay/database.h"
#include "replay/migration.h"

namespace nudge {
namespace {

constexpr std::size_t kBlock = 1u << 20;  // bytes

struct Wanted {
  std::string file;
  std::uint64_t bytes = 0;
};

// Copies [from, end) of one file to the same place in another, and makes it durable.
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
  return target.sync();
}

// 0: there is none.
Result<std::uint64_t> size_of(FileSystem& files, const std::string& path) {
  auto file = files.open(path, OpenMode::kRead);
  if (file.status().code() == Code::kNotFound) return std::uint64_t{0};
  if (!file.ok()) return file.status();
  return (*file)->size();
}

// The segments that a database knows and that have not been evicted.
Result<std::vector<Wanted>> wanted_by(const std::string& path) {
  auto database = Database::open(path, Database::Mode::kExisting);
  if (!database.ok()) return database.status();
  if (const auto version = schema_version(**database); !version.ok()) return version.status();
  auto rows = (*database)->prepare(
      "SELECT file, committed_bytes FROM segments WHERE committed_bytes > 0 AND episode NOT IN "
      "(SELECT subject FROM events WHERE kind = 'episode_evicted') ORDER BY episode");
  if (!rows.ok()) return rows.status();
  std::vector<Wanted> wanted;
  for (;;) {
    const auto row = rows->step();
    if (!row.ok()) return row.status();
    if (!*row) return wanted;
    wanted.push_back({std::string(rows->text(0)), rows->natural(1)});
  }
}

}  // namespace

Result<BackupReport> back_up_log(FileSystem& files, const std::string& log,
                                 const std::string& snapshot, const std::string& to) {
  BackupReport report;
  NUDGE_TRY(files.make_directory(to));
  NUDGE_TRY(sync_parent(files, to));
  const std::string folder = to + "/segments";
  NUDGE_TRY(files.make_directory(folder));
  auto lock = files.open(to + "/lock", OpenMode::kCreate);
  if (!lock.ok()) return lock.status();
  NUDGE_TRY((*lock)->lock().with_context("the copy is in use"));

  auto wanted = wanted_by(snapshot);
  if (!wanted.ok()) return wanted.status().with_context(snapshot);
  for (const Wanted& segment : *wanted) {
    if (segment.file.find('/') != std::string::npos) {
      return data_loss(snapshot + ": names a file outside its folder");
    }
    const std::string source_path = log + "/segments/" + segment.file;
    const std::string target_path = folder + "/" + segment.file;
    ++report.segments;
    const auto have = size_of(files, target_path);
    if (!have.ok()) return have.status();
    // What was acknowledged never changes: a copy that is long enough is whole.
    if (*have >= segment.bytes) continue;
    auto source = files.open(source_path, OpenMode::kRead);
    if (source.status().code() == Code::kNotFound) {
      report.gone.push_back(segment.file);
      continue;
    }
    if (!source.ok()) return source.status();
    auto target = files.open(target_path, OpenMode::kCreate);
    if (!target.ok()) return target.status();
    NUDGE_TRY(copy(**source, **target, *have, segment.bytes, source_path));
    ++report.copied_segments;
    report.copied_bytes += segment.bytes - *have;
  }
  if (!report.gone.empty()) return report;
  NUDGE_TRY(files.sync_directory(folder));

  const std::string fresh = to + "/log.db.new";
  const auto left = files.exists(fresh);
  if (!left.ok()) return left.status();
  if (*left) NUDGE_TRY(files.remove(fresh));
  {
    auto source = files.open(snapshot, OpenMode::kRead);
    if (!source.ok()) return source.status();
    const auto size = (*source)->size();
    if (!size.ok()) return size.status();
    auto target = files.open(fresh, OpenMode::kCreateNew);
    if (!target.ok()) return target.status();
    NUDGE_TRY(copy(**source, **target, 0, *size, snapshot));
    report.copied_bytes += *size;
  }
  // A journal of whoever looked into the old copy is not the new one's.
  for (const char* journal : {"/log.db-wal", "/log.db-shm"}) {
    const auto there = files.exists(to + journal);
    if (!there.ok()) return there.status();
    if (*there) NUDGE_TRY(files.remove(to + journal));
  }
  NUDGE_TRY(files.rename(fresh, to + "/log.db"));
  NUDGE_TRY(files.sync_directory(to));

  std::set<std::string> known;
  for (const Wanted& segment : *wanted) known.insert(segment.file);
  const auto names = files.list(folder);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!known.contains(name)) NUDGE_TRY(files.remove(folder + "/" + name));
  }
  return report;
}

}  // namespace nudge
