// The port against the real client, and against peers that misbehave.
#include "src/ports/teleop_port.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <zmq.hpp>

#include "src/client/teleop_client.h"
#include "src/loop/clock.h"
#include "test/support/loop_thread.h"
#include "test/support/recording_robot.h"
#include "test/support/teleop_desk.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::eventually;

class TeleopPortTest : public ::testing::Test {
 protected:
  void TearDown() override { close(); }
  void open(TeleopPortOptions options = {}) {
    if (options.port == kDefaultTeleopPort) options.port = 0;
    host.on_loop([&] {
      auto opened = TeleopPort::listen(
          host.loop, options,
          [](std::string_view token) -> std::optional<Actor> {
            if (token == "script") return Actor{"script", Role::kScript};
            if (token == "viewer") return Actor{"viewer", Role::kViewer};
            if (token == "anna") return Actor{"anna", Role::kSupervisor};
            return std::nullopt;
          },
          desk);
      ASSERT_TRUE(opened.ok()) << opened.status().message();
      port = *std::move(opened);
      number = port->port();
      // The step thread's part: a tick every 5 ms.
      ticking = host.loop.every(milliseconds(5), [this] {
        ++desk.now.tick;
        desk.now.now = steady_now();
      });
    });
  }
  void close() {
    host.on_loop([&] {
      ticking.reset();
      port.reset();
    });
  }
  TeleopClientOptions options(std::string token = "anna", std::string name = "leader") {
    TeleopClientOptions options;
    options.endpoint = "tcp://127.0.0.1:" + std::to_string(number);
    options.name = std::move(name);
    options.token = std::move(token);
    options.robot = "arm";
    return options;
  }
  std::unique_ptr<TeleopClient> connect(std::string token = "anna", std::string name = "leader") {
    auto client = TeleopClient::connect(options(std::move(token), std::move(name)));
    EXPECT_TRUE(client.ok()) << client.status().message();
    return client.ok() ? *std::move(client) : nullptr;
  }
  TeleopPortCounters counters() {
    return host.on_loop([&] { return port->counters(); });
  }
  std::size_t messages() {
    return host.on_loop([&] { return desk.messages.size(); });
  }
  static FeedbackMessage feedback(std::string id, FeedbackBody body) {
    return {std::move(id), {}, std::move(body)};
  }

  test::TeleopDesk desk{test::small_spec()};
  test::LoopThread host;
  std::unique_ptr<TeleopPort> port;
  std::shared_ptr<void> ticking;
  std::uint16_t number = 0;
};

// A peer that says whatever a test wants.
class RawPeer {
 public:
  explicit RawPeer(std::uint16_t port, int receive_queue = 1000) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvhwm, receive_queue);
    socket_.connect("tcp://127.0.0.1:" + std::to_string(port));
  }
  void send(const WireBytes& bytes) {
    socket_.send(zmq::buffer(bytes.data(), bytes.size()), zmq::send_flags::none);
  }
  void send(const TeleopMessage& message, std::uint32_t session) {
    WireBytes bytes;
    ASSERT_TRUE(encode(message, session, bytes).ok());
    send(bytes);
  }
  template <typename Kind>
  std::optional<Framed<Kind>> next(Duration patience = seconds(10)) {
    socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(patience / milliseconds(1)));
    zmq::message_t message;
    while (socket_.recv(message)) {
      auto framed = decode_teleop_reply({message.data<std::byte>(), message.size()});
      if (framed.ok() && std::holds_alternative<Kind>(framed->message)) {
        return Framed<Kind>{framed->session, std::get<Kind>(framed->message)};
      }
    }
    return std::nullopt;
  }
  std::uint32_t hello(std::string instance, std::string name = "raw") {
    TeleopHello hello;
    hello.program = "test";
    hello.instance = std::move(instance);
    hello.name = std::move(name);
    hello.token = "anna";
    hello.robot = "arm";
    send(hello, 0);
    const auto welcome = next<TeleopWelcome>();
    return welcome ? welcome->session : 0;
  }
  zmq::socket_t& socket() { return socket_; }

 private:
  zmq::context_t context_{1};
  zmq::socket_t socket_{context_, zmq::socket_type::dealer};
};

TEST_F(TeleopPortTest, AWelcomeSaysWhoOneIsAndWhatTheRobotTakes) {
  open();
  const auto client = connect("script", "demo");
  ASSERT_NE(client, nullptr);
  const TeleopWelcome& welcome = client->welcome();
  EXPECT_EQ(welcome.name, "demo#t1");
  EXPECT_EQ(welcome.role, Role::kScript);
  EXPECT_EQ(welcome.robot, "arm");
  EXPECT_EQ(welcome.action_size, 2);
  EXPECT_EQ(welcome.control_period, milliseconds(5));
  EXPECT_EQ(welcome.fresh, milliseconds(200));
}

TEST_F(TeleopPortTest, StatesShowTheNewestSnapshot) {
  open();
  host.on_loop([&] {
    desk.now.state = AuthorityState::kHuman;
    desk.now.source = ControlSource::kHuman;
    desk.now.lease = {4, Actor{"leader#t1", Role::kSupervisor}};
    desk.now.episode = 9;
    desk.now.policy_step = 31;
    desk.now.playing = 6;
    desk.now.observation.success = true;
    desk.now.observation.proprioception = {0.5f, 0.25f};
    desk.now.observation.object_state = {0.125f};
    return 0;
  });
  const auto client = connect();
  const auto state = client->receive(seconds(10));
  ASSERT_TRUE(state.has_value());
  EXPECT_GT(state->tick, 0u);
  EXPECT_EQ(state->state, AuthorityState::kHuman);
  EXPECT_TRUE(state->mine);
  EXPECT_EQ(state->holder, "leader#t1");
  EXPECT_EQ(state->epoch, 4u);
  EXPECT_EQ(state->episode, 9u);
  EXPECT_EQ(state->policy_step, 31u);
  EXPECT_EQ(state->playing, 6u);
  EXPECT_TRUE(state->success);
  EXPECT_TRUE(state->recording);
  EXPECT_EQ(state->proprioception, (std::vector<float>{0.5f, 0.25f}));
  EXPECT_EQ(state->object_state, std::vector<float>{0.125f});
  const auto later = client->receive(seconds(10));
  ASSERT_TRUE(later.has_value());
  EXPECT_GT(later->tick, state->tick);

  const auto other = connect("viewer", "looker");
  const auto seen = other->receive(seconds(10));
  ASSERT_TRUE(seen.has_value());
  EXPECT_FALSE(seen->mine);
}

TEST_F(TeleopPortTest, StatesComeAsOftenAsWasAsked) {
  open();
  auto asked = options();
  asked.every = 10;
  auto client = TeleopClient::connect(asked);
  ASSERT_TRUE(client.ok());
  ControlTick last = 0;
  for (int i = 0; i < 4; ++i) {
    const auto state = (*client)->receive(seconds(10));
    ASSERT_TRUE(state.has_value());
    EXPECT_GE(state->tick, last + 10);
    last = state->tick;
  }
}

TEST_F(TeleopPortTest, JogsReachTheDeskAsTheyAreUnderTheNameOfTheConnection) {
  open();
  const auto client = connect();
  ASSERT_TRUE(client->send_jog({"arm", 4, 17, 99, true, {0.5f, -0.5f}, {0.25f, -1}}).ok());
  ASSERT_TRUE(eventually([&] { return messages() == 1; }));
  const FeedbackMessage message = host.on_loop([&] { return desk.messages[0]; });
  EXPECT_EQ(message.actor, (Actor{"leader#t1", Role::kSupervisor}));
  const auto& jog = std::get<JogCommand>(message.body);
  EXPECT_EQ(jog.robot, "arm");
  EXPECT_EQ(jog.epoch, 4u);
  EXPECT_EQ(jog.sequence, 17u);
  EXPECT_EQ(jog.echoed_tick, 99u);
  EXPECT_TRUE(jog.dead_man);
  EXPECT_EQ(jog.action, (Action{0.5f, -0.5f}));
  EXPECT_EQ(jog.leader, (std::vector<float>{0.25f, -1})) << "the joints of a leader arm";
}

TEST_F(TeleopPortTest, FeedbackIsAnsweredByAnAckWithItsId) {
  open();
  host.on_loop([&] { desk.answer_at_once = false; });
  const auto client = connect();
  ASSERT_TRUE(client->send_feedback(feedback("id-1", TakeoverRequest{})).ok());
  ASSERT_TRUE(eventually([&] { return messages() == 1; }));
  EXPECT_TRUE(client->take_acks().empty());
  host.on_loop([&] { desk.waiting[0](Ack{"id-1", {}, "yours", 5, {}}); });
  std::vector<Ack> acks;
  ASSERT_TRUE(eventually([&] {
    acks = client->take_acks();
    return !acks.empty();
  }));
  EXPECT_EQ(acks[0], (Ack{"id-1", {}, "yours", 5, {}}));
}

TEST_F(TeleopPortTest, FeedbackThatCannotBeReadIsRefusedWithAReason) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  for (const char* text : {"", "{}", "[1", R"({"type": "dance", "id": "x"})"}) {
    peer.send(TeleopFeedback{text}, session);
    const auto ack = peer.next<Ack>();
    ASSERT_TRUE(ack.has_value()) << text;
    EXPECT_EQ(ack->message.status.code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(messages(), 0u);
}

TEST_F(TeleopPortTest, CommandsAsTextAreRefused) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  peer.send(TeleopFeedback{R"({"type": "jog", "epoch": 1, "sequence": 1, "tick": 1,
                               "dead_man": true, "action": [1, 1]})"},
            session);
  EXPECT_TRUE(eventually([&] { return counters().bad_messages == 1; }));
  EXPECT_EQ(messages(), 0u);
}

TEST_F(TeleopPortTest, ADeviceThatAsksToDriveIsToldToTakeOver) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  peer.send(TeleopFeedback{R"({"type": "ask_to_drive", "id": "a-1"})"}, session);
  const auto ack = peer.next<Ack>();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->message.id, "a-1");
  EXPECT_EQ(ack->message.status.code(), Code::kUnimplemented);
  EXPECT_EQ(messages(), 0u);
}

TEST_F(TeleopPortTest, AReplyThatComesAfterThePeerHasGoneDoesNothing) {
  open();
  host.on_loop([&] { desk.answer_at_once = false; });
  {
    const auto client = connect();
    ASSERT_TRUE(client->send_feedback(feedback("id-1", Hold{})).ok());
    ASSERT_TRUE(eventually([&] { return messages() == 1; }));
  }
  ASSERT_TRUE(eventually([&] { return counters().peers == 0; }));
  host.on_loop([&] { desk.waiting[0](Ack{"id-1", {}, "", 0, {}}); });
  const auto reply = host.on_loop([&] { return desk.waiting[0]; });
  close();
  reply(Ack{"id-1", {}, "", 0, {}});
}

TEST_F(TeleopPortTest, AViewersFeedbackIsForTheBrokerToRefuse) {
  Result<Broker> broker =
      Broker::make({.robot = "arm", .action_size = 2, .policy_period = milliseconds(20)},
                   [](std::string_view) { return false; });
  ASSERT_TRUE(broker.ok());
  bool stopped = false;
  int jogs = 0;
  desk.judge = [&](const FeedbackMessage& message, const Desk::Reply& reply) {
    Handled handled = broker->handle(message, {});
    stopped = stopped || handled.stop;
    if (handled.jog) ++jogs;
    if (handled.ack) reply(*handled.ack);
  };
  open();
  const auto client = connect("viewer", "looker");
  ASSERT_TRUE(client->send_feedback(feedback("id-1", TakeoverRequest{})).ok());
  std::vector<Ack> acks;
  ASSERT_TRUE(eventually([&] {
    acks = client->take_acks();
    return !acks.empty();
  }));
  EXPECT_EQ(acks[0].status.code(), Code::kPermissionDenied);
  ASSERT_TRUE(client->send_jog({"arm", 0, 1, 1, true, {1, 1}}).ok());
  ASSERT_TRUE(client->send_feedback(feedback("id-2", Stop{})).ok());
  EXPECT_TRUE(eventually([&] { return host.on_loop([&] { return stopped; }); }));
  EXPECT_EQ(jogs, 0);
}

TEST_F(TeleopPortTest, AWrongTokenIsRefused) {
  open();
  const auto client = TeleopClient::connect(options("guess"));
  EXPECT_EQ(client.status().code(), Code::kPermissionDenied);
  EXPECT_EQ(counters().sessions, 0u);
}

TEST_F(TeleopPortTest, AChangedTokenEndsThoseWhoCameWithIt) {
  open();
  const auto anna = connect("anna");
  const auto other = connect("script", "other");
  EXPECT_EQ(host.on_loop([&] {
    port->end_role(Role::kSupervisor);
    return port->counters().peers;
  }),
            1u);
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  host.on_loop([&] { port->end_role(Role::kSupervisor); });
  const auto refusal = peer.next<Refusal>();
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->message.reason, RefusalReason::kToken);
  peer.send(TeleopFeedback{R"({"type":"hold","id":"h"})"}, session);
  EXPECT_TRUE(eventually([&] { return counters().foreign > 0; }));
}

TEST_F(TeleopPortTest, APeerThatMeansAnotherRobotIsRefused) {
  open();
  auto wrong = options();
  wrong.robot = "leg";
  const auto client = TeleopClient::connect(wrong);
  EXPECT_EQ(client.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(client.status().message().find("'arm'"), std::string::npos);
}

TEST_F(TeleopPortTest, AnotherVersionIsRefused) {
  open();
  RawPeer peer(number);
  TeleopHello hello{2, 3, "test", "a", "raw", "anna", "arm", 0};
  peer.send(hello, 0);
  const auto refusal = peer.next<Refusal>();
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->message.reason, RefusalReason::kVersion);
}

TEST_F(TeleopPortTest, ThereAreOnlySoManyPeers) {
  open({.max_peers = 2});
  const auto first = connect();
  const auto second = connect();
  EXPECT_NE(first->welcome().name, second->welcome().name);
  auto third = options();
  third.patience = milliseconds(300);
  const auto refused = TeleopClient::connect(third);
  EXPECT_EQ(refused.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(refused.status().message().find("2 peers"), std::string::npos);
}

TEST_F(TeleopPortTest, MessagesWithoutASessionAreNotObeyed) {
  open();
  RawPeer thief(number), peer(number);
  const std::uint32_t session = peer.hello("a");
  // Somebody else's session, and one that never was.
  thief.send(TeleopFeedback{R"({"type": "hold", "id": "x"})"}, session);
  thief.send(JogCommand{"arm", 1, 1, 1, true, {1, 1}}, session + 1);
  const auto refusal = thief.next<Refusal>();
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->message.reason, RefusalReason::kNoSession);
  EXPECT_TRUE(eventually([&] { return counters().foreign == 2; }));
  EXPECT_EQ(messages(), 0u);
}

TEST_F(TeleopPortTest, APeerThatSaysNothingIsDroppedAndOneThatShowsItselfIsNot) {
  open({.silence = milliseconds(700)});
  const auto client = connect("script", "alive");
  RawPeer peer(number);
  ASSERT_NE(peer.hello("a"), 0u);
  ASSERT_EQ(counters().peers, 2u);
  ASSERT_TRUE(eventually([&] {
    (void)client->receive(milliseconds(10));
    return counters().peers == 1;
  }));
  EXPECT_EQ(counters().ended_silent, 1u);
  EXPECT_TRUE(client->connected());
}

TEST_F(TeleopPortTest, ARestartedDaemonIsFoundAgainAndTheNameIsKept) {
  open();
  const auto client = connect();
  ASSERT_TRUE(client->receive(seconds(10)).has_value());
  const std::uint16_t same = number;
  close();
  open({.port = same});
  ASSERT_TRUE(eventually([&] {
    (void)client->receive(milliseconds(10));
    return counters().sessions == 1;
  }));
  EXPECT_TRUE(client->receive(seconds(10)).has_value());
  EXPECT_EQ(client->welcome().name, "leader#t1");
}

TEST_F(TeleopPortTest, AProgramThatComesBackKeepsTheNameThatTheLeaseIsBoundTo) {
  open();
  RawPeer other(number), before(number), after(number);
  ASSERT_NE(other.hello("b", "x"), 0u);
  ASSERT_NE(before.hello("a", "leader"), 0u);
  TeleopHello hello{1, 1, "test", "a", "leader", "anna", "arm", 0};
  after.send(hello, 0);
  const auto welcome = after.next<TeleopWelcome>();
  ASSERT_TRUE(welcome.has_value());
  EXPECT_EQ(welcome->message.name, "leader#t2");
  EXPECT_EQ(counters().peers, 2u);  // the one before is gone
  // With another role it is somebody else.
  hello.token = "script";
  after.send(hello, 0);
  EXPECT_EQ(after.next<TeleopWelcome>()->message.name, "leader#t3");
}

TEST_F(TeleopPortTest, TooManyMessagesEndTheSessionButNeverAStop) {
  open({.messages_per_second = 20});
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  for (int i = 0; i < 20; ++i) peer.send(TeleopAlive{}, session);
  // Beyond the rate: the stop is heard, and then the session ends.
  peer.send(TeleopFeedback{R"({"type": "stop", "id": "s"})"}, session);
  const auto refusal = peer.next<Refusal>();
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->message.reason, RefusalReason::kRate);
  ASSERT_EQ(messages(), 1u);
  EXPECT_TRUE(host.on_loop([&] { return std::holds_alternative<Stop>(desk.messages[0].body); }));
  EXPECT_EQ(counters().ended_rate, 1u);
}

TEST_F(TeleopPortTest, GarbageIsCountedAndTheOthersAreServed) {
  open();
  const auto client = connect();
  RawPeer peer(number);
  std::uint64_t sent = 0;
  for (const std::size_t size : {1u, 15u, 16u, 17u, 1000u, 60'000u}) {
    peer.send(WireBytes(size, std::byte{0xa5}));
    ++sent;
  }
  WireBytes half;
  ASSERT_TRUE(encode(TeleopMessage(JogCommand{"arm", 1, 1, 1, true, {1, 1}}), 1, half).ok());
  half.resize(half.size() / 2);
  peer.send(half);
  ++sent;
  EXPECT_TRUE(eventually([&] { return counters().bad_messages == sent; }));
  // Above the bound: cut off, not even read.
  peer.socket().set(zmq::sockopt::sndtimeo, 100);
  (void)peer.socket().send(zmq::message_t(1 << 20), zmq::send_flags::none);
  EXPECT_TRUE(client->receive(seconds(10)).has_value());
  EXPECT_EQ(messages(), 0u);
}

TEST_F(TeleopPortTest, AHundredPeersAreServedOrRefused) {
  open({.hellos_per_second = 1000, .silence = seconds(60)});
  const auto client = connect();
  zmq::context_t context(1);
  std::vector<zmq::socket_t> peers;
  for (int i = 0; i < 100; ++i) {
    peers.emplace_back(context, zmq::socket_type::dealer);
    peers.back().set(zmq::sockopt::linger, 0);
    peers.back().connect("tcp://127.0.0.1:" + std::to_string(number));
    WireBytes bytes;
    const TeleopHello hello{1, 1, "test", std::to_string(i), "raw", "anna", "arm", 0};
    ASSERT_TRUE(encode(TeleopMessage(hello), 0, bytes).ok());
    peers.back().send(zmq::buffer(bytes.data(), bytes.size()), zmq::send_flags::none);
  }
  EXPECT_TRUE(eventually([&] {
    (void)client->receive(milliseconds(1));
    return counters().refused_hellos == 85;
  })) << counters().refused_hellos;
  EXPECT_EQ(counters().peers, 16u);
  EXPECT_TRUE(client->receive(seconds(10)).has_value());
}

TEST_F(TeleopPortTest, APeerThatNeverReadsHoldsUpNobodyAndNothingWaitsForIt) {
  open();
  host.on_loop([&] {
    // Large states fill what the kernel takes soon.
    desk.now.observation.proprioception.assign(kMaxChannels, 1.0f);
    desk.now.observation.object_state.assign(kMaxChannels, 1.0f);
  });
  const auto client = connect();
  RawPeer peer(number, 1);
  const std::uint32_t session = peer.hello("a");
  ASSERT_NE(session, 0u);
  ASSERT_TRUE(eventually(
      [&] {
        peer.send(TeleopAlive{}, session);
        while (client->receive(milliseconds(0))) {
        }
        host.on_loop([&] {
          for (int i = 0; i < 10; ++i) {
            desk.now.tick += 100;
            port->on_status();
          }
        });
        return counters().unsent_states > 0;
      },
      seconds(60)));
  const auto state = client->receive(seconds(10));
  ASSERT_TRUE(state.has_value());
}

TEST_F(TeleopPortTest, APeerThatReadsNoAcksIsDropped) {
  open({.messages_per_second = 1e6, .max_acks = 16});
  RawPeer peer(number, 1);
  const std::uint32_t session = peer.hello("a");
  const std::string id(60, 'x');
  ASSERT_TRUE(eventually(
      [&] {
        // Many at a time: the kernel takes megabytes of answers before it refuses one.
        for (int i = 0; i < 200; ++i) {
          peer.send(TeleopFeedback{R"({"type": "hold", "id": ")" + id + "\"}"}, session);
        }
        return counters().ended_slow == 1;
      },
      seconds(60)));
  EXPECT_EQ(counters().peers, 0u);
}

TEST_F(TeleopPortTest, CommandsThatAreNotFiniteReachTheBrokerUnchanged) {
  // They must be counted by the authority, which holds when they repeat; see authority_test.
  open();
  const auto client = connect();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(client->send_jog({"arm", 1, 1, 1, true, {nan, 0}}).ok());
  ASSERT_TRUE(eventually([&] { return messages() == 1; }));
  EXPECT_TRUE(host.on_loop(
      [&] { return std::isnan(std::get<JogCommand>(desk.messages[0].body).action[0]); }));
}

TEST_F(TeleopPortTest, OnlyLoopbackIsServed) {
  host.on_loop([&] {
    const auto opened = TeleopPort::listen(
        host.loop, {.address = "0.0.0.0", .port = 0}, [](std::string_view) { return std::nullopt; },
        desk);
    EXPECT_EQ(opened.status().code(), Code::kInvalidArgument);
  });
}

TEST_F(TeleopPortTest, AClientNeedsToKnowWhoItIs) {
  TeleopClientOptions options;
  EXPECT_EQ(TeleopClient::connect(options).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
