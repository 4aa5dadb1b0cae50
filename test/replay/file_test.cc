#include "replay/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::TempFolder;

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string read(File& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '?');
  const auto got = file.pread(std::as_writable_bytes(std::span(text)), offset);
  EXPECT_TRUE(got.ok());
  text.resize(*got);
  return text;
}

TEST(File, ReadsWhatWasWrittenAndStopsAtTheEnd) {
  TempFolder folder;
  auto file = posix_files().open(folder / "a", OpenMode::kCreateNew);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->pwrite(bytes("hello"), 3).ok());
  ASSERT_TRUE((*file)->sync().ok());
  EXPECT_EQ(read(**file, 0, 100), std::string(3, '\0') + "hello");
  EXPECT_EQ(read(**file, 100, 5), "");
}

TEST(File, ReservesZerosThatStayWithinTheWantedSize) {
  TempFolder folder;
  auto file = posix_files().open(folder / "a", OpenMode::kCreateNew);
  ASSERT_TRUE((*file)->pwrite(bytes("hello"), 0).ok());
  ASSERT_TRUE((*file)->preallocate(10'000).ok());
  EXPECT_EQ(*(*file)->size(), 10'000u);
  EXPECT_EQ(read(**file, 3, 4), std::string("lo\0\0", 4));
  ASSERT_TRUE((*file)->preallocate(10).ok());  // never shrinks
  EXPECT_EQ(*(*file)->size(), 10'000u);
  ASSERT_TRUE((*file)->truncate(5).ok());
  EXPECT_EQ(*(*file)->size(), 5u);
}

TEST(File, ShowsLaterWritesThroughAMapping) {
  TempFolder folder;
  auto file = posix_files().open(folder / "a", OpenMode::kCreateNew);
  ASSERT_TRUE((*file)->preallocate(4096).ok());
  auto mapping = (*file)->map(4096);
  ASSERT_TRUE(mapping.ok());
  ASSERT_TRUE((*file)->pwrite(bytes("x"), 9).ok());
  EXPECT_EQ((*mapping)->bytes()[9], std::byte{'x'});
}

TEST(File, SaysWhatIsWrongWithAPath) {
  TempFolder folder;
  FileSystem& files = posix_files();
  EXPECT_EQ(files.open(folder / "no", OpenMode::kRead).status().code(), Code::kNotFound);
  EXPECT_EQ(files.open(folder / "no", OpenMode::kWrite).status().code(), Code::kNotFound);
  ASSERT_TRUE(files.open(folder / "a", OpenMode::kCreate).ok());
  const auto again = files.open(folder / "a", OpenMode::kCreateNew);
  EXPECT_EQ(again.status().code(), Code::kAlreadyExists);
  EXPECT_NE(again.status().message().find(folder / "a"), std::string::npos);
  EXPECT_EQ(files.remove(folder / "no").code(), Code::kNotFound);
  EXPECT_EQ(files.list(folder / "no").status().code(), Code::kNotFound);
}

TEST(File, IsLockedByOneHolderUntilThatOneCloses) {
  TempFolder folder;
  auto first = posix_files().open(folder / "lock", OpenMode::kCreate);
  auto second = posix_files().open(folder / "lock", OpenMode::kCreate);
  EXPECT_TRUE((*first)->lock().ok());
  EXPECT_EQ((*second)->lock().code(), Code::kUnavailable);
  first = not_found("closed");
  EXPECT_TRUE((*second)->lock().ok());
}

TEST(FileSystem, ListsRenamesAndRemovesWithinAFolder) {
  TempFolder folder;
  FileSystem& files = posix_files();
  ASSERT_TRUE(files.make_directory(folder / "d").ok());
  ASSERT_TRUE(files.make_directory(folder / "d").ok());  // again is fine
  ASSERT_TRUE(files.open(folder / "d/b", OpenMode::kCreateNew).ok());
  ASSERT_TRUE(files.open(folder / "d/a", OpenMode::kCreateNew).ok());
  EXPECT_EQ(*files.list(folder / "d"), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(files.rename(folder / "d/a", folder / "d/b").ok());
  EXPECT_FALSE(*files.exists(folder / "d/a"));
  EXPECT_TRUE(*files.exists(folder / "d/b"));
  EXPECT_TRUE(files.sync_directory(folder / "d").ok());
  ASSERT_TRUE(files.remove(folder / "d/b").ok());
  EXPECT_TRUE(files.list(folder / "d")->empty());
}

TEST(FileSystem, RemovesAFolderWithAllThatIsInIt) {
  TempFolder folder;
  FileSystem& files = posix_files();
  ASSERT_TRUE(files.make_directory(folder / "d").ok());
  ASSERT_TRUE(files.make_directory(folder / "d/e").ok());
  ASSERT_TRUE(files.open(folder / "d/e/f", OpenMode::kCreateNew).ok());
  EXPECT_TRUE(files.remove_folder(folder / "d").ok());
  EXPECT_FALSE(*files.exists(folder / "d"));
  EXPECT_TRUE(files.remove_folder(folder / "d").ok()) << "it is gone, as was wanted";
}

TEST(FileSystem, KeepsFilesToTheirOwner) {
  TempFolder folder;
  ASSERT_TRUE(posix_files().open(folder / "a", OpenMode::kCreate).ok());
  const auto mode = std::filesystem::status(folder / "a").permissions();
  EXPECT_EQ(mode & std::filesystem::perms::others_all, std::filesystem::perms::none);
  EXPECT_EQ(mode & std::filesystem::perms::group_all, std::filesystem::perms::none);
}

}  // namespace
}  // namespace nudge
