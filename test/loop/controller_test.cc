#include "src/loop/controller.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "test/support/fake_robot.h"

namespace nudge {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};

class ControllerTest : public ::testing::Test {
 protected:
  void SetUp() override { make({}); }

  void make(ControllerOptions options) {
    options.authority.robot = robot_.spec().id;
    options.authority.control_period = robot_.spec().control_period;
    options.limits.max_step = {2.0, 2.0};  // no smoothing: what is asked for is what is done
    options.player.policy_period = robot_.spec().policy_period;
    options.player.horizon = 8;
    options.player.action_size = 2;
    auto controller = Controller::make(robot_, options);
    ASSERT_TRUE(controller.ok()) << controller.status().message();
    controller_ = *std::move(controller);
    controller_->begin_episode(1, now());
  }

  Instant now() const { return robot_.now; }

  TickOutcome tick(std::vector<AuthorityAct> acts = {}, const SentJog* jog = nullptr) {
    robot_.now += kTick;
    acts_ = std::move(acts);
    ControlInputs inputs;
    inputs.acts = acts_;
    inputs.jog = jog;
    const TickOutcome outcome = controller_->tick(now(), WallTime{}, inputs);
    if (outcome.finished) finished_.push_back(*outcome.finished);
    return outcome;
  }

  Status load_chunk(float value, WeightsVersion version = 1) {
    ActionChunk chunk;
    chunk.horizon = 8;
    chunk.action_size = 2;
    chunk.version = version;
    chunk.observed = now();
    chunk.actions.assign(16, value);
    return controller_->player().load(std::move(chunk), now());
  }

  void start_policy(float value = 0.5f) {
    tick({{.id = "s", .actor = kAnna, .body = HandBack{}}});
    for (int i = 0; i < 5 && controller_->authority().state() != AuthorityState::kAuto; ++i) {
      (void)load_chunk(value);
      tick();
    }
    ASSERT_EQ(controller_->authority().state(), AuthorityState::kAuto);
  }

  FakeRobot robot_;
  std::unique_ptr<Controller> controller_;
  std::vector<AuthorityAct> acts_;
  std::vector<Step> finished_;
};

TEST_F(ControllerTest, HoldsTheRobotUntilSomebodyStartsThePolicy) {
  ASSERT_TRUE(load_chunk(0.5f).ok());
  for (int i = 0; i < 10; ++i) tick();
  EXPECT_TRUE(robot_.applied.empty() || robot_.applied.back() == Action({0, 0}));
  EXPECT_EQ(controller_->authority().state(), AuthorityState::kHold);
}

TEST_F(ControllerTest, CutsAPolicyStepEveryPolicyPeriod) {
  start_policy();
  finished_.clear();
  for (int i = 0; i < 25; ++i) tick();
  ASSERT_EQ(finished_.size(), 5u);
  for (const Step& step : finished_) {
    EXPECT_EQ(step.source, ControlSource::kPolicy);
    EXPECT_EQ(step.flags & kStepShort, 0u);
  }
}

TEST_F(ControllerTest, NumbersThePolicyStepsOfAnEpisodeWithoutGaps) {
  start_policy();
  for (int i = 0; i < 30; ++i) tick();
  for (std::size_t i = 0; i < finished_.size(); ++i) EXPECT_EQ(finished_[i].policy_step, i);
}

TEST_F(ControllerTest, RecordsWhatWasProposedRequestedAndExecuted) {
  start_policy(0.5f);
  finished_.clear();
  for (int i = 0; i < 10; ++i) tick();
  const Step& step = finished_.back();
  EXPECT_EQ(step.proposed, Action({0.5f, 0.5f}));
  EXPECT_EQ(step.requested, Action({0.5f, 0.5f}));
  EXPECT_EQ(step.executed, Action({0.5f, 0.5f}));
  EXPECT_EQ(step.weights, 1u);
}

TEST_F(ControllerTest, EndsTheStepEarlyWhenControlChangesHands) {
  start_policy();
  while (finished_.empty() || finished_.back().source != ControlSource::kPolicy) tick();
  tick();
  finished_.clear();
  tick({{.id = "t", .actor = kAnna, .body = TakeoverRequest{}}});
  ASSERT_EQ(finished_.size(), 1u);
  EXPECT_EQ(finished_.front().source, ControlSource::kPolicy);
  EXPECT_NE(finished_.front().flags & kStepShort, 0u);
}

TEST_F(ControllerTest, StopsPlayingThePolicyAtTheTickOfATakeover) {
  start_policy();
  const TickOutcome outcome = tick({{.id = "t", .actor = kAnna, .body = TakeoverRequest{}}});
  EXPECT_EQ(outcome.played, 0u);
  EXPECT_NE(outcome.decision->source, ControlSource::kPolicy);
}

TEST_F(ControllerTest, SaysWhichVersionMovedTheRobot) {
  start_policy();
  EXPECT_EQ(tick().played, 1u);
  ASSERT_TRUE(load_chunk(0.1f, 2).ok());
  EXPECT_EQ(tick().played, 2u);
}

TEST_F(ControllerTest, FaultsWhenTheRobotStopsAnswering) {
  start_policy();
  robot_.silent = true;
  int ticks = 0;
  while (controller_->authority().state() == AuthorityState::kAuto && ticks < 100) {
    const TickOutcome outcome = tick();
    EXPECT_EQ(outcome.robot.code(), Code::kUnavailable);
    (void)load_chunk(0.5f);
    ++ticks;
  }
  EXPECT_EQ(controller_->authority().state(), AuthorityState::kFaultHold);
  EXPECT_LE(ticks, 11) << "later than FRESH plus a tick";
}

TEST_F(ControllerTest, FaultsWhenTheRobotReportsNaN) {
  start_policy();
  robot_.position = std::numeric_limits<float>::quiet_NaN();
  tick();
  EXPECT_EQ(controller_->authority().state(), AuthorityState::kFaultHold);
  robot_.applied.clear();
  for (int i = 0; i < 20; ++i) tick();
  for (const Action& action : robot_.applied) {
    for (const float value : action) EXPECT_EQ(value, 0.0f);
  }
}

TEST_F(ControllerTest, NeverPassesANonFiniteChunkOn) {
  start_policy();
  ActionChunk chunk;
  chunk.horizon = 8;
  chunk.action_size = 2;
  chunk.version = 2;
  chunk.observed = now();
  chunk.actions.assign(16, std::numeric_limits<float>::infinity());
  EXPECT_EQ(controller_->player().load(std::move(chunk), now()).code(), Code::kInvalidArgument);
  for (int i = 0; i < 10; ++i) tick();
  for (const Action& action : robot_.applied) {
    for (const float value : action) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST_F(ControllerTest, StopsAtOnceAndForGoodOnStop) {
  start_policy();
  robot_.now += kTick;
  ControlInputs inputs;
  inputs.stop_presses = 1;
  const TickOutcome outcome = controller_->tick(now(), WallTime{}, inputs);
  EXPECT_EQ(outcome.decision->motion, Motion::kEstop);
  EXPECT_EQ(robot_.estops, 1);
  robot_.applied.clear();
  for (int i = 0; i < 50; ++i) {
    (void)load_chunk(0.5f);
    robot_.now += kTick;
    (void)controller_->tick(now(), WallTime{}, inputs);
  }
  EXPECT_TRUE(robot_.applied.empty());
}

TEST_F(ControllerTest, ARobotThatWasStoppedIsToldWhenStopIsReset) {
  start_policy();
  robot_.refused_resets = 2;
  tick({{.id = "stop", .actor = kAnna, .body = Stop{}}});
  EXPECT_GE(robot_.estops, 1);
  tick();
  EXPECT_EQ(robot_.estop_resets, 0);
  tick({{.id = "reset", .actor = {.name = "eve", .role = Role::kEngineer}, .body = ResetStop{}}});
  ASSERT_EQ(controller_->authority().state(), AuthorityState::kHold);
  tick();
  tick();
  tick();
  EXPECT_EQ(robot_.estop_resets, 3) << "until it agrees, and no longer";
}

// ---- cameras ----------------------------------------------------------------------------------

TEST_F(ControllerTest, ARawPictureIsComparedTooAndItsJpegMayComeLater) {
  ControllerOptions options;
  options.cameras = {"front"};
  options.camera_same = std::chrono::seconds(1);
  make(options);
  robot_.images.resize(1);
  Image& frame = robot_.images[0];
  frame.camera = "front";
  frame.rgb = {1, 2, 3};
  const auto film = [&] {
    frame.captured = robot_.now + kTick;
    return tick().frozen;
  };
  for (int i = 0; i <= 50; ++i) EXPECT_EQ(film(), "") << i;
  frame.jpeg = {0xff, 0xd8};
  EXPECT_EQ(film(), "front");
  frame.rgb[2] = 4;
  EXPECT_EQ(film(), "");
}

TEST_F(ControllerTest, AFrameThatIsMissingForATickIsComparedWithTheOneBefore) {
  ControllerOptions options;
  options.cameras = {"front"};
  options.camera_same = std::chrono::seconds(1);
  make(options);
  Image frame;
  frame.camera = "front";
  frame.jpeg = {0xff, 0xd8, 7};
  std::string_view frozen;
  for (int i = 0; i < 60; ++i) {
    robot_.images.clear();
    frozen = tick().frozen;
    frame.captured = robot_.now + kTick;
    robot_.images = {frame};
    frozen = tick().frozen;
  }
  EXPECT_EQ(frozen, "front");
}

TEST_F(ControllerTest, ATimeForTheSamePictureIsNoShorterThanForAnyPicture) {
  ControllerOptions options;
  options.authority.robot = robot_.spec().id;
  options.authority.control_period = robot_.spec().control_period;
  options.player.policy_period = robot_.spec().policy_period;
  options.player.horizon = 8;
  options.player.action_size = 2;
  options.camera_same = options.authority.camera_fresh - std::chrono::milliseconds(1);
  const auto refused = Controller::make(robot_, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("camera_same"), std::string::npos);
  options.camera_same = options.authority.camera_fresh;
  EXPECT_TRUE(Controller::make(robot_, options).ok());
}

}  // namespace
}  // namespace nudge
