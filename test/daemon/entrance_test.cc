#include "src/daemon/entrance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "test/support/faulty_folder.h"
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

TEST_F(EntranceTest, RefusesAddressesAndNamesThatAreNone) {
  config_.ports.address = "robot";
  EXPECT_EQ(open().status().code(), Code::kInvalidArgument);
  config_.ports.address = "0.0.0.0";
  for (const char* names : {"a b", "a,,b", "*.local", "a,"}) {
    config_.ports.names = names;
    EXPECT_EQ(open().status().code(), Code::kInvalidArgument) << names;
  }
}

TEST_F(EntranceTest, TellsCommandsWhereTheDaemonIs) {
  EXPECT_EQ(read_local_door(*folder_).status().code(), Code::kNotFound);
  config_.ports.address = "0.0.0.0";
  const Result<Entrance> entrance = open();
  ASSERT_TRUE(entrance.ok());
  ASSERT_TRUE(write_local_door(*folder_, *entrance, 8443).ok());
  const Result<LocalDoor> door = read_local_door(*folder_);
  ASSERT_TRUE(door.ok()) << door.status().message();
  EXPECT_EQ(door->address, "127.0.0.1");
  EXPECT_EQ(door->port, 8443);
  EXPECT_EQ(door->fingerprint, entrance->certificate.fingerprint);
  for (const char* text : {"", "[]", "{}", R"({"address":"evil.example","port":1})",
                           R"({"address":"127.0.0.1","port":-1})"}) {
    std::ofstream(temporary_ / kEntranceFile) << text;
    EXPECT_EQ(read_local_door(*folder_).status().code(), Code::kDataLoss) << text;
  }
}

TEST_F(EntranceTest, LeavesNoOtherDaemonsPlaceBehindWhereItsOwnCannotBeWritten) {
  const Result<Entrance> entrance = open();
  ASSERT_TRUE(entrance.ok());
  ASSERT_TRUE(write_local_door(*folder_, *entrance, 8080).ok());
  test::FolderFault fault;
  fault.at = 2;  // after looking, and clearing away what was begun
  fault.sticky = false;
  {
    // The same again needs no disk.
    test::FaultyFolder full(*open_folder(temporary_.path()), fault);
    EXPECT_TRUE(write_local_door(full, *entrance, 8080).ok());
  }
  fault.operations = 0;
  test::FaultyFolder full(*open_folder(temporary_.path()), fault);
  EXPECT_FALSE(write_local_door(full, *entrance, 8081).ok());
  EXPECT_EQ(read_local_door(*folder_).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace nudge
