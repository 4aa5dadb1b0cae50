// The promises that must hold whatever the rates are: control at 50 to 1,000 Hz, a policy at 5 to
// 50 Hz, on the daemon's own step thread without its clock.
#include <gtest/gtest.h>

#include "src/daemon/step_thread.h"
#include "test/support/fake_robot.h"
#include "test/support/small_policy.h"

namespace nudge {
namespace {

const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};
constexpr Duration kFresh = std::chrono::milliseconds(200);

Instant no_clock() { return Instant{}; }
WallTime no_wall() { return WallTime{}; }

struct Rates {
  Duration control, policy;
};

std::vector<Rates> all_rates() {
  std::vector<Rates> all;
  for (const int policy_ms : {20, 40, 50, 100, 125, 200}) {
    for (const int control_us : {1000, 2000, 2500, 4000, 5000, 10000, 20000}) {
      const Rates rates{std::chrono::microseconds(control_us),
                        std::chrono::milliseconds(policy_ms)};
      if (rates.policy % rates.control == Duration::zero()) all.push_back(rates);
    }
  }
  return all;
}

class AtRates : public ::testing::TestWithParam<Rates> {
 protected:
  void SetUp() override {
    ControllerOptions controller = test::small_controller(robot_.spec());
    controller.limits.max_step = {2.0, 2.0};
    auto made = Controller::make(robot_, controller);
    ASSERT_TRUE(made.ok()) << made.status().message();
    StepThreadOptions options;
    options.clock = no_clock;
    options.wall = no_wall;
    options.episode_steps = 1'000;
    step_ = std::make_unique<StepThread>(robot_, *std::move(made), links_, options);
  }

  void tick() {
    robot_.now += GetParam().control;
    step_->tick(robot_.now, robot_.now);
    if (auto snapshot = links_.snapshot.try_take()) snapshot_ = *std::move(snapshot);
    std::vector<InferenceRequest> requests;
    links_.requests.try_take_all(requests);
    for (const InferenceRequest& request : requests) {
      if (request.step) ++begun_;
      if (!request.chunk) continue;
      ++chunks_;
      links_.chunks.put({.chunk = test::steady_chunk(request.observation.time, 3, 0.5f)});
    }
    std::vector<WriterItem> items;
    links_.writer.try_take_all(items);
    for (WriterItem& item : items) {
      auto* report = std::get_if<StepReport>(&item);
      if (report != nullptr && report->finished) finished_.push_back(*std::move(report->finished));
    }
  }
  void run(Duration length) {
    for (Duration at{}; at < length; at += GetParam().control) tick();
  }
  void act(decltype(AuthorityAct::body) body) {
    ASSERT_TRUE(links_.acts.try_push({.id = "", .actor = kAnna, .body = std::move(body)}));
  }
  void start_policy() {
    links_.loaded = 3;
    act(HandBack{});
    for (int i = 0; i < 4; ++i) tick();
    ASSERT_EQ(snapshot_.state, AuthorityState::kAuto);
  }

  FakeRobot robot_{GetParam().control, GetParam().policy};
  Links links_;
  std::unique_ptr<StepThread> step_;
  Snapshot snapshot_;
  std::vector<Step> finished_;
  int begun_ = 0, chunks_ = 0;
};

TEST_P(AtRates, EveryTickMovesTheRobotAndEveryPolicyPeriodIsOneStep) {
  start_policy();
  finished_.clear();
  begun_ = 0;
  const std::size_t applied = robot_.applied.size();
  run(20 * GetParam().policy);
  EXPECT_EQ(robot_.applied.size() - applied,
            static_cast<std::size_t>(20 * GetParam().policy / GetParam().control));
  EXPECT_EQ(finished_.size(), 20u);
  EXPECT_EQ(begun_, 20);
  for (const Step& step : finished_) {
    EXPECT_EQ(step.flags & (kStepShort | kStepStale), 0u);
    EXPECT_EQ(step.executed, Action({0.5f, 0.5f}));
  }
}

TEST_P(AtRates, ThePolicyIsAskedNoMoreThanOnceForEachOfItsSteps) {
  start_policy();
  chunks_ = 0;
  run(20 * GetParam().policy);
  EXPECT_GE(chunks_, 1);
  EXPECT_LE(chunks_, 21);
}

TEST_P(AtRates, ACommandIsStaleAfterTheSameTimeAtEveryRate) {
  act(TakeoverRequest{});
  tick();
  std::uint64_t sequence = 0;
  const auto jog = [&] {
    links_.jog.put({kAnna, JogCommand{.robot = robot_.spec().id,
                                      .epoch = snapshot_.lease.epoch,
                                      .sequence = ++sequence,
                                      .echoed_tick = snapshot_.tick,
                                      .dead_man = true,
                                      .action = {0.5f, 0.0f}}});
  };
  for (int i = 0; i < 20; ++i) {
    jog();
    tick();
  }
  ASSERT_EQ(snapshot_.state, AuthorityState::kHuman);
  // The newest command echoes the tick before the last one.
  Duration silent = GetParam().control;
  while (snapshot_.state == AuthorityState::kHuman && silent < 2 * kFresh) {
    tick();
    silent += GetParam().control;
  }
  EXPECT_EQ(snapshot_.cause, "command_stale");
  EXPECT_GE(silent, kFresh);
  EXPECT_LE(silent, kFresh + 2 * GetParam().control);
}

TEST_P(AtRates, StopStopsWithinOneTick) {
  start_policy();
  run(GetParam().policy);
  const std::size_t applied = robot_.applied.size();
  ++links_.stop_presses;
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  EXPECT_EQ(robot_.applied.size(), applied);
  EXPECT_GE(robot_.estops.load(), 1);
}

TEST_P(AtRates, ADemonstrationHasAStepForEachPolicyPeriodToo) {
  act(TakeoverRequest{});
  tick();
  std::uint64_t sequence = 0;
  for (Duration at{}; at < 10 * GetParam().policy + 5 * GetParam().control;
       at += GetParam().control) {
    links_.jog.put({kAnna, JogCommand{.robot = robot_.spec().id,
                                      .epoch = snapshot_.lease.epoch,
                                      .sequence = ++sequence,
                                      .echoed_tick = snapshot_.tick,
                                      .dead_man = true,
                                      .action = {0.25f, 0.0f}}});
    tick();
  }
  std::size_t human = 0;
  for (const Step& step : finished_) {
    if (step.source != ControlSource::kHuman) continue;
    // The first one begins with the hand that takes the stick.
    if (++human > 1) {
      EXPECT_EQ(step.executed, Action({0.25f, 0.0f}));
    }
  }
  EXPECT_GE(human, 9u);
  const auto more = static_cast<std::size_t>(5 * GetParam().control / GetParam().policy);
  EXPECT_LE(human, 10u + more);
}

INSTANTIATE_TEST_SUITE_P(Rates, AtRates, ::testing::ValuesIn(all_rates()), [](const auto& info) {
  const auto us = [](Duration d) { return std::to_string(d / std::chrono::microseconds(1)); };
  return "control" + us(info.param.control) + "us_policy" + us(info.param.policy) + "us";
});

}  // namespace
}  // namespace nudge
