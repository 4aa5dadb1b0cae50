#include "src/ports/supervisor_port.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "src/ports/openapi.h"
#include "test/support/fake_desk.h"
#include "test/support/golden.h"

namespace nudge {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// What a server would have sent.
class Sent final : public LiveSink {
 public:
  bool send(ConnectionId connection, std::string text) override {
    texts[connection].push_back(std::move(text));
    return true;
  }
  void offer(ConnectionId connection, std::uint32_t channel,
             std::vector<std::uint8_t> bytes) override {
    frames.push_back({connection, channel, std::move(bytes)});
  }
  void close(ConnectionId connection, std::uint16_t code, std::string_view) override {
    closed[connection] = code;
  }
  HttpCounters counters() const override { return {.failed_handshakes = 3, .live = 2, .open = 5}; }

  struct Frame {
    ConnectionId connection = 0;
    std::uint32_t channel = 0;
    std::vector<std::uint8_t> bytes;
    std::uint64_t number(std::size_t at, std::size_t size) const {
      std::uint64_t value = 0;
      for (std::size_t i = size; i-- > 0;) value = value << 8 | bytes[at + i];
      return value;
    }
  };
  std::map<ConnectionId, std::vector<std::string>> texts;
  std::vector<Frame> frames;
  std::map<ConnectionId, std::uint16_t> closed;
};

const std::uint8_t kPage[] = {'<', 'h', 't', 'm', 'l', '>'};
const std::uint8_t kScript[] = {'1'};
const WebFile kFiles[] = {{"index.html", "text/html; charset=utf-8", kPage, "\"e1\""},
                          {"page.js", "text/javascript", kScript, "\"e2\""}};

class SupervisorPortTest : public testing::Test {
 protected:
  SupervisorPortTest() : now_(desk_.snapshot_now.now), port_(options(), desk_) {
    port_.attach(sent_);
  }
  SupervisorPortOptions options() {
    SupervisorPortOptions options;
    options.page = kFiles;
    options.now = [this] { return now_; };
    options.log_metrics = [] { return LogMetrics{.durable = 812, .commits = 90}; };
    options.port_metrics = [this] { return port_metrics_; };
    return options;
  }

  HttpResponse request(const std::string& method, const std::string& path,
                       std::optional<Role> role = Role::kSupervisor, const std::string& body = {},
                       const std::string& limit = {}) {
    HttpRequest request;
    request.if_match = if_match_;
    request.idempotency_key = key_;
    request.method = method;
    request.path = path;
    request.body = body;
    if (!limit.empty()) request.query["limit"] = limit;
    if (role) request.actor = Actor{device_.empty() ? "somebody" : "anna#1", *role};
    request.device = device_;
    HttpResponse answer;
    answer.status = 0;  // not yet
    auto kept = std::make_shared<HttpResponse>(answer);
    port_.handle(std::move(request), [kept](HttpResponse r) { *kept = std::move(r); });
    answer_ = kept;
    return *kept;
  }
  // As the server does it: the head first, then the body.
  HttpResponse arrive(const std::string& method, const std::string& path, std::optional<Role> role,
                      const std::string& body = {}, const std::string& peer = "10.0.0.9") {
    HttpRequest request;
    request.method = method;
    request.path = path;
    if (role) request.actor = Actor{"somebody", *role};
    request.device = device_;
    request.peer = peer;
    if (auto away = port_.turn_away(request, body.size())) return *away;
    request.body = body;
    HttpResponse answer;
    answer.status = 0;  // not yet
    port_.handle(std::move(request), [&answer](HttpResponse r) { answer = std::move(r); });
    return answer;
  }
  HttpResponse tell(const std::string& type, const std::string& more = {},
                    Role role = Role::kSupervisor) {
    return arrive(
        "POST", "/api/v1/feedback", role,
        R"({"type":")" + type + R"(","id":"m-)" + std::to_string(++told_) + "\"" + more + "}");
  }
  HttpResponse comment(Role role = Role::kSupervisor) {
    return tell("words", R"(,"text":"well done","meant":"comment")", role);
  }
  void use_up_acts() {
    for (int i = 0; i < 50; ++i) ASSERT_NE(comment().status, 429) << i;
    ASSERT_EQ(comment().status, 429);
  }
  HttpResponse get(const std::string& path) { return request("GET", path); }
  // What the desk is asked for of the past is answered at once.
  HttpResponse get_past(const std::string& path, Result<std::string> content,
                        Role role = Role::kViewer) {
    request("GET", path, role);
    if (answer_->status == 0 && !desk_.asked.empty()) {
      desk_.asked.back().reply(std::move(content));
    }
    return *answer_;
  }
  // A path that the route stands for.
  static std::string example(const Route& route) {
    std::string path(route.path);
    for (const auto& [what, value] :
         {std::pair("{id}", "7"), std::pair("{camera}", "front"), std::pair("{step}", "12")}) {
      if (const auto at = path.find(what); at != std::string::npos) {
        path.replace(at, std::string_view(what).size(), value);
      }
    }
    return path;
  }

  // There is one more version.
  void accept_weights(WeightsVersion version) {
    WeightsAccepted accepted;
    accepted.version = version;
    Event event;
    event.payload = accepted;
    desk_.history_now.apply(event);
  }

  void open(ConnectionId connection, Role role = Role::kSupervisor) {
    port_.on_open(connection, {"anna#" + std::to_string(connection), role});
  }
  // Messages since the last look.
  std::vector<json> news(ConnectionId connection) {
    std::vector<json> all;
    for (const std::string& text : std::exchange(sent_.texts[connection], {})) {
      all.push_back(json::parse(text));
    }
    return all;
  }
  void frame(std::size_t camera, std::uint8_t content) {
    Image& image = desk_.frames_now[camera];
    image.width = 128;
    image.height = 96;
    image.captured = now_ - milliseconds(5);
    image.jpeg = {0xff, 0xd8, content};
    port_.on_frame(camera);
  }
  std::vector<Sent::Frame> new_frames() { return std::exchange(sent_.frames, {}); }

  test::FakeDesk desk_;
  std::string if_match_, key_;  // of requests
  int told_ = 0;                // messages, by tell()
  std::string device_;          // of requests; one is named as anna's first live connection
  Instant now_;
  PortMetrics port_metrics_;
  Sent sent_;
  SupervisorPort port_;
  std::shared_ptr<HttpResponse> answer_;  // of the newest request
};

// ---- REST ---------------------------------------------------------------------------------------

TEST_F(SupervisorPortTest, ServesThePageToAnybody) {
  for (const char* path : {"/", "/index.html"}) {
    EXPECT_TRUE(port_.is_public(path));
    const HttpResponse page = request("GET", path, std::nullopt);
    EXPECT_EQ(page.status, 200);
    EXPECT_EQ(page.lasting, "<html>");
    EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
    EXPECT_EQ(page.etag, "\"e1\"");
    EXPECT_EQ(page.cache_control, "no-cache");
  }
  EXPECT_EQ(get("/page.js").lasting, "1");
  EXPECT_FALSE(port_.is_public("/page.css"));
  EXPECT_EQ(get("/page.css").status, 404);
  EXPECT_EQ(request("POST", "/index.html").status, 405);
}

TEST_F(SupervisorPortTest, ServesHealthWithoutATokenAndNothingElse) {
  for (const Route& route : SupervisorPort::routes()) {
    const std::string path = example(route);
    const bool open = path == "/healthz" || path == "/readyz";
    EXPECT_EQ(port_.is_public(path), open) << path;
    const int status = request(std::string(route.method), path, std::nullopt).status;
    EXPECT_EQ(status, open ? 200 : 401) << path;
  }
  EXPECT_EQ(get("/healthz").body, "OK\n");
}

TEST_F(SupervisorPortTest, AnswersEveryRouteAndNoOtherMethod) {
  for (const Route& route : SupervisorPort::routes()) {
    const std::string path = example(route);
    const std::string other = route.method == "GET" ? "POST" : "GET";
    EXPECT_EQ(request(other, path).status, 405) << path;
    if (route.method == "GET") {
      EXPECT_EQ(get_past(path, std::string("{}")).status, 200) << path;
    }
  }
  EXPECT_EQ(get("/api/v1/nothing").status, 404);
  EXPECT_EQ(get("/healthz/").status, 404);
}

TEST_F(SupervisorPortTest, ShowsOverRestWhatLiveConnectionsAreTold) {
  EXPECT_EQ(get("/version").body, R"({"program":"nudge","version":"0.1.0","protocol":1})");
  EXPECT_EQ(json::parse(get("/api/v1/status").body)["state"], "HUMAN");
  EXPECT_EQ(json::parse(get("/api/v1/robot").body)["id"], "kitchen");
  EXPECT_EQ(get("/api/v1/weights").body, encode_weights(desk_.history_now, desk_.ledger_now));
  EXPECT_EQ(get("/api/v1/phrases").body, encode_phrases(desk_.history_now));
  const auto episodes = json::parse(get("/api/v1/episodes").body)["episodes"];
  ASSERT_EQ(episodes.size(), 2u);
  EXPECT_EQ(episodes.back()["id"], 7);
  const HttpResponse one = request("GET", "/api/v1/episodes", Role::kViewer, {}, "1");
  EXPECT_EQ(json::parse(one.body)["episodes"].size(), 1u);
  for (const char* limit : {"0", "1001", "-1", "x", "1x", "99999999999999999999"}) {
    EXPECT_EQ(request("GET", "/api/v1/episodes", Role::kViewer, {}, limit).status, 400) << limit;
  }
}

TEST_F(SupervisorPortTest, AnswersWithAnEpisodeOnceItHasBeenRead) {
  EXPECT_EQ(get("/api/v1/episodes/7").status, 0) << "not before it has been read";
  ASSERT_EQ(desk_.asked.size(), 1u);
  EXPECT_EQ(desk_.asked[0].episode, 7u);
  EXPECT_EQ(desk_.asked[0].camera, "");
  desk_.asked[0].reply(std::string(R"({"id":7})"));
  EXPECT_EQ(answer_->status, 200);
  EXPECT_EQ(answer_->content_type, "application/json");
  EXPECT_EQ(answer_->cache_control, "private, no-cache") << "it may go on, and be labelled";
  EXPECT_EQ(answer_->body, R"({"id":7})");
}

TEST_F(SupervisorPortTest, AnswersWithAFrameThatMayBeKept) {
  const HttpResponse frame =
      get_past("/api/v1/episodes/7/frames/wrist/12", std::string("\xff\xd8\0", 3));
  EXPECT_EQ(desk_.asked.back().camera, "wrist");
  EXPECT_EQ(desk_.asked.back().step, 12u);
  EXPECT_EQ(frame.status, 200);
  EXPECT_EQ(frame.content_type, "image/jpeg");
  EXPECT_EQ(frame.cache_control, "private, immutable, max-age=86400");
  EXPECT_EQ(frame.body, std::string("\xff\xd8\0", 3));
}

TEST_F(SupervisorPortTest, SaysWhyAPieceOfThePastCannotBeHad) {
  const std::string path = "/api/v1/episodes/7/frames/wrist/12";
  EXPECT_EQ(get_past(path, not_found("gone")).status, 404);
  EXPECT_EQ(answer_->content_type, "application/problem+json");
  EXPECT_EQ(answer_->cache_control, "no-store") << "it may be there a moment later";
  EXPECT_EQ(get_past(path, resource_exhausted("busy")).status, 429);
  EXPECT_EQ(get_past(path, data_loss("damaged")).status, 500);
  const std::size_t asked = desk_.asked.size();
  for (const char* wrong :
       {"/api/v1/episodes/", "/api/v1/episodes/x", "/api/v1/episodes/-1", "/api/v1/episodes/7/",
        "/api/v1/episodes/99999999999999999999", "/api/v1/episodes/7/frames",
        "/api/v1/episodes/7/frames/front", "/api/v1/episodes/7/frames/front/1x",
        "/api/v1/episodes/7/frames//1", "/api/v1/episodes/7/frames/front/4294967296",
        "/api/v1/episodes/7/frames/front/1/2"}) {
    EXPECT_EQ(get(wrong).status, 404) << wrong;
  }
  EXPECT_EQ(desk_.asked.size(), asked);
}

TEST_F(SupervisorPortTest, ReadsOnlySoMuchOfThePastInASecond) {
  const auto answered = [&](const char* path, int times) {
    int served = 0;
    for (int i = 0; i < times; ++i) {
      served += get_past(path, std::string("{}")).status == 200 ? 1 : 0;
    }
    return served;
  };
  EXPECT_EQ(answered("/api/v1/episodes/7", 30), 20);
  EXPECT_EQ(answer_->status, 429);
  EXPECT_EQ(answered("/api/v1/episodes/7/frames/front/1", 500), 400);
  now_ += milliseconds(500);
  EXPECT_EQ(answered("/api/v1/episodes/7", 30), 10);
}

TEST_F(SupervisorPortTest, LetsAProgramRead) {
  for (const Route& route : SupervisorPort::routes()) {
    if (route.method != "GET") continue;
    EXPECT_EQ(get_past(example(route), std::string("{}"), Role::kScript).status, 200);
  }
}

TEST_F(SupervisorPortTest, IsReadyOnlyWhileRobotLogAndLoopAreWell) {
  EXPECT_EQ(get("/readyz").status, 200);

  desk_.recording_now = false;
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_NE(get("/readyz").body.find("not recording"), std::string::npos);
  desk_.recording_now = true;

  desk_.snapshot_now.robot_trouble = "no answer for 3 s";
  EXPECT_NE(get("/readyz").body.find("no answer for 3 s"), std::string::npos);
  EXPECT_EQ(get("/readyz").status, 503);
  desk_.snapshot_now.robot_trouble.clear();

  desk_.storage_now.unwritten = "config.toml: no space";
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_NE(get("/readyz").body.find("config.toml"), std::string::npos);
  desk_.storage_now.unwritten.clear();
  // The robot works as well with these.
  desk_.storage_now.over_budget = "more than log.budget_bytes";
  desk_.storage_now.heads = "heads wait";
  EXPECT_EQ(get("/readyz").status, 200);

  now_ += milliseconds(1'001);
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_NE(get("/readyz").body.find("stalled"), std::string::npos);

  desk_.snapshot_now = Snapshot();
  EXPECT_EQ(get("/readyz").status, 503);
}

TEST_F(SupervisorPortTest, ShowsWhatPeopleShouldSeeToAboutTheDisk) {
  EXPECT_NE(get("/api/v1/status").body.find(R"("storage":"")"), std::string::npos);
  EXPECT_NE(get("/metrics").body.find("\nnudge_log_over_budget 0\n"), std::string::npos);
  desk_.storage_now = {.unwritten = "config.toml: no space",
                       .over_budget = "more than log.budget_bytes",
                       .heads = "heads wait",
                       .heads_exported = 5,
                       .heads_waiting = 3,
                       .heads_dropped = 1};
  EXPECT_NE(get("/api/v1/status")
                .body.find(R"("storage":"config.toml: no space; more than log.budget_bytes; heads )"
                           R"(wait")"),
            std::string::npos);
  const std::string metrics = get("/metrics").body;
  for (const char* line :
       {"nudge_log_over_budget 1", "nudge_state_unwritten 1", "nudge_log_heads_waiting 3",
        "nudge_log_heads_exported_total 5", "nudge_log_heads_dropped_total 1"}) {
    EXPECT_NE(metrics.find("\n" + std::string(line) + "\n"), std::string::npos) << line;
  }
}

TEST_F(SupervisorPortTest, GivesTheAnswerToFeedbackWhenTheDeskHasIt) {
  const std::string label = R"({"type":"label","id":"l-1","value":"success"})";
  EXPECT_EQ(request("POST", "/api/v1/feedback", Role::kSupervisor, label).status, 0);
  ASSERT_EQ(desk_.feedback.size(), 1u);
  EXPECT_EQ(desk_.feedback[0].actor, (Actor{"somebody", Role::kSupervisor}));
  desk_.replies[0]({.id = "l-1", .status = {}, .echo = "stored", .epoch = 0, .holder = {}});
  EXPECT_EQ(answer_->status, 200);
  EXPECT_EQ(json::parse(answer_->body)["echo"], "stored");
}

TEST_F(SupervisorPortTest, DoesNotTakeADeviceForTheLiveConnectionWhoseNameItHas) {
  open(1);
  device_ = "d-0123456789abcdef";
  request("POST", "/api/v1/feedback", Role::kEngineer, R"({"type":"hand_back","id":"h"})");
  request("POST", "/api/v1/feedback", Role::kEngineer, R"({"type":"resume_learning","id":"r"})");
  ASSERT_EQ(desk_.feedback.size(), 1u);
  EXPECT_EQ(desk_.feedback[0].actor.name, "anna#1#" + device_);
  ASSERT_EQ(desk_.act_actors.size(), 1u);
  EXPECT_EQ(desk_.act_actors[0].name, "anna#1#" + device_);
}

TEST_F(SupervisorPortTest, SaysByTheStatusWhyFeedbackWasRefused) {
  const std::pair<Status, int> cases[] = {
      {failed_precondition("busy"), 409}, {already_exists("used"), 409},
      {permission_denied("no"), 403},     {resource_exhausted("full"), 507},
      {unavailable("stopping"), 503},     {invalid_argument("too long"), 400},
      {not_found("no such"), 404},        {internal("bug"), 500}};
  for (const auto& [status, code] : cases) {
    request("POST", "/api/v1/feedback", Role::kSupervisor, R"({"type":"takeover","id":"t"})");
    desk_.replies.back()({.id = "t", .status = status, .echo = {}, .epoch = 0, .holder = {}});
    EXPECT_EQ(answer_->status, code);
    EXPECT_EQ(json::parse(answer_->body)["code"], to_string(status.code()));
  }
}

TEST_F(SupervisorPortTest, TakesByRestOnlyWhatHasAnAnswer) {
  const std::string deep =
      R"({"type":"hold","id":"a","x":)" + std::string(16, '[') + std::string(16, ']') + "}";
  for (const std::string& body :
       {std::string(), std::string("{"), deep, std::string(R"({"type":"dance","id":"a"})"),
        std::string(R"({"type":"hold"})"), std::string(R"({"type":"ping","sent":1})"),
        std::string(R"({"type":"frames","cameras":[]})"),
        std::string(
            R"({"type":"jog","epoch":1,"sequence":1,"tick":1,"dead_man":true,"action":[0]})")}) {
    const HttpResponse answer = request("POST", "/api/v1/feedback", Role::kEngineer, body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(answer.content_type, "application/problem+json");
  }
  EXPECT_TRUE(desk_.feedback.empty());
}

TEST_F(SupervisorPortTest, DescribesEveryRouteAndNoOther) {
  DeviceDesk devices(
      {.now = [this] { return now_; }, .wall = [] { return WallTime(); }, .save = {}, .notice = {}},
      Devices("kitchen"));
  SupervisorPortOptions with_devices = options();
  with_devices.devices = &devices;
  SupervisorPort port(with_devices, desk_);
  const json description = json::parse(get("/openapi.json").body);
  EXPECT_EQ(description["openapi"], "3.1.0");
  std::set<std::string> described, served;
  for (const auto& [path, item] : description["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      std::string name = method;
      for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      described.insert(name + " " + path);
      const bool open = operation.contains("security") && operation["security"].empty();
      std::string asked = path;
      if (const auto id = asked.find("{id}"); id != std::string::npos) asked.replace(id, 4, "d-1");
      EXPECT_EQ(open, port.is_public(asked)) << path;
    }
  }
  for (const auto& routes : {SupervisorPort::routes(), DeviceDesk::routes()}) {
    for (const Route& route : routes) {
      served.insert(std::string(route.method) + " " + std::string(route.path));
    }
  }
  EXPECT_EQ(described, served);
}

TEST_F(SupervisorPortTest, SendsAwayWhoCameWithATokenThatIsChanged) {
  open(1, Role::kEngineer);
  open(2, Role::kViewer);
  EXPECT_EQ(port_.era(Role::kEngineer), 0u);
  port_.end_role(Role::kEngineer);
  EXPECT_EQ(sent_.closed, (std::map<ConnectionId, std::uint16_t>{{1, 4401}}));
  // Let in before the change, and open after it.
  open(3, Role::kEngineer);
  EXPECT_EQ(sent_.closed.at(3), 4401);
  Caller after;
  after.actor = {"anna#4", Role::kEngineer};
  after.era = port_.era(Role::kEngineer);
  port_.on_open(4, after);
  EXPECT_FALSE(sent_.closed.contains(4));
}

TEST_F(SupervisorPortTest, EndsALiveConnectionWithTheLastTokenOfItsDevice) {
  WallTime wall{std::chrono::hours(480'000)};
  Devices known("kitchen");
  const Grant grant = *known.pair("tablet", Role::kSupervisor, wall);
  DeviceDesk devices({.now = [this] { return now_; },
                      .wall = [&wall] { return wall; },
                      .save = [](const std::string&, const auto& done) { done(Status()); },
                      .notice = {}},
                     std::move(known));
  SupervisorPortOptions with_devices = options();
  with_devices.devices = &devices;
  SupervisorPort port(with_devices, desk_);
  port.attach(sent_);
  Caller tablet;
  tablet.actor = {"tablet#1", Role::kSupervisor};
  tablet.device = grant.device.id;
  port.on_open(1, tablet);
  const auto pass = [&](Duration time) {
    now_ += time;
    wall += time;
    port.on_status();
  };
  pass(std::chrono::minutes(14));
  HttpRequest renewal;
  renewal.method = "POST";
  renewal.path = "/api/v1/token";
  renewal.body = json({{"refresh", grant.refresh}}).dump();
  port.handle(renewal, [](const HttpResponse& answer) { EXPECT_EQ(answer.status, 200); });
  pass(std::chrono::minutes(14));
  EXPECT_TRUE(sent_.closed.empty()) << "whoever renews stays";
  pass(std::chrono::minutes(1));
  EXPECT_EQ(sent_.closed.at(1), 4401);
}

// Every field that is sent is described, and every one that is described is sent.
TEST_F(SupervisorPortTest, DescribesTheFieldsThatAreSent) {
  const json schemas = json::parse(openapi_json())["components"]["schemas"];
  const auto names = [](const json& object) {
    std::set<std::string> all;
    for (const auto& [name, value] : object.items()) all.insert(name);
    return all;
  };
  const auto check = [&](const json& schema, const json& sent, const std::string& what) {
    EXPECT_EQ(names(schema["properties"]), names(sent)) << what;
  };
  const json status = json::parse(get("/api/v1/status").body);
  check(schemas["Status"], status, "status");
  for (const char* part : {"lease", "episode", "weights", "learning", "help"}) {
    check(schemas["Status"]["properties"][part], status[part], part);
  }
  const json robot = json::parse(get("/api/v1/robot").body);
  check(schemas["Robot"], robot, "robot");
  check(schemas["Channel"], robot["action"][0], "channel");
  const json weights = json::parse(get("/api/v1/weights").body);
  check(schemas["Weights"], weights, "weights");
  check(schemas["Weights"]["properties"]["versions"]["items"], weights["versions"][0], "version");
  check(schemas["Episode"], json::parse(get("/api/v1/episodes").body)["episodes"][0], "episode");
  const json learning = json::parse(get("/api/v1/learning").body);
  check(schemas["Learning"], learning, "learning");
  const json& parts = schemas["Learning"]["properties"];
  for (const char* part : {"episodes", "steps"}) {
    check(parts["dataset"]["properties"][part], learning["dataset"][part], part);
  }
  check(parts["dataset"]["properties"]["supervisors"]["items"],
        learning["dataset"]["supervisors"][0], "supervisor");
  check(parts["rounds"]["items"], learning["rounds"][0], "round");
  check(schemas["Version"], json::parse(get("/version").body), "version");
  Ack ack;
  ack.words.emplace();
  const json answer = json::parse(encode_ack(ack));
  check(schemas["Ack"], answer, "ack");
  check(schemas["WordsAck"], answer["words"], "words");
  check(schemas["Phrases"], json::parse(get("/api/v1/phrases").body), "phrases");
}

// Every kind of feedback that is described is understood, with the fields that it must have.
TEST_F(SupervisorPortTest, UnderstandsTheFeedbackThatIsDescribed) {
  const json schemas = json::parse(openapi_json())["components"]["schemas"];
  const json& mapping = schemas["Feedback"]["discriminator"]["mapping"];
  ASSERT_EQ(mapping.size(), 20u);
  for (const auto& [type, reference] : mapping.items()) {
    const std::string name =
        std::string(reference).substr(std::string("#/components/schemas/").size());
    const json& schema = schemas[name];
    json message = {{"type", type}, {"id", "a-1"}};
    for (const std::string field : schema["required"]) {
      if (message.contains(field)) continue;
      const json& property = schema["properties"][field];
      if (property.contains("enum")) {
        message[field] = property["enum"][0];
      } else if (property["type"] == "string") {
        message[field] = "x";
      } else {
        message[field] = 1;
      }
    }
    const std::size_t before = desk_.replies.size();
    request("POST", "/api/v1/feedback", Role::kEngineer, message.dump());
    EXPECT_EQ(desk_.replies.size(), before + 1) << message << answer_->body;
  }
}

// ---- rates --------------------------------------------------------------------------------------

TEST_F(SupervisorPortTest, TurnsAwayWhoSendsMoreInASecondThanAPersonCan) {
  use_up_acts();
  const HttpResponse away =
      arrive("POST", "/api/v1/feedback", Role::kSupervisor, std::string(60'000, ' '));
  EXPECT_EQ(away.status, 429);
  EXPECT_EQ(away.content_type, kProblemType);
  EXPECT_EQ(json::parse(away.body)["code"], "resource_exhausted");
  EXPECT_EQ(away.retry_after_s, 1);
  EXPECT_TRUE(away.close);
  EXPECT_EQ(desk_.feedback.size(), 50u);
  EXPECT_EQ(arrive("POST", "/api/v1/log/snapshot", Role::kSupervisor).status, 429);
  now_ += milliseconds(20);
  EXPECT_EQ(comment().status, 0) << "it is on its way to the desk";
  EXPECT_EQ(comment().status, 429);
}

TEST_F(SupervisorPortTest, LookingHasARateOfItsOwn) {
  use_up_acts();
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(arrive("GET", "/version", Role::kSupervisor).status, 200) << i;
  }
  EXPECT_EQ(arrive("GET", "/version", Role::kSupervisor).status, 429);
  EXPECT_EQ(arrive("GET", "/version", Role::kViewer).status, 200);
}

TEST_F(SupervisorPortTest, NoRateStandsBetweenAPersonAndWhatEndsTheMotion) {
  use_up_acts();
  for (const char* type : {"stop", "hold", "takeover", "release"}) {
    const std::size_t before = desk_.feedback.size();
    EXPECT_EQ(tell(type).status, 0) << type;
    EXPECT_EQ(desk_.feedback.size(), before + 1) << type;
  }
  EXPECT_EQ(tell("words", R"(,"text":"Stop!","meant":"comment")").status, 0);
  for (const char* type : {"hand_back", "reset_stop", "end_episode"}) {
    EXPECT_EQ(tell(type).status, 429) << type;
  }
  EXPECT_EQ(tell("words", R"(,"text":"well \"stop\" done","meant":"comment")").status, 429);
  const HttpResponse elsewhere =
      arrive("POST", "/api/v1/log/snapshot", Role::kSupervisor, R"({"type":"stop","id":"x"})");
  EXPECT_EQ(elsewhere.status, 429);
}

TEST_F(SupervisorPortTest, AFloodOfStopsIsTakenForAsLongAsTheRobotMayMove) {
  use_up_acts();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(tell("release").status, 0) << i;
  EXPECT_EQ(tell("release").status, 429);
  EXPECT_EQ(tell("takeover").status, 429);
  desk_.snapshot_now.state = AuthorityState::kAuto;
  EXPECT_EQ(tell("hold").status, 0);
  EXPECT_EQ(tell("stop").status, 0);
  desk_.snapshot_now.state = AuthorityState::kHold;
  EXPECT_EQ(tell("hold").status, 429) << "it holds already";
  EXPECT_EQ(tell("stop").status, 0);
  desk_.snapshot_now.state = AuthorityState::kEstop;
  EXPECT_EQ(tell("hold").status, 429);
  EXPECT_EQ(tell("stop").status, 429) << "it is stopped, and latched";
}

TEST_F(SupervisorPortTest, RequestsAndLiveConnectionsOfOneCallerHaveOneRate) {
  for (int i = 0; i < 25; ++i) ASSERT_EQ(comment().status, 0);
  open(1);
  open(2);
  const auto say = [&](ConnectionId connection, int i) {
    port_.on_text(connection, R"({"type":"words","text":"hm","meant":"comment","id":"w-)" +
                                  std::to_string(connection) + "-" + std::to_string(i) + "\"}");
  };
  for (int i = 0; i < 13; ++i) say(1, i);
  for (int i = 0; i < 13; ++i) say(2, i);
  EXPECT_EQ(desk_.feedback.size(), 50u);
  const json refused = json::parse(sent_.texts[2].back());
  EXPECT_EQ(refused["id"], "w-2-12");
  EXPECT_EQ(refused["code"], "resource_exhausted");
  EXPECT_EQ(comment().status, 429);
  port_.on_text(2, R"({"type":"stop","id":"s-1"})");
  EXPECT_EQ(desk_.feedback.size(), 51u);
  EXPECT_TRUE(sent_.closed.empty());
  EXPECT_NE(arrive("GET", "/metrics", Role::kViewer).body.find("nudge_limited_total 2\n"),
            std::string::npos);
}

// ---- tags and keys ------------------------------------------------------------------------------

TEST_F(SupervisorPortTest, WhatMayBeKeptHasATagThatChangesWithIt) {
  for (const char* path : {"/api/v1/robot", "/api/v1/episodes", "/api/v1/curves", "/api/v1/weights",
                           "/api/v1/learning", "/api/v1/phrases", "/openapi.json"}) {
    const HttpResponse first = get(path), second = get(path);
    EXPECT_EQ(first.etag, etag_of(first.body)) << path;
    EXPECT_EQ(first.etag, second.etag) << path;
    EXPECT_EQ(first.cache_control, "private, no-cache") << path;
  }
  const std::string before = get("/api/v1/weights").etag;
  accept_weights(90);
  EXPECT_NE(get("/api/v1/weights").etag, before);
  EXPECT_TRUE(get("/api/v1/status").etag.empty());
  EXPECT_EQ(get_past("/api/v1/episodes/7", std::string("{}")).etag, etag_of("{}"));
}

TEST_F(SupervisorPortTest, AnActUnderAKeyIsDoneOnceAndAnsweredTwice) {
  key_ = "\"k-1\"";
  const std::string body = R"({"type":"label","id":"a-1","episode":7,"span":0,"value":"success"})";
  request("POST", "/api/v1/feedback", Role::kSupervisor, body);
  ASSERT_EQ(desk_.replies.size(), 1u);
  const auto first = answer_;
  request("POST", "/api/v1/feedback", Role::kSupervisor, body);
  EXPECT_EQ(desk_.replies.size(), 1u);
  Ack ack;
  ack.id = "a-1";
  desk_.replies[0](ack);
  EXPECT_EQ(first->status, 200);
  EXPECT_EQ(answer_->body, first->body);
  request("POST", "/api/v1/feedback", Role::kSupervisor,
          R"({"type":"label","id":"a-2","episode":7,"span":0,"value":"failure"})");
  EXPECT_EQ(answer_->status, 422);
  EXPECT_EQ(desk_.replies.size(), 1u);
}

TEST_F(SupervisorPortTest, AKeyIsTheIdOfAMessageThatHasNone) {
  key_ = "k-1";
  request("POST", "/api/v1/feedback", Role::kSupervisor, R"({"type":"hand_back"})");
  ASSERT_EQ(desk_.feedback.size(), 1u);
  EXPECT_EQ(desk_.feedback[0].id, "k-1");
  key_ = "k-2";
  request("POST", "/api/v1/feedback", Role::kSupervisor, R"({"type":"hand_back","id":3})");
  EXPECT_EQ(answer_->status, 400);
  key_ = "not a key";
  request("POST", "/api/v1/feedback", Role::kSupervisor, R"({"type":"hand_back","id":"a-1"})");
  EXPECT_EQ(answer_->status, 400);
  EXPECT_EQ(desk_.feedback.size(), 1u);
}

TEST_F(SupervisorPortTest, NoKeyAndNoTagStandsBetweenAPersonAndStop) {
  if_match_ = "\"of something else\"";
  for (const char* key : {"k-1", "k-1", "not a key"}) {
    key_ = key;
    request("POST", "/api/v1/feedback", Role::kViewer, R"({"type":"stop","id":"a-1"})");
  }
  EXPECT_EQ(desk_.feedback.size(), 3u);
  request("POST", "/api/v1/feedback", Role::kViewer, R"({"type":"hold","id":"a-2"})");
  EXPECT_EQ(desk_.feedback.size(), 4u);
}

TEST_F(SupervisorPortTest, ARollbackWithATagHappensOnlyToTheWeightsThatWereSeen) {
  if_match_ = get("/api/v1/weights").etag;
  accept_weights(90);
  request("POST", "/api/v1/feedback", Role::kEngineer, R"({"type":"roll_back","id":"a-1"})");
  EXPECT_EQ(answer_->status, 412);
  EXPECT_EQ(answer_->content_type, kProblemType);
  EXPECT_TRUE(desk_.acts.empty());
  if_match_ = get("/api/v1/weights").etag;
  request("POST", "/api/v1/feedback", Role::kEngineer, R"({"type":"roll_back","id":"a-2"})");
  EXPECT_EQ(desk_.acts.size(), 1u);
}

TEST_F(SupervisorPortTest, OfTwoActsOnWhatBothSawOnlyOnePasses) {
  if_match_ = get("/api/v1/weights").etag;
  request("POST", "/api/v1/feedback", Role::kEngineer, R"({"type":"roll_back","id":"a-1"})");
  request("POST", "/api/v1/feedback", Role::kEngineer,
          R"({"type":"promote","id":"a-2","version":3})");
  EXPECT_EQ(answer_->status, 412);
  ASSERT_EQ(desk_.replies.size(), 1u);
  desk_.replies[0](Ack{});
  request("POST", "/api/v1/feedback", Role::kEngineer, R"({"type":"roll_back","id":"a-3"})");
  EXPECT_EQ(desk_.replies.size(), 2u) << "the first had changed nothing that is durable";
}

TEST_F(SupervisorPortTest, ALabelWithATagHappensOnlyToTheEpisodeThatWasSeen) {
  const std::string label = R"({"type":"label","id":"a-1","episode":7,"span":0,"value":"success"})";
  if_match_ = etag_of("{\"outcome\":\"none\"}");
  request("POST", "/api/v1/feedback", Role::kSupervisor, label);
  ASSERT_EQ(desk_.asked.size(), 1u);
  EXPECT_EQ(desk_.asked[0].episode, 7u);
  desk_.asked[0].reply(std::string("{\"outcome\":\"failure\"}"));
  EXPECT_EQ(answer_->status, 412);
  request("POST", "/api/v1/feedback", Role::kSupervisor, label);
  desk_.asked[1].reply(std::string("{\"outcome\":\"none\"}"));
  EXPECT_EQ(desk_.feedback.size(), 1u);
  request("POST", "/api/v1/feedback", Role::kSupervisor, label);
  desk_.asked[2].reply(not_found("no episode 7"));
  EXPECT_EQ(answer_->status, 404);
}

TEST_F(SupervisorPortTest, WhatIsSaidOfASpanIsHeldAgainstItsEpisode) {
  desk_.spans[9] = 7;
  if_match_ = etag_of("{\"outcome\":\"none\"}");
  for (const char* body :
       {R"({"type":"split","id":"a-1","span":9,"step":3})",
        R"({"type":"label","id":"a-2","episode":0,"span":9,"value":"discard"})"}) {
    desk_.asked.clear();
    desk_.feedback.clear();
    request("POST", "/api/v1/feedback", Role::kSupervisor, body);
    ASSERT_EQ(desk_.asked.size(), 1u) << body;
    EXPECT_EQ(desk_.asked[0].episode, 7u);
    EXPECT_TRUE(desk_.feedback.empty());
    desk_.asked[0].reply(std::string("{\"outcome\":\"failure\"}"));
    EXPECT_EQ(answer_->status, 412) << body;
    EXPECT_TRUE(desk_.feedback.empty());
  }
}

TEST_F(SupervisorPortTest, AnActWithATagIsAnsweredWhenTooMuchOfThePastIsReadForIt) {
  if_match_ = etag_of("{\"outcome\":\"none\"}");
  const std::string label = R"({"type":"label","id":"a-1","episode":7,"span":0,"value":"success"})";
  while (desk_.asked.size() < 100) {
    const std::size_t asked = desk_.asked.size();
    request("POST", "/api/v1/feedback", Role::kSupervisor, label);
    if (desk_.asked.size() == asked) break;
  }
  EXPECT_EQ(answer_->status, 429);
  EXPECT_TRUE(desk_.feedback.empty());
}

TEST_F(SupervisorPortTest, WhatAnEngineerDecidesIsHeldAgainstTheWeights) {
  const std::string seen = get("/api/v1/weights").etag;
  accept_weights(90);
  for (const char* body : {R"({"type":"resume_learning","id":"a-1"})",
                           R"({"type":"withdraw_corrections","id":"a-2","supervisor":"anna"})",
                           R"({"type":"restore_corrections","id":"a-3","supervisor":"anna"})"}) {
    if_match_ = seen;
    request("POST", "/api/v1/feedback", Role::kEngineer, body);
    EXPECT_EQ(answer_->status, 412) << body;
  }
  EXPECT_TRUE(desk_.acts.empty());
}

TEST_F(SupervisorPortTest, AnActWithATagThatHasHappenedIsAnsweredAgainThoughItChangedSomething) {
  if_match_ = "\"as it was before\"";
  Event event;
  event.id = "a-1";
  event.actor = Actor{"somebody", Role::kEngineer};
  event.payload = WeightsPromoted{};
  desk_.history_now.apply(event);
  ASSERT_TRUE(desk_.history_now.knows("a-1"));
  request("POST", "/api/v1/feedback", Role::kEngineer,
          R"({"type":"promote","id":"a-1","version":3})");
  EXPECT_EQ(desk_.acts.size(), 1u);
}

TEST_F(SupervisorPortTest, ATagThatMeansNothingForAnActIsRefused) {
  if_match_ = "\"a\"";
  for (const char* body :
       {R"({"type":"hand_back","id":"a-1"})", R"({"type":"undo","id":"a-2","seconds":3})",
        R"({"type":"words","id":"a-3","text":"lower"})",
        R"({"type":"label","id":"a-4","episode":0,"span":0,"value":"success"})",
        R"({"type":"split","id":"a-5","span":9,"step":3})"}) {
    request("POST", "/api/v1/feedback", Role::kEngineer, body);
    EXPECT_EQ(answer_->status, 400) << body;
  }
  EXPECT_TRUE(desk_.replies.empty());
}

TEST_F(SupervisorPortTest, ARefusalIsAProblemAndAnAck) {
  request("POST", "/api/v1/feedback", Role::kSupervisor, R"({"type":"takeover","id":"a-1"})");
  Ack ack;
  ack.id = "a-1";
  ack.status = failed_precondition("ben drives");
  ack.holder = "ben#2";
  desk_.replies[0](ack);
  EXPECT_EQ(answer_->status, 409);
  EXPECT_EQ(answer_->content_type, kProblemType);
  const json refusal = json::parse(answer_->body);
  EXPECT_EQ(refusal["type"], "about:blank");
  EXPECT_EQ(refusal["title"], "Conflict");
  EXPECT_EQ(refusal["status"], 409);
  EXPECT_EQ(refusal["detail"], "ben drives");
  EXPECT_EQ(refusal["id"], "a-1");
  EXPECT_EQ(refusal["ok"], false);
  EXPECT_EQ(refusal["holder"], "ben#2");
}

// ---- live connections ---------------------------------------------------------------------------

TEST_F(SupervisorPortTest, SpeaksFirst) {
  open(3, Role::kEngineer);
  const auto first = news(3);
  ASSERT_EQ(first.size(), 5u);
  EXPECT_EQ(first[0]["type"], "hello");
  EXPECT_EQ(first[0]["you"], json::parse(R"({"name":"anna#3","role":"engineer"})"));
  EXPECT_EQ(first[1]["type"], "curves");
  EXPECT_EQ(first[2]["type"], "weights");
  EXPECT_EQ(first[3]["type"], "phrases");
  EXPECT_EQ(first[4]["type"], "learning");
}

TEST_F(SupervisorPortTest, TellsEachWhetherTheLeaseIsTheirs) {
  open(1);
  open(2);
  desk_.snapshot_now.lease.holder = Actor{"anna#2", Role::kSupervisor};
  news(1), news(2);
  port_.on_status();
  const auto one = news(1), two = news(2);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]["type"], "status");
  EXPECT_EQ(one[0]["lease"]["mine"], false);
  EXPECT_EQ(two[0]["lease"]["mine"], true);
  EXPECT_EQ(two[0]["viewers"], 2);
  port_.on_close(1);
  port_.on_status();
  EXPECT_TRUE(news(1).empty());
  EXPECT_EQ(news(2)[0]["viewers"], 1);
}

TEST_F(SupervisorPortTest, ShowsEventsAsTheyBecomeDurable) {
  open(1);
  news(1);
  test::EventMaker events;
  const std::vector<Event> durable = {events.make(LeaseGranted{3}), events.make(Stopped{}),
                                      events.make(Words{"hi", WordsUse::kComment, ""})};
  port_.on_events(durable);
  const auto shown = news(1);
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown[0]["kind"], "stopped");
  EXPECT_EQ(shown[1]["kind"], "words");
  EXPECT_EQ(shown[1]["sequence"], 3);
}

TEST_F(SupervisorPortTest, SendsCurvesAndWeightsAgainWithTheStatusAfterTheyChanged) {
  open(1);
  news(1);
  test::EventMaker events;
  const auto types = [&] {
    std::vector<std::string> all;
    for (const json& message : news(1)) all.push_back(message["type"]);
    return all;
  };
  port_.on_events(std::vector<Event>{events.make(EpisodeEnded{}), events.make(Label{})});
  EXPECT_EQ(types(), (std::vector<std::string>{"event", "event"}));
  port_.on_status();
  EXPECT_EQ(types(), (std::vector<std::string>{"curves", "status"}));
  port_.on_events(std::vector<Event>{events.make(WeightsLive{4})});
  port_.on_status();
  EXPECT_EQ(types(), (std::vector<std::string>{"event", "weights", "status"}));
  port_.on_events(std::vector<Event>{events.make(Words{"a bit up", WordsUse::kNudge, ""})});
  port_.on_status();
  EXPECT_EQ(types(), (std::vector<std::string>{"event", "phrases", "status"}));
  port_.on_status();
  EXPECT_EQ(types(), (std::vector<std::string>{"status"}));
}

TEST_F(SupervisorPortTest, TellsWhatIsLearnedAtFirstAndOnceASecondWhenItChanged) {
  open(1);
  const auto learned = [&](ConnectionId connection) {
    int count = 0;
    for (const json& message : news(connection)) count += message["type"] == "learning" ? 1 : 0;
    return count;
  };
  EXPECT_EQ(learned(1), 1);
  const auto after = [&](milliseconds time) {
    now_ += time;
    ++desk_.dataset_now.steps;
    ++desk_.dataset_now.trainable[0];
    port_.on_status();
    return learned(1);
  };
  EXPECT_EQ(after(milliseconds(0)), 1);
  EXPECT_EQ(after(milliseconds(500)), 0);
  EXPECT_EQ(after(milliseconds(600)), 1);
  open(2);
  EXPECT_EQ(learned(2), 1);
  now_ += milliseconds(2'000);
  port_.on_status();
  EXPECT_EQ(learned(1), 0) << "nothing has changed";
  EXPECT_EQ(get("/api/v1/learning").body,
            encode_learning(desk_.dataset_now, desk_.ledger_now, desk_.learning_now));
}

TEST_F(SupervisorPortTest, AnswersAMessageOnTheConnectionThatSentIt) {
  open(1);
  open(2);
  news(1), news(2);
  port_.on_text(2, R"({"type":"takeover","id":"t-1"})");
  ASSERT_EQ(desk_.feedback.size(), 1u);
  EXPECT_EQ(desk_.feedback[0].actor.name, "anna#2");
  EXPECT_TRUE(news(2).empty());
  desk_.replies[0]({.id = "t-1", .status = {}, .echo = {}, .epoch = 4, .holder = {}});
  const auto answer = news(2);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0]["type"], "ack");
  EXPECT_EQ(answer[0]["epoch"], 4);
  EXPECT_TRUE(news(1).empty());
}

TEST(SupervisorPort, IsNotCalledBackWhenItIsGone) {
  test::FakeDesk desk;
  Sent sent;
  SupervisorPortOptions options;
  options.now = [] { return Instant(); };
  auto port = std::make_unique<SupervisorPort>(options, desk);
  port->attach(sent);
  port->on_open(1, {"anna#1", Role::kSupervisor});
  port->on_text(1, R"({"type":"takeover","id":"t-1"})");
  port.reset();
  sent.texts.clear();
  ASSERT_EQ(desk.replies.size(), 1u);
  desk.replies[0]({});
  EXPECT_TRUE(sent.texts.empty());
}

TEST_F(SupervisorPortTest, PassesCommandsOnForItsRobotAndAnswersNone) {
  open(1);
  news(1);
  const std::string jog =
      R"({"type":"jog","epoch":1,"sequence":1,"tick":1,"dead_man":true,"action":[0,0,0,0]})";
  port_.on_text(1, jog);
  ASSERT_EQ(desk_.feedback.size(), 1u);
  EXPECT_EQ(std::get<JogCommand>(desk_.feedback[0].body).robot, "kitchen");
  EXPECT_TRUE(news(1).empty());
}

TEST_F(SupervisorPortTest, CountsWrongCommandsSilently) {
  open(1);
  open(2, Role::kViewer);
  news(1), news(2);
  port_.on_text(1, R"({"type":"jog","epoch":-1})");
  port_.on_text(2,
                R"({"type":"jog","epoch":1,"sequence":1,"tick":1,"dead_man":true,"action":[0]})");
  EXPECT_TRUE(news(1).empty());
  EXPECT_TRUE(news(2).empty());
  EXPECT_TRUE(desk_.feedback.empty());
  EXPECT_NE(get("/metrics").body.find("nudge_commands_refused_total{reason=\"malformed\"} 2"),
            std::string::npos);
}

TEST_F(SupervisorPortTest, TellsWhatItDidNotUnderstand) {
  open(1);
  news(1);
  port_.on_text(1, R"({"type":"dance","id":"d-1"})");
  auto answer = news(1);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0]["type"], "ack");
  EXPECT_EQ(answer[0]["id"], "d-1");
  EXPECT_EQ(answer[0]["code"], "invalid_argument");
  for (const char* text : {"", "{", R"({"type":"dance"})", R"({"type":"hold","id":"a b"})"}) {
    port_.on_text(1, text);
    answer = news(1);
    ASSERT_EQ(answer.size(), 1u) << text;
    EXPECT_EQ(answer[0]["type"], "problem");
    EXPECT_EQ(answer[0]["code"], "invalid_argument");
  }
  EXPECT_TRUE(sent_.closed.empty());
}

TEST_F(SupervisorPortTest, ClosesWhoeverNestsTooDeep) {
  open(1);
  port_.on_text(
      1, R"({"type":"hold","id":"a","x":)" + std::string(16, '[') + std::string(16, ']') + "}");
  EXPECT_EQ(sent_.closed[1], 1008);
  EXPECT_TRUE(desk_.feedback.empty());
}

TEST_F(SupervisorPortTest, EchoesAPingAtOnce) {
  open(1);
  news(1);
  port_.on_text(1, R"({"type":"ping","sent":12.5})");
  EXPECT_EQ(news(1)[0], json::parse(R"({"type":"pong","sent":12.5,"daemon_ms":8123.0})"));
}

// ---- roles --------------------------------------------------------------------------------------

// Rows: what is sent. Columns: program, viewer, supervisor, engineer.
TEST_F(SupervisorPortTest, LetsEachRoleDoWhatTheDocumentSays) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"type":"stop","id":"a"})", "++++"},
      {R"({"type":"hold","id":"a"})", "++++"},
      {R"({"type":"words","id":"a","text":"stop","meant":"comment"})", "-+++"},
      {R"({"type":"takeover","id":"a"})", "--++"},
      {R"({"type":"release","id":"a"})", "--++"},
      {R"({"type":"hand_back","id":"a"})", "--++"},
      {R"({"type":"reset_stop","id":"a"})", "--++"},
      {R"({"type":"label","id":"a","value":"success"})", "--++"},
      {R"({"type":"undo","id":"a","seconds":3})", "--++"},
      {R"({"type":"split","id":"a","span":1,"step":2})", "--++"},
      {R"({"type":"roll_back","id":"a"})", "--++"},
      {R"({"type":"reset_fault","id":"a"})", "---+"},
      {R"({"type":"promote","id":"a","version":4})", "---+"},
      {R"({"type":"resume_learning","id":"a"})", "---+"},
      {R"({"type":"jog","epoch":1,"sequence":1,"tick":1,"dead_man":true,"action":[0]})", "--++"},
  };
  const Role roles[] = {Role::kScript, Role::kViewer, Role::kSupervisor, Role::kEngineer};
  for (const auto& [text, allowed] : rows) {
    for (std::size_t i = 0; i < 4; ++i) {
      const ConnectionId connection = 100 + i;
      open(connection, roles[i]);
      news(connection);
      const std::size_t before = desk_.replies.size();
      port_.on_text(connection, text);
      EXPECT_EQ(desk_.replies.size() > before, allowed[i] == '+') << text << " by role " << i;
      if (allowed[i] == '-' && std::string(text).find("jog") == std::string::npos) {
        const auto answer = news(connection);
        ASSERT_EQ(answer.size(), 1u);
        EXPECT_EQ(answer[0]["code"], "permission_denied");
        EXPECT_EQ(answer[0]["id"], "a");
        // The same by REST.
        EXPECT_EQ(request("POST", "/api/v1/feedback", roles[i], text).status, 403);
      }
    }
  }
}

TEST_F(SupervisorPortTest, AsksTheHolderToPassTheLeaseOn) {
  desk_.snapshot_now.lease.holder = Actor{"anna#1", Role::kEngineer};
  open(1, Role::kEngineer);
  open(2);
  open(3);
  for (const ConnectionId connection : {1, 2, 3}) news(connection);
  port_.on_text(2, R"({"type":"ask_to_drive","id":"a-1"})");
  const auto answer = news(2);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0]["type"], "ack");
  EXPECT_EQ(answer[0]["id"], "a-1");
  EXPECT_EQ(answer[0]["ok"], true);
  EXPECT_EQ(answer[0]["holder"], "anna#1");
  const auto told = news(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], json({{"type", "asked_to_drive"},
                           {"by", {{"name", "anna#2"}, {"role", "supervisor"}}}}));
  EXPECT_TRUE(news(3).empty());  // nobody else's business
  EXPECT_TRUE(desk_.replies.empty()) << "nothing else changes";
}

TEST_F(SupervisorPortTest, RefusesToAskWhereNobodyCanPassTheLeaseOn) {
  open(1);
  open(2);
  news(1);
  news(2);
  const auto ask = [&] {
    port_.on_text(2, R"({"type":"ask_to_drive","id":"a-1"})");
    const auto answer = news(2);
    return answer.size() == 1 ? answer[0] : json();
  };
  auto& holder = desk_.snapshot_now.lease.holder;
  holder.reset();
  EXPECT_EQ(ask()["code"], "failed_precondition");
  holder = Actor{"anna#2", Role::kSupervisor};
  EXPECT_EQ(ask()["message"], "you have the lease");
  holder = Actor{"leader#t4", Role::kSupervisor};
  const json device = ask();
  EXPECT_EQ(device["code"], "failed_precondition");
  EXPECT_EQ(device["message"].get<std::string>().find("a device cannot be asked"), 0u);
  EXPECT_EQ(device["holder"], "leader#t4");
  holder = Actor{"anna#9", Role::kSupervisor};
  EXPECT_EQ(ask()["code"], "unavailable");
  // None of these counts as having asked; a name that only looks like a device's is asked.
  port_.on_open(7, {"x#t4#7", Role::kSupervisor});
  news(7);
  holder = Actor{"x#t4#7", Role::kSupervisor};
  EXPECT_EQ(ask()["ok"], true);
  EXPECT_EQ(news(7).size(), 1u);
}

TEST_F(SupervisorPortTest, AsksAtMostOnceASecondOfEachWhoAsks) {
  desk_.snapshot_now.lease.holder = Actor{"anna#1", Role::kSupervisor};
  for (const ConnectionId connection : {1, 2, 3}) open(connection);
  for (const ConnectionId connection : {1, 2, 3}) news(connection);
  const auto ask = [&](ConnectionId connection) {
    port_.on_text(connection, R"({"type":"ask_to_drive","id":"a-1"})");
    return news(connection).at(0)["code"].get<std::string>();
  };
  EXPECT_EQ(ask(2), "ok");
  now_ += milliseconds(999);
  EXPECT_EQ(ask(2), "resource_exhausted");
  EXPECT_EQ(ask(3), "ok");
  now_ += milliseconds(1);
  EXPECT_EQ(ask(2), "ok");
  EXPECT_EQ(news(1).size(), 3u);
}

TEST_F(SupervisorPortTest, OnlySupervisorsAndEngineersAskToDriveAndOnlyLive) {
  desk_.snapshot_now.lease.holder = Actor{"anna#1", Role::kSupervisor};
  open(1);
  news(1);
  const std::string ask = R"({"type":"ask_to_drive","id":"a-1"})";
  const Role roles[] = {Role::kScript, Role::kViewer, Role::kSupervisor, Role::kEngineer};
  for (std::size_t i = 0; i < 4; ++i) {
    const ConnectionId connection = 2 + i;
    open(connection, roles[i]);
    news(connection);
    port_.on_text(connection, ask);
    const auto answer = news(connection);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_EQ(answer[0]["code"], i < 2 ? "permission_denied" : "ok") << "role " << i;
    EXPECT_EQ(news(1).size(), i < 2 ? 0u : 1u);
    EXPECT_EQ(request("POST", "/api/v1/feedback", roles[i], ask).status, 400);
  }
}

TEST_F(SupervisorPortTest, SaysWhoActedOnWeights) {
  open(1, Role::kEngineer);
  port_.on_text(1, R"({"type":"promote","id":"p-1","version":4})");
  ASSERT_EQ(desk_.acts.size(), 1u);
  EXPECT_EQ(desk_.act_actors[0], (Actor{"anna#1", Role::kEngineer}));
}

// ---- STOP and the rate --------------------------------------------------------------------------

TEST(SupervisorPort, RecognisesWhatMayBeAStopByItsBytes) {
  EXPECT_TRUE(SupervisorPort::may_be_stop(R"({"type":"stop","id":"s-1"})"));
  EXPECT_TRUE(SupervisorPort::may_be_stop(R"({ "id" : "s-1", "type" : "stop" })"));
  EXPECT_TRUE(
      SupervisorPort::may_be_stop(R"({"type":"stop","id":")" + std::string(64, 'x') + "\"}"));
  EXPECT_FALSE(SupervisorPort::may_be_stop(R"({"type":"reset_stop","id":"s-1"})"));
  EXPECT_FALSE(SupervisorPort::may_be_stop(R"({"type":"jog"})"));
  EXPECT_FALSE(SupervisorPort::may_be_stop(R"({"type":"words","text":"stop)" +
                                           std::string(1'000, ' ') + R"(","x":"stop"})"));
}

TEST_F(SupervisorPortTest, BoundsWhatOnlyLooksLikeAStop) {
  open(1);
  open(2);
  news(1);
  const std::string looks = R"({"type":"words","id":"a","text":"stop","meant":"comment"})";
  for (int i = 0; i < 20; ++i) port_.on_text(1, looks);
  EXPECT_TRUE(sent_.closed.empty());
  EXPECT_EQ(desk_.feedback.size(), 20u);
  port_.on_text(1, looks);
  EXPECT_EQ(sent_.closed[1], 1008);
  EXPECT_EQ(desk_.feedback.size(), 20u);
  // Somebody else's STOP is not touched by it.
  port_.on_text(2, R"({"type":"stop","id":"s-1"})");
  EXPECT_EQ(desk_.feedback.size(), 21u);
  EXPECT_EQ(sent_.closed.count(2), 0u);
}

TEST_F(SupervisorPortTest, StopsEvenWithTheMessageThatItClosesFor) {
  open(1);
  for (int i = 0; i < 20; ++i) port_.on_text(1, R"({"type":"hold","id":"a","x":"stop"})");
  port_.on_text(1, R"({"type":"stop"})");
  EXPECT_EQ(sent_.closed[1], 1008);
  ASSERT_EQ(desk_.feedback.size(), 21u);
  EXPECT_TRUE(std::holds_alternative<Stop>(desk_.feedback.back().body));
}

TEST_F(SupervisorPortTest, RefillsTheAllowanceOfStops) {
  open(1);
  for (int i = 0; i < 100; ++i) {
    port_.on_text(1, R"({"type":"stop"})");
    now_ += milliseconds(50);
  }
  EXPECT_EQ(desk_.feedback.size(), 100u);
  EXPECT_TRUE(sent_.closed.empty());
}

// ---- camera frames ------------------------------------------------------------------------------

TEST_F(SupervisorPortTest, SendsNoFramesBeforeTheyAreWanted) {
  open(1);
  frame(0, 1);
  EXPECT_TRUE(new_frames().empty());
  port_.on_text(1, R"({"type":"frames","cameras":["front"]})");
  ASSERT_EQ(new_frames().size(), 1u);  // the newest there is, at once
  frame(1, 2);
  EXPECT_TRUE(new_frames().empty());  // of the other camera
}

TEST_F(SupervisorPortTest, WritesAFrameAsTheDocumentShowsIt) {
  open(1);
  port_.on_text(1, R"({"type":"frames","cameras":["wrist"]})");
  EXPECT_TRUE(new_frames().empty());  // there is none yet
  frame(1, 7);
  const auto frames = new_frames();
  ASSERT_EQ(frames.size(), 1u);
  const Sent::Frame& sent = frames[0];
  EXPECT_EQ(sent.channel, 1u);
  ASSERT_EQ(sent.bytes.size(), 24u + 3u);
  EXPECT_EQ(sent.number(0, 2), 1u);              // camera
  EXPECT_EQ(sent.number(2, 2), 1u);              // version
  EXPECT_EQ(sent.number(4, 4), 1u);              // sequence
  EXPECT_EQ(sent.number(8, 8), 8'118'000'000u);  // captured, ns
  EXPECT_EQ(sent.number(16, 2), 128u);
  EXPECT_EQ(sent.number(18, 2), 96u);
  EXPECT_EQ(sent.number(20, 4), 5'000u);  // age, us
  EXPECT_EQ(sent.bytes[26], 7u);
  const std::string bytes(sent.bytes.begin(), sent.bytes.end());
  EXPECT_EQ(bytes, test::golden("ports/frame.bin", bytes));
}

TEST_F(SupervisorPortTest, SendsTheNextFrameOnlyWhenTheOneBeforeWasSeen) {
  open(1);
  port_.on_text(1, R"({"type":"frames","cameras":["front"]})");
  frame(0, 1);
  frame(0, 2);
  frame(0, 3);
  auto frames = new_frames();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].bytes[26], 1);
  port_.on_text(1, R"({"type":"frame_seen","camera":0,"sequence":9})");  // none that was sent
  port_.on_text(1, R"({"type":"frame_seen","camera":7,"sequence":1})");
  EXPECT_TRUE(new_frames().empty());
  port_.on_text(1, R"({"type":"frame_seen","camera":0,"sequence":1})");
  frames = new_frames();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].bytes[26], 3);  // the newest; the second was never sent
  EXPECT_EQ(frames[0].number(4, 4), 3u);
  port_.on_text(1, R"({"type":"frame_seen","camera":0,"sequence":3})");
  EXPECT_TRUE(new_frames().empty());  // there is no newer one
  frame(0, 4);
  EXPECT_EQ(new_frames().size(), 1u);
}

TEST_F(SupervisorPortTest, GivesAFrameUpThatNobodySawForTwoSeconds) {
  open(1);
  port_.on_text(1, R"({"type":"frames","cameras":["front"]})");
  frame(0, 1);
  now_ += milliseconds(1'999);
  frame(0, 2);
  EXPECT_EQ(new_frames().size(), 1u);
  now_ += milliseconds(1);
  frame(0, 3);
  EXPECT_EQ(new_frames().size(), 1u);
}

TEST_F(SupervisorPortTest, StopsSendingFramesThatAreNoLongerWanted) {
  open(1);
  open(2);
  port_.on_text(1, R"({"type":"frames","cameras":["front"]})");
  port_.on_text(2, R"({"type":"frames","cameras":["front"]})");
  port_.on_text(1, R"({"type":"frames","cameras":[]})");
  frame(0, 1);
  const auto frames = new_frames();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].connection, 2u);
  port_.on_close(2);
  frame(0, 2);
  EXPECT_TRUE(new_frames().empty());
}

TEST_F(SupervisorPortTest, NamesACameraThatDoesNotExist) {
  open(1);
  news(1);
  port_.on_text(1, R"({"type":"frames","cameras":["front","roof"]})");
  const auto answer = news(1);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0]["type"], "problem");
  EXPECT_EQ(answer[0]["code"], "not_found");
  frame(0, 1);
  EXPECT_EQ(new_frames().size(), 1u);  // the other one is sent all the same
}

// ---- metrics ------------------------------------------------------------------------------------

// Every counter has a value of its own, so that none can be shown in the place of another.
RouterCounters sample_socket(std::uint64_t first) {
  return {.accepted = first,
          .open = first + 1,
          .unfinished = first + 2,
          .malformed = first + 3,
          .refused = first + 4,
          .evicted = first + 5,
          .cut_bad = first + 6,
          .cut_rate = first + 7,
          .cut_silent = first + 8,
          .cut_slow = first + 9,
          .cut_key = first + 10};
}

PortMetrics sample_port_metrics() {
  return {.robot = RobotPortCounters{.sessions = 101,
                                     .refused_hellos = 102,
                                     .bad_messages = 103 + 123,  // with those of its socket
                                     .wrong_sizes = 104,
                                     .foreign = 105,
                                     .observations = 106,
                                     .actions = 107,
                                     .late_actions = 108,
                                     .unsent = 109,
                                     .clock_jumps = 110,
                                     .lost = 111,
                                     .socket = sample_socket(120)},
          .teleop = TeleopPortCounters{.sessions = 201,
                                       .peers = 202,
                                       .refused_hellos = 203,
                                       .bad_messages = 204 + 223,
                                       .foreign = 205,
                                       .jogs = 206,
                                       .feedback = 207,
                                       .states = 208,
                                       .unsent_states = 209,
                                       .ended_rate = 210,
                                       .ended_slow = 211,
                                       .ended_silent = 212,
                                       .socket = sample_socket(220)}};
}

TEST_F(SupervisorPortTest, ShowsMetricsInThePrometheusFormat) {
  port_metrics_ = sample_port_metrics();
  const HttpResponse metrics = get("/metrics");
  EXPECT_EQ(metrics.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(metrics.body, test::golden("ports/metrics.txt", metrics.body));
}

TEST_F(SupervisorPortTest, ShowsEachCounterOfTheOtherPortsOnce) {
  port_metrics_ = sample_port_metrics();
  const std::string body = get("/metrics").body;
  std::map<std::string, int> seen;
  std::istringstream lines(body);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("nudge_port_")) ++seen[line.substr(line.rfind(' ') + 1)];
  }
  const auto check = [&](int first, int last) {
    for (int count = first; count <= last; ++count) {
      EXPECT_EQ(seen[std::to_string(count)], 1) << count;
      seen.erase(std::to_string(count));
    }
  };
  check(101, 111);
  check(120, 130);
  check(201, 212);
  check(220, 230);
  EXPECT_TRUE(seen.empty()) << seen.begin()->first;
}

TEST_F(SupervisorPortTest, APortThatIsNotThereHasNoValues) {
  EXPECT_EQ(get("/metrics").body.find("nudge_port_"), std::string::npos);
  port_metrics_.teleop.emplace().sessions = 3;
  const std::string body = get("/metrics").body;
  EXPECT_NE(body.find("nudge_port_sessions_total{port=\"teleop\"} 3"), std::string::npos);
  EXPECT_EQ(body.find("port=\"robot\""), std::string::npos);
}

}  // namespace
}  // namespace nudge
