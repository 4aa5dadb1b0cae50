// What a guard of the authority lets pass, or keeps, beside its plain case: each was found missing
// by taking the guards away one at a time (scripts/mutation.py).
#include <gtest/gtest.h>

#include <limits>

#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

using S = AuthorityState;
using std::chrono::milliseconds;

const ActAnswer& answer(const Rig& rig) {
  static const ActAnswer none{};
  EXPECT_EQ(rig.decision->answers.size(), 1u);
  return rig.decision->answers.empty() ? none : rig.decision->answers[0];
}

// Anna let go of the dead-man: the robot holds, and the lease is hers still.
void reach_hold_with_lease(Rig& rig) {
  rig.reach(S::kHuman);
  rig.jog(kAnna).dead_man = false;
  rig.step();
  ASSERT_EQ(rig.state(), S::kHold);
  ASSERT_EQ(rig.authority.lease().holder, kAnna);
}

// ---- faults -----------------------------------------------------------------------------------

TEST(AuthorityGuards, AFirstTickWithoutANumberIsAFault) {
  Rig rig;
  rig.in.tick = 0;
  rig.in.now = rig.in.observed = rig.in.oldest_frame = rig.now;
  rig.in.position = rig.position;
  EXPECT_EQ(rig.authority.tick(rig.in).state, S::kFaultHold);
}

TEST(AuthorityGuards, TwoTicksAtTheSameInstantAreNoFault) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.now -= kPeriod;
  EXPECT_EQ(rig.step().state, S::kAuto);
}

TEST(AuthorityGuards, AProposalOfTheWrongSizeRollsTheWeightsBack) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.proposal = {0, 0, 0};
  EXPECT_EQ(rig.step().state, S::kFaultHold);
  EXPECT_TRUE(rig.decision->roll_back_weights);
}

TEST(AuthorityGuards, OnlyAPolicyThatDrivesCanBeLate) {
  Rig rig;
  rig.reach(S::kFaultHold);
  rig.proposing = false;
  rig.steps(100);
  rig.act(kEva, ResetFault{}, "reset");
  rig.step();
  EXPECT_TRUE(answer(rig).status.ok()) << answer(rig).status.message();
  EXPECT_EQ(rig.state(), S::kHold);
}

// ---- STOP and hold ----------------------------------------------------------------------------

TEST(AuthorityGuards, AnEngineerIsAPersonToo) {
  Rig stopped;
  stopped.reach(S::kEstop);
  stopped.act(kEva, ResetStop{});
  EXPECT_EQ(stopped.step().state, S::kHold);
  Rig driving;
  driving.reach(S::kAuto);
  driving.act(kEva, NudgeBias{{0, 0.1f, 0, 0}, milliseconds(500)});
  driving.step();
  EXPECT_EQ(driving.decision->source, ControlSource::kNudge);
}

TEST(AuthorityGuards, WhereNothingIsStoppedThereIsNothingToReset) {
  for (const S state : {S::kHold, S::kAuto, S::kFaultHold}) {
    Rig rig;
    rig.reach(state);
    rig.act(kEva, ResetStop{}, "reset");
    rig.step();
    EXPECT_EQ(answer(rig).status.code(), Code::kFailedPrecondition);
    EXPECT_EQ(rig.find<StopReset>(), nullptr);
    EXPECT_EQ(rig.state(), state);
  }
}

TEST(AuthorityGuards, AHoldSaidBySomebodyElseEndsTheLeaseAlsoOfARobotThatHolds) {
  Rig rig;
  reach_hold_with_lease(rig);
  rig.act(kAnna, Hold{});
  rig.step();
  EXPECT_EQ(rig.authority.lease().holder, kAnna);
  rig.act(kViewerVic, Hold{});
  rig.step();
  EXPECT_FALSE(rig.authority.lease().holder);
}

// ---- the lease --------------------------------------------------------------------------------

TEST(AuthorityGuards, WhatTheHolderAsksForIsASignOfLifeAndWhatOthersAskForIsNot) {
  Rig own, others;
  reach_hold_with_lease(own);
  reach_hold_with_lease(others);
  for (int i = 0; i < 10; ++i) {
    own.act(kAnna, ResetStop{});  // refused, and still hers
    own.steps(10);
    others.act(kBen, ResetStop{});
    others.steps(10);
  }
  EXPECT_EQ(own.authority.lease().holder, kAnna);
  EXPECT_FALSE(others.authority.lease().holder);
}

TEST(AuthorityGuards, AHolderWhoIsAboutToDriveKeepsTheEpoch) {
  Rig rig;
  rig.reach(S::kTakeover);
  const LeaseEpoch epoch = rig.authority.lease().epoch;
  rig.act(kAnna, TakeoverRequest{}, "again");
  rig.step();
  EXPECT_TRUE(answer(rig).status.ok());
  EXPECT_EQ(answer(rig).epoch, epoch);
  EXPECT_EQ(rig.authority.lease().epoch, epoch);
  EXPECT_EQ(rig.find<LeaseGranted>(), nullptr);
}

TEST(AuthorityGuards, AHolderWhoAsksAgainInHoldRenewsTheLeaseAndPreemptsNobody) {
  Rig rig;
  reach_hold_with_lease(rig);
  rig.act(kAnna, TakeoverRequest{});
  rig.step();
  EXPECT_EQ(rig.state(), S::kTakeover);
  ASSERT_NE(rig.find<LeaseEnded>(), nullptr);
  EXPECT_EQ(std::get<LeaseEnded>(rig.find<LeaseEnded>()->payload).cause, "renewed");
}

TEST(AuthorityGuards, WhoReleasesWhatAnotherHasIsToldWho) {
  Rig rig;
  rig.reach(S::kHuman);
  rig.act(kBen, Release{}, "release");
  rig.jog(kAnna);
  rig.step();
  EXPECT_EQ(answer(rig).status.code(), Code::kFailedPrecondition);
  EXPECT_EQ(answer(rig).holder, "anna");
}

// ---- programs ---------------------------------------------------------------------------------

TEST(AuthorityGuards, AProgramTakesOverOutOfAFreeHoldOnlyWhereItMayStart) {
  AuthorityConfig config = usual_config();
  config.script_may_start = true;
  Rig simulated(config), real;
  for (Rig* rig : {&simulated, &real}) {
    rig->reach(S::kHold);
    rig->act(kProgram, TakeoverRequest{});
    rig->step();
  }
  EXPECT_EQ(simulated.state(), S::kTakeover);
  EXPECT_EQ(real.state(), S::kHold);
}

TEST(AuthorityGuards, AProgramTakesUpItsOwnLeaseAgainInHold) {
  for (const bool lost : {false, true}) {
    Rig rig;
    rig.reach(S::kAuto);
    rig.reach_human(kProgram);
    rig.jog(kProgram).dead_man = false;
    rig.step();
    ASSERT_EQ(rig.state(), S::kHold);
    if (lost) rig.steps(50);
    ASSERT_EQ(rig.authority.lease().holder.has_value(), !lost);
    rig.act(kProgram, TakeoverRequest{});
    EXPECT_EQ(rig.step().state, S::kTakeover) << lost;
  }
}

TEST(AuthorityGuards, APersonsLostLeaseIsNoProgramsToTakeUp) {
  Rig rig;
  reach_hold_with_lease(rig);
  rig.steps(400);  // lost, and no longer kept for anna
  rig.act(kProgram, TakeoverRequest{}, "take");
  rig.step();
  EXPECT_EQ(answer(rig).status.code(), Code::kPermissionDenied);
  EXPECT_EQ(rig.state(), S::kHold);
}

// ---- handing back -----------------------------------------------------------------------------

TEST(AuthorityGuards, NobodyHandsBackOutOfAFault) {
  Rig rig;
  rig.reach(S::kFaultHold);
  rig.act(kEva, HandBack{}, "back");
  rig.step();
  EXPECT_EQ(answer(rig).status.code(), Code::kFailedPrecondition);
}

TEST(AuthorityGuards, HandingBackWhatIsHandedBackAlreadyIsNoError) {
  for (const S state : {S::kHandback, S::kAuto}) {
    Rig rig;
    rig.reach(state);
    rig.act(kProgram, HandBack{}, "back");
    rig.step();
    EXPECT_TRUE(answer(rig).status.ok()) << answer(rig).status.message();
    EXPECT_EQ(rig.state(), state);
  }
}

TEST(AuthorityGuards, ACameraThatRestsWhileTheRobotResetsIsNoReasonToRefuse) {
  Rig rig;
  rig.reach(S::kHold);
  rig.in.resetting = true;
  rig.in.oldest_frame = Instant::min();
  rig.act(kAnna, HandBack{}, "back");
  rig.step();
  EXPECT_TRUE(answer(rig).status.ok()) << answer(rig).status.message();
  EXPECT_EQ(rig.state(), S::kHandback);
}

// ---- resets and cameras -----------------------------------------------------------------------

TEST(AuthorityGuards, AStateReadAtTheVeryEndOfAResetIsOneOfAfterIt) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.in.resetting = true;
  rig.step();
  rig.in.resetting = false;
  rig.observed_age = kPeriod;  // when the reset was seen last
  rig.step();
  EXPECT_EQ(rig.decision->source, ControlSource::kPolicy);
}

TEST(AuthorityGuards, ACameraMayTakeAsLongAsAnyAfterAReset) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.in.oldest_frame = rig.now - milliseconds(400);
  rig.in.resetting = true;
  rig.step();
  rig.in.resetting = false;
  rig.steps(25);  // 500 ms
  EXPECT_EQ(rig.state(), S::kAuto);
  EXPECT_EQ(rig.step().state, S::kHold);
}

TEST(AuthorityGuards, ACameraThatStaysFrozenAfterAResetIsWhatTheHandBackFailsFor) {
  AuthorityConfig config = usual_config();
  config.camera_fresh = std::chrono::seconds(5);
  Rig rig(config);
  rig.reach(S::kHandback);
  rig.in.oldest_frame = rig.now - std::chrono::seconds(6);
  rig.in.resetting = true;
  rig.step();
  rig.in.resetting = false;
  while (rig.step().state == S::kHandback) {
  }
  EXPECT_EQ(rig.cause(), "camera_stale");
}

TEST(AuthorityGuards, AResetThatTookTooLongSaysSoInTheLog) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.in.resetting = true;
  while (rig.step().state == S::kAuto) {
  }
  EXPECT_EQ(rig.cause(), "reset_failed");
  ASSERT_NE(rig.find<Fault>(), nullptr);
  EXPECT_NE(std::get<Fault>(rig.find<Fault>()->payload).detail.find("longer than 30"),
            std::string::npos);
}

// ---- commands ---------------------------------------------------------------------------------

TEST(AuthorityGuards, ACommandThatEchoesNoTickIsStaleAlsoWhenTheClockHasJustBegun) {
  Rig rig;
  rig.now = Instant{};
  rig.reach(S::kTakeover);
  rig.jog(kAnna).echoed_tick = 0;
  rig.step();
  EXPECT_EQ(rig.refused(CommandRefusal::kStale), 1u);
}

TEST(AuthorityGuards, ALeaderArmOfJointsThatTheRobotDoesNotShowIsNotAligned) {
  AuthorityConfig config = usual_config();
  config.joints = {3};  // the first channel that is not there
  Rig rig(config);
  rig.reach(S::kTakeover);
  for (int i = 0; i < 20; ++i) {
    rig.jog(kAnna, {0, 0, 0, 0}, {0.0f});
    rig.step();
  }
  EXPECT_EQ(rig.state(), S::kTakeover);
}

TEST(AuthorityGuards, ALeaderArmIsAlignedUpToTheDistanceItself) {
  AuthorityConfig config = usual_config();
  config.joints = {0};
  config.align = 0.5;
  Rig rig(config);
  rig.reach(S::kTakeover);
  rig.jog(kAnna, {0, 0, 0, 0}, {0.5f});
  rig.step();
  EXPECT_EQ(rig.state(), S::kHuman);
}

TEST(AuthorityGuards, ALeaderArmThatCameNearAsItsCommandGrewOldDrivesNothing) {
  for (const bool old : {false, true}) {
    AuthorityConfig config = usual_config();
    config.joints = {0};
    Rig rig(config);
    rig.reach(S::kTakeover);
    rig.position[0] = 1;
    rig.jog(kAnna, {0, 0, 0, 0}, {0.0f});
    rig.steps(old ? 9 : 8);  // of a command that was 20 ms old when it came
    rig.position[0] = 0;
    EXPECT_EQ(rig.step().state, old ? S::kTakeover : S::kHuman);
  }
}

TEST(AuthorityGuards, ACommandInHoldIsNoneThatDrove) {
  Rig rig;
  reach_hold_with_lease(rig);
  const ControlTick before = rig.decision->last_fresh_tick;
  rig.jog(kAnna);
  rig.step();
  EXPECT_EQ(rig.decision->last_fresh_tick, before);
}

// ---- nudges -----------------------------------------------------------------------------------

// Two ticks up, two ticks down.
Rig steep() {
  AuthorityConfig config = usual_config();
  config.nudge_ramp = 0.25;
  return Rig(config);
}

TEST(AuthorityGuards, ANudgeFadesSoThatItIsGoneAtItsEnd) {
  Rig rig = steep();
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, 0.5f, 0, 0}, milliseconds(200)});
  rig.steps(8);
  EXPECT_EQ(rig.decision->requested[1], 0.5f);
  rig.step();  // 160 ms after it began
  EXPECT_EQ(rig.decision->requested[1], 0.25f);
  rig.step();
  EXPECT_EQ(rig.decision->requested[1], 0);
}

TEST(AuthorityGuards, ANudgeIsGoneAtItsEndAlsoWhenTicksWereMissed) {
  for (const Duration late : {Duration::zero(), kPeriod}) {
    Rig rig = steep();
    rig.reach(S::kAuto);
    rig.act(kAnna, NudgeBias{{0, 0.5f, 0, 0}, milliseconds(200)});
    rig.steps(5);
    EXPECT_EQ(rig.decision->requested[1], 0.5f);
    rig.now += milliseconds(100) + late;
    rig.step();
    EXPECT_EQ(rig.decision->requested[1], 0);
  }
}

TEST(AuthorityGuards, ANudgeTheOtherWayPassesThroughZero) {
  Rig rig = steep();
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, -0.25f, 0, 0}, milliseconds(500)});
  rig.step();
  rig.act(kAnna, NudgeBias{{0, 0.25f, 0, 0}, milliseconds(500)});
  rig.step();
  EXPECT_EQ(rig.decision->requested[1], 0);
  rig.step();
  EXPECT_EQ(rig.decision->requested[1], 0.25f);
}

// ---- words ------------------------------------------------------------------------------------

TEST(AuthorityGuards, ASpeedIsANumberAboveNothing) {
  Rig rig;
  rig.reach(S::kAuto);
  for (const double scale : {0.0, std::numeric_limits<double>::infinity()}) {
    rig.act(kAnna, SpeedChange{.absolute = true, .scale = scale}, "s");
    rig.step();
    EXPECT_EQ(answer(rig).status.code(), Code::kInvalidArgument) << scale;
    EXPECT_EQ(rig.decision->speed, 1.0);
  }
}

TEST(AuthorityGuards, ASpeedThatCannotChangeSaysWhichEndItIsAt) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, SpeedChange{.absolute = false, .scale = 2}, "faster");
  rig.step();
  EXPECT_NE(answer(rig).status.message().find("never make it faster"), std::string::npos);
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.01});
  rig.step();
  rig.act(kAnna, SpeedChange{.absolute = false, .scale = 0.5}, "slower");
  rig.step();
  EXPECT_NE(answer(rig).status.message().find("as slowly as"), std::string::npos);
}

TEST(AuthorityGuards, AlmostAllOfItsSpeedIsAllOfIt) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.5});
  rig.step();
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.995});
  EXPECT_EQ(rig.step().speed, 0.995);
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.5});
  rig.step();
  rig.act(kAnna, SpeedChange{.absolute = true, .scale = 0.996});
  EXPECT_EQ(rig.step().speed, 1.0);
}

TEST(AuthorityGuards, ANudgeKeepsItsWordsThroughATickWithoutAProposal) {
  Rig rig;
  rig.reach(S::kAuto);
  rig.act(kAnna, NudgeBias{{0, 0.1f, 0, 0}, milliseconds(500), "w"});
  rig.steps(2);
  ASSERT_EQ(rig.decision->nudge, "w");
  rig.proposing = false;
  rig.step();
  ASSERT_EQ(rig.state(), S::kAuto);
  EXPECT_EQ(rig.decision->nudge, "w");
}

}  // namespace
}  // namespace nudge
