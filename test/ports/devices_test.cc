#include "src/ports/devices.h"
#include "test/support/test_data.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace nudge {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::string file_of_version_one() {
  std::ifstream file(test::test_data() + "/ports/devices.json", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class DevicesTest : public testing::Test {
 protected:
  Grant paired(const std::string& name = "Anna's tablet") {
    Result<Grant> grant = devices_.pair(name, Role::kSupervisor, now_);
    EXPECT_TRUE(grant.ok()) << grant.status().message();
    return *grant;
  }
  void restart(const std::string& robot = "kitchen") {
    Result<Devices> again = Devices::decode(devices_.encode(), robot);
    ASSERT_TRUE(again.ok()) << again.status().message();
    devices_ = *std::move(again);
  }

  WallTime now_{hours(480'000)};
  Devices devices_{"kitchen"};
};

TEST_F(DevicesTest, KnowsADeviceByItsTokenForFifteenMinutes) {
  const Grant grant = paired();
  EXPECT_EQ(grant.expires, now_ + minutes(15));
  const std::optional<Caller> caller = devices_.who_is(grant.token, now_);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->actor, (Actor{"Anna's tablet", Role::kSupervisor}));
  EXPECT_EQ(caller->device, grant.device.id);
  EXPECT_FALSE(devices_.who_is(grant.refresh, now_));
  EXPECT_FALSE(devices_.who_is("", now_));
  EXPECT_FALSE(devices_.who_is(grant.token + "x", now_));
  EXPECT_FALSE(devices_.who_is(grant.token, now_ + minutes(15)));
}

TEST_F(DevicesTest, RenewsATokenForARefreshOnce) {
  const Grant first = paired();
  const Devices::Refreshed second = devices_.refresh(first.refresh, now_ + minutes(14));
  ASSERT_TRUE(second.grant);
  EXPECT_NE(second.grant->token, first.token);
  EXPECT_NE(second.grant->refresh, first.refresh);
  EXPECT_TRUE(devices_.who_is(second.grant->token, now_ + minutes(28)));
  // Another tab still has the token before, until that ends by itself.
  EXPECT_TRUE(devices_.who_is(first.token, now_ + minutes(14)));
  EXPECT_FALSE(devices_.who_is(first.token, now_ + minutes(15)));
}

TEST_F(DevicesTest, GivesAnAnswerAgainForTenSecondsToTabsThatAskAtOnce) {
  const Grant first = paired();
  const Devices::Refreshed second = devices_.refresh(first.refresh, now_);
  ASSERT_TRUE(devices_.who_is(second.grant->token, now_));
  const Devices::Refreshed again = devices_.refresh(first.refresh, now_ + seconds(9));
  ASSERT_TRUE(again.grant);
  EXPECT_EQ(again.grant->token, second.grant->token);
  EXPECT_EQ(again.grant->refresh, second.grant->refresh);
}

TEST_F(DevicesTest, GivesAnAnswerAgainUntilItsTokenIsUsedHoweverLateItCame) {
  const Grant first = paired();
  const Devices::Refreshed second = devices_.refresh(first.refresh, now_);
  for (const auto& later : {seconds(10), seconds(600)}) {
    EXPECT_TRUE(devices_.expire(now_ + later).empty());
    EXPECT_TRUE(devices_.who_is(first.token, now_ + later)) << "which says nothing of the second";
    const Devices::Refreshed again = devices_.refresh(first.refresh, now_ + later);
    ASSERT_TRUE(again.grant);
    EXPECT_EQ(again.grant->refresh, second.grant->refresh);
  }
  ASSERT_TRUE(devices_.who_is(second.grant->token, now_ + seconds(600)));
  EXPECT_EQ(devices_.refresh(first.refresh, now_ + seconds(600)).revoked, first.device.id);
}

TEST_F(DevicesTest, RevokesTheDeviceWhoseRefreshIsUsedTwice) {
  const Grant first = paired();
  const Grant other = paired("the wall");
  const Devices::Refreshed second = devices_.refresh(first.refresh, now_);
  ASSERT_TRUE(devices_.who_is(second.grant->token, now_));
  const Devices::Refreshed again = devices_.refresh(first.refresh, now_ + seconds(10));
  EXPECT_FALSE(again.grant);
  EXPECT_EQ(again.revoked, first.device.id);
  EXPECT_FALSE(devices_.who_is(second.grant->token, now_));
  EXPECT_FALSE(devices_.refresh(second.grant->refresh, now_).grant);
  EXPECT_TRUE(devices_.who_is(other.token, now_));
}

TEST_F(DevicesTest, RevokesAtOnceWhenTheNextRefreshHasBeenUsedToo) {
  const Grant first = paired();
  const Devices::Refreshed second = devices_.refresh(first.refresh, now_);
  ASSERT_TRUE(devices_.refresh(second.grant->refresh, now_).grant);
  EXPECT_EQ(devices_.refresh(first.refresh, now_).revoked, first.device.id);
}

TEST_F(DevicesTest, RevokesNobodyForARefreshThatNeverWas) {
  const Grant grant = paired();
  for (const std::string& refresh :
       {std::string(), std::string(grant.refresh.size(), 'a'), grant.refresh + "a", grant.token}) {
    const Devices::Refreshed refused = devices_.refresh(refresh, now_);
    EXPECT_FALSE(refused.grant);
    EXPECT_FALSE(refused.revoked);
  }
  EXPECT_TRUE(devices_.who_is(grant.token, now_));
}

TEST_F(DevicesTest, KeepsDevicesAndTokensOverARestart) {
  const Grant grant = paired("Zoë's tablet");
  restart();
  const std::optional<Caller> caller = devices_.who_is(grant.token, now_);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->actor.name, "Zoë's tablet");
  const Devices::Refreshed next = devices_.refresh(grant.refresh, now_);
  ASSERT_TRUE(next.grant);
  // That a refresh was used is known after a restart, too.
  ASSERT_TRUE(devices_.who_is(next.grant->token, now_));
  EXPECT_TRUE(devices_.take_change());
  restart();
  EXPECT_EQ(devices_.refresh(grant.refresh, now_).revoked, grant.device.id);
}

TEST_F(DevicesTest, GivesAnotherAnswerAfterARestartWhenTheFirstWasNeverUsed) {
  const Grant first = paired();
  const Devices::Refreshed lost = devices_.refresh(first.refresh, now_);
  ASSERT_TRUE(lost.grant);
  for (int i = 0; i < 2; ++i) {
    restart();
    const Devices::Refreshed again = devices_.refresh(first.refresh, now_ + seconds(5));
    ASSERT_TRUE(again.grant) << "the daemon died after its answer, " << i;
    EXPECT_NE(again.grant->refresh, lost.grant->refresh);
    EXPECT_FALSE(devices_.who_is(lost.grant->token, now_)) << "which nobody has";
  }
  const Devices::Refreshed last = devices_.refresh(first.refresh, now_ + seconds(6));
  ASSERT_TRUE(devices_.who_is(last.grant->token, now_ + seconds(6)));
  restart();
  EXPECT_EQ(devices_.refresh(first.refresh, now_ + seconds(20)).revoked, first.device.id);
}

TEST_F(DevicesTest, RevokesADeviceOfWhichTwoHaveAnAnswerAfterARestart) {
  const Grant first = paired();
  const Devices::Refreshed kept = devices_.refresh(first.refresh, now_);
  restart();
  const Devices::Refreshed copied = devices_.refresh(first.refresh, now_);
  ASSERT_TRUE(copied.grant);
  EXPECT_EQ(devices_.refresh(kept.grant->refresh, now_).revoked, first.device.id);
}

TEST_F(DevicesTest, WasNotSeenEarlierBecauseAClockWasSetBack) {
  const Grant grant = paired();
  ASSERT_TRUE(devices_.refresh(grant.refresh, WallTime(hours(1))).grant);
  EXPECT_EQ(devices_.list()[0].seen, now_);
  EXPECT_EQ(devices_.newest(), now_);
}

TEST_F(DevicesTest, ForgetsNobodyForAClockThatWasNotSetWhenTheyWereHere) {
  const Result<Grant> grant = devices_.pair("tablet", Role::kViewer, WallTime(hours(1)));
  EXPECT_TRUE(devices_.expire(WallTime(hours(2))).empty());
  EXPECT_TRUE(devices_.expire(now_).empty());
  EXPECT_EQ(devices_.list()[0].seen, now_) << "unused since it is known what the time is";
  EXPECT_TRUE(devices_.refresh(grant->refresh, now_).grant);
  EXPECT_EQ(devices_.expire(now_ + Devices::kUnused).size(), 1u);
}

TEST_F(DevicesTest, KnowsWhetherADeviceHasATokenInTime) {
  const Grant first = paired();
  EXPECT_TRUE(devices_.has_token(first.device.id, now_ + minutes(14)));
  EXPECT_FALSE(devices_.has_token(first.device.id, now_ + minutes(15)));
  ASSERT_TRUE(devices_.refresh(first.refresh, now_ + minutes(14)).grant);
  EXPECT_TRUE(devices_.has_token(first.device.id, now_ + minutes(28)));
  EXPECT_FALSE(devices_.has_token("d-0000000000000000", now_));
}

TEST_F(DevicesTest, LetsNobodyInWhoWasPairedWithAnotherRobot) {
  const Grant grant = paired();
  restart("workshop");
  EXPECT_FALSE(devices_.who_is(grant.token, now_));
  EXPECT_FALSE(devices_.refresh(grant.refresh, now_).grant);
  EXPECT_EQ(devices_.list().size(), 1u);
  restart("kitchen");
  EXPECT_TRUE(devices_.who_is(grant.token, now_));
}

TEST_F(DevicesTest, WritesNoSecretDown) {
  const Grant grant = paired();
  const Devices::Refreshed next = devices_.refresh(grant.refresh, now_);
  const std::string file = devices_.encode();
  for (const Grant* given : {&grant, &*next.grant}) {
    EXPECT_EQ(file.find(given->token), std::string::npos);
    EXPECT_EQ(file.find(given->refresh.substr(0, 24)), std::string::npos);
    EXPECT_EQ(file.find(given->refresh.substr(24)), std::string::npos);
  }
}

TEST_F(DevicesTest, ForgetsADeviceThatNobodyUsesFor90Days) {
  const Grant idle = paired("idle");
  const Grant used = paired("used");
  now_ += hours(24 * 89);
  ASSERT_TRUE(devices_.refresh(used.refresh, now_).grant);
  EXPECT_TRUE(devices_.expire(now_).empty());
  now_ += hours(24);
  EXPECT_EQ(devices_.expire(now_), std::vector<std::string>{idle.device.id});
  EXPECT_FALSE(devices_.refresh(idle.refresh, now_).grant);
  ASSERT_EQ(devices_.list().size(), 1u);
  EXPECT_EQ(devices_.list()[0].name, "used");
}

TEST_F(DevicesTest, RevokesByNumber) {
  const Grant grant = paired();
  EXPECT_FALSE(devices_.revoke("d-0000000000000000"));
  EXPECT_TRUE(devices_.revoke(grant.device.id));
  EXPECT_FALSE(devices_.who_is(grant.token, now_));
  EXPECT_FALSE(devices_.refresh(grant.refresh, now_).grant);
}

TEST_F(DevicesTest, HasRoomFor64) {
  for (std::size_t i = 0; i < Devices::kMost; ++i) paired();
  EXPECT_EQ(devices_.pair("one more", Role::kViewer, now_).status().code(),
            Code::kResourceExhausted);
  EXPECT_LE(devices_.encode().size(), Devices::kMaxFile);
  restart();
  EXPECT_EQ(devices_.list().size(), Devices::kMost);
}

TEST_F(DevicesTest, ReadsTheFormatOfVersionOne) {
  const std::string file = file_of_version_one();
  const Result<Devices> devices = Devices::decode(file, "kitchen");
  ASSERT_TRUE(devices.ok()) << devices.status().message();
  ASSERT_EQ(devices->list().size(), 1u);
  const Device device = devices->list()[0];
  EXPECT_EQ(device.id, "d-0123456789abcdef");
  EXPECT_EQ(device.name, "Zoë's tablet");
  EXPECT_EQ(device.role, Role::kSupervisor);
  EXPECT_EQ(device.robot, "kitchen");
  EXPECT_EQ(devices->encode(), file);
}

TEST_F(DevicesTest, ReadsTheFileOfADeviceWhoseAnswerWasNotUsedYet) {
  std::ifstream in(test::test_data() + "/ports/devices_refreshed.json", std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(in), {}};
  const Result<Devices> devices = Devices::decode(file, "kitchen");
  ASSERT_TRUE(devices.ok()) << devices.status().message();
  EXPECT_EQ(devices->encode(), file);
  std::string wrong = file;
  wrong.replace(wrong.find("\"used\": \"") + 9, 1, "x");
  EXPECT_EQ(Devices::decode(wrong, "kitchen").status().code(), Code::kDataLoss);
}

TEST_F(DevicesTest, RefusesAFileThatIsNone) {
  const std::string good = file_of_version_one();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return Devices::decode(text, "kitchen").status().code();
  };
  EXPECT_EQ(Devices::decode("", "kitchen").status().code(), Code::kDataLoss);
  EXPECT_EQ(Devices::decode("[]", "kitchen").status().code(), Code::kDataLoss);
  EXPECT_EQ(Devices::decode(std::string(10, '['), "kitchen").status().code(), Code::kDataLoss);
  EXPECT_EQ(with("\"version\": 1", "\"version\": 2"), Code::kUnimplemented);
  EXPECT_EQ(with("d-0123", "d-012x"), Code::kDataLoss);
  EXPECT_EQ(with("supervisor", "script"), Code::kDataLoss);
  EXPECT_EQ(with("\"family\"", "\"familie\""), Code::kDataLoss);
  EXPECT_EQ(with("kitchen", ""), Code::kDataLoss);
  EXPECT_EQ(with("Zoë's tablet", "\\u0007"), Code::kDataLoss);
  EXPECT_EQ(with("\"seen_ms\": 1", "\"seen_ms\": -1"), Code::kDataLoss);
}

}  // namespace
}  // namespace nudge
