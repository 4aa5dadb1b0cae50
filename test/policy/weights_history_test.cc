#include "policy/weights_history.h"

#include <gtest/gtest.h>

#include "nudge/random.h"

namespace nudge {
namespace {

Event event_with(Payload payload) {
  static Sequence sequence = 0;
  Event event;
  event.sequence = ++sequence;
  event.payload = std::move(payload);
  return event;
}

WeightsHistory history_of(std::initializer_list<Payload> payloads) {
  WeightsHistory history;
  for (const Payload& payload : payloads) history.apply(event_with(payload));
  return history;
}

WeightsAccepted accepted(WeightsVersion version, WeightsVersion parent, WeightsKind kind) {
  return {.version = version, .hash = {}, .parent = parent, .kind = kind, .report = "{}"};
}

constexpr auto kFull = WeightsKind::kFull;
constexpr auto kProvisional = WeightsKind::kProvisional;

TEST(WeightsHistory, KnowsNothingBeforeTheFirstEvent) {
  const WeightsHistory history;
  EXPECT_EQ(history.live(), 0u);
  EXPECT_EQ(history.confirmed(), 0u);
  EXPECT_EQ(history.newest_full(), 0u);
}

TEST(WeightsHistory, TakesAPromotedVersionAsConfirmed) {
  const auto history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}});
  EXPECT_EQ(history.confirmed(), 1u);
}

TEST(WeightsHistory, NeverOffersAProvisionalVersionAsBaseOfAFullRound) {
  const auto history =
      history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kProvisional)});
  EXPECT_EQ(history.newest_full(), 1u);
}

TEST(WeightsHistory, FindsTheFullVersionBehindAChainOfProvisionalOnes) {
  const auto history = history_of(
      {accepted(1, 0, kFull), accepted(2, 1, kProvisional), accepted(3, 2, kProvisional)});
  EXPECT_EQ(history.full_ancestor(3), 1u);
  EXPECT_EQ(history.full_ancestor(1), 1u);
  EXPECT_EQ(history.full_ancestor(9), 0u);
}

TEST(WeightsHistory, GoesBackByHandOnlyToWhatWasConfirmed) {
  auto history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                             accepted(3, 2, kFull), WeightsLive{3}});
  EXPECT_EQ(history.roll_back_target(), 1u) << "from a version on probation";
  history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                        accepted(3, 2, kFull), WeightsLive{3}, WeightsConfirmed{3}});
  EXPECT_EQ(history.roll_back_target(), 1u) << "2 was replaced before it was confirmed";
  history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, WeightsLive{1}});
  EXPECT_EQ(history.roll_back_target(), 0u) << "there is nothing before it";
  EXPECT_EQ(WeightsHistory().roll_back_target(), 0u);
}

TEST(WeightsHistory, RollsBackEverythingSinceTheConfirmedVersion) {
  const auto history =
      history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                  accepted(3, 2, kFull), WeightsLive{3}, WeightsRolledBack{3, 1, "clamp_rate"}});
  EXPECT_EQ(history.live(), 1u);
  EXPECT_EQ(history.newest_full(), 1u);
  EXPECT_EQ(history.find(2)->state, WeightsState::kRolledBack);
  EXPECT_EQ(history.find(3)->rollback_reason, "clamp_rate");
  EXPECT_EQ(history.confirmed(), 1u);
}

TEST(WeightsHistory, RollsBackWhatWasAcceptedButHasNotRunYet) {
  const auto history =
      history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull), WeightsLive{2},
                  accepted(3, 2, kFull), WeightsRolledBack{2, 1, "takeovers"}});
  EXPECT_EQ(history.find(3)->state, WeightsState::kRolledBack);
  EXPECT_EQ(history.newest_full(), 1u);
}

TEST(WeightsHistory, LearnsOnFromAnOlderVersionThatIsPromoted) {
  const auto history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                                   accepted(3, 2, kFull), WeightsPromoted{2}});
  EXPECT_EQ(history.confirmed(), 2u);
  EXPECT_EQ(history.newest_full(), 2u);
  EXPECT_EQ(history.find(3)->rollback_reason, "promoted_over");
}

TEST(WeightsHistory, FullRoundsTrainFromTheVersionThatAnEngineerPromotedLast) {
  EXPECT_EQ(WeightsHistory().origin(), 0u);
  auto history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                             WeightsLive{2}, WeightsConfirmed{2}});
  EXPECT_EQ(history.origin(), 1u) << "2 was confirmed by driving";
  history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                        accepted(3, 0, kFull), WeightsPromoted{3}, accepted(4, 3, kFull)});
  EXPECT_EQ(history.origin(), 3u);
}

TEST(WeightsHistory, FullRoundsDoNotTrainFromAPromotedVersionThatWasRolledBack) {
  auto history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 0, kFull),
                             WeightsPromoted{2}, WeightsRolledBack{2, 1, "by_hand"}});
  EXPECT_EQ(history.origin(), 1u);
  history = history_of({accepted(1, 0, kFull), WeightsConfirmed{1}, accepted(2, 0, kFull),
                        WeightsPromoted{2}, WeightsRolledBack{2, 1, "by_hand"}});
  EXPECT_EQ(history.origin(), 1u) << "nobody promoted it, but it is confirmed";
}

TEST(WeightsHistory, ForgetsAConfirmationThatWasRolledBack) {
  const auto history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                                   WeightsConfirmed{2}, WeightsRolledBack{2, 1, "by_hand"}});
  EXPECT_EQ(history.confirmed(), 1u);
}

TEST(WeightsHistory, KeepsVersionsAcceptedAfterARollback) {
  const auto history = history_of({accepted(1, 0, kFull), WeightsPromoted{1}, accepted(2, 1, kFull),
                                   WeightsRolledBack{2, 1, "x"}, accepted(3, 1, kFull)});
  EXPECT_EQ(history.newest_full(), 3u);
}

TEST(WeightsHistory, CountsEveryVersionAndKeepsTheNewestAndWhatMayStillRun) {
  WeightsHistory history;
  history.apply(event_with(accepted(1, 0, kFull)));
  history.apply(event_with(WeightsPromoted{1}));
  history.apply(event_with(WeightsLive{1}));
  for (WeightsVersion v = 2; v <= 5000; ++v) {
    history.apply(event_with(accepted(v, v - 1, v % 2 == 0 ? kProvisional : kFull)));
  }
  EXPECT_EQ(history.records().size(), WeightsHistory::kNewest);
  EXPECT_EQ(history.accepted(), 5000u);
  ASSERT_NE(history.find(1), nullptr) << "confirmed, live";
  EXPECT_EQ(history.find(2), nullptr);
  EXPECT_NE(history.find(5000), nullptr);
  history.apply(event_with(WeightsConfirmed{4999}));
  EXPECT_EQ(history.roll_back_target(), 1u) << "the line leads there across what was let go";
}

// A bounded history and one of everything are asked the same after each of many random acts.
TEST(WeightsHistory, BootsAndGoesBackAsIfItHadKeptEverything) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Random random(seed);
    WeightsHistory bounded, whole(WeightsHistory::Keep::kAll);
    const auto apply = [&](Payload payload) {
      const Event event = event_with(std::move(payload));
      bounded.apply(event);
      whole.apply(event);
    };
    apply(accepted(1, 0, kFull));
    apply(WeightsPromoted{1});
    apply(WeightsLive{1});
    const std::uint64_t confirm_every = seed % 2 == 0 ? 300 : 20;
    for (WeightsVersion v = 2; v <= 6000; ++v) {
      const bool micro = random.below(2) == 0;
      const WeightsVersion parent = micro ? bounded.live() : bounded.newest_full();
      apply(accepted(v, parent, micro ? kProvisional : kFull));
      if (random.below(3) != 0) apply(WeightsLive{v});
      if (random.below(900) == 0) apply(WeightsPromoted{bounded.newest_full()});
      if (random.below(confirm_every) == 0) apply(WeightsConfirmed{bounded.newest_full()});
      if (random.below(200) == 0) {
        apply(WeightsRolledBack{
            .from = bounded.live(), .to = bounded.confirmed(), .reason = "takeovers"});
      }
      ASSERT_EQ(bounded.live(), whole.live());
      ASSERT_EQ(bounded.confirmed(), whole.confirmed());
      ASSERT_EQ(bounded.newest_full(), whole.newest_full());
      ASSERT_EQ(bounded.origin(), whole.origin());
      ASSERT_EQ(bounded.full_ancestor(bounded.live()), whole.full_ancestor(whole.live()));
      ASSERT_EQ(bounded.roll_back_target(), whole.roll_back_target()) << v;
      ASSERT_LE(bounded.records().size(), WeightsHistory::kNewest);
    }
    EXPECT_EQ(bounded.accepted(), whole.accepted());
  }
}

TEST(WeightsHistory, KeepsWhatTheGateSaidForThoseWhoKeepAll) {
  WeightsHistory history(WeightsHistory::Keep::kAll);
  history.apply(event_with(accepted(1, 0, kFull)));
  EXPECT_EQ(history.find(1)->gate_report, "{}");
}

}  // namespace
}  // namespace nudge
