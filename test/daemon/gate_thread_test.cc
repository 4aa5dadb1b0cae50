#include "src/daemon/gate_thread.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <mutex>

#include "replay/salvage.h"
#include "test/support/altered_weights.h"
#include "test/support/learning_log.h"
#include "test/support/loop_thread.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::eventually;

const Actor kEva = {.name = "eva", .role = Role::kEngineer};
WallTime no_wall() { return WallTime{}; }

// The thread itself, with a real gate, real weights and a real log; the test is the writer, and
// decides when something becomes durable.
class GateThreadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_one_torch_thread();
    begin_log();
    log_.emplace(folder_ / "log");
    log_->demonstrations();
    log_->begin();
    log_->steps(20, ControlSource::kPolicy);
    log_->end();
    log_->commit();
    RolloutOptions options;
    options.folder = folder_ / "weights";
    options.robot = "small";
    options.gate = gate_options(config_);
    options.head = head_spec(config_, test::small_shape());
    options.backbone_hash = test::small_shape().backbone_hash;
    auto rollout = Rollout::open(options);
    ASSERT_TRUE(rollout.ok()) << rollout.status().message();
    const auto tell = [this](LogLevel, std::string_view, const std::string& text) {
      const std::lock_guard lock(told_mutex_);
      told_ += text + "\n";
    };
    gate_ = std::make_unique<GateThread>(*std::move(rollout), links_, no_wall, tell);
    auto succession = std::make_unique<Succession>(
        posix_files(), gate_->rollout(), dataset_options(config_, test::small_shape()),
        round_planner_options(config_), probation_options(config_), gate_->record(), tell);
    const auto items = log_->log().feed(1, 100'000);
    ASSERT_TRUE(items.ok()) << items.status().message();
    for (const FeedItem& item : *items) ASSERT_TRUE(succession->fold(item).ok());
    fed_ = log_->log().durable();
    ASSERT_TRUE(succession->boot().ok());
    base_ = test::base_weights(succession->dataset(), config_);
    const auto installed = succession->install(base_, kEva, 1, WallTime{});
    ASSERT_TRUE(installed.ok()) << installed.status().message();
    gate_->set_succession(std::move(succession), log_->log().next_weights_version());
  }
  virtual void begin_log() {}  // before anything is in it
  void TearDown() override { gate_->stop(); }

  // What the gate has sent to the writer since.
  template <typename Body>
  const Body* wanted() {
    std::vector<WriterItem> items;
    links_.writer.try_take_all(items);
    for (WriterItem& item : items) {
      wanted_.push_back(std::move(std::get<RecordWanted>(item)));
      ids_.push_back(wanted_.back().id);
    }
    for (const RecordWanted& record : wanted_) {
      if (const auto* body = std::get_if<Body>(&record.payload)) return body;
    }
    return nullptr;
  }
  // The writer's part: what was sent becomes durable, and comes back.
  void make_durable() {
    (void)wanted<Booted>();
    for (RecordWanted& record : wanted_) log_->append(std::move(record.payload), kEva);
    wanted_.clear();
    log_->commit();
    auto items = log_->log().feed(fed_ + 1, 1000);
    ASSERT_TRUE(items.ok());
    fed_ = log_->log().durable();
    ASSERT_TRUE(links_.gate.push_reserved(GateItem(FeedBatch{*std::move(items)})));
  }
  bool handed_over(WeightsVersion version) {
    return eventually([&] {
      (void)links_.heads.try_take();
      return links_.heads.current() != nullptr && links_.heads.current()->version == version;
    });
  }
  bool told(const std::string& what) {
    const std::lock_guard lock(told_mutex_);
    return told_.find(what) != std::string::npos;
  }
  // Long enough for the thread to have gone round several times.
  bool nothing_is_handed_over() {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return links_.heads.try_take() == nullptr;
  }
  void run_with_base() {
    gate_->start();
    make_durable();
    ASSERT_TRUE(handed_over(1));
  }
  void offer(std::vector<std::byte> weights) {
    CandidateMessage candidate;
    candidate.base = 1;
    candidate.prefix = fed_;
    candidate.weights = Frame(weights.begin(), weights.end());
    ASSERT_TRUE(links_.gate.push_reserved(GateItem(std::move(candidate))));
  }
  void act(const std::string& id, decltype(OperatorMessage::body) body) {
    WeightsAct wanted;
    wanted.message.id = id;
    wanted.message.body = body;
    wanted.actor = kEva;
    ASSERT_TRUE(links_.gate.push_reserved(GateItem(std::move(wanted))));
  }
  std::vector<std::byte> child() const {
    const auto parent = *Weights::parse(base_);
    return test::altered_weights(*parent, test::child_lineage(*parent),
                                 [&](test::Tensors& tensors) {
                                   tensors.at(test::output_layer(*parent) + ".bias")[0] += 0.001f;
                                 });
  }
  std::optional<GateAnswer> answer_to(const std::string& id) {
    std::optional<GateAnswer> found;
    (void)eventually([&] {
      std::vector<GateAnswer> answers;
      links_.gate_answers.try_take_all(answers);
      for (GateAnswer& answer : answers) {
        if (answer.id == id) found = std::move(answer);
      }
      return found.has_value();
    });
    return found;
  }

  test::TempFolder folder_;
  Config config_ = test::small_config();
  std::optional<test::LearningLog> log_;
  Links links_;
  std::unique_ptr<GateThread> gate_;
  std::vector<std::byte> base_;
  Sequence fed_ = 0;
  std::vector<RecordWanted> wanted_;
  std::vector<std::string> ids_;
  std::mutex told_mutex_;
  std::string told_;  // a line each
};

TEST_F(GateThreadTest, WeightsRunOnlyOnceTheirAcceptanceIsDurable) {
  gate_->start();
  EXPECT_TRUE(nothing_is_handed_over());
  make_durable();
  EXPECT_TRUE(handed_over(1));
}

TEST_F(GateThreadTest, TellsWhatTheLearnersDatasetHoldsWhateverPeopleSayAndHoweverLate) {
  gate_->start();
  make_durable();
  for (int i = 0; i < 6; ++i) log_->corrected_episode();  // 6 to 11, with spans 1 to 6
  log_->append(Label{.episode = 6, .span = 1, .value = LabelValue::kDiscard});
  log_->append(Label{.episode = 7, .span = 2, .value = LabelValue::kFailure});
  log_->append(SpanSplit{.span = 3, .correction_from = 20});
  log_->append(StepsDiscarded{.episode = 9, .first_step = 17, .last_step = 30});
  make_durable();
  log_->append(Label{.episode = 6, .span = 1, .value = LabelValue::kNone});
  log_->append(Label{.episode = 10, .span = 0, .value = LabelValue::kDiscard});
  log_->append(Label{.episode = 5, .span = 0, .value = LabelValue::kSuccess});
  make_durable();
  const DatasetCounts expected = log_->dataset(config_).counts();
  EXPECT_GT(expected.taken_out, 0u);
  EXPECT_GT(expected.discarded, 0u);
  EXPECT_GT(expected.trainable[static_cast<std::size_t>(SampleClass::kRecovery)], 0u);
  DatasetCounts told;
  ASSERT_TRUE(eventually([&] {
    if (auto counts = links_.dataset.try_take()) told = *std::move(counts);
    return told.prefix == expected.prefix;
  }));
  EXPECT_EQ(told.trainable, expected.trainable);
  EXPECT_EQ(told.held_out, expected.held_out);
  EXPECT_EQ(told.discarded, expected.discarded);
  EXPECT_EQ(told.taken_out, expected.taken_out);
  EXPECT_EQ(told.successes, expected.successes);
  EXPECT_EQ(told.discards, expected.discards);
  EXPECT_EQ(told.corrected_episodes, expected.corrected_episodes);
  ASSERT_EQ(told.supervisors.size(), expected.supervisors.size());
  EXPECT_EQ(told.supervisors[0].corrections, expected.supervisors[0].corrections);
}

TEST_F(GateThreadTest, WhatTheLearnerSaysOfItsRoundIsRecordedWithTheCandidate) {
  run_with_base();
  const auto weights = child();
  CandidateMessage candidate;
  candidate.base = 1;
  candidate.prefix = fed_;
  candidate.steps = 60;
  candidate.loss = std::numeric_limits<double>::quiet_NaN();
  candidate.train_seconds = 0.5;
  candidate.correction_episodes = 2;
  candidate.correction_steps = 24;
  candidate.demonstration_steps = 120;
  candidate.weights = Frame(weights.begin(), weights.end());
  ASSERT_TRUE(links_.gate.push_reserved(GateItem(std::move(candidate))));
  const CandidateReceived* received = nullptr;
  ASSERT_TRUE(eventually([&] { return (received = wanted<CandidateReceived>()) != nullptr; }));
  EXPECT_EQ(received->steps, 60u);
  EXPECT_EQ(received->loss, 0) << "a number that is none is not recorded";
  EXPECT_EQ(received->correction_episodes, 2u);
  EXPECT_EQ(received->correction_steps, 24u);
  EXPECT_EQ(received->demonstration_steps, 120u);
}

TEST_F(GateThreadTest, TellsWhichEpisodesNoRoundIsAcceptedWith) {
  run_with_base();
  log_->corrected_episode();  // 6
  make_durable();
  for (std::uint8_t round = 1; round <= 3; ++round) {
    EXPECT_FALSE(told("episode 6")) << round;
    CandidateReceived candidate;
    candidate.hash[0] = round;
    candidate.prefix = log_->log().durable();
    log_->append(candidate);
    log_->append(WeightsRejected{candidate.hash, 1, "forgets", "error on demonstrations is 9"});
    make_durable();
  }
  EXPECT_TRUE(eventually([&] {
    return told(
        "in episode 6 (forgets: error on demonstrations is 9); "
        "1 takeover teaches nothing");
  }));
}

TEST_F(GateThreadTest, WeightsWaitWhileAPersonDrives) {
  for (const AuthorityState state : {AuthorityState::kTakeover, AuthorityState::kHuman}) {
    links_.state = state;
    if (state == AuthorityState::kTakeover) {
      gate_->start();
      make_durable();
    }
    EXPECT_TRUE(nothing_is_handed_over());
  }
  links_.state = AuthorityState::kHold;
  EXPECT_TRUE(handed_over(1));
}

TEST_F(GateThreadTest, AGoodCandidateIsAcceptedAndRunsAndABrokenOneIsRefusedWithAReason) {
  run_with_base();
  offer(std::vector<std::byte>(100, std::byte{'x'}));
  ASSERT_TRUE(eventually([&] { return wanted<WeightsRejected>() != nullptr; }));
  EXPECT_FALSE(wanted<WeightsRejected>()->reason.empty());
  make_durable();
  EXPECT_TRUE(nothing_is_handed_over());
  offer(child());
  ASSERT_TRUE(eventually([&] { return wanted<WeightsAccepted>() != nullptr; }));
  EXPECT_EQ(wanted<WeightsAccepted>()->version, 2u);
  make_durable();
  EXPECT_TRUE(handed_over(2));
}

// Versions up to here may have been given, by what an uncertain salvage has left: no event speaks
// of them any more.
class GateThreadAfterASalvage : public GateThreadTest {
 protected:
  static constexpr WeightsVersion kFloor = 500;

  void begin_log() override {
    LogOptions options;
    options.dir = folder_ / "log";
    options.boot = "salvage-1";
    options.ballast_bytes = 0;
    auto log = Log::open(posix_files(), options);
    ASSERT_TRUE(log.ok()) << log.status().message();
    Event last;
    last.id = std::string(Floors::kId) + "1";
    last.boot = options.boot;
    last.actor = {"nudge", Role::kScript};
    last.payload =
        Fault{"salvage", "3 entries could not be read; " + Floors{.weights = kFloor}.print()};
    ASSERT_TRUE((*log)->append(std::move(last)).ok());
    ASSERT_TRUE((*log)->commit().ok());
  }
};

TEST_F(GateThreadAfterASalvage, NoCandidateGetsANumberThatMayHaveBeenGiven) {
  run_with_base();
  offer(child());
  ASSERT_TRUE(eventually([&] { return wanted<WeightsAccepted>() != nullptr; }));
  EXPECT_EQ(wanted<WeightsAccepted>()->version, kFloor + 1);
  make_durable();
  EXPECT_TRUE(handed_over(kFloor + 1));
}

TEST_F(GateThreadTest, AnActThatCannotBeDoneIsAnsweredWithWhyAndRecordsNothing) {
  run_with_base();
  act("p1", PromoteWeights{.version = 99});
  const auto answer = answer_to("p1");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status.code(), Code::kNotFound);
  EXPECT_EQ(wanted<WeightsPromoted>(), nullptr);
}

TEST_F(GateThreadTest, ARollbackByHandFlushesTheChunkAndIsRecordedUnderItsId) {
  run_with_base();
  offer(child());
  ASSERT_TRUE(eventually([&] { return wanted<WeightsAccepted>() != nullptr; }));
  make_durable();
  ASSERT_TRUE(handed_over(2));
  TickNews news;
  news.played = 2;
  ASSERT_TRUE(links_.gate.push_reserved(GateItem(std::move(news))));
  ASSERT_TRUE(eventually([&] { return wanted<WeightsLive>() != nullptr; }));
  make_durable();
  const std::uint64_t flushes = links_.flushes;
  act("r1", RollBackWeights{});
  const auto answer = answer_to("r1");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->status.ok()) << answer->status.message();
  EXPECT_TRUE(handed_over(1));
  EXPECT_EQ(links_.flushes, flushes + 1);
  ASSERT_TRUE(eventually([&] { return wanted<WeightsRolledBack>() != nullptr; }));
  EXPECT_EQ(wanted<WeightsRolledBack>()->to, 1u);
  EXPECT_NE(std::ranges::find(ids_, "r1"), ids_.end());
}

TEST_F(GateThreadTest, ActionsThatAreNotFiniteRollTheVersionBack) {
  run_with_base();
  offer(child());
  ASSERT_TRUE(eventually([&] { return wanted<WeightsAccepted>() != nullptr; }));
  make_durable();
  ASSERT_TRUE(handed_over(2));
  TickNews played;
  played.played = 2;
  ASSERT_TRUE(links_.gate.push_reserved(GateItem(std::move(played))));
  ASSERT_TRUE(eventually([&] { return wanted<WeightsLive>() != nullptr; }));
  make_durable();
  TickNews bad;
  bad.non_finite = true;
  ASSERT_TRUE(links_.gate.push_reserved(GateItem(std::move(bad))));
  EXPECT_TRUE(handed_over(1));
  EXPECT_TRUE(eventually([&] { return wanted<WeightsRolledBack>() != nullptr; }));
}

}  // namespace
}  // namespace nudge
