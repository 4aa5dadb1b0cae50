#include "src/ports/http_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>

#include "test/ports/served_http.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

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

TEST(HttpServer, TurnsARequestAwayBeforeItsBodyIsThere) {
  Served served;
  Peer peer = served.peer();
  peer.request("POST", "/full", "Content-Length: 60000\r\n");
  const PeerAnswer answer = peer.answer();
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.fields.at("retry-after"), "1");
  EXPECT_EQ(answer.fields.at("connection"), "close");
  EXPECT_EQ(answer.fields.at("content-type"), "application/problem+json");
  EXPECT_EQ(served.handler.next(), "full 60000");
  EXPECT_TRUE(peer.ends());
  Peer chunked = served.peer();
  chunked.request("POST", "/full", "Transfer-Encoding: chunked\r\n");
  EXPECT_EQ(chunked.answer().status, 429);
  EXPECT_EQ(served.handler.next(), "full unknown");
  EXPECT_EQ(served.counters().requests, 0U);
}

TEST(HttpServer, AnswersThatWaitForTheirPeersAreBoundedByBytes) {
  HttpServerOptions options = on_any_port();
  options.max_caller_answer_bytes = 20u << 20;  // one of 16 MiB, not two
  Served served(options);
  {
    Peer slow(served.server->port(), 4096);
    slow.request("GET", "/big");
    ASSERT_TRUE(served.eventually([](const HttpCounters& now) { return now.requests == 1; }));
    Peer other = served.peer();
    other.request("GET", "/big");
    const PeerAnswer refused = other.answer();
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.fields.at("retry-after"), "1");
    EXPECT_EQ(served.counters().unsent_answers, 1U);
    other.request("GET", "/echo");
    EXPECT_EQ(other.answer().status, 200) << "what is small is always sent";
  }
  ASSERT_TRUE(served.eventually([](const HttpCounters& now) { return now.open <= 1; }));
  Peer later = served.peer();
  later.request("GET", "/big");
  EXPECT_EQ(later.answer().status, 200);
}

TEST(HttpServer, SendsWhatLastsAsItIs) {
  Served served;
  Peer peer = served.peer();
  peer.request("GET", "/lasting");
  EXPECT_EQ(peer.answer().body, "what is in the program");
  peer.request("HEAD", "/lasting");
  EXPECT_EQ(peer.answer(true).fields.at("content-length"), "22");
  peer.request("GET", "/lasting", "If-None-Match: \"v1\"\r\n");
  EXPECT_EQ(peer.answer().status, 304);
  peer.request("GET", "/echo");
  EXPECT_EQ(peer.answer().status, 200);
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

TEST(HttpServer, LetsGoOfWhoeverDoesNotTakeTheAnswer) {
  HttpServerOptions options = on_any_port();
  options.idle_timeout = milliseconds(100);
  Served served(options);
  Peer peer(served.server->port(), 4096);
  peer.request("GET", "/big");
  EXPECT_TRUE(served.eventually(
      [](const HttpCounters& now) { return now.requests == 1 && now.open == 0; }));
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

TEST(HttpServer, MakesRoomAtTheCostOfWhoeverDoesNotTakeTheAnswer) {
  HttpServerOptions options = on_any_port();
  options.max_connections = 1;
  Served served(options);
  Peer peer(served.server->port(), 4096);
  peer.request("GET", "/big");
  EXPECT_TRUE(served.eventually([](const HttpCounters& now) { return now.requests == 1; }));
  EXPECT_TRUE(served.serves());
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
  // A descriptor that the server gives back later would be one more than the test counts on.
  ASSERT_TRUE(served.eventually([](const HttpCounters& now) { return now.open == 0; }));
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
                                  "--set ports.http=" + std::to_string(options.port + 10)}) {
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

}  // namespace
}  // namespace nudge
