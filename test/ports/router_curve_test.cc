// The socket with CURVE: against libzmq's own client, and against peers that do it wrong.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "src/client/dealer.h"
#include "src/loop/clock.h"
#include "src/ports/router.h"
#include "test/support/curve_peer.h"
#include "test/support/loop_thread.h"
#include "test/support/raw_tcp.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::CurvePeer;
using test::eventually;
using test::RawTcp;

class RouterCurveTest : public ::testing::Test {
 protected:
  void SetUp() override { allowed[to_z85(arm.public_key())] = {"arm", Role::kSupervisor}; }
  void TearDown() override {
    host.on_loop([&] { router.reset(); });
  }
  void open(RouterOptions options = {}) {
    options.max_message = 100'000;
    if (options.beat == RouterOptions().beat) options.beat = seconds(60);
    options.curve = server;
    options.admits = [this](const CurveKey& key) -> std::optional<Actor> {
      const auto found = allowed.find(to_z85(key));
      return found == allowed.end() ? std::nullopt : std::optional(found->second);
    };
    host.on_loop([&] {
      auto opened = Router::listen(
          host.loop, options, [this](const std::string& peer, std::span<const std::byte> body) {
            heard.emplace_back(reinterpret_cast<const char*>(body.data()), body.size());
            who = router->whose(peer);
            (void)router->send(peer, body);
          });
      ASSERT_TRUE(opened.ok()) << opened.status().message();
      router = *std::move(opened);
      number = router->port();
    });
  }
  RouterCounters counters() {
    return host.on_loop([&] { return router->counters(); });
  }
  std::size_t count() {
    return host.on_loop([&] { return heard.size(); });
  }
  std::string key_file(const CurveIdentity& identity, const std::string& name) {
    const std::string path = folder / name;
    std::ofstream(path) << "nudge-curve-key-1 " << to_z85(identity.public_key()) << ' '
                        << to_z85(identity.secret_key()) << '\n';
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    return path;
  }
  Status connect(Dealer& dealer, const CurveIdentity& identity, const CurveIdentity& to) {
    return dealer.connect("tcp://127.0.0.1:" + std::to_string(number), 100'000,
                          {to_z85(to.public_key()), key_file(identity, "pair")});
  }
  // Whether the echo of `text` comes back.
  static bool echoed(Dealer& dealer, const std::string& text, milliseconds patience) {
    const Instant end = steady_now() + patience;
    while (steady_now() < end) {
      (void)dealer.send(std::as_bytes(std::span(text)));
      dealer.wait(milliseconds(50));
      while (const auto got = dealer.receive()) {
        if (std::string(reinterpret_cast<const char*>(got->data()), got->size()) == text) {
          return true;
        }
      }
    }
    return false;
  }
  // A raw peer that has come as far as READY; its first message may follow.
  void greet(RawTcp& raw, CurvePeer& peer, const CurveIdentity& identity) {
    raw.send(CurvePeer::greeting() + CurvePeer::frame(peer.hello()));
    const std::string answer = raw.receive_until("\x07WELCOME");
    const std::size_t at = answer.find("\x07WELCOME");
    ASSERT_NE(at, std::string::npos);
    ASSERT_EQ(answer.size(), at + 168);  // loopback gives it whole
    ASSERT_TRUE(peer.take_welcome(answer.substr(at)));
    raw.send(CurvePeer::frame(peer.initiate(identity)));
  }

  test::TempFolder folder;
  std::shared_ptr<const CurveIdentity> server =
      std::make_shared<const CurveIdentity>(CurveIdentity::make());
  CurveIdentity arm = CurveIdentity::make();
  std::map<std::string, Actor> allowed;  // changed while nobody connects, or on the loop
  test::LoopThread host;
  std::unique_ptr<Router> router;
  std::vector<std::string> heard;
  std::optional<Actor> who;
  std::uint16_t number = 0;
};

TEST_F(RouterCurveTest, ServesAClientOfLibzmqWhoseKeyIsKnown) {
  open({.beat = milliseconds(250)});
  Dealer dealer;
  ASSERT_TRUE(connect(dealer, arm, *server).ok());
  EXPECT_TRUE(echoed(dealer, "hello", seconds(20)));
  EXPECT_TRUE(echoed(dealer, std::string(90'000, 'x'), seconds(20)));
  host.on_loop([&] { EXPECT_EQ(who, (Actor{"arm", Role::kSupervisor})); });
  // Heartbeats pass in both directions, encrypted, and keep it connected.
  const Instant end = steady_now() + seconds(3);
  while (steady_now() < end) dealer.wait(milliseconds(100));
  EXPECT_EQ(counters().accepted, 1u);
  EXPECT_EQ(counters().cut_bad, 0u);
}

TEST_F(RouterCurveTest, KeepsOutAKeyThatNobodyAdded) {
  open();
  Dealer dealer;
  ASSERT_TRUE(connect(dealer, CurveIdentity::make(), *server).ok());
  EXPECT_FALSE(echoed(dealer, "hello", milliseconds(500)));
  EXPECT_TRUE(eventually([&] { return counters().cut_key > 0; }));
  EXPECT_EQ(count(), 0u);
}

TEST_F(RouterCurveTest, IsNotTakenForAnotherDaemon) {
  open();
  Dealer dealer;
  ASSERT_TRUE(connect(dealer, arm, CurveIdentity::make()).ok());
  EXPECT_FALSE(echoed(dealer, "hello", milliseconds(500)));
  EXPECT_TRUE(eventually([&] { return counters().cut_bad > 0; }));
}

TEST_F(RouterCurveTest, EndsTheConnectionsOfAKeyThatIsRevokedAndTakesItBackWhenItIsAdded) {
  open();
  Dealer dealer;
  ASSERT_TRUE(connect(dealer, arm, *server).ok());
  ASSERT_TRUE(echoed(dealer, "hello", seconds(20)));
  host.on_loop([&] {
    allowed.clear();
    router->recheck();
  });
  EXPECT_EQ(counters().open, 0u);
  EXPECT_FALSE(echoed(dealer, "again", milliseconds(500)));
  host.on_loop([&] { allowed[to_z85(arm.public_key())] = {"arm", Role::kSupervisor}; });
  EXPECT_TRUE(echoed(dealer, "and again", seconds(20)));
}

TEST_F(RouterCurveTest, AKeyThatIsSomebodyElsesNowMustConnectAnew) {
  open();
  Dealer dealer;
  ASSERT_TRUE(connect(dealer, arm, *server).ok());
  ASSERT_TRUE(echoed(dealer, "hello", seconds(20)));
  host.on_loop([&] {
    allowed[to_z85(arm.public_key())] = {"arm", Role::kViewer};
    router->recheck();
    EXPECT_EQ(router->counters().open, 0u);
  });
}

TEST_F(RouterCurveTest, WhoeverSpeaksInTheClearIsCutOff) {
  open();
  RawTcp raw(number);
  raw.send(RawTcp::greeting() + RawTcp::ready() + std::string("\0\2hi", 4));
  EXPECT_TRUE(raw.closed_within(seconds(10)));
  EXPECT_EQ(count(), 0u);
}

TEST_F(RouterCurveTest, AClearFrameBehindTheHandshakeCutsItsSenderOff) {
  open();
  RawTcp raw(number);
  CurvePeer peer(server->public_key());
  greet(raw, peer, arm);
  raw.send(CurvePeer::frame(peer.message("good"), false));
  ASSERT_TRUE(eventually([&] { return count() == 1; }));
  raw.send(std::string("\0\2hi", 4));
  EXPECT_TRUE(raw.closed_within(seconds(10)));
  EXPECT_EQ(count(), 1u);
}

TEST_F(RouterCurveTest, AMessageThatIsSentTwiceCutsItsSenderOff) {
  open();
  RawTcp raw(number);
  CurvePeer peer(server->public_key());
  greet(raw, peer, arm);
  const std::string message = CurvePeer::frame(peer.message("move"), false);
  raw.send(message + message);
  EXPECT_TRUE(raw.closed_within(seconds(10)));
  EXPECT_EQ(count(), 1u);
}

TEST_F(RouterCurveTest, AHandshakeThatStopsHalfWayEnds) {
  open({.beat = milliseconds(20)});
  RawTcp raw(number);
  CurvePeer peer(server->public_key());
  raw.send(CurvePeer::greeting() + CurvePeer::frame(peer.hello()));
  EXPECT_TRUE(raw.closed_within(seconds(10)));
  EXPECT_EQ(counters().cut_silent, 1u);
}

TEST_F(RouterCurveTest, HandshakesAreBoundedByTheirCost) {
  open({.handshakes_per_second = 5});
  std::vector<std::unique_ptr<RawTcp>> all;
  for (int i = 0; i < 20; ++i) {
    CurvePeer peer(server->public_key());
    all.push_back(std::make_unique<RawTcp>(number));
    all.back()->send(CurvePeer::greeting() + CurvePeer::frame(peer.hello()));
  }
  EXPECT_TRUE(eventually([&] { return counters().refused >= 5; }));
}

TEST_F(RouterCurveTest, BeyondThisMachineItListensWithCurveOnly) {
  RouterOptions options{.address = "0.0.0.0", .port = 0, .max_message = 1000};
  host.on_loop([&] {
    const auto clear = Router::listen(host.loop, options, [](const auto&, auto) {});
    EXPECT_EQ(clear.status().code(), Code::kInvalidArgument);
    options.curve = server;
    options.admits = [](const CurveKey&) { return std::nullopt; };
    EXPECT_TRUE(Router::listen(host.loop, options, [](const auto&, auto) {}).ok());
  });
}

TEST(DealerKeys, MustBeTheirOwnersAlone) {
  test::TempFolder folder;
  const CurveIdentity identity = CurveIdentity::make();
  const std::string path = folder / "pair";
  std::ofstream(path) << "nudge-curve-key-1 " << to_z85(identity.public_key()) << ' '
                      << to_z85(identity.secret_key()) << '\n';
  const std::string server = to_z85(identity.public_key());
  std::filesystem::permissions(path, std::filesystem::perms(0640));
  const std::string far = "tcp://192.0.2.1:5571";
  EXPECT_EQ(Dealer().connect(far, 1000, {server, path}).code(), Code::kPermissionDenied);
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  EXPECT_TRUE(Dealer().connect(far, 1000, {server, path}).ok());
  EXPECT_EQ(Dealer().connect(far, 1000, {"short", path}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Dealer().connect(far, 1000, {server, folder / "none"}).code(), Code::kNotFound);
  EXPECT_EQ(Dealer().connect(far, 1000, {}).code(), Code::kInvalidArgument);
  std::ofstream(path) << "something else\n";
  EXPECT_EQ(Dealer().connect(far, 1000, {server, path}).code(), Code::kDataLoss);
}

}  // namespace
}  // namespace nudge
