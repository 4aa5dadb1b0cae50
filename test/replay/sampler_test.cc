#include "replay/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

namespace nudge {
namespace {

constexpr auto kDemo = SampleClass::kDemonstration;
constexpr auto kCorrection = SampleClass::kCorrection;
constexpr auto kSuccess = SampleClass::kAutonomousSuccess;

// Adds `n` rows of one stratum.
void add(Sampler& sampler, SampleClass c, std::uint32_t supervisor, std::size_t n,
         bool held_out = false) {
  const Sampler::StratumId id = sampler.stratum(c, supervisor, held_out);
  for (std::size_t i = 0; i < n; ++i) {
    sampler.add_row();
    sampler.move(static_cast<Sampler::Row>(sampler.rows() - 1), id);
  }
}

double probability(const Sampler& sampler, SampleClass c, std::uint32_t supervisor) {
  double sum = 0;
  for (std::size_t i = 0; i < sampler.strata().size(); ++i) {
    const auto& s = sampler.strata()[i];
    if (s.sample_class == c && s.supervisor == supervisor) sum += sampler.probabilities()[i];
  }
  return sum;
}

std::vector<Sampler::Row> draw(const Sampler& sampler, std::size_t n, std::uint64_t seed) {
  std::vector<Sampler::Row> rows(n);
  Random random(seed);
  sampler.draw(rows, random);
  return rows;
}

// Shares alone, however often that draws a step.
constexpr Mix mix_of(double demonstrations, double corrections, double successes) {
  Mix mix;
  mix.oversampling = std::numeric_limits<double>::infinity();
  mix.share[static_cast<std::size_t>(kDemo)] = demonstrations;
  mix.share[static_cast<std::size_t>(kCorrection)] = corrections;
  mix.share[static_cast<std::size_t>(kSuccess)] = successes;
  return mix;
}

// The usual shares, and a bound on how often a row of human feedback is drawn.
Mix bounded(double oversampling) {
  Mix mix;
  mix.oversampling = oversampling;
  return mix;
}

TEST(Sampler, GivesThreeFifthsToCorrectionsAndTwoToDemonstrations) {
  Sampler sampler;
  add(sampler, kDemo, 0, 1000);
  add(sampler, kCorrection, 1, 500);
  add(sampler, kSuccess, 0, 50);
  ASSERT_TRUE(sampler.prepare({}).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 0.6, 1e-12);
  EXPECT_NEAR(probability(sampler, kDemo, 0), 0.4, 1e-12);
  EXPECT_EQ(probability(sampler, kSuccess, 0), 0);
}

TEST(Sampler, GivesTheShareOfEmptyClassesToTheOthersInProportion) {
  Sampler sampler;
  add(sampler, kDemo, 0, 10);
  add(sampler, kCorrection, 1, 3);
  ASSERT_TRUE(sampler.prepare(mix_of(0.3, 0.5, 0.2)).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 0.5 / 0.8, 1e-12);
  EXPECT_NEAR(probability(sampler, kDemo, 0), 0.3 / 0.8, 1e-12);
}

TEST(Sampler, GivesTheShareOfDemonstrationsToSuccessesWhereThereAreNone) {
  Sampler sampler;
  add(sampler, kCorrection, 1, 30);
  add(sampler, kSuccess, 0, 50);
  add(sampler, kDemo, 0, 10, /*held_out=*/true);
  ASSERT_TRUE(sampler.prepare({}).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 0.6, 1e-12);
  EXPECT_NEAR(probability(sampler, kSuccess, 0), 0.4, 1e-12);
}

TEST(Sampler, RefusesCorrectionsThatStandAlone) {
  Sampler sampler;
  add(sampler, kCorrection, 1, 10);
  EXPECT_EQ(sampler.prepare({}).code(), Code::kFailedPrecondition);
  Mix mix;
  mix.corrections_may_stand_alone = true;
  EXPECT_TRUE(sampler.prepare(mix).ok());
}

TEST(Sampler, SharesOfEachRowLetALargeClassFillTheBatch) {
  Sampler sampler;
  add(sampler, kDemo, 0, 30);
  add(sampler, kCorrection, 1, 10);
  Mix mix;
  mix.by_rows = true;
  mix.share.fill(0);
  mix.share[static_cast<std::size_t>(kDemo)] = 0.5;
  mix.share[static_cast<std::size_t>(kCorrection)] = 0.5;
  ASSERT_TRUE(sampler.prepare(mix).ok());
  EXPECT_NEAR(probability(sampler, kDemo, 0), 0.75, 1e-12);
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 0.25, 1e-12);
  mix.share[static_cast<std::size_t>(kDemo)] = 0.25;
  ASSERT_TRUE(sampler.prepare(mix).ok());
  EXPECT_NEAR(probability(sampler, kDemo, 0), 0.6, 1e-12);
}

TEST(Sampler, CountsAnAnchorWithoutShareAsNone) {
  Sampler sampler;
  add(sampler, kCorrection, 1, 10);
  add(sampler, kDemo, 0, 10);
  Mix mix;
  mix.share[static_cast<std::size_t>(kDemo)] = 0;
  EXPECT_EQ(sampler.prepare(mix).code(), Code::kFailedPrecondition);
}

TEST(Sampler, SaysWhenNothingMayBeDrawn) {
  Sampler sampler;
  EXPECT_EQ(sampler.prepare({}).code(), Code::kFailedPrecondition);
  add(sampler, kDemo, 0, 5, /*held_out=*/true);
  EXPECT_EQ(sampler.prepare({}).code(), Code::kFailedPrecondition);
}

TEST(Sampler, DoesNotCapTheOnlySupervisor) {
  Sampler sampler;
  add(sampler, kDemo, 0, 10);
  add(sampler, kCorrection, 7, 100);
  ASSERT_TRUE(sampler.prepare({}).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 7), 0.6, 1e-12);
}

TEST(Sampler, CapsASupervisorAtAQuarterAndFillsUpTheOthersInProportion) {
  Sampler sampler;
  add(sampler, kDemo, 0, 10);
  add(sampler, kSuccess, 0, 10);
  add(sampler, kCorrection, 1, 9000);
  for (std::uint32_t s = 2; s <= 7; ++s) add(sampler, kCorrection, s, 100 * (s - 1));
  ASSERT_TRUE(sampler.prepare(mix_of(0.3, 0.5, 0.2)).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 0.5 * 0.25, 1e-12);
  double sum = 0;
  for (std::uint32_t s = 1; s <= 7; ++s) {
    EXPECT_LE(probability(sampler, kCorrection, s), 0.5 * 0.25 + 1e-12);
    sum += probability(sampler, kCorrection, s);
  }
  EXPECT_NEAR(sum, 0.5, 1e-12);
  EXPECT_NEAR(probability(sampler, kCorrection, 3), 2 * probability(sampler, kCorrection, 2),
              1e-12);
}

TEST(Sampler, GivesToAnchorsWhatTwoCappedSupervisorsMayNotFill) {
  Sampler sampler;
  add(sampler, kDemo, 0, 10);
  add(sampler, kSuccess, 0, 10);
  add(sampler, kCorrection, 1, 1000);
  add(sampler, kCorrection, 2, 10);
  ASSERT_TRUE(sampler.prepare(mix_of(0.3, 0.5, 0.2)).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 0.125, 1e-12);
  EXPECT_NEAR(probability(sampler, kCorrection, 2), 0.125, 1e-12);
  EXPECT_NEAR(probability(sampler, kDemo, 0), 0.75 * 0.6, 1e-12);
  EXPECT_NEAR(probability(sampler, kSuccess, 0), 0.75 * 0.4, 1e-12);
}

TEST(Sampler, DrawsAStepOfAFewCorrectionsNoMoreOftenThanTheBoundAllows) {
  Sampler sampler;
  add(sampler, kDemo, 0, 1000);
  add(sampler, kCorrection, 1, 10);
  ASSERT_TRUE(sampler.prepare(bounded(5)).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 5 * 10 / 1050.0, 1e-12);
  EXPECT_NEAR(probability(sampler, kDemo, 0), 1000 / 1050.0, 1e-12);
}

TEST(Sampler, DrawsAFewCorrectionsBesideAnyNumberOfDemonstrationsAsBesideTwoThousand) {
  for (const std::size_t demonstrations : {2'000u, 50'000u}) {
    Sampler sampler;
    add(sampler, kDemo, 0, demonstrations);
    add(sampler, kCorrection, 1, 10);
    ASSERT_TRUE(sampler.prepare(bounded(5)).ok());
    EXPECT_NEAR(probability(sampler, kCorrection, 1), 5 * 10 / 2050.0, 1e-12);
  }
}

TEST(Sampler, GivesCorrectionsTheirWholeShareOnceThereAreEnough) {
  Sampler sampler;
  add(sampler, kDemo, 0, 1000);
  add(sampler, kCorrection, 1, 300);
  ASSERT_TRUE(sampler.prepare(bounded(5)).ok());
  EXPECT_NEAR(probability(sampler, kCorrection, 1), 0.6, 1e-12);
}

TEST(Sampler, LeavesToNegativesTheirShareWhateverTheBound) {
  Sampler sampler;
  add(sampler, kDemo, 0, 1000);
  add(sampler, kCorrection, 1, 10);
  add(sampler, SampleClass::kBeforeTakeover, 0, 10);
  ASSERT_TRUE(sampler.prepare(bounded(2)).ok());
  EXPECT_NEAR(probability(sampler, SampleClass::kBeforeTakeover, 0), 0.1 / 1.1, 1e-12);
}

TEST(Sampler, RefusesAMixThatIsNoMix) {
  Mix mix;
  mix.share[2] = -0.1;
  EXPECT_EQ(mix.validate().code(), Code::kInvalidArgument);
  mix = {};
  mix.share.fill(0);
  EXPECT_EQ(mix.validate().code(), Code::kInvalidArgument);
  mix = {};
  mix.supervisor_cap = 0;
  EXPECT_EQ(mix.validate().code(), Code::kInvalidArgument);
  mix = {};
  mix.oversampling = 0.9;
  EXPECT_EQ(mix.validate().code(), Code::kInvalidArgument);
}

TEST(Sampler, DrawsRowsExactlyAsOftenAsTheirSharesSay) {
  Sampler sampler;
  add(sampler, kDemo, 0, 37);
  add(sampler, kCorrection, 1, 20);
  add(sampler, kCorrection, 2, 5);
  add(sampler, kCorrection, 3, 11);
  add(sampler, kCorrection, 4, 2);
  add(sampler, kCorrection, 5, 1);
  add(sampler, kSuccess, 0, 30);
  add(sampler, SampleClass::kNudged, 1, 6);
  ASSERT_TRUE(sampler.prepare(mix_of(0.3, 0.5, 0.2)).ok());
  std::vector<double> expected(sampler.rows());
  for (std::size_t i = 0; i < sampler.strata().size(); ++i) {
    const auto& rows = sampler.strata()[i].rows;
    for (const auto row : rows) {
      expected[row] = sampler.probabilities()[i] / static_cast<double>(rows.size());
    }
  }
  constexpr std::size_t kDraws = 2'000'000;
  std::vector<double> seen(sampler.rows());
  for (const auto row : draw(sampler, kDraws, 11)) ++seen[row];
  double chi = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i] * kDraws;
    ASSERT_GT(e, 100);
    chi += (seen[i] - e) * (seen[i] - e) / e;
  }
  // 111 degrees of freedom: mean 111, standard deviation 14.9; above 168 once in some 3,000 seeds.
  EXPECT_LT(chi, 168);
  EXPECT_GT(chi, 65);
}

TEST(Sampler, NeverDrawsARowThatWasMovedAway) {
  Sampler sampler;
  add(sampler, kDemo, 0, 100);
  for (Sampler::Row row = 0; row < 100; row += 2) sampler.move(row, Sampler::kNowhere);
  ASSERT_TRUE(sampler.prepare({}).ok());
  for (const auto row : draw(sampler, 20'000, 3)) EXPECT_EQ(row % 2, 1u);
}

TEST(Sampler, KeepsEveryRowInExactlyTheStratumItWasMovedToLast) {
  Sampler sampler;
  std::vector<Sampler::StratumId> ids = {Sampler::kNowhere};
  for (std::uint32_t s = 1; s <= 4; ++s) ids.push_back(sampler.stratum(kCorrection, s, false));
  std::map<Sampler::Row, Sampler::StratumId> truth;
  Random random(5);
  for (Sampler::Row row = 0; row < 70'000; ++row) {  // more than one block
    sampler.add_row();
    truth[row] = Sampler::kNowhere;
  }
  for (int i = 0; i < 300'000; ++i) {
    const auto row = static_cast<Sampler::Row>(random.below(70'000));
    const auto to = ids[random.below(ids.size())];
    sampler.move(row, to);
    truth[row] = to;
  }
  std::size_t placed = 0;
  for (std::size_t i = 0; i < sampler.strata().size(); ++i) {
    for (const auto row : sampler.strata()[i].rows) EXPECT_EQ(truth.at(row), i);
    placed += sampler.strata()[i].rows.size();
    const auto& rows = sampler.strata()[i].rows;
    EXPECT_EQ(std::set<Sampler::Row>(rows.begin(), rows.end()).size(), rows.size());
  }
  std::size_t expected = 0;
  for (const auto& [row, id] : truth) {
    EXPECT_EQ(sampler.where(row), id);
    expected += id != Sampler::kNowhere;
  }
  EXPECT_EQ(placed, expected);
}

TEST(Sampler, GivesTheSameDrawsForTheSameHistoryAndSeed) {
  const auto build = [] {
    Sampler sampler;
    add(sampler, kDemo, 0, 50);
    add(sampler, kCorrection, 1, 50);
    for (Sampler::Row row = 3; row < 100; row += 7) sampler.move(row, Sampler::kNowhere);
    return sampler;
  };
  Sampler a = build(), b = build();
  ASSERT_TRUE(a.prepare({}).ok());
  ASSERT_TRUE(b.prepare({}).ok());
  EXPECT_EQ(draw(a, 1000, 9), draw(b, 1000, 9));
}

TEST(Sampler, NoticesThatRowsMovedSinceTheLastDraw) {
  Sampler sampler;
  add(sampler, kDemo, 0, 4);
  ASSERT_TRUE(sampler.prepare({}).ok());
  for (Sampler::Row row = 0; row < 4; ++row) sampler.move(row, Sampler::kNowhere);
  EXPECT_EQ(sampler.prepare({}).code(), Code::kFailedPrecondition);
  sampler.move(2, 0);
  ASSERT_TRUE(sampler.prepare({}).ok());
  for (const auto row : draw(sampler, 100, 1)) EXPECT_EQ(row, 2u);
}

TEST(Sampler, NeverGivesOneOfSeveralSupervisorsMoreThanTheCapWhateverTheNumbers) {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    Sampler sampler;
    add(sampler, kDemo, 0, 1 + random.below(50));
    if (random.below(2) == 0) add(sampler, kSuccess, 0, 1 + random.below(50));
    const auto people = static_cast<std::uint32_t>(2 + random.below(7));
    std::map<std::uint32_t, std::size_t> rows;
    for (std::uint32_t s = 1; s <= people; ++s) {
      rows[s] = 1 + random.below(s == 1 ? 2000 : 60);
      add(sampler, kCorrection, s, rows[s]);
    }
    Mix mix = mix_of(0.3, 0.5, 0.2);
    mix.supervisor_cap = random.below(2) == 0 ? 0.25 : random.uniform(0.05, 1);
    ASSERT_TRUE(sampler.prepare(mix).ok());
    const bool successes = sampler.strata()[1].sample_class == kSuccess;
    const double share = 0.5 / (successes ? 1.0 : 0.8);  // of the class, before any cap
    double sum = 0, total = 0;
    for (const double p : sampler.probabilities()) total += p;
    EXPECT_NEAR(total, 1, 1e-12);
    for (std::uint32_t s = 1; s <= people; ++s) {
      const double mine = probability(sampler, kCorrection, s);
      EXPECT_LE(mine, share * mix.supervisor_cap + 1e-12) << round;
      EXPECT_GT(mine, 0);
      // Nobody is cut who is below the cap, and nobody gets less than others with fewer rows.
      for (std::uint32_t other = 1; other <= people; ++other) {
        if (rows[other] > rows[s]) continue;
        EXPECT_LE(probability(sampler, kCorrection, other), mine + 1e-12);
      }
      sum += mine;
    }
    // The class gets all that the cap lets it have: the rest, and no more, goes to the anchors.
    EXPECT_NEAR(sum, share * std::min(1.0, people * mix.supervisor_cap), 1e-12) << round;
  }
}

TEST(Sampler, NeverDrawsAStepOfAPersonMoreOftenThanTheBoundAllowsWhateverTheNumbers) {
  Random random(8);
  for (int round = 0; round < 300; ++round) {
    Sampler sampler;
    add(sampler, kDemo, 0, 1 + random.below(500));
    if (random.below(2) == 0) add(sampler, kSuccess, 0, 1 + random.below(500));
    const auto people = static_cast<std::uint32_t>(1 + random.below(4));
    for (std::uint32_t s = 1; s <= people; ++s) {
      add(sampler, kCorrection, s, 1 + random.below(200));
    }
    if (random.below(2) == 0) add(sampler, SampleClass::kRecovery, 1, 1 + random.below(20));
    if (random.below(2) == 0) add(sampler, SampleClass::kNudged, 2, 1 + random.below(20));
    Mix mix = mix_of(0.3, 0.5, 0.2);
    ASSERT_TRUE(sampler.prepare(mix).ok());
    const std::vector<double> without = sampler.probabilities();
    mix.oversampling = random.uniform(1, 20);
    ASSERT_TRUE(sampler.prepare(mix).ok());

    double anchors = 0, anchor_rows = 0, total = 0;
    for (std::size_t i = 0; i < sampler.strata().size(); ++i) {
      total += sampler.probabilities()[i];
      if (sampler.strata()[i].sample_class != kDemo && sampler.strata()[i].sample_class != kSuccess)
        continue;
      anchors += sampler.probabilities()[i];
      anchor_rows += static_cast<double>(sampler.strata()[i].rows.size());
    }
    EXPECT_NEAR(total, 1, 1e-12) << round;
    const double most = mix.oversampling * anchors / anchor_rows;  // of a row
    for (std::size_t i = 0; i < sampler.strata().size(); ++i) {
      const auto& s = sampler.strata()[i];
      if (s.sample_class == kDemo || s.sample_class == kSuccess) continue;
      // No more than the bound; and as much as without it, or as the bound allows.
      EXPECT_NEAR(sampler.probabilities()[i],
                  std::min(without[i], most * static_cast<double>(s.rows.size())), 1e-12)
          << round;
    }
  }
}

TEST(Sampler, DrawsAsOftenAsTheProbabilitiesSay) {
  Sampler sampler;
  add(sampler, kDemo, 0, 30);
  for (std::uint32_t s = 1; s <= 3; ++s) add(sampler, kCorrection, s, 400 * s);
  ASSERT_TRUE(sampler.prepare({}).ok());
  constexpr std::size_t kDraws = 200'000;
  std::vector<double> seen(sampler.strata().size(), 0);
  for (const Sampler::Row row : draw(sampler, kDraws, 5)) ++seen[sampler.where(row)];
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const double p = sampler.probabilities()[i];
    // Five standard deviations of a binomial share.
    EXPECT_NEAR(seen[i] / kDraws, p, 5 * std::sqrt(p * (1 - p) / kDraws)) << i;
  }
}

}  // namespace
}  // namespace nudge
