#include "src/ports/history.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "nudge/random.h"
#include "policy/weights_history.h"
#include "src/ports/supervisor_wire.h"
#include "test/support/port_samples.h"

namespace nudge {
namespace {

const Actor kDaemon = {"nudge", Role::kScript};
const Actor kAnna = {"anna#1", Role::kSupervisor};
const Actor kEngineer = {"eva#2", Role::kEngineer};
const Actor kScripted = {"scripted", Role::kScript};

class HistoryTest : public testing::Test {
 protected:
  void add(Payload payload, EpisodeId episode = 0, std::uint32_t step = 0,
           const Actor& actor = kDaemon) {
    history_.apply(events_.make(std::move(payload), episode, step, actor));
  }
  void episode(EpisodeId id, std::uint32_t steps = 10) {
    add(EpisodeStarted{}, id);
    add(EpisodeEnded{EpisodeEnd::kTaskDone, steps}, id, steps - 1);
  }
  void label(EpisodeId id, LabelValue value, const Actor& actor = kAnna, SpanId span = 0) {
    add(Label{id, span, value}, id, 0, actor);
  }
  const EpisodeRow& newest() const { return history_.episodes().back(); }

  History history_;
  test::EventMaker events_;
};

TEST_F(HistoryTest, FoldsAnEpisodeIntoARow) {
  events_.weights = 3;
  add(EpisodeStarted{}, 7);  // second 1
  EXPECT_FALSE(newest().ended);
  add(SpanOpened{1, SpanKind::kTakeover, 1, 10}, 7, 10, kAnna);  // 2
  EXPECT_EQ(newest().takeovers, 1u);
  add(AuthorityChanged{}, 7, 15);  // 3
  EXPECT_EQ(newest().steps, 15u);
  add(SpanClosed{1, SpanEnd::kReleased, 17, true}, 7, 17, kAnna);  // 4
  add(SpanOpened{2, SpanKind::kNudge, 0, 20}, 7, 20, kAnna);       // 5
  add(SpanClosed{2, SpanEnd::kReleased, 22, true}, 7, 22, kAnna);  // 6
  events_.weights = 4;
  add(EpisodeEnded{EpisodeEnd::kTaskDone, 44}, 7, 43);  // 7
  EXPECT_TRUE(newest().ended);
  EXPECT_EQ(newest().steps, 44u);
  EXPECT_EQ(newest().human_steps, 8u);
  EXPECT_EQ(newest().takeovers, 1u);
  EXPECT_EQ(newest().human, std::chrono::seconds(2));
  EXPECT_EQ(newest().length, std::chrono::seconds(6));
  EXPECT_EQ(newest().weights, 4u);
  EXPECT_EQ(history_.total_episodes(), 1u);
}

TEST_F(HistoryTest, KnowsHowLongThePolicyDroveUntilSomebodyTookOver) {
  using enum AuthorityState;
  add(EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift"}, 7);  // second 1
  add(AuthorityChanged{kHold, kHandback, "hand_back_asked"}, 7);   // 2
  add(AuthorityChanged{kHandback, kAuto, "policy_ready"}, 7);      // 3
  EXPECT_FALSE(newest().takeover_after);
  add(AuthorityChanged{kAuto, kTakeover, "takeover_asked"}, 7, 20);  // 4
  add(AuthorityChanged{kTakeover, kHuman, "driving"}, 7, 21);        // 5
  add(AuthorityChanged{kHandback, kAuto, "policy_ready"}, 7, 30);    // 6
  add(AuthorityChanged{kAuto, kTakeover, "takeover_asked"}, 7, 40);  // 7
  EXPECT_EQ(newest().takeover_after, std::chrono::seconds(1)) << "the first time counts";
  add(AuthorityChanged{kHandback, kAuto, "policy_ready"}, 7, 50);  // 8
  add(EpisodeEnded{EpisodeEnd::kTaskDone, 60}, 7, 59);             // 9
  // Where one episode follows the other, the policy goes on driving.
  add(EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift"}, 8);   // 10
  add(Label{7, 0, LabelValue::kSuccess}, 8, 3, kAnna);              // 11
  add(AuthorityChanged{kAuto, kTakeover, "takeover_asked"}, 8, 9);  // 12
  EXPECT_EQ(newest().takeover_after, std::chrono::seconds(2));
}

TEST_F(HistoryTest, HoldingIsNoInterventionAndDrivingFromTheStartIsNone) {
  using enum AuthorityState;
  add(EpisodeStarted{}, 1);
  add(AuthorityChanged{kHold, kTakeover, "takeover_asked"}, 1);
  add(AuthorityChanged{kTakeover, kHuman, "driving"}, 1);
  add(AuthorityChanged{kHuman, kAuto, "policy_ready"}, 1);
  add(AuthorityChanged{kAuto, kHold, "hold_asked"}, 1);
  EXPECT_FALSE(newest().takeover_after);
}

TEST_F(HistoryTest, KeepsTheBeginningOfAnInstructionAndCutsNoCharacter) {
  add(EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift the red block"}, 1);
  EXPECT_EQ(newest().instruction, "lift the red block");
  std::string sharp;
  for (int i = 0; i < 150; ++i) sharp += "\xc3\x9f";
  add(EpisodeStarted{EpisodePurpose::kDeployment, 1, "x" + sharp}, 2);
  EXPECT_EQ(newest().instruction, "x" + sharp.substr(0, 198));
}

TEST_F(HistoryTest, KnowsThatAnEmptySpanHasNoSteps) {
  add(EpisodeStarted{}, 1);
  add(SpanOpened{1, SpanKind::kTakeover, 1, 10}, 1, 10);
  add(SpanClosed{1, SpanEnd::kLinkLost, 9, true}, 1, 12);
  EXPECT_EQ(newest().human_steps, 0u);
  EXPECT_EQ(newest().takeovers, 1u);
}

TEST_F(HistoryTest, ShowsDemonstrationsAndCountsDeploymentsOnly) {
  add(EpisodeStarted{EpisodePurpose::kDemonstration, 0, ""}, 1);
  add(SpanOpened{1, SpanKind::kTakeover, 1, 0}, 1);
  add(SpanClosed{1, SpanEnd::kReleased, 5, true}, 1);
  add(EpisodeEnded{EpisodeEnd::kTaskDone, 5}, 1);
  label(1, LabelValue::kSuccess);
  add(EpisodeStarted{EpisodePurpose::kEvaluation, 0, ""}, 2);
  ASSERT_EQ(history_.episodes().size(), 1u) << "evaluations are nobody's work";
  EXPECT_EQ(newest().purpose, EpisodePurpose::kDemonstration);
  EXPECT_EQ(newest().human_steps, 6u);
  EXPECT_EQ(newest().outcome(), LabelValue::kSuccess);
  EXPECT_EQ(history_.total_episodes(), 0u);
  EXPECT_EQ(history_.recent_success().of, 0u);
}

TEST_F(HistoryTest, LetsTheLastLabelOfTheHighestRoleWin) {
  episode(1);
  label(1, LabelValue::kFailure, kScripted);
  EXPECT_EQ(newest().outcome(), LabelValue::kFailure);
  label(1, LabelValue::kSuccess, kAnna);
  label(1, LabelValue::kFailure, kScripted);
  EXPECT_EQ(newest().outcome(), LabelValue::kSuccess);
  label(1, LabelValue::kDiscard, kEngineer);
  label(1, LabelValue::kFailure, kAnna);
  EXPECT_EQ(newest().outcome(), LabelValue::kDiscard);
  label(1, LabelValue::kNone, kEngineer);
  EXPECT_EQ(newest().outcome(), LabelValue::kFailure);
}

TEST_F(HistoryTest, TakesALateLabelForAnOlderEpisodeAndIgnoresOneForASpan) {
  episode(1);
  episode(2);
  label(1, LabelValue::kSuccess);
  label(2, LabelValue::kFailure, kAnna, /*span=*/4);
  label(99, LabelValue::kFailure);
  EXPECT_EQ(history_.episodes()[0].outcome(), LabelValue::kSuccess);
  EXPECT_EQ(history_.episodes()[1].outcome(), LabelValue::kNone);
}

TEST_F(HistoryTest, ComparesNoTimesOfTwoBoots) {
  add(EpisodeStarted{}, 1);
  add(SpanOpened{1, SpanKind::kTakeover, 1, 3}, 1, 3, kAnna);
  add(AuthorityChanged{}, 1, 8);
  events_.boot = "boot-2";  // the log closes what the crash left open, on the new clock
  add(SpanClosed{1, SpanEnd::kEpisodeEnded, 8, false}, 1, 9);
  add(EpisodeEnded{EpisodeEnd::kAborted, 10}, 1, 9);
  add(Booted{});
  EXPECT_EQ(newest().length, std::chrono::seconds(2));
  EXPECT_EQ(newest().human, std::chrono::seconds(1));
  EXPECT_EQ(newest().human_steps, 6u);
  EXPECT_EQ(newest().steps, 10u);
  EXPECT_TRUE(newest().ended);
}

TEST_F(HistoryTest, EndsAtABootWhatNothingElseEnded) {
  add(EpisodeStarted{}, 1);
  add(Booted{});
  EXPECT_TRUE(newest().ended);
  EXPECT_EQ(history_.total_episodes(), 1u);
  add(EpisodeEnded{}, 1);  // too late
  EXPECT_EQ(history_.total_episodes(), 1u);
}

TEST_F(HistoryTest, CountsTheLabelledAmongTheNewestThatEnded) {
  for (EpisodeId id = 1; id <= 30; ++id) {
    episode(id);
    if (id <= 10) label(id, LabelValue::kFailure);  // out of the window
    if (id > 10 && id <= 25) label(id, LabelValue::kSuccess);
    if (id == 26) label(id, LabelValue::kFailure);
    if (id == 27) label(id, LabelValue::kDiscard);
  }
  add(EpisodeStarted{}, 31);
  const SuccessRate rate = history_.recent_success();
  EXPECT_EQ(rate.of, 16u);
  EXPECT_EQ(rate.successes, 15u);
}

TEST_F(HistoryTest, KnowsTheIdsOfWhatPeopleAndScriptsSent) {
  events_.id = "anna-1";
  add(Words{"hello", WordsUse::kComment, ""}, 0, 0, kAnna);
  events_.id = "script-1";
  add(Label{1, 0, LabelValue::kSuccess}, 0, 0, kScripted);
  events_.id = "own-1";
  add(WeightsLive{1});
  events_.id = "own-2";
  add(AuthorityChanged{}, 0, 0, {"authority", Role::kScript});
  EXPECT_TRUE(history_.knows("anna-1"));
  EXPECT_TRUE(history_.knows("script-1"));
  EXPECT_FALSE(history_.knows("own-1"));
  EXPECT_FALSE(history_.knows("own-2"));
  EXPECT_FALSE(history_.knows("anna-2"));
}

TEST_F(HistoryTest, StaysBounded) {
  for (EpisodeId id = 1; id <= 1'500; ++id) episode(id);
  EXPECT_EQ(history_.episodes().size(), 1'000u);
  EXPECT_EQ(history_.episodes().front().episode, 501u);
  EXPECT_EQ(history_.total_episodes(), 1'500u);

  add(WeightsAccepted{1, {}, 0, WeightsKind::kFull, ""});
  add(WeightsPromoted{1});
  add(WeightsAccepted{2, {}, 0, WeightsKind::kFull, ""});
  add(WeightsLive{2});
  for (WeightsVersion version = 3; version <= 800; ++version) {
    add(WeightsAccepted{version, {}, 1, WeightsKind::kFull, ""});
  }
  ASSERT_EQ(history_.weights().size(), 500u);
  EXPECT_EQ(history_.weights()[0].version, 1u);  // confirmed
  EXPECT_EQ(history_.weights()[1].version, 2u);  // live
  EXPECT_EQ(history_.weights()[2].version, 303u);
}

TEST_F(HistoryTest, StaysBoundedWhenNothingIsEverClosed) {
  for (EpisodeId id = 1; id <= 300; ++id) {
    add(EpisodeStarted{}, id);
    add(SpanOpened{id, SpanKind::kTakeover, id, 0}, id);
  }
  EXPECT_EQ(history_.total_episodes(), 236u);  // 64 are taken for running
}

// A log as a robot would write it, from a seed.
std::vector<Event> sample_log(std::uint64_t seed) {
  Random random(seed);
  test::EventMaker events;
  std::vector<Event> log;
  EpisodeId episode = 0;
  SpanId span = 0;
  WeightsVersion version = 0, confirmed = 0;
  const std::vector<Actor> people = {kScripted, kAnna, kEngineer};
  const auto add = [&](Payload payload, const Actor& actor = kDaemon) {
    log.push_back(events.make(std::move(payload), episode,
                              static_cast<std::uint32_t>(random.below(50)), actor));
  };
  for (int i = 0; i < 200; ++i) {
    switch (random.below(10)) {
      case 0:
        ++episode;
        add(EpisodeStarted{});
        break;
      case 1: add(EpisodeEnded{EpisodeEnd::kTaskDone, 50}); break;
      case 2: add(SpanOpened{++span, SpanKind::kTakeover, span, 5}, kAnna); break;
      case 3: add(SpanClosed{span, SpanEnd::kReleased, 9, true}, kAnna); break;
      case 4:
        add(Label{1 + random.below(episode + 1), 0, static_cast<LabelValue>(random.below(4))},
            people[random.below(3)]);
        break;
      case 5:
        ++version;
        add(WeightsAccepted{
            version, {}, version - 1, static_cast<WeightsKind>(random.below(2)), "{}"});
        break;
      case 6: add(WeightsLive{version}); break;
      case 7:
        confirmed = version;
        add(WeightsConfirmed{version});
        break;
      case 8: add(WeightsRolledBack{version, confirmed, "takeovers"}); break;
      case 9:
        if (random.below(4) == 0) {
          events.boot = "boot-" + std::to_string(i);
          add(Booted{});
        } else {
          add(WeightsPromoted{1 + random.below(version + 1)}, kEngineer);
        }
        break;
    }
  }
  return log;
}

std::string shown(const History& history) {
  return encode_curves(history, 1000) + encode_weights(history, LearningLedger{}) +
         std::to_string(history.total_episodes());
}

TEST(History, IsEqualHoweverTheEventsArePortioned) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<Event> log = sample_log(seed);
    History whole;
    for (const Event& event : log) whole.apply(event);
    Random random(seed + 1000);
    History portions;  // handed on by value between portions, as after a restart of the fold
    for (std::size_t at = 0; at < log.size();) {
      History next = portions;
      const std::size_t end = std::min(log.size(), at + 1 + random.below(30));
      for (; at < end; ++at) next.apply(log[at]);
      (void)shown(next);  // looking changes nothing
      portions = std::move(next);
    }
    ASSERT_EQ(shown(portions), shown(whole)) << "seed " << seed;
    for (const Event& event : log) ASSERT_EQ(portions.knows(event.id), whole.knows(event.id));
  }
}

// The program boots by policy/weights_history; what people are shown must agree with it.
TEST(History, AgreesWithTheWeightsHistoryThatTheProgramBootsBy) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    History history;
    WeightsHistory oracle;
    for (const Event& event : sample_log(seed)) {
      history.apply(event);
      oracle.apply(event);
      ASSERT_EQ(history.live(), oracle.live());
      ASSERT_EQ(history.confirmed(), oracle.confirmed());
    }
    ASSERT_EQ(history.weights().size(), oracle.records().size());
    for (const WeightsRow& row : history.weights()) {
      const WeightsRecord* record = oracle.find(row.version);
      ASSERT_NE(record, nullptr);
      EXPECT_EQ(static_cast<int>(row.state), static_cast<int>(record->state));
      EXPECT_EQ(row.was_live, record->was_live);
      EXPECT_EQ(row.reason, record->rollback_reason);
      EXPECT_EQ(row.parent, record->parent);
      EXPECT_EQ(row.accepted, record->accepted_wall);
    }
  }
}

}  // namespace
}  // namespace nudge
