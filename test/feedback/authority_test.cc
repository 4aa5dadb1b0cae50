#include "feedback/authority.h"

#include <algorithm>
#include <cmath>

#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

using S = AuthorityState;
using std::chrono::milliseconds;

double largest(const Action& action) {
  double most = 0;
  for (const float v : action) most = std::max(most, std::abs(double{v}));
  return most;
}

// Lets the clock run to `t` after `from`, with the last tick exactly there.
void run_to(Rig& rig, Instant from, Duration t) {
  while (rig.now + kPeriod < from + t) rig.step();
  rig.now = from + t;
  rig.step();
}

// ---- boot and STOP ----------------------------------------------------------------------------

TEST(Authority, BootsInHoldAndStaysThereWithoutAnAct) {
  Rig rig;
  rig.proposing = true;
  for (int i = 0; i < 1000; ++i) {
    const Decision& decision = rig.step();
    ASSERT_EQ(decision.state, S::kHold);
    ASSERT_EQ(decision.motion, Motion::kHold);
    ASSERT_EQ(decision.source, ControlSource::kHold);
    ASSERT_TRUE(decision.records.empty());
  }
}

TEST(Authority, BootsInEstopWhenTheLatchWasKept) {
  Rig rig(usual_config(), {.stop_latched = true, .last_epoch = 0});
  EXPECT_EQ(rig.step().motion, Motion::kEstop);
  EXPECT_EQ(rig.state(), S::kEstop);
  EXPECT_TRUE(rig.decision->stop_latched);
}

TEST(Authority, ContinuesTheEpochsOfTheBootBefore) {
  Rig rig(usual_config(), {.stop_latched = false, .last_epoch = 41});
  rig.act(kAnna, TakeoverRequest{});
  EXPECT_EQ(rig.step().lease.epoch, 42u);
}

TEST(Authority, StopsWithinTheTickAndStaysStoppedUntilReset) {
  Rig rig;
  rig.reach(S::kAuto);
  ++rig.in.stop_presses;
  const Decision& decision = rig.step();
  EXPECT_EQ(decision.motion, Motion::kEstop);
  EXPECT_EQ(largest(decision.executed), 0);
  for (const Actor& who : {kAnna, kEva, kProgram}) {
    rig.act(who, TakeoverRequest{}, "t");
    rig.act(who, HandBack{}, "h");
    rig.act(who, ResetFault{}, "f");
    rig.step();
    ASSERT_EQ(rig.state(), S::kEstop);
    for (const ActAnswer& answer : rig.decision->answers) EXPECT_FALSE(answer.status.ok());
  }
  rig.act(kAnna, ResetStop{}, "r");
  EXPECT_EQ(rig.step().state, S::kHold);
  EXPECT_EQ(rig.decision->motion, Motion::kHold);
  EXPECT_FALSE(rig.decision->stop_latched);
  EXPECT_NE(rig.find<StopReset>(), nullptr);
}

TEST(Authority, AResetInTheTickOfAPressDoesNotUnlatch) {
  for (const bool counted : {false, true}) {
    for (const bool reset_first : {false, true}) {
      Rig rig;
      rig.reach(S::kEstop);
      if (reset_first) rig.act(kEva, ResetStop{}, "r");
      if (counted) {
        ++rig.in.stop_presses;
      } else {
        rig.act(kViewerVic, Stop{}, "s");
      }
      if (!reset_first) rig.act(kEva, ResetStop{}, "r");
      EXPECT_EQ(rig.step().state, S::kEstop);
    }
  }
}

TEST(Authority, AnOldPressDoesNotStopAgainAfterTheReset) {
  Rig rig;
  rig.reach(S::kHold);
  rig.in.stop_presses = 3;
  rig.step();
  rig.act(kAnna, ResetStop{});
  rig.steps(5);
  EXPECT_EQ(rig.state(), S::kHold);
  rig.in.stop_presses = 4;
  EXPECT_EQ(rig.step().state, S::kEstop);
}

TEST(Authority, ARobotThatStopsItselfIsStoppedForPeopleAndLatched) {
  Rig rig;
  rig.reach(AuthorityState::kAuto);
  rig.in.robot_stopped = true;
  const Decision& stopped = rig.step();
  EXPECT_EQ(stopped.state, AuthorityState::kEstop);
  EXPECT_TRUE(stopped.stop_latched);
  ASSERT_FALSE(stopped.records.empty());
  EXPECT_EQ(stopped.records.back().actor.name, "robot");
  EXPECT_TRUE(std::holds_alternative<Stopped>(stopped.records.back().payload));
  EXPECT_TRUE(rig.step().records.empty()) << "told once";
  rig.in.robot_stopped = false;
  EXPECT_EQ(rig.step().state, AuthorityState::kEstop) << "and kept until a person resets it";
}

TEST(Authority, ARobotHasASecondToAgreeThatItsStopWasReset) {
  Rig rig;
  rig.in.robot_stopped = true;
  rig.step();
  rig.act(kAnna, ResetStop{});
  EXPECT_EQ(rig.step().state, AuthorityState::kHold);
  rig.steps(49);
  EXPECT_EQ(rig.state(), AuthorityState::kHold);
  rig.steps(2);
  EXPECT_EQ(rig.state(), AuthorityState::kEstop) << "it refuses to move, whatever was reset";
  rig.act(kAnna, ResetStop{});
  rig.step();
  rig.in.robot_stopped = false;
  rig.steps(100);
  EXPECT_EQ(rig.state(), AuthorityState::kHold);
}

TEST(Authority, AnEpisodeThatIsEndedByHandHoldsTheRobot) {
  Rig rig;
  rig.reach(AuthorityState::kAuto);
  EXPECT_FALSE(rig.step().end_episode);
  rig.act(kBen, EndEpisode{}, "over");
  const Decision& ended = rig.step();
  EXPECT_TRUE(ended.end_episode);
  EXPECT_EQ(ended.state, AuthorityState::kHold);
  ASSERT_EQ(ended.answers.size(), 1u);
  EXPECT_TRUE(ended.answers[0].status.ok());
  EXPECT_FALSE(rig.step().end_episode) << "once";
}

TEST(Authority, NobodyEndsTheEpisodeOfSomebodyElseWhoDrives) {
  Rig rig;
  rig.reach(AuthorityState::kHuman);
  rig.act(kBen, EndEpisode{}, "mine");
  const Decision& refused = rig.step();
  EXPECT_FALSE(refused.end_episode);
  ASSERT_EQ(refused.answers.size(), 1u);
  EXPECT_EQ(refused.answers[0].status.code(), Code::kFailedPrecondition);
  EXPECT_EQ(refused.answers[0].holder, kAnna.name);
  rig.act(kAnna, EndEpisode{}, "her own");
  EXPECT_TRUE(rig.step().end_episode);
  rig.reach_human(kAnna);
  rig.act(kEva, EndEpisode{}, "an engineer's");
  EXPECT_TRUE(rig.step().end_episode);
  EXPECT_FALSE(rig.authority.lease().holder.has_value());
}

TEST(Authority, StopWinsOverEverythingElseInItsTick) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.act(kAnna, HandBack{});
  rig.act(kViewerVic, Stop{});
  rig.act(kEva, TakeoverRequest{});
  rig.in.robot_finite = false;
  rig.jog(kAnna);
  EXPECT_EQ(rig.step().state, S::kEstop);
  EXPECT_EQ(rig.transitions.size(), 1u);
  EXPECT_EQ(rig.decision->span_end, SpanEnd::kStopped);
}

TEST(Authority, LogsWhoPressedStopEachTime) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kViewerVic, Stop{}, "s1");
  rig.step();
  ASSERT_NE(rig.find<Stopped>(), nullptr);
  EXPECT_EQ(rig.find<Stopped>()->actor, kViewerVic);
  EXPECT_EQ(rig.find<Stopped>()->id, "s1");
  EXPECT_TRUE(rig.decision->answers[0].logged);
  rig.act(kBen, Stop{}, "s2");
  rig.step();
  ASSERT_NE(rig.find<Stopped>(), nullptr);
  EXPECT_EQ(rig.find<Stopped>()->actor, kBen);
}

// ---- takeover ---------------------------------------------------------------------------------

TEST(Authority, CutsThePolicyInTheTickOfTheRequestAndRampsToRest) {
  Rig rig;
  rig.proposal = {1, 0, 0, 0};
  rig.reach(S::kAuto);
  rig.steps(20);
  ASSERT_EQ(rig.decision->executed[0], 1.0f);
  rig.act(kAnna, TakeoverRequest{});
  float last = 1;
  for (int i = 0; i < 4; ++i) {
    const Decision& decision = rig.step();
    EXPECT_EQ(decision.source, ControlSource::kHold);
    EXPECT_LT(decision.executed[0], last);
    EXPECT_TRUE(decision.requested.empty());
    last = decision.executed[0];
  }
  EXPECT_EQ(last, 0);
  EXPECT_EQ(rig.step().motion, Motion::kHold);
}

TEST(Authority, AnswersARequestWithTheEpochAndLogsTheGrantUnderItsId) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, TakeoverRequest{}, "req-1");
  const Decision& decision = rig.step();
  ASSERT_EQ(decision.answers.size(), 1u);
  EXPECT_EQ(decision.answers[0].id, "req-1");
  EXPECT_TRUE(decision.answers[0].status.ok());
  EXPECT_EQ(decision.answers[0].epoch, 1u);
  EXPECT_TRUE(decision.answers[0].logged);
  EXPECT_EQ(decision.records.back().id, "req-1");
  EXPECT_EQ(std::get<LeaseGranted>(decision.records.back().payload).epoch, 1u);
  EXPECT_EQ(decision.records.back().actor, kAnna);
  EXPECT_EQ(decision.lease.holder, kAnna);
}

TEST(Authority, WaitsForRestSoThatAPersonStartsFromZero) {
  Rig rig;
  rig.proposal = {1, 0, 0, 0};
  rig.reach(S::kAuto);
  rig.steps(20);
  rig.act(kAnna, TakeoverRequest{});
  rig.step();
  while (rig.state() == S::kTakeover) {
    rig.jog(kAnna, {-1, 0, 0, 0});
    rig.step();
    if (rig.state() == S::kTakeover) {
      EXPECT_GE(rig.decision->executed[0], 0);
    }
  }
  ASSERT_EQ(rig.state(), S::kHuman);
  EXPECT_NEAR(rig.decision->executed[0], -0.1, 1e-6);
  EXPECT_EQ(rig.decision->source, ControlSource::kHuman);
}

TEST(Authority, FirstHumanMotionComesWithin300MillisecondsOfTheRequest) {
  Rig rig;
  rig.proposal = {1, 1, 1, 1};
  rig.reach(S::kAuto);
  rig.steps(20);
  rig.act(kAnna, TakeoverRequest{});
  const Instant asked = rig.now;
  rig.step();
  while (rig.state() != S::kHuman) {
    rig.jog(kAnna);
    rig.step();
    ASSERT_LE(rig.now - asked, milliseconds(300));
  }
}

TEST(Authority, ALeaderArmDrivesOnlyOnceAligned) {
  AuthorityConfig config = usual_config();
  config.joints = {0, 2};
  const Action still{0, 0, 0, 0};
  for (const std::vector<float>& apart :
       {std::vector<float>{0.5f, -0.3f}, {0.612f, -0.3f}, {0.5f, -0.501f}, {-0.5f, 0.3f}}) {
    Rig rig(config);
    rig.position = {0.5f, 9, -0.3f};
    rig.reach(S::kTakeover);
    rig.jog(kAnna, still, apart);
    rig.step();
    const bool aligned = apart == std::vector<float>{0.5f, -0.3f};
    EXPECT_EQ(rig.state(), aligned ? S::kHuman : S::kTakeover) << apart[0] << " " << apart[1];
    rig.jog(kAnna, still, {0.41f, -0.39f});
    EXPECT_EQ(rig.step().state, S::kHuman) << "and at once when it is";
    rig.jog(kAnna, still, {3, 3});
    EXPECT_EQ(rig.step().state, S::kHuman) << "then the arm leads";
  }
}

TEST(Authority, ALeaderArmThatNeverAlignsEndsInHold) {
  AuthorityConfig config = usual_config();
  config.joints = {0};
  Rig rig(config);
  rig.reach(S::kTakeover);
  while (rig.state() == S::kTakeover) {
    rig.jog(kAnna, {0, 0, 0, 0}, {0.2f});
    rig.step();
  }
  EXPECT_EQ(rig.state(), S::kHold);
  EXPECT_EQ(rig.cause(), "takeover_timeout");
}

TEST(Authority, AlignmentIsJudgedByTheNewestCommandAlsoBetweenTwo) {
  AuthorityConfig config = usual_config();
  config.joints = {0};
  Rig rig(config);
  rig.reach(S::kTakeover);
  rig.jog(kAnna, {0, 0, 0, 0}, {0.2f});
  rig.step();
  rig.step();  // no new command: the arm is where it was
  EXPECT_EQ(rig.state(), S::kTakeover);
  rig.position[0] = 0.15f;
  EXPECT_EQ(rig.step().state, S::kHuman);
}

TEST(Authority, RefusesALeaderArmWhoseJointsAreNotTheRobotsOrNotFinite) {
  AuthorityConfig config = usual_config();
  config.joints = {0, 1};
  Rig rig(config);
  rig.reach(S::kTakeover);
  rig.jog(kAnna, {0, 0, 0, 0}, {0.0f});
  rig.step();
  rig.jog(kAnna, {0, 0, 0, 0}, {0, 0, 0});
  rig.step();
  EXPECT_EQ(rig.refused(CommandRefusal::kWrongSize), 2u);
  rig.jog(kAnna, {0, 0, 0, 0}, {0, kNan});
  rig.step();
  EXPECT_EQ(rig.refused(CommandRefusal::kNotFinite), 1u);
  EXPECT_EQ(rig.state(), S::kTakeover);
  Rig jointless;
  jointless.reach(S::kTakeover);
  jointless.jog(kAnna, {0, 0, 0, 0}, {0.0f});
  EXPECT_EQ(jointless.step().state, S::kTakeover) << "what cannot be compared is not aligned";
}

// ---- cameras that matter ----------------------------------------------------------------------

TEST(Authority, AFrozenCameraRefusesTheHandBackByName) {
  for (const S from : {S::kHold, S::kTakeover, S::kHuman}) {
    Rig rig;
    rig.reach(from);
    rig.in.oldest_camera = "wrist";
    for (const Instant frame : {rig.now - milliseconds(501), Instant::min()}) {
      rig.in.oldest_frame = frame;
      rig.act(kAnna, HandBack{}, "back");
      if (from == S::kHuman) rig.jog(kAnna);
      rig.step();
      EXPECT_EQ(rig.state(), from);
      ASSERT_EQ(rig.decision->answers.size(), 1u);
      EXPECT_EQ(rig.decision->answers[0].status.code(), Code::kFailedPrecondition);
      EXPECT_NE(rig.decision->answers[0].status.message().find("'wrist'"), std::string::npos);
    }
    rig.in.oldest_frame = rig.now - milliseconds(500);
    rig.act(kAnna, HandBack{}, "again");
    rig.step();
    EXPECT_EQ(rig.state(), S::kHandback);
  }
}

TEST(Authority, ACameraThatFreezesDuringAHandBackIsWaitedForTwoSeconds) {
  Rig waits, gives_up;
  for (Rig* rig : {&waits, &gives_up}) {
    rig->reach(S::kHandback);
    rig->proposing = true;
    rig->in.oldest_frame = rig->now - milliseconds(501);
    rig->steps(50);
    ASSERT_EQ(rig->state(), S::kHandback);
  }
  waits.in.oldest_frame = waits.now;
  EXPECT_EQ(waits.step().state, S::kAuto);
  while (gives_up.state() == S::kHandback) gives_up.step();
  EXPECT_EQ(gives_up.state(), S::kHold);
  EXPECT_EQ(gives_up.cause(), "camera_stale");
}

TEST(Authority, ACameraThatFreezesWhileThePolicyDrivesEndsInHoldAndIsNamedInTheLog) {
  Rig rig;
  rig.in.oldest_camera = "front";
  rig.reach(S::kAuto);
  rig.in.oldest_frame = rig.now;
  for (int i = 0; i <= 25; ++i) ASSERT_EQ(rig.step().state, S::kAuto) << i;
  EXPECT_EQ(rig.step().state, S::kHold);
  EXPECT_EQ(rig.cause(), "camera_stale");
  const AuthorityRecord* record = rig.find<Fault>();
  ASSERT_NE(record, nullptr);
  EXPECT_NE(std::get<Fault>(record->payload).detail.find("'front'"), std::string::npos);
}

TEST(Authority, APersonMayDriveThoughACameraHasFrozen) {
  Rig rig;
  rig.in.oldest_frame = Instant::min();
  rig.reach(S::kHuman);
}

TEST(Authority, ACameraMayRestWhileTheRobotResets) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.in.oldest_frame = rig.now;
  rig.in.resetting = true;
  rig.steps(100);
  rig.in.resetting = false;
  rig.steps(20);
  EXPECT_EQ(rig.state(), S::kAuto);
  rig.in.oldest_frame = rig.now;
  rig.steps(20);
  EXPECT_EQ(rig.state(), S::kAuto);
}

// ---- the robot resets -------------------------------------------------------------------------

// A tick of a robot that is busy with its reset and shows its last state.
const Decision& resetting_tick(Rig& rig) {
  rig.in.resetting = true;
  rig.observed_age += kPeriod;
  return rig.step();
}

TEST(Authority, ALongResetIsNoStaleRobotAndThePolicyStartsAfterIt) {
  Rig rig;
  rig.reach(S::kHandback);
  rig.proposing = true;  // from before the reset
  rig.proposed_from = rig.now;
  for (int i = 0; i < 1000; ++i) {
    resetting_tick(rig);
    ASSERT_EQ(rig.state(), S::kHandback) << i;
    ASSERT_EQ(rig.decision->motion, Motion::kHold);
  }
  rig.in.resetting = false;
  rig.step();
  EXPECT_EQ(rig.state(), S::kHandback) << "nothing has been seen since";
  rig.observed_age = {};
  rig.step();
  EXPECT_EQ(rig.state(), S::kHandback) << "what was planned before the reset does not count";
  rig.proposed_from.reset();
  rig.step();
  EXPECT_EQ(rig.state(), S::kAuto);
}

TEST(Authority, NobodyDrivesDuringAResetAndTheTakeoverWaitsForIt) {
  Rig rig;
  rig.reach(S::kTakeover);
  for (int i = 0; i < 1000; ++i) {
    rig.jog(kAnna);
    resetting_tick(rig);
    ASSERT_EQ(rig.state(), S::kTakeover) << i;
    ASSERT_EQ(rig.decision->motion, Motion::kHold);
  }
  rig.in.resetting = false;
  rig.observed_age = {};
  rig.jog(kAnna);
  EXPECT_EQ(rig.step().state, S::kHuman);
}

TEST(Authority, ARobotThatShowsNothingAfterItsResetIsStale) {
  Rig rig;
  rig.reach(S::kHandback);
  for (int i = 0; i < 100; ++i) resetting_tick(rig);
  rig.in.resetting = false;
  for (int i = 0; i < 10; ++i) {
    rig.observed_age += kPeriod;
    EXPECT_EQ(rig.step().state, S::kHandback) << i;
  }
  rig.observed_age += kPeriod;
  EXPECT_EQ(rig.step().state, S::kFaultHold);
  EXPECT_EQ(rig.cause(), "robot_stale");
}

TEST(Authority, AResetThatTakesTooLongEndsInHold) {
  Rig rig;
  rig.reach(S::kHandback);
  const Instant begun = rig.now;
  while (rig.now - begun < std::chrono::seconds(30)) {
    resetting_tick(rig);
    ASSERT_EQ(rig.state(), S::kHandback);
    ASSERT_FALSE(rig.decision->reset_failed);
  }
  resetting_tick(rig);
  EXPECT_EQ(rig.state(), S::kHold);
  EXPECT_EQ(rig.cause(), "reset_failed");
  EXPECT_TRUE(rig.decision->reset_failed);
  // It protects nobody any longer.
  for (int i = 0; i < 11 && rig.state() == S::kHold; ++i) resetting_tick(rig);
  EXPECT_EQ(rig.state(), S::kFaultHold);
  EXPECT_EQ(rig.cause(), "robot_stale");
}

TEST(Authority, AResetThatFailedSaysWhyInTheLog) {
  Rig rig;
  rig.reach(S::kHandback);
  rig.in.reset_failed = "the gripper is stuck";
  rig.step();
  EXPECT_EQ(rig.state(), S::kHold);
  const AuthorityRecord* record = rig.find<Fault>();
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(std::get<Fault>(record->payload).code, "reset_failed");
  EXPECT_EQ(std::get<Fault>(record->payload).detail, "the gripper is stuck");
}

TEST(Authority, StopHoldAndFaultsActDuringAResetAsEver) {
  for (const S from : {S::kTakeover, S::kHandback, S::kAuto}) {
    Rig stop, hold, fault;
    for (Rig* rig : {&stop, &hold, &fault}) {
      rig->reach(from);
      for (int i = 0; i < 50; ++i) resetting_tick(*rig);
      ASSERT_EQ(rig->state(), from);
    }
    stop.act(kViewerVic, Stop{});
    EXPECT_EQ(resetting_tick(stop).motion, Motion::kEstop);
    EXPECT_EQ(stop.state(), S::kEstop);
    hold.act(kViewerVic, Hold{});
    EXPECT_EQ(resetting_tick(hold).state, S::kHold);
    fault.in.robot_finite = false;
    EXPECT_EQ(resetting_tick(fault).state, S::kFaultHold);
  }
}

TEST(Authority, ADriverWhoseCommandsStopDuringAResetIsStale) {
  Rig rig;
  rig.reach(S::kHuman);
  for (int i = 0; i < 12 && rig.state() == S::kHuman; ++i) resetting_tick(rig);
  EXPECT_EQ(rig.state(), S::kHold);
  EXPECT_EQ(rig.cause(), "command_stale");
}

TEST(Authority, GivesUpTheTakeoverAfterTenSecondsAndNotBefore) {
  Rig rig;
  rig.reach(S::kTakeover);
  const Instant entered = rig.now - kPeriod;
  run_to(rig, entered, std::chrono::seconds(10) - std::chrono::nanoseconds(1));
  EXPECT_EQ(rig.state(), S::kTakeover);
  rig.now = entered + std::chrono::seconds(10);
  EXPECT_EQ(rig.step().state, S::kHold);
  EXPECT_EQ(rig.cause(), "takeover_timeout");
}

TEST(Authority, AskingAgainWhileDrivingChangesNothing) {
  Rig rig;
  rig.reach(S::kHuman);
  const LeaseEpoch epoch = rig.decision->lease.epoch;
  rig.act(kAnna, TakeoverRequest{}, "again");
  rig.jog(kAnna);
  rig.step();
  EXPECT_EQ(rig.state(), S::kHuman);
  EXPECT_EQ(rig.decision->lease.epoch, epoch);
  EXPECT_EQ(rig.decision->answers[0].epoch, epoch);
  EXPECT_FALSE(rig.decision->answers[0].logged);
}

// ---- freshness --------------------------------------------------------------------------------

TEST(Authority, MovesOnAFreshCommandUntilItIsOlderThanFresh) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna);
  const Instant echoed = rig.now - kPeriod;  // when the echoed tick was issued
  rig.step();
  run_to(rig, echoed, milliseconds(200));
  EXPECT_EQ(rig.state(), S::kHuman);
  rig.now = echoed + milliseconds(200) + std::chrono::nanoseconds(1);
  EXPECT_EQ(rig.step().state, S::kHold);
  EXPECT_EQ(rig.cause(), "command_stale");
  EXPECT_EQ(rig.decision->span_end, SpanEnd::kLinkLost);
}

TEST(Authority, AcceptsACommandJustYoungerThanFreshAndRefusesOneAsOld) {
  for (const bool young : {true, false}) {
    Rig rig;
    rig.reach(S::kTakeover);
    rig.jog(kAnna);
    const Instant echoed = rig.now - kPeriod;
    rig.jogged = false;  // still on its way
    while (rig.now + kPeriod < echoed + milliseconds(200)) rig.step();
    rig.now = echoed + milliseconds(200) - std::chrono::nanoseconds(young ? 1 : 0);
    rig.jogged = true;
    rig.step();
    EXPECT_EQ(rig.state(), young ? S::kHuman : S::kTakeover);
    EXPECT_EQ(rig.refused(CommandRefusal::kStale), young ? 0u : 1u);
  }
}

TEST(Authority, JudgesAgeByTheEchoedTickNotByArrival) {
  Rig rig;
  rig.reach(S::kHuman);
  const ControlTick old = rig.tick;
  // Commands keep arriving, all made before the link stalled.
  for (int i = 0; i < 11; ++i) {
    rig.jog(kAnna).echoed_tick = old;
    rig.step();
  }
  EXPECT_EQ(rig.state(), S::kHold);
  EXPECT_EQ(rig.refused(CommandRefusal::kStale), 2u);
}

TEST(Authority, NeverGoesBackToThePolicyAfterALostLink) {
  Rig rig;
  rig.reach(S::kHuman);
  for (int i = 0; i < 3000; ++i) {
    rig.step();
    ASSERT_NE(rig.state(), S::kAuto);
    ASSERT_NE(rig.decision->source, ControlSource::kPolicy);
  }
  // Nor does the link's return move anything.
  for (int i = 0; i < 50; ++i) {
    rig.jog(kAnna);
    rig.step();
    ASSERT_EQ(rig.decision->motion, Motion::kHold);
  }
  EXPECT_EQ(rig.state(), S::kHold);
}

TEST(Authority, SaysOnWhichTickTheNewestAcceptedCommandArrived) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna);
  rig.step();
  const ControlTick arrived = rig.tick;
  rig.steps(3);
  rig.jog(kBen);
  rig.steps(12);
  ASSERT_EQ(rig.state(), S::kHold);
  EXPECT_EQ(rig.decision->last_fresh_tick, arrived);
}

TEST(Authority, HoldsAtOnceWhenTheDeadManIsReleasedHoweverLateThatArrives) {
  Rig rig;
  rig.reach(S::kHuman);
  const ControlTick old = rig.tick;
  for (int i = 0; i < 15; ++i) {
    rig.jog(kAnna);
    rig.step();
  }
  rig.jog(kAnna).dead_man = false;
  rig.sent.command.echoed_tick = old;
  rig.sent.command.action.clear();
  EXPECT_EQ(rig.step().state, S::kHold);
  EXPECT_EQ(rig.cause(), "dead_man_released");
  EXPECT_EQ(rig.decision->span_end, SpanEnd::kReleased);
}

TEST(Authority, PressingTheDeadManAgainNeedsANewRequest) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna).dead_man = false;
  rig.step();
  for (int i = 0; i < 20; ++i) {
    rig.jog(kAnna);
    rig.step();
    ASSERT_EQ(rig.state(), S::kHold);
  }
  const LeaseEpoch before = rig.decision->lease.epoch;
  rig.reach_human(kAnna);
  EXPECT_EQ(rig.decision->lease.epoch, before + 1);
}

// ---- commands refused -------------------------------------------------------------------------

// A command that is right but for one change is dropped, counted once under `why`, and moves
// nothing.
template <typename Change>
void expect_refused(CommandRefusal why, Change change) {
  SCOPED_TRACE(to_string(why));
  Rig rig;
  rig.reach(S::kTakeover);
  rig.jog(kAnna);
  change(rig);
  rig.step();
  EXPECT_EQ(rig.state(), S::kTakeover);
  EXPECT_EQ(largest(rig.decision->executed), 0);
  for (std::size_t i = 0; i < kCommandRefusals; ++i) {
    EXPECT_EQ(rig.authority.refused_commands()[i], i == static_cast<std::size_t>(why) ? 1u : 0u)
        << to_string(static_cast<CommandRefusal>(i));
  }
}

TEST(Authority, RefusesACommandForAnotherRobot) {
  expect_refused(CommandRefusal::kWrongRobot, [](Rig& r) { r.sent.command.robot = "kitchen-2"; });
}
TEST(Authority, RefusesACommandFromSomebodyElse) {
  expect_refused(CommandRefusal::kNotHolder, [](Rig& r) { r.sent.actor = kBen; });
  expect_refused(CommandRefusal::kNotHolder, [](Rig& r) { r.sent.actor = kEva; });
}
TEST(Authority, RefusesACommandOfAnotherEpoch) {
  expect_refused(CommandRefusal::kWrongEpoch, [](Rig& r) { r.sent.command.epoch -= 1; });
  expect_refused(CommandRefusal::kWrongEpoch, [](Rig& r) { r.sent.command.epoch += 1; });
}
TEST(Authority, RefusesACommandThatEchoesATickNotYetIssued) {
  expect_refused(CommandRefusal::kFutureTick, [](Rig& r) { r.sent.command.echoed_tick += 1; });
  expect_refused(CommandRefusal::kFutureTick,
                 [](Rig& r) { r.sent.command.echoed_tick = ~ControlTick{0}; });
}
TEST(Authority, RefusesACommandThatEchoesNoTickAtAll) {
  expect_refused(CommandRefusal::kStale, [](Rig& r) { r.sent.command.echoed_tick = 0; });
}
TEST(Authority, RefusesACommandWhoseSequenceDoesNotIncrease) {
  expect_refused(CommandRefusal::kNotIncreasing, [](Rig& r) { r.sent.command.sequence = 0; });
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna, {0, 0.7f, 0, 0});
  rig.step();
  rig.jogged = true;  // a duplicate
  rig.step();
  EXPECT_EQ(rig.refused(CommandRefusal::kNotIncreasing), 1u);
  rig.jog(kAnna, {0, -0.7f, 0, 0}).sequence -= 2;  // reordered
  rig.step();
  EXPECT_EQ(rig.refused(CommandRefusal::kNotIncreasing), 2u);
  EXPECT_EQ(rig.decision->requested, (Action{0, 0.7f, 0, 0}));
}
TEST(Authority, RefusesACommandOfTheWrongSize) {
  expect_refused(CommandRefusal::kWrongSize, [](Rig& r) { r.sent.command.action.pop_back(); });
  expect_refused(CommandRefusal::kWrongSize, [](Rig& r) { r.sent.command.action.push_back(0); });
}
TEST(Authority, RefusesACommandThatIsNotFinite) {
  expect_refused(CommandRefusal::kNotFinite, [](Rig& r) { r.sent.command.action[3] = kNan; });
  expect_refused(CommandRefusal::kNotFinite,
                 [](Rig& r) { r.sent.command.action[0] = -1.0f / 0.0f; });
}
TEST(Authority, RefusesACommandWithoutTheDeadMan) {
  expect_refused(CommandRefusal::kDeadManUp, [](Rig& r) { r.sent.command.dead_man = false; });
}

TEST(Authority, DropsOneCommandWithNanAndKeepsTheOneBefore) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna, {0.4f, 0, 0, 0});
  rig.step();
  rig.jog(kAnna, {kNan, 0, 0, 0});
  rig.step();
  EXPECT_EQ(rig.state(), S::kHuman);
  EXPECT_EQ(rig.decision->requested[0], 0.4f);
}

TEST(Authority, HoldsOnTheThirdCommandWithNanWithinASecondOnly) {
  for (const bool within : {true, false}) {
    Rig rig;
    rig.reach(S::kHuman);
    const auto bad = [&] {
      rig.jog(kAnna, {kNan, 0, 0, 0});
      rig.step();
    };
    bad();
    const Instant first = rig.now - kPeriod;
    bad();
    while (rig.now < first + std::chrono::seconds(1)) {
      rig.jog(kAnna);
      rig.step();
    }
    if (!within) rig.now += std::chrono::nanoseconds(1);
    bad();
    EXPECT_EQ(rig.state(), within ? S::kHold : S::kHuman);
  }
}

TEST(Authority, NanFromSomebodyElseDoesNotStopTheDriver) {
  Rig rig;
  rig.reach(S::kHuman);
  for (int i = 0; i < 5; ++i) {
    rig.jog(kBen, {kNan, 0, 0, 0});
    rig.step();
  }
  EXPECT_EQ(rig.state(), S::kHuman);
}

// ---- the lease --------------------------------------------------------------------------------

TEST(Authority, ASecondRequestIsBusyWithTheHoldersName) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.act(kBen, TakeoverRequest{}, "b");
  rig.step();
  ASSERT_EQ(rig.decision->answers.size(), 1u);
  EXPECT_EQ(rig.decision->answers[0].status.code(), Code::kFailedPrecondition);
  EXPECT_EQ(rig.decision->answers[0].holder, "anna");
  EXPECT_FALSE(rig.decision->answers[0].logged);
  EXPECT_EQ(rig.decision->lease.holder, kAnna);
  EXPECT_EQ(rig.state(), S::kHuman);
}

TEST(Authority, OfTwoRequestsInOneTickTheFirstWins) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kBen, TakeoverRequest{}, "b");
  rig.act(kAnna, TakeoverRequest{}, "a");
  rig.step();
  EXPECT_EQ(rig.decision->lease.holder, kBen);
  EXPECT_TRUE(rig.decision->answers[0].status.ok());
  EXPECT_EQ(rig.decision->answers[1].holder, "ben");
}

TEST(Authority, AHigherRolePreemptsThroughHoldWithANewEpochThatFencesTheOldHolder) {
  Rig rig;
  rig.reach(S::kHuman);
  const LeaseEpoch before = rig.decision->lease.epoch;
  rig.act(kEva, TakeoverRequest{}, "e");
  rig.jog(kAnna);  // made under the old epoch
  rig.step();
  ASSERT_EQ(rig.transitions.size(), 2u);
  EXPECT_EQ(rig.transitions[0].to, S::kHold);
  EXPECT_EQ(rig.transitions[0].cause, "preempted");
  EXPECT_EQ(rig.transitions[1].to, S::kTakeover);
  EXPECT_EQ(rig.decision->span_end, SpanEnd::kPreempted);
  EXPECT_EQ(rig.decision->lease, (Lease{before + 1, kEva}));
  EXPECT_EQ(rig.refused(CommandRefusal::kNotHolder), 1u);
  EXPECT_EQ(rig.decision->source, ControlSource::kHold);
}

TEST(Authority, AProgramYieldsToAnyPersonAndNeverPreemptsOne) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.reach_human(kProgram);
  rig.act(kAnna, TakeoverRequest{});
  rig.step();
  EXPECT_EQ(rig.decision->lease.holder, kAnna);
  rig.act(kProgram, TakeoverRequest{}, "p");
  rig.step();
  EXPECT_EQ(rig.decision->answers[0].holder, "anna");
}

TEST(Authority, AProgramTakesOverDrivesAndHandsBackByItself) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.reach_human(kProgram);
  EXPECT_EQ(rig.decision->source, ControlSource::kHuman);
  rig.act(kProgram, HandBack{}, "h");
  rig.step();
  ASSERT_EQ(rig.state(), S::kHandback);
  EXPECT_TRUE(rig.decision->answers[0].status.ok());
  rig.steps(10);
  EXPECT_EQ(rig.state(), S::kAuto);
}

TEST(Authority, AProgramNeitherDrivesNorStartsOutOfAPersonsHold) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.reach_human(kProgram);
  rig.act(kAnna, Hold{});
  rig.step();
  ASSERT_EQ(rig.state(), S::kHold);
  EXPECT_FALSE(rig.decision->lease.holder.has_value());
  rig.act(kProgram, TakeoverRequest{}, "t");
  rig.act(kProgram, HandBack{}, "h");
  rig.step();
  EXPECT_EQ(rig.state(), S::kHold);
  for (const ActAnswer& a : rig.decision->answers) {
    EXPECT_EQ(a.status.code(), Code::kPermissionDenied);
  }
}

TEST(Authority, AProgramMayStartOnlyWhereConfigured) {
  AuthorityConfig config = usual_config();
  config.script_may_start = true;
  Rig rig(config);
  rig.proposing = true;
  rig.act(kProgram, HandBack{});
  rig.steps(2);
  EXPECT_EQ(rig.state(), S::kAuto);
}

TEST(Authority, AHolderWhoSendsNothingLosesTheLeaseAfterLeaseAndNotBefore) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna).dead_man = false;
  rig.step();
  const Instant sign = rig.now - kPeriod;
  run_to(rig, sign, milliseconds(500));
  EXPECT_TRUE(rig.decision->lease.holder.has_value());
  rig.now = sign + milliseconds(500) + std::chrono::nanoseconds(1);
  rig.step();
  EXPECT_FALSE(rig.decision->lease.holder.has_value());
  ASSERT_NE(rig.find<LeaseEnded>(), nullptr);
  EXPECT_EQ(std::get<LeaseEnded>(rig.find<LeaseEnded>()->payload).cause, "lease_lost");
}

TEST(Authority, CommandsWithTheDeadManUpKeepTheLeaseInHold) {
  Rig rig;
  rig.reach(S::kHuman);
  for (int i = 0; i < 500; ++i) {
    rig.jog(kAnna).dead_man = false;
    rig.step();
    ASSERT_EQ(rig.decision->lease.holder, kAnna);
    ASSERT_EQ(rig.state(), S::kHold);
  }
}

TEST(Authority, StaleCommandsDoNotKeepTheLease) {
  Rig rig;
  rig.reach(S::kHuman);
  const ControlTick old = rig.tick;
  for (int i = 0; i < 50; ++i) {
    rig.jog(kAnna).dead_man = false;
    rig.sent.command.echoed_tick = old;
    rig.step();
  }
  EXPECT_FALSE(rig.decision->lease.holder.has_value());
}

TEST(Authority, ALostLeaseIsKeptForItsHolderUntilReacqAndThenFree) {
  for (const bool early : {true, false}) {
    Rig rig;
    rig.reach(S::kHuman);
    const Instant sign = rig.now - kPeriod;  // of the newest command
    run_to(rig, sign, std::chrono::seconds(5) - std::chrono::nanoseconds(early ? 1 : 0) - kPeriod);
    rig.now = sign + std::chrono::seconds(5) - std::chrono::nanoseconds(early ? 1 : 0);
    ASSERT_FALSE(rig.decision->lease.holder.has_value());
    rig.act(kBen, TakeoverRequest{}, "b");
    rig.step();
    EXPECT_EQ(rig.decision->answers[0].status.ok(), !early);
    if (early) {
      EXPECT_EQ(rig.decision->answers[0].holder, "anna");
    }
  }
}

TEST(Authority, TheLostHolderAndAHigherRoleMayReacquireAtOnce) {
  for (const Actor& who : {kAnna, kEva}) {
    Rig rig;
    rig.reach(S::kHuman);
    rig.steps(50);
    ASSERT_EQ(rig.state(), S::kHold);
    ASSERT_FALSE(rig.decision->lease.holder.has_value());
    rig.act(who, TakeoverRequest{});
    rig.step();
    EXPECT_EQ(rig.decision->lease, (Lease{2, who}));
  }
}

TEST(Authority, ReleaseFreesTheLeaseForAnyoneAtOnce) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.act(kAnna, Release{}, "r");
  rig.act(kBen, TakeoverRequest{}, "b");
  rig.step();
  EXPECT_TRUE(rig.decision->answers[0].status.ok());
  EXPECT_TRUE(rig.decision->answers[1].status.ok());
  EXPECT_EQ(rig.decision->lease.holder, kBen);
}

TEST(Authority, NobodyHandsBackWhatAnotherHolds) {
  for (const Actor& who : {kBen, kEva, kProgram}) {
    Rig rig;
    rig.reach(S::kHuman);
    rig.act(who, HandBack{}, "h");
    rig.step();
    EXPECT_EQ(rig.state(), S::kHuman);
    EXPECT_EQ(rig.decision->answers[0].holder, "anna");
  }
}

TEST(Authority, StopSaidBySomebodyElseEndsTheLeaseSaidByTheHolderDoesNot) {
  for (const bool own : {true, false}) {
    Rig rig;
    rig.reach(S::kHuman);
    rig.act(own ? kAnna : kViewerVic, Hold{});
    rig.step();
    EXPECT_EQ(rig.state(), S::kHold);
    EXPECT_EQ(rig.decision->lease.holder.has_value(), own);
  }
}

// ---- hand-back and the policy -----------------------------------------------------------------

TEST(Authority, HandingBackWhileDrivingPassesThroughHoldAndEndsTheLease) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.act(kAnna, HandBack{}, "h");
  rig.step();
  ASSERT_EQ(rig.transitions.size(), 2u);
  EXPECT_EQ(rig.transitions[0].to, S::kHold);
  EXPECT_EQ(rig.transitions[1].to, S::kHandback);
  EXPECT_FALSE(rig.decision->lease.holder.has_value());
  EXPECT_TRUE(rig.decision->flush_policy);
  EXPECT_FALSE(rig.step().flush_policy);
}

TEST(Authority, HandBackIgnoresProposalsFromBeforeTheFlush) {
  Rig rig;
  rig.reach(S::kHandback);
  const Instant flushed = rig.now - kPeriod;
  rig.proposing = true;
  rig.proposed_from = flushed - std::chrono::nanoseconds(1);
  rig.steps(5);
  EXPECT_EQ(rig.state(), S::kHandback);
  rig.proposed_from = flushed;
  EXPECT_EQ(rig.step().state, S::kAuto);
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
}

TEST(Authority, HandBackIgnoresAProposalInTheTickOfTheActItself) {
  Rig rig;
  rig.reach(S::kHold);
  rig.act(kAnna, HandBack{});
  EXPECT_EQ(rig.step().state, S::kHandback);
}

TEST(Authority, HandBackWaitsUntilTheRobotStandsSoThatThePolicyStartsFromZero) {
  Rig rig;
  rig.reach(S::kHuman);
  for (int i = 0; i < 20; ++i) {
    rig.jog(kAnna, {1, 0, 0, 0});
    rig.step();
  }
  ASSERT_EQ(rig.decision->executed[0], 1.0f);
  rig.proposing = true;
  rig.act(kAnna, HandBack{});
  float last = rig.step().executed[0];
  ASSERT_GT(last, 0.0f);
  int ticks = 0;
  while (rig.state() == S::kHandback && ++ticks < 10) {
    const float before = last;
    last = rig.step().executed[0];
    ASSERT_TRUE(rig.state() == S::kHandback || before == 0.0f) << before;
  }
  EXPECT_EQ(rig.state(), S::kAuto);
  EXPECT_GE(ticks, 3);
}

TEST(Authority, HandBackWaitsForAFirstStepWithinLimits) {
  Rig rig;
  rig.reach(S::kHandback);
  rig.proposing = true;
  rig.proposal = {1.2f, 0, 0, 0};
  rig.steps(3);
  EXPECT_EQ(rig.state(), S::kHandback);
  rig.proposal = {1.0f, 0, 0, 0};
  EXPECT_EQ(rig.step().state, S::kAuto);
  EXPECT_NEAR(rig.decision->executed[0], 0.1, 1e-6);  // ramped from rest
}

TEST(Authority, HandBackFailsToHoldAfterTwoSecondsAndNotBefore) {
  Rig rig;
  rig.reach(S::kHandback);
  const Instant entered = rig.now - kPeriod;
  run_to(rig, entered, std::chrono::seconds(2) - std::chrono::nanoseconds(1));
  EXPECT_EQ(rig.state(), S::kHandback);
  rig.now = entered + std::chrono::seconds(2);
  EXPECT_EQ(rig.step().state, S::kHold);
  EXPECT_EQ(rig.cause(), "hand_back_timeout");
}

TEST(Authority, SlowsDownWhileAProposalIsMissingAndGoesOnWhenItComesInTime) {
  Rig rig;
  rig.proposal = {1, 0, 0, 0};
  rig.reach(S::kAuto);
  rig.steps(20);
  rig.proposing = false;
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(rig.step().stale);
    EXPECT_EQ(rig.decision->source, ControlSource::kHold);
  }
  EXPECT_EQ(rig.state(), S::kAuto);  // exactly 3 T late
  EXPECT_EQ(rig.decision->executed[0], 0);
  rig.proposing = true;
  rig.step();
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
  EXPECT_FALSE(rig.decision->stale);
}

TEST(Authority, FaultsWhenInferenceIsMoreThanThreePeriodsLate) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.proposing = false;
  rig.steps(4);
  ASSERT_EQ(rig.state(), S::kAuto);
  EXPECT_EQ(rig.step().state, S::kFaultHold);
  EXPECT_EQ(rig.cause(), "inference_late");
}

TEST(Authority, NanFromThePolicyAsksForARollbackAndNeverMoves) {
  for (const S from : {S::kAuto, S::kHuman, S::kHandback}) {
    Rig rig;
    rig.reach(from);
    rig.proposing = true;
    rig.proposal = {0.1f, kNan, 0, 0};
    const Decision& decision = rig.step();
    EXPECT_EQ(decision.state, S::kFaultHold);
    EXPECT_TRUE(decision.roll_back_weights);
    EXPECT_EQ(decision.motion, Motion::kHold);
    EXPECT_EQ(largest(decision.executed), 0);
    ASSERT_NE(rig.find<Fault>(), nullptr);
    EXPECT_EQ(std::get<Fault>(rig.find<Fault>()->payload).code, "policy_not_finite");
    EXPECT_FALSE(rig.step().roll_back_weights);
  }
}

// ---- faults -----------------------------------------------------------------------------------

TEST(Authority, AFaultStopsAtOnceAndEndsTheLease) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna, {1, 0, 0, 0});
  rig.steps(5);
  rig.in.weights_failed = true;
  const Decision& decision = rig.step();
  EXPECT_EQ(decision.motion, Motion::kHold);
  EXPECT_EQ(largest(decision.executed), 0);
  EXPECT_FALSE(decision.lease.holder.has_value());
  EXPECT_EQ(decision.span_end, SpanEnd::kFault);
}

TEST(Authority, AFaultIsResetOnlyOnceItsCauseIsGone) {
  Rig rig;
  rig.reach(S::kHold);
  rig.in.weights_failed = true;
  rig.step();
  rig.act(kEva, ResetFault{}, "f");
  rig.step();
  EXPECT_EQ(rig.state(), S::kFaultHold);
  EXPECT_EQ(rig.decision->answers[0].status.code(), Code::kFailedPrecondition);
  EXPECT_NE(rig.decision->answers[0].status.message().find("weights_failed"), std::string::npos);
  rig.in.weights_failed = false;
  rig.steps(100);
  EXPECT_EQ(rig.state(), S::kFaultHold);  // never by itself
  rig.act(kEva, ResetFault{}, "f2");
  EXPECT_EQ(rig.step().state, S::kHold);
}

TEST(Authority, TheRobotsStateMayBeAsOldAsFreshAndNoOlder) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.observed_age = milliseconds(200);
  EXPECT_EQ(rig.step().state, S::kAuto);
  rig.observed_age += std::chrono::nanoseconds(1);
  EXPECT_EQ(rig.step().state, S::kFaultHold);
}

TEST(Authority, AStateFromTheFutureIsAFault) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.observed_age = -kPeriod;
  EXPECT_EQ(rig.step().state, S::kAuto);
  rig.observed_age -= std::chrono::nanoseconds(1);
  EXPECT_EQ(rig.step().state, S::kFaultHold);
}

TEST(Authority, ARobotNeverSeenIsAFault) {
  Rig rig;
  rig.in.tick = 1;
  rig.in.now = rig.now;
  rig.in.observed = Instant::min();
  EXPECT_EQ(rig.authority.tick(rig.in).state, S::kFaultHold);
}

TEST(Authority, TheLoopMayPauseAsLongAsWdogAndNoLonger) {
  for (const int extra : {0, 1}) {
    Rig rig;
    rig.reach(S::kAuto);
    rig.now += milliseconds(200) - kPeriod + std::chrono::nanoseconds(extra);
    rig.step();
    EXPECT_EQ(rig.state(), extra == 0 ? S::kAuto : S::kFaultHold);
  }
}

TEST(Authority, ABoxWithoutAPositionIsAFault) {
  LimitsConfig limits;
  limits.workspace = WorkspaceBox{{-1, -1, -1}, {1, 1, 1}};
  Rig rig(usual_config(), {}, limits);
  rig.reach(S::kHuman);
  rig.position = {0, kNan, 0};
  EXPECT_EQ(rig.step().state, S::kFaultHold);
  Rig other(usual_config(), {}, limits);
  other.position.clear();
  EXPECT_EQ(other.step().state, S::kFaultHold);
}

// ---- limits -----------------------------------------------------------------------------------

TEST(Authority, TenClampedTicksInFiftyAreFineAndElevenHold) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.steps(50);
  for (int round = 0; round < 3; ++round) {
    rig.proposal = {2, 0, 0, 0};
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(rig.step().clamped);
      ASSERT_EQ(rig.state(), S::kAuto);
    }
    rig.proposal = {0.2f, 0, 0, 0};
    rig.steps(40);  // with these the window has moved past the ten
    ASSERT_EQ(rig.state(), S::kAuto);
  }
  rig.proposal = {2, 0, 0, 0};
  rig.steps(10);
  rig.proposal = {0.2f, 0, 0, 0};
  rig.steps(39);
  rig.proposal = {2, 0, 0, 0};
  EXPECT_EQ(rig.step().state, S::kHold);
  EXPECT_EQ(rig.cause(), "out_of_limits");
}

TEST(Authority, AStickPushedToAndFroIsNotThrownOut) {
  Rig rig;
  rig.reach(S::kHuman);
  for (int i = 0; i < 500; ++i) {
    const float sign = (i / 5) % 2 == 0 ? 1.0f : -1.0f;
    rig.jog(kAnna, {sign, 0, 0, sign});
    rig.step();
    ASSERT_EQ(rig.state(), S::kHuman);
  }
}

TEST(Authority, TellsRequestedFromExecuted) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.jog(kAnna, {1.5f, 0, 0, 0});
  const Decision& decision = rig.step();
  EXPECT_EQ(decision.requested, (Action{1.5f, 0, 0, 0}));
  EXPECT_LE(decision.executed[0], 1.0f);
  EXPECT_TRUE(decision.clamped);
  EXPECT_TRUE(decision.changed);
}

// ---- nudges -----------------------------------------------------------------------------------

TEST(Authority, ANudgeBendsThePolicyBoundedRampedAndGoneInTwoSeconds) {
  Rig rig;
  rig.proposal = {0.2f, 0, 0, 0};
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, 0, -5.0f, 0}, std::chrono::minutes(1)}, "n");
  const Instant start = rig.now;
  double most = 0;
  float last = 0;
  Instant newest{};
  for (int i = 0; i < 200; ++i) {
    const Decision& decision = rig.step();
    if (i == 0) {
      EXPECT_TRUE(decision.answers[0].status.ok());
    }
    const float bias = decision.requested[2];
    EXPECT_EQ(decision.requested[0], 0.2f);
    EXPECT_LE(std::abs(bias - last), 0.05 + 1e-6);
    most = std::max(most, std::abs(double{bias}));
    if (decision.source == ControlSource::kNudge) newest = rig.now;
    EXPECT_EQ(decision.source == ControlSource::kNudge, bias != 0) << i;
    last = bias;
  }
  EXPECT_NEAR(most, 0.5, 1e-6);
  EXPECT_GT(newest - start, milliseconds(1500));
  EXPECT_LE(newest - start, std::chrono::seconds(2));
}

TEST(Authority, ANudgeIsRefusedInEveryStateButAuto) {
  for (const S from : {S::kHold, S::kTakeover, S::kHuman, S::kHandback, S::kFaultHold, S::kEstop}) {
    Rig rig;
    rig.reach(from);
    rig.act(kAnna, NudgeBias{{0, 0, -0.3f, 0}, std::chrono::seconds(1)}, "n");
    rig.step();
    EXPECT_EQ(rig.decision->answers[0].status.code(), Code::kFailedPrecondition);
    EXPECT_NE(rig.decision->source, ControlSource::kNudge);
  }
}

TEST(Authority, ANudgeEndsWithAutoAndDoesNotComeBack) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, 0, -0.3f, 0}, std::chrono::seconds(2)});
  rig.steps(5);
  rig.act(kAnna, Hold{});
  rig.steps(2);
  rig.act(kAnna, HandBack{});
  rig.steps(5);
  ASSERT_EQ(rig.state(), S::kAuto);
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
}

TEST(Authority, AZeroNudgeTakesTheNudgeBackOnTheRamp) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, 0.3f, 0, 0}, std::chrono::seconds(2)});
  rig.steps(10);
  rig.act(kAnna, NudgeBias{{0, 0, 0, 0}, std::chrono::seconds(2)});
  rig.step();
  EXPECT_NEAR(rig.decision->requested[1], 0.25, 1e-6);
  rig.steps(6);
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
}

TEST(Authority, AMalformedNudgeIsRefused) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, kNan, 0, 0}, std::chrono::seconds(1)}, "nan");
  rig.act(kAnna, NudgeBias{{0, 0}, std::chrono::seconds(1)}, "size");
  rig.act(kAnna, NudgeBias{{0, 0, 0, 0.1f}, Duration::zero()}, "length");
  rig.act(kProgram, NudgeBias{{0, 0, 0, 0.1f}, std::chrono::seconds(1)}, "program");
  rig.step();
  for (const ActAnswer& a : rig.decision->answers) EXPECT_FALSE(a.status.ok()) << a.id;
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
}

TEST(Authority, ANudgeOnAPolicyAtFullSpeedIsNotOutOfLimits) {
  Rig rig;
  rig.proposal = {1, 0, 0, 0};
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0.5f, 0, 0, 0}, std::chrono::seconds(2)});
  rig.steps(60);
  EXPECT_EQ(rig.state(), S::kAuto);
  EXPECT_LE(rig.decision->executed[0], 1.0f);
}

TEST(Authority, ANudgeEndsOnItsRampWhenItsWordsAreTakenBackAndNoOtherDoes) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, 0.3f, 0, 0}, std::chrono::seconds(2), "w2"});
  rig.steps(10);
  EXPECT_EQ(rig.decision->nudge, "w2");
  EXPECT_EQ(rig.decision->nudge_by, kAnna);
  rig.act(kAnna, EndNudge{"w1"}, "other");
  rig.steps(3);
  EXPECT_NEAR(rig.decision->requested[1], 0.3, 1e-6);
  rig.act(kAnna, EndNudge{"w2"}, "own");
  rig.step();
  EXPECT_TRUE(rig.decision->answers[0].status.ok());
  EXPECT_NEAR(rig.decision->requested[1], 0.25, 1e-6);
  rig.steps(6);
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
  EXPECT_TRUE(rig.decision->nudge.empty());
}

TEST(Authority, ANudgeDuringTheRobotsResetIsRefused) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.in.resetting = true;
  rig.act(kAnna, NudgeBias{{0, 0.3f, 0, 0}, std::chrono::seconds(2), "w"}, "w");
  rig.step();
  ASSERT_EQ(rig.state(), S::kAuto);
  ASSERT_EQ(rig.decision->answers.size(), 1u);
  EXPECT_EQ(rig.decision->answers[0].status.code(), Code::kFailedPrecondition);
  EXPECT_NE(rig.decision->answers[0].status.message().find("resets"), std::string::npos);
  EXPECT_TRUE(rig.decision->nudge.empty());
}

TEST(Authority, AWordsActIsAnsweredAndLeavesItsIdToTheWords) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.acts.push_back({.id = "w", .actor = kAnna, .body = Hold{}, .logged_elsewhere = true});
  rig.step();
  ASSERT_EQ(rig.decision->answers.size(), 1u);
  EXPECT_FALSE(rig.decision->answers[0].logged);
  ASSERT_FALSE(rig.decision->records.empty());
  for (const AuthorityRecord& record : rig.decision->records) EXPECT_TRUE(record.id.empty());
}

// ---- speed ------------------------------------------------------------------------------------

TEST(Authority, WordsSlowThePolicyDownAndNeverMakeItFasterThanItIs) {
  Rig rig;
  rig.proposal = {0.4f, -0.2f, 0, 1.0f};
  rig.reach(S::kAuto);
  rig.act(kAnna, SpeedChange{.absolute = false, .scale = 0.5}, "s");
  rig.step();
  EXPECT_TRUE(rig.decision->answers[0].status.ok());
  EXPECT_EQ(rig.decision->answers[0].speed_before, 1.0);
  EXPECT_EQ(rig.decision->answers[0].speed, 0.5);
  EXPECT_EQ(rig.decision->speed, 0.5);
  EXPECT_EQ(rig.decision->requested, (Action{0.2f, -0.1f, 0, 0.5f}));
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.01});
  rig.step();
  EXPECT_EQ(rig.decision->speed, 0.25) << "never so slow that it seems stuck";
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 40});
  rig.step();
  EXPECT_EQ(rig.decision->speed, 1.0);
  rig.act(kAnna, SpeedChange{.absolute = false, .scale = 2}, "f");
  rig.step();
  EXPECT_EQ(rig.decision->answers[0].status.code(), Code::kFailedPrecondition);
  EXPECT_EQ(rig.decision->requested, rig.proposal);
}

TEST(Authority, SlowerAndFasterLeadBackToWhereTheyBegan) {
  Rig rig;
  rig.reach(S::kAuto);
  for (const double scale : {0.7, 0.7, 1 / 0.7, 1 / 0.7}) {
    rig.act(kAnna, SpeedChange{.absolute = false, .scale = scale});
    rig.step();
  }
  EXPECT_EQ(rig.decision->speed, 1.0);
}

TEST(Authority, ASpeedStaysThroughAHoldAndIsForgottenWithTheEpisode) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.5});
  rig.step();
  rig.act(kAnna, Hold{});
  rig.steps(3);
  rig.act(kAnna, HandBack{});
  rig.steps(5);
  ASSERT_EQ(rig.state(), S::kAuto);
  EXPECT_EQ(rig.decision->speed, 0.5) << "nobody is surprised by a fast robot";
  rig.authority.forget_words();
  rig.step();
  EXPECT_EQ(rig.decision->speed, 1.0);
}

TEST(Authority, OnlyPeopleChangeTheSpeedAndNotUnderAnothersLease) {
  Rig rig;
  rig.reach(S::kHuman);
  const SpeedChange half{.absolute = true, .scale = 0.5};
  rig.jog(kAnna);
  rig.act(kBen, half, "ben");
  rig.act(kProgram, half, "program");
  rig.act(kViewerVic, half, "vic");
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = -1}, "negative");
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = std::nan("")}, "nan");
  rig.step();
  for (const ActAnswer& answer : rig.decision->answers) {
    EXPECT_FALSE(answer.status.ok()) << answer.id;
  }
  EXPECT_EQ(rig.decision->answers[0].holder, "anna");
  EXPECT_EQ(rig.decision->speed, 1.0);
  rig.jog(kAnna);
  rig.act(kAnna, half, "anna");
  rig.step();
  EXPECT_TRUE(rig.decision->answers[0].status.ok());
  EXPECT_EQ(rig.decision->requested, rig.sent.command.action) << "a person's own rates are whole";
}

TEST(Authority, ASlowedPolicyThatIsNotFiniteIsAFaultAllTheSame) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.5});
  rig.step();
  rig.proposal[0] = kNan;
  rig.step();
  EXPECT_EQ(rig.state(), S::kFaultHold);
}

// ---- configuration ----------------------------------------------------------------------------

TEST(Authority, ConfigurationNamesTheFieldOutOfRange) {
  const auto names = [](auto change, const std::string& word) {
    AuthorityConfig config = usual_config();
    change(config);
    const Status status = config.validate();
    EXPECT_NE(status.message().find(word), std::string::npos) << word << ": " << status.message();
  };
  using C = AuthorityConfig;
  EXPECT_TRUE(usual_config().validate().ok());
  names([](C& c) { c.robot.clear(); }, "robot");
  names([](C& c) { c.control_period = milliseconds(21); }, "control_period");
  names([](C& c) { c.control_period = Duration::zero(); }, "control_period");
  names([](C& c) { c.fresh = milliseconds(59); }, "fresh");
  names([](C& c) { c.fresh = milliseconds(501); }, "fresh");
  names([](C& c) { c.lease = milliseconds(199); }, "lease");
  names([](C& c) { c.reacquire = milliseconds(499); }, "reacquire");
  names([](C& c) { c.align = std::nan(""); }, "align");
  names([](C& c) { c.watchdog = milliseconds(59); }, "watchdog");
  names([](C& c) { c.late_periods = 0; }, "late_periods");
  names([](C& c) { c.takeover_timeout = Duration::zero(); }, "takeover_timeout");
  names([](C& c) { c.handback_timeout = milliseconds(2001); }, "handback_timeout");
  names([](C& c) { c.clamp_window = 0; }, "clamp_window");
  names([](C& c) { c.clamp_limit = 50; }, "clamp_limit");
  names([](C& c) { c.not_finite_limit = 0; }, "not_finite_limit");
  names([](C& c) { c.not_finite_window = Duration::zero(); }, "not_finite_window");
  names([](C& c) { c.nudge_bound = 1.1; }, "nudge_bound");
  names([](C& c) { c.nudge_ramp = 0; }, "nudge_ramp");
  names([](C& c) { c.nudge_longest = milliseconds(2001); }, "nudge_longest");
  names([](C& c) { c.slowest = 0; }, "slowest");
  names([](C& c) { c.slowest = 1.01; }, "slowest");
}

TEST(Authority, DefaultsAreThoseOfTheSafetySpecification) {
  const AuthorityConfig config;
  EXPECT_EQ(config.fresh, milliseconds(200));
  EXPECT_EQ(config.lease, milliseconds(500));
  EXPECT_EQ(config.reacquire, std::chrono::seconds(5));
  EXPECT_EQ(config.align, 0.1);
  EXPECT_EQ(config.watchdog, milliseconds(200));
  EXPECT_EQ(config.late_periods, 3);
  EXPECT_EQ(config.takeover_timeout, std::chrono::seconds(10));
  EXPECT_EQ(config.handback_timeout, std::chrono::seconds(2));
  EXPECT_EQ(config.clamp_limit, 10);
  EXPECT_EQ(config.clamp_window, 50);
  EXPECT_FALSE(config.script_may_start);
}

}  // namespace
}  // namespace nudge
