// The server over TLS, asked over real sockets.
#include "src/ports/tls_context.h"

#include <gtest/gtest.h>

#include "test/ports/served_http.h"
#include "test/ports/tls_call.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

class HttpTlsTest : public testing::Test {
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
  static TlsAnswer say(const Served& served, const std::string& body) {
    return tls_call(served.server->port(), "POST /said HTTP/1.1\r\n" + kSupervisor +
                                               "Content-Length: " + std::to_string(body.size()) +
                                               "\r\n\r\n" + body);
  }

  test::TempFolder folder_;
};

TEST_F(HttpTlsTest, AnswersUnderItsCertificate) {
  const Certificate shown = certificate();
  Served served(encrypted(shown));
  const TlsAnswer answer = say(served, std::string(60'000, 'x'));
  EXPECT_EQ(answer.fingerprint, shown.fingerprint);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "POST /said desk " + std::string(60'000, 'x'));
}

TEST_F(HttpTlsTest, SendsNoTicketsThatNobodyAskedFor) {
  Served served(encrypted(certificate()));
  const TlsAnswer answer = say(served, "");
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.resumable);
}

TEST_F(HttpTlsTest, SendsToTlsWhoSpeaksInClear) {
  Served served(encrypted(certificate()));
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

TEST_F(HttpTlsTest, EndsAHandshakeThatIsSlow) {
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

TEST_F(HttpTlsTest, HearsNobodyBeyondTheRateOfHandshakes) {
  HttpServerOptions options = encrypted(certificate());
  options.handshakes_per_second = 1;
  Served served(options);
  int heard = 0;
  for (int i = 0; i < 5; ++i) {
    heard += say(served, "").status == 200 ? 1 : 0;
  }
  EXPECT_GE(heard, 1);
  EXPECT_EQ(served.counters().failed_handshakes, 5U - static_cast<unsigned>(heard));
}

TEST_F(HttpTlsTest, ShowsTheRenewedCertificate) {
  const Certificate first = certificate();
  Served served(encrypted(first));
  const Certificate next = certificate("moved.local");
  ASSERT_NE(next.fingerprint, first.fingerprint);
  served.on_loop([&] { served.server->renew(*TlsContext::make(next), next.names); });
  const TlsAnswer answer = say(served, "");
  EXPECT_EQ(answer.fingerprint, next.fingerprint);
  EXPECT_EQ(answer.status, 200);
}

}  // namespace
}  // namespace nudge
