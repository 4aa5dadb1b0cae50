// The socket under the robot's and the teleop port, against peers that do what they like. That it
// serves libzmq is seen there.
#include "src/ports/router.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "test/support/loop_thread.h"
#include "test/support/raw_tcp.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::eventually;
using test::RawTcp;

const std::string kBegin = RawTcp::greeting() + RawTcp::ready();
const std::string kPing("\4\7\4PING\0\0", 9);

std::string message(const std::string& body) {
  return std::string{'\0', static_cast<char>(body.size())} + body;
}

class RouterTest : public ::testing::Test {
 protected:
  void TearDown() override {
    host.on_loop([&] { router.reset(); });
  }
  void open(RouterOptions options = {}) {
    if (options.max_message == 0) options.max_message = 1000;
    // A test that takes its time must not look like peers that do, where that is not the matter.
    if (options.beat == RouterOptions().beat) options.beat = seconds(60);
    host.on_loop([&] {
      auto opened = Router::listen(
          host.loop, options, [this](const std::string& peer, std::span<const std::byte> body) {
            heard.emplace_back(reinterpret_cast<const char*>(body.data()), body.size());
            last_peer = peer;
            if (echo) (void)router->send(peer, body);
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
  bool hears(RawTcp& peer, const std::string& text) {
    peer.send(message(text));
    return eventually(
        [&] { return host.on_loop([&] { return !heard.empty() && heard.back() == text; }); });
  }

  test::LoopThread host;
  std::unique_ptr<Router> router;
  std::vector<std::string> heard;
  std::string last_peer;
  bool echo = false;
  std::uint16_t number = 0;
};

TEST_F(RouterTest, MessagesArriveOnceAndInOrderHoweverTheyAreCut) {
  open();
  RawTcp peer(number);
  std::string text = kBegin;
  for (int i = 0; i < 50; ++i) text += message(std::to_string(i));
  for (std::size_t at = 0; at < text.size(); at += 3) peer.send(text.substr(at, 3));
  ASSERT_TRUE(eventually([&] { return count() == 50; }));
  host.on_loop([&] {
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(heard[i], std::to_string(i));
  });
}

TEST_F(RouterTest, AnswersGoToThePeerThatAsked) {
  open();
  echo = true;
  RawTcp peer(number), other(number);
  other.send(kBegin);
  peer.send(kBegin + message("hello"));
  EXPECT_NE(peer.receive_until(message("hello")), "");
  EXPECT_EQ(other.receive_until(message("hello"), milliseconds(50)), "");
}

TEST_F(RouterTest, PingsAreAnsweredWithTheirContext) {
  open();
  RawTcp peer(number);
  peer.send(kBegin + std::string("\4\x0a\4PING\0\0abc", 12));
  EXPECT_NE(peer.receive_until(std::string("\4\x08\4PONGabc")), "");
}

TEST_F(RouterTest, ALongFrameCutsItsSenderOffBeforeItArrives) {
  open();
  RawTcp peer(number), good(number);
  good.send(kBegin);
  peer.send(kBegin + RawTcp::announce(1001));
  EXPECT_TRUE(peer.closed_within(seconds(10)));
  EXPECT_EQ(counters().cut_bad, 1u);
  EXPECT_TRUE(hears(good, "still there"));
}

TEST_F(RouterTest, MessagesOfManyPartsAndEmptyOnesAreCountedAndDropped) {
  open();
  RawTcp peer(number);
  peer.send(kBegin + std::string("\1\1a\0\1b", 6) + message(""));
  EXPECT_TRUE(hears(peer, "whole"));
  EXPECT_EQ(counters().malformed, 2u);
  EXPECT_EQ(count(), 1u);
}

TEST_F(RouterTest, MoreFramesThanAllowedCutTheirSenderOffWhateverTheyAre) {
  open({.frames_per_second = 100});
  RawTcp good(number);
  good.send(kBegin);
  std::uint64_t cut = 0;
  for (const std::string& kind : {message("x"), kPing}) {
    RawTcp peer(number);
    std::string flood = kBegin;
    for (int i = 0; i < 1000; ++i) flood += kind;
    peer.send(flood);
    EXPECT_TRUE(peer.closed_within(seconds(10)));
    EXPECT_EQ(counters().cut_rate, ++cut);
  }
  EXPECT_LE(count(), 101u);
  EXPECT_TRUE(hears(good, "served"));
}

TEST_F(RouterTest, AGreetingThatIsNotFinishedInTimeIsNotWaitedFor) {
  open({.beat = milliseconds(10)});
  RawTcp silent(number), half(number), greeted(number);
  half.send(RawTcp::greeting().substr(0, 40));
  greeted.send(RawTcp::greeting());
  for (RawTcp* peer : {&silent, &half, &greeted}) EXPECT_TRUE(peer->closed_within(seconds(10)));
  EXPECT_EQ(counters().cut_silent, 3u);
  EXPECT_EQ(counters().open, 0u);
}

TEST_F(RouterTest, APeerWithoutASignOfLifeIsCutOffAndOneThatAnswersIsNot) {
  open({.beat = milliseconds(20)});
  RawTcp silent(number), alive(number);
  silent.send(kBegin);
  alive.send(kBegin);
  EXPECT_TRUE(eventually([&] {
    alive.send(kPing);
    return counters().cut_silent == 1;
  }));
  EXPECT_TRUE(silent.closed_within(seconds(10)));
  EXPECT_TRUE(hears(alive, "there"));
}

TEST_F(RouterTest, ALoopThatWasStoppedDoesNotTakeItsPeersForSilent) {
  open({.beat = milliseconds(100)});
  RawTcp peer(number);
  peer.send(kBegin + message("before"));
  ASSERT_TRUE(eventually([&] { return count() == 1; }));
  host.on_loop([] { std::this_thread::sleep_for(milliseconds(1000)); });
  EXPECT_TRUE(hears(peer, "after"));
  EXPECT_EQ(counters().cut_silent, 0u);
}

TEST_F(RouterTest, ANewConnectionTakesThePlaceOfOneThatNeverSpoke) {
  open({.max_connections = 4});
  RawTcp first(number);
  first.send(kBegin);
  ASSERT_TRUE(hears(first, "I speak"));
  std::vector<RawTcp> silent;
  for (int i = 0; i < 20; ++i) silent.emplace_back(number);
  EXPECT_TRUE(eventually([&] { return counters().evicted == 17; }));
  EXPECT_EQ(counters().open, 4u);
  EXPECT_TRUE(silent[0].closed_within(seconds(10)));
  EXPECT_TRUE(hears(first, "still here"));
}

TEST_F(RouterTest, WhereAllSpeakANewConnectionIsRefused) {
  open({.max_connections = 2, .spare = seconds(60)});
  RawTcp first(number), second(number);
  first.send(kBegin);
  second.send(kBegin);
  ASSERT_TRUE(hears(first, "one"));
  ASSERT_TRUE(hears(second, "two"));
  RawTcp third(number);
  EXPECT_TRUE(third.closed_within(seconds(10)));
  EXPECT_EQ(counters().refused, 1u);
}

TEST_F(RouterTest, UnfinishedMessagesHaveLittleRoomAndTheSlowestMakesRoom) {
  open({.max_message = 1u << 20, .max_unfinished = 1u << 20});
  const std::string half = kBegin + RawTcp::announce(1u << 20) + std::string(600'000, 'x');
  RawTcp slow(number), next(number), good(number);
  slow.send(half);
  ASSERT_TRUE(eventually([&] { return counters().unfinished > 0; }));
  next.send(half);
  EXPECT_TRUE(slow.closed_within(seconds(10)));
  EXPECT_EQ(counters().cut_slow, 1u);
  good.send(kBegin);
  EXPECT_TRUE(hears(good, "served"));
}

TEST_F(RouterTest, WhatAPeerDoesNotReadIsNotSentAndNotKept) {
  open({.send_queue = 2});
  RawTcp peer(number);
  peer.send(kBegin);
  ASSERT_TRUE(hears(peer, "here"));
  const std::vector<std::byte> large(30'000);
  const auto send = [&] { return host.on_loop([&] { return router->send(last_peer, large); }); };
  const auto fills_up = [&] {
    for (int i = 0; i < 10'000; ++i) {
      if (send() == Router::Sent::kFull) return true;
    }
    return false;
  };
  EXPECT_TRUE(fills_up());
  // It may ask as often as it likes: one answer waits.
  for (int i = 0; i < 300; ++i) peer.send(kPing);
  EXPECT_TRUE(hears(peer, "I do not read"));
  EXPECT_TRUE(fills_up());
  // What it was promised comes whole, once it reads.
  EXPECT_NE(peer.receive_until(std::string("\4\5\4PONG")), "");
  EXPECT_TRUE(eventually([&] { return send() == Router::Sent::kYes; }));
}

TEST_F(RouterTest, APeerThatHasGoneIsToldApart) {
  open();
  std::optional<RawTcp> peer(number);
  peer->send(kBegin);
  ASSERT_TRUE(hears(*peer, "here"));
  const std::string name = host.on_loop([&] { return last_peer; });
  peer.reset();
  EXPECT_TRUE(eventually([&] { return counters().open == 0; }));
  EXPECT_EQ(host.on_loop([&] { return router->send(name, std::vector<std::byte>(3)); }),
            Router::Sent::kGone);
}

TEST_F(RouterTest, ClosingEndsTheConnections) {
  open();
  RawTcp peer(number);
  peer.send(kBegin);
  ASSERT_TRUE(hears(peer, "here"));
  host.on_loop([&] { router.reset(); });
  EXPECT_TRUE(peer.closed_within(seconds(10)));
  open();
}

// Many tiny messages and heartbeats, then a reset: libzmq's ROUTER aborted the process at that.
TEST_F(RouterTest, FloodsThatBreakOffCostNothingButTheirConnections) {
  open({.frames_per_second = 1e9});
  echo = true;
  std::string flood;
  for (int i = 0; i < 1500; ++i) flood += message("x");
  for (int i = 0; i < 300; ++i) flood += kPing;
  for (int i = 0; i < 100; ++i) {
    RawTcp peer(number);
    peer.send(kBegin);
    for (int j = 0; j < 10; ++j) peer.send_some(flood);
    peer.reset();
  }
  RawTcp good(number);
  good.send(kBegin);
  EXPECT_TRUE(hears(good, "served"));
  EXPECT_TRUE(eventually([&] { return counters().open == 1; }));
}

}  // namespace
}  // namespace nudge
