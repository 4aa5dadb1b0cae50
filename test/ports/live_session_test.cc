#include <gtest/gtest.h>

#include "test/ports/served_http.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

TEST(LiveSession, OpensLiveConnectionsForWhoeverHasAToken) {
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

TEST(LiveSession, RefusesUpgradesThatBreakTheRules) {
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

TEST(LiveSession, RefusesLiveConnectionsBeyondTheBound) {
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

TEST(LiveSession, TakesThePlaceOfThePeerThatVanished) {
  HttpServerOptions options = on_any_port();
  options.max_live = 2;
  options.live_timeout = milliseconds(3'000);
  Served served(options);
  Peer vanished = served.live("/api/v1/live?name=vanished");
  Peer awake = served.live("/api/v1/live?name=awake");
  // Its network is gone: nothing comes, and no end either. Two thirds of the time are long for
  // that.
  const auto end = std::chrono::steady_clock::now() + milliseconds(2'200);
  while (std::chrono::steady_clock::now() < end) {
    if (awake.readable(20)) awake.send(Peer::frame(10, awake.next_frame().payload));
    awake.send(Peer::frame(9, "here"));
  }
  Peer third = served.peer();
  EXPECT_EQ(third.upgrade("/api/v1/live", "Authorization: Bearer viewer-token\r\n").status, 101);
  // On a machine that is busy beyond measure its time is over by itself.
  const int code = vanished.closing_code();
  EXPECT_TRUE(code == 1013 || code == 0) << code;
  Peer fourth = served.peer();
  EXPECT_EQ(fourth.upgrade("/api/v1/live", kSupervisor).status, 101);  // of the viewer
}

TEST(LiveSession, GivesTheViewersPlaceToASupervisorAndNotTheOtherWayRound) {
  HttpServerOptions options = on_any_port();
  options.max_live = 2;
  Served served(options);
  const std::string viewer = "Authorization: Bearer viewer-token\r\n";
  Peer wall = served.peer();
  ASSERT_EQ(wall.upgrade("/api/v1/live", viewer).status, 101);
  Peer first = served.live();
  EXPECT_EQ(served.handler.next().substr(0, 5), "open ");
  Peer other = served.peer();
  EXPECT_EQ(other.upgrade("/api/v1/live", viewer).status, 503);
  Peer second = served.peer();
  EXPECT_EQ(second.upgrade("/api/v1/live", kSupervisor).status, 101);
  EXPECT_EQ(wall.closing_code(), 1013);
  Peer third = served.peer();
  EXPECT_EQ(third.upgrade("/api/v1/live", kSupervisor).status, 503);
}

TEST(LiveSession, CarriesTextBothWaysInOrder) {
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

TEST(LiveSession, SpeaksFirst) {
  Served served;
  served.handler.on_open_too = [&](ConnectionId connection) {
    served.server->send(connection, "hello");
  };
  Peer live = served.live();
  EXPECT_EQ(live.next_message().payload, "hello");
}

TEST(LiveSession, SendsTextBeforeFramesAndTheNewestFrameOfEachChannel) {
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

TEST(LiveSession, AnswersPingsWhileAnAnswerIsAwaited) {
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

TEST(LiveSession, TellsTheHandlerOnceHoweverAConnectionEnds) {
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

TEST(LiveSession, SendsWhatWaitsBeforeItCloses) {
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

TEST(LiveSession, HandsOverNothingAfterItHasClosed) {
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

TEST(LiveSession, ClosesOnMessagesBeyondTheBound) {
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
  pieces.hang_up();
  EXPECT_EQ(served.handler.next(), "close 4");
  EXPECT_EQ(served.counters().closed_bad, 3U);
}

TEST(LiveSession, ClosesOnWhatIsNoText) {
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
  garbage.hang_up();
  EXPECT_EQ(served.handler.next(), "close 4");
  EXPECT_EQ(served.counters().messages, 0U);
  EXPECT_EQ(served.counters().closed_bad, 4U);
}

TEST(LiveSession, ClosesWhereMessagesComeTooFastButTakesEachStop) {
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

TEST(LiveSession, CountsPingsAsMessages) {
  HttpServerOptions options = on_any_port();
  options.messages_per_second = 5;
  Served served(options);
  Peer live = served.live();
  for (int i = 0; i < 50; ++i) live.send(Peer::frame(9, ""));
  EXPECT_EQ(live.closing_code(), 1008);
  EXPECT_EQ(served.handler.next(), "close 1");
}

TEST(LiveSession, DropsWhatAReaderThatNeverReadsLeavesWaiting) {
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

TEST(LiveSession, LetsGoOfWhoeverDoesNotReadEvenTheGoodbye) {
  Served served;
  const Peer deaf = served.live("/api/v1/live", 4096);
  while (served.on_loop([&] { return served.server->send(1, std::string(65536, 'x')); })) {
  }
  EXPECT_EQ(served.handler.next(), "close 1");
  EXPECT_TRUE(served.eventually([](const HttpCounters& now) { return now.open == 0; }));
}

TEST(LiveSession, BoundsManyEmptyTextsToo) {
  Served served;
  const Peer live = served.live();
  const std::size_t taken = served.on_loop([&] {
    std::size_t count = 0;
    while (served.server->send(1, "")) ++count;
    return count;
  });
  EXPECT_LE(taken, (1u << 20) / 32);
}

TEST(LiveSession, KeepsConnectionsThatAnswerPingsAndDropsOthers) {
  HttpServerOptions options = on_any_port();
  options.live_timeout = milliseconds(200);
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

TEST(LiveSession, ClosesAConnectionOnWhoseMessageTheHandlerFails) {
  Served served;
  Peer live = served.live();
  live.send_text("throw");
  EXPECT_EQ(live.closing_code(), 1011);
  EXPECT_EQ(served.handler.next(), "close 1");
  EXPECT_TRUE(served.serves());
}

}  // namespace
}  // namespace nudge
