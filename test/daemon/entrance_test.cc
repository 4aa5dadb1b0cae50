#include "src/daemon/entrance.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class EntranceTest : public testing::Test {
 protected:
  void SetUp() override { folder_ = *open_folder(temporary_.path()); }
  Result<Entrance> open() { return open_entrance(config_, *folder_, now_); }

  test::TempFolder temporary_;
  std::unique_ptr<Folder> folder_;
  Config config_;
  WallTime now_{std::chrono::hours(480'000)};
};

TEST_F(EntranceTest, IsInClearOnThisMachineAlone) {
  const Result<Entrance> entrance = open();
  ASSERT_TRUE(entrance.ok()) << entrance.status().message();
  EXPECT_EQ(entrance->tls, nullptr);
  EXPECT_EQ(entrance->urls(8080), std::vector<std::string>{"http://127.0.0.1:8080"});
  config_.ports.tls = TlsUse::kOn;
  const Result<Entrance> encrypted = open();
  ASSERT_TRUE(encrypted.ok()) << encrypted.status().message();
  EXPECT_NE(encrypted->tls, nullptr);
  EXPECT_EQ(encrypted->local_url(8080), "https://127.0.0.1:8080");
}

TEST_F(EntranceTest, IsEncryptedBeyondThisMachineByItself) {
  config_.ports.address = "0.0.0.0";
  config_.ports.names = "Robot-7.local, 192.0.2.7";
  const Result<Entrance> entrance = open();
  ASSERT_TRUE(entrance.ok()) << entrance.status().message();
  EXPECT_NE(entrance->tls, nullptr);
  EXPECT_EQ(entrance->urls(8443).front(), "https://robot-7.local:8443");
  EXPECT_EQ(entrance->local_url(8443), "https://127.0.0.1:8443");
  const auto& names = entrance->certificate.names;
  for (const char* name : {"robot-7.local", "192.0.2.7", "localhost", "127.0.0.1", "::1"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
}

TEST_F(EntranceTest, NeverLeavesTheMachineInClear) {
  config_.ports.address = "192.0.2.7";
  config_.ports.tls = TlsUse::kOff;
  const Status refused = open().status();
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_NE(refused.message().find("ports.tls"), std::string::npos);
}

TEST_F(EntranceTest, IsRenewedWhenItsNamesOrItsDaysAreOver) {
  config_.ports.address = "0.0.0.0";
  const Result<Entrance> entrance = open();
  ASSERT_TRUE(entrance.ok()) << entrance.status().message();
  const auto look = [&] { return renewed(*entrance, config_, *folder_, now_); };
  ASSERT_TRUE(look().ok());
  EXPECT_FALSE(*look());
  config_.ports.names = "192.0.2.77";  // as after a change by DHCP
  const auto moved = look();
  ASSERT_TRUE(moved.ok() && *moved) << moved.status().message();
  EXPECT_NE((*moved)->certificate.fingerprint, entrance->certificate.fingerprint);
  EXPECT_EQ((*moved)->names.front(), "192.0.2.77");
  EXPECT_NE((*moved)->tls, nullptr);
  config_.ports.names = "none";
  now_ += std::chrono::hours(24 * 3650);
  const auto later = look();
  ASSERT_TRUE(later.ok() && *later) << later.status().message();
  config_.ports.names = "a b";
  EXPECT_EQ(look().status().code(), Code::kInvalidArgument) << "it stays as it was";
}

TEST_F(EntranceTest, RefusesAddressesAndNamesThatAreNone) {
  config_.ports.address = "robot";
  EXPECT_EQ(open().status().code(), Code::kInvalidArgument);
  config_.ports.address = "0.0.0.0";
  for (const char* names : {"a b", "a,,b", "*.local", "a,"}) {
    config_.ports.names = names;
    EXPECT_EQ(open().status().code(), Code::kInvalidArgument) << names;
  }
}

}  // namespace
}  // namespace nudge
