// Which steps go when room must be made, that nothing precious goes, and that every reader copes.
#include "replay/retention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "nudge/hold_out.h"
#include "replay/dataset.h"
#include "test/support/faulty_files.h"
#include "test/support/log_samples.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::sample_event;
using test::sample_spec;
using test::sample_step;
using test::TempFolder;

const Actor kAnna{"anna", Role::kSupervisor};

// What the test itself knows of an episode, apart from the code under test.
struct Known {
  EpisodePurpose purpose = EpisodePurpose::kDeployment;
  bool driven = false, nudged = false, held_out = false, open = true;
  LabelValue label = LabelValue::kNone;
  std::uint64_t bytes = 0;

  bool precious() const { return purpose == EpisodePurpose::kDemonstration || held_out || open; }
  int worth() const {
    if (driven) return 4;
    if (nudged) return 3;
    if (purpose != EpisodePurpose::kDeployment) return 1;
    return label == LabelValue::kSuccess ? 0 : label == LabelValue::kFailure ? 2 : 1;
  }
};

// A random life, told event by event to whoever listens.
class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed) {}

  void episode(const std::function<void(const Event&)>& tell,
               const std::function<void(EpisodeId, std::uint64_t)>& size) {
    const EpisodeId id = ++last_;
    Known& known = episodes[id];
    known.purpose = random_.below(5) == 0   ? EpisodePurpose::kDemonstration
                    : random_.below(8) == 0 ? EpisodePurpose::kEvaluation
                                            : EpisodePurpose::kDeployment;
    tell(make(id, EpisodeStarted{known.purpose, 0, ""}));
    bool corrected = false;
    for (std::uint64_t i = random_.below(3); i > 0; --i) {
      const bool nudge = random_.below(2) == 0;
      const bool complete = random_.below(4) != 0;
      const bool empty = random_.below(4) == 0;
      tell(make(id, SpanOpened{++span_, nudge ? SpanKind::kNudge : SpanKind::kTakeover, 1, 10}));
      tell(make(id, SpanClosed{span_, SpanEnd::kReleased, empty ? 9u : 14u, complete}));
      (nudge ? known.nudged : known.driven) = true;
      corrected = corrected || (!nudge && complete && !empty);
    }
    if (corrected && known.purpose == EpisodePurpose::kDeployment) {
      known.held_out = is_held_out(++corrected_);
    }
    if (random_.below(3) != 0) label(id, tell);
    tell(make(id, EpisodeEnded{EpisodeEnd::kTaskDone, 20}));
    known.open = false;
    known.bytes = 1 + random_.below(1000);
    size(id, known.bytes);
    if (random_.below(3) == 0) label(1 + random_.below(last_), tell);  // a late one
  }

  std::map<EpisodeId, Known> episodes;

 private:
  Event make(EpisodeId id, Payload payload) {
    Event event = sample_event("e" + std::to_string(++count_), id, std::move(payload));
    event.sequence = count_;
    event.actor = kAnna;
    return event;
  }
  void label(EpisodeId id, const std::function<void(const Event&)>& tell) {
    const auto value = static_cast<LabelValue>(random_.below(4));
    episodes[id].label = value;
    Event event = make(0, Label{id, 0, value});
    tell(event);
  }

  Random random_;
  EpisodeId last_ = 0;
  SpanId span_ = 0;
  std::uint64_t corrected_ = 0;
  Sequence count_ = 0;
};

Event eviction(EpisodeId episode, EpisodeWorth worth = EpisodeWorth::kPlainSuccess) {
  return sample_event("evicted:" + std::to_string(episode), 0,
                      EpisodeEvicted{.episode = episode, .worth = worth});
}

TEST(Retention, TakesTheLeastWorthFirstAndTheOldestAmongEqualsAndNeverWhatIsPrecious) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Life life(seed);
    Random random(seed * 7);
    const std::uint64_t budget = 1 + random.below(5000);
    const std::size_t kept = random.below(12);
    Retention retention(budget, kept);
    for (int i = 0; i < 60; ++i) {
      life.episode([&](const Event& event) { retention.apply(event); },
                   [&](EpisodeId id, std::uint64_t bytes) { retention.set_bytes(id, bytes); });
      while (true) {
        std::uint64_t total = 0;
        for (const auto& [id, known] : life.episodes) total += known.bytes;
        ASSERT_EQ(retention.bytes(), total);
        ASSERT_EQ(retention.over_budget(), total > budget);
        // The newest that are there, in the test's own way.
        std::vector<EpisodeId> there;
        for (const auto& [id, known] : life.episodes) {
          if (known.bytes > 0) there.push_back(id);
        }
        const std::set<EpisodeId> newest(there.end() - std::min(kept, there.size()), there.end());
        std::optional<std::pair<int, EpisodeId>> expected;
        for (const auto& [id, known] : life.episodes) {
          if (known.precious() || known.bytes == 0 || newest.contains(id)) continue;
          const std::pair<int, EpisodeId> candidate{known.worth(), id};
          if (!expected || candidate < *expected) expected = candidate;
        }
        const std::optional<Victim> victim = retention.next();
        if (total <= budget || !expected) {
          ASSERT_FALSE(victim.has_value());
          break;
        }
        ASSERT_TRUE(victim.has_value());
        ASSERT_EQ(victim->episode, expected->second);
        ASSERT_EQ(static_cast<int>(victim->worth), expected->first);
        ASSERT_EQ(victim->bytes, life.episodes[victim->episode].bytes);
        life.episodes[victim->episode].bytes = 0;
        retention.apply(eviction(victim->episode, victim->worth));
      }
    }
  }
}

TEST(Retention, WithoutABudgetNothingEverGoes) {
  Life life(3);
  Retention retention(0, 0);
  for (int i = 0; i < 30; ++i) {
    life.episode([&](const Event& event) { retention.apply(event); },
                 [&](EpisodeId id, std::uint64_t bytes) { retention.set_bytes(id, bytes); });
  }
  EXPECT_GT(retention.bytes(), 0u);
  EXPECT_FALSE(retention.over_budget());
  EXPECT_FALSE(retention.next().has_value());
}

TEST(Retention, ALateLabelChangesWhatGoes) {
  Retention retention(1, 0);
  Sequence sequence = 0;
  const auto tell = [&](EpisodeId id, Payload payload) {
    Event event = sample_event("e" + std::to_string(++sequence), id, std::move(payload));
    event.actor = kAnna;
    retention.apply(event);
  };
  for (EpisodeId id = 1; id <= 2; ++id) {
    tell(id, EpisodeStarted{});
    tell(id, EpisodeEnded{});
    retention.set_bytes(id, 10);
  }
  EXPECT_EQ(retention.next()->episode, 1u);
  tell(0, Label{2, 0, LabelValue::kSuccess});
  EXPECT_EQ(retention.next()->episode, 2u);
  EXPECT_EQ(retention.next()->worth, EpisodeWorth::kPlainSuccess);
  tell(0, Label{2, 0, LabelValue::kNone});
  EXPECT_EQ(retention.next()->episode, 1u);
}

// ---- with a real log ----

class Evicting : public testing::Test {
 protected:
  LogOptions options() const {
    LogOptions options;
    options.dir = folder_ / "log";
    options.boot = "boot-1";
    options.segment_grow_bytes = 64 << 10;
    options.ballast_bytes = 64 << 10;
    return options;
  }
  std::unique_ptr<Log> open(FileSystem& files = posix_files()) {
    auto log = Log::open(files, options());
    EXPECT_TRUE(log.ok()) << log.status().message();
    return log.ok() ? *std::move(log) : nullptr;
  }
  // With an event amid the steps, so that they are two runs.
  void episode(Log& log, LabelValue label = LabelValue::kSuccess) {
    const auto id = log.start_episode(sample_spec());
    ASSERT_TRUE(id.ok()) << id.status().message();
    const std::string name = std::to_string(*id);
    ASSERT_TRUE(log.append(sample_event("start-" + name, *id, EpisodeStarted{})).ok());
    Random random(*id);
    for (std::uint32_t i = 0; i < 12; ++i) {
      ASSERT_TRUE(log.append(sample_step(random, *id, i, sample_spec())).ok());
      if (i != 5) continue;
      ASSERT_TRUE(log.append(sample_event("w-" + name, *id, Words{"up", {}, ""})).ok());
    }
    ASSERT_TRUE(log.append(sample_event("end-" + name, *id, EpisodeEnded{})).ok());
    Event said = sample_event("label-" + name, 0, Label{*id, 0, label});
    said.actor = kAnna;
    ASSERT_TRUE(log.append(said).ok());
    ASSERT_TRUE(log.commit().ok());
  }
  std::string segment(EpisodeId id) const {
    char name[40];
    std::snprintf(name, sizeof name, "/segments/episode-%09llu.seg",
                  static_cast<unsigned long long>(id));
    return options().dir + name;
  }
  bool there(EpisodeId id) const { return std::filesystem::exists(segment(id)); }
  static void expect_whole(Log& log, std::uint64_t evicted_steps) {
    const auto report = log.verify();
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->ok()) << report->problems.front();
    EXPECT_EQ(report->evicted_steps, evicted_steps);
  }

  TempFolder folder_;
};

TEST_F(Evicting, SaysInTheLogWhatIsGoneAndTheRestStaysWhole) {
  auto log = open();
  for (int i = 0; i < 3; ++i) episode(*log);
  const std::uint64_t before = log->stats().segment_bytes;
  const std::uint64_t bytes = *log->segment_bytes(2);
  ASSERT_TRUE(log->evict(eviction(2, EpisodeWorth::kNudged)).ok());
  EXPECT_FALSE(there(2));
  EXPECT_TRUE(there(1) && there(3));
  const auto event = log->event("evicted:2");
  ASSERT_TRUE(event.ok());
  const auto& gone = std::get<EpisodeEvicted>(event->payload);
  EXPECT_EQ(gone.worth, EpisodeWorth::kNudged);
  EXPECT_EQ(gone.steps, 12u);
  EXPECT_EQ(gone.last - gone.first, 12u);  // and the words amid them
  EXPECT_EQ(gone.bytes, bytes);
  EXPECT_EQ(log->stats().segment_bytes, before - bytes);
  EXPECT_EQ(log->stats().evicted, 1u);
  EXPECT_EQ(*log->segment_bytes(2), 0u);
  EXPECT_TRUE((*log->episodes(2, 1))[0].evicted);
  expect_whole(*log, 12);

  log.reset();
  log = open();
  EXPECT_TRUE(log->recovery().damaged.empty());
  EXPECT_EQ(log->stats().segment_bytes, before - bytes);
  EXPECT_EQ(log->stats().evicted, 1u);
  expect_whole(*log, 12);
  episode(*log);  // and goes on
  expect_whole(*log, 12);
}

TEST_F(Evicting, TheFeedGoesOnAcrossItFromAnySequence) {
  auto log = open();
  for (int i = 0; i < 3; ++i) episode(*log);
  ASSERT_TRUE(log->evict(eviction(2)).ok());
  for (Sequence from = 1; from <= log->durable(); ++from) {
    const auto items = log->feed(from, 1000);
    ASSERT_TRUE(items.ok()) << from << ": " << items.status().message();
    ASSERT_FALSE(items->empty());
    EXPECT_EQ(first_sequence(items->front()), from);
    Sequence expected = from;
    for (const FeedItem& item : *items) {
      EXPECT_EQ(first_sequence(item), expected);
      expected = last_sequence(item) + 1;
    }
    EXPECT_EQ(expected, log->durable() + 1);
  }
}

TEST_F(Evicting, OneThatHadTheStepsAndOneThatStartsOverLearnFromTheSame) {
  auto log = open();
  for (int i = 0; i < 4; ++i) episode(*log);
  const SegmentSpec spec = sample_spec();
  DatasetOptions learning;
  learning.feature_size = spec.feature_size;
  learning.proprioception_size = spec.proprioception_size;
  learning.action_size = spec.action_size;
  Dataset early(posix_files(), learning);
  const auto follow = [&](Dataset& dataset) {
    const auto items = log->feed(dataset.prefix() + 1, 10'000);
    ASSERT_TRUE(items.ok());
    for (const FeedItem& item : *items) {
      const Status applied = dataset.apply(item);
      ASSERT_TRUE(applied.ok()) << applied.message();
    }
  };
  follow(early);
  ASSERT_TRUE(log->evict(eviction(4)).ok());
  ASSERT_TRUE(log->evict(eviction(2)).ok());
  follow(early);
  Dataset late(posix_files(), learning);
  follow(late);
  EXPECT_EQ(early.prefix(), late.prefix());
  EXPECT_EQ(early.counts().trainable, late.counts().trainable);
  EXPECT_EQ(early.counts().missing, 24u);
  EXPECT_EQ(late.counts().missing, 24u);
  const Batch seen = early.recent_observations(64), anew = late.recent_observations(64);
  EXPECT_EQ(seen.cluster, anew.cluster);
  EXPECT_EQ(seen.proprioception, anew.proprioception);
  EXPECT_EQ(std::count(seen.cluster.begin(), seen.cluster.end(), 2u), 0);
}

TEST_F(Evicting, RefusesTheOpenEpisodeTheUnknownAndWhatIsGoneAlready) {
  auto log = open();
  episode(*log);
  const auto open_one = log->start_episode(sample_spec());
  ASSERT_TRUE(open_one.ok());
  EXPECT_EQ(log->evict(eviction(*open_one)).code(), Code::kFailedPrecondition);
  EXPECT_EQ(log->evict(eviction(77)).code(), Code::kInvalidArgument);
  EXPECT_EQ(log->evict(sample_event("x", 0, Stopped{})).code(), Code::kInvalidArgument);
  // Nobody says that an episode is gone without deleting it.
  EXPECT_EQ(log->append(eviction(1)).status().code(), Code::kInvalidArgument);
  ASSERT_TRUE(log->evict(eviction(1)).ok());
  EXPECT_EQ(log->evict(eviction(1)).code(), Code::kInvalidArgument);
}

TEST_F(Evicting, WhateverCallFailsTheFileIsGoneOnlyWithAnEventAndTryingAgainHelps) {
  for (std::uint64_t at = 1;; ++at) {
    SCOPED_TRACE(at);
    std::filesystem::remove_all(options().dir);
    test::FaultyFiles files(posix_files());
    auto log = open(files);
    for (int i = 0; i < 2; ++i) episode(*log);
    files.plan({.at = at});
    const Status evicted = log->evict(eviction(1));
    const bool reached = files.calls() >= at;
    files.plan({});
    EXPECT_TRUE(there(1) || log->event("evicted:1").ok());
    EXPECT_TRUE(evicted.ok() || log->evict(eviction(1)).ok());
    log.reset();
    log = open();  // removes what could not be removed then
    EXPECT_FALSE(there(1));
    EXPECT_TRUE(there(2));
    expect_whole(*log, 12);
    if (!reached) break;
  }
}

TEST_F(Evicting, KeepsToTheBudgetOverALongLife) {
  auto log = open();
  episode(*log);
  const std::uint64_t one = *log->segment_bytes(1);
  Retention retention(5 * one, 2);
  for (int i = 0; i < 30; ++i) {
    episode(*log);
    ASSERT_TRUE(retention.follow(*log).ok());
    while (const auto victim = retention.next()) {
      ASSERT_TRUE(log->evict(eviction(victim->episode, victim->worth)).ok());
      ASSERT_TRUE(retention.follow(*log).ok());
    }
    EXPECT_LE(log->stats().segment_bytes, 5 * one + one / 2);
    EXPECT_EQ(log->stats().segment_bytes, retention.bytes());
  }
  Retention anew(5 * one, 2);
  ASSERT_TRUE(anew.follow(*log).ok());
  EXPECT_EQ(anew.bytes(), retention.bytes());
  expect_whole(*log, 12 * log->stats().evicted);
}

}  // namespace
}  // namespace nudge
