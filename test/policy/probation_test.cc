#include "policy/probation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nudge/random.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using Kind = Verdict::Kind;

// An AUTO episode of the version that is live.
void episode(Probation& probation, int steps = 60, int takeovers = 0, int clamped = 0) {
  probation.on_episode_started();
  for (int i = 0; i < steps; ++i) probation.on_auto_step(i < clamped);
  for (int i = 0; i < takeovers; ++i) probation.on_takeover();
  probation.on_episode_ended();
}

// Version 1 is confirmed and has driven `episodes`, each with `takeovers`.
Probation after_parent(int episodes = 20, int takeovers = 0, int clamped = 0) {
  Probation probation{ProbationOptions{}};
  probation.on_boot(1, {});
  for (int i = 0; i < episodes; ++i) episode(probation, 60, takeovers, clamped);
  return probation;
}

TEST(Probation, TheConfirmedVersionIsNeverJudged) {
  Probation probation = after_parent();
  probation.on_non_finite();
  for (int i = 0; i < 20; ++i) probation.on_inference(milliseconds(500));
  for (int i = 0; i < 20; ++i) episode(probation, 60, 5, 60);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, ANumberThatIsNotFiniteRollsBackAtOnce) {
  for (const WeightsKind kind : {WeightsKind::kFull, WeightsKind::kProvisional}) {
    Probation probation = after_parent();
    probation.on_live(2, kind);
    probation.on_non_finite();
    const Verdict verdict = probation.verdict();
    EXPECT_EQ(verdict.kind, Kind::kRollBack);
    EXPECT_EQ(verdict.version, 2u);
    EXPECT_EQ(verdict.to, 1u);
    EXPECT_EQ(verdict.reason, "non_finite");
  }
}

TEST(Probation, GoesBackToTheLastConfirmedVersionNotToTheOneBefore) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  episode(probation);
  probation.on_live(3, WeightsKind::kFull);
  probation.on_non_finite();
  EXPECT_EQ(probation.verdict().to, 1u);
}

TEST(Probation, ToleratesASingleLateInference) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 200; ++i) probation.on_inference(milliseconds(i % 20 == 0 ? 60 : 50));
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, RollsBackWhenInferenceIsOftenOverItsBudget) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 15; ++i) probation.on_inference(milliseconds(i % 5 == 0 ? 51 : 50));
  EXPECT_EQ(probation.verdict().reason, "latency");
}

TEST(Probation, ANewVersionStartsWithoutTheLatenessOfTheFormer) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 2; ++i) probation.on_inference(milliseconds(60));
  probation.on_live(3, WeightsKind::kFull);
  probation.on_inference(milliseconds(60));
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, RollsBackAtMoreThanTwiceTheParentsClampRate) {
  Probation probation = after_parent(20, 0, 6);  // 10 %
  probation.on_live(2, WeightsKind::kFull);
  probation.on_episode_started();
  for (int i = 0; i < 99; ++i) probation.on_auto_step(i < 21);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep) << "too few steps";
  probation.on_auto_step(false);
  const Verdict verdict = probation.verdict();
  EXPECT_EQ(verdict.kind, Kind::kRollBack);
  EXPECT_EQ(verdict.reason, "clamp_rate");
  EXPECT_EQ(verdict.detail, "limits cut 21.0 % of the steps, the parent's 10.0 %");
}

TEST(Probation, KeepsAtExactlyTwiceTheParentsClampRate) {
  Probation probation = after_parent(20, 0, 6);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 100; ++i) probation.on_auto_step(i < 20);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, AFewClampsAfterAParentWithoutAnyAreNoFault) {
  Probation probation = after_parent(20, 0, 0);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 100; ++i) probation.on_auto_step(i < 10);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
  for (int i = 0; i < 100; ++i) probation.on_auto_step(i < 11);
  EXPECT_EQ(probation.verdict().reason, "clamp_rate");
}

TEST(Probation, DoesNotCompareClampsWithAParentThatHardlyDrove) {
  Probation probation = after_parent(1);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 1000; ++i) probation.on_auto_step(true);
  EXPECT_NE(probation.verdict().kind, Kind::kRollBack);
}

TEST(Probation, TakeoversAloneNeverRollBackWithinFourEpisodes) {
  Probation probation = after_parent(50, 0);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 4; ++i) episode(probation, 60, 10);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
  episode(probation, 60, 10);
  EXPECT_EQ(probation.verdict().reason, "takeovers");
  EXPECT_EQ(probation.verdict().detail, "50 takeovers in 5 episodes, the parent 0 in 50");
}

TEST(Probation, TeachingAtTheParentsRateIsNoFault) {
  Probation probation = after_parent(10, 1);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 5; ++i) episode(probation, 60, 1);
  EXPECT_EQ(probation.verdict().kind, Kind::kConfirm);
}

TEST(Probation, ASlightlyHigherRateIsNoEvidenceButKeepsItOnProbation) {
  Probation probation = after_parent(10, 1);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 5; ++i) episode(probation, 60, i < 2 ? 2 : 1);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep) << "7 takeovers in 5 episodes: p = 0.33";
  episode(probation, 60, 0);
  EXPECT_EQ(probation.verdict().kind, Kind::kConfirm) << "7 in 6";
}

TEST(Probation, WithoutAllowanceForDoubtFiveEpisodesAreEnough) {
  ProbationOptions options;
  options.doubt = 0;
  Probation probation{options};
  probation.on_boot(1, {});
  for (int i = 0; i < 10; ++i) episode(probation, 60, 1);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 5; ++i) episode(probation, 60, i < 2 ? 2 : 1);
  EXPECT_EQ(probation.verdict().kind, Kind::kConfirm);
}

TEST(Probation, TakeoversCountWhenTheirEpisodeEnds) {
  Probation probation = after_parent(50, 0);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 5; ++i) episode(probation, 10);
  EXPECT_EQ(probation.lineage().takeovers, 0u);
  probation.on_episode_started();
  probation.on_auto_step(false);
  for (int i = 0; i < 30; ++i) probation.on_takeover();
  EXPECT_EQ(probation.lineage().takeovers, 0u);
  probation.on_episode_ended();
  EXPECT_EQ(probation.lineage().takeovers, 30u);
  EXPECT_EQ(probation.verdict().reason, "takeovers");
}

TEST(Probation, ConfirmsAfterFiveEpisodes) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 4; ++i) {
    episode(probation);
    EXPECT_EQ(probation.verdict().kind, Kind::kKeep) << i;
  }
  episode(probation);
  const Verdict verdict = probation.verdict();
  EXPECT_EQ(verdict.kind, Kind::kConfirm);
  EXPECT_EQ(verdict.version, 2u);
}

TEST(Probation, EpisodesInWhichThePolicyNeverDroveCountNothing) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 10; ++i) episode(probation, 0);
  EXPECT_EQ(probation.lineage().episodes, 0u);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, ExposureBelongsToTheLineageSoThatTeachingDoesNotPreventConfirmation) {
  Probation probation = after_parent(20, 1);
  // Each episode is corrected and ends with a new full version.
  for (WeightsVersion version = 2; version <= 6; ++version) {
    probation.on_live(version, WeightsKind::kFull);
    EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
    episode(probation, 20, 1);
  }
  EXPECT_EQ(probation.lineage().episodes, 5u);
  EXPECT_EQ(probation.own().episodes, 1u);
  EXPECT_EQ(probation.verdict().kind, Kind::kConfirm)
      << "of a parent without takeovers: " << probation.verdict().detail;
}

TEST(Probation, TheNewestNeedsAWholeEpisodeOrFifteenStepsOfItsOwn) {
  Probation probation = after_parent();
  for (WeightsVersion version = 2; version <= 6; ++version) {
    probation.on_live(version, WeightsKind::kFull);
    episode(probation);
  }
  probation.on_live(7, WeightsKind::kFull);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
  probation.on_episode_started();
  for (int i = 0; i < 14; ++i) probation.on_auto_step(false);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
  probation.on_auto_step(false);
  EXPECT_EQ(probation.verdict().kind, Kind::kConfirm);
}

TEST(Probation, AShortButWholeEpisodeIsEnoughOfItsOwn) {
  Probation probation = after_parent();
  for (WeightsVersion version = 2; version <= 6; ++version) {
    probation.on_live(version, WeightsKind::kFull);
    episode(probation);
  }
  probation.on_live(7, WeightsKind::kFull);
  episode(probation, 3);
  EXPECT_EQ(probation.verdict().kind, Kind::kConfirm);
}

TEST(Probation, AnEpisodeSharedWithAnotherVersionIsNotWhole) {
  Probation probation = after_parent();
  for (WeightsVersion version = 2; version <= 6; ++version) {
    probation.on_live(version, WeightsKind::kFull);
    episode(probation);
  }
  probation.on_episode_started();
  probation.on_auto_step(false);
  probation.on_live(7, WeightsKind::kFull);
  probation.on_auto_step(false);
  probation.on_episode_ended();
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, ProvisionalWeightsAreNeverConfirmedAndAddNothing) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kProvisional);
  for (int i = 0; i < 20; ++i) episode(probation, 60, 10);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
  EXPECT_EQ(probation.lineage(), Exposure{});
  EXPECT_EQ(probation.parent().episodes, 20u);
}

TEST(Probation, ConfirmationMakesTheLineageTheParent) {
  Probation probation = after_parent(20, 0, 3);
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 5; ++i) episode(probation, 60, 0, 3);
  ASSERT_EQ(probation.verdict().kind, Kind::kConfirm);
  const Exposure lineage = probation.lineage();
  probation.on_confirmed(2);
  EXPECT_EQ(probation.confirmed(), 2u);
  EXPECT_EQ(probation.parent(), lineage);
  EXPECT_EQ(probation.lineage(), Exposure{});
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
  episode(probation);
  EXPECT_EQ(probation.parent().episodes, 6u) << "it goes on gathering";
}

TEST(Probation, PromotingWeightsThatNeverDroveLeavesNothingToCompareWith) {
  Probation probation = after_parent();
  probation.on_confirmed(9);
  probation.on_live(9, WeightsKind::kFull);
  EXPECT_EQ(probation.parent(), Exposure{});
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, ARollbackEndsTheLineage) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  episode(probation);
  probation.on_non_finite();
  probation.on_rolled_back(1);
  EXPECT_EQ(probation.live(), 1u);
  EXPECT_EQ(probation.lineage(), Exposure{});
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
  EXPECT_EQ(probation.parent().episodes, 20u);
  probation.on_live(3, WeightsKind::kFull);
  EXPECT_EQ(probation.verdict().kind, Kind::kKeep);
}

TEST(Probation, WithoutAConfirmedVersionThereIsNothingToGoBackTo) {
  Probation probation{ProbationOptions{}};
  probation.on_live(1, WeightsKind::kFull);
  probation.on_non_finite();
  EXPECT_EQ(probation.verdict().kind, Kind::kRollBack);
  EXPECT_EQ(probation.verdict().to, 0u);
}

TEST(Probation, AnEpisodeThatNeverEndedCountsNowhere) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  probation.on_episode_started();
  probation.on_auto_step(false);
  probation.on_takeover();
  episode(probation);
  EXPECT_EQ(probation.lineage().episodes, 1u);
  EXPECT_EQ(probation.lineage().takeovers, 0u);
}

TEST(Probation, AskingForTheVerdictChangesNothing) {
  Probation probation = after_parent();
  probation.on_live(2, WeightsKind::kFull);
  for (int i = 0; i < 5; ++i) episode(probation);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(probation.verdict().kind, Kind::kConfirm);
}

TEST(Probation, TheTestIsTheBinomialTail) {
  // 3 of 3 takeovers in half of the episodes: 1/8.
  EXPECT_NEAR(takeover_p_value({10, 0, 0, 3}, {10, 0, 0, 0}), 0.125, 1e-12);
  // At least 4 of 5 with share 1/3: 5 * (1/3)^4 * 2/3 + (1/3)^5 = 11/243.
  EXPECT_NEAR(takeover_p_value({5, 0, 0, 4}, {10, 0, 0, 1}), 11.0 / 243, 1e-12);
  EXPECT_NEAR(takeover_p_value({5, 0, 0, 0}, {10, 0, 0, 7}), 1, 1e-12);
  EXPECT_EQ(takeover_p_value({5, 0, 0, 100}, {0, 0, 0, 0}), 1);
  EXPECT_EQ(takeover_p_value({0, 0, 0, 0}, {10, 0, 0, 5}), 1);
}

TEST(Probation, TheTestStaysExactOverALongHistory) {
  const double p = takeover_p_value({1000, 0, 0, 5000}, {1000, 0, 0, 5000});
  EXPECT_NEAR(p, 0.5, 0.01);
  EXPECT_LT(takeover_p_value({1000, 0, 0, 6000}, {1000, 0, 0, 5000}), 1e-10);
}

// One-sided 95 %: of lineages exactly as good as their parent, at most 5 % are blamed at one look.
TEST(Probation, TheTestKeepsItsErrorRate) {
  int blamed = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Random random(Random::derive(3, static_cast<std::uint64_t>(trial)));
    const auto poisson = [&random](double mean) {  // Knuth's product of uniforms
      std::uint64_t count = 0;
      for (double product = random.uniform(); product > std::exp(-mean); ++count) {
        product *= random.uniform();
      }
      return count;
    };
    Exposure parent, lineage;
    parent.episodes = 10;
    lineage.episodes = 5;
    for (int i = 0; i < 10; ++i) parent.takeovers += poisson(0.6);
    for (int i = 0; i < 5; ++i) lineage.takeovers += poisson(0.6);
    blamed += takeover_p_value(lineage, parent) <= 0.05;
  }
  EXPECT_LE(blamed, kTrials * 5 / 100);
}

TEST(Probation, OptionsOutOfRangeAreNamed) {
  EXPECT_TRUE(ProbationOptions{}.validate().ok());
  const auto message = [](auto change) {
    ProbationOptions options;
    change(options);
    return options.validate().message();
  };
  EXPECT_NE(message([](auto& o) { o.episodes = 0; }).find("episodes"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.clamp_ratio = 1; }).find("clamp_ratio"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.clamp_ratio = NAN; }).find("clamp_ratio"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.clamp_floor = 2; }).find("clamp_floor"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.latency_budget = Duration(0); }).find("latency_budget"),
            std::string::npos);
  EXPECT_NE(message([](auto& o) { o.late_window = 65; }).find("late_window"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.late_limit = 21; }).find("late_limit"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.confidence = 1; }).find("confidence"), std::string::npos);
  EXPECT_NE(message([](auto& o) { o.doubt = 1; }).find("doubt"), std::string::npos);
}

}  // namespace
}  // namespace nudge
