// The robot's end against a daemon that says whatever a test wants. This program links
// nudge::client without Boost, Torch or SQLite.
#include "nudge/robot_client.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <optional>
#include <thread>
#include <zmq.hpp>

#include "src/ports/robot_wire.h"
#include "test/support/recording_robot.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::RecordingRobot;

constexpr Duration kPatience = seconds(10);

// A ROUTER on a port of its own that reads and writes the robot's protocol, and does nothing by
// itself.
class FakeDaemon {
 public:
  FakeDaemon() { open("tcp://127.0.0.1:*"); }

  void open(const std::string& endpoint) {
    socket_ = zmq::socket_t(context_, zmq::socket_type::router);
    socket_.set(zmq::sockopt::linger, 0);
    // The address is free only when ZeroMQ's own thread has closed the socket before.
    for (const Instant end = steady_now() + kPatience;;) {
      try {
        socket_.bind(endpoint);
        break;
      } catch (const zmq::error_t&) {
        if (steady_now() > end) throw;
        std::this_thread::sleep_for(milliseconds(1));
      }
    }
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
  }
  void close() { socket_.close(); }
  const std::string& endpoint() const { return endpoint_; }

  std::optional<RobotMessage> receive(Duration patience = kPatience) {
    socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(patience / milliseconds(1)));
    zmq::message_t from, body;
    if (!socket_.recv(from) || !socket_.recv(body)) return std::nullopt;
    peer_.assign(from.data<char>(), from.size());
    auto framed = decode_robot_message({body.data<std::byte>(), body.size()});
    EXPECT_TRUE(framed.ok()) << framed.status().message();
    if (!framed.ok()) return std::nullopt;
    last_session = framed->session;
    return std::move(framed->message);
  }
  // The next message of a kind; others are passed over.
  template <typename Kind>
  std::optional<Kind> next() {
    const Instant end = steady_now() + kPatience;
    while (steady_now() < end) {
      auto message = receive();
      if (!message) return std::nullopt;
      if (auto* found = std::get_if<Kind>(&*message)) return std::move(*found);
    }
    return std::nullopt;
  }
  // What comes after all that waits now.
  std::optional<RobotObservation> newest() {
    std::optional<RobotObservation> found = next<RobotObservation>();
    while (auto message = receive(Duration::zero())) {
      if (auto* later = std::get_if<RobotObservation>(&*message)) found = std::move(*later);
    }
    return found;
  }
  void send(const RobotCommand& command, std::optional<std::uint32_t> session = {}) {
    WireBytes bytes;
    ASSERT_TRUE(encode(command, session.value_or(this->session), bytes).ok());
    send_bytes(bytes);
  }
  void send_bytes(const WireBytes& bytes) {
    socket_.send(zmq::buffer(peer_), zmq::send_flags::sndmore);
    socket_.send(zmq::buffer(bytes.data(), bytes.size()), zmq::send_flags::none);
  }
  std::optional<RobotHello> welcome(std::uint32_t as) {
    auto hello = next<RobotHello>();
    if (!hello) return std::nullopt;
    session = as;
    send(RobotWelcome{kWireMajor, "fake daemon"});
    return hello;
  }
  // An action for the newest observation.
  void drive(const Action& action, Duration deadline = milliseconds(50)) {
    const auto observation = newest();
    ASSERT_TRUE(observation.has_value());
    send(RobotAction{++sequence, observation->tick, deadline, action});
  }

  std::uint32_t session = 0, last_session = 0;
  std::uint64_t sequence = 0;

 private:
  zmq::context_t context_{1};
  zmq::socket_t socket_;
  std::string endpoint_, peer_;
};

class RobotClientTest : public ::testing::Test {
 protected:
  explicit RobotClientTest(RobotSpec spec = test::small_spec()) : robot(std::move(spec)) {}
  void TearDown() override { stop(); }

  // Connects and runs; the fake daemon says welcome.
  void start(RobotClientOptions options = {}) {
    options.endpoint = daemon.endpoint();
    thread = std::thread([this, options] {
      auto connected = RobotClient::connect(options, robot);
      status = connected.status();
      if (connected.ok()) {
        client = connected->get();
        owner = *std::move(connected);
        ready = true;
        status = owner->run(stopping);
      }
      done = true;
    });
    ASSERT_TRUE(daemon.welcome(7).has_value());
    while (!ready && !done) std::this_thread::sleep_for(milliseconds(1));
    ASSERT_TRUE(ready) << status.message();
  }
  void stop() {
    stopping = true;
    if (thread.joinable()) thread.join();
  }
  // Waits until the client has counted.
  bool counted(std::uint64_t RobotClientStats::*counter, std::uint64_t least = 1) {
    const Instant end = steady_now() + kPatience;
    while (client->stats().*counter < least) {
      if (steady_now() > end) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }

  FakeDaemon daemon;
  RecordingRobot robot;
  RobotClient* client = nullptr;
  std::unique_ptr<RobotClient> owner;
  std::atomic<bool> stopping{false}, ready{false}, done{false};
  Status status;
  std::thread thread;
};

TEST_F(RobotClientTest, SendsWhatItSeesAndAppliesWhatComesBack) {
  start();
  robot.x = 0.5f;
  robot.success = true;
  std::optional<RobotObservation> seen;
  do {
    seen = daemon.next<RobotObservation>();
    ASSERT_TRUE(seen.has_value());
  } while (seen->proprioception[0] != 0.5f || !seen->success);
  EXPECT_LE(seen->time, seen->sent);
  EXPECT_EQ(daemon.last_session, 7u);
  daemon.drive({0.25f, -1.0f});
  ASSERT_TRUE(robot.wait([&] { return !robot.applied.empty(); }));
  EXPECT_EQ(robot.applied[0], (Action{0.25f, -1.0f}));
}

TEST_F(RobotClientTest, HoldsWhenTheDaemonIsSilentAndAgainAfterEverySilence) {
  start();
  daemon.drive({1, 1});
  ASSERT_TRUE(robot.wait([&] { return !robot.applied.empty(); }));
  ASSERT_TRUE(robot.wait([&] { return robot.held; }));
  const int holds = robot.read([&] { return robot.holds; });
  EXPECT_TRUE(robot.wait([&] { return robot.holds >= holds + 2; }));
}

TEST_F(RobotClientTest, AnActionThatAnswersAnOldObservationIsRefused) {
  RobotClientOptions options;
  options.fresh = milliseconds(50);
  start(options);
  const auto old = daemon.next<RobotObservation>();
  ASSERT_TRUE(old.has_value());
  // Until an observation of 100 ms later has arrived, on the robot's own clock.
  std::optional<RobotObservation> later;
  do {
    later = daemon.next<RobotObservation>();
    ASSERT_TRUE(later.has_value());
  } while (later->time - old->time < milliseconds(100));
  daemon.send(RobotAction{1, old->tick, milliseconds(500), {1, 1}});
  EXPECT_TRUE(counted(&RobotClientStats::stale_actions));
  EXPECT_TRUE(robot.read([&] { return robot.applied.empty(); }));
}

TEST_F(RobotClientTest, AnActionForATickThatNeverWasIsRefused) {
  start();
  daemon.send(RobotAction{1, 1'000'000, milliseconds(50), {1, 1}});
  EXPECT_TRUE(counted(&RobotClientStats::stale_actions));
  EXPECT_TRUE(robot.read([&] { return robot.applied.empty(); }));
}

TEST_F(RobotClientTest, AnActionThatCameBeforeIsRefused) {
  start();
  daemon.drive({1, 1});
  ASSERT_TRUE(counted(&RobotClientStats::actions));
  const auto seen = daemon.newest();
  daemon.send(RobotAction{daemon.sequence, seen->tick, milliseconds(50), {0.5f, 0.5f}});
  EXPECT_TRUE(counted(&RobotClientStats::stale_actions));
  EXPECT_EQ(robot.read([&] { return robot.applied.size(); }), 1u);
}

TEST_F(RobotClientTest, AnActionThatIsNotFiniteStopsTheRobot) {
  RobotClientOptions options;
  options.silence = seconds(5);
  start(options);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    daemon.drive({1, 1}, seconds(1));
    ASSERT_TRUE(robot.wait([&] { return !robot.held; }));
    daemon.drive({0, bad});
    ASSERT_TRUE(robot.wait([&] { return robot.held; }));
  }
  EXPECT_EQ(client->stats().bad_messages, 2u);
  EXPECT_EQ(robot.read([&] { return robot.applied.size(); }), 2u);
}

TEST_F(RobotClientTest, AnActionOfTheWrongSizeStopsTheRobot) {
  RobotClientOptions options;
  options.silence = seconds(5);
  start(options);
  daemon.drive({1, 1}, seconds(1));
  ASSERT_TRUE(robot.wait([&] { return !robot.held; }));
  daemon.drive({1, 1, 1});
  EXPECT_TRUE(robot.wait([&] { return robot.held; }));
}

TEST_F(RobotClientTest, GarbageIsCountedAndNothingElse) {
  start();
  const auto seen = daemon.next<RobotObservation>();
  for (const std::size_t size : {1u, 16u, 100u, 4000u}) {
    daemon.send_bytes(WireBytes(size, std::byte{0x33}));
  }
  EXPECT_TRUE(counted(&RobotClientStats::bad_messages, 4));
  daemon.drive({1, 1});
  EXPECT_TRUE(robot.wait([&] { return robot.applied.size() == 1; }));
}

TEST_F(RobotClientTest, EstopIsPassedOnAndKeptUntilItIsReset) {
  start();
  daemon.drive({1, 1});
  ASSERT_TRUE(counted(&RobotClientStats::actions));
  daemon.send(RobotEstop{});
  ASSERT_TRUE(robot.wait([&] { return robot.stopped; }));
  daemon.drive({1, 1});
  EXPECT_TRUE(counted(&RobotClientStats::refused_by_robot));
  EXPECT_EQ(robot.read([&] { return robot.applied.size(); }), 1u);
  std::optional<RobotObservation> seen = daemon.newest();
  ASSERT_TRUE(seen.has_value());
  EXPECT_TRUE(seen->estopped);

  daemon.send(RobotResetEstop{3});
  const auto report = daemon.next<RobotReport>();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->request, 3u);
  EXPECT_TRUE(report->status.ok());
  daemon.drive({0.5f, 0.5f});
  EXPECT_TRUE(robot.wait([&] { return robot.applied.size() == 2; }));
}

TEST_F(RobotClientTest, AfterAReconnectionItHoldsUntilAFreshActionComes) {
  RobotClientOptions options;
  options.silence = seconds(5);  // so that silence is not what holds it
  start(options);
  daemon.drive({1, 1}, seconds(1));
  ASSERT_TRUE(robot.wait([&] { return !robot.held; }));
  const auto before = daemon.newest();
  const std::string endpoint = daemon.endpoint();
  daemon.close();
  daemon.open(endpoint);  // another daemon: it knows no session
  ASSERT_TRUE(daemon.next<RobotObservation>().has_value());
  daemon.send(Refusal{RefusalReason::kNoSession, "say hello"}, 0);
  const auto hello = daemon.welcome(8);
  ASSERT_TRUE(hello.has_value());
  ASSERT_TRUE(robot.wait([&] { return robot.held; }));
  // What was meant for the connection before: its session, and its tick.
  daemon.send(RobotAction{2, before->tick, seconds(1), {1, 1}}, 7);
  daemon.send(RobotAction{1, before->tick, seconds(1), {1, 1}}, 8);
  EXPECT_TRUE(counted(&RobotClientStats::stale_actions, 2));
  EXPECT_TRUE(robot.read([&] { return robot.held; }));
  daemon.sequence = 1;
  daemon.drive({0.5f, 0});
  EXPECT_TRUE(robot.wait([&] { return robot.applied.size() == 2; }));
}

TEST_F(RobotClientTest, TheStopIsToldToTheNextDaemon) {
  start();
  daemon.send(RobotEstop{});
  ASSERT_TRUE(robot.wait([&] { return robot.stopped; }));
  daemon.send(Refusal{RefusalReason::kNoSession, "say hello"}, 0);
  const auto hello = daemon.welcome(8);
  ASSERT_TRUE(hello.has_value());
  EXPECT_TRUE(hello->estopped);
}

TEST_F(RobotClientTest, AResetIsDoneAndReported) {
  start();
  ASSERT_TRUE(daemon.next<RobotObservation>().has_value());
  daemon.send(RobotReset{5, 1234});
  const auto report = daemon.next<RobotReport>();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->request, 5u);
  EXPECT_EQ(report->of, RobotReport::Of::kReset);
  EXPECT_TRUE(report->status.ok());
  EXPECT_EQ(robot.read([&] { return robot.resets; }), std::vector<std::uint64_t>{1234});
}

TEST_F(RobotClientTest, ARefusalThatWaitingDoesNotCureEndsTheRun) {
  start();
  ASSERT_TRUE(daemon.next<RobotObservation>().has_value());
  daemon.send(Refusal{RefusalReason::kSpecDiffers, "channel 0 is another"}, 0);
  thread.join();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("channel 0 is another"), std::string::npos);
  EXPECT_TRUE(robot.read([&] { return robot.held; }));
}

TEST_F(RobotClientTest, TheRobotIsHeldWhenTheRunEnds) {
  RobotClientOptions options;
  options.silence = seconds(5);
  start(options);
  daemon.drive({1, 1}, seconds(1));
  ASSERT_TRUE(robot.wait([&] { return !robot.held; }));
  stop();
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(robot.read([&] { return robot.held; }));
}

TEST_F(RobotClientTest, AFrameIsSentOnce) {
  robot.jpeg = {0xff, 0xd8, 0xff, 0xd9};
  start();
  int frames = 0;
  Instant last = Instant::min();
  for (int i = 0; i < 5; ++i) {
    const auto seen = daemon.next<RobotObservation>();
    ASSERT_TRUE(seen.has_value());
    for (const CameraFrame& frame : seen->frames) {
      EXPECT_GT(frame.captured, last);
      last = frame.captured;
      ++frames;
    }
  }
  EXPECT_GT(frames, 0);
}

TEST_F(RobotClientTest, ARawFrameIsSentAsTheJpegThatTheEncoderMakes) {
  robot.rgb.assign(64 * 48 * 3, 7);
  RobotClientOptions options;
  options.encode_jpeg = [](const Image& image) -> Result<std::vector<std::uint8_t>> {
    return std::vector<std::uint8_t>{0xff, image.rgb[0]};
  };
  start(options);
  std::optional<RobotObservation> seen;
  do {
    seen = daemon.next<RobotObservation>();
    ASSERT_TRUE(seen.has_value());
  } while (seen->frames.empty());
  EXPECT_EQ(seen->frames[0].jpeg, (std::vector<std::uint8_t>{0xff, 7}));
}

TEST_F(RobotClientTest, ARawFrameWithoutAnEncoderOrOfTheWrongSizeIsTold) {
  robot.rgb.assign(64 * 48 * 3, 7);
  start();
  auto report = daemon.next<RobotReport>();
  ASSERT_TRUE(report.has_value());
  EXPECT_NE(report->status.message().find("encode_jpeg"), std::string::npos);
  robot.read([&] {
    robot.rgb.resize(5);
    return true;
  });
  do {
    report = daemon.next<RobotReport>();
    ASSERT_TRUE(report.has_value());
  } while (report->status.message().find("of 5 bytes") == std::string::npos);
}

class AbsoluteRobotClientTest : public RobotClientTest {
 protected:
  AbsoluteRobotClientTest() : RobotClientTest(absolute_spec()) {}
  static RobotSpec absolute_spec() {
    RobotSpec spec = test::small_spec();
    spec.action.channels[0].absolute = true;
    return spec;
  }
};

TEST_F(AbsoluteRobotClientTest, ARobotThatTakesPositionsIsGivenThem) {
  start();
  robot.x = 0.5f;
  std::optional<RobotObservation> seen;
  do {
    seen = daemon.next<RobotObservation>();
    ASSERT_TRUE(seen.has_value());
  } while (seen->proprioception[0] != 0.5f);
  daemon.drive({1.0f, -1.0f});
  ASSERT_TRUE(robot.wait([&] { return !robot.applied.empty(); }));
  const Action first = robot.read([&] { return robot.applied[0]; });
  // 0.25 m/s for 5 ms from where it is; the other channel takes rates.
  EXPECT_FLOAT_EQ(first[0], 0.50125f);
  EXPECT_FLOAT_EQ(first[1], -1.0f);
}

TEST_F(RobotClientTest, TellsThatTheRobotEndsItsEpisodeAndThatItStoppedItself) {
  start();
  robot.over = Over::kTruncated;
  robot.stops_itself = true;
  std::optional<RobotObservation> seen;
  do {
    seen = daemon.next<RobotObservation>();
    ASSERT_TRUE(seen.has_value());
  } while (!seen->estopped);
  EXPECT_EQ(seen->over, Over::kTruncated);
}

TEST(RobotClient, SaysWhereNobodyAnswers) {
  RecordingRobot robot;
  RobotClientOptions options;
  options.endpoint = "tcp://127.0.0.1:1";
  options.patience = milliseconds(50);
  const auto connected = RobotClient::connect(options, robot);
  EXPECT_EQ(connected.status().code(), Code::kUnavailable);
  EXPECT_NE(connected.status().message().find("tcp://127.0.0.1:1"), std::string::npos);
}

TEST(RobotClient, LeavesThisMachineOnlyWhenConnectionsAreSecured) {
  RecordingRobot robot;
  RobotClientOptions options;
  for (const char* endpoint :
       {"tcp://192.168.1.5:5571", "tcp://robot.local:5571", "ipc:///tmp/x"}) {
    options.endpoint = endpoint;
    const auto connected = RobotClient::connect(options, robot);
    EXPECT_EQ(connected.status().code(), Code::kInvalidArgument) << endpoint;
    EXPECT_NE(connected.status().message().find("nudge auth key make"), std::string::npos);
  }
}

TEST(RobotClient, RefusesOptionsThatMakeNoSense) {
  RecordingRobot robot;  // 5 ms
  RobotClientOptions options;
  options.endpoint = "nonsense";
  EXPECT_EQ(RobotClient::connect(options, robot).status().code(), Code::kInvalidArgument);
  options = {};
  options.silence = milliseconds(14);
  EXPECT_EQ(RobotClient::connect(options, robot).status().code(), Code::kInvalidArgument);
  options = {};
  options.fresh = milliseconds(501);
  EXPECT_EQ(RobotClient::connect(options, robot).status().code(), Code::kInvalidArgument);
  RobotSpec spec = test::small_spec();
  spec.action.channels.clear();
  RecordingRobot without(spec);
  EXPECT_EQ(RobotClient::connect({}, without).status().code(), Code::kInvalidArgument);
}

// A process that drives the robot until it is stopped. Its socket is its own: nothing that began
// before the fork is used after it.
[[noreturn]] void drive_for_ever(int port_pipe) {
  FakeDaemon daemon;
  const std::string endpoint = daemon.endpoint() + "\n";
  if (::write(port_pipe, endpoint.data(), endpoint.size()) < 0) ::_exit(1);
  if (!daemon.welcome(7)) ::_exit(2);
  while (true) {
    const auto seen = daemon.newest();
    if (!seen) ::_exit(3);
    daemon.send(RobotAction{++daemon.sequence, seen->tick, milliseconds(500), {1, 1}});
  }
}

TEST(RobotClient, HoldsWithin200MillisecondsAfterItsDaemonWasStopped) {
  Duration fastest = Duration::max();
  for (int attempt = 0; attempt < 5 && fastest > milliseconds(200); ++attempt) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) drive_for_ever(ends[1]);
    std::string endpoint;
    for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) endpoint.push_back(c);
    ::close(ends[0]);
    ::close(ends[1]);

    RecordingRobot robot;
    RobotClientOptions options;
    options.endpoint = endpoint;
    auto client = RobotClient::connect(options, robot);
    ASSERT_TRUE(client.ok()) << client.status().message();
    std::atomic<bool> stop{false};
    std::thread runner([&] { EXPECT_TRUE((*client)->run(stop).ok()); });
    EXPECT_TRUE(robot.wait([&] { return robot.applied.size() >= 20; }));
    const Instant stopped = steady_now();
    ::kill(child, SIGSTOP);
    EXPECT_TRUE(robot.wait([&] { return robot.held && robot.held_at > stopped; }));
    fastest = std::min(fastest, robot.read([&] { return robot.held_at; }) - stopped);
    stop = true;
    runner.join();
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  RecordProperty("milliseconds", std::to_string(fastest / milliseconds(1)));
  EXPECT_LE(fastest, milliseconds(200));
}

}  // namespace
}  // namespace nudge
