#include "replay/migration.h"

#include <gtest/gtest.h>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::TempFolder;

std::unique_ptr<Database> open_in(const TempFolder& folder) {
  auto database = Database::open(folder / "a.db", Database::Mode::kCreate);
  EXPECT_TRUE(database.ok());
  return *std::move(database);
}

// A history of versions as it may look one day.
std::vector<Migration> history() {
  return {{0,
           "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT) STRICT; PRAGMA "
           "application_id = " +
               std::to_string(kApplicationId)},
          {1, "ALTER TABLE notes ADD COLUMN author TEXT NOT NULL DEFAULT 'unknown'"},
          {2, "UPDATE notes SET text = upper(text)"}};
}

TEST(Migration, MakesTheNewestVersionFromAnEmptyDatabase) {
  TempFolder folder;
  auto database = open_in(folder);
  EXPECT_EQ(*schema_version(*database), 0);
  ASSERT_TRUE(migrate(*database, migrations(), kSchemaVersion).ok());
  EXPECT_EQ(*schema_version(*database), kSchemaVersion);
  EXPECT_EQ(*database->number("SELECT count(*) FROM events"), 0);
  ASSERT_TRUE(migrate(*database, migrations(), kSchemaVersion).ok());  // nothing left to do
}

TEST(Migration, BringsAnOlderDatabaseUpToDateAndKeepsItsRows) {
  TempFolder folder;
  auto database = open_in(folder);
  ASSERT_TRUE(migrate(*database, history(), 1).ok());
  ASSERT_TRUE(database->execute("INSERT INTO notes VALUES (1, 'up')").ok());
  ASSERT_TRUE(migrate(*database, history(), 3).ok());
  EXPECT_EQ(*schema_version(*database, 3), 3);
  EXPECT_EQ(*database->text("SELECT text || author FROM notes"), "UPunknown");
}

TEST(Migration, LeavesAWholeVersionBehindWhenAStepFails) {
  TempFolder folder;
  auto database = open_in(folder);
  auto steps = history();
  steps[1].sql += "; SELECT nonsense FROM nowhere";
  EXPECT_FALSE(migrate(*database, steps, 3).ok());
  EXPECT_EQ(*schema_version(*database, 3), 1);
  EXPECT_EQ(*database->number("SELECT count(*) FROM pragma_table_info('notes')"), 2);
  EXPECT_TRUE(migrate(*database, history(), 3).ok());
}

TEST(Migration, RefusesToJumpOverAVersion) {
  TempFolder folder;
  auto database = open_in(folder);
  auto steps = history();
  steps.erase(steps.begin() + 1);
  EXPECT_EQ(migrate(*database, steps, 3).code(), Code::kInternal);
}

TEST(Migration, RefusesANewerVersionAndAnotherProgramsDatabase) {
  TempFolder folder;
  auto database = open_in(folder);
  ASSERT_TRUE(migrate(*database, history(), 3).ok());
  EXPECT_EQ(schema_version(*database, 2).status().code(), Code::kUnimplemented);
  ASSERT_TRUE(database->execute("PRAGMA application_id = 7").ok());
  EXPECT_EQ(schema_version(*database, 3).status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace nudge
