// One SQLite connection, with errors as values. Private to the log; one thread.
//
// SQLite's codes become: kResourceExhausted (full disk, memory), kDataLoss (damaged, not a
// database), kUnavailable (I/O error, locked), kInternal (a bug: constraint, misuse).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "nudge/status.h"

struct sqlite3;
struct sqlite3_stmt;
struct sqlite3_backup;

namespace nudge {

class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  // Parameters count from 1. Text and blobs are copied.
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::uint64_t value);
  Statement& bind(int parameter, std::string_view value);
  Statement& bind(int parameter, std::span<const std::uint8_t> blob);

  // Runs up to the next row; false: there is none. After an error, call reset().
  Result<bool> step();
  // Runs to the end, ignoring rows, and resets.
  Status run();
  // Ready for other parameters.
  void reset();

  // Columns count from 0. Text and blobs are valid until the next step() or reset().
  std::int64_t integer(int column) const;
  std::uint64_t natural(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  std::string_view text(int column) const;
  std::span<const std::uint8_t> blob(int column) const;  // empty: NULL, or a blob without bytes

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// A copy of a database that is made a piece at a time, while its connection is used. What is
// committed through that connection meanwhile is part of the copy. Ends before the connection.
class DatabaseCopy {
 public:
  ~DatabaseCopy();
  DatabaseCopy(const DatabaseCopy&) = delete;
  // Copies up to so many pages; true: the copy is complete. Its file is not synced.
  Result<bool> go_on(std::size_t pages);

 private:
  friend class Database;
  DatabaseCopy() = default;
  sqlite3* target_ = nullptr;
  sqlite3_backup* backup_ = nullptr;
};

class Database {
 public:
  enum class Mode { kExisting, kCreate };

  // Opens with the exclusive locking mode set and no automatic checkpoints, reading nothing yet.
  static Result<std::unique_ptr<Database>> open(const std::string& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Status execute(const std::string& sql);  // any number of statements
  Result<Statement> prepare(std::string_view sql);
  Result<std::int64_t> number(std::string_view sql);  // the one number that a query gives
  Result<std::string> text(std::string_view sql);     // the one text that a query gives

  // Undoes an open transaction, if there is one.
  void rollback();

  // Begins a copy into a new file at `path`.
  Result<std::unique_ptr<DatabaseCopy>> copy_to(const std::string& path);

  // Bytes of the write-ahead log in use since the last full checkpoint.
  std::size_t wal_bytes() const { return wal_pages_ * page_size_; }
  // Copies the write-ahead log back into the database; the file keeps its size and is used again.
  Status checkpoint();

 private:
  Database() = default;
  sqlite3* handle_ = nullptr;
  std::size_t wal_pages_ = 0;
  std::size_t page_size_ = 4096;
};

}  // namespace nudge
