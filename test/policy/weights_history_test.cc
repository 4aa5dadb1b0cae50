#include "policy/weights_history.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace nudge
