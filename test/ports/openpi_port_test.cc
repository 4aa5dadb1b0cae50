// The port between a robot's program, an upstream and the daemon's head, all of them on one loop:
// the program and the upstream are the daemon's own client and server of the same protocol.
#include "src/ports/openpi_port.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/loop/clock.h"
#include "src/ports/http_rules.h"
#include "src/ports/openpi_wire.h"

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

OpenpiMap two_columns() {
  return *OpenpiMap::make({.preset = "libero",
                           .robot = "arm",
                           .cameras = "none",
                           .state = "joint=s[0]:rad:-1:1",
                           .actions = "tool:rate:m/s:0.5:1 joint:position:rad/s:1",
                           .hz = 10,
                           .horizon = 2});
}

// Answers every request with the chunk that the test names, once it may.
class Upstream final : public HttpHandler {
 public:
  explicit Upstream(EventLoop& loop) : loop_(loop) { open(0); }

  bool is_public(std::string_view) const override { return true; }
  void handle(HttpRequest, Respond respond) override { respond(problem(404, "not_found", "")); }
  void on_open(ConnectionId connection, const Caller&) override {
    server_->send_binary(connection, encode_openpi_metadata({}));
  }
  void on_binary(ConnectionId connection, std::string) override {
    ++requests;
    // {"actions": ...} and nothing else.
    std::string reply = encode_openpi_reply(chunk, {.source = "", .state = ""});
    reply.resize(
        reply.find("\xad"
                   "server_timing"));
    reply[0] = '\x81';
    server_->send_binary(connection, std::move(reply));
  }
  void on_text(ConnectionId, const std::string&) override {}
  void on_close(ConnectionId) override {}

  void open(std::uint16_t port) {
    HttpServerOptions options;
    options.port = port;
    options.live_path.clear();
    options.binary = options.keyless = true;
    const auto anybody = [](std::string_view, bool) {
      std::optional<Caller> caller;
      caller.emplace().actor = {.name = "daemon", .role = Role::kScript};
      return caller;
    };
    auto server = HttpServer::listen(loop_, options, anybody, {}, *this);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = *std::move(server);
    port_ = server_->port();
  }
  void close() { server_.reset(); }
  std::uint16_t port() const { return port_; }

  OpenpiChunk chunk = make_openpi_chunk(2, 2, {0.25, 0.5, 0.25, 0.5}, "<f4");
  int requests = 0;

 private:
  EventLoop& loop_;
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
};

// A robot's program.
class Program final : public OpenpiUpstream::Listener {
 public:
  Program(EventLoop& loop, std::uint16_t port, const std::string& key = "") {
    auto client = OpenpiUpstream::make(loop,
                                       {.url = "ws://127.0.0.1:" + std::to_string(port),
                                        .key = key,
                                        .retry = std::chrono::hours(1)},
                                       *this);
    EXPECT_TRUE(client.ok()) << client.status().message();
    if (client.ok()) client_ = *std::move(client);
  }
  void on_upstream(const std::string&) override { greeted = true; }
  void on_answer(Result<std::string> answer) override {
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    const auto message = OpenpiMessage::parse(*answer);
    ASSERT_TRUE(message.ok());
    source = std::string(message->text("hil/source"));
    trouble = std::string(message->text("hil/trouble"));
    actions = openpi_actions(*message)->numbers;
    ++answers;
  }
  void on_upstream_lost(const std::string&) override {
    greeted = false;
    lost = true;
  }
  void ask() {
    // {"s": [0.5], "prompt": "lift"}
    const Status asked = client_->ask(std::string("\x82\xa1s\x91\xcb\x3f\xe0\0\0\0\0\0\0", 13) +
                                      "\xa6prompt\xa4lift");
    EXPECT_TRUE(asked.ok()) << asked.message();
  }

  bool greeted = false, lost = false;
  int answers = 0;
  std::string source, trouble;
  std::vector<double> actions;

 private:
  std::unique_ptr<OpenpiUpstream> client_;
};

// The head, and how it fares.
class Head final : public ChunkEditor {
 public:
  explicit Head(OpenpiLink& link) : link_(link) {}
  bool edits() const override { return edits_now; }
  bool take(UpstreamChunk upstream) override {
    if (!upstream.chunk) return true;
    if (!room) return false;
    if (!upstream.waits || silent) return true;
    ActionChunk chunk = *std::move(upstream.chunk);
    chunk.version = 3;
    make(chunk);
    link_.plan.put(std::move(chunk));
    link_.wake();
    return true;
  }

  bool edits_now = true, room = true, silent = false;
  std::function<void(ActionChunk&)> make = [](ActionChunk& chunk) {
    for (float& rate : chunk.actions) rate += 0.125f;
  };

 private:
  OpenpiLink& link_;
};

class OpenpiPortTest : public ::testing::Test {
 protected:
  OpenpiPortTest() : upstream_(loop_), head_(*link_) {}

  void begin(const std::string& path = "", Duration answer = std::chrono::seconds(2),
             const std::string& key = "") {
    OpenpiPortOptions options;
    options.key = key;
    options.port = 0;
    options.answer = answer;
    options.stalled = std::chrono::hours(1);  // time is the step thread's
    options.editor = &head_;
    options.upstream.url = "ws://127.0.0.1:" + std::to_string(upstream_.port()) + path;
    options.upstream.retry = std::chrono::milliseconds(10);
    options.notice = [this](const std::string& message, bool) { notices_.push_back(message); };
    auto port =
        OpenpiPort::listen(loop_, options, std::make_shared<const OpenpiMap>(two_columns()), link_);
    ASSERT_TRUE(port.ok()) << port.status().message();
    port_ = *std::move(port);
    program_ = std::make_unique<Program>(loop_, port_->port(), key);
    ASSERT_TRUE(
        run_until([this] { return program_->greeted && told("the upstream is connected") > 0; }));
    state_ = AuthorityState::kAuto;
  }
  ~OpenpiPortTest() override {
    program_.reset();
    port_.reset();
    upstream_.close();
  }

  // Runs the loop until then. False: it never came.
  bool run_until(const std::function<bool()>& there, Duration patience = kPatience) {
    bool seen = there();
    if (seen) return true;
    const Instant begun = steady_now();
    const auto look = loop_.every(std::chrono::milliseconds(1), [&] {
      seen = there();
      if (seen || steady_now() - begun > patience) loop_.stop();
    });
    loop_.run();
    return seen;
  }
  // The step thread's next verdict, on all that it has been told.
  void tick() {
    TickVerdict verdict;
    verdict.state = state_;
    verdict.source =
        state_ == AuthorityState::kAuto ? ControlSource::kPolicy : ControlSource::kHold;
    verdict.observed = steady_now();
    verdict.instruction = "lift";
    link_->decided.put({.verdict = verdict,
                        .now = steady_now(),
                        .holds = link_->holds.load(),
                        .heeded = link_->holds_asked.load()});
    link_->wake();
  }
  // One request of the program, and its answer.
  void ask() {
    const auto ticks = loop_.every(std::chrono::milliseconds(5), [this] { tick(); });
    const int before = program_->answers;
    program_->ask();
    ASSERT_TRUE(run_until([&] { return program_->answers > before; }));
  }
  std::string hold() { return link_->hold.try_take().value_or(""); }
  std::string trouble() {
    if (auto newest = link_->trouble.try_take()) trouble_ = *newest;
    return trouble_;
  }
  long told(std::string_view part) const {
    return std::ranges::count_if(notices_, [&](const std::string& notice) {
      return notice.find(part) != std::string::npos;
    });
  }

  EventLoop loop_;
  std::shared_ptr<OpenpiLink> link_ = std::make_shared<OpenpiLink>();
  Upstream upstream_;
  Head head_;
  std::vector<std::string> notices_;
  std::string trouble_;
  AuthorityState state_ = AuthorityState::kHold;  // whatever the port asks for
  std::unique_ptr<OpenpiPort> port_;
  std::unique_ptr<Program> program_;
};

TEST_F(OpenpiPortTest, WhatTheHeadMakesOfAChunkIsAnswered) {
  begin();
  ask();
  EXPECT_EQ(program_->source, "edited");
  EXPECT_NEAR(program_->actions[0], 0.25 + 0.125, 1e-6);
  EXPECT_EQ(hold(), "");
  EXPECT_EQ(trouble(), "");
}

TEST_F(OpenpiPortTest, AHeadThatFallsSilentIsAHoldThatOnlyAnActEnds) {
  begin();
  ask();
  head_.silent = true;
  ask();
  EXPECT_EQ(program_->source, "hold");
  EXPECT_NE(hold().find("the head that edits"), std::string::npos)
      << "the step thread holds, and only somebody's act starts again";
  EXPECT_NE(trouble().find("not answered within 2000 ms"), std::string::npos) << trouble();
  state_ = AuthorityState::kHold;
  tick();  // what was decided before the hold is no longer the newest
  head_.silent = false;
  ask();
  EXPECT_EQ(program_->source, "hold");
  EXPECT_TRUE(run_until([this] { return trouble().empty(); })) << "it may be started again";
  ask();
  EXPECT_EQ(program_->source, "hold") << "nothing resumes by itself";
  state_ = AuthorityState::kAuto;
  ask();
  EXPECT_EQ(program_->source, "edited");
}

TEST_F(OpenpiPortTest, AnEditOfAnotherSizeOrThatIsNotFiniteIsAHold) {
  begin();
  const std::vector<std::function<void(ActionChunk&)>> kBroken = {
      [](ActionChunk& chunk) { chunk.actions.resize(2); },
      [](ActionChunk& chunk) { chunk.actions.resize(64); },
      [](ActionChunk& chunk) { chunk.actions[0] = std::nanf(""); },
      [](ActionChunk& chunk) { chunk.actions[1] = INFINITY; },
  };
  for (const auto& make : kBroken) {
    head_.make = make;
    ask();
    EXPECT_EQ(program_->source, "hold");
    EXPECT_NE(hold().find("cannot be played"), std::string::npos);
  }
}

TEST_F(OpenpiPortTest, TheTroubleOfASilentHeadEndsWithItsWeights) {
  begin();
  head_.silent = true;
  ask();
  ASSERT_NE(trouble(), "");
  head_.edits_now = false;  // rolled back to none
  ask();
  EXPECT_EQ(trouble(), "");
  EXPECT_EQ(program_->source, "upstream");
}

TEST_F(OpenpiPortTest, TheTroubleOfASilentHeadGivesWayToThatOfTheUpstream) {
  begin();
  head_.silent = true;
  ask();
  upstream_.close();
  ASSERT_TRUE(run_until([this] { return trouble().find("not connected") != std::string::npos; }));
  head_.silent = false;
  upstream_.open(upstream_.port());
  ASSERT_TRUE(run_until([this] { return told("the upstream is connected") == 2; }));
  ask();
  EXPECT_EQ(trouble(), "");
}

TEST_F(OpenpiPortTest, ABusyMachineIsToldOnceAndNotTakenBackWithEachRequest) {
  begin();
  head_.room = false;
  for (int i = 0; i < 5; ++i) {
    ask();
    EXPECT_EQ(program_->source, "hold");
    EXPECT_NE(hold().find("too busy"), std::string::npos);
  }
  EXPECT_EQ(told("too busy"), 1);
  EXPECT_EQ(told("well again"), 0);
  head_.room = true;
  ask();
  EXPECT_EQ(told("well again"), 1);
  EXPECT_EQ(program_->source, "edited");
}

TEST_F(OpenpiPortTest, TellsWhereTheUpstreamIsAndNotWhatItsPathHolds) {
  begin("/secret?token=secret");
  ask();
  upstream_.close();
  ASSERT_TRUE(run_until([this] { return trouble().find("not connected") != std::string::npos; }));
  EXPECT_NE(trouble().find("127.0.0.1:" + std::to_string(upstream_.port())), std::string::npos);
  EXPECT_EQ(trouble().find("secret"), std::string::npos) << trouble();
  EXPECT_EQ(told("secret"), 0);
  ask();
  EXPECT_EQ(program_->source, "hold");
  EXPECT_NE(program_->trouble, "");
  EXPECT_EQ(program_->trouble.find("secret"), std::string::npos) << program_->trouble;
}

// ---- whom it believes ----

class Nobody final : public OpenpiUpstream::Listener {
 public:
  void on_upstream(const std::string&) override {}
  void on_answer(Result<std::string>) override {}
  void on_upstream_lost(const std::string&) override {}
};
Status made(const OpenpiUpstreamOptions& options) {
  EventLoop loop;
  Nobody nobody;
  return OpenpiUpstream::make(loop, options, nobody).status();
}

TEST(OpenpiUpstream, AnAddressWithAScopeCannotBeCheckedAndIsRefused) {
  EXPECT_EQ(made({.url = "wss://[fe80::1%eth0]:8000"}).code(), Code::kInvalidArgument);
  EXPECT_EQ(made({.url = "wss://[fe80::1%1]"}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(made({.url = "wss://[fe80::1]:8000"}).ok());
  EXPECT_TRUE(made({.url = "ws://[fe80::1%1]:8000"}).ok()) << "nobody checks anything there";
}

TEST(OpenpiUpstream, WhatToBelieveOfACertificateIsRefusedWhereThereIsNone) {
  const Status pinned = made({.url = "ws://127.0.0.1:8000", .fingerprint = "AB:CD"});
  EXPECT_EQ(pinned.code(), Code::kInvalidArgument);
  EXPECT_NE(pinned.message().find("openpi.upstream_fingerprint"), std::string::npos);
  const Status vouched = made({.url = "ws://127.0.0.1:8000", .authorities = "ca.pem"});
  EXPECT_EQ(vouched.code(), Code::kInvalidArgument);
  EXPECT_NE(vouched.message().find("openpi.upstream_ca"), std::string::npos);
}

TEST_F(OpenpiPortTest, AnotherKeySendsAwayWhoCameWithTheOneBefore) {
  begin("", std::chrono::seconds(2), "the first key of 16");
  port_->set_key("the next key of 16");
  EXPECT_TRUE(run_until([this] { return program_->lost; }));
  Program old(loop_, port_->port(), "the first key of 16");
  EXPECT_TRUE(run_until([&old] { return old.lost; }));
  EXPECT_FALSE(old.greeted);
  Program next(loop_, port_->port(), "the next key of 16");
  EXPECT_TRUE(run_until([&next] { return next.greeted; }));
}

}  // namespace
}  // namespace nudge
