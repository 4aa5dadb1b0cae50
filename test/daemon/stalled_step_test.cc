// The real threads against the real clock: a step thread that hangs in its robot's driver, at any
// phase of what it does. NUDGE_LONG=1 asks for a hundred stalls.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "nudge/random.h"
#include "src/daemon/duration_histogram.h"
#include "src/daemon/step_thread.h"
#include "src/daemon/watchdog.h"
#include "src/loop/clock.h"
#include "test/support/fake_robot.h"
#include "test/support/small_policy.h"

namespace nudge {
namespace {

constexpr Duration kLimit = std::chrono::milliseconds(200);
constexpr Duration kStall = std::chrono::milliseconds(700);  // a busy machine may be late to look
const Actor kEngineer = {.name = "anna", .role = Role::kEngineer};

// Its driver hangs when it is told to.
class HangingRobot final : public FakeRobot {
 public:
  Result<Observation> observe() override {
    if (hang.exchange(false)) {
      hanging = true;
      std::this_thread::sleep_for(kStall);
      hanging = false;
    }
    now = steady_now();
    return FakeRobot::observe();
  }
  void hold() override {
    std::int64_t nobody = 0;
    if (hanging) held_at.compare_exchange_strong(nobody, steady_now().time_since_epoch().count());
    FakeRobot::hold();
  }

  std::atomic<bool> hang{false};
  std::atomic<bool> hanging{false};
  std::atomic<std::int64_t> held_at{0};  // when, during the newest stall, ns; 0: nobody has
};

class StalledStepTest : public ::testing::Test {
 protected:
  StalledStepTest() : watchdog_(robot_, links_.heartbeat, steady_now, kLimit, [](Duration) {}) {}

  void SetUp() override {
    ControllerOptions controller = test::small_controller(robot_.spec());
    controller.authority.watchdog = kLimit;
    auto made = Controller::make(robot_, controller);
    ASSERT_TRUE(made.ok()) << made.status().message();
    StepThreadOptions options;
    options.clock = steady_now;
    options.wall = wall_now;
    options.episode_steps = 1'000'000;
    step_ = std::make_unique<StepThread>(robot_, *std::move(made), links_, options);
    links_.loaded = 1;
    EXPECT_TRUE(step_->start().ok());
    watchdog_.start();
  }
  void TearDown() override {
    watchdog_.stop();
    step_->stop();
  }

  // What the other threads do, until `condition` holds.
  template <typename Condition>
  void serve_until(Condition condition) {
    const Instant end = steady_now() + std::chrono::seconds(30);
    while (!condition()) {
      ASSERT_LT(steady_now(), end) << "in vain; the state is " << to_string(snapshot_.state);
      serve();
    }
  }
  void serve() {
    if (std::optional<Snapshot> newest = links_.snapshot.try_take()) {
      snapshot_ = *std::move(newest);
    }
    std::vector<InferenceRequest> requests;
    links_.requests.try_take_all(requests);
    for (const InferenceRequest& request : requests) {
      if (!request.chunk) continue;
      links_.chunks.put({.chunk = test::steady_chunk(request.observation.time, 1, 0.1f)});
    }
    std::vector<WriterItem> items;
    links_.writer.try_take_all(items);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void act(decltype(AuthorityAct::body) body) {
    EXPECT_TRUE(links_.acts.try_push(
        {.id = "act" + std::to_string(++acts_), .actor = kEngineer, .body = std::move(body)}));
  }

  HangingRobot robot_;
  Links links_;
  std::unique_ptr<StepThread> step_;
  Watchdog watchdog_;
  Snapshot snapshot_;
  int acts_ = 0;
};

TEST_F(StalledStepTest, TheRobotHoldsWhileItLastsAndNothingGoesOnByItselfAfterwards) {
  const char* long_form = std::getenv("NUDGE_LONG");
  const int stalls = long_form != nullptr && *long_form == '1' ? 100 : 3;
  Random random(1);
  DurationHistogram until_hold;  // since the newest tick before the stall
  for (int i = 0; i < stalls; ++i) {
    act(HandBack{});
    serve_until([&] { return snapshot_.state == AuthorityState::kAuto; });
    const Instant phase = steady_now() + from_seconds(random.uniform() * 0.2);
    serve_until([&] { return steady_now() >= phase; });
    robot_.held_at = 0;
    robot_.hang = true;
    serve_until([&] { return robot_.hanging.load(); });
    const Instant newest{Duration(links_.heartbeat.load())};
    serve_until([&] { return !robot_.hanging; });
    ASSERT_NE(robot_.held_at, 0) << "nobody held the robot";
    const Duration until = Duration(robot_.held_at.load()) - newest.time_since_epoch();
    EXPECT_GE(until, kLimit);
    until_hold.add(until);

    serve_until([&] { return snapshot_.state == AuthorityState::kFaultHold; });
    EXPECT_EQ(snapshot_.cause, "loop_gap");
    const ControlTick then = snapshot_.tick;
    serve_until([&] { return snapshot_.tick > then + 5; });
    EXPECT_EQ(snapshot_.state, AuthorityState::kFaultHold);
    act(ResetFault{});
    serve_until([&] { return snapshot_.state == AuthorityState::kHold; });
  }
  EXPECT_EQ(watchdog_.stalls(), static_cast<std::uint64_t>(stalls));
  std::cout << stalls << " stalls: held after p50 " << 1e3 * seconds(until_hold.quantile(0.5))
            << " ms, worst " << 1e3 * seconds(until_hold.worst()) << " ms\n";
}

}  // namespace
}  // namespace nudge
