#include "src/ports/private_file.h"

#include <gtest/gtest.h>

#include "test/support/faulty_folder.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

// Another program, in the middle of writing the same file.
TEST(PrivateFile, LeavesWhatAnotherProgramIsWriting) {
  const test::TempFolder place;
  auto folder = *open_folder(place.path());
  const std::string theirs = std::string("keys.json") + std::string(kTemporarySuffix);
  ASSERT_TRUE(folder->create(theirs, {}, Folder::Privacy::kPrivate).ok());
  ASSERT_TRUE(replace_private(*folder, "keys.json", "ours").ok());
  EXPECT_EQ(*read_private(*folder, "keys.json", 64), "ours");
  EXPECT_TRUE(folder->rename(theirs, "theirs").ok());
}

TEST(PrivateFile, IsTheOldOneOrTheNewOneAfterAFaultAndLeavesNothingForLong) {
  for (int at = 0; at < 4; ++at) {
    const test::TempFolder place;
    {
      auto folder = *open_folder(place.path());
      ASSERT_TRUE(replace_private(*folder, "keys.json", "old").ok());
      test::FolderFault fault{.at = at, .sticky = true, .torn = true};
      test::FaultyFolder faulty(std::move(folder), fault);
      (void)replace_private(faulty, "keys.json", "new");
    }
    auto folder = *open_folder(place.path());
    const Result<std::string> text = read_private(*folder, "keys.json", 64);
    ASSERT_TRUE(text.ok()) << at << text.status().message();
    EXPECT_TRUE(*text == "old" || *text == "new") << at << *text;
    sweep_private(*folder);
    EXPECT_EQ(*folder->list(), std::vector<std::string>{"keys.json"}) << at;
  }
}

}  // namespace
}  // namespace nudge
