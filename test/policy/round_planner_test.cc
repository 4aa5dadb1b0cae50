#include "policy/round_planner.h"

#include <gtest/gtest.h>

#include "nudge/hold_out.h"

namespace nudge {
namespace {

// Writes a log and folds it. Version 1 is promoted and live from the start.
class Log {
 public:
  explicit Log(RoundPlannerOptions options = {}, bool with_weights = true) : planner(options) {
    if (!with_weights) return;
    accept(1, 0, WeightsKind::kFull);
    add(WeightsPromoted{1});
    add(WeightsLive{1});
  }

  Sequence add(Payload payload) {
    Event event;
    event.sequence = ++sequence;
    event.episode = episode;
    event.payload = std::move(payload);
    events.push_back(event);
    planner.apply(event);
    return sequence;
  }

  void start(EpisodePurpose purpose = EpisodePurpose::kDeployment) {
    episode = ++last_episode;
    add(EpisodeStarted{purpose, 0, ""});
  }
  Sequence end() {
    const Sequence at = add(EpisodeEnded{EpisodeEnd::kTaskDone, 100});
    episode = 0;
    return at;
  }
  void open(SpanKind kind = SpanKind::kTakeover) { add(SpanOpened{++span, kind, 1, 10}); }
  Sequence close(std::uint32_t steps, SpanEnd reason = SpanEnd::kReleased, bool complete = true) {
    return add(SpanClosed{span, reason, 10 + steps - 1, complete});
  }
  Sequence correct(std::uint32_t steps = 20) {
    open();
    return close(steps);
  }
  void corrected_episode() {
    start();
    correct();
    end();
  }
  void accept(WeightsVersion version, WeightsVersion parent, WeightsKind kind) {
    add(WeightsAccepted{version, {}, parent, kind, ""});
  }
  void live(WeightsVersion version, WeightsVersion parent, WeightsKind kind) {
    accept(version, parent, kind);
    add(WeightsLive{version});
  }
  // The candidate of a full round has arrived, and the gate refused it.
  void refuse(const RoundOrder& order) {
    Sha256 hash{};
    hash[0] = 1;
    add(CandidateReceived{hash, order.base, WeightsKind::kFull, order.prefix, 3.0});
    add(WeightsRejected{hash, order.base, "forgets", ""});
  }
  // Runs what is due to its end.
  void run() {
    const auto order = planner.due();
    ASSERT_TRUE(order.has_value());
    planner.started(*order);
    planner.finished(true);
    if (order->kind == RoundKind::kFull) refuse(*order);
  }
  // Episodes whose corrections have been learned from.
  void corrected_episodes(int count) {
    for (int i = 0; i < count; ++i) {
      start();
      correct();
      end();
      if (planner.due()) run();
    }
  }

  RoundPlanner planner;
  std::vector<Event> events;
  Sequence sequence = 0;
  EpisodeId episode = 0, last_episode = 0;
  SpanId span = 0;
};

RoundKind kind_due(const Log& log) {
  const auto order = log.planner.due();
  EXPECT_TRUE(order.has_value());
  return order ? order->kind : RoundKind::kFull;
}

TEST(HoldOut, IsEveryFifthCorrectedEpisode) {
  EXPECT_FALSE(is_held_out(0));
  for (std::uint64_t n : {1, 2, 3, 4, 6, 9, 11}) EXPECT_FALSE(is_held_out(n)) << n;
  for (std::uint64_t n : {5, 10, 15, 100}) EXPECT_TRUE(is_held_out(n)) << n;
}

TEST(RoundPlanner, NothingIsDueAtFirst) {
  Log log;
  EXPECT_FALSE(log.planner.due());
  log.start();
  log.end();
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, AMicroRoundFollowsACorrection) {
  Log log;
  log.start();
  log.open();
  EXPECT_FALSE(log.planner.due());
  const Sequence at = log.close(8);
  const auto order = log.planner.due();
  ASSERT_TRUE(order);
  EXPECT_EQ(order->kind, RoundKind::kMicro);
  EXPECT_EQ(order->prefix, at);
  EXPECT_EQ(order->base, 1u);
  EXPECT_EQ(order->episode, 1u);
}

TEST(RoundPlanner, ACorrectionOfFewStepsWaitsForTheFullRound) {
  Log log;
  log.start();
  log.correct(7);
  EXPECT_FALSE(log.planner.due());
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, NoMicroRoundWhenTheCorrectionWasCutOff) {
  for (const SpanEnd reason : {SpanEnd::kLinkLost, SpanEnd::kFault, SpanEnd::kStopped}) {
    Log log;
    log.start();
    log.open();
    log.close(50, reason);
    EXPECT_FALSE(log.planner.due());
    log.end();
    EXPECT_FALSE(log.planner.due()) << "and nothing of it is new to learn";
  }
}

TEST(RoundPlanner, APreemptedCorrectionIsLearnedAtTheEndOfTheEpisode) {
  Log log;
  log.start();
  log.open();
  log.close(50, SpanEnd::kPreempted);
  EXPECT_FALSE(log.planner.due());
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, NudgesAndEmptySpansAreNoCorrections) {
  Log log;
  log.start();
  log.open(SpanKind::kNudge);
  log.close(50);
  log.open();
  log.close(0);
  log.end();
  EXPECT_FALSE(log.planner.due());
  EXPECT_EQ(log.planner.corrected_episodes(), 0u);
}

TEST(RoundPlanner, AMicroRoundGoesOnFromWhatItsEpisodesMicroRoundsMade) {
  Log log;
  log.start();
  log.correct();
  log.run();
  log.live(2, 1, WeightsKind::kProvisional);
  log.correct();
  EXPECT_EQ(log.planner.due()->base, 2u);
}

TEST(RoundPlanner, AMicroRoundNeverBuildsOnAProvisionalVersionOfAnotherEpisode) {
  Log log;
  WeightsVersion version = 1;
  for (int i = 0; i < 4; ++i) {  // the fifth would be held out
    log.start();
    log.correct();
    ASSERT_TRUE(log.planner.due());
    EXPECT_EQ(log.planner.due()->base, 1u) << "though v" << version << " is live";
    log.run();
    log.live(++version, 1, WeightsKind::kProvisional);
    log.end();  // and its full round never comes
  }
}

TEST(RoundPlanner, AMicroRoundStartsFromANewerFullVersionEvenBeforeThatIsLive) {
  Log log;
  log.start();
  log.correct();
  log.run();
  log.live(2, 1, WeightsKind::kProvisional);
  log.accept(3, 1, WeightsKind::kFull);
  log.correct();
  EXPECT_EQ(log.planner.due()->base, 3u);
  log.run();
  log.live(4, 3, WeightsKind::kProvisional);
  log.correct();
  EXPECT_EQ(log.planner.due()->base, 4u);
}

TEST(RoundPlanner, AFullRoundFollowsTheEpisodeAndStartsFromTheNewestFullVersion) {
  Log log;
  log.start();
  log.correct();
  log.run();
  log.live(2, 1, WeightsKind::kProvisional);
  const Sequence at = log.end();
  const auto order = log.planner.due();
  ASSERT_TRUE(order);
  EXPECT_EQ(order->kind, RoundKind::kFull);
  EXPECT_EQ(order->prefix, at);
  EXPECT_EQ(order->base, 1u);
}

TEST(RoundPlanner, AMicroRoundThatWasNotStartedGivesWayToTheFullRound) {
  Log log;
  log.start();
  log.open();
  log.close(20, SpanEnd::kEpisodeEnded);
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
  log.run();
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, TheEndOfTheEpisodeAbortsItsMicroRound) {
  Log log;
  log.start();
  log.correct();
  log.planner.started(*log.planner.due());
  EXPECT_FALSE(log.planner.abort_running());
  log.end();
  EXPECT_TRUE(log.planner.abort_running());
  EXPECT_FALSE(log.planner.due());
  log.planner.finished(false);
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, NothingNewNoFullRound) {
  Log log;
  log.corrected_episodes(1);
  log.start();
  log.end();
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, OneRoundAtATime) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  EXPECT_FALSE(log.planner.due());
  EXPECT_TRUE(log.planner.running());
}

TEST(RoundPlanner, AFullRoundGoesOnWhileAPersonDrivesAndGivesWayWhenTheirCorrectionEnds) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.start();
  log.open();
  EXPECT_FALSE(log.planner.abort_running());
  log.close(20);
  EXPECT_TRUE(log.planner.abort_running());
  log.planner.gave_up();
  EXPECT_EQ(kind_due(log), RoundKind::kMicro);
  log.run();
  EXPECT_FALSE(log.planner.due());
  const Sequence at = log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
  EXPECT_EQ(log.planner.due()->prefix, at);
}

TEST(RoundPlanner, AFullRoundThatGaveWayIsNotGivenUpAgain) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.start();
  log.correct();
  log.planner.gave_up();
  log.run();
  log.end();
  log.planner.started(*log.planner.due());
  log.start();
  log.correct();
  EXPECT_FALSE(log.planner.abort_running());
  const RoundOrder through = *log.planner.running();
  log.planner.finished(true);
  log.refuse(through);
  EXPECT_EQ(kind_due(log), RoundKind::kMicro) << "which has waited";
  log.run();
  log.end();
  log.planner.started(*log.planner.due());
  log.start();
  log.correct();
  EXPECT_TRUE(log.planner.abort_running()) << "one came through in between";
}

TEST(RoundPlanner, AFullRoundGivesWayToNothingThatIsNoMicroRound) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.start();
  log.correct(7);  // too short for one
  EXPECT_FALSE(log.planner.abort_running());
  log.open();
  log.close(50, SpanEnd::kLinkLost);
  EXPECT_FALSE(log.planner.abort_running());
}

TEST(RoundPlanner, ATakeoverAbortsAMicroRoundWhichIsNotWantedAnyMore) {
  Log log;
  log.start();
  log.correct();
  log.planner.started(*log.planner.due());
  log.open();
  EXPECT_TRUE(log.planner.abort_running());
  log.planner.gave_up();
  log.close(3);
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, ASupersededCandidateHasTaughtNothing) {
  Log log;
  log.start();
  log.correct();
  const Sequence at = log.end();
  log.planner.started(*log.planner.due());
  log.planner.finished(true);
  Sha256 hash{};
  hash[0] = 7;
  log.add(CandidateReceived{hash, 1, WeightsKind::kFull, at, 3.0});
  EXPECT_FALSE(log.planner.anything_new());
  log.add(WeightsRejected{hash, 1, std::string(kSuperseded), ""});
  EXPECT_TRUE(log.planner.anything_new());
  log.start();
  log.end();
  ASSERT_EQ(kind_due(log), RoundKind::kFull);
  log.planner.started(*log.planner.due());
  log.start();
  log.correct();
  EXPECT_FALSE(log.planner.abort_running()) << "the next one goes through";
}

TEST(RoundPlanner, NothingIsBegunUntilItIsKnownWhatBecameOfTheLastFullCandidate) {
  for (const bool accepted : {true, false}) {
    Log log;
    log.start();
    log.correct();
    log.end();
    const RoundOrder order = *log.planner.due();
    log.planner.started(order);
    log.planner.finished(true);
    log.start();
    log.correct();
    EXPECT_FALSE(log.planner.due()) << "it would start from what is about to be replaced";
    log.end();
    EXPECT_FALSE(log.planner.due());
    if (accepted) {
      log.add(CandidateReceived{{}, 1, WeightsKind::kFull, order.prefix, 3.0});
      EXPECT_FALSE(log.planner.due());
      log.accept(2, 1, WeightsKind::kFull);
    } else {
      log.refuse(order);
    }
    ASSERT_EQ(kind_due(log), RoundKind::kFull);
    EXPECT_EQ(log.planner.due()->base, accepted ? 2u : 1u);
  }
}

TEST(RoundPlanner, AFullRoundTrainsFromWhatAnEngineerPromotedAndReplacesTheNewestVersion) {
  Log log;
  log.live(2, 1, WeightsKind::kFull);
  log.start();
  log.correct();
  const auto micro = log.planner.due();
  ASSERT_TRUE(micro);
  EXPECT_EQ(micro->base, 2u);
  EXPECT_EQ(micro->start, 2u);
  log.end();
  const auto full = log.planner.due();
  ASSERT_TRUE(full);
  EXPECT_EQ(full->kind, RoundKind::kFull);
  EXPECT_EQ(full->base, 2u);
  EXPECT_EQ(full->start, 1u);
}

TEST(RoundPlanner, ACandidateThatIsNotHeardOfForFiveEpisodesIsTakenForLost) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.planner.finished(true);
  log.add(Label{1, 0, LabelValue::kSuccess});
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(log.planner.due());
    log.start();
    log.end();
  }
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, ACandidateThatTheGateRefusedIsNotTriedAgain) {
  Log log;
  log.corrected_episode();
  log.run();
  EXPECT_FALSE(log.planner.anything_new());
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, EverySecondFullRoundArrivesHoweverOftenPeopleCorrect) {
  Log log;
  int arrived = 0, in_vain = 0;
  bool full_runs = false;
  for (int episode = 0; episode < 60; ++episode) {
    log.start();
    log.correct();
    if (full_runs && log.planner.abort_running()) {
      log.planner.gave_up();
      ++in_vain;
      full_runs = false;
    }
    if (const auto order = log.planner.due(); order && !full_runs) log.run();
    log.end();
    if (full_runs) {  // it takes longer than an episode, but not than two
      const RoundOrder through = *log.planner.running();
      log.planner.finished(true);
      log.refuse(through);
      ++arrived;
      full_runs = false;
    } else if (const auto order = log.planner.due()) {
      ASSERT_EQ(order->kind, RoundKind::kFull);
      log.planner.started(*order);
      full_runs = true;
    }
  }
  EXPECT_GT(arrived, 10);
  EXPECT_LE(in_vain, arrived + 1);
}

TEST(RoundPlanner, AFullRoundThatGaveWayIsDueAgainEvenIfTheEpisodeAddsNothing) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.start();
  log.planner.gave_up();
  log.open();
  log.close(3, SpanEnd::kLinkLost);
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, ANudgeDoesNotDisturbARound) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.start();
  log.open(SpanKind::kNudge);
  EXPECT_FALSE(log.planner.abort_running());
}

TEST(RoundPlanner, AFullRoundThatFailedIsDueAgainAtTheNextEpisodesEnd) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.planner.finished(false);
  EXPECT_FALSE(log.planner.due());
  log.start();
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, ALateLabelIsNewAtTheNextEpisodesEnd) {
  Log log;
  log.start();
  log.end();
  log.add(Label{1, 0, LabelValue::kSuccess});
  EXPECT_FALSE(log.planner.due());
  log.start();
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, UndoneStepsAreNew) {
  Log log;
  log.start();
  log.add(StepsDiscarded{1, 3, 9});
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, ASplitIsNewHoweverLateItIs) {
  Log log;
  log.corrected_episodes(1);
  log.start();
  log.end();
  EXPECT_FALSE(log.planner.due());
  log.start();
  log.add(SpanSplit{1, 14});
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, ASplitOfAHeldOutEpisodeOrOfNothingIsNothingNew) {
  Log log;
  log.corrected_episodes(5);
  log.start();
  log.add(SpanSplit{5, 14});
  log.add(SpanSplit{99, 14});
  log.end();
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, WordsTakenBackAreNew) {
  Log log;
  log.start();
  log.add(WordsUndone{"w-1"});
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, DemonstrationsAndEvaluationsTriggerNothing) {
  for (const EpisodePurpose purpose :
       {EpisodePurpose::kDemonstration, EpisodePurpose::kEvaluation}) {
    Log log;
    log.start(purpose);
    log.correct();
    log.add(Label{1, 0, LabelValue::kSuccess});
    EXPECT_FALSE(log.planner.due());
    log.end();
    EXPECT_FALSE(log.planner.due());
    EXPECT_EQ(log.planner.corrected_episodes(), 0u);
  }
}

TEST(RoundPlanner, EveryFifthCorrectedEpisodeTriggersNothing) {
  Log log;
  for (int n = 1; n <= 11; ++n) {
    SCOPED_TRACE(n);
    log.start();
    log.correct();
    EXPECT_EQ(log.planner.due().has_value(), n % 5 != 0) << "micro";
    EXPECT_EQ(log.planner.held_out(log.episode), n % 5 == 0);
    log.correct();
    log.end();
    EXPECT_EQ(log.planner.due().has_value(), n % 5 != 0) << "full";
    if (log.planner.due()) log.run();
  }
  EXPECT_EQ(log.planner.corrected_episodes(), 11u);
}

TEST(RoundPlanner, AHeldOutEpisodeDoesNotHoldBackWhatIsNewElsewhere) {
  Log log;
  log.corrected_episodes(4);
  log.start();
  log.add(Label{1, 0, LabelValue::kFailure});
  log.correct();
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, AnOutcomeThatTeachesNothingIsNothingNew) {
  Log log({.outcomes_teach = false});
  log.start(EpisodePurpose::kDemonstration);
  log.end();
  for (const LabelValue value : {LabelValue::kSuccess, LabelValue::kFailure, LabelValue::kNone}) {
    log.start();
    log.add(Label{log.episode, 0, value});
    log.end();
    EXPECT_FALSE(log.planner.anything_new());
    EXPECT_FALSE(log.planner.due());
  }
}

TEST(RoundPlanner, WhereOutcomesTeachNothingALabelOfASpanIsNewAllTheSame) {
  Log log({.outcomes_teach = false});
  log.start(EpisodePurpose::kDemonstration);
  log.end();
  log.corrected_episodes(1);
  log.add(Label{2, 1, LabelValue::kFailure});
  EXPECT_TRUE(log.planner.anything_new());
}

TEST(RoundPlanner, WhereOutcomesTeachNothingADiscardIsNewAndSoIsWhatTakesItBack) {
  Log log({.outcomes_teach = false});
  log.start(EpisodePurpose::kDemonstration);
  log.end();
  for (const LabelValue value : {LabelValue::kDiscard, LabelValue::kSuccess}) {
    log.corrected_episodes(1);
    EXPECT_FALSE(log.planner.anything_new());
    log.add(Label{2, 0, value});
    EXPECT_TRUE(log.planner.anything_new());
  }
}

TEST(RoundPlanner, OutcomesTeachWhereNothingWasDemonstrated) {
  Log log({.outcomes_teach = false});
  log.start();
  log.add(Label{1, 0, LabelValue::kSuccess});
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, LabelsOfAHeldOutEpisodeAreNothingNew) {
  Log log;
  log.corrected_episodes(5);
  log.add(Label{5, 0, LabelValue::kSuccess});
  log.start();
  log.end();
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, AnIncompleteSpanGivesNoNumberAndCountsAsIfItHadTheNext) {
  Log log;
  log.corrected_episodes(4);
  log.start();
  log.open();
  log.close(20, SpanEnd::kReleased, false);
  EXPECT_EQ(log.planner.corrected_episodes(), 4u);
  EXPECT_FALSE(log.planner.due()) << "the next number is held out";
}

TEST(RoundPlanner, AfterARollbackNothingIsDueUntilThereIsNewFeedback) {
  Log log;
  log.corrected_episode();
  log.run();
  log.live(2, 1, WeightsKind::kFull);
  log.start();
  log.add(Label{1, 0, LabelValue::kSuccess});
  log.add(WeightsRolledBack{2, 1, "takeovers"});
  EXPECT_TRUE(log.planner.waits_for_feedback());
  log.end();
  EXPECT_FALSE(log.planner.due());
  log.start();
  log.end();
  EXPECT_FALSE(log.planner.due());
  log.start();
  log.correct();
  EXPECT_FALSE(log.planner.waits_for_feedback());
  EXPECT_EQ(log.planner.due()->base, 1u);
  log.end();
  EXPECT_EQ(log.planner.due()->base, 1u) << "not the version that was found wanting";
}

TEST(RoundPlanner, ALabelIsFeedbackToo) {
  Log log;
  log.start();
  log.add(WeightsRolledBack{1, 1, "by a person"});
  log.add(Label{1, 0, LabelValue::kFailure});
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull);
}

TEST(RoundPlanner, ARollbackAbortsWhatRunsAndForgetsWhatWasDue) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.add(WeightsRolledBack{1, 1, "by a person"});
  EXPECT_TRUE(log.planner.abort_running());
  log.planner.finished(false);
  EXPECT_FALSE(log.planner.due());
}

TEST(RoundPlanner, TwoRollbacksInARowAskForAPause) {
  Log log;
  log.live(2, 1, WeightsKind::kFull);
  log.add(WeightsRolledBack{2, 1, "takeovers"});
  EXPECT_FALSE(log.planner.wants_pause());
  log.start();
  log.correct();
  log.live(3, 1, WeightsKind::kFull);
  log.add(WeightsRolledBack{3, 1, "takeovers"});
  EXPECT_TRUE(log.planner.wants_pause());
  log.correct();
  EXPECT_FALSE(log.planner.due());
  log.add(LearningPaused{"two rollbacks in a row"});
  EXPECT_FALSE(log.planner.wants_pause());
  EXPECT_TRUE(log.planner.paused());
}

TEST(RoundPlanner, AConfirmationBetweenTwoRollbacksSeparatesThem) {
  Log log;
  log.live(2, 1, WeightsKind::kFull);
  log.add(WeightsRolledBack{2, 1, "takeovers"});
  log.live(3, 1, WeightsKind::kFull);
  log.add(WeightsConfirmed{3});
  log.live(4, 3, WeightsKind::kFull);
  log.add(WeightsRolledBack{4, 3, "takeovers"});
  EXPECT_FALSE(log.planner.wants_pause());
}

TEST(RoundPlanner, WhileLearningIsPausedNothingIsDue) {
  Log log;
  log.add(LearningPaused{"by a person"});
  log.start();
  log.correct();
  EXPECT_FALSE(log.planner.due());
  log.end();
  EXPECT_FALSE(log.planner.due());
  log.add(LearningResumed{});
  EXPECT_FALSE(log.planner.due());
  log.start();
  log.end();
  EXPECT_EQ(kind_due(log), RoundKind::kFull) << "what came meanwhile is still new";
}

TEST(RoundPlanner, APauseAbortsWhatRuns) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.add(LearningPaused{"by a person"});
  EXPECT_TRUE(log.planner.abort_running());
}

TEST(RoundPlanner, TheFirstVersionNeedsAnEngineer) {
  Log log({}, false);
  log.corrected_episode();
  EXPECT_FALSE(log.planner.due());
  log.live(1, 0, WeightsKind::kFull);
  EXPECT_FALSE(log.planner.due());
  log.add(WeightsPromoted{1});
  EXPECT_EQ(log.planner.due()->base, 1u);
}

TEST(RoundPlanner, AMicroRoundStartsOverWhenItShouldHaveStartedFromOtherWeights) {
  Log log;
  log.start();
  log.correct();
  log.planner.started(*log.planner.due());
  log.accept(2, 1, WeightsKind::kFull);
  EXPECT_TRUE(log.planner.abort_running());
  log.planner.gave_up();
  ASSERT_EQ(kind_due(log), RoundKind::kMicro);
  EXPECT_EQ(log.planner.due()->base, 2u);
}

TEST(RoundPlanner, AMicroRoundThatWasGivenUpForWhatIsNotFoldedYetIsDroppedOrStartedOver) {
  // The learner looks ahead with a copy, and folds afterwards.
  for (const bool ends : {true, false}) {
    Log log;
    log.start();
    log.correct();
    log.planner.started(*log.planner.due());
    log.planner.gave_up();
    EXPECT_EQ(kind_due(log), RoundKind::kMicro);
    if (ends) {
      log.end();
      EXPECT_EQ(kind_due(log), RoundKind::kFull);
    } else {
      log.open();
      log.close(3);
      EXPECT_FALSE(log.planner.due());
    }
  }
}

TEST(RoundPlanner, EqualLogsGiveEqualOrders) {
  Log log, other;
  for (Log* l : {&log, &other}) {
    l->start();
    l->correct();
    l->end();
  }
  EXPECT_EQ(*log.planner.due(), *other.planner.due());
  RoundPlannerOptions options;
  options.seed = 1;
  Log third(options);
  third.start();
  third.correct();
  third.end();
  EXPECT_NE(third.planner.due()->seed, log.planner.due()->seed);
}

TEST(RoundPlanner, OrdersHaveSeedsOfTheirOwn) {
  Log log;
  log.start();
  log.correct();
  const std::uint64_t micro = log.planner.due()->seed;
  log.end();
  EXPECT_NE(log.planner.due()->seed, micro);
}

TEST(RoundPlanner, AfterARestartAnUnfinishedFullRoundIsDueAgain) {
  Log log;
  log.corrected_episode();
  log.planner.started(*log.planner.due());
  log.add(Booted{"nudge 0.1", "kitchen-1"});
  RoundPlanner restarted;
  for (const Event& event : log.events) restarted.apply(event);
  ASSERT_TRUE(restarted.due());
  EXPECT_EQ(restarted.due()->kind, RoundKind::kFull);
}

TEST(RoundPlanner, AfterARestartALearnedRoundIsNotDueAgain) {
  Log log;
  log.corrected_episode();
  const auto order = log.planner.due();
  log.add(CandidateReceived{{}, 1, WeightsKind::kFull, order->prefix, 3.0});
  RoundPlanner restarted;
  for (const Event& event : log.events) restarted.apply(event);
  EXPECT_FALSE(restarted.anything_new());
  EXPECT_FALSE(restarted.due());
}

TEST(RoundPlanner, ABootEndsASpanThatACrashLeftOpen) {
  Log log;
  log.start();
  log.open();
  log.add(Booted{"nudge 0.1", "kitchen-1"});
  log.start();
  log.correct();
  EXPECT_EQ(kind_due(log), RoundKind::kMicro);
}

}  // namespace
}  // namespace nudge
