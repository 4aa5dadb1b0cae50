#include "src/ports/pairing_codes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace nudge {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class PairingCodesTest : public testing::Test {
 protected:
  Code redeem(std::string_view code, const std::string& from = "10.0.0.1") {
    const Result<Role> role = codes_.redeem(code, from, now_);
    return role.ok() ? nudge::Code::kOk : role.status().code();
  }

  Instant now_{std::chrono::hours(1)};
  PairingCodes codes_;
};

TEST_F(PairingCodesTest, GivesARoleForTheCodeOnce) {
  const std::string code = codes_.make(Role::kViewer, now_);
  const Result<Role> role = codes_.redeem(code, "10.0.0.1", now_);
  ASSERT_TRUE(role.ok());
  EXPECT_EQ(*role, Role::kViewer);
  EXPECT_EQ(redeem(code), Code::kPermissionDenied);
}

TEST_F(PairingCodesTest, MakesCodesThatPeopleCanRead) {
  const std::string code = codes_.make(Role::kSupervisor, now_);
  ASSERT_EQ(code.size(), 9u);
  EXPECT_EQ(code[4], '-');
  EXPECT_TRUE(std::none_of(code.begin(), code.end(), [](char c) {
    return std::string_view("01OILU").find(c) != std::string_view::npos;
  })) << code;
  EXPECT_NE(code, codes_.make(Role::kSupervisor, now_));
}

TEST_F(PairingCodesTest, DoesNotMindCaseSpacesAndHyphens) {
  std::string code = codes_.make(Role::kSupervisor, now_);
  code[4] = ' ';
  for (char& c : code) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  EXPECT_EQ(redeem(code), Code::kOk);
}

TEST_F(PairingCodesTest, EndsACodeAfterTenMinutes) {
  const std::string code = codes_.make(Role::kSupervisor, now_);
  now_ += minutes(10);
  EXPECT_EQ(redeem(code), Code::kPermissionDenied);
}

TEST_F(PairingCodesTest, KeepsEightCodes) {
  const std::string first = codes_.make(Role::kSupervisor, now_);
  std::string second = codes_.make(Role::kSupervisor, now_);
  for (int i = 0; i < 7; ++i) codes_.make(Role::kSupervisor, now_);
  EXPECT_EQ(redeem(first), Code::kPermissionDenied);
  EXPECT_EQ(redeem(second), Code::kOk);
}

TEST_F(PairingCodesTest, LooksAtFiveWrongCodesOfAnAddressAndThenAtOneAMinute) {
  const std::string code = codes_.make(Role::kSupervisor, now_);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(redeem("AAAA-AAAA"), Code::kPermissionDenied);
  EXPECT_EQ(redeem("AAAA-AAAA"), Code::kResourceExhausted);
  // The right one is not looked at, either: else guessing could go on.
  EXPECT_EQ(redeem(code), Code::kResourceExhausted);
  // Others are not locked out.
  const std::string other = codes_.make(Role::kSupervisor, now_);
  EXPECT_EQ(redeem(other, "10.0.0.2"), Code::kOk);
  now_ += minutes(1);
  EXPECT_EQ(redeem(code), Code::kOk);
}

TEST_F(PairingCodesTest, CountsANetworkOfIpv6AsOneAddress) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(redeem("AAAA-AAAA", "fd00::" + std::to_string(i)), Code::kPermissionDenied);
  }
  EXPECT_EQ(redeem("AAAA-AAAA", "fd00::99"), Code::kResourceExhausted);
}

TEST_F(PairingCodesTest, LooksAtThirtyWrongCodesInAllAndThenAtOneEveryTenSeconds) {
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(redeem("AAAA-AAAA", "10.0.1." + std::to_string(i)), Code::kPermissionDenied);
  }
  EXPECT_EQ(redeem("AAAA-AAAA", "10.0.2.1"), Code::kResourceExhausted);
  now_ += seconds(10);
  EXPECT_EQ(redeem("AAAA-AAAA", "10.0.2.1"), Code::kPermissionDenied);
  EXPECT_EQ(redeem("AAAA-AAAA", "10.0.2.2"), Code::kResourceExhausted);
}

TEST_F(PairingCodesTest, TakesNothingThatIsNoCode) {
  codes_.make(Role::kSupervisor, now_);
  EXPECT_EQ(redeem(""), Code::kPermissionDenied);
  EXPECT_EQ(redeem(std::string(200, 'A')), Code::kPermissionDenied);
}

}  // namespace
}  // namespace nudge
