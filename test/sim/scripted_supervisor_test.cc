#include "src/sim/scripted_supervisor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "src/sim/demonstrator.h"
#include "src/sim/expert.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

constexpr Instant kStart{std::chrono::seconds(5)};
constexpr Vec3 kBlock = {0.4, 0.0, 0.02};

// What is seen `after` the start with the open hand `height` above the block.
Observation above(Duration after, double height) {
  Observation o;
  o.time = kStart + after;
  const float z = static_cast<float>(kBlock[2] + height);
  o.proprioception = {0.4f, 0.0f, z, 0.08f};
  o.object_state = {0.4f, 0.0f, 0.02f, 0.0f, 0.0f, static_cast<float>(-height)};
  return o;
}

// A robot that does not move is watched at 10 Hz until the supervisor asks to take over.
Duration until_takeover(ScriptedSupervisor& supervisor, Duration from, double height) {
  for (Duration t = from; t < from + std::chrono::seconds(8); t += milliseconds(100)) {
    if (supervisor.step(above(t, height), false).act == SupervisorAct::kTakeOver) return t - from;
  }
  return Duration::max();
}

TEST(ScriptedSupervisor, AsksToTakeOverAfterASecondWithoutProgressAndItsReactionTime) {
  ScriptedSupervisor supervisor;
  EXPECT_EQ(until_takeover(supervisor, {}, 0.2), milliseconds(1300));
}

TEST(ScriptedSupervisor, ReactsEquallyFastWhenItLooksAtEveryControlTick) {
  ScriptedSupervisor supervisor;
  Duration t{};
  while (supervisor.step(above(t, 0.2), false).act == SupervisorAct::kNothing) {
    t += milliseconds(20);
    ASSERT_LT(t, std::chrono::seconds(3));
  }
  EXPECT_EQ(t, milliseconds(1300));
}

TEST(ScriptedSupervisor, LeavesAPolicyAloneThatMakesProgress) {
  ScriptedSupervisor supervisor;
  double height = 0.28;
  for (int step = 0; step < 25; ++step, height -= 0.01) {
    EXPECT_EQ(supervisor.step(above(step * milliseconds(100), height), false).act,
              SupervisorAct::kNothing);
  }
}

TEST(ScriptedSupervisor, ChangesItsMindWhenProgressResumesBeforeItReacts) {
  ScriptedSupervisor supervisor;
  Duration t{};
  for (; t < milliseconds(1200); t += milliseconds(100)) {
    ASSERT_EQ(supervisor.step(above(t, 0.2), false).act, SupervisorAct::kNothing);
  }
  for (int step = 0; step < 5; ++step, t += milliseconds(100)) {
    EXPECT_EQ(supervisor.step(above(t, 0.17 - 0.02 * step), false).act, SupervisorAct::kNothing);
  }
}

TEST(ScriptedSupervisor, LosesPatienceWithMotionToAndFro) {
  ScriptedSupervisor supervisor;
  Duration t{};
  for (; t < std::chrono::seconds(8); t += milliseconds(100)) {
    const bool up = (t / milliseconds(400)) % 2 == 0;
    if (supervisor.step(above(t, up ? 0.2 : 0.25), false).act == SupervisorAct::kTakeOver) break;
  }
  EXPECT_EQ(t, milliseconds(3300));
}

TEST(ScriptedSupervisor, KeepsAskingUntilItIsGivenControl) {
  ScriptedSupervisor supervisor;
  const Duration asked = until_takeover(supervisor, {}, 0.2);
  for (int step = 1; step < 5; ++step) {
    EXPECT_EQ(supervisor.step(above(asked + step * milliseconds(100), 0.2), false).act,
              SupervisorAct::kTakeOver);
  }
  EXPECT_EQ(supervisor.takeovers(), 0u);
  EXPECT_EQ(supervisor.step(above(asked + milliseconds(500), 0.2), true).act, SupervisorAct::kJog);
  EXPECT_EQ(supervisor.takeovers(), 1u);
}

TEST(ScriptedSupervisor, DrivesAtLeastItsMinimumAndUntilThreeCentimetresOfProgress) {
  ScriptedSupervisor supervisor;
  Duration t = until_takeover(supervisor, {}, 0.2) + milliseconds(100);
  const Duration start = t;
  for (; t < start + milliseconds(1200); t += milliseconds(100)) {  // progress, but too early
    ASSERT_EQ(supervisor.step(above(t, 0.1), true).act, SupervisorAct::kJog);
  }
  EXPECT_EQ(supervisor.step(above(t, 0.18), true).act,
            SupervisorAct::kJog);  // late, but too little
}

TEST(ScriptedSupervisor, HandsBackOnceThereIsProgressUntilThePolicyDrives) {
  ScriptedSupervisor supervisor;
  Duration t = until_takeover(supervisor, {}, 0.2) + milliseconds(100);
  ASSERT_EQ(supervisor.step(above(t, 0.2), true).act, SupervisorAct::kJog);
  t += milliseconds(1200);
  EXPECT_EQ(supervisor.step(above(t, 0.15), true).act, SupervisorAct::kHandBack);
  EXPECT_EQ(supervisor.step(above(t + milliseconds(100), 0.2), true).act, SupervisorAct::kHandBack);
  EXPECT_EQ(supervisor.step(above(t + milliseconds(200), 0.2), false).act, SupervisorAct::kNothing);
  EXPECT_EQ(supervisor.driven(), milliseconds(1400));
}

// What a supervisor with these options does in a takeover of 2 s in which nothing moves.
std::vector<Supervision> takeover(ScriptedSupervisor& supervisor) {
  std::vector<Supervision> says;
  Duration t = until_takeover(supervisor, {}, 0.2);
  for (int step = 0; step < 20; ++step) {
    says.push_back(supervisor.step(above(t += milliseconds(100), 0.2), true));
  }
  return says;
}

TEST(ScriptedSupervisor, IsAdversarialWithTheOppositeOfWhatIsRightAndHandsBackWithoutProgress) {
  SupervisorOptions options;
  options.wrong_share = 1;
  options.wrong = WrongHand::kAdversarial;
  ScriptedSupervisor wrong(options), right;
  const std::vector<Supervision> a = takeover(wrong), b = takeover(right);
  ASSERT_EQ(b.front().jog.size(), std::size_t{kKitchenActionSize});
  for (int step = 0; step < 12; ++step) {
    ASSERT_EQ(a[step].act, SupervisorAct::kJog) << step;
    for (std::size_t i = 0; i < kKitchenActionSize; ++i) {
      EXPECT_EQ(a[step].jog[i], -b[step].jog[i]) << step;
    }
  }
  EXPECT_EQ(a[12].act, SupervisorAct::kHandBack);
  EXPECT_EQ(b.back().act, SupervisorAct::kJog) << "there is no progress yet";
  EXPECT_EQ(wrong.wrong_takeovers(), 1u);
  EXPECT_EQ(right.wrong_takeovers(), 0u);
}

TEST(ScriptedSupervisor, AtRandomItDrivesSomewhereElseEveryHalfSecond) {
  SupervisorOptions options;
  options.wrong_share = 1;
  ScriptedSupervisor wrong(options);
  const std::vector<Supervision> says = takeover(wrong);
  EXPECT_EQ(says[0].jog, says[4].jog);
  EXPECT_NE(says[4].jog, says[5].jog);
  EXPECT_EQ(says[5].jog, says[9].jog);
  for (const float rate : says[0].jog) EXPECT_LE(std::abs(rate), 1.0f);
  ScriptedSupervisor again(options);
  EXPECT_EQ(takeover(again)[0].jog, says[0].jog) << "the seed fixes it";
  again.begin(2);
  EXPECT_NE(takeover(again)[0].jog, says[0].jog);
}

TEST(ScriptedSupervisor, IsWrongAsOftenAsItIsToldToBe) {
  SupervisorOptions options;
  options.wrong_share = 0.2;
  ScriptedSupervisor supervisor(options);
  int wrong = 0;
  for (std::uint64_t episode = 0; episode < 500; ++episode) {
    supervisor.begin(episode);
    (void)takeover(supervisor);
    wrong += static_cast<int>(supervisor.wrong_takeovers());
  }
  EXPECT_NEAR(wrong, 100, 30);  // more than three standard deviations
}

TEST(ScriptedSupervisor, HandsBackTheControlThatANewEpisodeBeginsWith) {
  ScriptedSupervisor supervisor;
  supervisor.begin(2);
  EXPECT_EQ(supervisor.step(above({}, 0.2), true).act, SupervisorAct::kHandBack);
  EXPECT_EQ(supervisor.step(above(milliseconds(100), 0.2), false).act, SupervisorAct::kNothing);
}

TEST(ScriptedSupervisor, WatchesAfreshAfterHandingBack) {
  ScriptedSupervisor supervisor;
  Duration t = until_takeover(supervisor, {}, 0.2) + milliseconds(100);
  (void)supervisor.step(above(t, 0.2), true);
  t += milliseconds(1200);
  ASSERT_EQ(supervisor.step(above(t, 0.1), true).act, SupervisorAct::kHandBack);
  EXPECT_EQ(until_takeover(supervisor, t + milliseconds(100), 0.1), milliseconds(1300));
}

TEST(ScriptedSupervisor, ChangesItsJogOnlyOncePerPolicyStep) {
  SupervisorOptions options;
  options.hand.unsteadiness = 0.3;
  ScriptedSupervisor supervisor(options);
  Observation o = above({}, 0.2);
  o.object_state[kBlockX] += 0.15f;
  (void)supervisor.step(o, false);
  const Action first = supervisor.step(o, true).jog;
  for (int tick = 1; tick < 5; ++tick) {
    o.time += milliseconds(20);
    EXPECT_EQ(supervisor.step(o, true).jog, first);
  }
  o.time += milliseconds(20);
  EXPECT_NE(supervisor.step(o, true).jog, first);
}

TEST(ScriptedSupervisor, LabelsSuccessOnceWhenTheTaskIsDone) {
  ScriptedSupervisor supervisor;
  (void)supervisor.step(above({}, 0.2), false);
  Observation done = above(milliseconds(100), 0.0);
  done.success = true;
  const Supervision says = supervisor.step(done, false);
  EXPECT_EQ(says.act, SupervisorAct::kLabel);
  EXPECT_EQ(says.label, LabelValue::kSuccess);
  EXPECT_EQ(supervisor.step(done, false).act, SupervisorAct::kNothing);
}

TEST(ScriptedSupervisor, LabelsFailureAtTheLimitOfTimeAlsoWhileItDrives) {
  ScriptedSupervisor supervisor;
  (void)supervisor.step(above({}, 0.2), false);
  (void)supervisor.step(above(milliseconds(100), 0.2), true);
  EXPECT_EQ(supervisor.step(above(milliseconds(9900), 0.2), true).act, SupervisorAct::kJog);
  const Supervision says = supervisor.step(above(milliseconds(10000), 0.2), true);
  EXPECT_EQ(says.act, SupervisorAct::kLabel);
  EXPECT_EQ(says.label, LabelValue::kFailure);
}

TEST(ScriptedSupervisor, OnlyLabelsWhenItIsToldNotToIntervene) {
  SupervisorOptions options;
  options.intervene = false;
  ScriptedSupervisor supervisor(options);
  EXPECT_EQ(until_takeover(supervisor, {}, 0.2), Duration::max());
  EXPECT_EQ(supervisor.step(above(milliseconds(10000), 0.2), false).label, LabelValue::kFailure);
}

TEST(ScriptedSupervisor, NeverStepsInOnTheExpert) {
  auto robot = KitchenRobot::create();
  ASSERT_TRUE(robot.ok());
  ScriptedSupervisor supervisor;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    ASSERT_TRUE((*robot)->reset(seed).ok());
    Expert expert;
    supervisor.begin(seed);
    for (Supervision says; says.act != SupervisorAct::kLabel;) {
      const Observation o = *(*robot)->observe();
      says = supervisor.step(o, false);
      ASSERT_NE(says.act, SupervisorAct::kTakeOver) << "seed " << seed;
      ASSERT_TRUE(hold_for_policy_step(**robot, expert.act(o)).ok());
    }
  }
}

// A policy that knows nothing: the supervisor alone must bring the episode home.
TEST(ScriptedSupervisor, BringsAnEpisodeHomeWithAPolicyThatStandsStill) {
  auto robot = KitchenRobot::create();
  ASSERT_TRUE(robot.ok());
  ScriptedSupervisor supervisor;
  int done = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_TRUE((*robot)->reset(seed).ok());
    supervisor.begin(seed);
    bool human = false;
    for (Supervision says; says.act != SupervisorAct::kLabel;) {
      says = supervisor.step(*(*robot)->observe(), human);
      if (says.act == SupervisorAct::kTakeOver) human = true;
      if (says.act == SupervisorAct::kHandBack) human = false;
      done += says.label == LabelValue::kSuccess;
      const Action action = says.act == SupervisorAct::kJog ? says.jog : Action{0, 0, 0, 0};
      ASSERT_TRUE(hold_for_policy_step(**robot, action).ok());
    }
    EXPECT_GE(supervisor.takeovers(), 1u);
    EXPECT_GT(supervisor.driven(), milliseconds(1200));
  }
  EXPECT_GE(done, 18);
}

}  // namespace
}  // namespace nudge
