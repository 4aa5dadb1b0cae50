#include "src/ports/http_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "test/ports/http_peer.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

const std::string kSupervisor = "Authorization: Bearer supervisor-token\r\n";

std::optional<Actor> who_is(std::string_view token) {
  if (token == "supervisor-token") return Actor{"desk", Role::kSupervisor};
  if (token == "viewer-token") return Actor{"wall", Role::kViewer};
  if (token == "throws") throw std::runtime_error("the folder of tokens is gone");
  return std::nullopt;
}

// Answers /echo at once, and with /hold when the test says so. Notes what live connections do.
class FakeHandler : public HttpHandler {
 public:
  bool is_public(std::string_view path) const override {
    return path == "/healthz" || path == "/page" || path == "/hold" || path == "/throws" ||
           path == "/echo";
  }
  void handle(HttpRequest request, Respond respond) override {
    if (request.path == "/throws") throw std::runtime_error("a bug");
    if (request.path == "/hold") {
      held.push_back(std::move(respond));
      note("held");
      return;
    }
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = request.method + " " + request.path + " " +
                    (request.actor ? request.actor->name : "nobody") + " " + request.body;
    for (const auto& [name, value] : request.query) response.body += " " + name + "=" + value;
    if (request.path == "/page") {
      response.etag = "\"v1\"";
      response.cache_control = "no-cache";
    }
    respond(std::move(response));
    if (request.path == "/page") respond(problem(500, "internal", "answered twice"));
  }
  void on_open(ConnectionId connection, const Actor& actor) override {
    last = connection;
    note("open " + actor.name + " " + std::to_string(static_cast<int>(actor.role)));
    if (on_open_too) on_open_too(connection);
  }
  void on_text(ConnectionId connection, const std::string& text) override {
    if (text == "throw") throw std::runtime_error("a bug");
    note("text " + (text.size() > 64 ? std::to_string(text.size()) : text));
    if (on_text_too) on_text_too(connection, text);
  }
  void on_close(ConnectionId connection) override {
    note("close " + std::to_string(connection));
    if (on_close_too) on_close_too(connection);
  }

  void note(std::string what) {
    {
      const std::lock_guard lock(mutex_);
      notes_.push_back(std::move(what));
    }
    changed_.notify_one();
  }
  // The next thing that happened, from the test's thread.
  std::string next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(5), [&] { return !notes_.empty(); })) {
      return "nothing";
    }
    std::string what = std::move(notes_.front());
    notes_.pop_front();
    return what;
  }

  // On the loop's thread.
  std::deque<Respond> held;
  ConnectionId last = 0;
  std::function<void(ConnectionId)> on_open_too, on_close_too;
  std::function<void(ConnectionId, const std::string&)> on_text_too;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> notes_;
};

HttpServerOptions on_any_port() {
  HttpServerOptions options;
  options.port = 0;
  return options;
}

class Served {
 public:
  explicit Served(const HttpServerOptions& options = on_any_port()) {
    auto server = HttpServer::listen(
        loop, options, who_is, [](std::string_view text) { return text == "STOP"; }, handler);
    EXPECT_TRUE(server.ok()) << server.status().message();
    this->server = *std::move(server);
    thread_ = std::thread([this] { loop.run(); });
  }
  ~Served() {
    on_loop([&] { server.reset(); });
    loop.stop();
    thread_.join();
  }

  template <typename Work>
  std::invoke_result_t<Work> on_loop(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto result = task.get_future();
    loop.post([&] { task(); });
    return result.get();
  }
  HttpCounters counters() {
    return on_loop([&] { return server->counters(); });
  }
  // Waits until `reached` of the counters, for things that nobody is told of.
  template <typename Reached>
  bool eventually(Reached reached) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!reached(counters())) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  Peer peer() { return Peer(server->port()); }
  // A live connection of the supervisor, whose opening the handler has seen.
  Peer live(const std::string& target = "/api/v1/live", int receive_bytes = 0) {
    Peer peer(server->port(), receive_bytes);
    EXPECT_EQ(peer.upgrade(target, kSupervisor).status, 101);
    EXPECT_EQ(handler.next().substr(0, 5), "open ");
    return peer;
  }
  bool serves() {
    Peer other = peer();
    other.request("GET", "/healthz");
    return other.answer().status == 200;
  }

  EventLoop loop;
  FakeHandler handler;
  std::unique_ptr<HttpServer> server;

 private:
  std::thread thread_;
};

// ---- requests

TEST(HttpServer, AnswersRequestsOverOneConnection) {
  Served served;
  Peer peer = served.peer();
  for (int i = 0; i < 3; ++i) {
    peer.request("GET", "/echo?b=2&a=1");
    const PeerAnswer answer = peer.answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "GET /echo nobody  a=1 b=2");
    EXPECT_EQ(answer.fields.at("connection"), "keep-alive");
  }
  EXPECT_EQ(served.counters().accepted, 1U);
  EXPECT_EQ(served.counters().requests, 3U);
}

TEST(HttpServer, AnswersRequestsInTheOrderInWhichTheyWereSentAhead) {
  Served served;
  Peer peer = served.peer();
  const std::string host = "Host: localhost:" + std::to_string(served.server->port()) + "\r\n\r\n";
  peer.send("GET /echo?n=1 HTTP/1.1\r\n" + host + "GET /echo?n=2 HTTP/1.1\r\n" + host);
  EXPECT_EQ(peer.answer().body, "GET /echo nobody  n=1");
  EXPECT_EQ(peer.answer().body, "GET /echo nobody  n=2");
}

TEST(HttpServer, HandsTheBodyAndTheActorToTheHandler) {
  Served served;
  Peer peer = served.peer();
  peer.request("POST", "/api/v1/feedback", kSupervisor, "{\"type\":\"stop\"}");
  EXPECT_EQ(peer.answer().body, "POST /api/v1/feedback desk {\"type\":\"stop\"}");
  peer.request("POST", "/api/v1/feedback", kSupervisor + "Transfer-Encoding: chunked\r\n");
  peer.send("3\r\nabc\r\n0\r\n\r\n");
  EXPECT_EQ(peer.answer().body, "POST /api/v1/feedback desk abc");
}

TEST(HttpServer, TellsAClientThatAsksToGoOnWithItsBody) {
  Served served;
  Peer peer = served.peer();
  peer.request("POST", "/echo", "Expect: 100-continue\r\nContent-Length: 2\r\n");
  EXPECT_EQ(peer.answer().status, 100);
  peer.send("hi");
  EXPECT_EQ(peer.answer().body, "POST /echo nobody hi");
}

TEST(HttpServer, ClosesAfterTheAnswerWhereTheClientWantsThat) {
  Served served;
  Peer peer = served.peer();
  peer.request("GET", "/echo", "Connection: close\r\n");
  const PeerAnswer answer = peer.answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.fields.at("connection"), "close");
  EXPECT_TRUE(peer.ends());
}

TEST(HttpServer, AnswersHeadLikeGetWithoutTheBody) {
  Served served;
  Peer peer = served.peer();
  peer.request("HEAD", "/echo");
  const PeerAnswer head = peer.answer(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.fields.at("content-length"), "17");
  peer.request("GET", "/echo");
  EXPECT_EQ(peer.answer().body.size(), 17U);
}

TEST(HttpServer, AnswersWithNotModifiedWhereTheClientHasThePage) {
  Served served;
  Peer peer = served.peer();
  peer.request("GET", "/page");
  const PeerAnswer first = peer.answer();
  EXPECT_EQ(first.fields.at("etag"), "\"v1\"");
  EXPECT_EQ(first.fields.at("cache-control"), "no-cache");
  peer.request("GET", "/page", "If-None-Match: \"v1\"\r\n");
  const PeerAnswer second = peer.answer();
  EXPECT_EQ(second.status, 304);
  EXPECT_EQ(second.fields.at("etag"), "\"v1\"");
  EXPECT_EQ(second.fields.count("content-length"), 0U);
  peer.request("GET", "/page", "If-None-Match: \"v0\"\r\n");
  EXPECT_EQ(peer.answer().status, 200);
}

TEST(HttpServer, ForbidsBrowsersWhatThePageDoesNotNeed) {
  Served served;
  Peer peer = served.peer();
  const auto expect_fields = [](const PeerAnswer& answer, int status) {
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.fields.at("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.fields.at("content-security-policy"),
              "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
              "frame-ancestors 'none'; base-uri 'none'");
    EXPECT_EQ(answer.fields.at("referrer-policy"), "no-referrer");
    EXPECT_EQ(answer.fields.at("cache-control"), "no-store");
  };
  peer.request("GET", "/echo");
  expect_fields(peer.answer(), 200);
  peer.request("GET", "/secret");
  expect_fields(peer.answer(), 401);
  Peer live = served.peer();
  expect_fields(live.upgrade("/api/v1/live", kSupervisor), 101);
}

TEST(HttpServer, AnswersWithAProblemWhereTheHandlerFails) {
  Served served;
  Peer peer = served.peer();
  peer.request("GET", "/throws");
  const PeerAnswer answer = peer.answer();
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.fields.at("content-type"), "application/problem+json");
  EXPECT_NE(answer.body.find("\"code\":\"internal\""), std::string::npos);
  EXPECT_TRUE(served.serves());
}

TEST(HttpServer, TakesAnAnswerOnceAndLate) {
  Served served;
  Peer peer = served.peer();
  peer.request("GET", "/hold");
  EXPECT_EQ(served.handler.next(), "held");
  served.on_loop([&] {
    HttpResponse response;
    response.body = "late";
    served.handler.held.front()(response);
    served.handler.held.front()(problem(500, "internal", "twice"));
  });
  EXPECT_EQ(peer.answer().body, "late");
  // An answer to the last request is none to the next.
  peer.request("GET", "/hold");
  EXPECT_EQ(served.handler.next(), "held");
  served.on_loop([&] {
    served.handler.held.front()(problem(500, "internal", "of the last request"));
    served.handler.held.back()(HttpResponse{});
  });
  EXPECT_EQ(peer.answer().status, 200);
}

TEST(HttpServer, IgnoresAnAnswerToWhoeverHasLeft) {
  Served served;
  {
    Peer peer = served.peer();
    peer.request("GET", "/hold");
    EXPECT_EQ(served.handler.next(), "held");
    peer.reset();
  }
  {
    Peer peer = served.peer();
    peer.request("GET", "/hold");
    EXPECT_EQ(served.handler.next(), "held");
  }
  served.on_loop([&] {
    for (const auto& respond : served.handler.held) respond(HttpResponse{});
  });
  EXPECT_TRUE(served.eventually([](const HttpCounters& now) { return now.open == 0; }));
  EXPECT_TRUE(served.serves());
}

TEST(HttpServer, AnswersForAHandlerThatDoesNot) {
  HttpServerOptions options = on_any_port();
  options.answer_timeout = milliseconds(50);
  Served served(options);
  Peer peer = served.peer();
  peer.request("GET", "/hold");
  EXPECT_EQ(peer.answer().status, 503);
  EXPECT_TRUE(peer.ends());
  served.on_loop([&] { served.handler.held.front()(HttpResponse{}); });
}

TEST(HttpServer, IgnoresAnswersAfterItsOwnEnd) {
  Served served;
  Peer peer = served.peer();
  peer.request("GET", "/hold");
  EXPECT_EQ(served.handler.next(), "held");
  served.on_loop([&] {
    const std::uint16_t port = served.server->port();
    served.server.reset();
    served.handler.held.front()(HttpResponse{});
    HttpServerOptions options;
    options.port = port;
    served.server = *HttpServer::listen(served.loop, options, who_is, {}, served.handler);
  });
  EXPECT_TRUE(peer.ends());
  EXPECT_TRUE(served.serves());
}

// ---- who may talk to it

TEST(HttpServer, NeedsATokenButForPublicPaths) {
  Served served;
  for (const std::string fields :
       {"", "Authorization: Bearer wrong\r\n", "Authorization: Bearer \r\n",
        "Authorization: Basic c3VwZXJ2aXNvci10b2tlbg==\r\n", "Authorization: Bearer throws\r\n",
        "Sec-WebSocket-Protocol: nudge.v1, nudge.token.supervisor-token\r\n"}) {
    Peer peer = served.peer();
    peer.request("GET", "/api/v1/status", fields);
    const PeerAnswer answer = peer.answer();
    EXPECT_EQ(answer.status, 401) << fields;
    EXPECT_EQ(answer.fields.at("www-authenticate"), "Bearer");
  }
  Peer peer = served.peer();
  peer.request("GET", "/api/v1/status", kSupervisor);
  EXPECT_EQ(peer.answer().status, 200);
  EXPECT_TRUE(served.serves());
}

TEST(HttpServer, AnswersUnderItsOwnNamesOnly) {
  Served served;
  const std::string port = std::to_string(served.server->port());
  for (const std::string& host : {"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port}) {
    Peer peer = served.peer();
    peer.request("GET", "/healthz", "Host: " + host + "\r\n");
    EXPECT_EQ(peer.answer().status, 200) << host;
  }
  for (const std::string& host : {std::string("127.0.0.1"), "rebound.example:" + port,
                                  std::string("localhost:1"), std::string()}) {
    Peer peer = served.peer();
    peer.request("GET", "/healthz", "Host: " + host + "\r\n" + kSupervisor);
    EXPECT_EQ(peer.answer().status, 403) << host;
  }
  Peer without = served.peer();
  without.send("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_EQ(without.answer().status, 403);
  Peer twice = served.peer();
  twice.request("GET", "/healthz", "Host: localhost:" + port + "\r\nHost: evil.example\r\n");
  EXPECT_EQ(twice.answer().status, 400);
}

TEST(HttpServer, TalksToPagesOfItsOwnOriginOnly) {
  Served served;
  const std::string port = std::to_string(served.server->port());
  Peer own = served.peer();
  own.request("GET", "/api/v1/status", kSupervisor + "Origin: http://localhost:" + port + "\r\n");
  EXPECT_EQ(own.answer().status, 200);
  for (const std::string& origin : {std::string("http://evil.example"), std::string("null"),
                                    "https://localhost:" + port, std::string()}) {
    const std::string field = "Origin: " + origin + "\r\n";
    Peer peer = served.peer();
    peer.request("POST", "/healthz", kSupervisor + field, "{}");
    EXPECT_EQ(peer.answer().status, 403) << origin;
    Peer live = served.peer();
    EXPECT_EQ(live.upgrade("/api/v1/live", kSupervisor + field).status, 403) << origin;
  }
}

// ---- bounds of requests

TEST(HttpServer, RefusesHeadersBeyondTheBound) {
  Served served;
  for (const std::string& start :
       {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nX: " + std::string(9000, 'a') + "\r\n\r\n",
        "GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nX: " + std::string(5000, 'a') +
            "\r\n\r\n"}) {
    Peer peer = served.peer();
    peer.send(start);
    EXPECT_EQ(peer.answer().status, 431);
    EXPECT_TRUE(peer.ends());
  }
  Peer peer = served.peer();
  peer.request("GET", "/healthz", "X: " + std::string(8000, 'a') + "\r\n");
  EXPECT_EQ(peer.answer().status, 200);
}

TEST(HttpServer, RefusesAHeaderThatNeverEnds) {
  Served served;
  Peer peer = served.peer();
  peer.send("GET /healthz HTTP/1.1\r\n");
  std::size_t sent = 0;
  while (sent < (1u << 20) && !peer.readable(0) &&
         peer.send("X: " + std::string(1000, 'a') + "\r\n")) {
    sent += 1005;
  }
  EXPECT_EQ(peer.answer().status, 431);
  Peer one_line = served.peer();
  one_line.send("GET /");
  while (!one_line.readable(0) && one_line.send(std::string(1000, 'a'))) {
  }
  EXPECT_EQ(one_line.answer().status, 431);
}

TEST(HttpServer, RefusesBodiesBeyondTheBoundBeforeTheyCome) {
  Served served;
  Peer peer = served.peer();
  peer.request("POST", "/echo", "Content-Length: 1000000000\r\n");
  EXPECT_EQ(peer.answer().status, 413);
  Peer chunked = served.peer();
  chunked.request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
  const std::string chunk = "1000\r\n" + std::string(4096, 'x') + "\r\n";
  for (int i = 0; i < 17; ++i) chunked.send(chunk);
  EXPECT_EQ(chunked.answer().status, 413);
  Peer extension = served.peer();
  extension.request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
  extension.send("1;" + std::string(20000, 'x'));
  EXPECT_EQ(extension.answer().status, 413);
  Peer fits = served.peer();
  fits.request("POST", "/echo", "", std::string(65536, 'x'));
  EXPECT_EQ(fits.answer().body.size(), 65536U + 18U);
}

TEST(HttpServer, RefusesWhatIsNotHttp) {
  Served served;
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02garbage\r\n\r\n"), std::string("GET\r\n\r\n"),
        std::string("GET / HTTP/9.9\r\n\r\n"), std::string("GET / HTTP/1.1\r\n bad\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("\0\0\0\0\r\n\r\n", 8)}) {
    Peer peer = served.peer();
    peer.send(bytes);
    EXPECT_EQ(peer.answer().status, 400) << bytes;
    EXPECT_TRUE(peer.ends());
  }
  Peer dots = served.peer();
  dots.request("GET", "/%2e%2e/secret");
  EXPECT_EQ(dots.answer().status, 400);
}

TEST(HttpServer, GivesUpOnRequestsThatAreNotCompleteInTime) {
  HttpServerOptions options = on_any_port();
  options.request_timeout = milliseconds(150);
  Served served(options);
  Peer silent = served.peer();
  Peer half = served.peer();
  half.send("GET /healthz HTTP/1.1\r\nHost: loc");
  Peer half_body = served.peer();
  half_body.request("POST", "/echo", "Content-Length: 10\r\n");
  half_body.send("half");
  Peer dripping = served.peer();
  dripping.send("GET /healthz HTTP/1.1\r\nX: ");
  while (!dripping.readable(10)) dripping.send("a");
  EXPECT_EQ(dripping.answer().status, 408);
  EXPECT_EQ(half.answer().status, 408);
  EXPECT_EQ(half_body.answer().status, 408);
  EXPECT_TRUE(silent.ends());
  EXPECT_TRUE(served.serves());
}

TEST(HttpServer, GivesUpOnASecondRequestThatIsNotCompleteInTime) {
  HttpServerOptions options = on_any_port();
  options.request_timeout = milliseconds(100);
  Served served(options);
  Peer peer = served.peer();
  peer.request("GET", "/healthz");
  EXPECT_EQ(peer.answer().status, 200);
  peer.send("GET /healthz");
  EXPECT_EQ(peer.answer().status, 408);
}

TEST(HttpServer, ClosesConnectionsThatAreNotUsed) {
  HttpServerOptions options = on_any_port();
  options.idle_timeout = milliseconds(100);
  Served served(options);
  Peer peer = served.peer();
  peer.request("GET", "/healthz");
  EXPECT_EQ(peer.answer().status, 200);
  EXPECT_TRUE(peer.ends());
}

// ---- connections

TEST(HttpServer, TurnsAwayConnectionsWhenAllAreAtWork) {
  HttpServerOptions options = on_any_port();
  options.max_connections = 2;
  Served served(options);
  Peer live = served.live();
  Peer busy = served.peer();
  busy.request("GET", "/hold");
  EXPECT_EQ(served.handler.next(), "held");
  Peer third = served.peer();
  EXPECT_EQ(third.answer().status, 503);
  EXPECT_TRUE(third.ends());
  EXPECT_EQ(served.counters().refused, 1U);
  served.on_loop([&] { served.handler.held.front()(HttpResponse{}); });
  EXPECT_EQ(busy.answer().status, 200);
}

TEST(HttpServer, MakesRoomAtTheCostOfStrangersFirst) {
  HttpServerOptions options = on_any_port();
  options.max_connections = 2;
  Served served(options);
  Peer known = served.peer();
  known.request("GET", "/api/v1/status", kSupervisor);
  EXPECT_EQ(known.answer().status, 200);
  Peer stranger = served.peer();
  stranger.request("GET", "/healthz");
  EXPECT_EQ(stranger.answer().status, 200);
  EXPECT_TRUE(served.serves());
  EXPECT_TRUE(stranger.ends());
  known.request("GET", "/api/v1/status", kSupervisor);
  EXPECT_EQ(known.answer().status, 200);
  EXPECT_EQ(served.counters().evicted, 1U);
}

TEST(HttpServer, ServesPeopleWhileAThousandConnectionsSayNothing) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2000) GTEST_SKIP() << "this machine allows too few descriptors";
  Served served;
  Peer live = served.live();
  Peer known = served.peer();
  known.request("GET", "/api/v1/status", kSupervisor);
  EXPECT_EQ(known.answer().status, 200);
  std::deque<Peer> half_open;
  for (int i = 0; i < 1000; ++i) {
    half_open.push_back(served.peer());
    if (i % 2 == 0) half_open.back().send("GET / HTTP/1.1\r\n");
    if (i % 250 == 249) {
      EXPECT_TRUE(served.serves()) << i;
    }
  }
  known.request("GET", "/api/v1/status", kSupervisor);
  EXPECT_EQ(known.answer().status, 200);
  live.send_text("hello");
  EXPECT_EQ(served.handler.next(), "text hello");
  const HttpCounters counters = served.counters();
  EXPECT_LE(counters.open, 256U);
  EXPECT_GE(counters.evicted, 700U);
  EXPECT_EQ(counters.refused, 0U);
}

TEST(HttpServer, WaitsWhenDescriptorsRunOut) {
  Served served;
  EXPECT_TRUE(served.serves());
  Peer late;  // its descriptor is there before they run out
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int free_one = ::dup(0);
  std::vector<int> holes;  // descriptors below the new limit must all be taken
  for (int fd = ::dup(0); fd >= 0 && fd < free_one + 8; fd = ::dup(0)) holes.push_back(fd);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(holes.back());
  ::close(holes.back());
  holes.pop_back();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  late.connect(served.server->port());
  late.request("GET", "/healthz");
  EXPECT_TRUE(served.eventually([](const HttpCounters& now) { return now.accept_errors >= 2; }));
  const std::uint64_t errors = served.counters().accept_errors;
  EXPECT_LE(errors, 4U);  // a loop that spins would count thousands
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(late.answer().status, 200);
  for (const int fd : holes) ::close(fd);
  ::close(free_one);
}

TEST(HttpServer, LeavesNoDescriptorToChildren) {
  Served served;
  Peer live = served.live();
  Peer peer = served.peer();
  peer.request("GET", "/healthz");
  EXPECT_EQ(peer.answer().status, 200);
  int sockets = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string what = std::filesystem::read_symlink(entry.path(), error).string();
    const int fd = std::atoi(entry.path().filename().c_str());
    if (!what.starts_with("socket:") && !what.starts_with("anon_inode:")) continue;
    int type = 0;
    socklen_t size = sizeof type;
    sockaddr_storage name{};
    socklen_t name_size = sizeof name;
    if (what.starts_with("socket:") &&
        (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
         ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &name_size) != 0 ||
         name.ss_family != AF_INET)) {
      continue;  // of whatever runs the tests
    }
    EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC) << what;
    ++sockets;
  }
  EXPECT_GE(sockets, 5);  // the listener, both ends of two connections
}

TEST(HttpServer, ServesOnLoopbackOnly) {
  EventLoop loop;
  FakeHandler handler;
  HttpServerOptions options = on_any_port();
  for (const char* address : {"0.0.0.0", "192.168.1.2", "::", "128.0.0.1", "::ffff:10.0.0.1"}) {
    options.address = address;
    const auto server = HttpServer::listen(loop, options, who_is, {}, handler);
    ASSERT_FALSE(server.ok()) << address;
    EXPECT_EQ(server.status().code(), Code::kInvalidArgument) << address;
    EXPECT_NE(server.status().message().find("TLS"), std::string::npos);
  }
  options.address = "localhost";
  EXPECT_EQ(HttpServer::listen(loop, options, who_is, {}, handler).status().code(),
            Code::kInvalidArgument);
  options.address = "127.0.0.9";
  EXPECT_TRUE(HttpServer::listen(loop, options, who_is, {}, handler).ok());
}

TEST(HttpServer, SaysWhatToDoWhenItsPortIsTaken) {
  Served served;
  EventLoop loop;
  FakeHandler handler;
  HttpServerOptions options;
  options.port = served.server->port();
  const auto second = HttpServer::listen(loop, options, who_is, {}, handler);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  for (const std::string& part : {std::to_string(options.port), std::string("another nudge"),
                                  "--set ports.http=" + std::to_string(options.port + 1)}) {
    EXPECT_NE(second.status().message().find(part), std::string::npos) << second.status().message();
  }
  EXPECT_TRUE(served.serves());
}

TEST(HttpServer, TakesItsPortAgainAtOnce) {
  EventLoop loop;
  FakeHandler handler;
  HttpServerOptions options;
  {
    Served served;
    options.port = served.server->port();
    Peer peer = served.peer();
    peer.request("GET", "/healthz", "Connection: close\r\n");
    EXPECT_EQ(peer.answer().status, 200);
  }
  EXPECT_TRUE(HttpServer::listen(loop, options, who_is, {}, handler).ok());
}

TEST(HttpServer, SharesALoopWithAnotherOne) {
  Served served;
  FakeHandler handler;
  std::unique_ptr<HttpServer> other = served.on_loop(
      [&] { return *HttpServer::listen(served.loop, on_any_port(), who_is, {}, handler); });
  Peer peer(other->port());
  peer.request("GET", "/healthz");
  EXPECT_EQ(peer.answer().status, 200);
  EXPECT_TRUE(served.serves());
  served.on_loop([&] { other.reset(); });
  EXPECT_TRUE(served.serves());
}

// ---- live connections

TEST(HttpServer, OpensLiveConnectionsForWhoeverHasAToken) {
  Served served;
  Peer header = served.peer();
  const PeerAnswer answer = header.upgrade("/api/v1/live?name=tablet", kSupervisor);
  EXPECT_EQ(answer.status, 101);
  EXPECT_EQ(answer.fields.at("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(answer.fields.count("sec-websocket-protocol"), 0U);
  EXPECT_EQ(served.handler.next(), "open tablet#1 2");
  Peer browser = served.peer();
  const PeerAnswer named =
      browser.upgrade("/api/v1/live",
                      "Sec-WebSocket-Protocol: nudge.v1, nudge.token.viewer-token\r\n"
                      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
  EXPECT_EQ(named.status, 101);
  EXPECT_EQ(named.fields.at("sec-websocket-protocol"), "nudge.v1");
  EXPECT_EQ(named.fields.count("sec-websocket-extensions"), 0U);
  EXPECT_EQ(served.handler.next(), "open person#2 1");
  EXPECT_EQ(served.counters().live, 2U);
}

TEST(HttpServer, RefusesUpgradesThatBreakTheRules) {
  Served served;
  const auto status = [&](const std::string& target, const std::string& fields) {
    Peer peer = served.peer();
    return peer.upgrade(target, fields).status;
  };
  EXPECT_EQ(status("/api/v1/live", ""), 401);
  EXPECT_EQ(status("/api/v1/live", "Authorization: Bearer wrong\r\n"), 401);
  EXPECT_EQ(status("/api/v1/live", "Sec-WebSocket-Protocol: nudge.v1, nudge.token.no\r\n"), 401);
  EXPECT_EQ(status("/api/v1/live?token=supervisor-token", ""), 401);
  EXPECT_EQ(status("/api/v1/live", kSupervisor + "Sec-WebSocket-Protocol: nudge.v2\r\n"), 400);
  EXPECT_EQ(status("/api/v1/live", kSupervisor + "Host: evil.example\r\n"), 403);
  // Elsewhere the wish to upgrade is ignored, as HTTP wants.
  EXPECT_EQ(status("/echo", kSupervisor), 200);
  Peer plain = served.peer();
  plain.request("GET", "/api/v1/live", kSupervisor);
  const PeerAnswer answer = plain.answer();
  EXPECT_EQ(answer.status, 426);
  EXPECT_EQ(answer.fields.at("upgrade"), "websocket");
  Peer old = served.peer();
  old.request("GET", "/api/v1/live",
              kSupervisor +
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 8\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  EXPECT_EQ(old.answer().status, 426);
  EXPECT_EQ(served.counters().live, 0U);
}

TEST(HttpServer, RefusesLiveConnectionsBeyondTheBound) {
  HttpServerOptions options = on_any_port();
  options.max_live = 1;
  Served served(options);
  {
    Peer first = served.live();
    Peer second = served.peer();
    EXPECT_EQ(second.upgrade("/api/v1/live", kSupervisor).status, 503);
  }
  EXPECT_EQ(served.handler.next(), "close 1");
  EXPECT_TRUE(served.eventually([](const HttpCounters& now) { return now.live == 0; }));
  const Peer third = served.live();
}

TEST(HttpServer, CarriesTextBothWaysInOrder) {
  Served served;
  served.handler.on_text_too = [&](ConnectionId connection, const std::string& text) {
    EXPECT_TRUE(served.server->send(connection, "you said " + text));
  };
  Peer live = served.live();
  live.send(Peer::frame(1, "one") + Peer::frame(1, "tw", false) + Peer::frame(0, "o"));
  EXPECT_EQ(served.handler.next(), "text one");
  EXPECT_EQ(served.handler.next(), "text two");
  EXPECT_EQ(live.next_message().payload, "you said one");
  const PeerFrame second = live.next_message();
  EXPECT_EQ(second.opcode, 1);
  EXPECT_EQ(second.payload, "you said two");
}

TEST(HttpServer, SpeaksFirst) {
  Served served;
  served.handler.on_open_too = [&](ConnectionId connection) {
    served.server->send(connection, "hello");
  };
  Peer live = served.live();
  EXPECT_EQ(live.next_message().payload, "hello");
}

TEST(HttpServer, SendsTextBeforeFramesAndTheNewestFrameOfEachChannel) {
  Served served;
  Peer live = served.live();
  served.on_loop([&] {
    const ConnectionId connection = served.handler.last;
    served.server->send(connection, "first");  // under way when the others come
    served.server->offer(connection, 0, {1});
    served.server->offer(connection, 1, {2});
    served.server->offer(connection, 0, {3});
    served.server->send(connection, "second");
  });
  std::string order;
  for (int i = 0; i < 4; ++i) {
    const PeerFrame frame = live.next_message();
    order += frame.opcode == 2 ? "frame " + std::to_string(frame.payload.at(0)) + ", "
                               : frame.payload + ", ";
  }
  EXPECT_EQ(order, "first, second, frame 2, frame 3, ");
  EXPECT_EQ(served.counters().frames_dropped, 1U);
  EXPECT_EQ(served.counters().frames_sent, 2U);
}

TEST(HttpServer, AnswersPingsWhileAnAnswerIsAwaited) {
  Served served;
  Peer live = served.live();
  Peer waiting = served.peer();
  waiting.request("GET", "/hold");
  EXPECT_EQ(served.handler.next(), "held");
  live.send_text("unanswered");
  EXPECT_EQ(served.handler.next(), "text unanswered");
  live.send(Peer::frame(9, "are you there"));
  const PeerFrame pong = live.next_message();
  EXPECT_EQ(pong.opcode, 10);
  EXPECT_EQ(pong.payload, "are you there");
}

TEST(HttpServer, TellsTheHandlerOnceHoweverAConnectionEnds) {
  Served served;
  {
    Peer live = served.live();
    live.send(Peer::frame(8, "\x03\xe8"));
    EXPECT_EQ(live.closing_code(), 1000);
  }
  EXPECT_EQ(served.handler.next(), "close 1");
  {
    Peer live = served.live();
    live.reset();
  }
  EXPECT_EQ(served.handler.next(), "close 2");
  { const Peer live = served.live(); }
  EXPECT_EQ(served.handler.next(), "close 3");
  Peer live = served.live();
  served.on_loop([&] {
    served.server->close(4, 1008, "enough");
    served.server->close(4, 1011, "again");
    EXPECT_FALSE(served.server->send(4, "too late"));
    served.server->offer(4, 0, {1});
    EXPECT_FALSE(served.server->send(99, "to nobody"));
  });
  EXPECT_EQ(served.handler.next(), "close 4");
  EXPECT_EQ(live.closing_code(), 1008);
  live.hang_up();
  Peer last = served.live();
  served.handler.on_close_too = [&](ConnectionId connection) {
    EXPECT_FALSE(served.server && served.server->send(connection, "to the dead"));
  };
  served.on_loop([&] { served.server.reset(); });
  EXPECT_EQ(served.handler.next(), "close 5");
  EXPECT_EQ(last.closing_code(), 0);
  served.handler.note("nothing else");
  EXPECT_EQ(served.handler.next(), "nothing else");
}

TEST(HttpServer, SendsWhatWaitsBeforeItCloses) {
  Served served;
  Peer live = served.live();
  served.on_loop([&] {
    served.server->send(1, "one");
    served.server->send(1, "two");
    served.server->close(1, 1008, std::string(200, 'x'));
  });
  EXPECT_EQ(live.next_message().payload, "one");
  EXPECT_EQ(live.next_message().payload, "two");
  const PeerFrame close = live.next_message();
  EXPECT_EQ(close.code(), 1008);
  EXPECT_EQ(close.payload.size(), 122U);
}

TEST(HttpServer, HandsOverNothingAfterItHasClosed) {
  Served served;
  served.handler.on_text_too = [&](ConnectionId connection, const std::string&) {
    served.server->close(connection, 1008, "one is enough");
  };
  Peer live = served.live();
  live.send(Peer::frame(1, "one") + Peer::frame(1, "two") + Peer::frame(1, "three"));
  EXPECT_EQ(served.handler.next(), "text one");
  EXPECT_EQ(served.handler.next(), "close 1");
  EXPECT_EQ(live.closing_code(), 1008);
  EXPECT_EQ(served.counters().messages, 1U);
}

TEST(HttpServer, ClosesOnMessagesBeyondTheBound) {
  Served served;
  Peer fits = served.live();
  fits.send_text(std::string(65536, 'x'));
  EXPECT_EQ(served.handler.next(), "text 65536");
  Peer one = served.live();
  one.send_text(std::string(65537, 'x'));
  EXPECT_EQ(one.closing_code(), 1009);
  one.hang_up();
  EXPECT_EQ(served.handler.next(), "close 2");
  Peer claim = served.live();
  claim.send(Peer::frame_head(1, 1u << 30));
  EXPECT_EQ(claim.closing_code(), 1009);
  claim.hang_up();
  EXPECT_EQ(served.handler.next(), "close 3");
  Peer pieces = served.live();
  pieces.send(Peer::frame(1, std::string(40000, 'x'), false));
  pieces.send(Peer::frame(0, std::string(40000, 'x')));
  EXPECT_EQ(pieces.closing_code(), 1009);
  EXPECT_EQ(served.counters().closed_bad, 3U);
}

TEST(HttpServer, ClosesOnWhatIsNoText) {
  Served served;
  Peer binary = served.live();
  binary.send(Peer::frame(2, "bytes"));
  EXPECT_EQ(binary.closing_code(), 1003);
  EXPECT_EQ(served.handler.next(), "close 1");
  Peer encoding = served.live();
  encoding.send_text("\xff\xfe");
  EXPECT_EQ(encoding.closing_code(), 1007);
  encoding.hang_up();
  EXPECT_EQ(served.handler.next(), "close 2");
  Peer unmasked = served.live();
  unmasked.send("\x81\x02hi");
  EXPECT_EQ(unmasked.closing_code(), 1002);
  unmasked.hang_up();
  EXPECT_EQ(served.handler.next(), "close 3");
  Peer garbage = served.live();
  garbage.send(std::string(64, '\xff'));
  EXPECT_EQ(garbage.closing_code(), 1002);
  EXPECT_EQ(served.counters().messages, 0U);
  EXPECT_EQ(served.counters().closed_bad, 4U);
}

TEST(HttpServer, ClosesWhereMessagesComeTooFastButTakesEachStop) {
  HttpServerOptions options = on_any_port();
  options.messages_per_second = 5;
  Served served(options);
  Peer live = served.live();
  std::string burst;
  for (int i = 0; i < 5; ++i) burst += Peer::frame(1, "jog");
  for (int i = 0; i < 20; ++i) burst += Peer::frame(1, "STOP");
  live.send(burst);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(served.handler.next(), "text jog");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(served.handler.next(), "text STOP");
  for (int i = 0; i < 10; ++i) live.send_text("jog");
  EXPECT_EQ(live.closing_code(), 1008);
  EXPECT_EQ(served.counters().closed_rate, 1U);
}

TEST(HttpServer, CountsPingsAsMessages) {
  HttpServerOptions options = on_any_port();
  options.messages_per_second = 5;
  Served served(options);
  Peer live = served.live();
  for (int i = 0; i < 50; ++i) live.send(Peer::frame(9, ""));
  EXPECT_EQ(live.closing_code(), 1008);
  EXPECT_EQ(served.handler.next(), "close 1");
}

TEST(HttpServer, DropsWhatAReaderThatNeverReadsLeavesWaiting) {
  Served served;
  Peer other = served.live();
  Peer deaf = served.live("/api/v1/live", 4096);
  std::size_t taken = 0;
  while (served.on_loop([&] { return served.server->send(2, std::string(16384, 'x')); })) {
    taken += 16384;
    served.on_loop([&] { served.server->offer(2, 0, std::vector<std::uint8_t>(16384)); });
    ASSERT_LT(taken, 4u << 20);
  }
  EXPECT_EQ(served.handler.next(), "close 2");
  EXPECT_EQ(served.counters().closed_slow, 1U);
  other.send_text("still here");
  EXPECT_EQ(served.handler.next(), "text still here");
  // Who reads again soon is told why.
  EXPECT_EQ(deaf.closing_code(), 1013);
}

TEST(HttpServer, LetsGoOfWhoeverDoesNotReadEvenTheGoodbye) {
  Served served;
  const Peer deaf = served.live("/api/v1/live", 4096);
  while (served.on_loop([&] { return served.server->send(1, std::string(65536, 'x')); })) {
  }
  EXPECT_EQ(served.handler.next(), "close 1");
  EXPECT_TRUE(served.eventually([](const HttpCounters& now) { return now.open == 0; }));
}

TEST(HttpServer, BoundsManyEmptyTextsToo) {
  Served served;
  const Peer live = served.live();
  const std::size_t taken = served.on_loop([&] {
    std::size_t count = 0;
    while (served.server->send(1, "")) ++count;
    return count;
  });
  EXPECT_LE(taken, (1u << 20) / 32);
}

TEST(HttpServer, KeepsConnectionsThatAnswerPingsAndDropsOthers) {
  HttpServerOptions options = on_any_port();
  options.idle_timeout = milliseconds(200);
  Served served(options);
  Peer silent = served.live("/api/v1/live?name=silent");
  Peer awake = served.live("/api/v1/live?name=awake");
  for (int i = 0; i < 4; ++i) {
    const PeerFrame ping = awake.next_frame();
    ASSERT_EQ(ping.opcode, 9);
    awake.send(Peer::frame(10, ping.payload));
  }
  EXPECT_EQ(served.handler.next(), "close 1");
  awake.send_text("awake");
  EXPECT_EQ(served.handler.next(), "text awake");
}

TEST(HttpServer, ClosesAConnectionOnWhoseMessageTheHandlerFails) {
  Served served;
  Peer live = served.live();
  live.send_text("throw");
  EXPECT_EQ(live.closing_code(), 1011);
  EXPECT_EQ(served.handler.next(), "close 1");
  EXPECT_TRUE(served.serves());
}

}  // namespace
}  // namespace nudge
