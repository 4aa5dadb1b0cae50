#include "src/ports/episode_index.h"

#include <gtest/gtest.h>

#include "test/support/port_samples.h"

namespace nudge {
namespace {

const Actor kAnna = {.name = "anna#1", .role = Role::kSupervisor};
const Actor kEva = {.name = "eva#2", .role = Role::kEngineer};

class EpisodeIndexTest : public testing::Test {
 protected:
  void apply(Payload payload, EpisodeId episode = 0, std::uint32_t step = 0,
             const Actor& actor = {"nudge", Role::kScript}) {
    index_.apply(events_.make(std::move(payload), episode, step, actor));
  }
  void begin(EpisodeId episode) {
    apply(EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift"}, episode);
  }
  const EpisodeRecord& at(EpisodeId episode) {
    const EpisodeRecord* record = index_.find(episode);
    EXPECT_NE(record, nullptr) << episode;
    static const EpisodeRecord kNone;
    return record != nullptr ? *record : kNone;
  }

  test::EventMaker events_;
  EpisodeIndex index_;
};

TEST_F(EpisodeIndexTest, KnowsWhoDroveWhenAndForHowLong) {
  begin(7);
  apply(SpanOpened{5, SpanKind::kTakeover, 1, 21}, 7, 21, kAnna);
  EXPECT_FALSE(at(7).spans[0].closed);
  apply(Words{"careful", WordsUse::kComment, ""}, 7, 24, kEva);
  EXPECT_EQ(at(7).spans[0].length, std::chrono::seconds(1)) << "so far";
  apply(SpanClosed{5, SpanEnd::kReleased, 28, true}, 7, 29, kAnna);
  apply(EpisodeEnded{EpisodeEnd::kTaskDone, 44}, 7, 43);
  const EpisodeRecord& record = at(7);
  ASSERT_EQ(record.spans.size(), 1u);
  const SpanRecord& span = record.spans[0];
  EXPECT_EQ(span.span, 5u);
  EXPECT_EQ(span.actor, kAnna);
  EXPECT_EQ(span.first_step, 21u);
  EXPECT_EQ(span.closed->last_step, 28u);
  EXPECT_EQ(span.length, std::chrono::seconds(2));
  EXPECT_EQ(record.length, std::chrono::seconds(4));
  EXPECT_EQ(record.ended->steps, 44u);
  EXPECT_TRUE(record.over);
  EXPECT_EQ(record.events.size(), 5u);
}

TEST_F(EpisodeIndexTest, WhatIsSaidLateBelongsToTheEpisodeThatItIsAbout) {
  begin(1);
  apply(SpanOpened{1, SpanKind::kTakeover, 1, 3}, 1, 3, kAnna);
  apply(SpanClosed{1, SpanEnd::kReleased, 9, true}, 1, 10, kAnna);
  apply(EpisodeEnded{EpisodeEnd::kTaskDone, 20}, 1, 19);
  const Duration length = at(1).length;
  begin(2);
  const std::size_t of_two = at(2).events.size();
  apply(Label{1, 0, LabelValue::kFailure}, 2, 4, kAnna);
  apply(Label{1, 1, LabelValue::kDiscard}, 2, 5, kAnna);
  apply(SpanSplit{1, 6}, 2, 5, kAnna);
  apply(StepsDiscarded{1, 12, 14}, 2, 6, kAnna);
  EXPECT_EQ(at(1).said.value(), LabelValue::kFailure);
  EXPECT_EQ(at(1).spans[0].said.value(), LabelValue::kDiscard);
  EXPECT_EQ(at(1).spans[0].correction_from, 6u);
  ASSERT_EQ(at(1).discarded.size(), 1u);
  EXPECT_EQ(at(1).discarded[0].first_step, 12u);
  EXPECT_EQ(at(1).length, length);
  EXPECT_EQ(at(1).events.size(), 8u);
  EXPECT_EQ(at(2).events.size(), of_two);
  EXPECT_EQ(at(2).said.value(), LabelValue::kNone);
}

TEST_F(EpisodeIndexTest, TheLastLabelOfTheHighestRoleWinsAndCanBeTakenBack) {
  begin(1);
  apply(SpanOpened{1, SpanKind::kTakeover, 1, 3}, 1, 3, kAnna);
  apply(Label{1, 1, LabelValue::kDiscard}, 1, 4, kEva);
  apply(Label{1, 1, LabelValue::kSuccess}, 1, 5, kAnna);
  EXPECT_EQ(at(1).spans[0].said.value(), LabelValue::kDiscard);
  apply(Label{1, 1, LabelValue::kNone}, 1, 6, kEva);
  EXPECT_EQ(at(1).spans[0].said.value(), LabelValue::kSuccess);
  EXPECT_EQ(at(1).said.value(), LabelValue::kNone) << "said of the span only";
}

TEST_F(EpisodeIndexTest, KnowsWhereStepsLieInWhateverPortionsTheyCome) {
  begin(1);
  EXPECT_TRUE(at(1).path.empty());
  index_.apply(StepsRef{1, "/log/1.seg", 2, 5, 200, 800});
  index_.apply(StepsRef{1, "/log/1.seg", 6, 6, 800, 950});
  EXPECT_EQ(at(1).path, "/log/1.seg");
  EXPECT_EQ(at(1).end_offset, 950u);
  index_.apply(StepsRef{9, "/log/9.seg", 7, 7, 200, 300});
  EXPECT_EQ(index_.find(9), nullptr) << "an episode that was not seen to begin";
}

TEST_F(EpisodeIndexTest, AnEpisodeWhoseEndIsMissingIsOverWhenTheNextBegins) {
  begin(1);
  EXPECT_FALSE(at(1).over);
  events_.boot = "boot-2";
  begin(2);
  EXPECT_TRUE(at(1).over);
  EXPECT_FALSE(at(1).ended);
  EXPECT_EQ(at(1).length, Duration{}) << "another boot's clock says nothing about it";
}

TEST_F(EpisodeIndexTest, FindsASpanOfAnyEpisodeThatItKeeps) {
  begin(1);
  apply(SpanOpened{4, SpanKind::kNudge, 1, 3}, 1, 3, kAnna);
  begin(2);
  apply(SpanOpened{5, SpanKind::kTakeover, 2, 0}, 2, 0, kAnna);
  EpisodeId episode = 0;
  ASSERT_NE(index_.find_span(4, &episode), nullptr);
  EXPECT_EQ(episode, 1u);
  EXPECT_EQ(index_.find_span(4)->kind, SpanKind::kNudge);
  EXPECT_EQ(index_.find_span(6), nullptr);
}

TEST_F(EpisodeIndexTest, KeepsTheNewestEventsOfAnEpisode) {
  begin(1);
  for (int i = 0; i < 700; ++i) apply(Words{std::to_string(i), WordsUse::kComment, ""}, 1);
  ASSERT_EQ(at(1).events.size(), EpisodeRecord::kMaxEvents);
  EXPECT_EQ(std::get<Words>(at(1).events.front().payload).text, "200");
  EXPECT_EQ(std::get<Words>(at(1).events.back().payload).text, "699");
}

TEST_F(EpisodeIndexTest, ForgetsTheOldestEpisodesWithTheirSpans) {
  for (EpisodeId episode = 1; episode <= EpisodeIndex::kMaxEpisodes + 3; ++episode) {
    begin(episode);
    apply(SpanOpened{episode, SpanKind::kTakeover, 1, 0}, episode, 0, kAnna);
  }
  EXPECT_EQ(index_.size(), EpisodeIndex::kMaxEpisodes);
  EXPECT_EQ(index_.find(3), nullptr);
  EXPECT_EQ(index_.find_span(3), nullptr);
  EXPECT_NE(index_.find(4), nullptr);
  EXPECT_NE(index_.find_span(4), nullptr);
  apply(Label{3, 0, LabelValue::kSuccess}, 0, 0, kAnna);
  EXPECT_EQ(index_.find(3), nullptr);
}

TEST_F(EpisodeIndexTest, IsBoundedInBytesHoweverLongThatIsWhichPeopleSay) {
  const std::string report = "\"" + std::string(60'000, 'x') + "\"";
  WeightsVersion version = 0;
  for (EpisodeId episode = 1; episode <= 20; ++episode) {
    begin(episode);
    for (int i = 0; i < 100; ++i) {
      apply(WeightsAccepted{++version, {}, 0, WeightsKind::kFull, report}, episode);
    }
  }
  EXPECT_LE(index_.bytes(), EpisodeIndex::kMaxBytes);
  EXPECT_NE(index_.find(20), nullptr);
  EXPECT_EQ(index_.find(1), nullptr);
}

}  // namespace
}  // namespace nudge
