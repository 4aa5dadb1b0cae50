// The commands' client and the server over real sockets, in clear and over TLS.
#include "src/ports/http_client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <thread>

#include "src/ports/descriptor.h"
#include "test/ports/served_http.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kPatience = seconds(60);

class HttpClientTest : public testing::Test {
 protected:
  Certificate certificate(const std::string& name = "robot.local") {
    auto folder = open_folder(folder_.path());
    Result<Certificate> made = own_certificate(**folder, {"localhost", "127.0.0.1", name},
                                               WallTime(std::chrono::hours(480'000)));
    EXPECT_TRUE(made.ok()) << made.status().message();
    return *made;
  }
  HttpServerOptions encrypted(const Certificate& certificate) {
    HttpServerOptions options = on_any_port();
    options.tls = *TlsContext::make(certificate);
    options.names = certificate.names;
    return options;
  }
  static LocalDoor door(const Served& served, const std::string& fingerprint = {}) {
    return {"127.0.0.1", served.server->port(), fingerprint};
  }
  static HttpCall echo(const std::string& body) {
    return {.method = "POST", .path = "/said", .token = "supervisor-token", .body = body};
  }

  test::TempFolder folder_;
};

TEST_F(HttpClientTest, AsksInClearOnThisMachine) {
  Served served;
  const Result<HttpAnswer> answer = call(door(served), echo("said"), kPatience);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "POST /said desk said");
  const Result<HttpAnswer> got =
      call(door(served), {.method = "GET", .path = "/said", .token = "", .body = ""}, kPatience);
  EXPECT_EQ(got->status, 401);
}

TEST_F(HttpClientTest, AsksOverTlsTheCertificateThatItKnows) {
  const Certificate shown = certificate();
  Served served(encrypted(shown));
  const Result<HttpAnswer> answer =
      call(door(served, shown.fingerprint), echo(std::string(60'000, 'x')), kPatience);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body.size(), std::string("POST /said desk ").size() + 60'000);
}

TEST_F(HttpClientTest, SaysNothingToAnotherCertificate) {
  Served served(encrypted(certificate()));
  const std::string other(32 * 3 - 1, 'A');
  EXPECT_EQ(call(door(served, other), echo("secret"), kPatience).status().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(served.counters().requests, 0U);
}

TEST_F(HttpClientTest, SaysWhenNobodyAnswers) {
  LocalDoor nobody;
  {
    const Served served;
    nobody = door(served);
  }
  EXPECT_EQ(call(nobody, echo(""), kPatience).status().code(), Code::kUnavailable);
  Served clear;
  EXPECT_EQ(call(door(clear, std::string(95, 'A')), echo(""), kPatience).status().code(),
            Code::kUnavailable);
}

TEST_F(HttpClientTest, SaysThatTheDaemonWentAwayRatherThanEndTheProgram) {
  const Certificate shown = certificate();
  const std::shared_ptr<TlsContext> tls = *TlsContext::make(shown);
  const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  // Its half of the handshake and its end arrive together, so that the client's first write is
  // answered with a reset, and the second has nowhere to go.
  std::thread daemon([&] {
    Descriptor peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const int on = 1;
    ::setsockopt(peer.get(), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    char first = 0;
    ::recv(peer.get(), &first, 1, MSG_PEEK);
    ::fcntl(peer.get(), F_SETFL, O_NONBLOCK);
    SSL* const half = SSL_new(tls->context().native_handle());
    SSL_set_fd(half, peer.get());
    SSL_accept(half);
    SSL_free(half);
  });
  const Result<HttpAnswer> answer =
      call({"127.0.0.1", ntohs(at.sin_port), shown.fingerprint}, echo("x"), kPatience);
  daemon.join();
  EXPECT_EQ(answer.status().code(), Code::kUnavailable) << answer.status().message();
}

TEST_F(HttpClientTest, IsSentToTlsWhenItSpeaksInClear) {
  const Certificate shown = certificate();
  Served served(encrypted(shown));
  Peer peer = served.peer();
  peer.request("GET", "/page?a=b",
               "Host: robot.local:" + std::to_string(served.server->port()) +
                   "\r\nAuthorization: Bearer supervisor-token\r\n");
  const PeerAnswer answer = peer.answer();
  EXPECT_EQ(answer.status, 307);
  EXPECT_EQ(answer.fields.at("location"),
            "https://robot.local:" + std::to_string(served.server->port()) + "/page?a=b");
  EXPECT_TRUE(peer.ends());
  Peer writes = served.peer();
  writes.request("POST", "/echo", kSupervisor, "x");
  EXPECT_EQ(writes.answer().status, 403);
  EXPECT_EQ(served.counters().requests, 0U);
}

TEST_F(HttpClientTest, LosesItsConnectionWhenItsHandshakeIsSlow) {
  HttpServerOptions options = encrypted(certificate());
  options.handshake_timeout = milliseconds(200);
  Served served(options);
  Peer silent = served.peer();
  Peer halting = served.peer();
  halting.send(std::string("\x16\x03\x01\x02\x00", 5));
  EXPECT_TRUE(silent.ends());
  EXPECT_TRUE(halting.ends());
  EXPECT_TRUE(served.eventually([](const HttpCounters& now) { return now.open == 0; }));
  EXPECT_EQ(served.counters().failed_handshakes, 2U);
}

TEST_F(HttpClientTest, IsNotHeardBeyondTheRateOfHandshakes) {
  const Certificate shown = certificate();
  HttpServerOptions options = encrypted(shown);
  options.handshakes_per_second = 1;
  Served served(options);
  int heard = 0;
  for (int i = 0; i < 5; ++i) {
    heard += call(door(served, shown.fingerprint), echo(""), kPatience).ok() ? 1 : 0;
  }
  EXPECT_GE(heard, 1);
  EXPECT_EQ(served.counters().failed_handshakes, 5U - static_cast<unsigned>(heard));
}

TEST_F(HttpClientTest, SeesTheRenewedCertificate) {
  const Certificate first = certificate();
  Served served(encrypted(first));
  const Certificate next = certificate("moved.local");
  ASSERT_NE(next.fingerprint, first.fingerprint);
  served.on_loop([&] { served.server->renew(*TlsContext::make(next), next.names); });
  EXPECT_TRUE(call(door(served, next.fingerprint), echo(""), kPatience).ok());
  EXPECT_EQ(call(door(served, first.fingerprint), echo(""), kPatience).status().code(),
            Code::kPermissionDenied);
}

}  // namespace
}  // namespace nudge
