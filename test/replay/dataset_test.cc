#include "replay/dataset.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "nudge/hold_out.h"
#include "replay/outcome.h"
#include "replay/segment.h"

namespace nudge {
namespace {

constexpr std::size_t kF = 5, kP = 3, kA = 2, kH = 4;

const Actor kScriptActor{"script", Role::kScript};
const Actor kAnna{"anna", Role::kSupervisor};
const Actor kBen{"ben", Role::kSupervisor};
const Actor kEngineer{"eve", Role::kEngineer};

// A step as the recorder wrote it; its number in the log's life is proprioception[0] and
// executed[0], so that a test can tell what a batch holds.
struct Fact {
  EpisodeId episode = 0;
  std::uint32_t policy_step = 0;
  ControlSource source = ControlSource::kHold;
  SpanId span = 0;
  std::uint32_t flags = 0;
  bool damaged = false;  // a feature is not finite
};

// Writes real segment files and the feed beside them, as the log would.
class Recorder {
 public:
  Recorder() {
    static int count = 0;
    // In memory where there is such a place: nothing here depends on a disk, and syncing to one
    // takes most of the time.
    const std::filesystem::path shared = "/dev/shm";
    dir_ =
        (std::filesystem::is_directory(shared) ? shared : std::filesystem::temp_directory_path()) /
        ("nudge_dataset_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(dir_);
  }
  ~Recorder() {
    writer_.reset();
    std::filesystem::remove_all(dir_);
  }
  Recorder(const Recorder&) = delete;

  EpisodeId start(EpisodePurpose purpose, const Actor& actor = kScriptActor,
                  const std::string& instruction = "") {
    spec_.episode = ++episode_;
    spec_.feature_size = kF;
    spec_.proprioception_size = kP;
    spec_.action_size = kA;
    spec_.backbone_hash = backbone;
    spec_.reference_rows = reference_rows;
    path_ = (dir_ / ("episode-" + std::to_string(episode_) + ".seg")).string();
    auto writer = SegmentWriter::create(posix_files(), path_, spec_, 1 << 16);
    EXPECT_TRUE(writer.ok()) << writer.status().message();
    writer_ = std::move(*writer);
    policy_step_ = 0;
    event(EpisodeStarted{purpose, 0, instruction}, actor);
    return episode_;
  }
  void end() {
    event(EpisodeEnded{EpisodeEnd::kTaskDone, policy_step_}, kScriptActor);
    EXPECT_TRUE(writer_->finish().ok());
    writer_.reset();
  }
  // `n` steps of one kind.
  void steps(ControlSource source, std::size_t n, std::uint32_t flags = 0) {
    for (std::size_t i = 0; i < n; ++i) step(source, flags);
  }
  void step(ControlSource source, std::uint32_t flags = 0, bool damaged = false) {
    const auto id = static_cast<float>(facts.size());
    Step s;
    s.sequence = ++sequence_;
    s.episode = episode_;
    s.policy_step = policy_step_++;
    s.source = source;
    s.span = span_;
    s.flags = flags;
    s.features.assign(kF, 0.25f);
    s.features[0] = static_cast<float>(facts.size() % 2048);  // exact in fp16
    if (!sentence.empty()) std::copy(sentence.begin(), sentence.end(), s.features.end() - 2);
    if (damaged) s.features[1] = std::numeric_limits<float>::quiet_NaN();
    s.proprioception = {id, 1.5f, static_cast<float>(s.policy_step)};
    s.proposed = {9, 9};
    s.requested = {8, 8};
    s.executed = {id, static_cast<float>(s.policy_step)};
    if (reference_rows > 0 && facts.size() % 3 != 0) {
      for (std::size_t k = 0; k < reference_rows * kA; ++k) {
        s.reference.push_back(id + static_cast<float>(k));
      }
      if (wild_reference) s.reference.back() = std::numeric_limits<float>::infinity();
    }
    auto offset = writer_->append(s);
    ASSERT_TRUE(offset.ok()) << offset.status().message();
    if (run_.first == 0) {
      run_ = {episode_, path_, s.sequence, s.sequence, *offset, 0};
    }
    run_.last = s.sequence;
    facts.push_back({episode_, s.policy_step, source, s.span, flags, damaged});
  }
  void lose(std::uint32_t n) {
    event(StepsLost{policy_step_, n, false}, kScriptActor);
    policy_step_ += n;
  }
  SpanId open(SpanKind kind, const Actor& actor) {
    span_ = ++last_span_;
    event(SpanOpened{span_, kind, 0, policy_step_}, actor);
    return span_;
  }
  void close(SpanEnd reason = SpanEnd::kReleased, std::uint32_t too_many = 0,
             bool complete = true) {
    event(SpanClosed{span_, reason, policy_step_ - 1 - too_many, complete}, kScriptActor);
    span_ = 0;
  }
  void label(EpisodeId episode, LabelValue value, const Actor& actor = kAnna, SpanId span = 0) {
    event(Label{episode, span, value}, actor);
  }
  void event(Payload payload, const Actor& actor = kScriptActor) {
    flush();
    Event e;
    e.sequence = ++sequence_;
    e.id = "e" + std::to_string(sequence_);
    e.episode = episode_;
    e.policy_step = policy_step_;
    e.actor = actor;
    e.payload = std::move(payload);
    items.emplace_back(std::move(e));
  }
  // Ends the run of steps, as a commit does.
  void flush() {
    if (run_.first == 0) return;
    ASSERT_TRUE(writer_->sync().ok());
    run_.end_offset = writer_->end();
    items.emplace_back(run_);
    run_ = {};
  }

  // A takeover of `n` steps by `actor`.
  SpanId takeover(std::size_t n, const Actor& actor = kAnna) {
    const SpanId span = open(SpanKind::kTakeover, actor);
    steps(ControlSource::kHuman, n);
    close();
    return span;
  }
  EpisodeId demonstration(std::size_t n) {
    const EpisodeId id = start(EpisodePurpose::kDemonstration);
    steps(ControlSource::kScript, n);
    end();
    return id;
  }
  // Deployment: some of the policy, then a correction.
  EpisodeId corrected(std::size_t alone, std::size_t n, const Actor& actor = kAnna) {
    const EpisodeId id = start(EpisodePurpose::kDeployment);
    steps(ControlSource::kPolicy, alone);
    takeover(n, actor);
    end();
    return id;
  }

  // A full round that learned from all before it, and the gate's word on it; empty: accepted.
  void round(const std::string& refused = "", WeightsKind kind = WeightsKind::kFull) {
    flush();
    CandidateReceived candidate{.kind = kind, .prefix = sequence_};
    candidate.hash[0] = ++rounds_;
    event(candidate);
    if (refused.empty()) {
      event(WeightsAccepted{rounds_, candidate.hash, 0, kind, ""});
    } else {
      event(WeightsRejected{candidate.hash, 0, refused, ""});
    }
  }

  std::uint32_t policy_step() const { return policy_step_; }
  const std::string& path() const { return path_; }

  std::vector<FeedItem> items;
  std::vector<Fact> facts;
  std::string backbone;
  std::size_t reference_rows = 0;  // above 0: every step but each third has a reference
  std::vector<float> sentence;     // the last two features; empty: nothing of the kind
  bool wild_reference = false;     // whose last number is not finite

 private:
  std::filesystem::path dir_;
  SegmentSpec spec_;
  std::string path_;
  std::unique_ptr<SegmentWriter> writer_;
  Sequence sequence_ = 0;
  EpisodeId episode_ = 0;
  SpanId span_ = 0, last_span_ = 0;
  std::uint32_t policy_step_ = 0;
  std::uint8_t rounds_ = 0;
  StepsRef run_;
};

DatasetOptions options() {
  DatasetOptions o;
  o.feature_size = kF;
  o.proprioception_size = kP;
  o.action_size = kA;
  o.horizon = kH;
  return o;
}

Dataset fold(Recorder& log, const DatasetOptions& o = options()) {
  log.flush();
  Dataset dataset(posix_files(), o);
  for (const FeedItem& item : log.items) {
    const Status applied = dataset.apply(item);
    EXPECT_TRUE(applied.ok()) << applied.message();
  }
  return dataset;
}

std::uint64_t trainable(const Dataset& dataset, SampleClass c) {
  return dataset.counts().trainable[static_cast<std::size_t>(c)];
}
std::uint64_t held_out(const Dataset& dataset, SampleClass c) {
  return dataset.counts().held_out[static_cast<std::size_t>(c)];
}

// Ids of the steps that `draws` chunks start at.
std::multiset<std::size_t> starts(const Batch& batch) {
  std::multiset<std::size_t> ids;
  for (std::size_t i = 0; i < batch.size; ++i) {
    ids.insert(static_cast<std::size_t>(batch.proprioception[i * kP]));
  }
  return ids;
}
std::set<std::size_t> drawn(Dataset& dataset, const Mix& mix, std::size_t draws = 20'000) {
  Batch batch;
  Random random(1);
  const Status status = dataset.sample(batch, draws, mix, random);
  EXPECT_TRUE(status.ok()) << status.message();
  const auto ids = starts(batch);
  return {ids.begin(), ids.end()};
}
Mix alone(SampleClass c) {
  Mix mix;
  mix.share.fill(0);
  mix.share[static_cast<std::size_t>(c)] = 1;
  mix.corrections_may_stand_alone = true;
  return mix;
}
std::size_t mask_of(const Batch& batch, std::size_t row) {
  std::size_t n = 0;
  for (std::size_t h = 0; h < batch.horizon; ++h) n += batch.mask[row * batch.horizon + h] > 0;
  return n;
}
bool equal(const Batch& a, const Batch& b) {
  return a.size == b.size && a.features == b.features && a.proprioception == b.proprioception &&
         a.actions == b.actions && a.mask == b.mask && a.weight == b.weight &&
         a.advantage == b.advantage && a.cluster == b.cluster;
}

// ---- what a step is -----------------------------------------------------------------------------

TEST(Dataset, TakesStepsOfScriptsAndPeopleInDemonstrationEpisodes) {
  Recorder log;
  log.demonstration(10);
  log.start(EpisodePurpose::kDemonstration);
  log.steps(ControlSource::kHold, 3);
  log.takeover(7);
  log.end();
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 17u);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 0u);
  EXPECT_EQ(dataset.counts().corrected_episodes, 0u);
}

TEST(Dataset, DropsDemonstrationsLabelledFailureOrDiscard) {
  Recorder log;
  const EpisodeId a = log.demonstration(10);
  const EpisodeId b = log.demonstration(10);
  log.demonstration(4);
  log.label(a, LabelValue::kFailure);
  log.label(b, LabelValue::kDiscard);
  EXPECT_EQ(trainable(fold(log), SampleClass::kDemonstration), 4u);
}

TEST(Dataset, CallsTheStepsOfATakeoverCorrections) {
  Recorder log;
  log.corrected(20, 6);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 6u);
}

TEST(Dataset, CallsStepsOfAnOpenSpanCorrectionsAtOnce) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 6);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 6u);
}

TEST(Dataset, CallsStepsBeforeTheSplitRecovery) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  const SpanId span = log.takeover(10);
  log.event(SpanSplit{span, 4});
  log.event(SpanSplit{span, 3});
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kRecovery), 3u);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 7u);
}

TEST(Dataset, LeavesOutWhatCameAfterTheLastFreshCommandOfALostLink) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 10);
  log.close(SpanEnd::kLinkLost, 4);
  DatasetOptions trusting = options();
  trusting.quarantine_link_lost = false;
  EXPECT_EQ(trainable(fold(log, trusting), SampleClass::kCorrection), 6u);
}

TEST(Dataset, PutsATakeoverThatEndedWithALostLinkInQuarantineUntilSomebodyVouchesForIt) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  const SpanId span = log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 10);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 10u) << "while it is open";
  log.close(SpanEnd::kLinkLost, 4);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 0u);
  EXPECT_EQ(fold(log).counts().quarantined, 6u);
  log.label(1, LabelValue::kSuccess, kBen, span);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 6u);
  EXPECT_EQ(fold(log).counts().quarantined, 0u);
  log.label(1, LabelValue::kNone, kBen, span);
  EXPECT_EQ(fold(log).counts().quarantined, 6u);
}

TEST(Dataset, PutsATakeoverAgainstTheLimitsInQuarantine) {
  for (const std::size_t clamped : {4u, 5u, 10u}) {
    Recorder log;
    log.start(EpisodePurpose::kDeployment);
    log.open(SpanKind::kTakeover, kAnna);
    log.steps(ControlSource::kHuman, clamped, kStepClamped);
    log.steps(ControlSource::kHuman, 10 - clamped);
    log.close();
    log.takeover(3);  // another one is judged by itself
    const bool suspect = clamped >= 5;
    const Dataset dataset = fold(log);
    EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), suspect ? 3u : 13u) << clamped;
    EXPECT_EQ(dataset.counts().quarantined, suspect ? 10u : 0u) << clamped;
    DatasetOptions never = options();
    never.quarantine_clamped = 2;
    EXPECT_EQ(trainable(fold(log, never), SampleClass::kCorrection), 13u);
  }
}

TEST(Dataset, PutsWhatThreeRoundsInARowWereRefusedForInQuarantine) {
  Recorder log;
  log.corrected(0, 10);
  log.round();
  log.corrected(0, 7);
  log.round("forgets");
  log.round("wild_actions");
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 17u);
  log.round("worse_on_held_out");
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 10u) << "what was accepted still teaches";
  EXPECT_EQ(dataset.counts().quarantined, 7u);
  EXPECT_EQ(dataset.refused_takeovers(), std::vector<EpisodeId>{2});
}

TEST(Dataset, LearnsWhatThreeRefusedRoundsHadBeenTaughtOnceSomebodyVouchesForIt) {
  Recorder log;
  log.corrected(0, 7);
  for (int i = 0; i < 3; ++i) log.round("forgets");
  log.label(1, LabelValue::kSuccess, kBen, 1);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 7u);
}

TEST(Dataset, HoldsAgainstACorrectionOnlyRoundsThatAllLearnedFromIt) {
  Recorder log;
  log.corrected(0, 7);
  log.round("forgets");
  log.corrected(0, 5);
  log.round("forgets");
  log.round("forgets");
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 5u);
  log.round("forgets");
  log.round("forgets");
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 5u) << "two without the first";
  log.round("forgets");
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 0u);
}

TEST(Dataset, AnAcceptedRoundEndsARowOfRefusedOnes) {
  Recorder log;
  log.corrected(0, 7);
  log.round("forgets");
  log.round("forgets");
  log.round();
  for (int i = 0; i < 5; ++i) log.round("forgets");
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 7u) << "nothing is new since";
}

TEST(Dataset, HoldsNothingAgainstCorrectionsWhereARoundWasNotRefusedForItsActs) {
  for (const std::string reason : {"superseded", "non_finite", "wrong_parent", "wrong_backbone"}) {
    Recorder log;
    log.corrected(0, 7);
    for (int i = 0; i < 9; ++i) log.round(reason);
    EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 7u) << reason;
  }
  Recorder log;
  log.corrected(0, 7);
  for (int i = 0; i < 9; ++i) log.round("forgets", WeightsKind::kProvisional);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 7u) << "micro-rounds";
  DatasetOptions never = options();
  never.quarantine_refused = 0;
  for (int i = 0; i < 9; ++i) log.round("forgets");
  EXPECT_EQ(trainable(fold(log, never), SampleClass::kCorrection), 7u);
}

TEST(Dataset, KeepsHeldOutCorrectionsWhereRoundsAreRefused) {
  Recorder log;
  for (int i = 0; i < 5; ++i) log.corrected(0, 4);
  for (int i = 0; i < 3; ++i) log.round("forgets");
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 0u);
  EXPECT_EQ(dataset.counts().held_out[static_cast<int>(SampleClass::kCorrection)], 4u);
}

TEST(Dataset, CountsACorrectedEpisodeInQuarantineForTheHoldOutAllTheSame) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 4);
  log.close(SpanEnd::kLinkLost);
  log.end();
  EXPECT_EQ(fold(log).counts().corrected_episodes, 1u);
}

TEST(Dataset, MarksTheMomentBeforeATakeoverNegativeWhenAskedTo) {
  Recorder log;
  log.demonstration(10);
  log.corrected(20, 6);
  DatasetOptions negative = options();
  negative.advantage = Advantage::kPositive;
  negative.before_takeover_advantage = Advantage::kNegative;
  Dataset dataset = fold(log, negative);
  EXPECT_EQ(trainable(dataset, SampleClass::kBeforeTakeover), 8u);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 2000, Mix{}, random).ok());
  std::size_t marked = 0;
  for (std::size_t i = 0; i < batch.size; ++i) {
    const Fact& fact = log.facts[static_cast<std::size_t>(batch.proprioception[i * kP])];
    const bool led_there = fact.source == ControlSource::kPolicy;
    EXPECT_EQ(batch.advantage[i], led_there ? Advantage::kNegative : Advantage::kPositive);
    marked += led_there;
  }
  EXPECT_GT(marked, 0u);
}

// ---- steps that are judged one by one -----------------------------------------------------------

std::vector<std::uint32_t> rows_of(const JudgedEpisode& episode) {
  std::vector<std::uint32_t> rows;
  for (const JudgedStep& step : episode.steps) rows.push_back(step.row);
  return rows;
}

// Tokens of sampled rows, by the fact behind each.
std::map<std::size_t, Advantage> tokens_in(Dataset& dataset, const Mix& mix = Mix{}) {
  Batch batch;
  Random random(1);
  const Status status = dataset.sample(batch, 3000, mix, random);
  EXPECT_TRUE(status.ok()) << status.message();
  std::map<std::size_t, Advantage> tokens;
  for (std::size_t i = 0; i < batch.size; ++i) {
    tokens[static_cast<std::size_t>(batch.proprioception[i * kP])] = batch.advantage[i];
  }
  return tokens;
}

TEST(Dataset, JudgedEpisodesAreThoseOfWhichItIsKnownHowTheyWent) {
  Recorder log;
  const EpisodeId shown = log.demonstration(4);
  const EpisodeId wrong = log.demonstration(5);
  log.label(wrong, LabelValue::kFailure);
  const EpisodeId dropped = log.demonstration(5);
  log.label(dropped, LabelValue::kDiscard);
  const EpisodeId good = log.start(EpisodePurpose::kDeployment, kScriptActor, "lift it");
  log.steps(ControlSource::kPolicy, 6);
  log.end();
  log.label(good, LabelValue::kSuccess);
  const EpisodeId bad = log.start(EpisodePurpose::kDeployment, kScriptActor, "lift it");
  log.steps(ControlSource::kPolicy, 7);
  log.end();
  log.label(bad, LabelValue::kFailure);
  log.start(EpisodePurpose::kDeployment);  // nobody said
  log.steps(ControlSource::kPolicy, 3);
  log.end();
  const EpisodeId measured = log.start(EpisodePurpose::kEvaluation);
  log.steps(ControlSource::kPolicy, 3);
  log.end();
  log.label(measured, LabelValue::kSuccess);
  const std::vector<JudgedEpisode> judged = fold(log).judged_episodes();
  ASSERT_EQ(judged.size(), 4u);
  const std::vector<std::pair<EpisodeId, bool>> expected = {
      {shown, true}, {wrong, false}, {good, true}, {bad, false}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(judged[i].episode, expected[i].first);
    EXPECT_EQ(judged[i].success, expected[i].second);
    EXPECT_EQ(judged[i].task, i < 2 ? "" : "lift it");
    EXPECT_FALSE(judged[i].held_out);
  }
  EXPECT_EQ(judged[0].purpose, EpisodePurpose::kDemonstration);
  EXPECT_EQ(judged[3].steps.size(), 7u);
}

TEST(Dataset, JudgedStepsAreThoseThatSomebodyDroveAndNobodyUndid) {
  Recorder log;
  const EpisodeId id = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 12);
  log.takeover(5);
  log.steps(ControlSource::kHold, 3);
  log.steps(ControlSource::kPolicy, 2, kStepStale);
  log.steps(ControlSource::kPolicy, 4, kStepSlowed);
  log.step(ControlSource::kPolicy, 0, /*damaged=*/true);
  log.end();
  log.label(id, LabelValue::kSuccess);
  log.event(StepsDiscarded{id, 0, 1});
  const std::vector<JudgedEpisode> judged = fold(log).judged_episodes();
  ASSERT_EQ(judged.size(), 1u);
  std::vector<std::uint32_t> steps;
  std::size_t before = 0;
  for (const JudgedStep& step : judged[0].steps) {
    steps.push_back(step.policy_step);
    before += step.before_takeover;
    EXPECT_TRUE(!step.before_takeover || step.source == ControlSource::kPolicy);
  }
  EXPECT_EQ(steps, (std::vector<std::uint32_t>{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                                               22, 23, 24, 25}));
  EXPECT_EQ(before, 8u);  // 0.75 s
}

TEST(Dataset, WhatWithdrawnPeopleRecordedOrLabelledIsNotJudged) {
  Recorder log;
  log.start(EpisodePurpose::kDemonstration, kAnna);
  log.steps(ControlSource::kHuman, 4);
  log.end();
  const EpisodeId alone = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 4);
  log.end();
  log.label(alone, LabelValue::kFailure, kAnna);
  EXPECT_EQ(fold(log).judged_episodes().size(), 2u);
  log.event(CorrectionsWithdrawn{"anna"}, kEngineer);
  EXPECT_TRUE(fold(log).judged_episodes().empty());
}

TEST(Dataset, HeldOutEpisodesSaySoWhenTheyAreJudged) {
  Recorder log;
  for (std::uint64_t i = 1; i <= kHoldOutEvery; ++i) {
    log.label(log.corrected(20, 6), LabelValue::kSuccess);
  }
  const std::vector<JudgedEpisode> judged = fold(log).judged_episodes();
  ASSERT_EQ(judged.size(), kHoldOutEvery);
  for (std::size_t i = 0; i < judged.size(); ++i) {
    EXPECT_EQ(judged[i].held_out, i + 1 == kHoldOutEvery) << i;
  }
}

TEST(Dataset, ObservesTheRowsItIsAskedFor) {
  Recorder log;
  log.demonstration(6);
  const Dataset dataset = fold(log);
  const auto judged = dataset.judged_episodes();
  ASSERT_EQ(judged.size(), 1u);
  const std::vector<std::uint32_t> rows = {judged[0].steps[4].row, judged[0].steps[1].row};
  const Batch seen = dataset.observe(rows);
  ASSERT_EQ(seen.size, 2u);
  EXPECT_EQ(seen.proprioception[0], 4.0f);
  EXPECT_EQ(seen.proprioception[kP], 1.0f);
  EXPECT_EQ(seen.features[0], 4.0f);
}

TEST(Dataset, StepsOfFailuresTeachOnceTheyHaveTokens) {
  Recorder log;
  log.demonstration(10);
  const EpisodeId bad = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 6);
  log.end();
  log.label(bad, LabelValue::kFailure);
  DatasetOptions o = options();
  o.advantage = Advantage::kPositive;
  Dataset dataset = fold(log, o);
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousFailure), 0u);
  const auto judged = dataset.judged_episodes();
  ASSERT_EQ(judged.size(), 2u);
  std::vector<StepAdvantage> tokens;
  for (const std::uint32_t row : rows_of(judged[1])) {
    tokens.push_back({row, row % 2 == 0 ? Advantage::kPositive : Advantage::kNegative});
  }
  ASSERT_TRUE(dataset.set_advantages(tokens).ok());
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousFailure), 6u);
  const auto sampled = tokens_in(dataset);
  for (std::size_t fact = 0; fact < 16; ++fact) {
    EXPECT_EQ(sampled.at(fact),
              fact < 10 || fact % 2 == 0 ? Advantage::kPositive : Advantage::kNegative);
  }
  for (StepAdvantage& token : tokens) token.advantage = Advantage::kNone;  // and back
  ASSERT_TRUE(dataset.set_advantages(tokens).ok());
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousFailure), 0u);
}

// A demonstration of ten steps that went well, and one of eight that failed.
Dataset with_failed_demonstration(Recorder& log) {
  log.demonstration(10);
  log.label(log.demonstration(8), LabelValue::kFailure);
  DatasetOptions o = options();
  o.advantage = Advantage::kPositive;
  return fold(log, o);
}

// The failed one's first five steps were good ones.
std::vector<StepAdvantage> judgement_of_failed_demonstration(const Dataset& dataset) {
  std::vector<StepAdvantage> tokens;
  for (const std::uint32_t row : rows_of(dataset.judged_episodes().at(1))) {
    tokens.push_back({row, tokens.size() < 5 ? Advantage::kPositive : Advantage::kNegative});
  }
  return tokens;
}

TEST(Dataset, AFailedDemonstrationTeachesOnlyOnceItsStepsAreJudged) {
  Recorder log;
  Dataset dataset = with_failed_demonstration(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 10u);
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousFailure), 0u);
  std::vector<StepAdvantage> tokens = judgement_of_failed_demonstration(dataset);
  ASSERT_TRUE(dataset.set_advantages(tokens).ok());
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 15u);
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousFailure), 3u);
  for (const auto& [fact, token] : tokens_in(dataset)) {
    EXPECT_EQ(token, fact < 15 ? Advantage::kPositive : Advantage::kNegative) << fact;
  }
  for (StepAdvantage& token : tokens) token.advantage = Advantage::kNone;  // and back
  ASSERT_TRUE(dataset.set_advantages(tokens).ok());
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 10u);
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousFailure), 0u);
}

TEST(Dataset, ADemonstrationThatWasNoFailureAfterAllTeachesAsAWhole) {
  Recorder log;
  Dataset dataset = with_failed_demonstration(log);
  ASSERT_TRUE(dataset.set_advantages(judgement_of_failed_demonstration(dataset)).ok());
  log.label(dataset.judged_episodes()[1].episode, LabelValue::kSuccess);
  ASSERT_TRUE(dataset.apply(log.items.back()).ok());
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 18u);
  for (const auto& [fact, token] : tokens_in(dataset)) {
    EXPECT_EQ(token, Advantage::kPositive) << fact;
  }
}

TEST(Dataset, WhatPeopleDroveKeepsItsToken) {
  Recorder log;
  log.demonstration(10);
  const EpisodeId id = log.corrected(12, 6);
  log.label(id, LabelValue::kSuccess);
  DatasetOptions o = options();
  o.advantage = Advantage::kPositive;
  Dataset dataset = fold(log, o);
  std::vector<StepAdvantage> tokens;
  for (const JudgedEpisode& episode : dataset.judged_episodes()) {
    for (const std::uint32_t row : rows_of(episode)) tokens.push_back({row, Advantage::kNegative});
  }
  ASSERT_TRUE(dataset.set_advantages(tokens).ok());
  for (const auto& [fact, token] : tokens_in(dataset)) {
    const bool policy = log.facts[fact].source == ControlSource::kPolicy;
    EXPECT_EQ(token, policy ? Advantage::kNegative : Advantage::kPositive) << fact;
  }
}

TEST(Dataset, TokensOutliveWhatIsFoldedLater) {
  Recorder log;
  log.demonstration(10);
  const EpisodeId id = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 6);
  log.end();
  log.label(id, LabelValue::kFailure);
  Dataset dataset = fold(log);
  std::vector<StepAdvantage> tokens;
  for (const std::uint32_t row : rows_of(dataset.judged_episodes()[1])) {
    tokens.push_back({row, Advantage::kNegative});
  }
  ASSERT_TRUE(dataset.set_advantages(tokens).ok());
  log.label(id, LabelValue::kSuccess);
  ASSERT_TRUE(dataset.apply(log.items.back()).ok());
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousSuccess), 6u);
  Mix mix;
  mix.share[static_cast<std::size_t>(SampleClass::kAutonomousSuccess)] = 0.2;
  EXPECT_EQ(tokens_in(dataset, mix).at(12), Advantage::kNegative);
}

TEST(Dataset, RefusesTokensOfStepsThatItDoesNotHave) {
  Recorder log;
  log.demonstration(3);
  Dataset dataset = fold(log);
  const std::vector<StepAdvantage> tokens = {{0, Advantage::kNegative}, {3, Advantage::kNegative}};
  EXPECT_EQ(dataset.set_advantages(tokens).code(), Code::kInvalidArgument);
}

// ---- instructions -------------------------------------------------------------------------------

// The last two features are the sentence's length, and 7.
Result<std::vector<float>> two_numbers(const std::string& sentence) {
  return std::vector<float>{static_cast<float>(sentence.size()), 7};
}

DatasetOptions hearing() {
  DatasetOptions o = options();
  o.advantage = Advantage::kPositive;
  o.instruction_size = 2;
  o.instruction_features = two_numbers;
  o.relabel = 1;
  return o;
}

struct Heard {
  std::map<float, std::size_t> lengths;  // of sentences, over all rows
  std::size_t negative = 0;
};
Heard hear(Dataset& dataset, SampleClass c) {
  Batch batch;
  Random random(1);
  const Status status = dataset.sample(batch, 1000, alone(c), random);
  EXPECT_TRUE(status.ok()) << status.message();
  Heard heard;
  for (std::size_t i = 0; i < batch.size; ++i) {
    ++heard.lengths[batch.features[i * kF + kF - 2]];
    heard.negative += batch.advantage[i] == Advantage::kNegative;
  }
  return heard;
}

// An episode of the instruction "lift it" (7), corrected with words of `words`.
void spoken_to(Recorder& log, const std::string& words, std::size_t steps_before_span) {
  log.start(EpisodePurpose::kDeployment, kScriptActor, "lift it");
  log.steps(ControlSource::kPolicy, 10);
  log.event(Words{words, WordsUse::kComment, ""}, kAnna);
  log.steps(ControlSource::kPolicy, steps_before_span);
  log.takeover(6);
  log.end();
}

TEST(Dataset, RelabelsACorrectionWithWhatWasSaidShortlyBeforeIt) {
  Recorder log;
  log.sentence = {7, 7};
  spoken_to(log, "a bit lower", 5);
  Dataset dataset = fold(log, hearing());
  EXPECT_EQ(hear(dataset, SampleClass::kCorrection).lengths,
            (std::map<float, std::size_t>{{11, 1000}}));
  DatasetOptions half = hearing();
  half.relabel = 0.5;
  Dataset mixed = fold(log, half);
  const Heard heard = hear(mixed, SampleClass::kCorrection);
  EXPECT_NEAR(heard.lengths.at(11), 500, 80);
  EXPECT_NEAR(heard.lengths.at(7), 500, 80);
  EXPECT_EQ(heard.negative, 0u);
}

TEST(Dataset, DoesNotRelabelWithWordsThatWereTakenBackHoweverLate) {
  Recorder log;
  log.sentence = {7, 7};
  spoken_to(log, "a bit lower", 5);
  std::string id;
  for (const FeedItem& item : log.items) {
    const auto* event = std::get_if<Event>(&item);
    if (event != nullptr && std::holds_alternative<Words>(event->payload)) id = event->id;
  }
  log.event(WordsUndone{id}, kAnna);
  Dataset dataset = fold(log, hearing());
  EXPECT_EQ(hear(dataset, SampleClass::kCorrection).lengths,
            (std::map<float, std::size_t>{{7, 1000}}));
}

TEST(Dataset, DoesNotRelabelWithWhatWasSaidLongBeforeOrByNobodyWhoCounts) {
  for (const bool late : {true, false}) {
    Recorder log;
    log.sentence = {7, 7};
    spoken_to(log, "a bit lower", late ? 25 : 5);
    DatasetOptions o = hearing();
    if (!late) o.excluded_supervisors = {"anna"};
    log.start(EpisodePurpose::kDeployment, kScriptActor, "lift it");
    log.takeover(3, kBen);
    log.end();
    Dataset dataset = fold(log, o);
    EXPECT_EQ(hear(dataset, SampleClass::kCorrection).lengths,
              (std::map<float, std::size_t>{{7, 1000}}));
  }
}

TEST(Dataset, SwapsInstructionsOnlyForOthersOfTheLogAndMarksThemNegative) {
  Recorder log;
  log.sentence = {7, 7};
  log.start(EpisodePurpose::kDemonstration, kScriptActor, "lift it");
  log.steps(ControlSource::kScript, 10);
  log.end();
  DatasetOptions o = hearing();
  o.swap = 0.3;
  Dataset single = fold(log, o);
  EXPECT_EQ(hear(single, SampleClass::kDemonstration).negative, 0u) << "there is no other";
  log.sentence = {12, 7};
  log.start(EpisodePurpose::kDemonstration, kScriptActor, "close drawer");
  log.steps(ControlSource::kScript, 10);
  log.end();
  Dataset dataset = fold(log, o);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 2000, alone(SampleClass::kDemonstration), random).ok());
  std::size_t swapped = 0;
  for (std::size_t i = 0; i < batch.size; ++i) {
    const bool first = batch.proprioception[i * kP] < 10;
    const float heard = batch.features[i * kF + kF - 2];
    const bool other = heard != (first ? 7 : 12);
    EXPECT_EQ(batch.advantage[i], other ? Advantage::kNegative : Advantage::kPositive);
    EXPECT_TRUE(heard == 7 || heard == 12);
    swapped += other;
  }
  EXPECT_NEAR(swapped, 600, 100);
}

TEST(Dataset, AnInstructionThatChangesWithinAnEpisodeHoldsForTheStepsThatFollow) {
  Recorder log;
  log.sentence = {7, 7};
  log.start(EpisodePurpose::kDemonstration, kScriptActor, "lift it");
  log.steps(ControlSource::kScript, 10);
  log.event(InstructionChanged{"close drawer"}, kAnna);
  log.sentence = {12, 7};
  log.steps(ControlSource::kScript, 10);
  log.end();
  DatasetOptions o = hearing();
  o.swap = 1;
  Dataset dataset = fold(log, o);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 500, alone(SampleClass::kDemonstration), random).ok());
  for (std::size_t i = 0; i < batch.size; ++i) {
    const bool before = batch.proprioception[i * kP] < 10;
    EXPECT_EQ(batch.features[i * kF + kF - 2], before ? 12 : 7) << "the other one of the two";
    EXPECT_EQ(batch.advantage[i], Advantage::kNegative);
  }
}

TEST(Dataset, LeavesInstructionsAloneWhereSentencesWereEncodedOtherwise) {
  Recorder log;
  log.sentence = {3, 7};  // another encoder's
  spoken_to(log, "a bit lower", 5);
  Dataset dataset = fold(log, hearing());
  EXPECT_EQ(hear(dataset, SampleClass::kCorrection).lengths,
            (std::map<float, std::size_t>{{3, 1000}}));
}

// ---- references ---------------------------------------------------------------------------------

TEST(Dataset, GivesEachRowItsOwnReferenceAndSaysWhereThereIsNone) {
  Recorder log;
  log.reference_rows = kH;
  log.demonstration(30);
  DatasetOptions with = options();
  with.references = true;
  Dataset dataset = fold(log, with);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 300, alone(SampleClass::kDemonstration), random).ok());
  ASSERT_EQ(batch.reference.size(), 300 * kH * kA);
  ASSERT_EQ(batch.has_reference.size(), 300u);
  std::size_t without = 0;
  for (std::size_t i = 0; i < batch.size; ++i) {
    const auto id = static_cast<std::size_t>(batch.proprioception[i * kP]);
    const bool there = id % 3 != 0;  // as the recorder left them out
    EXPECT_EQ(batch.has_reference[i], there ? 1 : 0) << id;
    for (std::size_t k = 0; k < kH * kA; ++k) {
      EXPECT_EQ(batch.reference[i * kH * kA + k],
                there ? static_cast<float>(id) + static_cast<float>(k) : 0.0f);
    }
    without += there ? 0 : 1;
  }
  EXPECT_GT(without, 0u);

  Dataset plain = fold(log);
  ASSERT_TRUE(plain.sample(batch, 10, alone(SampleClass::kDemonstration), random).ok());
  EXPECT_TRUE(batch.reference.empty());
  EXPECT_TRUE(batch.has_reference.empty());
}

TEST(Dataset, GivesRecentObservationsTheirReferencesForTheGate) {
  Recorder log;
  log.reference_rows = kH;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 5);
  DatasetOptions with = options();
  with.references = true;
  const Batch recent = fold(log, with).recent_observations(3);
  ASSERT_EQ(recent.size, 3u);
  EXPECT_EQ(recent.reference.size(), 3 * kH * kA);
  EXPECT_EQ(recent.reference[0], 2.0f);
  EXPECT_EQ(recent.has_reference, (std::vector<std::uint8_t>{1, 0, 1}));
}

TEST(Dataset, TakesAReferenceOfAnotherLengthOrThatIsNotFiniteForNone) {
  for (const bool wild : {false, true}) {
    Recorder log;
    log.reference_rows = wild ? kH : kH + 1;
    log.wild_reference = wild;
    log.demonstration(6);
    DatasetOptions with = options();
    with.references = true;
    Dataset dataset = fold(log, with);
    EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 6u);
    Batch batch;
    Random random(1);
    ASSERT_TRUE(dataset.sample(batch, 50, alone(SampleClass::kDemonstration), random).ok());
    EXPECT_EQ(std::count(batch.has_reference.begin(), batch.has_reference.end(), 1), 0);
  }
}

TEST(Dataset, LeavesOutHoldingInsideATakeover) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHold, 5);
  log.steps(ControlSource::kHuman, 2);
  log.close();
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 2u);
}

TEST(Dataset, KeepsSpansThatLostStepsAndEndsTheirWindowsAtTheGap) {
  Recorder log;
  log.demonstration(1);
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 2);
  log.lose(3);
  log.steps(ControlSource::kHuman, 5);
  log.close(SpanEnd::kReleased, 0, /*complete=*/false);
  Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 7u);
  EXPECT_EQ(dataset.counts().corrected_episodes, 0u);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 500, alone(SampleClass::kCorrection), random).ok());
  for (std::size_t i = 0; i < batch.size; ++i) {
    const auto id = static_cast<std::size_t>(batch.proprioception[i * kP]);
    const std::size_t left = id < 3 ? 3 - id : 8 - id;
    EXPECT_EQ(mask_of(batch, i), std::min(left, kH)) << id;
  }
}

TEST(Dataset, CallsStepsBentByAWordNudged) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 5);
  log.open(SpanKind::kNudge, kAnna);
  log.steps(ControlSource::kNudge, 8);
  log.close();
  log.steps(ControlSource::kPolicy, 5);
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kNudged), 8u);
  EXPECT_EQ(dataset.counts().corrected_episodes, 0u);
}

TEST(Dataset, LearnsNothingFromWordsThatWereTakenBackBeforeOrAfter) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  const auto nudge = [&](const std::string& words) {
    const SpanId span = log.open(SpanKind::kNudge, kAnna);
    log.event(WordsActed{words, span}, kAnna);
    log.steps(ControlSource::kNudge, 4);
    log.close();
    log.steps(ControlSource::kPolicy, 3);
  };
  nudge("kept");
  nudge("undone");
  log.event(WordsUndone{"early"}, kAnna);
  log.event(WordsUndone{"never said"}, kAnna);
  nudge("early");
  EXPECT_EQ(trainable(fold(log), SampleClass::kNudged), 8u);
  log.event(WordsUndone{"undone"}, kAnna);
  EXPECT_EQ(trainable(fold(log), SampleClass::kNudged), 4u);
}

TEST(Dataset, LearnsNoSpeedFromAPolicyThatWordsSlowed) {
  Recorder log;
  const EpisodeId episode = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 5);
  log.steps(ControlSource::kPolicy, 7, kStepSlowed);
  log.steps(ControlSource::kPolicy, 2);
  log.end();
  log.label(episode, LabelValue::kSuccess);
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousSuccess), 7u);
  EXPECT_EQ(dataset.counts().unusable, 0u) << "they are whole, only slow";
}

TEST(Dataset, GivesUnlabelledAutonomousStepsNoWeight) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  log.end();
  Dataset dataset = fold(log);
  Batch batch;
  Random random(1);
  EXPECT_EQ(dataset.sample(batch, 8, {}, random).code(), Code::kFailedPrecondition);
}

TEST(Dataset, MovesAutonomousStepsWhenALateLabelArrivesAndBackWhenItIsTaken) {
  Recorder log;
  const EpisodeId id = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  log.end();
  log.demonstration(3);
  log.flush();
  Dataset dataset = fold(log);
  std::size_t seen = log.items.size();
  const auto go_on = [&] {
    for (; seen < log.items.size(); ++seen) ASSERT_TRUE(dataset.apply(log.items[seen]).ok());
  };
  log.label(id, LabelValue::kSuccess);
  go_on();
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousSuccess), 30u);
  log.label(id, LabelValue::kNone);
  go_on();
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousSuccess), 0u);
  EXPECT_EQ(dataset.counts().successes, 0u);
}

TEST(Dataset, BelievesTheLastLabelOfTheHighestRole) {
  Recorder log;
  const EpisodeId id = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  log.end();
  log.label(id, LabelValue::kFailure, kAnna);
  log.label(id, LabelValue::kSuccess, kEngineer);
  log.label(id, LabelValue::kFailure, kScriptActor);
  log.label(id, LabelValue::kFailure, kBen);
  EXPECT_EQ(trainable(fold(log), SampleClass::kAutonomousSuccess), 30u);
}

TEST(Dataset, DropsAutonomousFailuresByDefaultAndMarksThemNegativeWhenAsked) {
  Recorder log;
  const EpisodeId id = log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  log.end();
  log.demonstration(3);
  log.label(id, LabelValue::kFailure);
  EXPECT_EQ(trainable(fold(log), SampleClass::kAutonomousFailure), 0u);

  DatasetOptions o = options();
  o.autonomous_failure_advantage = Advantage::kNegative;
  o.advantage = Advantage::kPositive;
  Dataset dataset = fold(log, o);
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousFailure), 30u);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 200, {}, random).ok());
  for (std::size_t i = 0; i < batch.size; ++i) {
    EXPECT_EQ(batch.advantage[i],
              batch.cluster[i] == id ? Advantage::kNegative : Advantage::kPositive);
  }
}

TEST(Dataset, DropsTheThreeQuartersOfASecondBeforeATakeover) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  log.takeover(5);
  log.label(1, LabelValue::kSuccess);
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kBeforeTakeover), 0u);
  // 8 steps of 100 ms
  EXPECT_EQ(dataset.counts(1)[static_cast<std::size_t>(SampleClass::kBeforeTakeover)], 8u);
}

TEST(Dataset, TakesForSuccessOnlyWhatThePolicyDidAfterTheLastTakeover) {
  // What led to a takeover went wrong, however far back: the label is of the person's making.
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  log.takeover(5);
  log.steps(ControlSource::kPolicy, 20);
  log.label(1, LabelValue::kSuccess);
  EXPECT_EQ(trainable(fold(log), SampleClass::kAutonomousSuccess), 20u);
  // Also where the label came first.
  log.takeover(5);
  log.steps(ControlSource::kPolicy, 10);
  EXPECT_EQ(trainable(fold(log), SampleClass::kAutonomousSuccess), 10u);
}

TEST(Dataset, MarksTheMomentBeforeATakeoverNegativeWhenAsked) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  log.takeover(5);
  DatasetOptions o = options();
  o.before_takeover_advantage = Advantage::kNegative;
  o.policy_period = std::chrono::milliseconds(50);
  EXPECT_EQ(trainable(fold(log, o), SampleClass::kBeforeTakeover), 15u);
}

TEST(Dataset, DoesNotLearnCorrectionsFromASpanLabelledFailureOrDiscard) {
  Recorder log;
  const EpisodeId id = log.start(EpisodePurpose::kDeployment);
  const SpanId a = log.takeover(5);
  const SpanId b = log.takeover(6);
  log.takeover(7);
  log.end();
  log.label(id, LabelValue::kFailure, kAnna, a);
  log.label(id, LabelValue::kDiscard, kAnna, b);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 7u);
  log.label(id, LabelValue::kNone, kAnna, a);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 12u);
}

TEST(Dataset, CountsWhatALabelTakesOutAndPutsItBackWhenTheLabelIsTakenBack) {
  Recorder log;
  const EpisodeId id = log.start(EpisodePurpose::kDeployment);
  const SpanId a = log.takeover(5);
  log.takeover(6);
  log.steps(ControlSource::kHold, 2);
  log.steps(ControlSource::kPolicy, 3);
  log.end();
  const auto taken_out = [&] { return fold(log).counts().taken_out; };
  const auto learned = [&] { return trainable(fold(log), SampleClass::kCorrection); };
  EXPECT_EQ(taken_out(), 0u);
  log.label(id, LabelValue::kDiscard, kAnna, a);
  EXPECT_EQ(taken_out(), 5u);
  EXPECT_EQ(learned(), 6u);
  log.label(id, LabelValue::kDiscard);
  EXPECT_EQ(taken_out(), 14u) << "all that somebody drove; nobody holds for a lesson";
  EXPECT_EQ(fold(log).counts().discards, 1u);
  EXPECT_EQ(learned(), 0u);
  log.label(id, LabelValue::kNone);
  EXPECT_EQ(taken_out(), 5u);
  EXPECT_EQ(learned(), 6u);
  log.label(id, LabelValue::kNone, kAnna, a);
  EXPECT_EQ(taken_out(), 0u);
  EXPECT_EQ(learned(), 11u);
  EXPECT_EQ(fold(log).counts().discards, 0u);
}

TEST(Dataset, LearnsCorrectionsOfAnEpisodeThatFailedButNotOfADiscardedOne) {
  Recorder log;
  const EpisodeId id = log.corrected(10, 5);
  log.label(id, LabelValue::kFailure);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 5u);
  log.label(id, LabelValue::kDiscard);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 0u);
}

TEST(Dataset, LeavesUndoneStepsOutForEverAlsoThoseStillToCome) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 10);
  log.event(StepsDiscarded{1, 4, 11});
  log.steps(ControlSource::kHuman, 5);
  log.close();
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 7u);
  EXPECT_EQ(dataset.counts().discarded, 8u);
}

TEST(Dataset, TeachesNothingFromEvaluationEpisodes) {
  Recorder log;
  const EpisodeId id = log.start(EpisodePurpose::kEvaluation);
  log.steps(ControlSource::kPolicy, 10);
  log.takeover(5);
  log.end();
  log.label(id, LabelValue::kSuccess);
  const Dataset dataset = fold(log);
  for (const std::uint64_t n : dataset.counts().trainable) EXPECT_EQ(n, 0u);
  EXPECT_EQ(dataset.counts().corrected_episodes, 0u);
}

TEST(Dataset, LeavesOutStaleStepsAndStepsThatAreNotFinite) {
  Recorder log;
  log.start(EpisodePurpose::kDemonstration);
  log.steps(ControlSource::kScript, 5);
  log.step(ControlSource::kScript, kStepStale);
  log.step(ControlSource::kScript, 0, /*damaged=*/true);
  log.step(ControlSource::kScript, kStepClamped);
  const Dataset dataset = fold(log);
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 6u);
  EXPECT_EQ(dataset.counts().unusable, 2u);
}

TEST(Dataset, LeavesOutFeaturesOfAnotherBackbone) {
  Recorder log;
  log.backbone = std::string(64, 'a');
  log.demonstration(5);
  log.backbone = std::string(64, 'b');
  log.demonstration(7);
  DatasetOptions o = options();
  o.backbone_hash = std::string(64, 'b');
  const Dataset dataset = fold(log, o);
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 7u);
  EXPECT_EQ(dataset.counts().unusable, 5u);
}

TEST(Dataset, LeavesOutEpisodesOfARobotOfAnotherShapeUntilItIsTheSameAgain) {
  Recorder r;
  const auto demonstrate = [&] {
    const EpisodeId episode = r.start(EpisodePurpose::kDemonstration);
    r.steps(ControlSource::kHuman, 4);
    r.end();
    return episode;
  };
  demonstrate();  // of a boot that did not say
  r.event(Booted{"nudge", "arm", "{}", "short"}, kScriptActor);
  demonstrate();
  r.event(Booted{"nudge", "arm", "{}", "long"}, kScriptActor);
  demonstrate();
  const auto trainable = [&](const Dataset& dataset) {
    return dataset.counts().trainable[static_cast<std::size_t>(SampleClass::kDemonstration)];
  };
  const Dataset longer = fold(r);
  EXPECT_EQ(trainable(longer), 8u);
  EXPECT_EQ(longer.counts().other_shape_episodes, 1u);
  EXPECT_EQ(longer.counts().other_shape, 4u);
  DatasetOptions shorter = options();
  shorter.shape = "short";
  EXPECT_EQ(trainable(fold(r, shorter)), 8u) << "what is asked for outlasts the boots";
  r.event(Booted{"nudge", "arm", "{}", "short"}, kScriptActor);
  demonstrate();
  const Dataset again = fold(r);
  EXPECT_EQ(trainable(again), 12u);
  EXPECT_EQ(again.counts().other_shape_episodes, 1u);
}

TEST(Dataset, ForgetsAWithdrawnSupervisor) {
  Recorder log;
  const EpisodeId id = log.corrected(20, 5, kAnna);
  log.corrected(20, 7, kBen);
  log.label(id, LabelValue::kSuccess, kBen);
  DatasetOptions o = options();
  o.excluded_supervisors = {"ben"};
  const Dataset dataset = fold(log, o);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 5u);
  EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousSuccess), 0u);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 12u);
}

// The event says the same as the option, whenever it comes, and can be taken back.
TEST(Dataset, ForgetsWhatAPersonTaughtWhenTheirCorrectionsAreWithdrawnAndKnowsItWhenRestored) {
  Recorder log;
  const Actor ben_elsewhere{"ben#d-0123456789abcdef", Role::kSupervisor};
  const EpisodeId id = log.corrected(20, 5, kAnna);
  const EpisodeId second = log.corrected(20, 7, ben_elsewhere);
  log.label(id, LabelValue::kSuccess, kAnna);
  log.label(id, LabelValue::kFailure, kBen);
  log.label(second, LabelValue::kSuccess, kAnna);
  log.event(EpisodeEnded{EpisodeEnd::kTaskDone, 0});
  const auto all_of = [](const Dataset& dataset) { return dataset.counts().trainable; };
  const auto everything = all_of(fold(log));
  DatasetOptions without = options();
  without.excluded_supervisors = {"ben"};
  const auto expected = all_of(fold(log, without));
  ASSERT_NE(everything, expected);

  log.event(CorrectionsWithdrawn{"ben"});
  EXPECT_EQ(all_of(fold(log)), expected);
  // What comes after it is withdrawn, too.
  log.corrected(20, 6, kBen);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 5u);
  log.event(CorrectionsRestored{"ben"});
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 18u);
}

TEST(Dataset, ForgetsDemonstrationsThatAPersonRecordedAndIsWithdrawnFrom) {
  Recorder log;
  log.demonstration(5);
  log.start(EpisodePurpose::kDemonstration, kBen);
  log.steps(ControlSource::kHuman, 6);
  log.end();
  EXPECT_EQ(trainable(fold(log), SampleClass::kDemonstration), 11u);
  log.event(CorrectionsWithdrawn{"ben"});
  EXPECT_EQ(trainable(fold(log), SampleClass::kDemonstration), 5u);
  log.event(CorrectionsWithdrawn{"nobody"});
  EXPECT_EQ(trainable(fold(log), SampleClass::kDemonstration), 5u);
}

TEST(Dataset, CountsPeopleAndNotTheirConnections) {
  Recorder log;
  log.corrected(20, 5, {"anna#1", Role::kSupervisor});
  log.corrected(20, 4, {"anna#2", Role::kSupervisor});
  log.corrected(20, 3, {"ben#3", Role::kSupervisor});
  const DatasetCounts counts = fold(log).counts();
  ASSERT_EQ(counts.supervisors.size(), 2u);
  EXPECT_EQ(counts.supervisors[0].name, "anna");
  EXPECT_EQ(counts.supervisors[0].corrections, 9u);
  EXPECT_EQ(counts.supervisors[1].name, "ben");
  DatasetOptions without = options();
  without.excluded_supervisors = {"anna"};
  EXPECT_EQ(trainable(fold(log, without), SampleClass::kCorrection), 3u);
}

// ---- hold-out -----------------------------------------------------------------------------------

TEST(Dataset, HoldsOutEveryFifthCorrectedEpisodeWithItsAutonomousSteps) {
  Recorder log;
  log.demonstration(5);
  std::vector<EpisodeId> ids;
  for (int i = 0; i < 11; ++i) ids.push_back(log.corrected(20, 6));
  for (const EpisodeId id : ids) log.label(id, LabelValue::kSuccess);
  Dataset dataset = fold(log);
  EXPECT_EQ(dataset.counts().corrected_episodes, 11u);
  EXPECT_EQ(dataset.counts().held_out_episodes, 2u);
  EXPECT_EQ(trainable(dataset, SampleClass::kCorrection), 9u * 6);
  EXPECT_EQ(held_out(dataset, SampleClass::kCorrection), 2u * 6);
  for (const std::size_t id : drawn(dataset, {})) {
    EXPECT_NE(log.facts[id].episode, ids[4]);
    EXPECT_NE(log.facts[id].episode, ids[9]);
  }
  const Batch probe = dataset.held_out_probe(256);
  ASSERT_EQ(probe.size, 12u);
  EXPECT_EQ(probe.cluster.front(), ids[4]);
  EXPECT_EQ(probe.cluster.back(), ids[9]);
}

TEST(Dataset, NeverTrainsOnASpanWhoseEpisodeMayStillBeHeldOut) {
  Recorder log;
  for (int i = 0; i < 4; ++i) log.corrected(2, 6);
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 9);
  Dataset before = fold(log);
  EXPECT_EQ(trainable(before, SampleClass::kCorrection), 24u);
  EXPECT_EQ(before.held_out_probe(256).size, 0u);
  log.close();
  Dataset after = fold(log);
  EXPECT_EQ(trainable(after, SampleClass::kCorrection), 24u);
  EXPECT_EQ(after.held_out_probe(256).size, 9u);
}

TEST(Dataset, TrainsOnAnEpisodeThatEndedWithoutGettingTheNumber) {
  Recorder log;
  for (int i = 0; i < 4; ++i) log.corrected(2, 6);
  log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 9);
  log.close(SpanEnd::kReleased, 0, /*complete=*/false);
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 24u);
  log.end();
  EXPECT_EQ(trainable(fold(log), SampleClass::kCorrection), 33u);
}

TEST(Dataset, DoesNotNumberEpisodesWithAnEmptyTakeoverOnly) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 3);
  log.open(SpanKind::kTakeover, kAnna);
  log.close();  // last step < first step
  log.end();
  EXPECT_EQ(fold(log).counts().corrected_episodes, 0u);
}

// ---- windows and batches ------------------------------------------------------------------------

TEST(Dataset, FillsAChunkWithTheExecutedActionsThatFollow) {
  Recorder log;
  log.demonstration(6);
  Dataset dataset = fold(log);
  const Batch batch = dataset.demonstration_probe(256, 1);
  ASSERT_EQ(batch.size, 6u);
  EXPECT_EQ(batch.feature_size, kF);
  EXPECT_EQ(batch.proprioception_size, kP);
  EXPECT_EQ(batch.action_size, kA);
  EXPECT_EQ(batch.horizon, kH);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(batch.features[i * kF], static_cast<float>(i));
    EXPECT_EQ(batch.features[i * kF + 1], 0.25f);
    EXPECT_EQ(batch.proprioception[i * kP], static_cast<float>(i));
    EXPECT_EQ(batch.proprioception[i * kP + 1], 1.5f);
    EXPECT_EQ(batch.weight[i], 1.0f);
    EXPECT_EQ(batch.cluster[i], 1u);
    for (std::size_t h = 0; h < kH; ++h) {
      EXPECT_EQ(batch.mask[i * kH + h], i + h < 6 ? 1.0f : 0.0f);
      EXPECT_EQ(batch.actions[(i * kH + h) * kA],
                static_cast<float>(std::min<std::size_t>(i + h, 5)));
    }
  }
}

TEST(Dataset, LetsARecoveryRunOnIntoItsCorrection) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  const SpanId span = log.takeover(6);
  log.event(SpanSplit{span, 2});
  Dataset dataset = fold(log);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 50, alone(SampleClass::kRecovery), random).ok());
  for (std::size_t i = 0; i < batch.size; ++i) EXPECT_EQ(mask_of(batch, i), kH);
}

TEST(Dataset, EndsAWindowWhereAnotherTakeoverBegins) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.takeover(3);
  log.takeover(3);
  Dataset dataset = fold(log);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 200, alone(SampleClass::kCorrection), random).ok());
  for (std::size_t i = 0; i < batch.size; ++i) {
    const auto id = static_cast<std::size_t>(batch.proprioception[i * kP]);
    EXPECT_EQ(mask_of(batch, i), 3 - id % 3);
  }
}

TEST(Dataset, ReusesTheMemoryOfABatch) {
  Recorder log;
  log.demonstration(30);
  Dataset dataset = fold(log);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 64, {}, random).ok());
  const float* features = batch.features.data();
  ASSERT_TRUE(dataset.sample(batch, 32, {}, random).ok());
  ASSERT_TRUE(dataset.sample(batch, 64, {}, random).ok());
  EXPECT_EQ(batch.features.data(), features);
}

TEST(Dataset, RefusesABatchOfCorrectionsAlone) {
  Recorder log;
  log.corrected(2, 6);
  Dataset dataset = fold(log);
  Batch batch;
  Random random(1);
  EXPECT_EQ(dataset.sample(batch, 8, {}, random).code(), Code::kFailedPrecondition);
}

std::size_t rows_of(const Batch& batch, EpisodeId episode) {
  return static_cast<std::size_t>(std::count(batch.cluster.begin(), batch.cluster.end(), episode));
}

TEST(Dataset, DrawsPartOfABatchFromTheCorrectionsOfOneEpisode) {
  Recorder log;
  log.demonstration(10);
  for (int i = 0; i < 3; ++i) log.corrected(5, 40);
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 5);
  log.takeover(7);
  Dataset dataset = fold(log);
  Mix mix = alone(SampleClass::kDemonstration);
  Batch batch;
  Random random(1);
  ASSERT_TRUE(dataset.sample(batch, 100, mix, random, {.episode = 5, .share = 0.3}).ok());
  EXPECT_EQ(rows_of(batch, 5), 30u);
  EXPECT_EQ(rows_of(batch, 1), 70u) << "the rest is as the mix says";
  std::set<std::size_t> drawn;
  for (const std::size_t id : starts(batch)) {
    if (log.facts[id].episode != 5) continue;
    EXPECT_EQ(log.facts[id].source, ControlSource::kHuman);
    drawn.insert(id);
  }
  EXPECT_EQ(drawn.size(), 7u) << "each of its corrections";
}

TEST(Dataset, AnEpisodeWithoutCorrectionsThatTeachTakesNoPartOfABatch) {
  Recorder log;
  log.demonstration(10);
  for (int i = 0; i < 4; ++i) log.corrected(5, 6);
  const EpisodeId held_out = log.corrected(5, 6);
  const EpisodeId quarantined = log.start(EpisodePurpose::kDeployment);
  log.open(SpanKind::kTakeover, kAnna);
  log.steps(ControlSource::kHuman, 8);
  log.close(SpanEnd::kLinkLost);
  log.end();
  Dataset dataset = fold(log);
  Batch batch;
  Random random(1);
  for (const EpisodeId episode : {EpisodeId{1}, held_out, quarantined, EpisodeId{99}}) {
    ASSERT_TRUE(dataset.sample(batch, 64, {}, random, {.episode = episode, .share = 1}).ok());
    EXPECT_EQ(rows_of(batch, held_out) + rows_of(batch, quarantined), 0u);
    EXPECT_GT(rows_of(batch, 2), 0u) << "drawn by the mix";
  }
}

// ---- the fold -----------------------------------------------------------------------------------

TEST(Dataset, ReadsStepsOfASegmentThatIsStillGrowing) {
  Recorder log;
  log.start(EpisodePurpose::kDemonstration);
  Dataset dataset(posix_files(), options());
  std::size_t seen = 0;
  for (int commit = 0; commit < 40; ++commit) {
    log.steps(ControlSource::kScript, 50);  // grows the file several times
    log.flush();
    for (; seen < log.items.size(); ++seen) ASSERT_TRUE(dataset.apply(log.items[seen]).ok());
  }
  const Batch batch = dataset.demonstration_probe(5000, 1);
  ASSERT_EQ(batch.size, 2000u);
  for (std::size_t i = 0; i < batch.size; ++i) {
    EXPECT_EQ(batch.proprioception[i * kP], static_cast<float>(i));
  }
}

TEST(Dataset, KeepsNoFileOpen) {
  const auto open_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  Recorder log;
  for (int i = 0; i < 30; ++i) log.demonstration(5);
  const auto before = open_files();
  const Dataset dataset = fold(log);
  EXPECT_EQ(open_files(), before);
}

TEST(Dataset, PassesOverWhatItHasFoldedAlready) {
  Recorder log;
  log.corrected(10, 5);
  log.demonstration(5);
  Dataset dataset = fold(log);
  const DatasetCounts once = dataset.counts();
  for (const FeedItem& item : log.items) ASSERT_TRUE(dataset.apply(item).ok());
  const DatasetCounts twice = dataset.counts();
  EXPECT_EQ(once.steps, twice.steps);
  EXPECT_EQ(once.trainable, twice.trainable);
  EXPECT_EQ(once.prefix, twice.prefix);
  EXPECT_EQ(once.prefix, last_sequence(log.items.back()));
}

TEST(Dataset, CountsStepsWhoseSegmentIsGoneAndGoesOn) {
  Recorder log;
  log.demonstration(5);
  std::filesystem::remove(log.path());
  log.demonstration(7);
  const Dataset dataset = fold(log);
  EXPECT_EQ(dataset.counts().missing, 5u);
  EXPECT_EQ(trainable(dataset, SampleClass::kDemonstration), 7u);
}

TEST(Dataset, RefusesADamagedSegmentAndGoesOnWhenTold) {
  Recorder log;
  log.demonstration(5);
  Dataset dataset(posix_files(), options());
  ASSERT_TRUE(dataset.apply(log.items[0]).ok());
  StepsRef steps = std::get<StepsRef>(log.items[1]);
  steps.end_offset += 1 << 20;
  EXPECT_EQ(dataset.apply_steps(steps).code(), Code::kDataLoss);
  dataset.pass_over(steps);
  EXPECT_EQ(dataset.prefix(), steps.last);
  EXPECT_EQ(dataset.counts().missing, 5u);
}

TEST(Dataset, LearnsNothingFromAStepWhoseChecksumDoesNotMatch) {
  Recorder log;
  log.demonstration(5);
  const StepsRef steps = std::get<StepsRef>(log.items[1]);
  {
    // The last bytes of a record are numbers: any of them is a legal one.
    std::fstream file(steps.path, std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(steps.end_offset - 8);
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
  }
  Dataset dataset(posix_files(), options());
  ASSERT_TRUE(dataset.apply(log.items[0]).ok());
  const Status applied = dataset.apply_steps(steps);
  EXPECT_EQ(applied.code(), Code::kDataLoss);
  EXPECT_NE(applied.message().find(steps.path), std::string::npos) << applied.message();
  EXPECT_NE(applied.message().find("checksum"), std::string::npos) << applied.message();
  dataset.pass_over(steps);
  EXPECT_EQ(dataset.counts().missing, 1u);
  EXPECT_EQ(dataset.counts().steps, 4u);
}

TEST(Dataset, NeedsAtMost64BytesAStep) { EXPECT_LE(Dataset::bytes_per_step(), 64u); }

TEST(Dataset, RefusesOptionsOutOfRange) {
  DatasetOptions o = options();
  o.action_size = 0;
  EXPECT_EQ(o.validate().code(), Code::kInvalidArgument);
  o = options();
  o.horizon = 65;
  EXPECT_EQ(o.validate().code(), Code::kInvalidArgument);
  o = options();
  o.policy_period = Duration::zero();
  EXPECT_EQ(o.validate().code(), Code::kInvalidArgument);
  EXPECT_TRUE(options().validate().ok());
}

// ---- probes and figures -------------------------------------------------------------------------

TEST(Dataset, MeasuresTheDemonstrations) {
  Recorder log;
  log.demonstration(4);  // executed[0] = 0 1 2 3, executed[1] the same
  const Normaliser n = fold(log).normaliser();
  EXPECT_EQ(n.steps, 4u);
  ASSERT_EQ(n.action_mean.size(), kA);
  EXPECT_NEAR(n.action_mean[0], 1.5, 1e-6);
  EXPECT_NEAR(n.action_scale[0], std::sqrt(1.25), 1e-6);
  EXPECT_NEAR(n.feature_mean[0], 1.5, 1e-6);
  EXPECT_NEAR(n.feature_mean[1], 0.25, 1e-6);
  EXPECT_EQ(n.feature_scale[1], 0.0f);
  EXPECT_NEAR(n.proprioception_mean[1], 1.5, 1e-6);
}

TEST(Dataset, ChoosesDifferentDemonstrationStepsForTheProbeBySeed) {
  Recorder log;
  log.demonstration(300);
  const Dataset dataset = fold(log);
  const Batch a = dataset.demonstration_probe(64, 1);
  EXPECT_TRUE(equal(a, dataset.demonstration_probe(64, 1)));
  EXPECT_FALSE(equal(a, dataset.demonstration_probe(64, 2)));
  const auto ids = starts(a);
  EXPECT_EQ(std::set<std::size_t>(ids.begin(), ids.end()).size(), 64u);
  EXPECT_EQ(dataset.demonstration_probe(1000, 1).size, 300u);
}

TEST(Dataset, SpreadsTheHeldOutProbeOverAllHeldOutEpisodes) {
  Recorder log;
  for (int i = 0; i < 20; ++i) log.corrected(1, 40);
  const Batch probe = fold(log).held_out_probe(16);
  ASSERT_EQ(probe.size, 16u);
  std::map<EpisodeId, int> by;
  for (const auto episode : probe.cluster) ++by[episode];
  EXPECT_EQ(by, (std::map<EpisodeId, int>{{5, 4}, {10, 4}, {15, 4}, {20, 4}}));
}

TEST(Dataset, OffersTheNewestObservationsOfDeployment) {
  Recorder log;
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 50);
  log.end();
  log.demonstration(20);
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 30);
  const Batch recent = fold(log).recent_observations();
  ASSERT_EQ(recent.size, 64u);
  EXPECT_EQ(recent.horizon, 0u);
  EXPECT_TRUE(recent.actions.empty());
  EXPECT_EQ(recent.proprioception[0], 16.0f);
  EXPECT_EQ(recent.proprioception[33 * kP], 49.0f);
  EXPECT_EQ(recent.proprioception[34 * kP], 70.0f);
  EXPECT_EQ(recent.proprioception[63 * kP], 99.0f);
}

TEST(Dataset, TellsWhoTaughtHowMuch) {
  Recorder log;
  log.corrected(1, 5, kAnna);
  log.corrected(1, 7, kBen);
  log.corrected(1, 2, kAnna);
  const DatasetCounts counts = fold(log).counts();
  ASSERT_EQ(counts.supervisors.size(), 2u);
  EXPECT_EQ(counts.supervisors[0].name, "anna");
  EXPECT_EQ(counts.supervisors[0].corrections, 7u);
  EXPECT_EQ(counts.supervisors[1].name, "ben");
  EXPECT_EQ(counts.supervisors[1].corrections, 7u);
}

// ---- any log at all -----------------------------------------------------------------------------

// A life full of everything, from a seed.
void live(Recorder& log, std::uint64_t seed, int episodes) {
  Random random(seed);
  const auto chance = [&](double p) { return random.uniform() < p; };
  const Actor people[] = {kAnna, kBen, {"carl", Role::kSupervisor}, kEngineer, kScriptActor};
  const auto person = [&] { return people[random.below(5)]; };
  const auto value = [&] { return static_cast<LabelValue>(random.below(4)); };
  std::vector<EpisodeId> known;
  std::map<SpanId, EpisodeId> spans;
  for (int e = 0; e < episodes; ++e) {
    const double kind = random.uniform();
    const bool demonstration = kind<0.2, evaluation = kind> 0.9;
    const EpisodeId id = log.start(demonstration ? EpisodePurpose::kDemonstration
                                   : evaluation  ? EpisodePurpose::kEvaluation
                                                 : EpisodePurpose::kDeployment,
                                   person());
    known.push_back(id);
    SpanId span = 0;
    SpanKind span_kind = SpanKind::kTakeover;
    bool against_limits = false;
    const auto close = [&] {
      log.close(chance(0.2) ? SpanEnd::kLinkLost : SpanEnd::kReleased,
                chance(0.2) ? static_cast<std::uint32_t>(random.below(4)) : 0, !chance(0.15));
      if (chance(0.3)) {
        const auto at = static_cast<std::uint32_t>(log.policy_step() - random.below(6));
        log.event(SpanSplit{span, at > 100'000 ? 0 : at}, person());
      }
      span = 0;
    };
    const std::size_t n = 20 + random.below(60);
    for (std::size_t i = 0; i < n; ++i) {
      if (span == 0 && log.policy_step() > 4 && chance(0.08)) {
        span_kind = chance(0.3) ? SpanKind::kNudge : SpanKind::kTakeover;
        span = log.open(span_kind, person());
        spans[span] = id;
        against_limits = chance(0.25);
      } else if (span != 0 && chance(0.12)) {
        close();
      }
      if (chance(0.02)) log.lose(1 + static_cast<std::uint32_t>(random.below(3)));
      if (chance(0.02)) log.flush();
      if (chance(0.02)) log.event(Words{"hm", WordsUse::kComment, ""}, person());
      if (chance(0.02)) {
        const auto last = log.policy_step() + static_cast<std::uint32_t>(random.below(3));
        log.event(StepsDiscarded{id, last - std::min<std::uint32_t>(last, 5), last}, person());
      }
      const ControlSource source =
          chance(0.05) ? ControlSource::kHold
          : span == 0  ? demonstration ? ControlSource::kScript : ControlSource::kPolicy
          : span_kind == SpanKind::kNudge ? ControlSource::kNudge
                                          : ControlSource::kHuman;
      const bool clamped = span != 0 && against_limits && chance(0.6);
      log.step(source, (chance(0.03) ? kStepStale : 0u) | (clamped ? kStepClamped : 0u),
               chance(0.01));
    }
    if (span != 0) close();
    log.end();
    for (int i = 0; i < 2; ++i) {
      if (chance(0.6))
        log.label(known[known.size() - 1 - random.below(std::min<std::size_t>(known.size(), 5))],
                  value(), person());
    }
    if (!spans.empty() && chance(0.4)) {
      auto at = spans.begin();
      std::advance(at, static_cast<long>(random.below(spans.size())));
      log.label(at->second, value(), person(), at->first);
    }
    if (chance(0.1)) {
      log.event(StepsDiscarded{known[random.below(known.size())], 3, 9}, person());
    }
  }
}

// The same rules once more, the slow and plain way: everything is looked up in the whole log.
struct Truth {
  explicit Truth(const Recorder& log) : log(log) {
    for (const FeedItem& item : log.items) {
      if (const auto* e = std::get_if<Event>(&item)) events.push_back(e);
    }
    std::set<EpisodeId> seen;
    std::map<SpanId, const Event*> opened;
    for (const Event* e : events) {
      if (const auto* s = std::get_if<EpisodeStarted>(&e->payload))
        purpose[e->episode] = s->purpose;
      if (const auto* o = std::get_if<SpanOpened>(&e->payload)) {
        span_opened[o->span] = *o;
        span_actor[o->span] = e->actor.name;
        span_episode[o->span] = e->episode;
      }
      if (const auto* c = std::get_if<SpanClosed>(&e->payload)) {
        span_closed[c->span] = *c;
        const SpanOpened& o = span_opened[c->span];
        const EpisodeId id = span_episode[c->span];
        if (o.kind == SpanKind::kTakeover && c->complete && c->last_step >= o.first_step &&
            purpose[id] == EpisodePurpose::kDeployment && seen.insert(id).second &&
            is_held_out(seen.size())) {
          held_out.insert(id);
        }
      }
      if (const auto* s = std::get_if<SpanSplit>(&e->payload)) split[s->span] = s->correction_from;
      if (const auto* l = std::get_if<Label>(&e->payload)) {
        (l->span ? span_outcome[l->span] : outcome[l->episode]).add(e->actor.role, l->value);
      }
      if (const auto* d = std::get_if<StepsDiscarded>(&e->payload)) discards.push_back(*d);
    }
  }

  // Class, or -1.
  int class_of(std::size_t id) const {
    const Fact& f = log.facts[id];
    if (f.damaged || (f.flags & kStepStale)) return -1;
    for (const StepsDiscarded& d : discards) {
      if (d.episode == f.episode && f.policy_step >= d.first_step && f.policy_step <= d.last_step)
        return -1;
    }
    const LabelValue label = look(outcome, f.episode).value();
    if (label == LabelValue::kDiscard) return -1;
    bool covered = true;
    if (f.span != 0) {
      const LabelValue said = look(span_outcome, f.span).value();
      covered = said != LabelValue::kFailure && said != LabelValue::kDiscard &&
                f.policy_step <= span_closed.at(f.span).last_step &&
                span_closed.at(f.span).last_step >= span_opened.at(f.span).first_step;
    }
    const bool driven = f.source == ControlSource::kHuman || f.source == ControlSource::kScript;
    switch (purpose.at(f.episode)) {
      case EpisodePurpose::kEvaluation: return -1;
      case EpisodePurpose::kDemonstration:
        return driven && covered && label != LabelValue::kFailure ? 0 : -1;
      case EpisodePurpose::kDeployment: break;
    }
    if (f.span != 0) {
      if (!covered) return -1;
      if (span_opened.at(f.span).kind == SpanKind::kNudge) {
        return f.source == ControlSource::kNudge ? 3 : -1;
      }
      if (!driven || in_quarantine(f.span)) return -1;
      const auto at = split.find(f.span);
      return at != split.end() && f.policy_step < at->second ? 2 : 1;
    }
    if (f.source != ControlSource::kPolicy) return -1;
    bool taken_over_later = false;
    for (const auto& [span, opened] : span_opened) {
      if (span_episode.at(span) != f.episode || opened.kind != SpanKind::kTakeover) continue;
      if (opened.first_step <= f.policy_step) continue;
      if (opened.first_step <= f.policy_step + 8) return 5;
      taken_over_later = true;
    }
    if (label == LabelValue::kSuccess) return taken_over_later ? -1 : 4;
    if (label == LabelValue::kFailure) return 6;
    return -1;
  }

  bool in_quarantine(SpanId span) const {
    if (look(span_outcome, span).value() == LabelValue::kSuccess) return false;
    if (span_closed.at(span).reason == SpanEnd::kLinkLost) return true;
    std::size_t steps = 0, clamped = 0;
    for (const Fact& f : log.facts) {
      if (f.span != span) continue;
      ++steps;
      clamped += (f.flags & kStepClamped) != 0;
    }
    return 2 * clamped >= steps;
  }

  template <typename Key>
  static Outcome look(const std::map<Key, Outcome>& outcomes, Key key) {
    const auto found = outcomes.find(key);
    return found == outcomes.end() ? Outcome{} : found->second;
  }

  const Recorder& log;
  std::vector<const Event*> events;
  std::map<EpisodeId, EpisodePurpose> purpose;
  std::map<SpanId, SpanOpened> span_opened;
  std::map<SpanId, SpanClosed> span_closed;
  std::map<SpanId, std::string> span_actor;
  std::map<SpanId, EpisodeId> span_episode;
  std::map<SpanId, std::uint32_t> split;
  std::map<EpisodeId, Outcome> outcome;
  std::map<SpanId, Outcome> span_outcome;
  std::vector<StepsDiscarded> discards;
  std::set<EpisodeId> held_out;
};

class AnyLog : public ::testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, AnyLog, ::testing::Range<std::uint64_t>(1, 9));

TEST_P(AnyLog, PutsEveryStepWhereTheRulesSay) {
  Recorder log;
  live(log, GetParam(), 60);
  for (const bool negatives : {false, true}) {
    DatasetOptions o = options();
    if (negatives) {
      o.before_takeover_advantage = Advantage::kNegative;
      o.autonomous_failure_advantage = Advantage::kNegative;
    }
    const Dataset dataset = fold(log, o);
    const Truth truth(log);
    std::array<std::uint64_t, kSampleClasses> train{}, kept{};
    for (std::size_t id = 0; id < log.facts.size(); ++id) {
      const int c = truth.class_of(id);
      if (c < 0 || (!negatives && (c == 5 || c == 6))) continue;
      ++(truth.held_out.count(log.facts[id].episode) ? kept : train)[static_cast<std::size_t>(c)];
    }
    EXPECT_EQ(dataset.counts().trainable, train);
    EXPECT_EQ(dataset.counts().held_out, kept);
    EXPECT_EQ(dataset.counts().held_out_episodes, truth.held_out.size());
    EXPECT_GT(truth.held_out.size(), 2u);
    for (std::size_t c = 0; c < 5; ++c) EXPECT_GT(train[c], 0u) << c;
  }
}

TEST_P(AnyLog, NeverDrawsAnExcludedStepAndNeverCrossesAnEnd) {
  Recorder log;
  live(log, GetParam(), 60);
  Dataset dataset = fold(log);
  const Truth truth(log);
  std::vector<int> classes(log.facts.size());
  for (std::size_t id = 0; id < classes.size(); ++id) classes[id] = truth.class_of(id);

  std::array<double, kSampleClasses> seen{};
  std::map<std::string, double> by_person;
  Batch batch;
  Random random(GetParam());
  constexpr std::size_t kDraws = 100'000;
  Mix mix;
  mix.oversampling = std::numeric_limits<double>::infinity();  // shares alone: sampler_test.cc
  ASSERT_TRUE(dataset.sample(batch, kDraws, mix, random).ok());
  for (std::size_t i = 0; i < batch.size; ++i) {
    const auto id = static_cast<std::size_t>(batch.proprioception[i * kP]);
    const Fact& f = log.facts[id];
    const int c = classes[id];
    ASSERT_GE(c, 0);
    ASSERT_LE(c, 4);
    ASSERT_FALSE(truth.held_out.count(f.episode));
    ++seen[static_cast<std::size_t>(c)];
    if (c == 1) ++by_person[truth.span_actor.at(f.span)];
    // How far a window may go, by the plain rules.
    std::size_t length = 1;
    for (; length < kH && id + length < log.facts.size(); ++length) {
      const Fact& g = log.facts[id + length];
      const int d = classes[id + length];
      const int before = classes[id + length - 1];
      if (g.episode != f.episode || g.policy_step != f.policy_step + length || g.span != f.span ||
          g.source != f.source || d < 0 || (d != before && !(before == 2 && d == 1))) {
        break;
      }
    }
    ASSERT_EQ(mask_of(batch, i), length);
    ASSERT_EQ(batch.cluster[i], f.episode);
    for (std::size_t h = 0; h < kH; ++h) {
      ASSERT_EQ(batch.actions[(i * kH + h) * kA], static_cast<float>(id + std::min(h, length - 1)));
    }
  }

  // Shares: as in Mix for the classes that exist; of human feedback no more than a quarter for each
  // person, and what is left over goes to demonstrations and successes.
  std::array<std::set<std::string>, kSampleClasses> people;
  std::array<double, kSampleClasses> expected{};
  double total = 0, left = 1, anchors = 0;
  for (std::size_t id = 0; id < classes.size(); ++id) {
    const Fact& f = log.facts[id];
    if (classes[id] < 0 || classes[id] > 4 || truth.held_out.count(f.episode)) continue;
    const auto c = static_cast<std::size_t>(classes[id]);
    people[c].insert(c >= 1 && c <= 3 ? truth.span_actor.at(f.span) : "");
  }
  for (std::size_t c = 0; c < 5; ++c) total += people[c].empty() ? 0 : mix.share[c];
  for (std::size_t c = 0; c < 5; ++c) {
    if (people[c].empty()) continue;
    const auto n = static_cast<double>(people[c].size());
    expected[c] = mix.share[c] / total * (n > 1 ? std::min(1.0, n / 4) : 1);
    left -= expected[c];
    if (c == 0 || c == 4) anchors += expected[c];
  }
  for (const std::size_t c : {0, 4}) expected[c] *= 1 + left / anchors;
  double chi = 0;
  for (std::size_t c = 0; c < 5; ++c) {
    const double e = expected[c] * kDraws;
    if (e > 0) chi += (seen[c] - e) * (seen[c] - e) / e;
  }
  EXPECT_LT(chi, 23.5);  // 4 degrees of freedom: exceeded once in 10,000
  ASSERT_GE(by_person.size(), 4u);
  for (const auto& [name, n] : by_person) {
    const double sigma = std::sqrt(0.25 * 0.75 * seen[1]);
    EXPECT_LE(n, 0.25 * seen[1] + 4 * sigma) << name;
  }
}

TEST_P(AnyLog, GivesEqualBatchesHoweverThePrefixWasCut) {
  Recorder log;
  live(log, GetParam(), 25);
  Dataset whole = fold(log);

  // Portions: each run of steps cut again at its records, with batches drawn in between.
  Dataset pieces(posix_files(), options());
  Random cut(GetParam());
  Batch batch;
  for (const FeedItem& item : log.items) {
    const auto* steps = std::get_if<StepsRef>(&item);
    if (!steps) {
      ASSERT_TRUE(pieces.apply(item).ok());
      continue;
    }
    auto map = SegmentMap::open(posix_files(), steps->path);
    ASSERT_TRUE(map.ok());
    StepsRef part = *steps;
    ASSERT_TRUE((*map)
                    ->scan(steps->first_offset, steps->end_offset, SegmentMap::Check::kBounds,
                           [&](const StepView& view) {
                             part.last = view.sequence;
                             part.end_offset = view.next;
                             if (cut.uniform() < 0.3 || view.sequence == steps->last) {
                               const Status applied = pieces.apply_steps(part);
                               EXPECT_TRUE(applied.ok()) << applied.message();
                               part.first = view.sequence + 1;
                               part.first_offset = view.next;
                             }
                             return true;
                           })
                    .ok());
    (void)pieces.sample(batch, 16, {}, cut);
  }
  Batch a, b;
  Random ra(7), rb(7);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(whole.sample(a, 64, {}, ra).ok());
    ASSERT_TRUE(pieces.sample(b, 64, {}, rb).ok());
    ASSERT_TRUE(equal(a, b));
  }
}

TEST_P(AnyLog, EndsWithTheSameSetsWhetherAnAmendmentCameEarlyOrLate) {
  Recorder log;
  live(log, GetParam(), 25);
  log.flush();
  // The same life, with every label and every undo heard only at the very end.
  std::vector<FeedItem> late;
  std::vector<Event> amendments;
  Dataset early = fold(log);
  Dataset after(posix_files(), options());
  for (const FeedItem& item : log.items) {
    const auto* e = std::get_if<Event>(&item);
    if (e && (std::holds_alternative<Label>(e->payload) ||
              std::holds_alternative<StepsDiscarded>(e->payload) ||
              std::holds_alternative<SpanSplit>(e->payload))) {
      amendments.push_back(*e);
    } else {
      ASSERT_TRUE(after.apply(item).ok());
    }
  }
  for (Event& e : amendments) {
    e.sequence = after.prefix() + 1;
    ASSERT_TRUE(after.apply(e).ok());
  }
  EXPECT_EQ(early.counts().trainable, after.counts().trainable);
  EXPECT_EQ(early.counts().held_out, after.counts().held_out);
  for (int c = 0; c < 5; ++c) {
    if (trainable(early, static_cast<SampleClass>(c)) == 0) continue;
    EXPECT_EQ(drawn(early, alone(static_cast<SampleClass>(c)), 30'000),
              drawn(after, alone(static_cast<SampleClass>(c)), 30'000))
        << c;
  }
}

// ---- without a mapping --------------------------------------------------------------------------

DatasetOptions reading() {
  DatasetOptions o = options();
  o.mapped = false;
  return o;
}

TEST(ReadDataset, GivesTheSameProbesAndCountsAsOneThatMaps) {
  Recorder log;
  log.reference_rows = kH;
  log.demonstration(20);
  for (int i = 0; i < 12; ++i) log.corrected(10, 7, i % 2 == 0 ? kAnna : kBen);
  log.start(EpisodePurpose::kDeployment);
  log.steps(ControlSource::kPolicy, 5);
  log.step(ControlSource::kPolicy, 0, /*damaged=*/true);
  log.steps(ControlSource::kPolicy, 5);
  DatasetOptions maps = options(), reads = reading();
  maps.references = reads.references = true;
  const Dataset mapped = fold(log, maps);
  Dataset read = fold(log, reads);
  EXPECT_EQ(read.counts().trainable, mapped.counts().trainable);
  EXPECT_EQ(read.counts().held_out, mapped.counts().held_out);
  EXPECT_EQ(read.counts().unusable, mapped.counts().unusable);
  for (const std::size_t max : {1u, 5u, 1000u}) {
    EXPECT_TRUE(equal(read.held_out_probe(max), mapped.held_out_probe(max)));
    EXPECT_TRUE(equal(read.demonstration_probe(max, 3), mapped.demonstration_probe(max, 3)));
    const Batch a = read.recent_observations(max), b = mapped.recent_observations(max);
    EXPECT_TRUE(equal(a, b));
    EXPECT_EQ(a.reference, b.reference);
    EXPECT_EQ(a.has_reference, b.has_reference);
  }
  EXPECT_TRUE(read.take_unread().ok());
}

TEST(ReadDataset, DrawsNoBatchesToTrainOn) {
  Recorder log;
  log.demonstration(20);
  Dataset dataset = fold(log, reading());
  Batch batch;
  Random random(1);
  EXPECT_EQ(dataset.sample(batch, 8, Mix{}, random).code(), Code::kFailedPrecondition);
}

// A mapping would end the process here.
TEST(ReadDataset, LivesOnWhenASegmentIsCutOffUnderItAndLeavesOutWhatIsGone) {
  Recorder log;
  log.demonstration(20);
  const std::string first = log.path();
  log.demonstration(20);
  Dataset dataset = fold(log, reading());
  ASSERT_EQ(dataset.demonstration_probe(1000, 1).size, 40u);
  const auto whole = std::filesystem::file_size(first);
  std::filesystem::resize_file(first, whole / 2);
  const Batch half = dataset.demonstration_probe(1000, 1);
  EXPECT_GT(half.size, 20u);
  EXPECT_LT(half.size, 40u);
  EXPECT_NE(dataset.take_unread().message().find(first), std::string::npos);
  EXPECT_TRUE(dataset.take_unread().ok()) << "told once";
  std::filesystem::remove(first);
  EXPECT_EQ(dataset.demonstration_probe(1000, 1).size, 20u);
  EXPECT_EQ(dataset.recent_observations().size, 0u) << "of deployment episodes only";
}

TEST(ReadDataset, EndsAtTheLastGoodStepOfADamagedSegmentAndGoesOnBehindIt) {
  for (const bool cut : {true, false}) {
    Recorder log;
    log.demonstration(20);
    const std::string path = log.path();
    log.demonstration(20);
    log.flush();
    const auto middle = std::filesystem::file_size(path) / 2;
    if (cut) {
      std::filesystem::resize_file(path, middle);
    } else {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(middle));
      file.put('!');
    }
    Dataset dataset(posix_files(), reading());
    std::size_t damaged = 0;
    for (const FeedItem& item : log.items) {
      const Status applied = dataset.apply(item);
      if (applied.ok()) continue;
      ++damaged;
      EXPECT_EQ(applied.code(), Code::kDataLoss);
      dataset.pass_over(std::get<StepsRef>(item));
    }
    EXPECT_EQ(damaged, 1u);
    const DatasetCounts counts = dataset.counts();
    EXPECT_EQ(counts.steps + counts.missing, 40u);
    EXPECT_GT(counts.steps, 25u);
    EXPECT_EQ(dataset.demonstration_probe(1000, 1).size, counts.steps);
  }
}

// ---- memory -------------------------------------------------------------------------------------

TEST(Dataset, LetsGoOfTheStepsOfEvictedEpisodesAndDrawsFromTheRestAsBefore) {
  for (const bool mapped : {true, false}) {
    Recorder log;
    log.demonstration(50);
    std::vector<EpisodeId> gone;
    std::set<std::size_t> kept;
    for (std::size_t i = 0; i < 50; ++i) kept.insert(i);
    for (int i = 0; i < 30; ++i) {
      const std::size_t before = log.facts.size();
      const EpisodeId episode = log.start(EpisodePurpose::kDeployment);
      log.steps(ControlSource::kPolicy, 400);
      log.end();
      log.label(episode, LabelValue::kSuccess);
      if (i % 10 != 0) {
        gone.push_back(episode);
      } else {
        for (std::size_t k = before; k < log.facts.size(); ++k) kept.insert(k);
      }
    }
    for (const EpisodeId episode : gone) log.event(EpisodeEvicted{.episode = episode});
    log.start(EpisodePurpose::kDeployment);
    log.steps(ControlSource::kPolicy, 30);

    DatasetOptions o = options();
    o.mapped = mapped;
    Dataset dataset = fold(log, o);
    const DatasetCounts counts = dataset.counts();
    EXPECT_EQ(counts.steps, 50u + 30 * 400 + 30);
    EXPECT_EQ(counts.missing, gone.size() * 400);
    EXPECT_LE(dataset.steps_in_memory(), 2 * (50u + 3 * 400 + 30) + (1u << 12));
    EXPECT_EQ(trainable(dataset, SampleClass::kAutonomousSuccess), 3 * 400u);
    EXPECT_EQ(dataset.demonstration_probe(1000, 1).size, 50u);
    EXPECT_EQ(dataset.recent_observations(10).size, 10u);
    if (!mapped) continue;
    std::set<std::size_t> ids = drawn(dataset, alone(SampleClass::kAutonomousSuccess));
    ids.merge(drawn(dataset, alone(SampleClass::kDemonstration)));
    EXPECT_EQ(ids, kept);
  }
}

}  // namespace
}  // namespace nudge
