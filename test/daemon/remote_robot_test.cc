// A robot in another process, driven by the step thread in real time over the real socket.
#include <gtest/gtest.h>

#include <thread>

#include "nudge/robot_client.h"
#include "src/daemon/step_thread.h"
#include "src/loop/clock.h"
#include "src/ports/robot_port.h"
#include "test/support/loop_thread.h"
#include "test/support/recording_robot.h"
#include "test/support/small_policy.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::eventually;

const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};

class RemoteRobotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.on_loop([&] {
      RobotPortOptions options;
      options.port = 0;
      options.silence = seconds(10);  // a busy machine is no silent robot
      auto port = RobotPort::listen(host_.loop, options);
      ASSERT_TRUE(port.ok()) << port.status().message();
      port_ = *std::move(port);
    });
    RobotClientOptions options;
    options.endpoint = "tcp://127.0.0.1:" + std::to_string(port_->port());
    auto client = RobotClient::connect(options, robot_);
    ASSERT_TRUE(client.ok()) << client.status().message();
    client_ = *std::move(client);
    process_ = std::thread([this] { (void)client_->run(ended_); });
    auto remote = port_->wait_for_robot(seconds(10));
    ASSERT_TRUE(remote.ok()) << remote.status().message();
    remote_ = *remote;
    ASSERT_TRUE(eventually([&] { return remote_->observe().ok(); }));

    ControllerOptions control = test::small_controller(robot_.spec());
    control.authority.watchdog = seconds(2);  // nor is it a fault of the loop
    control.authority.fresh = control.authority.lease = milliseconds(500);  // or of the robot
    auto controller = Controller::make(*remote_, control);
    ASSERT_TRUE(controller.ok()) << controller.status().message();
    StepThreadOptions step;
    step.clock = steady_now;
    step.wall = wall_now;
    step.episode_steps = 100'000;
    step.continuous = false;
    step_ = std::make_unique<StepThread>(*remote_, *std::move(controller), links_, step);
    links_.loaded = 3;
    ASSERT_TRUE(step_->start().ok());
  }
  void TearDown() override {
    if (step_) step_->stop();
    ended_ = true;
    if (process_.joinable()) process_.join();
    if (port_) host_.on_loop([&] { port_.reset(); });
  }

  // What inference and the writer do, until `holds_true`; every state on the way is kept.
  template <typename Condition>
  bool until(Condition&& holds_true) {
    return eventually([&] {
      std::vector<InferenceRequest> requests;
      links_.requests.try_take_all(requests);
      for (const InferenceRequest& request : requests) {
        if (!request.chunk) continue;
        links_.chunks.put({.chunk = test::steady_chunk(request.observation.time, 3, 0.5f)});
      }
      std::vector<WriterItem> items;
      links_.writer.try_take_all(items);
      if (std::optional<Snapshot> snapshot = links_.snapshot.try_take()) {
        snapshot_ = *std::move(snapshot);
        faulted_ = faulted_ || snapshot_.state == AuthorityState::kFaultHold;
      }
      return holds_true();
    });
  }
  void act(decltype(AuthorityAct::body) body) {
    ASSERT_TRUE(links_.acts.try_push({.id = "", .actor = kAnna, .body = std::move(body)}));
  }
  void on_reset(std::function<void()> work) {
    robot_.read([&] {
      robot_.on_reset = std::move(work);
      return 0;
    });
  }

  test::LoopThread host_;
  test::RecordingRobot robot_;
  std::unique_ptr<RobotPort> port_;
  std::unique_ptr<RobotClient> client_;
  std::shared_ptr<RemoteRobot> remote_;
  Links links_;
  std::unique_ptr<StepThread> step_;
  Snapshot snapshot_;
  bool faulted_ = false;
  std::atomic<bool> ended_{false};
  std::thread process_;
};

TEST_F(RemoteRobotTest, AResetLongerThanFreshIsNoFaultAndThePolicyDrivesAfterIt) {
  std::atomic<bool> done{false};
  std::atomic<std::size_t> applied{1};
  on_reset([&] {
    std::this_thread::sleep_for(milliseconds(1500));
    applied = robot_.read([&] { return robot_.applied.size(); });
    done = true;
  });
  act(HandBack{});
  ASSERT_TRUE(until([&] { return snapshot_.cause == "resetting"; }));
  ASSERT_TRUE(until([&] { return snapshot_.state == AuthorityState::kAuto; }))
      << to_string(snapshot_.state) << " " << snapshot_.cause;
  EXPECT_TRUE(done) << "it did not wait for the reset";
  EXPECT_EQ(applied, 0u);
  EXPECT_FALSE(faulted_) << snapshot_.fault;
  EXPECT_TRUE(until([&] { return robot_.read([&] { return !robot_.applied.empty(); }); }));
}

TEST_F(RemoteRobotTest, SomebodysHoldReachesARobotThatResetsAndTheHoldsOfEachTickDoNot) {
  std::atomic<bool> inside{false};
  std::atomic<bool> ended_by_hold{false};
  on_reset([&] {
    const int before = robot_.read([&] { return robot_.holds; });
    inside = true;
    ended_by_hold = robot_.wait([&] { return robot_.holds > before; }, seconds(10));
  });
  act(HandBack{});
  ASSERT_TRUE(until([&] { return inside.load(); }));
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_FALSE(ended_by_hold) << "a hold that nobody asked for has ended the reset";
  act(Hold{});
  EXPECT_TRUE(until([&] { return ended_by_hold.load(); }));
  EXPECT_TRUE(until([&] { return snapshot_.state == AuthorityState::kHold; }));
  EXPECT_FALSE(faulted_) << snapshot_.fault;
}

TEST_F(RemoteRobotTest, ARobotThatIsLostWhileItResetsDoesNotMoveAgainByItself) {
  std::atomic<bool> inside{false};
  on_reset([&] {
    inside = true;
    while (!ended_) std::this_thread::sleep_for(milliseconds(1));
  });
  act(HandBack{});
  ASSERT_TRUE(until([&] { return inside.load(); }));
  host_.on_loop([&] { port_.reset(); });  // the connection is gone
  ASSERT_TRUE(until([&] { return stands(snapshot_.state); }));
  EXPECT_TRUE(robot_.read([&] { return robot_.applied.empty(); }));
}

}  // namespace
}  // namespace nudge
