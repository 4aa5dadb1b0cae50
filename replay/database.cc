#include "replay/database.h"

#include <sqlite3.h>

namespace nudge {
namespace {

Status error_of(sqlite3* handle) {
  const int extended = sqlite3_extended_errcode(handle);
  std::string message =
      std::string("SQLite: ") + sqlite3_errmsg(handle) + " (code " + std::to_string(extended) + ")";
  switch (extended & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG: return resource_exhausted(std::move(message));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT: return data_loss(std::move(message));
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT: return unavailable(std::move(message));
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: return permission_denied(std::move(message));
    default: return internal(std::move(message));
  }
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(int parameter, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
  return *this;
}

Statement& Statement::bind(int parameter, std::uint64_t value) {
  return bind(parameter, static_cast<std::int64_t>(value));
}

Statement& Statement::bind(int parameter, std::string_view value) {
  sqlite3_bind_text(statement_.get(), parameter, value.data(), static_cast<int>(value.size()),
                    SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::bind(int parameter, std::span<const std::uint8_t> blob) {
  sqlite3_bind_blob(statement_.get(), parameter, blob.data(), static_cast<int>(blob.size()),
                    SQLITE_TRANSIENT);
  return *this;
}

Result<bool> Statement::step() {
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW: return true;
    case SQLITE_DONE: return false;
    default: return error_of(sqlite3_db_handle(statement_.get()));
  }
}

Status Statement::run() {
  for (;;) {
    const auto row = step();
    if (!row.ok() || !*row) {
      const Status status = row.status();
      reset();
      return status;
    }
  }
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const {
  const auto* start = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (start == nullptr) return {};
  return {start, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::span<const std::uint8_t> Statement::blob(int column) const {
  const auto* start =
      static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_.get(), column));
  if (start == nullptr) return {};
  return {start, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Mode mode) {
  std::unique_ptr<Database> database(new Database());
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  if (mode == Mode::kCreate) flags |= SQLITE_OPEN_CREATE;
  if (sqlite3_open_v2(path.c_str(), &database->handle_, flags, nullptr) != SQLITE_OK) {
    if (database->handle_ == nullptr) return resource_exhausted("SQLite: out of memory");
    return error_of(database->handle_).with_context(path);
  }
  sqlite3* handle = database->handle_;
  sqlite3_extended_result_codes(handle, 1);
  // Closing must not rewrite anything: a refused log stays as it was found.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (const Status status =
          database->execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF;");
      !status.ok()) {
    return status.with_context(path);
  }
  // Takes the place of automatic checkpoints, and tells how large the write-ahead log is.
  sqlite3_wal_hook(
      handle,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Database*>(self)->wal_pages_ = static_cast<std::size_t>(pages);
        return SQLITE_OK;
      },
      database.get());
  return database;
}

Database::~Database() { sqlite3_close_v2(handle_); }

Status Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return error_of(handle_);
  }
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return error_of(handle_);
  }
  return Statement(statement);
}

Result<std::int64_t> Database::number(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement.ok()) return statement.status();
  const auto row = statement->step();
  if (!row.ok()) return row.status();
  if (!*row) return internal("SQLite: no row from: " + std::string(sql));
  return statement->integer(0);
}

Result<std::string> Database::text(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement.ok()) return statement.status();
  const auto row = statement->step();
  if (!row.ok()) return row.status();
  if (!*row) return internal("SQLite: no row from: " + std::string(sql));
  return std::string(statement->text(0));
}

void Database::rollback() {
  if (sqlite3_get_autocommit(handle_) == 0) (void)execute("ROLLBACK");
}

Result<std::unique_ptr<DatabaseCopy>> Database::copy_to(const std::string& path) {
  std::unique_ptr<DatabaseCopy> copy(new DatabaseCopy());
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &copy->target_, flags, nullptr) != SQLITE_OK) {
    if (copy->target_ == nullptr) return resource_exhausted("SQLite: out of memory");
    return error_of(copy->target_).with_context(path);
  }
  copy->backup_ = sqlite3_backup_init(copy->target_, "main", handle_, "main");
  if (copy->backup_ == nullptr) return error_of(copy->target_).with_context(path);
  return copy;
}

DatabaseCopy::~DatabaseCopy() {
  if (backup_ != nullptr) sqlite3_backup_finish(backup_);
  sqlite3_close_v2(target_);
}

Result<bool> DatabaseCopy::go_on(std::size_t pages) {
  const int code = sqlite3_backup_step(backup_, static_cast<int>(pages));
  if (code == SQLITE_OK) return false;
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) return false;  // the same again
  const bool done = code == SQLITE_DONE;
  // Finishing tells what was wrong.
  sqlite3_backup_finish(backup_);
  backup_ = nullptr;
  if (done) return true;
  return error_of(target_);
}

Status Database::checkpoint() {
  int pages = 0;
  int copied = 0;
  if (sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied) !=
      SQLITE_OK) {
    return error_of(handle_);
  }
  if (pages == copied) wal_pages_ = 0;
  return {};
}

}  // namespace nudge
