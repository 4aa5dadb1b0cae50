// A robot that asks, on the step thread: what it says of itself between its requests.
#include <gtest/gtest.h>

#include <cmath>

#include "src/daemon/step_thread.h"
#include "src/loop/asking_robot.h"
#include "test/support/small_policy.h"

namespace nudge {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};

Instant no_clock() { return Instant(); }
WallTime no_wall() { return WallTime(); }

// Its program, as tests tell it.
class FakeProgram final : public AskingRobot {
 public:
  FakeProgram() {
    spec_.id = "fake";
    spec_.control_period = kTick;
    spec_.policy_period = 5 * kTick;
    spec_.observation.proprioception = {{"x", "m", -1, 1}};
    spec_.observation.object_state = {{"x", "m", -1, 1}};
    spec_.action.channels = {{"x", "m/s", -0.25f, 0.25f}, {"y", "m/s", -0.25f, 0.25f}};
  }
  const RobotSpec& spec() const override { return spec_; }
  Status reset(std::uint64_t) override { return {}; }
  bool resetting() override { return rests; }
  Result<Observation> observe() override {
    if (rests) return unavailable("the program asks for nothing");
    Observation observation;
    observation.time = asked;
    observation.proprioception = {0};
    observation.object_state = {0};
    return observation;
  }
  Status apply(const Action&, Instant) override { return {}; }
  void hold() override {}
  void estop() override {}
  Status reset_estop() override { return {}; }
  bool policy_elsewhere() const override { return elsewhere; }
  AskingNews take_news() override { return std::exchange(news, {.no_takeover = news.no_takeover}); }
  Instant newest() const override { return asked; }
  void plan(const ActionChunk& chunk) override { plans.push_back(chunk.observed); }
  void decided(TickVerdict verdict) override { newest_verdict = std::move(verdict); }

  Instant asked = Instant(std::chrono::seconds(1));
  bool rests = false, elsewhere = false;
  AskingNews news;
  std::vector<Instant> plans;
  TickVerdict newest_verdict;

 private:
  RobotSpec spec_;
};

class AskingRobotTest : public ::testing::Test {
 protected:
  AskingRobotTest() {
    ControllerOptions controller = test::small_controller(robot_.spec());
    controller.authority.asks = true;
    controller.authority.state_fresh = std::chrono::seconds(5);
    controller.limits.max_step = {2.0, 2.0};
    controller.executed_unknown = true;
    auto made = Controller::make(robot_, controller);
    EXPECT_TRUE(made.ok()) << made.status().message();
    StepThreadOptions options;
    options.clock = no_clock;
    options.wall = no_wall;
    options.instruction = "lift";
    options.asking = &robot_;
    step_ = std::make_unique<StepThread>(robot_, *std::move(made), links_, options);
  }

  void tick(int count = 1) {
    for (int i = 0; i < count; ++i) {
      now_ += kTick;
      step_->tick(now_, now_);
      if (auto snapshot = links_.snapshot.try_take()) snapshot_ = *std::move(snapshot);
      std::vector<InferenceRequest> requests;
      links_.requests.try_take_all(requests);
      for (const InferenceRequest& request : requests) {
        if (request.needed) needed_ = request.needed->step;
        if (!request.chunk) continue;
        links_.chunks.put(
            {.chunk = test::steady_chunk(request.observation.time, links_.loaded, 0.5f)});
      }
      std::vector<WriterItem> items;
      links_.writer.try_take_all(items);
      for (WriterItem& item : items) {
        if (auto* report = std::get_if<StepReport>(&item)) reports_.push_back(std::move(*report));
      }
    }
  }
  void ask() { robot_.asked = now_; }
  void act(decltype(AuthorityAct::body) body) {
    EXPECT_TRUE(links_.acts.try_push(
        {.id = "act" + std::to_string(++acts_), .actor = kAnna, .body = std::move(body)}));
  }
  void start() {
    links_.loaded = 3;
    act(HandBack{});
    tick();
    ask();
    tick(4);
    ASSERT_EQ(snapshot_.state, AuthorityState::kAuto);
  }

  FakeProgram robot_;
  Links links_;
  std::unique_ptr<StepThread> step_;
  Instant now_{std::chrono::seconds(1)};
  Snapshot snapshot_;
  std::vector<StepReport> reports_;
  std::optional<std::uint32_t> needed_;
  int acts_ = 0;
};

TEST_F(AskingRobotTest, ThatAsksForNothingHoldsAndIsNoFault) {
  robot_.rests = true;
  tick(50 * 120);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.robot_trouble, "the program asks for nothing");
}

TEST_F(AskingRobotTest, GetsOneChunkForEachOfItsObservations) {
  start();
  tick(40);
  EXPECT_EQ(robot_.plans.size(), 1u);
  ask();
  tick(4);
  ASSERT_EQ(robot_.plans.size(), 2u);
  EXPECT_EQ(robot_.plans.back(), robot_.asked);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto) << "it waits as long as it likes";
}

TEST_F(AskingRobotTest, RestsForLongerThanAResetMayTakeAndIsHeld) {
  start();
  robot_.rests = true;
  tick(50 * 20);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  tick(50 * 20);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
}

TEST_F(AskingRobotTest, BeginsEpisodesByItselfAndThePolicyDrivesOn) {
  start();
  tick(10);
  reports_.clear();
  robot_.news.new_episode = true;
  robot_.news.instruction = "now the cup";
  ask();
  tick(4);
  std::vector<std::string> begun;
  for (const StepReport& report : reports_) {
    if (report.over) {
      EXPECT_EQ(report.over->reason, EpisodeEnd::kReset);
    }
    if (report.begun) begun.push_back(report.begun->instruction);
  }
  EXPECT_EQ(begun, (std::vector<std::string>{"now the cup"}));
  EXPECT_EQ(robot_.plans.back(), robot_.asked) << "what it saw before its episode began is of it";
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
}

TEST_F(AskingRobotTest, ThatIsGoneIsHeldUntilSomebodyActs) {
  start();
  robot_.news.hold = "the robot's program has gone";
  tick(2);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  ask();
  tick(50);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
}

TEST_F(AskingRobotTest, SaysWhyNobodyCanTakeOver) {
  robot_.news.no_takeover = "it plays 533 ms";
  act(TakeoverRequest{});
  tick();
  ASSERT_EQ(reports_.size(), 1u);
  ASSERT_EQ(reports_[0].decision.answers.size(), 1u);
  EXPECT_EQ(reports_[0].decision.answers[0].status.message(), "it plays 533 ms");
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
}

TEST_F(AskingRobotTest, IsToldWhatEachTickDecided) {
  tick();
  EXPECT_EQ(robot_.newest_verdict.state, AuthorityState::kHold);
  EXPECT_EQ(robot_.newest_verdict.observed, robot_.asked);
  start();
  EXPECT_EQ(robot_.newest_verdict.state, AuthorityState::kAuto);
  EXPECT_EQ(robot_.newest_verdict.rates, Action({0.5f, 0.5f}));
}

TEST_F(AskingRobotTest, LeavesStepsWithoutWhatWasExecuted) {
  start();
  tick(20);
  bool any = false;
  for (const StepReport& report : reports_) {
    if (!report.finished) continue;
    any = true;
    EXPECT_TRUE(report.finished->executed.empty());
  }
  EXPECT_TRUE(any);
}

TEST_F(AskingRobotTest, PlaysTheChunksOfAPolicyElsewhere) {
  robot_.elsewhere = true;
  act(HandBack{});
  tick();
  ask();
  robot_.news.proposal = test::steady_chunk(robot_.asked, 0, 0.25f);
  tick(2);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_EQ(snapshot_.proposed, Action({0.25f, 0.25f}));
}

TEST_F(AskingRobotTest, OfAPolicyElsewhereIsCorrectedBeforeThereAreWeights) {
  const auto purpose_of_the_first = [this] {
    act(HandBack{});
    tick(4);
    for (const StepReport& report : reports_) {
      if (report.begun) return report.begun->purpose;
    }
    ADD_FAILURE() << "no episode began";
    return EpisodePurpose::kEvaluation;
  };
  robot_.elsewhere = true;
  EXPECT_EQ(purpose_of_the_first(), EpisodePurpose::kDeployment);
}

TEST_F(AskingRobotTest, IsFaultyWhenAHeadsEditIsNotFiniteUntilThoseWeightsAreGone) {
  robot_.elsewhere = true;
  links_.loaded = 3;
  act(HandBack{});
  tick();
  ask();
  links_.chunks.put({.chunk = test::steady_chunk(robot_.asked, 3, 0.25f)});
  tick(2);
  ASSERT_EQ(snapshot_.state, AuthorityState::kAuto);
  ask();
  ActionChunk broken = test::steady_chunk(robot_.asked, 3, 0.25f);
  broken.actions[1] = std::nanf("");
  links_.chunks.put({.chunk = broken});
  reports_.clear();
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kFaultHold);
  ASSERT_EQ(reports_.size(), 1u);
  ASSERT_TRUE(reports_[0].chunk.has_value());
  EXPECT_EQ(reports_[0].chunk->taken.code(), Code::kInvalidArgument) << "they are rolled back";
  ask();
  links_.chunks.put({.chunk = test::steady_chunk(robot_.asked, 3, 0.25f)});
  tick(50);
  EXPECT_EQ(snapshot_.state, AuthorityState::kFaultHold) << "nothing resumes by itself";
  const auto reset = [this] {
    EXPECT_TRUE(links_.acts.try_push(
        {.id = "", .actor = {.name = "eve", .role = Role::kEngineer}, .body = ResetFault{}}));
    tick(2);
  };
  reset();
  EXPECT_EQ(snapshot_.state, AuthorityState::kFaultHold) << "the weights are still in use";
  links_.loaded = 2;
  tick();
  reset();
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
}

TEST_F(AskingRobotTest, ActsDoNotWaitForTheReferencesOfTheStepsBeforeThem) {
  start();
  needed_.reset();
  tick(20);
  EXPECT_FALSE(needed_.has_value()) << "a step that ends by itself may wait";
  reports_.clear();
  act(TakeoverRequest{});
  tick();
  ASSERT_EQ(snapshot_.state, AuthorityState::kTakeover);
  ASSERT_FALSE(reports_.empty());
  ASSERT_TRUE(reports_.back().finished.has_value());
  EXPECT_EQ(needed_, reports_.back().finished->policy_step);
  for (int i = 0; i < 16; ++i) {
    InferenceRequest full;
    (void)links_.requests.try_push(std::move(full));
  }
  needed_.reset();
  act(Release{});
  tick();
  EXPECT_FALSE(needed_.has_value()) << "there was no room";
  tick();
  EXPECT_TRUE(needed_.has_value());
}

TEST_F(AskingRobotTest, PlaysWhatAHeadMadeOfAChunkElsewhereAndPlansNothingOfIt) {
  robot_.elsewhere = true;
  links_.loaded = 3;
  act(HandBack{});
  tick();
  ask();
  // It came between the beginning of the next tick and this moment.
  const ActionChunk edited = test::steady_chunk(now_ + kTick + kTick / 4, 3, 0.25f);
  robot_.asked = edited.observed;
  links_.chunks.put({.chunk = edited});
  tick(2);
  EXPECT_EQ(snapshot_.proposed, Action({0.25f, 0.25f}));
  EXPECT_EQ(snapshot_.playing, 3u);
  EXPECT_TRUE(robot_.plans.empty()) << "the io thread has it already";
}

}  // namespace
}  // namespace nudge
