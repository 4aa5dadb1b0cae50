#include "src/ports/learning_ledger.h"

#include <gtest/gtest.h>

#include <vector>

#include "nudge/random.h"
#include "src/ports/supervisor_wire.h"
#include "test/support/port_samples.h"

namespace nudge {
namespace {

class LearningLedgerTest : public testing::Test {
 protected:
  void candidate(std::uint8_t hash, WeightsKind kind = WeightsKind::kFull) {
    ledger_.apply(events_.make(CandidateReceived{.hash = test::sample_hash(hash),
                                                 .parent = 1,
                                                 .kind = kind,
                                                 .prefix = hash,
                                                 .train_seconds = 1.5,
                                                 .steps = 1000,
                                                 .loss = 0.01}));
  }
  void accepted(std::uint8_t hash, WeightsVersion version) {
    ledger_.apply(events_.make(
        WeightsAccepted{version, test::sample_hash(hash), 1, WeightsKind::kFull, "{}"}));
  }
  void rejected(std::uint8_t hash, const std::string& reason) {
    ledger_.apply(events_.make(WeightsRejected{test::sample_hash(hash), 1, reason, "because"}));
  }

  test::EventMaker events_;
  LearningLedger ledger_;
};

TEST_F(LearningLedgerTest, ARoundIsACandidateAndWhatTheGateSaidOfIt) {
  candidate(7, WeightsKind::kProvisional);
  EXPECT_TRUE(ledger_.rounds().empty()) << "not judged yet";
  accepted(7, 4);
  candidate(8);
  rejected(8, "forgets");
  ASSERT_EQ(ledger_.rounds().size(), 2u);
  EXPECT_EQ(ledger_.rounds()[0].version, 4u);
  EXPECT_EQ(ledger_.rounds()[0].kind, WeightsKind::kProvisional);
  EXPECT_EQ(ledger_.rounds()[0].candidate.loss, 0.01);
  EXPECT_EQ(ledger_.rounds()[1].version, 0u);
  EXPECT_EQ(ledger_.rounds()[1].reason, "forgets");
  ASSERT_NE(ledger_.find(4), nullptr);
  EXPECT_EQ(ledger_.find(4)->candidate.prefix, 7u);
  EXPECT_EQ(ledger_.find(5), nullptr);
  EXPECT_EQ(ledger_.find(0), nullptr);
}

TEST_F(LearningLedgerTest, WeightsThatAnEngineerBringsAreNoRound) {
  accepted(1, 1);
  rejected(2, "wrong_shape");
  EXPECT_TRUE(ledger_.rounds().empty());
}

TEST_F(LearningLedgerTest, ACandidateThatTheGateCouldNotJudgeIsNoneAndConfusesNone) {
  candidate(1);
  candidate(2);
  accepted(2, 2);
  ASSERT_EQ(ledger_.rounds().size(), 1u);
  EXPECT_EQ(ledger_.rounds()[0].candidate.prefix, 2u);
  candidate(1);  // the same bytes again, judged this time
  rejected(1, "superseded");
  EXPECT_EQ(ledger_.rounds().size(), 2u);
}

TEST_F(LearningLedgerTest, KeepsTheNewestRounds) {
  for (int i = 0; i < 700; ++i) {
    candidate(static_cast<std::uint8_t>(i));
    accepted(static_cast<std::uint8_t>(i), static_cast<WeightsVersion>(i + 1));
  }
  EXPECT_EQ(ledger_.rounds().size(), LearningLedger::kRounds);
  EXPECT_EQ(ledger_.rounds().back().version, 700u);
  EXPECT_EQ(ledger_.find(200), nullptr);
  EXPECT_NE(ledger_.find(201), nullptr);
}

// Candidates, verdicts and much else, in any order that damage may bring about.
std::vector<Event> sample_log(std::uint64_t seed) {
  Random random(seed);
  test::EventMaker events;
  std::vector<Event> log;
  WeightsVersion version = 0;
  for (int i = 0; i < 300; ++i) {
    const Sha256 hash = test::sample_hash(static_cast<std::uint8_t>(random.below(12)));
    const auto kind = random.below(2) == 0 ? WeightsKind::kFull : WeightsKind::kProvisional;
    switch (random.below(5)) {
      case 0:
      case 1:
        log.push_back(events.make(CandidateReceived{.hash = hash,
                                                    .parent = version,
                                                    .kind = kind,
                                                    .prefix = static_cast<Sequence>(i),
                                                    .train_seconds = random.uniform(),
                                                    .steps = 20,
                                                    .loss = random.uniform()}));
        break;
      case 2: log.push_back(events.make(WeightsAccepted{++version, hash, 0, kind, "{}"})); break;
      case 3: log.push_back(events.make(WeightsRejected{hash, 0, "forgets", ""})); break;
      default: log.push_back(events.make(Booted{"nudge", "kitchen"})); break;
    }
  }
  return log;
}

TEST(LearningLedger, IsEqualHoweverTheEventsArePortioned) {
  const auto shown = [](const LearningLedger& ledger) {
    return encode_learning(DatasetCounts{}, ledger, LearningStatus{});
  };
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<Event> log = sample_log(seed);
    LearningLedger whole;
    for (const Event& event : log) whole.apply(event);
    Random random(seed + 1000);
    LearningLedger portions;  // handed on by value between portions, as after a restart
    for (std::size_t at = 0; at < log.size();) {
      LearningLedger next = portions;
      const std::size_t end = std::min(log.size(), at + 1 + random.below(30));
      for (; at < end; ++at) next.apply(log[at]);
      (void)shown(next);  // looking changes nothing
      portions = std::move(next);
    }
    ASSERT_EQ(shown(portions), shown(whole)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace nudge
