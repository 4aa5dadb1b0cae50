#include "policy/folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    auto opened = open_folder(root_ / "weights");
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    folder_ = std::move(*opened);
  }
  std::string path(const std::string& name) { return (root_ / "weights") + "/" + name; }

  test::TempFolder root_;
  std::unique_ptr<Folder> folder_;
};

TEST_F(FolderTest, IsCreatedForItsUserAlone) {
  struct stat info {};
  ASSERT_EQ(::stat((root_ / "weights").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(FolderTest, ReadsWhatItCreated) {
  ASSERT_TRUE(folder_->create("a", bytes_of("hello")).ok());
  const auto read = folder_->read("a", 5);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(read->data()), read->size()), "hello");
}

TEST_F(FolderTest, ReplacesByRename) {
  ASSERT_TRUE(folder_->create("a", bytes_of("old")).ok());
  ASSERT_TRUE(folder_->create("b", bytes_of("new")).ok());
  ASSERT_TRUE(folder_->rename("b", "a").ok());
  ASSERT_TRUE(folder_->sync().ok());
  EXPECT_EQ(folder_->read("a", 10)->size(), 3u);
  EXPECT_EQ(*folder_->list(), (std::vector<std::string>{"a"}));
}

TEST_F(FolderTest, NeverCreatesOverAnExistingFileOrLink) {
  ASSERT_TRUE(folder_->create("a", bytes_of("old")).ok());
  EXPECT_EQ(folder_->create("a", bytes_of("new")).code(), Code::kAlreadyExists);
  std::filesystem::create_symlink(root_ / "elsewhere", path("link"));
  EXPECT_EQ(folder_->create("link", bytes_of("new")).code(), Code::kAlreadyExists);
  EXPECT_FALSE(std::filesystem::exists(root_ / "elsewhere"));
}

TEST_F(FolderTest, SaysWhenAFileDoesNotExist) {
  EXPECT_EQ(folder_->read("a", 10).status().code(), Code::kNotFound);
  EXPECT_EQ(folder_->remove("a").code(), Code::kNotFound);
  EXPECT_EQ(folder_->rename("a", "b").code(), Code::kNotFound);
}

TEST_F(FolderTest, RefusesSymbolicLinks) {
  std::ofstream(root_ / "target") << "x";
  std::filesystem::create_symlink(root_ / "target", path("link"));
  const Status status = folder_->read("link", 10).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("symbolic link"), std::string::npos) << status.message();
}

TEST_F(FolderTest, RefusesAFifoWithoutWaitingForItsWriter) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const Status status = folder_->read("fifo", 10).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("not a plain file"), std::string::npos) << status.message();
}

TEST_F(FolderTest, RefusesFoldersAndDevices) {
  std::filesystem::create_directory(path("inner"));
  EXPECT_EQ(folder_->read("inner", 10).status().code(), Code::kDataLoss);
}

TEST_F(FolderTest, RefusesFilesOverTheBoundWithoutReadingThem) {
  std::ofstream(path("large")) << "x";
  std::filesystem::resize_file(path("large"), std::uintmax_t{1} << 40);  // sparse
  const Status status = folder_->read("large", 1000).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("at most 1000"), std::string::npos) << status.message();
}

TEST_F(FolderTest, RefusesPrivateFilesThatOthersCanReach) {
  ASSERT_TRUE(folder_->create("key", bytes_of("secret"), Folder::Privacy::kPrivate).ok());
  EXPECT_TRUE(folder_->read("key", 10, Folder::Privacy::kPrivate).ok());
  ASSERT_EQ(::chmod(path("key").c_str(), 0640), 0);
  EXPECT_EQ(folder_->read("key", 10, Folder::Privacy::kPrivate).status().code(),
            Code::kPermissionDenied);
}

TEST_F(FolderTest, TakesNamesNotPaths) {
  for (const char* name : {"", ".", "..", "../a", "a/b", "/etc/passwd"}) {
    EXPECT_EQ(folder_->read(name, 10).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(folder_->create(name, {}).code(), Code::kInvalidArgument) << name;
  }
}

TEST_F(FolderTest, IsNotOpenedThroughASymbolicLink) {
  std::filesystem::create_directory_symlink(root_ / "weights", root_ / "link");
  EXPECT_EQ(open_folder(root_ / "link").status().code(), Code::kDataLoss);
}

TEST_F(FolderTest, StaysTheSameFolderWhenItIsRenamed) {
  ASSERT_TRUE(folder_->create("a", bytes_of("x")).ok());
  std::filesystem::rename(root_ / "weights", root_ / "moved");
  std::filesystem::create_directory(root_ / "weights");
  EXPECT_TRUE(folder_->read("a", 10).ok());
}

}  // namespace
}  // namespace nudge
