// The version of the database's schema, and the way from older ones to this one.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "nudge/status.h"
#include "replay/database.h"

namespace nudge {

// "NUDG", in the database's header: tells our files from anybody else's.
inline constexpr std::int64_t kApplicationId = 0x4e554447;
// In PRAGMA user_version. Rises with every change to the schema.
inline constexpr std::int64_t kSchemaVersion = 2;

extern const char* const kSchema;   // schema.sql, which makes version 1 from an empty database
extern const char* const kSchema2;  // schema-2.sql, which makes version 2 from that

struct Migration {
  std::int64_t from = 0;  // makes from + 1
  std::string sql;
  // What SQL cannot do, after it and in the same transaction; null: nothing.
  Status (*fill)(Database& database) = nullptr;
};

// Every step there is, in order: from an empty database (0) up to kSchemaVersion.
std::span<const Migration> migrations();

// What a database is, before anything is done to it. kDataLoss: not one of ours, or unreadable.
// kUnimplemented: of a newer version than `newest`.
Result<std::int64_t> schema_version(Database& database, std::int64_t newest = kSchemaVersion);

// What to tell somebody whose log is too new. kUnimplemented.
Status newer_schema(std::int64_t version, std::int64_t newest);

// Applies the steps that are missing, each in a transaction of its own, so that a crash or a full
// disk leaves a whole version behind. kInternal when a step is missing from the table.
Status migrate(Database& database, std::span<const Migration> steps, std::int64_t target);

}  // namespace nudge
