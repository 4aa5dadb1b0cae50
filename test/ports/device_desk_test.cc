#include "src/ports/device_desk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace nudge {
namespace {

using nlohmann::json;

class DeviceDeskTest : public testing::Test {
 protected:
  DeviceDeskTest() : desk_(options(), Devices("kitchen")) {
    desk_.serve_at({.urls = {"https://10.0.0.7:8080", "https://robot.local:8080"},
                    .fingerprint = "AB:CD",
                    .authority_der = "DER"});
    desk_.on_gone = [this](const std::string& device, std::string_view reason) {
      gone_.insert(device + " " + std::string(reason));
    };
    desk_.connected = [](const std::string&) { return 2; };
  }
  DeviceDeskOptions options() {
    return {.now = [this] { return now_; },
            .wall = [this] { return wall_; },
            .save =
                [this](std::string text, const std::function<void(Status)>& done) {
                  if (disk_.ok()) file_ = std::move(text);
                  done(disk_);
                },
            .record =
                [this](Payload what, const std::optional<Actor>& who,
                       const std::function<void(Status)>& done) {
                  kept_.push_back({.what = std::move(what), .who = who});
                  if (done) done(log_);
                },
            .recording = [this] { return recording_; },
            .notice = [this](const std::string& message, bool) { told_ += message + "\n"; }};
  }
  HttpResponse request(const std::string& method, const std::string& path, const std::string& body,
                       std::optional<Role> role = {}) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.peer = "10.0.0.9";
    if (role) request.actor = Actor{"somebody", *role};
    HttpResponse answer;
    desk_.handle(request, [&](HttpResponse response) { answer = std::move(response); });
    return answer;
  }
  HttpResponse pair(const std::string& name = "Anna's tablet", Role role = Role::kSupervisor) {
    return request("POST", "/api/v1/pair",
                   json({{"code", desk_.offer(role).code}, {"name", name}}).dump());
  }
  HttpResponse refresh(const json& grant) {
    return request("POST", "/api/v1/token", json({{"refresh", grant["refresh"]}}).dump());
  }

  Instant now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::hours(480'000)};
  struct Kept {
    Payload what;
    std::optional<Actor> who;  // none: the daemon
  };
  std::vector<Kept> kept_;  // by the log, oldest first
  Status disk_, log_;
  bool recording_ = true;
  std::string file_, told_;
  std::set<std::string> gone_;
  DeviceDesk desk_;
};

TEST_F(DeviceDeskTest, PairsWithACodeAndRemembersTheDevice) {
  const HttpResponse answer = pair();
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json grant = json::parse(answer.body);
  EXPECT_EQ(grant["role"], "supervisor");
  EXPECT_EQ(grant["name"], "Anna's tablet");
  EXPECT_EQ(grant["robot"], "kitchen");
  EXPECT_EQ(grant["life_ms"], 900'000);
  EXPECT_EQ(desk_.who_is(std::string(grant["token"]))->device, grant["device"]);
  EXPECT_NE(file_.find(grant["device"]), std::string::npos);
  EXPECT_NE(told_.find("Anna's tablet"), std::string::npos);
  EXPECT_EQ(told_.find(std::string(grant["token"])), std::string::npos);
}

TEST_F(DeviceDeskTest, CallsADeviceWithoutAFitNameATablet) {
  for (const std::string& name : {std::string(), std::string(65, 'a'), std::string("\x01")}) {
    EXPECT_EQ(json::parse(pair(name).body)["name"], "tablet");
  }
}

TEST_F(DeviceDeskTest, RefusesANameThatCouldBeThatOfALiveConnectionAndKeepsTheCode) {
  const std::string code = desk_.offer(Role::kSupervisor).code;
  const auto with = [&](const std::string& name) {
    return request("POST", "/api/v1/pair", json({{"code", code}, {"name", name}}).dump()).status;
  };
  EXPECT_EQ(with("Anna's tablet#7"), 400);
  EXPECT_EQ(with("Anna's tablet"), 200);
}

TEST_F(DeviceDeskTest, OffersTheAddressesWithTheCode) {
  const HttpResponse made =
      request("POST", "/api/v1/pairing-codes", R"({"role":"viewer"})", Role::kEngineer);
  EXPECT_EQ(made.status, 201);
  const json offer = json::parse(made.body);
  EXPECT_EQ(offer["role"], "viewer");
  EXPECT_EQ(offer["url"], "https://10.0.0.7:8080/#pair=" + std::string(offer["code"]));
  EXPECT_EQ(offer["urls"].size(), 2u);
  EXPECT_EQ(offer["fingerprint"], "AB:CD");
  EXPECT_EQ(json::parse(request("POST", "/api/v1/pairing-codes", "", Role::kEngineer).body)["role"],
            "supervisor");
  for (const char* body : {"[]", R"({"role":"script"})", R"({"role":"king"})", "{"}) {
    EXPECT_EQ(request("POST", "/api/v1/pairing-codes", body, Role::kEngineer).status, 400) << body;
  }
}

TEST_F(DeviceDeskTest, SaysWhenThereAreTooManyWrongCodes) {
  const std::string wrong = R"({"code":"AAAA-AAAA","name":"x"})";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(request("POST", "/api/v1/pair", wrong).status, 403);
  const HttpResponse refused = request("POST", "/api/v1/pair", wrong);
  EXPECT_EQ(refused.status, 429);
  // People are told of the wrong ones, and not of what comes after them without end.
  EXPECT_EQ(std::count(told_.begin(), told_.end(), '\n'), 5);
  EXPECT_GT(refused.retry_after_s, 0);
}

TEST_F(DeviceDeskTest, KeepsTheCodeUntilThereIsRoomForItsDevice) {
  json first = json::parse(pair().body);
  for (std::size_t i = 1; i < Devices::kMost; ++i) ASSERT_EQ(pair().status, 200);
  const std::string body =
      json({{"code", desk_.offer(Role::kSupervisor).code}, {"name", "one more"}}).dump();
  EXPECT_EQ(request("POST", "/api/v1/pair", body).status, 507);
  request("POST", "/api/v1/devices/" + std::string(first["device"]) + "/revoke", "",
          Role::kEngineer);
  EXPECT_EQ(request("POST", "/api/v1/pair", body).status, 200);
}

TEST_F(DeviceDeskTest, PairsNobodyWhomTheDiskCannotKeep) {
  disk_ = resource_exhausted("the disk is full");
  EXPECT_EQ(pair().status, 507);
  disk_ = {};
  const HttpResponse list = request("GET", "/api/v1/devices", "", Role::kEngineer);
  EXPECT_TRUE(json::parse(list.body)["devices"].empty());
}

// ---- the log sees who comes in ------------------------------------------------------------------

TEST_F(DeviceDeskTest, TheLogSeesWhoMadeACodeAndWhoCameInWithIt) {
  HttpRequest asked;
  asked.method = "POST";
  asked.path = "/api/v1/pairing-codes";
  asked.body = R"({"role":"engineer"})";
  asked.actor = Actor{"Eva", Role::kEngineer};
  asked.device = "d-1";
  std::string code;
  desk_.handle(asked, [&](const HttpResponse& made) { code = json::parse(made.body)["code"]; });
  ASSERT_EQ(kept_.size(), 1u);
  EXPECT_EQ(std::get<PairingCodeMade>(kept_[0].what).role, Role::kEngineer);
  EXPECT_EQ(kept_[0].who->name, "Eva#d-1");
  const json grant = json::parse(
      request("POST", "/api/v1/pair", json({{"code", code}, {"name", "phone"}}).dump()).body);
  ASSERT_EQ(kept_.size(), 2u);
  const auto& paired = std::get<DevicePaired>(kept_[1].what);
  EXPECT_EQ(paired.device, grant["device"]);
  EXPECT_EQ(paired.name, "phone");
  EXPECT_EQ(paired.role, Role::kEngineer);
  EXPECT_EQ(paired.from, "10.0.0.9");
}

TEST_F(DeviceDeskTest, TheLogSeesWhoWasSentAwayAndWhy) {
  const std::string by_hand = json::parse(pair("a").body)["device"];
  const json copied = json::parse(pair("b").body);
  const std::string unused = json::parse(pair("c").body)["device"];
  kept_.clear();
  request("POST", "/api/v1/devices/" + by_hand + "/revoke", "", Role::kEngineer);
  const json next = json::parse(refresh(copied).body);
  refresh(next);
  refresh(copied);
  wall_ += Devices::kUnused + std::chrono::hours(1);
  desk_.expire();
  std::vector<DeviceRevoked> gone;
  for (const Kept& kept : kept_) gone.push_back(std::get<DeviceRevoked>(kept.what));
  ASSERT_EQ(gone.size(), 3u);
  EXPECT_EQ(gone[0].device, by_hand);
  EXPECT_EQ(gone[0].name, "a");
  EXPECT_EQ(gone[0].reason, DeviceEnd::kByHand);
  EXPECT_EQ(kept_[0].who->name, "somebody");
  EXPECT_EQ(gone[1].device, copied["device"]);
  EXPECT_EQ(gone[1].name, "b");
  EXPECT_EQ(gone[1].reason, DeviceEnd::kCopied);
  EXPECT_FALSE(kept_[1].who);
  EXPECT_EQ(gone[2].device, unused);
  EXPECT_EQ(gone[2].name, "c");
  EXPECT_EQ(gone[2].reason, DeviceEnd::kUnused);
}

TEST_F(DeviceDeskTest, NobodyComesInThatTheLogDoesNotSee) {
  const std::string code = desk_.offer(Role::kSupervisor).code;
  const std::string body = json({{"code", code}, {"name", "phone"}}).dump();
  recording_ = false;
  EXPECT_EQ(request("POST", "/api/v1/pair", body).status, 503);
  EXPECT_EQ(request("POST", "/api/v1/pairing-codes", "", Role::kEngineer).status, 503);
  EXPECT_TRUE(kept_.empty());
  recording_ = true;
  EXPECT_EQ(request("POST", "/api/v1/pair", body).status, 200) << "the code was not used up";
  log_ = resource_exhausted("the log does not keep up");
  EXPECT_EQ(pair().status, 507);
  EXPECT_EQ(request("POST", "/api/v1/pairing-codes", "", Role::kEngineer).status, 507);
  const HttpResponse list = request("GET", "/api/v1/devices", "", Role::kEngineer);
  EXPECT_EQ(json::parse(list.body)["devices"].size(), 1u);
}

TEST_F(DeviceDeskTest, SendsAwayThoughTheLogDoesNotRecordAndSaysSo) {
  const std::string id = json::parse(pair().body)["device"];
  kept_.clear();
  recording_ = false;
  const HttpResponse answer =
      request("POST", "/api/v1/devices/" + id + "/revoke", "", Role::kEngineer);
  EXPECT_EQ(answer.status, 503);
  EXPECT_FALSE(desk_.knows(id));
  EXPECT_EQ(kept_.size(), 1u) << "the log takes it when it can";
}

TEST_F(DeviceDeskTest, RenewsTokensThoughTheDiskIsFull) {
  const json first = json::parse(pair().body);
  disk_ = resource_exhausted("the disk is full");
  const HttpResponse answer = refresh(first);
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(desk_.who_is(std::string(json::parse(answer.body)["token"])));
  EXPECT_NE(told_.find("the disk is full"), std::string::npos);
}

TEST_F(DeviceDeskTest, SendsAwayTheDeviceWhoseRefreshIsUsedTwice) {
  const json first = json::parse(pair().body);
  const json second = json::parse(refresh(first).body);
  ASSERT_EQ(refresh(second).status, 200);
  EXPECT_EQ(refresh(first).status, 401);
  EXPECT_EQ(gone_, std::set<std::string>{std::string(first["device"]) + " revoked"});
  EXPECT_EQ(file_.find(first["device"]), std::string::npos);
  EXPECT_FALSE(desk_.who_is(std::string(second["token"])));
}

TEST_F(DeviceDeskTest, ListsAndRevokesForAnEngineerAlone) {
  const json grant = json::parse(pair().body);
  const std::string path = "/api/v1/devices/" + std::string(grant["device"]) + "/revoke";
  for (const Role role : {Role::kScript, Role::kViewer, Role::kSupervisor}) {
    EXPECT_EQ(request("GET", "/api/v1/devices", "", role).status, 403);
    EXPECT_EQ(request("POST", "/api/v1/pairing-codes", "", role).status, 403);
    EXPECT_EQ(request("POST", path, "", role).status, 403);
  }
  const json row =
      json::parse(request("GET", "/api/v1/devices", "", Role::kEngineer).body)["devices"][0];
  EXPECT_EQ(row["id"], grant["device"]);
  EXPECT_EQ(row["connected"], 2);
  EXPECT_EQ(request("POST", path, "", Role::kEngineer).status, 200);
  EXPECT_EQ(gone_, std::set<std::string>{std::string(grant["device"]) + " revoked"});
  EXPECT_EQ(request("POST", path, "", Role::kEngineer).status, 404);
}

TEST_F(DeviceDeskTest, SaysThatARevokedDeviceMayComeBackWhenTheDiskDidNotTakeIt) {
  const json grant = json::parse(pair().body);
  disk_ = resource_exhausted("the disk is full");
  const std::string path = "/api/v1/devices/" + std::string(grant["device"]) + "/revoke";
  EXPECT_EQ(request("POST", path, "", Role::kEngineer).status, 507);
  EXPECT_FALSE(desk_.who_is(std::string(grant["token"])));
}

TEST_F(DeviceDeskTest, ForgetsWhoWasNotHereForLong) {
  const json grant = json::parse(pair().body);
  desk_.expire();
  EXPECT_TRUE(gone_.empty());
  wall_ += Devices::kUnused;
  desk_.expire();
  EXPECT_EQ(gone_, std::set<std::string>{std::string(grant["device"]) + " expired"});
  EXPECT_EQ(file_.find(grant["device"]), std::string::npos);
}

TEST_F(DeviceDeskTest, StoresThatAnAnswerHasArrived) {
  const json first = json::parse(pair().body);
  const json second = json::parse(refresh(first).body);
  EXPECT_NE(file_.find("\"used\""), std::string::npos);
  ASSERT_TRUE(desk_.who_is(std::string(second["token"])));
  desk_.expire();
  EXPECT_EQ(file_.find("\"used\""), std::string::npos);
}

TEST_F(DeviceDeskTest, LetsNoTokenLiveLongerForAClockThatIsSetBack) {
  const json grant = json::parse(pair().body);
  now_ += std::chrono::minutes(10);
  wall_ -= std::chrono::hours(24);
  EXPECT_TRUE(desk_.who_is(std::string(grant["token"])));
  now_ += std::chrono::minutes(5);
  EXPECT_FALSE(desk_.who_is(std::string(grant["token"])));
  EXPECT_FALSE(desk_.has_token(grant["device"]));
}

TEST_F(DeviceDeskTest, TakesTheTimeOfItsFileForTheEarliest) {
  Devices devices("kitchen");
  const Grant grant = *devices.pair("tablet", Role::kViewer, wall_);
  wall_ = WallTime();  // no battery
  DeviceDesk desk(options(), std::move(devices));
  now_ += std::chrono::minutes(14);
  EXPECT_TRUE(desk.who_is(grant.token));
  now_ += std::chrono::minutes(1);
  EXPECT_FALSE(desk.who_is(grant.token));
}

TEST_F(DeviceDeskTest, GivesItsAuthorityToAnybodyWhereThereIsOne) {
  const HttpResponse answer = request("GET", "/authority.crt", "");
  EXPECT_EQ(answer.content_type, "application/x-x509-ca-cert");
  EXPECT_EQ(answer.body, "DER");
  desk_.serve_at({});
  EXPECT_EQ(request("GET", "/authority.crt", "").status, 404);
}

TEST_F(DeviceDeskTest, RefusesBodiesThatAreNone) {
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
        std::string(R"({"code":7,"refresh":7})"), std::string(4096, ' ') + "{}",
        std::string(R"({"x":[[[[1]]]],"code":"a","refresh":"a"})")}) {
    EXPECT_EQ(request("POST", "/api/v1/pair", body).status, 400) << body;
    EXPECT_EQ(request("POST", "/api/v1/token", body).status, 400) << body;
  }
}

}  // namespace
}  // namespace nudge
