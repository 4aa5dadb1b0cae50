#include "src/ports/access.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "test/support/faulty_folder.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class AccessTest : public testing::Test {
 protected:
  std::string file() const { return folder_.path() + "/" + kTokensFile; }
  Result<Access> load() {
    auto folder = open_folder(folder_.path());
    if (!folder.ok()) return folder.status();
    return Access::load_or_create(**folder);
  }
  void write(const std::string& text) {
    std::ofstream(file()) << text;
    ::chmod(file().c_str(), 0600);
  }
  std::string read() const {
    std::ifstream in(file());
    return {std::istreambuf_iterator<char>(in), {}};
  }

  test::TempFolder folder_;
};

constexpr Role kRoles[] = {Role::kScript, Role::kViewer, Role::kSupervisor, Role::kEngineer};
const std::string kSecret = "abcdefghijklmnopqrstuvwxyz-_0123456789";

TEST_F(AccessTest, MakesATokenForEachRoleOnTheFirstStartAndKeepsThem) {
  const auto first = load();
  ASSERT_TRUE(first.ok()) << first.status().message();
  std::set<std::string> tokens;
  for (const Role role : kRoles) {
    EXPECT_EQ(first->token(role).size(), 43u);  // 256 bits
    tokens.insert(first->token(role));
  }
  EXPECT_EQ(tokens.size(), 4u);
  const auto again = load();
  ASSERT_TRUE(again.ok());
  for (const Role role : kRoles) EXPECT_EQ(again->token(role), first->token(role));
}

TEST_F(AccessTest, KeepsTheFileFromEverybodyElse) {
  ASSERT_TRUE(load().ok());
  struct stat info {};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(AccessTest, KnowsWhoseTokenItIs) {
  const auto access = load();
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->who_is(access->token(Role::kEngineer)), (Actor{"engineer", Role::kEngineer}));
  EXPECT_EQ(access->who_is(access->token(Role::kViewer)), (Actor{"viewer", Role::kViewer}));
  EXPECT_EQ(access->who_is(access->token(Role::kScript)), (Actor{"script", Role::kScript}));
  EXPECT_EQ(access->who_is(""), std::nullopt);
  std::string nearly = access->token(Role::kEngineer);
  nearly.back() = nearly.back() == 'A' ? 'B' : 'A';
  EXPECT_EQ(access->who_is(nearly), std::nullopt);
  EXPECT_EQ(access->who_is(nearly.substr(1)), std::nullopt);
  EXPECT_EQ(access->who_is(std::string(100'000, 'x')), std::nullopt);
}

TEST_F(AccessTest, RefusesAFileThatOthersMayLookInto) {
  ASSERT_TRUE(load().ok());
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0610}) {
    ASSERT_EQ(::chmod(file().c_str(), mode), 0);
    const auto access = load();
    ASSERT_FALSE(access.ok());
    EXPECT_EQ(access.status().code(), Code::kPermissionDenied) << access.status().message();
    EXPECT_NE(access.status().message().find(kTokensFile), std::string::npos);
  }
}

TEST_F(AccessTest, RefusesALinkToAFileElsewhere) {
  ASSERT_TRUE(load().ok());
  std::filesystem::rename(file(), folder_.path() + "/elsewhere");
  std::filesystem::create_symlink("elsewhere", file());
  EXPECT_FALSE(load().ok());
}

TEST_F(AccessTest, RenewsAndRevokesOneTokenAndKeepsTheOthers) {
  Result<Access> access = load();
  const std::string before = access->token(Role::kEngineer);
  const std::string viewer = access->token(Role::kViewer);
  access->renew(Role::kEngineer);
  access->revoke(Role::kScript);
  auto folder = open_folder(folder_.path());
  ASSERT_TRUE(access->save(**folder).ok());
  const Result<Access> again = Access::load(**folder);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_FALSE(again->who_is(before));
  EXPECT_TRUE(again->who_is(again->token(Role::kEngineer)));
  EXPECT_EQ(again->token(Role::kViewer), viewer);
  EXPECT_EQ(again->token(Role::kScript), "");
  EXPECT_FALSE(again->who_is(""));
}

TEST_F(AccessTest, TellsTokensApartByWhatOpensNothing) {
  EXPECT_EQ(token_id(kSecret), token_id(kSecret));
  EXPECT_NE(token_id(kSecret), token_id(kSecret + "x"));
  EXPECT_EQ(token_id(kSecret).size(), 8u);
}

TEST_F(AccessTest, LetsAnOperatorTakeARolesAccessAway) {
  write(R"({"version":1,"tokens":{"engineer":")" + kSecret + R"("}})");
  const auto access = load();
  ASSERT_TRUE(access.ok()) << access.status().message();
  EXPECT_TRUE(access->who_is(kSecret).has_value());
  EXPECT_EQ(access->token(Role::kViewer), "");
  EXPECT_EQ(access->who_is(""), std::nullopt);
}

TEST_F(AccessTest, RefusesWhatIsNoFileOfTokensAndShowsNothingOfIt) {
  const std::vector<std::string> files = {
      "",
      "{",
      "[]",
      "7",
      R"({"tokens":{"engineer":")" + kSecret + R"("}})",
      R"({"version":2,"tokens":{"engineer":")" + kSecret + R"("}})",
      R"({"version":1,"tokens":[")" + kSecret + R"("]})",
      R"({"version":1,"tokens":{"king":")" + kSecret + R"("}})",
      R"({"version":1,"tokens":{"engineer":")" + kSecret.substr(0, 31) + R"("}})",
      R"({"version":1,"tokens":{"engineer":")" + kSecret + R"( "}})",
      R"({"version":1,"tokens":{"engineer":7}})",
      R"({"version":1,"tokens":{"engineer":")" + kSecret + R"(","viewer":")" + kSecret + R"("}})",
      std::string(5000, ' ')};
  for (const std::string& text : files) {
    write(text);
    const auto access = load();
    ASSERT_FALSE(access.ok()) << text;
    EXPECT_EQ(access.status().code(), Code::kDataLoss) << text;
    EXPECT_EQ(access.status().message().find(kSecret.substr(0, 8)), std::string::npos);
    EXPECT_EQ(read(), text);  // an operator's file is never replaced
  }
}

// However the first start is interrupted, the next one has whole tokens.
TEST_F(AccessTest, IsWholeAfterAFaultAtAnyOperation) {
  for (int at = 0; at < 8; ++at) {
    for (const bool torn : {false, true}) {
      const test::TempFolder place;
      test::FolderFault fault{.at = at, .sticky = true, .torn = torn};
      {
        auto real = open_folder(place.path());
        ASSERT_TRUE(real.ok());
        test::FaultyFolder folder(*std::move(real), fault);
        (void)Access::load_or_create(folder);
      }
      auto folder = open_folder(place.path());
      ASSERT_TRUE(folder.ok());
      const auto access = Access::load_or_create(**folder);
      ASSERT_TRUE(access.ok()) << "at " << at << ": " << access.status().message();
      EXPECT_TRUE(access->who_is(access->token(Role::kEngineer)).has_value());
    }
  }
}

}  // namespace
}  // namespace nudge
