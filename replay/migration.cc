#include "replay/migration.h"

#include <algorithm>

#include "replay/chain_rows.h"

namespace nudge {
std::span<const Migration> migrations() {
  static const Migration kSteps[] = {
      {0, std::string(kSchema) + "PRAGMA application_id = " + std::to_string(kApplicationId) + ";",
       nullptr},
      // The records of version 1's steps were not hashed when they were written, and are not now:
      // to read all segments could keep a robot from starting for minutes, and would only vouch for
      // what they have become.
      {1, kSchema2, link_events},
  };
  return kSteps;
}

Result<std::int64_t> schema_version(Database& database, std::int64_t newest) {
  const auto version = database.number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  const auto application = database.number("PRAGMA application_id");
  if (!application.ok()) return application.status();
  const auto tables = database.number("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  const bool empty = *version == 0 && *application == 0 && *tables == 0;
  if (!empty && *application != kApplicationId) {
    return data_loss("this SQLite database was not made by Nudge");
  }
  if (*version < 0) return data_loss("the schema's version is negative");
  if (*version > newest) return newer_schema(*version, newest);
  return *version;
}

Status newer_schema(std::int64_t version, std::int64_t newest) {
  return unimplemented("written by a newer version of Nudge (schema " + std::to_string(version) +
                       ", this build knows " + std::to_string(newest) +
                       "); nothing was changed: run the newer version");
}

Status migrate(Database& database, std::span<const Migration> steps, std::int64_t target) {
  auto version = database.number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  for (std::int64_t at = *version; at < target; ++at) {
    const auto step =
        std::find_if(steps.begin(), steps.end(), [&](const Migration& m) { return m.from == at; });
    if (step == steps.end()) {
      return internal("no way from schema version " + std::to_string(at) + " to the next");
    }
    Status status = database.execute("BEGIN IMMEDIATE");
    if (status.ok()) status = database.execute(step->sql);
    if (status.ok() && step->fill != nullptr) status = step->fill(database);
    if (status.ok()) status = database.execute("PRAGMA user_version = " + std::to_string(at + 1));
    if (status.ok()) status = database.execute("COMMIT");
    if (!status.ok()) {
      database.rollback();
      return status.with_context("schema " + std::to_string(at) + " to " + std::to_string(at + 1));
    }
  }
  return {};
}

}  // namespace nudge
