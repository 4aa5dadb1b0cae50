// Equal log prefix, configuration, parent and seed give equal weights, to the byte: the claim that
// makes learning repeatable. Real log, real socket, real trainer; the learner runs on a thread.
#include "src/learning/learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <thread>

#include "policy/input_layout.h"
#include "src/learning/learner_host.h"
#include "src/learning/rollout.h"
#include "src/loop/clock.h"
#include "test/support/altered_weights.h"
#include "test/support/learning_log.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::seconds(30);

// A state folder with demonstrations and promoted first weights, and a learner that follows it.
class World {
 public:
  explicit World(const Config& config) : config_(config), log_(folder_ / "log") {
    use_one_torch_thread();
    log_.demonstrations();
    log_.commit();
    RolloutOptions options;
    options.folder = folder_ / "weights";
    options.robot = "small";
    options.gate = gate_options(config);
    options.head = head_spec(config, test::small_shape());
    options.backbone_hash = test::small_shape().backbone_hash;
    auto rollout = Rollout::open(options);
    EXPECT_TRUE(rollout.ok()) << rollout.status().message();
    rollout_ = *std::move(rollout);
    Dataset dataset = log_.dataset(config);
    EXPECT_TRUE(rollout_->refresh_probes(dataset).ok());
    const WeightsVersion version =
        accept(test::base_weights(dataset, config), Offered::kByEngineer);
    log_.append(WeightsPromoted{.version = version});
    log_.append(WeightsLive{.version = version});
    log_.commit();
    history_.apply(event_of(WeightsPromoted{.version = version}));
    history_.apply(event_of(WeightsLive{.version = version}));
  }
  ~World() { stop(); }

  void start() {
    LearnerHostOptions options;
    options.socket_path = folder_ / "run/learner";
    options.welcome.feature_size = 4;
    options.welcome.proprioception_size = 2;
    options.welcome.action_size = 2;
    options.welcome.policy_period_ns = 100'000'000;
    options.welcome.backbone_hash = test::small_shape().backbone_hash;
    options.welcome.weights_folder = folder_ / "weights";
    options.config_hash = training_config_hash(config_);
    auto host = LearnerHost::open(options, steady_now);
    ASSERT_TRUE(host.ok()) << host.status().message();
    host_ = *std::move(host);
    auto link = DaemonLink::connect("ipc://" + options.socket_path);
    ASSERT_TRUE(link.ok()) << link.status().message();
    link_ = *std::move(link);
    thread_ = std::thread([this] {
      Learner learner(config_, *link_, {});
      ended_ = learner.run([this] { return stopping_.load(); });
    });
  }
  void stop() {
    stopping_ = true;
    if (host_) host_->stop();
    if (thread_.joinable()) thread_.join();
  }

  // Commits, and waits until the learner has done all there is to do. Full candidates are refused
  // unless a test accepts them: the learner waits for one or the other.
  std::vector<CandidateMessage> catch_up() {
    log_.commit();
    const Status status = host_->catch_up(log_.log(), kPatience);
    EXPECT_TRUE(status.ok()) << status.message();
    std::vector<CandidateMessage> candidates = host_->take_candidates();
    for (const CandidateMessage& candidate : candidates) {
      if (candidate.kind == WeightsKind::kFull) refuse(candidate.prefix, candidate.weights);
    }
    return candidates;
  }
  void refuse(Sequence prefix, std::span<const std::byte> weights = {}) {
    CandidateReceived received;
    received.hash = sha256(weights);
    received.prefix = prefix;
    log_.append(received);
    WeightsRejected rejected;
    rejected.hash = received.hash;
    rejected.reason = "forgets";
    log_.append(rejected);
  }
  // Commits and sends what the learner has asked for, without waiting for what it makes of it.
  void feed() {
    log_.commit();
    const Status status = host_->serve(log_.log(), std::chrono::milliseconds(20));
    EXPECT_TRUE(status.ok()) << status.message();
  }

  // Through the gate, into folder and log.
  WeightsVersion accept(const std::vector<std::byte>& bytes, Offered by = Offered::kByLearner) {
    const auto admission =
        rollout_->consider(bytes, by, history_, log_.log().next_weights_version(), WallTime{});
    EXPECT_TRUE(admission.ok()) << admission.status().message();
    EXPECT_TRUE(admission->report.accepted)
        << admission->report.reason << ": " << admission->report.detail;
    log_.append(admission->record());
    history_.apply(event_of(admission->record()));
    return admission->version;
  }
  void go_live(WeightsVersion version) {
    log_.append(WeightsLive{.version = version});
    history_.apply(event_of(WeightsLive{.version = version}));
  }

  test::LearningLog& log() { return log_; }
  LearnerHost& host() { return *host_; }
  const Config& config() const { return config_; }
  std::string weights_file(WeightsVersion version) const {
    return folder_ / ("weights/" + std::to_string(version) + ".safetensors");
  }
  std::shared_ptr<const Weights> weights(WeightsVersion version) {
    const auto weights = rollout_->weights(version, history_);
    EXPECT_TRUE(weights.ok()) << weights.status().message();
    return *weights;
  }

 private:
  Event event_of(Payload payload) {
    Event event;
    event.sequence = log_.log().stats().appended;
    event.payload = std::move(payload);
    return event;
  }

  test::TempFolder folder_;
  Config config_;
  test::LearningLog log_;
  std::unique_ptr<Rollout> rollout_;
  WeightsHistory history_;
  std::unique_ptr<LearnerHost> host_;
  std::unique_ptr<DaemonLink> link_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  Status ended_;
};

const CandidateMessage* of_kind(const std::vector<CandidateMessage>& candidates, WeightsKind kind,
                                Sequence prefix = 0) {
  for (const CandidateMessage& candidate : candidates) {
    if (candidate.kind == kind && (prefix == 0 || candidate.prefix == prefix)) return &candidate;
  }
  return nullptr;
}

Lineage lineage_of(const CandidateMessage& candidate) {
  const auto weights = Weights::parse(candidate.weights);
  EXPECT_TRUE(weights.ok()) << weights.status().message();
  return (*weights)->lineage();
}

// ---- equal bytes -------------------------------------------------------------------------------

TEST(EqualBytes, OneRoundOnTwoDatasetsThatWereFoldedApartGivesTheSameFile) {
  World world(test::small_config());
  const Sequence prefix = world.log().corrected_episode();
  world.log().commit();
  const RoundOrder order{
      .kind = RoundKind::kFull, .prefix = prefix, .base = 1, .episode = 5, .seed = 99};
  const auto train = [&](std::size_t portion, std::uint64_t seed) {
    Dataset dataset = world.log().dataset(world.config(), portion);
    EXPECT_EQ(dataset.prefix(), prefix);
    TrainerOptions options = trainer_options(world.config(), WeightsKind::kFull);
    options.seed = seed;
    auto trainer = Trainer::create(world.weights(1), world.weights(1), options);
    EXPECT_TRUE(trainer.ok()) << trainer.status().message();
    RoundOrder seeded = order;
    seeded.seed = seed;
    auto candidate = run_round(seeded, world.config(), dataset, **trainer,
                               test::child_lineage(*world.weights(1)), [] { return false; });
    EXPECT_TRUE(candidate.ok()) << candidate.status().message();
    return candidate->weights;
  };
  const Frame first = train(1000, 99);
  EXPECT_EQ(train(1, 99), first);
  EXPECT_EQ(train(3, 99), first);
  EXPECT_NE(train(1000, 100), first) << "the seed decides";
}

TEST(EqualBytes, OnlyMicroRoundsDrawTheirShareFromTheEpisodeUnderWay) {
  World world(test::small_config());
  for (int i = 0; i < 3; ++i) world.log().corrected_episode();
  world.log().commit();
  const auto train = [&](RoundKind kind, double share) {
    Config config = world.config();
    config.learner.share_fresh = share;
    Dataset dataset = world.log().dataset(config);
    const RoundOrder order{
        .kind = kind, .prefix = dataset.prefix(), .base = 1, .episode = 7, .seed = 99};
    auto trainer = Trainer::create(world.weights(1), world.weights(1),
                                   trainer_options(config, WeightsKind::kProvisional));
    EXPECT_TRUE(trainer.ok()) << trainer.status().message();
    auto candidate = run_round(order, config, dataset, **trainer,
                               test::child_lineage(*world.weights(1)), [] { return false; });
    EXPECT_TRUE(candidate.ok()) << candidate.status().message();
    return candidate->weights;
  };
  EXPECT_NE(train(RoundKind::kMicro, 0.4), train(RoundKind::kMicro, 0));
  EXPECT_EQ(train(RoundKind::kFull, 0.4), train(RoundKind::kFull, 0));
}

TEST(EqualBytes, WeightsMadeAfterAWithdrawalAreThoseOfALogThatNeverHadThePerson) {
  // Below five corrected episodes: the hold-out counts those of everybody, and the number of one
  // never changes, so that beyond that a person who is withdrawn still says which of the others'
  // episodes are held out.
  const Actor ben = {.name = "ben", .role = Role::kSupervisor};
  const test::TempFolder folder;
  const Config config = test::small_config();
  const auto teach = [&](test::LearningLog& log, bool with_ben) {
    log.demonstrations();
    log.corrected_episode();
    if (with_ben) {
      log.corrected_episode(ben);
      log.begin();  // which nobody but ben says was a success
      log.steps(20, ControlSource::kPolicy);
      log.end(LabelValue::kSuccess, ben);
    } else {
      log.looks_like(7);
      log.begin();
      log.steps(20, ControlSource::kPolicy);
      log.end();
    }
    log.looks_like(8);
    log.corrected_episode();
    log.commit();
  };
  test::LearningLog never(folder / "never"), withdrawn(folder / "withdrawn");
  teach(never, false);
  teach(withdrawn, true);
  Dataset clean = never.dataset(config);
  const auto base = Weights::parse(test::base_weights(clean, config));
  ASSERT_TRUE(base.ok()) << base.status().message();
  const auto round = [&](Dataset dataset) {
    TrainerOptions options = trainer_options(config, WeightsKind::kFull);
    options.seed = 99;
    auto trainer = Trainer::create(*base, *base, options);
    EXPECT_TRUE(trainer.ok()) << trainer.status().message();
    const RoundOrder order{
        .kind = RoundKind::kFull, .prefix = 1, .base = 1, .episode = 1, .seed = 99};
    auto candidate = run_round(order, config, dataset, **trainer, test::child_lineage(**base),
                               [] { return false; });
    EXPECT_TRUE(candidate.ok()) << candidate.status().message();
    return candidate->weights;
  };
  const Frame expected = round(never.dataset(config));
  EXPECT_NE(round(withdrawn.dataset(config)), expected) << "ben taught something";
  withdrawn.append(CorrectionsWithdrawn{"ben"});
  withdrawn.commit();
  EXPECT_EQ(round(withdrawn.dataset(config)), expected);
}

TEST(EqualBytes, AFullRoundIsTheSameHoweverTheFeedWasCut) {
  // Learner by learner: every episode on its own; all in one go; a few entries at a time.
  Frame by_episode, in_one_go, in_portions;
  Sequence prefix = 0;
  {
    World world(test::small_config());
    world.start();
    world.catch_up();
    for (int i = 0; i < 3; ++i) {
      prefix = world.log().corrected_episode();
      const auto candidates = world.catch_up();
      ASSERT_NE(of_kind(candidates, WeightsKind::kFull, prefix), nullptr)
          << world.host().progress().trouble;
      by_episode = of_kind(candidates, WeightsKind::kFull, prefix)->weights;
    }
  }
  {
    World world(test::small_config());
    world.start();
    world.catch_up();
    for (int i = 0; i < 3; ++i) {
      if (i > 0) world.refuse(0);  // so that all three logs are of one length
      ASSERT_LE(world.log().corrected_episode(), prefix);
    }
    const auto candidates = world.catch_up();
    ASSERT_NE(of_kind(candidates, WeightsKind::kFull, prefix), nullptr);
    in_one_go = of_kind(candidates, WeightsKind::kFull, prefix)->weights;
  }
  {
    World world(test::small_config());
    world.start();
    world.catch_up();
    for (int i = 0; i < 3; ++i) {
      if (i > 0) world.refuse(0);
      world.log().begin();
      for (int n = 0; n < 3; ++n) {
        world.log().steps(5, ControlSource::kPolicy);
        world.feed();
      }
      const SpanId span = world.log().open_span();
      world.feed();
      world.log().steps(7, ControlSource::kHuman, span);
      world.feed();
      world.log().steps(5, ControlSource::kHuman, span);
      world.log().append(SpanClosed{.span = span, .last_step = 26});
      world.feed();
      world.log().steps(5, ControlSource::kPolicy);
      world.log().end(LabelValue::kSuccess);
    }
    const auto candidates = world.catch_up();
    ASSERT_NE(of_kind(candidates, WeightsKind::kFull, prefix), nullptr);
    in_portions = of_kind(candidates, WeightsKind::kFull, prefix)->weights;
  }
  EXPECT_EQ(in_one_go, by_episode);
  EXPECT_EQ(in_portions, by_episode);
}

TEST(EqualBytes, ALearnerThatStartsOverMakesTheSameWeightsOfTheNextEpisode) {
  Frame steady, restarted;
  {
    World world(test::small_config());
    world.start();
    world.catch_up();
    world.log().corrected_episode();
    world.catch_up();
    const Sequence prefix = world.log().corrected_episode();
    const auto candidates = world.catch_up();
    ASSERT_NE(of_kind(candidates, WeightsKind::kFull, prefix), nullptr);
    steady = of_kind(candidates, WeightsKind::kFull, prefix)->weights;
  }
  {
    World world(test::small_config());
    world.log().corrected_episode();  // nobody learned from it yet
    world.refuse(0);                  // so that both logs are of one length
    world.log().commit();
    world.start();
    EXPECT_TRUE(world.catch_up().empty()) << "rounds of the past are not made up for";
    const Sequence prefix = world.log().corrected_episode();
    const auto candidates = world.catch_up();
    ASSERT_NE(of_kind(candidates, WeightsKind::kFull, prefix), nullptr);
    restarted = of_kind(candidates, WeightsKind::kFull, prefix)->weights;
  }
  EXPECT_EQ(restarted, steady);
}

TEST(EqualBytes, AFullRoundMakesTheSameOfALogWhateverRoundsHaveMadeBefore) {
  const auto second_round = [](bool first_runs) {
    World world(test::small_config());
    world.start();
    world.catch_up();
    const Sequence first = world.log().corrected_episode();
    const auto made = world.catch_up();
    const CandidateMessage* full = of_kind(made, WeightsKind::kFull, first);
    EXPECT_NE(full, nullptr);
    if (first_runs) {
      world.go_live(world.accept(full->weights));
    } else {
      world.refuse(0);  // so that both logs are of one length
    }
    const Sequence second = world.log().corrected_episode();
    const auto candidates = world.catch_up();
    const CandidateMessage* found = of_kind(candidates, WeightsKind::kFull, second);
    EXPECT_NE(found, nullptr);
    EXPECT_EQ(found->base, first_runs ? 2u : 1u);
    const auto weights = Weights::parse(found->weights);
    EXPECT_TRUE(weights.ok()) << weights.status().message();
    std::map<std::string, std::vector<float>> tensors;
    for (const auto& [name, view] : (*weights)->file().tensors()) {
      tensors[name] = values_of(**weights, name);
    }
    return tensors;
  };
  EXPECT_EQ(second_round(true), second_round(false));
}

// ---- which rounds run --------------------------------------------------------------------------

TEST(Learner, MakesAProvisionalVersionOfACorrectionAndAFullOneOfItsEpisode) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  world.log().begin();
  world.log().steps(10, ControlSource::kPolicy);
  const Sequence closed = world.log().correction(12);
  auto candidates = world.catch_up();
  ASSERT_EQ(candidates.size(), 1u) << world.host().progress().trouble;
  EXPECT_EQ(candidates[0].kind, WeightsKind::kProvisional);
  EXPECT_EQ(candidates[0].prefix, closed);
  EXPECT_EQ(candidates[0].base, 1u);
  world.log().steps(5, ControlSource::kPolicy);
  const Sequence ended = world.log().end(LabelValue::kSuccess);
  candidates = world.catch_up();
  ASSERT_EQ(candidates.size(), 1u) << world.host().progress().trouble;
  EXPECT_EQ(candidates[0].kind, WeightsKind::kFull);
  EXPECT_EQ(candidates[0].prefix, ended);
  const Lineage lineage = lineage_of(candidates[0]);
  EXPECT_EQ(lineage.parent_hash, to_hex(world.weights(1)->hash()));
  EXPECT_EQ(lineage.prefix, ended);
  EXPECT_EQ(lineage.steps, 60u);
  EXPECT_EQ(lineage.backbone_hash, test::small_shape().backbone_hash);
  EXPECT_EQ(lineage.config_hash, training_config_hash(world.config()));
}

TEST(Learner, GivesAFullRoundUpForTheMicroRoundOfANewCorrection) {
  Config config = test::small_config();
  config.learner.full_steps = 1'000'000;  // only an abort ends it
  World world(config);
  world.start();
  world.catch_up();
  world.log().corrected_episode();
  world.feed();
  world.feed();
  world.log().begin();
  world.log().steps(10, ControlSource::kPolicy);
  const Sequence closed = world.log().correction(12);
  const auto candidates = world.catch_up();
  EXPECT_EQ(of_kind(candidates, WeightsKind::kFull), nullptr);
  EXPECT_NE(of_kind(candidates, WeightsKind::kProvisional, closed), nullptr);
  EXPECT_EQ(world.host().progress().trouble, "");
}

TEST(Learner, FinishesAFullRoundWhileAPersonDrives) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  const Sequence ended = world.log().corrected_episode();
  world.feed();
  world.log().begin();
  world.log().open_span();
  EXPECT_NE(of_kind(world.catch_up(), WeightsKind::kFull, ended), nullptr);
  EXPECT_EQ(world.host().progress().aborted_rounds, 0u);
}

// Too short for a micro-round, so that every round that is aborted is a full one.
void briefly_corrected_episode(test::LearningLog& log) {
  log.begin();
  log.steps(15, ControlSource::kPolicy);
  log.correction(2);
  log.steps(5, ControlSource::kPolicy);
  log.end(LabelValue::kSuccess);
}

TEST(Learner, DoesNotBeginAFullRoundThatALaterEpisodeHasOvertaken) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  // All of it is in the feed before the learner looks at any: it has fallen behind.
  briefly_corrected_episode(world.log());
  world.log().begin();
  world.log().steps(20, ControlSource::kPolicy);
  const Sequence newest = world.log().end(LabelValue::kSuccess);
  const auto candidates = world.catch_up();
  const auto full = [](const CandidateMessage& c) { return c.kind == WeightsKind::kFull; };
  EXPECT_EQ(std::count_if(candidates.begin(), candidates.end(), full), 1)
      << world.host().progress().trouble;
  // One round takes both episodes in, and none was begun in vain.
  EXPECT_NE(of_kind(candidates, WeightsKind::kFull, newest), nullptr);
  EXPECT_EQ(world.host().progress().aborted_rounds, 0u);
}

TEST(Learner, DoesNotBeginAFullRoundThatALaterCorrectionHasOvertakenTwiceInARow) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  const auto full = [](const CandidateMessage& c) { return c.kind == WeightsKind::kFull; };
  // Each time all of it is in the feed before the learner looks at any: it has fallen behind.
  briefly_corrected_episode(world.log());
  world.log().begin();
  world.log().steps(5, ControlSource::kPolicy);
  const Sequence first = world.log().correction(12);
  auto candidates = world.catch_up();
  EXPECT_EQ(std::count_if(candidates.begin(), candidates.end(), full), 0);
  EXPECT_NE(of_kind(candidates, WeightsKind::kProvisional, first), nullptr);
  const Sequence ended = world.log().end(LabelValue::kSuccess);
  world.log().begin();
  world.log().steps(5, ControlSource::kPolicy);
  const Sequence second = world.log().correction(12);
  candidates = world.catch_up();
  EXPECT_NE(of_kind(candidates, WeightsKind::kFull, ended), nullptr);
  EXPECT_EQ(of_kind(candidates, WeightsKind::kProvisional), nullptr);
  // It waits until it is known what became of the full one.
  EXPECT_NE(of_kind(world.catch_up(), WeightsKind::kProvisional), nullptr);
  EXPECT_GT(world.host().progress().through, second);
  EXPECT_EQ(world.host().progress().aborted_rounds, 0u);
  EXPECT_EQ(world.host().progress().trouble, "");
}

TEST(Learner, StopsInTheMiddleOfARound) {
  Config config = test::small_config();
  config.learner.full_steps = 1'000'000;
  World world(config);
  world.start();
  world.catch_up();
  world.log().corrected_episode();
  world.feed();
  world.feed();
  world.stop();  // returns, or the test runs into its time limit
}

TEST(Learner, KeepsTheOptimiserOfMicroRoundsWithinAnEpisodeOnly) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  const auto micro_round = [&]() -> Lineage {
    world.log().steps(10, ControlSource::kPolicy);
    world.log().correction(12);
    const auto candidates = world.catch_up();
    const CandidateMessage* micro = of_kind(candidates, WeightsKind::kProvisional);
    EXPECT_NE(micro, nullptr) << world.host().progress().trouble;
    if (micro == nullptr) return {};
    world.go_live(world.accept(micro->weights));
    return lineage_of(*micro);
  };
  world.log().begin();
  const Lineage first = micro_round();
  const Lineage second = micro_round();
  EXPECT_EQ(first.steps, 10u);
  EXPECT_EQ(second.steps, 20u) << "the second goes on where the first stopped";
  EXPECT_EQ(second.seed, first.seed);
  world.log().end();
  world.catch_up();
  world.log().begin();
  const Lineage third = micro_round();
  EXPECT_EQ(third.steps, 10u) << "a new episode begins with a new optimiser";
}

TEST(Learner, StartsAnewWhenItsMicroRoundWasNotAccepted) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  world.log().begin();
  for (int i = 0; i < 2; ++i) {
    world.log().steps(10, ControlSource::kPolicy);
    world.log().correction(12);
    const auto candidates = world.catch_up();
    const CandidateMessage* micro = of_kind(candidates, WeightsKind::kProvisional);
    ASSERT_NE(micro, nullptr) << world.host().progress().trouble;
    EXPECT_EQ(lineage_of(*micro).steps, 10u);
    EXPECT_EQ(lineage_of(*micro).parent_hash, to_hex(world.weights(1)->hash()));
  }
}

TEST(Learner, TrainsNothingOnAnEpisodeThatIsHeldOut) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  for (int i = 1; i <= 6; ++i) {
    world.log().corrected_episode();
    const auto candidates = world.catch_up();
    EXPECT_EQ(candidates.empty(), i == 5) << "episode " << i;
  }
}

TEST(Learner, RefusesAWeightsFileThatIsNotTheOneInTheLog) {
  World world(test::small_config());
  world.start();
  world.catch_up();
  const std::vector<std::byte> other =
      test::altered_weights(*world.weights(1), world.weights(1)->lineage(),
                            [](test::Tensors& tensors) { tensors.at("net.0.bias")[0] += 0.5f; });
  std::ofstream(world.weights_file(1), std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(other.data()),
             static_cast<std::streamsize>(other.size()));
  world.log().corrected_episode();
  EXPECT_TRUE(world.catch_up().empty());
  EXPECT_NE(world.host().progress().trouble.find("not the ones that the log names"),
            std::string::npos)
      << world.host().progress().trouble;
}

TEST(Learner, IsTurnedAwayWithAnotherTrainingConfiguration) {
  test::TempFolder folder;
  LearnerHostOptions options;
  options.socket_path = folder / "run/learner";
  options.config_hash = std::string(64, '0');
  auto host = LearnerHost::open(options, steady_now);
  ASSERT_TRUE(host.ok()) << host.status().message();
  auto link = DaemonLink::connect("ipc://" + options.socket_path);
  ASSERT_TRUE(link.ok());
  Status ended = internal("still running");
  std::thread thread([&] {
    Learner learner(test::small_config(), **link, {});
    ended = learner.run([] { return false; });
  });
  test::LearningLog log(folder / "log");
  Status served;
  for (int i = 0; i < 100 && served.ok(); ++i) {
    served = (*host)->serve(log.log(), std::chrono::milliseconds(100));
  }
  thread.join();
  EXPECT_EQ(served.code(), Code::kFailedPrecondition);
  EXPECT_TRUE(ended.ok()) << ended.message();
}

}  // namespace
}  // namespace nudge
