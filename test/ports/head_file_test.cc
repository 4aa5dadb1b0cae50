#include "src/ports/head_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

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

  test::TempFolder folder_;
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
    if (!first.ok()) EXPECT_TRUE(file.append("two").ok());
    EXPECT_EQ(text(), "one\ntwo\n");
    if (files.calls() < call) break;
  }
}

TEST_F(HeadFileTest, IsBoundedAndReachesBackToItsFirstHead) {
  constexpr std::uint64_t kMost = 2000;
  HeadFile file(posix_files(), path(), kMost);
  constexpr int kHeads = 5000;
  for (int i = 1; i <= kHeads; ++i) {
    ASSERT_TRUE(file.append(std::to_string(i)).ok());
    ASSERT_LE(std::filesystem::file_size(path()), kMost);
  }
  const std::vector<std::string> kept = lines();
  EXPECT_EQ(kept.front(), "1");
  EXPECT_EQ(kept.back(), std::to_string(kHeads));
  int widest = 0;
  for (std::size_t i = 1; i < kept.size(); ++i) {
    const int gap = std::stoi(kept[i]) - std::stoi(kept[i - 1]);
    EXPECT_GT(gap, 0);
    widest = std::max(widest, gap);
  }
  // None of its ages is without heads.
  EXPECT_LT(widest, kHeads / 40);
}

TEST_F(HeadFileTest, ThatIsThinnedOutWhileACallFailsLosesNothing) {
  for (std::uint64_t call = 1;; ++call) {
    SCOPED_TRACE(call);
    std::ofstream(path(), std::ios::trunc) << "one\ntwo\nthree\nfour\n";
    test::FaultyFiles files(posix_files());
    files.plan({.at = call});
    HeadFile file(files, path(), 20);
    const Status first = file.append("five");
    EXPECT_EQ(lines().front(), "one");
    if (!first.ok()) EXPECT_TRUE(file.append("five").ok());
    EXPECT_EQ(text(), "one\nthree\nfive\n");
    if (files.calls() < call) break;
  }
}

TEST_F(HeadFileTest, LeavesAFileAloneThatIsTooLargeToBeItsOwn) {
  std::ofstream(path()) << std::string(300, 'x');
  EXPECT_EQ(HeadFile(posix_files(), path(), 100).append("one").code(), Code::kResourceExhausted);
  EXPECT_EQ(text(), std::string(300, 'x'));
}

}  // namespace
}  // namespace nudge
