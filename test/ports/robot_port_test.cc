// The daemon's end against the real client, and against peers that misbehave.
#include "src/ports/robot_port.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <zmq.hpp>

#include "nudge/robot_client.h"
#include "test/support/loop_thread.h"
#include "test/support/raw_tcp.h"
#include "test/support/recording_robot.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::eventually;
using test::RecordingRobot;
using test::small_spec;

// A robot's process: robot, client, and the thread that runs it.
class RobotProcess {
 public:
  RobotProcess(std::uint16_t port, RobotClientOptions options = {}, RobotSpec spec = small_spec())
      : robot(std::move(spec)) {
    options.endpoint = "tcp://127.0.0.1:" + std::to_string(port);
    auto connected = RobotClient::connect(options, robot);
    status = connected.status();
    if (!connected.ok()) return;
    client = *std::move(connected);
    thread_ = std::thread([this] { ended = client->run(stop_); });
  }
  ~RobotProcess() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  RecordingRobot robot;
  std::unique_ptr<RobotClient> client;
  Status status, ended;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class RobotPortTest : public ::testing::Test {
 protected:
  void TearDown() override { close(); }
  // A machine that is busy must not look like a robot that is silent, where that is not the matter.
  void open(RobotPortOptions options = {.silence = seconds(10)}) {
    if (options.port == kDefaultRobotPort) options.port = 0;
    host.on_loop([&] {
      auto opened = RobotPort::listen(host.loop, options);
      ASSERT_TRUE(opened.ok()) << opened.status().message();
      port = *std::move(opened);
      number = port->port();
    });
  }
  void close() {
    if (port) host.on_loop([&] { port.reset(); });
  }
  std::shared_ptr<RemoteRobot> remote() {
    auto robot = port->wait_for_robot(seconds(10));
    EXPECT_TRUE(robot.ok()) << robot.status().message();
    return robot.ok() ? *robot : nullptr;
  }
  RobotPortCounters counters() {
    return host.on_loop([&] { return port->counters(); });
  }
  // Observes until `fits` holds for what was seen.
  template <typename Fits>
  bool observe_until(RemoteRobot& robot, Fits&& fits) {
    return eventually([&] {
      const auto seen = robot.observe();
      return seen.ok() && fits(*seen);
    });
  }

  test::LoopThread host;
  std::unique_ptr<RobotPort> port;
  std::uint16_t number = 0;
};

// A peer that says whatever a test wants.
class RawPeer {
 public:
  explicit RawPeer(std::uint16_t port) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.connect("tcp://127.0.0.1:" + std::to_string(port));
  }
  void send(const WireBytes& bytes) {
    socket_.send(zmq::buffer(bytes.data(), bytes.size()), zmq::send_flags::none);
  }
  void send(const RobotMessage& message, std::uint32_t session = 0) {
    WireBytes bytes;
    ASSERT_TRUE(encode(message, session, bytes).ok());
    send(bytes);
  }
  // The next command that is no hold.
  std::optional<Framed<RobotCommand>> receive(Duration patience = seconds(10)) {
    socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(patience / milliseconds(1)));
    zmq::message_t message;
    while (socket_.recv(message)) {
      auto framed = decode_robot_command({message.data<std::byte>(), message.size()});
      if (framed.ok() && !std::holds_alternative<RobotHold>(framed->message)) return *framed;
    }
    return std::nullopt;
  }
  std::optional<Refusal> refusal() {
    const auto framed = receive();
    if (!framed || !std::holds_alternative<Refusal>(framed->message)) return std::nullopt;
    return std::get<Refusal>(framed->message);
  }
  // Says hello and returns the session.
  std::uint32_t hello(const std::string& instance, RobotSpec spec = small_spec()) {
    send(RobotMessage(RobotHello{1, 1, "test", instance, {}, false, std::move(spec)}));
    const auto framed = receive();
    return framed && std::holds_alternative<RobotWelcome>(framed->message) ? framed->session : 0;
  }
  zmq::socket_t& socket() { return socket_; }

 private:
  zmq::context_t context_{1};
  zmq::socket_t socket_{context_, zmq::socket_type::dealer};
};

RobotObservation observation_at(Instant time, std::uint64_t tick) {
  RobotObservation m;
  m.tick = tick;
  m.time = m.sent = time;
  m.proprioception = {0.f, 0.f};
  m.object_state = {0.f};
  return m;
}

TEST_F(RobotPortTest, ARobotInAnotherProcessIsOneLikeAnyOther) {
  open();
  RobotProcess process(number);
  ASSERT_TRUE(process.status.ok()) << process.status.message();
  const auto robot = remote();
  EXPECT_EQ(difference(robot->spec(), small_spec()), "");

  process.robot.x = 0.75f;
  process.robot.success = true;
  Observation last;
  ASSERT_TRUE(observe_until(*robot, [&](const Observation& seen) {
    last = seen;
    return seen.proprioception[0] == 0.75f && seen.success;
  }));
  EXPECT_EQ(last.object_state, std::vector<float>{0.25f});
  EXPECT_LE(last.time, steady_now());

  ASSERT_TRUE(eventually([&] {
    EXPECT_TRUE(robot->observe().ok());
    EXPECT_TRUE(robot->apply({0.5f, -0.5f}, steady_now() + milliseconds(100)).ok());
    return process.robot.read([&] { return !process.robot.applied.empty(); });
  }));
  EXPECT_EQ(process.robot.read([&] { return process.robot.applied[0]; }), (Action{0.5f, -0.5f}));
  // The deadline travels as a duration; it has not grown on the way by more than the latency.
  const Duration left =
      process.robot.read([&] { return process.robot.deadlines[0] - process.robot.applied_at[0]; });
  EXPECT_GT(left, Duration::zero());
  EXPECT_LE(left, milliseconds(100));
}

TEST_F(RobotPortTest, FramesOfCamerasArriveAsTheyAre) {
  open();
  std::atomic<int> frames{0};
  host.on_loop([&] {
    port->on_frame([&](std::size_t camera, const Image& image) {
      if (camera == 0 && image.camera == "front") ++frames;
    });
  });
  RobotProcess process(number);
  const auto robot = remote();
  const std::vector<std::uint8_t> jpeg(200'000, 0xab);
  process.robot.read([&] {
    process.robot.jpeg = jpeg;
    return 0;
  });
  ASSERT_TRUE(observe_until(*robot, [&](const Observation& seen) {
    return seen.images.size() == 1 && seen.images[0].jpeg == jpeg && seen.images[0].width == 64;
  }));
  EXPECT_TRUE(eventually([&] { return frames > 0; }));
}

TEST_F(RobotPortTest, HoldEstopAndTheirEndReachTheRobot) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  ASSERT_TRUE(observe_until(*robot, [](const Observation&) { return true; }));
  robot->estop();
  ASSERT_TRUE(process.robot.wait([&] { return process.robot.stopped; }));
  EXPECT_EQ(robot->apply({0, 0}, steady_now() + milliseconds(100)).code(),
            Code::kFailedPrecondition);
  ASSERT_TRUE(robot->reset_estop().ok());
  ASSERT_TRUE(process.robot.wait([&] { return !process.robot.stopped; }));
  ASSERT_TRUE(eventually([&] {
    (void)robot->observe();
    return robot->apply({0, 0}, steady_now() + milliseconds(100)).ok();
  }));
  const int before = process.robot.read([&] { return process.robot.holds; });
  robot->hold();
  EXPECT_TRUE(process.robot.wait([&] { return process.robot.holds > before; }));
}

TEST_F(RobotPortTest, AStopOutlivesAReconnection) {
  open({.silence = milliseconds(100)});
  const auto robot = [&] {
    RobotProcess process(number);
    auto first = remote();
    first->estop();
    EXPECT_TRUE(process.robot.wait([&] { return process.robot.stopped; }));
    return first;
  }();
  RobotClientOptions patient;
  patient.patience = seconds(10);  // until the first one is given up
  RobotProcess restarted(number, patient);
  ASSERT_TRUE(restarted.status.ok()) << restarted.status.message();
  EXPECT_TRUE(restarted.robot.wait([&] { return restarted.robot.stopped; }));
}

TEST_F(RobotPortTest, AResetIsAnsweredWhenTheRobotIsDone) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  ASSERT_TRUE(robot->reset(77).ok());
  EXPECT_TRUE(eventually([&] { return !robot->resetting(); }));
  EXPECT_TRUE(robot->reset_result().ok()) << robot->reset_result().message();
  EXPECT_EQ(process.robot.read([&] { return process.robot.resets; }),
            std::vector<std::uint64_t>{77});
}

TEST_F(RobotPortTest, AResetIsUnderWayForWhoeverAsksFirstHoweverFastTheRobotWas) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  ASSERT_TRUE(robot->reset(1).ok());
  ASSERT_TRUE(process.robot.wait([&] { return !process.robot.resets.empty(); }));
  std::this_thread::sleep_for(milliseconds(50));  // its answer has come, most likely
  EXPECT_TRUE(robot->resetting());
  EXPECT_TRUE(eventually([&] { return !robot->resetting(); }));
}

TEST_F(RobotPortTest, ARobotWhoseResetDoesNotBlockIsWaitedForAndItsFailureTold) {
  open();
  RobotProcess process(number);
  process.robot.slow = true;
  process.robot.read([&] {
    process.robot.reset_ended = failed_precondition("the gripper is stuck");
    return 0;
  });
  const auto robot = remote();
  ASSERT_TRUE(robot->reset(1).ok());
  ASSERT_TRUE(process.robot.wait([&] { return !process.robot.resets.empty(); }));
  const Instant begun = steady_now();
  while (steady_now() - begun < milliseconds(100)) ASSERT_TRUE(robot->resetting());
  robot->estop();
  EXPECT_TRUE(process.robot.wait([&] { return process.robot.stopped; })) << "heard meanwhile";
  process.robot.slow = false;
  EXPECT_TRUE(eventually([&] { return !robot->resetting(); }));
  EXPECT_EQ(robot->reset_result().code(), Code::kFailedPrecondition);
  EXPECT_EQ(robot->reset_result().message(), "the gripper is stuck");
}

TEST_F(RobotPortTest, AnEstopIsHeardWhileTheRobotResets) {
  const Duration silence = milliseconds(300);
  open({.silence = silence});
  RobotProcess process(number);
  std::atomic<bool> inside{false}, finish{false};
  process.robot.read([&] {
    process.robot.on_reset = [&] {
      inside = true;
      while (!finish) std::this_thread::sleep_for(milliseconds(1));
    };
    return 0;
  });
  const auto robot = remote();
  // A machine that is too busy for the session loses the reset with it.
  ASSERT_TRUE(eventually([&] {
    if (!robot->resetting()) (void)robot->reset(1);
    return inside.load();
  }));
  robot->estop();
  EXPECT_TRUE(process.robot.wait([&] { return process.robot.stopped; }));
  // Longer than `silence`, and not given up.
  const Instant begun = steady_now();
  ASSERT_TRUE(eventually([&] { return steady_now() - begun > 2 * silence; }));
  EXPECT_TRUE(robot->resetting());
  finish = true;
  EXPECT_TRUE(eventually([&] { return !robot->resetting(); }));
}

TEST_F(RobotPortTest, AHoldOfBeforeAResetArrivesBeforeItAndALaterOneEndsIt) {
  open();
  RobotProcess process(number);
  std::atomic<bool> inside{false};
  std::atomic<int> held_before{-1};
  process.robot.read([&] {
    process.robot.on_reset = [&] {
      held_before = process.robot.read([&] { return process.robot.holds; });
      inside = true;
      // Until somebody wants the robot to stand still.
      process.robot.wait([&] { return process.robot.holds > held_before; });
    };
    return 0;
  });
  const auto robot = remote();
  for (int i = 0; i < 3; ++i) robot->hold();
  ASSERT_TRUE(robot->reset(1).ok());
  ASSERT_TRUE(eventually([&] { return inside.load(); }));
  const Instant begun = steady_now();
  while (steady_now() - begun < milliseconds(200)) {
    ASSERT_TRUE(robot->resetting()) << "a hold of before the reset has ended it";
    std::this_thread::sleep_for(milliseconds(5));
  }
  robot->hold();
  EXPECT_TRUE(eventually([&] { return !robot->resetting(); }));
}

TEST_F(RobotPortTest, AnActionWhoseDeadlineHasPassedIsNotSent) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  ASSERT_TRUE(observe_until(*robot, [](const Observation&) { return true; }));
  ASSERT_TRUE(robot->apply({0, 0}, steady_now() - milliseconds(1)).ok());
  EXPECT_TRUE(eventually([&] { return counters().late_actions == 1; }));
  EXPECT_EQ(counters().actions, 0u);
}

TEST_F(RobotPortTest, ActionsThatAreWrongNeverLeaveTheDaemon) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  ASSERT_TRUE(observe_until(*robot, [](const Observation&) { return true; }));
  const Instant later = steady_now() + seconds(1);
  EXPECT_EQ(robot->apply({0, NAN}, later).code(), Code::kInvalidArgument);
  EXPECT_EQ(robot->apply({0}, later).code(), Code::kInvalidArgument);
  EXPECT_EQ(counters().actions, 0u);
}

TEST_F(RobotPortTest, WhatTheRobotCannotObserveIsSaid) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  process.robot.broken = true;
  ASSERT_TRUE(eventually([&] {
    const auto seen = robot->observe();
    return !seen.ok() && seen.status().message() == "the arm is unplugged";
  }));
  process.robot.broken = false;
  EXPECT_TRUE(observe_until(*robot, [](const Observation&) { return true; }));
}

TEST_F(RobotPortTest, ARestartedRobotGoesOnBehindTheSameObject) {
  open({.silence = milliseconds(100)});
  const auto robot = [&] {
    RobotProcess process(number);
    return remote();
  }();
  EXPECT_TRUE(eventually([&] { return !robot->connected(); }));
  EXPECT_EQ(robot->observe().status().code(), Code::kUnavailable);
  EXPECT_EQ(robot->apply({0, 0}, steady_now() + seconds(1)).code(), Code::kUnavailable);
  EXPECT_EQ(robot->reset(1).code(), Code::kUnavailable);
  EXPECT_EQ(robot->reset_estop().code(), Code::kUnavailable);
  RobotProcess restarted(number);
  ASSERT_TRUE(restarted.status.ok()) << restarted.status.message();
  EXPECT_TRUE(observe_until(*robot, [](const Observation&) { return true; }));
  EXPECT_EQ(remote(), robot);
}

TEST_F(RobotPortTest, ARobotWithAnotherSpecIsRefusedAndToldTheDifference) {
  open({.silence = milliseconds(100)});
  { RobotProcess process(number); }
  RobotSpec spec = small_spec();
  spec.action.channels[1].name = "gripper";
  const RobotProcess other(number, {}, spec);
  EXPECT_EQ(other.status.code(), Code::kFailedPrecondition);
  EXPECT_NE(other.status.message().find("action channel 1 is 'gripper', not 'y'"),
            std::string::npos)
      << other.status.message();
}

TEST_F(RobotPortTest, OnlyTheExpectedRobotIsWelcome) {
  std::vector<std::string> said;
  open({.expected = small_spec("other-arm"),
        .refused = [&said](const std::string& why) { said.push_back(why); },
        .silence = seconds(10)});
  ASSERT_NE(port->robot(), nullptr);
  EXPECT_FALSE(port->robot()->connected());
  const RobotProcess process(number);
  EXPECT_EQ(process.status.code(), Code::kFailedPrecondition);
  EXPECT_NE(process.status.message().find("its id is 'arm', not 'other-arm'"), std::string::npos);
  EXPECT_NE(process.status.message().find("robot.spec"), std::string::npos);
  const std::vector<std::string> heard = host.on_loop([&] { return said; });
  ASSERT_EQ(heard.size(), 1u) << "whoever runs the daemon hears it as well";
  EXPECT_NE(heard[0].find("its id is 'arm'"), std::string::npos);
}

TEST_F(RobotPortTest, ASecondRobotIsToldThatOneIsThere) {
  open();
  RobotProcess first(number);
  RobotClientOptions options;
  options.patience = milliseconds(400);
  const RobotProcess second(number, options);
  EXPECT_EQ(second.status.code(), Code::kFailedPrecondition);
  EXPECT_NE(second.status.message().find("one at a time"), std::string::npos)
      << second.status.message();
  EXPECT_TRUE(observe_until(*remote(), [](const Observation&) { return true; }));
  EXPECT_EQ(counters().sessions, 1u);
}

TEST_F(RobotPortTest, ARestartedDaemonFindsItsRobotAgain) {
  open();
  RobotProcess process(number);
  ASSERT_TRUE(observe_until(*remote(), [](const Observation&) { return true; }));
  const std::uint16_t same = number;
  close();
  ASSERT_TRUE(process.robot.wait([&] { return process.robot.held; }));
  open({.port = same});
  const auto robot = remote();
  ASSERT_NE(robot, nullptr);
  EXPECT_TRUE(observe_until(*robot, [](const Observation&) { return true; }));
  EXPECT_EQ(process.client->stats().sessions, 2u);
}

TEST_F(RobotPortTest, ObservationsAreTimedOnTheDaemonsClock) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  ASSERT_NE(session, 0u);
  const auto robot = remote();
  // Their clock began an hour ago; the state is 30 ms old when it is sent.
  RobotObservation m = observation_at(steady_now() - seconds(3600), 1);
  m.time = m.sent - milliseconds(30);
  const Instant before = steady_now();
  peer.send(RobotMessage(m), session);
  Observation seen;
  ASSERT_TRUE(observe_until(*robot, [&](const Observation& o) {
    seen = o;
    return true;
  }));
  EXPECT_GE(seen.time, before - milliseconds(30));
  EXPECT_LE(seen.time, steady_now() - milliseconds(30));
}

TEST_F(RobotPortTest, ARobotWhoseClockJumpsMustSayHelloAgain) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  const Instant now = steady_now();
  peer.send(RobotMessage(observation_at(now, 1)), session);
  peer.send(RobotMessage(observation_at(now - milliseconds(50), 2)), session);
  const auto refusal = peer.refusal();
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, RefusalReason::kClockJumped);
  EXPECT_EQ(remote()->observe().status().code(), Code::kUnavailable);
  EXPECT_NE(peer.hello("a"), 0u);
}

TEST_F(RobotPortTest, MessagesOfAnEarlierConnectionCountForNothing) {
  open();
  RawPeer peer(number);
  const std::uint32_t old_session = peer.hello("a");
  const std::uint32_t session = peer.hello("a");
  ASSERT_NE(session, old_session);
  peer.send(RobotMessage(observation_at(steady_now(), 1)), old_session);
  const auto refusal = peer.refusal();
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, RefusalReason::kNoSession);
  EXPECT_EQ(counters().observations, 0u);
}

TEST_F(RobotPortTest, ObservationsThatDoNotFitTheSpecReachNobody) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  RobotObservation m = observation_at(steady_now(), 1);
  m.proprioception.push_back(1);
  peer.send(RobotMessage(m), session);
  m = observation_at(steady_now(), 2);
  m.frames = {{5, 64, 48, m.time, {1}}};
  peer.send(RobotMessage(m), session);
  EXPECT_TRUE(eventually([&] { return counters().wrong_sizes == 2; }));
  EXPECT_EQ(counters().observations, 0u);
  const Status told = remote()->observe().status();
  EXPECT_EQ(told.code(), Code::kInvalidArgument);
  EXPECT_NE(told.message().find("frame of camera 5"), std::string::npos) << told.message();
}

TEST_F(RobotPortTest, AFrameOfAnotherSizeThanDeclaredIsToldWithBothSizes) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  const CameraSpec camera = test::small_spec().observation.cameras[0];
  RobotObservation m = observation_at(steady_now(), 1);
  m.frames = {{0,
               static_cast<std::uint16_t>(camera.width + 1),
               static_cast<std::uint16_t>(camera.height),
               m.time,
               {1}}};
  peer.send(RobotMessage(m), session);
  EXPECT_TRUE(eventually([&] { return counters().wrong_sizes == 1; }));
  const std::string told = remote()->observe().status().message();
  EXPECT_NE(told.find("'" + camera.name + "' of " + std::to_string(camera.width + 1) + "x"),
            std::string::npos)
      << told;
}

TEST_F(RobotPortTest, GarbageIsCountedAndTheRobotServed) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  RawPeer peer(number);
  std::uint64_t sent = 0;
  for (const std::size_t size : {1u, 15u, 16u, 17u, 1000u, 100'000u}) {
    peer.send(WireBytes(size, std::byte{0x5a}));
    ++sent;
  }
  WireBytes bytes;
  ASSERT_TRUE(encode(RobotMessage(observation_at(steady_now(), 1)), 1, bytes).ok());
  bytes[4] = std::byte{9};  // a major version that nobody has
  peer.send(bytes);
  bytes[4] = std::byte{kWireMajor};
  bytes.resize(bytes.size() - 3);
  peer.send(bytes);
  sent += 2;
  // Two parts, and an empty one.
  peer.socket().send(zmq::str_buffer("NUDG"), zmq::send_flags::sndmore);
  peer.socket().send(zmq::str_buffer("rest"), zmq::send_flags::none);
  peer.send(WireBytes{});
  sent += 2;
  EXPECT_TRUE(eventually([&] { return counters().bad_messages == sent; }))
      << counters().bad_messages << " of " << sent;
  process.robot.x = -0.5f;
  EXPECT_TRUE(observe_until(
      *robot, [](const Observation& seen) { return seen.proprioception[0] == -0.5f; }));
}

TEST_F(RobotPortTest, AMessageAboveTheBoundCutsItsSenderOff) {
  open({.max_message = 64 * 1024});
  RobotProcess process(number);
  const auto robot = remote();
  RawPeer peer(number);
  peer.socket().set(zmq::sockopt::sndtimeo, 100);
  (void)peer.socket().send(zmq::message_t(1 << 20), zmq::send_flags::none);
  process.robot.x = 0.125f;
  EXPECT_TRUE(observe_until(
      *robot, [](const Observation& seen) { return seen.proprioception[0] == 0.125f; }));
  EXPECT_EQ(counters().bad_messages, 0u);  // not even read
}

TEST_F(RobotPortTest, HalfMessagesAndAnnouncementsOfHugeOnesCostNothing) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  // 200 connections that say half a greeting, or nothing at all.
  std::vector<test::RawTcp> silent;
  for (int i = 0; i < 200; ++i) {
    silent.emplace_back(number);
    ASSERT_TRUE(silent.back().connected());
    silent.back().send(test::RawTcp::greeting().substr(0, static_cast<std::size_t>(i % 64)));
  }
  test::RawTcp garbage(number), huge(number), half(number);
  garbage.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  huge.send(test::RawTcp::greeting() + test::RawTcp::ready() + test::RawTcp::announce(1u << 30) +
            std::string(1000, 'x'));
  half.send(test::RawTcp::greeting() + test::RawTcp::ready() + test::RawTcp::announce(1u << 20) +
            std::string(1u << 16, 'x'));
  EXPECT_TRUE(huge.closed_within(seconds(10)));
  EXPECT_TRUE(half.closed_within(seconds(10)));  // it answers no heartbeat
  EXPECT_TRUE(silent[5].closed_within(seconds(10)));
  process.robot.x = -0.375f;
  EXPECT_TRUE(observe_until(
      *robot, [](const Observation& seen) { return seen.proprioception[0] == -0.375f; }));
  EXPECT_EQ(counters().sessions, 1u);
}

TEST_F(RobotPortTest, AHundredPeersThatSayHelloLeaveTheRobotAlone) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  zmq::context_t context(1);
  context.set(zmq::ctxopt::max_sockets, 200);
  std::vector<zmq::socket_t> peers;
  WireBytes bytes;
  ASSERT_TRUE(
      encode(RobotMessage(RobotHello{1, 1, "test", "x", {}, false, small_spec()}), 0, bytes).ok());
  for (int i = 0; i < 100; ++i) {
    peers.emplace_back(context, zmq::socket_type::dealer);
    peers.back().set(zmq::sockopt::linger, 0);
    peers.back().connect("tcp://127.0.0.1:" + std::to_string(number));
    peers.back().send(zmq::buffer(bytes.data(), bytes.size()), zmq::send_flags::none);
  }
  EXPECT_TRUE(eventually([&] { return counters().refused_hellos == 100; }))
      << counters().refused_hellos;
  process.robot.x = 0.375f;
  EXPECT_TRUE(observe_until(
      *robot, [](const Observation& seen) { return seen.proprioception[0] == 0.375f; }));
  EXPECT_EQ(counters().sessions, 1u);
}

TEST_F(RobotPortTest, ARobotThatDoesNotReadGetsNothingStale) {
  open();
  RawPeer peer(number);
  const std::uint32_t session = peer.hello("a");
  const auto robot = remote();
  // Sends, so that it counts as there, and never reads: the queues fill up, ours is short.
  std::uint64_t tick = 0;
  ASSERT_TRUE(eventually(
      [&] {
        peer.send(RobotMessage(observation_at(steady_now(), ++tick)), session);
        (void)robot->observe();
        for (int i = 0; i < 200; ++i) {
          (void)robot->apply({0, 0}, steady_now() + seconds(1));
          host.on_loop([] {});
        }
        return counters().unsent > 0;
      },
      seconds(60)));
  EXPECT_TRUE(robot->connected());
}

TEST_F(RobotPortTest, OnlyLoopbackIsServed) {
  for (const char* address : {"0.0.0.0", "*", "192.168.1.5", "localhost", "eth0"}) {
    host.on_loop([&] {
      const auto opened = RobotPort::listen(host.loop, {.address = address, .port = 0});
      EXPECT_EQ(opened.status().code(), Code::kInvalidArgument) << address;
      EXPECT_NE(opened.status().message().find("CURVE"), std::string::npos);
    });
  }
}

TEST_F(RobotPortTest, APortThatIsTakenIsSaid) {
  open();
  host.on_loop([&] {
    const auto second = RobotPort::listen(host.loop, {.port = number});
    EXPECT_EQ(second.status().code(), Code::kUnavailable);
    EXPECT_NE(second.status().message().find(std::to_string(number)), std::string::npos);
  });
}

TEST_F(RobotPortTest, ARobotOutlivesItsPort) {
  open();
  RobotProcess process(number);
  const auto robot = remote();
  close();
  EXPECT_EQ(robot->observe().status().code(), Code::kUnavailable);
  robot->hold();
  robot->estop();
}

}  // namespace
}  // namespace nudge
