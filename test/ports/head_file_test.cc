#include "src/ports/head_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "src/ports/signed_head.h"
#include "test/support/faulty_files.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class HeadFileTest : public testing::Test {
 protected:
  std::string path() const { return folder_ / "robot-7.heads"; }
  std::string text() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> lines() const {
    std::istringstream stream(text());
    std::vector<std::string> all;
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
  }

  std::string head(Sequence sequence) {
    return SignedHead::sign(*key_, {.sequence = sequence, .link = {}}, WallTime());
  }
  std::vector<Sequence> sequences() const {
    std::vector<Sequence> all;
    for (const std::string& line : lines()) {
      const auto head = SignedHead::parse(line);
      EXPECT_TRUE(head.ok()) << line;
      if (head.ok()) all.push_back(head->head.sequence);
    }
    return all;
  }

  test::TempFolder folder_;
  Result<std::unique_ptr<Folder>> keys_ = open_folder(folder_ / "keys");
  Result<SigningKey> key_ = SigningKey::load_or_create(**keys_);
};

TEST_F(HeadFileTest, AddsALineEachForItsOwnerAlone) {
  HeadFile file(posix_files(), path());
  EXPECT_TRUE(file.append("one").ok());
  EXPECT_TRUE(HeadFile(posix_files(), path()).append("two").ok());
  EXPECT_EQ(text(), "one\ntwo\n");
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
}

TEST_F(HeadFileTest, MakesALineOfItsOwnOfWhatAPowerLossHasLeft) {
  std::ofstream(path()) << "one\nha";
  EXPECT_TRUE(HeadFile(posix_files(), path()).append("two").ok());
  EXPECT_EQ(text(), "one\nha\ntwo\n");
}

TEST_F(HeadFileTest, ThatFailsAtAnyCallKeepsWhatIsThereAndAddsALineOnceWhenTriedAgain) {
  for (std::uint64_t call = 1;; ++call) {
    SCOPED_TRACE(call);
    std::ofstream(path(), std::ios::trunc) << "one\n";
    test::FaultyFiles files(posix_files());
    files.plan({.at = call, .no_space = true});
    HeadFile file(files, path());
    const Status first = file.append("two");
    EXPECT_EQ(lines().front(), "one");
    if (!first.ok()) {
      EXPECT_TRUE(file.append("two").ok());
    }
    EXPECT_EQ(text(), "one\ntwo\n");
    if (files.calls() < call) break;
  }
}

TEST_F(HeadFileTest, IsBoundedAndReachesBackToItsFirstHeadWithoutALargeGap) {
  constexpr std::uint64_t kMost = 24'000;  // some 60 heads
  constexpr Sequence kHeads = 600;
  HeadFile file(posix_files(), path(), kMost);
  for (Sequence i = 1; i <= kHeads; ++i) {
    ASSERT_TRUE(file.append(head(i)).ok());
    ASSERT_LE(std::filesystem::file_size(path()), kMost);
  }
  const std::vector<Sequence> kept = sequences();
  EXPECT_EQ(kept.front(), 1u);
  EXPECT_EQ(kept.back(), kHeads);
  for (std::size_t i = 1; i < kept.size(); ++i) {
    ASSERT_GT(kept[i], kept[i - 1]);
    EXPECT_LE(kept[i] - kept[i - 1], (kHeads - kept[i - 1]) / 2 + 4) << kept[i];
  }
}

TEST_F(HeadFileTest, KeepsAHeadThatIsAheadOfThoseAfterItForTheLogWasPutBack) {
  HeadFile file(posix_files(), path(), 12'000);
  for (Sequence i = 1; i <= 10; ++i) ASSERT_TRUE(file.append(head(i)).ok());
  ASSERT_TRUE(file.append(head(5000)).ok());
  for (Sequence i = 11; i <= 60; ++i) ASSERT_TRUE(file.append(head(i)).ok());
  const std::vector<Sequence> kept = sequences();
  EXPECT_NE(std::find(kept.begin(), kept.end(), 5000u), kept.end());
}

TEST_F(HeadFileTest, ThatIsThinnedOutWhileACallFailsKeepsItsFirstHeadAndAddsTheNewOneOnce) {
  for (std::uint64_t call = 1;; ++call) {
    SCOPED_TRACE(call);
    {
      std::ofstream old(path(), std::ios::trunc);
      for (Sequence i = 1; i <= 4; ++i) old << head(i) << '\n';
    }
    const std::uint64_t most = std::filesystem::file_size(path()) + 10;
    test::FaultyFiles files(posix_files());
    files.plan({.at = call});
    HeadFile file(files, path(), most);
    const Status first = file.append(head(5));
    EXPECT_EQ(sequences().front(), 1u);
    if (!first.ok()) {
      EXPECT_TRUE(file.append(head(5)).ok());
    }
    const std::vector<Sequence> kept = sequences();
    EXPECT_EQ(kept.front(), 1u);
    EXPECT_EQ(std::count(kept.begin(), kept.end(), 5u), 1);
    EXPECT_LE(std::filesystem::file_size(path()), most);
    if (files.calls() < call) break;
  }
}

TEST_F(HeadFileTest, LeavesAFileAloneThatIsNotItsOwn) {
  std::ofstream(path()) << std::string(300, 'x');
  EXPECT_EQ(HeadFile(posix_files(), path(), 100).append("one").code(), Code::kResourceExhausted);
  EXPECT_EQ(text(), std::string(300, 'x'));
  EXPECT_EQ(HeadFile(posix_files(), path(), 200).append("one").code(), Code::kResourceExhausted);
  EXPECT_EQ(text(), std::string(300, 'x'));
}

}  // namespace
}  // namespace nudge
