// The supervisor's port over real sockets: server, tokens and meaning together.
#include "src/ports/supervisor_server.h"

#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "test/ports/http_peer.h"
#include "test/support/fake_desk.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using nlohmann::json;

const std::uint8_t kPage[] = {'<', 'h', 't', 'm', 'l', '>'};
const WebFile kFiles[] = {{"index.html", "text/html; charset=utf-8", kPage, "\"e1\""}};

// Answers everything at once.
class PromptDesk final : public Desk {
 public:
  const DeskInfo& info() const override { return fake.info(); }
  const Snapshot& snapshot() const override { return fake.snapshot(); }
  const History& history() const override { return fake.history(); }
  const LearningStatus& learning() const override { return fake.learning(); }
  const LearningLedger& ledger() const override { return fake.ledger(); }
  const DatasetCounts& dataset() const override { return fake.dataset(); }
  bool recording() const override { return fake.recording(); }
  const StorageStatus& storage() const override { return fake.storage(); }
  const std::string& log_head() const override { return fake.log_head(); }
  std::span<const Image> frames() const override { return fake.frames(); }
  void submit(FeedbackMessage message, Reply reply) override {
    const std::string id = message.id;
    fake.submit(std::move(message), {});
    reply({.id = id, .status = {}, .echo = "done", .epoch = 0, .holder = {}});
  }
  void submit(OperatorMessage message, const Actor& actor, Reply reply) override {
    const std::string id = message.id;
    fake.submit(std::move(message), actor, {});
    reply({.id = id, .status = {}, .echo = "done", .epoch = 0, .holder = {}});
  }
  void read_episode(EpisodeId episode, Read reply) override {
    reply("{\"id\":" + std::to_string(episode) + "}");
  }
  void read_frame(EpisodeId, std::string camera, std::uint32_t, Read reply) override {
    reply("\xff\xd8" + camera);
  }
  EpisodeId episode_of(SpanId span) const override { return fake.episode_of(span); }
  void snapshot_log(Read reply) override { reply(unimplemented("there is no log here")); }
  test::FakeDesk fake;
};

class SupervisorServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = open_folder(folder_.path());
    ASSERT_TRUE(folder.ok());
    auto access = Access::load_or_create(**folder);
    ASSERT_TRUE(access.ok());
    access_ = *std::move(access);
    HttpServerOptions http;
    http.port = 0;
    SupervisorPortOptions options;
    options.page = kFiles;
    options.now = [this] { return desk_.fake.snapshot_now.now; };
    auto server = SupervisorServer::listen(loop_, http, options, *access_, desk_);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = *std::move(server);
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    if (!thread_.joinable()) return;
    on_loop([this] { server_.reset(); });
    loop_.stop();
    thread_.join();
  }
  template <typename Work>
  std::invoke_result_t<Work> on_loop(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto result = task.get_future();
    loop_.post([&] { task(); });
    return result.get();
  }
  std::string bearer(Role role) { return "Authorization: Bearer " + access_->token(role) + "\r\n"; }
  // As a browser opens it: the token travels as a subprotocol.
  void open(Peer& peer, Role role, const std::string& name = "tablet") {
    const PeerAnswer answer =
        peer.upgrade("/api/v1/live?name=" + name, "Sec-WebSocket-Protocol: nudge.v1, nudge.token." +
                                                      access_->token(role) + "\r\n");
    ASSERT_EQ(answer.status, 101);
    EXPECT_EQ(answer.fields.at("sec-websocket-protocol"), "nudge.v1");
    for (const char* type : {"hello", "curves", "weights", "phrases", "learning"})
      EXPECT_EQ(next(peer)["type"], type);
  }
  json next(Peer& peer) {
    const PeerFrame frame = peer.next_message();
    EXPECT_EQ(frame.opcode, 1);
    return json::parse(frame.payload, nullptr, false);
  }
  Peer peer() { return Peer(server_->port()); }

  test::TempFolder folder_;
  std::optional<Access> access_;
  EventLoop loop_;
  PromptDesk desk_;
  std::unique_ptr<SupervisorServer> server_;
  std::thread thread_;
};

TEST_F(SupervisorServerTest, TakesTheMachinesOwnTokensFromThisMachineOnly) {
  DeviceDesk devices({.now = [] { return Instant(); },
                      .wall = [] { return WallTime(std::chrono::hours(480'000)); },
                      .save = [](const std::string&, const auto& done) { done(Status()); },
                      .notice = {}},
                     Devices("kitchen"));
  const std::string own = access_->token(Role::kEngineer);
  EXPECT_TRUE(SupervisorServer::caller_of(*access_, &devices, own, true));
  EXPECT_FALSE(SupervisorServer::caller_of(*access_, &devices, own, false));
  HttpRequest pair;
  pair.path = "/api/v1/pair";
  pair.body = json({{"code", devices.offer(Role::kViewer).code}, {"name", "wall"}}).dump();
  std::string token;
  devices.handle(pair,
                 [&](const HttpResponse& answer) { token = json::parse(answer.body)["token"]; });
  EXPECT_TRUE(SupervisorServer::caller_of(*access_, &devices, token, false));
}

TEST_F(SupervisorServerTest, ServesPageHealthAndRestByTheRulesOfTheDocument) {
  Peer anybody = peer();
  anybody.request("GET", "/");
  const PeerAnswer page = anybody.answer();
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "<html>");
  anybody.request("GET", "/", "If-None-Match: \"e1\"\r\n");
  EXPECT_EQ(anybody.answer(true).status, 304);
  anybody.request("GET", "/readyz");
  EXPECT_EQ(anybody.answer().status, 200);
  anybody.request("GET", "/api/v1/status");
  EXPECT_EQ(anybody.answer().status, 401);

  Peer viewer = peer();
  viewer.request("GET", "/api/v1/status", bearer(Role::kViewer));
  EXPECT_EQ(json::parse(viewer.answer().body)["type"], "status");
  viewer.request("GET", "/api/v1/episodes?limit=1", bearer(Role::kViewer));
  EXPECT_EQ(json::parse(viewer.answer().body)["episodes"].size(), 1u);
  viewer.request("DELETE", "/api/v1/status", bearer(Role::kViewer));
  const PeerAnswer wrong = viewer.answer();
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.fields.at("allow"), "GET, HEAD");
}

TEST_F(SupervisorServerTest, TakesFeedbackByRest) {
  const std::string label = R"({"type":"label","id":"l-1","value":"success"})";
  Peer supervisor = peer();
  supervisor.request("POST", "/api/v1/feedback", bearer(Role::kSupervisor), label);
  const PeerAnswer done = supervisor.answer();
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(json::parse(done.body)["id"], "l-1");
  Peer viewer = peer();
  viewer.request("POST", "/api/v1/feedback", bearer(Role::kViewer), label);
  EXPECT_EQ(viewer.answer().status, 403);
  const auto actor = on_loop([this] { return desk_.fake.feedback.at(0).actor; });
  EXPECT_EQ(actor, (Actor{"supervisor", Role::kSupervisor}));
}

TEST_F(SupervisorServerTest, HoldsALiveConnection) {
  Peer tablet = peer();
  open(tablet, Role::kEngineer);
  tablet.send_text(R"({"type":"ping","sent":1})");
  EXPECT_EQ(next(tablet)["type"], "pong");
  tablet.send_text(R"({"type":"promote","id":"p-1","version":4})");
  EXPECT_EQ(next(tablet)["ok"], true);

  on_loop([this] { server_->listener().on_status(); });
  const json status = next(tablet);
  EXPECT_EQ(status["type"], "status");
  EXPECT_EQ(status["viewers"], 1);

  tablet.send_text(R"({"type":"frames","cameras":["front"]})");
  tablet.send_text(R"({"type":"ping","sent":2})");
  EXPECT_EQ(next(tablet)["type"], "pong");
  on_loop([this] {
    desk_.fake.frames_now[0].jpeg = {0xff, 0xd8};
    server_->listener().on_frame(0);
  });
  const PeerFrame frame = tablet.next_message();
  EXPECT_EQ(frame.opcode, 2);
  EXPECT_EQ(frame.payload.size(), 26u);

  on_loop([this] {
    test::EventMaker events;
    server_->listener().on_events(std::vector<Event>{events.make(Stopped{})});
  });
  EXPECT_EQ(next(tablet)["kind"], "stopped");
  const auto name = on_loop([this] { return desk_.fake.act_actors.at(0).name; });
  EXPECT_EQ(name.substr(0, 7), "tablet#");
}

TEST_F(SupervisorServerTest, ASupervisorAsksTheHolderOnTheirOwnConnectionToPassTheLeaseOn) {
  Peer holder = peer();
  open(holder, Role::kEngineer, "tablet");
  holder.send_text(R"({"type":"takeover","id":"t-1"})");
  EXPECT_EQ(next(holder)["id"], "t-1");
  on_loop([this] {
    desk_.fake.snapshot_now.lease.holder = desk_.fake.feedback.at(0).actor;  // as the desk would
  });
  Peer asker = peer();
  open(asker, Role::kSupervisor, "phone");
  asker.send_text(R"({"type":"ask_to_drive","id":"a-1"})");
  const json answer = next(asker);
  EXPECT_EQ(answer["id"], "a-1");
  EXPECT_EQ(answer["ok"], true) << answer;
  const json asked = next(holder);
  EXPECT_EQ(asked["type"], "asked_to_drive");
  EXPECT_EQ(asked["by"]["name"].get<std::string>().substr(0, 6), "phone#");
  EXPECT_EQ(asked["by"]["role"], "supervisor");
  holder.send_text(R"({"type":"ask_to_drive","id":"a-2"})");
  EXPECT_EQ(next(holder)["code"], "failed_precondition");
  const auto submitted = on_loop([this] { return desk_.fake.feedback.size(); });
  EXPECT_EQ(submitted, 1u);  // the takeover alone: asking reaches no desk, so no log
}

TEST_F(SupervisorServerTest, LetsStopThroughWhenTheRateIsUsedUp) {
  Peer tablet = peer();
  open(tablet, Role::kViewer);
  std::string burst;
  for (int i = 0; i < 200; ++i) burst += Peer::frame(1, R"({"type":"ping","sent":1})");
  burst += Peer::frame(1, R"({"type":"stop","id":"s-1"})");
  tablet.send(burst);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(next(tablet)["type"], "pong");
  EXPECT_EQ(next(tablet)["id"], "s-1");
}

TEST_F(SupervisorServerTest, ClosesWhoeverBreaksTheBounds) {
  Peer deep = peer();
  open(deep, Role::kSupervisor);
  deep.send_text(std::string(17, '['));
  EXPECT_EQ(deep.closing_code(), 1008);

  Peer stops = peer();  // 21 in a burst are no thumb
  open(stops, Role::kSupervisor);
  for (int i = 0; i < 21; ++i) stops.send_text(R"({"type":"stop"})");
  EXPECT_EQ(stops.closing_code(), 1008);
}

TEST_F(SupervisorServerTest, RefusesAStrangersToken) {
  Peer stranger = peer();
  const PeerAnswer answer =
      stranger.upgrade("/api/v1/live",
                       "Sec-WebSocket-Protocol: nudge.v1, "
                       "nudge.token.abcdefghijklmnopqrstuvwxyz0123456789abcdefg\r\n");
  EXPECT_EQ(answer.status, 401);
}

}  // namespace
}  // namespace nudge
