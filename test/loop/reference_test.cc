// Heads that edit, in the real kitchen: with a frozen base head and with the scripted planner as
// the source of references.
#include <gtest/gtest.h>

#include <fstream>

#include "policy/weights_store.h"
#include "src/loop/deployment.h"
#include "src/loop/evaluation.h"
#include "src/loop/reference_sources.h"
#include "test/support/scripted_learner.h"
#include "test/support/temp_folder.h"
#include "test/support/untrained_head.h"

namespace nudge {
namespace {

// A regression head: it draws no noise, so that two policies can be compared to the bit.
Config edit_config(PolicyReference reference) {
  Config config;
  config.policy.head = PolicyHead::kRegression;
  config.policy.reference = reference;
  config.policy.hidden = 64;
  config.policy.layers = 2;
  config.learner.base_steps = 400;
  config.learner.batch = 64;
  config.learner.micro_steps = 10;
  config.learner.full_steps = 60;
  return config;
}

class ReferenceTest : public ::testing::Test {
 protected:
  void SetUp() override { use_one_torch_thread(); }

  void open(const Config& config, bool learn) {
    DeploymentOptions options;
    options.config = config;
    options.state_folder = folder_ / "state";
    options.learn = learn;
    options.notice = [this](LogLevel, std::string_view component, const std::string& message) {
      notices_ += std::string(component) + ": " + message + "\n";
    };
    auto deployment = Deployment::open(options);
    ASSERT_TRUE(deployment.ok()) << deployment.status().message();
    deployment_ = *std::move(deployment);
  }
  void make_first_weights() {
    ASSERT_TRUE(deployment_->demonstrate(8, 1, {}).ok());
    const auto weights = deployment_->train_from_scratch(Material::kDemonstrations, {});
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    const auto version = deployment_->install(weights->weights, weights->base);
    ASSERT_TRUE(version.ok()) << version.status().message();
  }
  Result<std::shared_ptr<const Weights>> base_of(const Weights& edit) const {
    auto folder = open_folder(folder_ / "state/weights");
    if (!folder.ok()) return folder.status();
    return read_base(**folder, edit);
  }
  std::vector<Step> steps() const {
    LogOptions options;
    options.dir = folder_ / "state/log";
    options.read_only = true;
    auto log = Log::open(posix_files(), options);
    EXPECT_TRUE(log.ok()) << log.status().message();
    std::vector<Step> found;
    const auto episodes = (*log)->episodes(1, 1000);
    for (const EpisodeSummary& episode : *episodes) {
      const auto map = SegmentMap::open(posix_files(), episode.path);
      EXPECT_TRUE((*map)
                      ->scan((*map)->first(), episode.bytes, SegmentMap::Check::kCrc,
                             [&](const StepView& step) {
                               found.push_back(*(*map)->decode(step.offset));
                               return true;
                             })
                      .ok());
    }
    return found;
  }

  test::TempFolder folder_;
  std::string notices_;
  std::unique_ptr<Deployment> deployment_;
};

TEST_F(ReferenceTest, AnUntrainedHeadThatEditsActsExactlyAsItsBase) {
  const Config config = edit_config(PolicyReference::kBase);
  open(config, /*learn=*/false);
  make_first_weights();
  const auto edit = deployment_->newest_full_weights();
  ASSERT_TRUE(edit.ok());
  EXPECT_TRUE((*edit)->head().edit);
  const auto base = base_of(**edit);
  ASSERT_TRUE(base.ok()) << base.status().message();
  EXPECT_FALSE((*base)->head().edit);

  const auto seeds = evaluation_seeds(3, 8);
  Config plain = config;
  plain.policy.reference = PolicyReference::kNone;
  const auto alone = evaluate(plain, *base, seeds, 1, {}, nullptr);
  const auto edited = evaluate(deployment_->config(), *edit, seeds, 1, {}, nullptr);
  ASSERT_TRUE(alone.ok()) << alone.status().message();
  ASSERT_TRUE(edited.ok()) << edited.status().message();
  EXPECT_EQ(alone->success, edited->success);
  EXPECT_EQ(alone->steps, edited->steps);
}

TEST_F(ReferenceTest, ABaseThatWasChangedIsNotBooted) {
  Config config = edit_config(PolicyReference::kBase);
  config.learner.base_steps = 20;
  open(config, /*learn=*/false);
  make_first_weights();
  const auto edit = deployment_->newest_full_weights();
  ASSERT_TRUE(edit.ok());
  deployment_.reset();
  {
    std::fstream file(
        folder_ / "state/weights/base-" + (*edit)->lineage().base_hash + ".safetensors",
        std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(file);
    file.seekp(-100, std::ios::end);
    file.put('\x3f');
  }
  const std::size_t before = steps().size();
  notices_.clear();
  open(config, /*learn=*/false);
  EXPECT_NE(notices_.find("the confirmed weights v1 cannot be used"), std::string::npos)
      << notices_;
  EXPECT_NE(notices_.find("the base that they edit"), std::string::npos) << notices_;
  ASSERT_TRUE(deployment_->run_episode(1).ok());
  deployment_.reset();
  const std::vector<Step> all = steps();
  for (std::size_t i = before; i < all.size(); ++i) {
    EXPECT_NE(all[i].source, ControlSource::kPolicy) << "nothing moves it";
  }
}

TEST_F(ReferenceTest, TrainingAnewTouchesNothingUntilItIsInstalled) {
  Config config = edit_config(PolicyReference::kBase);
  config.learner.base_steps = 20;
  open(config, /*learn=*/false);
  make_first_weights();
  const auto edit = deployment_->newest_full_weights();
  ASSERT_TRUE(edit.ok());
  const auto files = [&] {
    std::vector<std::string> names = *(*open_folder(folder_ / "state/weights"))->list();
    const std::vector<std::string> beside = *(*open_folder(folder_ / "state"))->list();
    names.insert(names.end(), beside.begin(), beside.end());
    return names;
  };
  const std::vector<std::string> before = files();
  auto anew = deployment_->train_from_scratch(Material::kWholeLog, {});
  ASSERT_TRUE(anew.ok()) << anew.status().message();
  EXPECT_EQ(files(), before);
  anew->base.resize(anew->base.size() / 2);
  const auto refused = deployment_->install(anew->weights, anew->base);
  EXPECT_EQ(refused.status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(files(), before);
  EXPECT_TRUE(base_of(**edit).ok());
}

TEST_F(ReferenceTest, EveryStepIsRecordedWithItsReferenceWhoeverDrives) {
  open(edit_config(PolicyReference::kPlanner), /*learn=*/false);
  make_first_weights();
  ASSERT_TRUE(deployment_->run_episode(1).ok());
  deployment_.reset();
  std::size_t people = 0, policy = 0;
  for (const Step& step : steps()) {
    EXPECT_EQ(step.reference.size(), 8 * kKitchenActionSize) << step.episode;
    EXPECT_EQ(step.reference_age, 0u);
    people += step.source == ControlSource::kScript ? 1 : 0;
    policy += step.source == ControlSource::kPolicy ? 1 : 0;
  }
  EXPECT_GT(people, 0u);
  EXPECT_GT(policy, 0u);
}

TEST_F(ReferenceTest, CorrectionsTeachTheHeadToEditAPlannerThatMisjudgesTheBlock) {
  Config config = edit_config(PolicyReference::kPlanner);
  config.sim.planner_error = 0.03;
  config.learner.full_steps = 1000;  // as by default: fewer are too few from the first version
  open(config, /*learn=*/true);
  make_first_weights();
  const auto seeds = evaluation_seeds(3, 20);
  const auto untrained = deployment_->newest_full_weights();
  const auto before = evaluate(deployment_->config(), *untrained, seeds, 1, {}, nullptr);
  ASSERT_TRUE(before.ok()) << before.status().message();
  {
    test::LearnerThread learner(deployment_->config(), "ipc://" + (folder_ / "state/run/learner"));
    int corrected = 0;
    for (std::uint64_t seed = 1; seed <= 20 && corrected < 8; ++seed) {
      const auto outcome = deployment_->run_episode(seed);
      ASSERT_TRUE(outcome.ok()) << outcome.status().message();
      corrected += outcome->corrected ? 1 : 0;
    }
    ASSERT_GE(corrected, 1) << "nothing to learn from";
    ASSERT_TRUE(deployment_->settle().ok());
  }
  EXPECT_GT(deployment_->counts().accepted, 1u) << notices_;
  const auto taught = deployment_->newest_full_weights();
  const auto after = evaluate(deployment_->config(), *taught, seeds, 1, {}, nullptr);
  ASSERT_TRUE(after.ok()) << after.status().message();
  EXPECT_GE(after->successes(), before->successes() + 5) << before->successes() << " of 20 before\n"
                                                         << notices_;
}

TEST_F(ReferenceTest, WithoutAnythingToEditThereIsNoChunkUnlessTheHeadMayActAlone) {
  auto robot = KitchenRobot::create({});
  ASSERT_TRUE(robot.ok());
  ASSERT_TRUE((*robot)->reset(1).ok());
  const Observation seen = *(*robot)->observe();
  for (const bool alone : {false, true}) {
    Config config = edit_config(PolicyReference::kBase);  // which comes with weights that name it
    config.policy.act_without_reference = alone;
    auto backbone = make_state_backbone((*robot)->spec().observation);
    auto references = reference_options(config, (*robot)->spec());
    ASSERT_TRUE(references.ok()) << references.status().message();
    Inference inference(*std::move(backbone), 1, *std::move(references));
    SwapSlot<LoadedHead> slot;
    slot.publish(untrained_head((*robot)->spec(), config, 1));
    ASSERT_TRUE(inference.take_from(slot));
    const auto features = inference.encode(seen, "lift");
    const auto reference = inference.reference(seen, "lift", *features, 7);
    ASSERT_TRUE(reference.ok());
    EXPECT_TRUE(reference->actions.empty());
    const auto chunk =
        inference.infer(*features, seen.proprioception, seen.time, reference->actions);
    EXPECT_EQ(chunk.ok(), alone);
    EXPECT_EQ(chunk.status().code(), alone ? Code::kOk : Code::kUnavailable);
  }
}

// Answers each observation with the chunk for the one ten ticks before it.
class LateSource : public ReferenceSource {
 public:
  Result<std::optional<ReferenceChunk>> propose(const Observation&, const std::string&,
                                                const std::vector<float>&,
                                                ControlTick tick) override {
    ++asked;
    ReferenceChunk chunk;
    chunk.rows = 16;
    chunk.action_size = kKitchenActionSize;
    chunk.tick = tick - 10;
    for (std::size_t i = 0; i < 16 * kKitchenActionSize; ++i) {
      chunk.actions.push_back(static_cast<float>(i / kKitchenActionSize) / 16);
    }
    return std::optional(std::move(chunk));
  }
  int asked = 0;
};

TEST_F(ReferenceTest, OneThatComesLateIsLaidWhereItBelongsAndAskedForOnceATick) {
  auto robot = KitchenRobot::create({});
  ASSERT_TRUE(robot.ok());
  ASSERT_TRUE((*robot)->reset(1).ok());
  const Observation seen = *(*robot)->observe();
  auto source = std::make_unique<LateSource>();
  const LateSource& late = *source;
  ReferenceOptions options;
  options.source = std::move(source);
  options.fit = {.rows = 8, .action_size = kKitchenActionSize, .ticks_per_row = 5, .least_rows = 4};
  Inference inference(*make_state_backbone((*robot)->spec().observation), 1, std::move(options));
  SwapSlot<LoadedHead> slot;
  slot.publish(untrained_head((*robot)->spec(), edit_config(PolicyReference::kPlanner), 1));
  ASSERT_TRUE(inference.take_from(slot));
  const auto features = inference.encode(seen, "lift");
  for (int i = 0; i < 3; ++i) {
    const auto reference = inference.reference(seen, "lift", *features, 40);
    ASSERT_TRUE(reference.ok());
    EXPECT_EQ(reference->age, 10u);
    EXPECT_EQ(reference->actions[0], 2.0f / 16) << "two rows have passed";
    const auto chunk =
        inference.infer(*features, seen.proprioception, seen.time, reference->actions);
    ASSERT_TRUE(chunk.ok()) << chunk.status().message();
    EXPECT_EQ(chunk->actions, reference->actions);
  }
  EXPECT_EQ(late.asked, 1);
  (void)inference.reference(seen, "lift", *features, 41);
  EXPECT_EQ(late.asked, 2);
}

// Always the same action, for the tick that asks.
class ConstantSource : public ReferenceSource {
 public:
  explicit ConstantSource(float action) : action_(action) {}
  Result<std::optional<ReferenceChunk>> propose(const Observation&, const std::string&,
                                                const std::vector<float>&,
                                                ControlTick tick) override {
    return std::optional(
        ReferenceChunk{.rows = 8,
                       .action_size = kKitchenActionSize,
                       .actions = std::vector<float>(8 * kKitchenActionSize, action_),
                       .tick = tick});
  }

 private:
  float action_;
};

TEST_F(ReferenceTest, ABaseComesAndGoesWithTheHeadThatEditsIt) {
  auto robot = KitchenRobot::create({});
  ASSERT_TRUE(robot.ok());
  ASSERT_TRUE((*robot)->reset(1).ok());
  const Observation seen = *(*robot)->observe();
  ReferenceOptions options;
  options.source = std::make_unique<ConstantSource>(0.1f);  // for heads that bring none
  options.fit = {.rows = 8, .action_size = kKitchenActionSize, .ticks_per_row = 5, .least_rows = 4};
  Inference inference(*make_state_backbone((*robot)->spec().observation), 1, std::move(options));
  SwapSlot<LoadedHead> slot;
  const auto features = inference.encode(seen, "lift");
  const auto acts_on = [&](std::shared_ptr<ReferenceSource> base) {
    LoadedHead head = untrained_head((*robot)->spec(), edit_config(PolicyReference::kBase), 1);
    head.base = std::move(base);
    slot.publish(std::move(head));
    EXPECT_TRUE(inference.take_from(slot));
    slot.collect();
    // Within one tick: what the base before it proposed is not edited.
    const auto reference = inference.reference(seen, "lift", *features, 40);
    EXPECT_TRUE(reference.ok());
    const auto chunk =
        inference.infer(*features, seen.proprioception, seen.time, reference->actions);
    EXPECT_TRUE(chunk.ok()) << chunk.status().message();
    return chunk.ok() ? chunk->actions.front() : 0;
  };
  EXPECT_EQ(acts_on(std::make_shared<ConstantSource>(0.2f)), 0.2f);
  EXPECT_EQ(acts_on(std::make_shared<ConstantSource>(0.3f)), 0.3f);
  EXPECT_EQ(acts_on(nullptr), 0.1f);
}

// ---- a policy elsewhere ----

constexpr Duration kPeriod = std::chrono::milliseconds(10);
Instant at_tick(int tick) { return Instant(std::chrono::seconds(1)) + tick * kPeriod; }
Observation seen_at(int tick) {
  Observation observation;
  observation.time = at_tick(tick);
  return observation;
}
ReferenceChunk upstream_chunk(float first) {
  return {.rows = 2, .action_size = 1, .actions = {first, first}, .tick = 0};
}

TEST(UpstreamReference, AnObservationWaitsForItsOwnChunk) {
  UpstreamReference source(kPeriod);
  EXPECT_TRUE(source.awaits(seen_at(5)));
  source.offer(upstream_chunk(1), at_tick(0));
  EXPECT_TRUE(source.awaits(seen_at(5)));
  source.offer(upstream_chunk(2), at_tick(5));
  EXPECT_FALSE(source.awaits(seen_at(5)));
  const auto chunk = source.propose(seen_at(5), "", {}, 105);
  ASSERT_TRUE(chunk.ok() && chunk->has_value());
  EXPECT_EQ((**chunk).actions.front(), 2);
  EXPECT_EQ((**chunk).tick, 105u);
}

TEST(UpstreamReference, AStepWithinAChunkIsAnsweredByTheChunksLaterRows) {
  UpstreamReference source(kPeriod);
  source.offer(upstream_chunk(1), at_tick(5));
  EXPECT_EQ((**source.propose(seen_at(5), "", {}, 105)).tick, 105u);
  EXPECT_EQ((**source.propose(seen_at(5), "", {}, 110)).tick, 105u);
}

TEST(UpstreamReference, AnObservationThatGotNoneIsAnsweredByTheOneBefore) {
  UpstreamReference source(kPeriod);
  EXPECT_FALSE(source.propose(seen_at(0), "", {}, 100)->has_value());
  source.offer(upstream_chunk(1), at_tick(2));
  source.offer(upstream_chunk(3), at_tick(9));
  EXPECT_FALSE(source.awaits(seen_at(5)));
  const auto chunk = source.propose(seen_at(5), "", {}, 106);
  ASSERT_TRUE(chunk.ok() && chunk->has_value());
  EXPECT_EQ((**chunk).actions.front(), 1) << "and not by the one after it";
  EXPECT_EQ((**chunk).tick, 103u);
}

TEST(UpstreamReference, BelongsToARobotOfTheOpenpiPort) {
  Config config;
  config.policy.reference = PolicyReference::kUpstream;
  auto robot = KitchenRobot::create({});
  ASSERT_TRUE(robot.ok());
  const auto backbone = make_state_backbone((*robot)->spec().observation);
  EXPECT_FALSE(reference_options(config, (*robot)->spec()).ok());
  config.robot.driver = RobotDriver::kOpenpi;
  const auto options = reference_options(config, (*robot)->spec());
  ASSERT_TRUE(options.ok());
  EXPECT_NE(options->source, nullptr);
}

}  // namespace
}  // namespace nudge
