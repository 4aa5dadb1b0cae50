#include "src/daemon/inference_thread.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/loop/reference_sources.h"
#include "src/sim/kitchen_robot.h"
#include "test/support/altered_weights.h"
#include "test/support/untrained_head.h"

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

struct Asked {
  std::vector<ActionChunk> chunks;
  std::vector<ComputedDoubt> doubts;
};

// Asks a thread of its own for three chunks, one after the other.
Asked ask(const DoubtOptions& doubt) {
  use_one_torch_thread();
  Config config;
  config.policy.hidden = 32;
  auto robot = KitchenRobot::create({});
  EXPECT_TRUE(robot.ok() && (*robot)->reset(3).ok());
  const Observation seen = *(*robot)->observe();
  Links links;
  links.heads.publish(untrained_head((*robot)->spec(), config, 1));
  InferenceThread thread(
      std::make_unique<Inference>(*make_state_backbone((*robot)->spec().observation), 7), links,
      [](const std::string& message) { ADD_FAILURE() << message; }, doubt);
  thread.start();
  while (links.loaded == 0) std::this_thread::yield();
  Asked asked;
  for (int i = 0; i < 3; ++i) {
    InferenceRequest request;
    request.observation = seen;
    request.chunk = true;
    EXPECT_TRUE(links.requests.try_push(std::move(request)));
    if (auto chunk = links.chunks.take(kPatience)) asked.chunks.push_back(std::move(chunk->chunk));
    if (doubt.samples == 0) continue;
    if (auto doubtful = links.doubts.take(kPatience)) asked.doubts.push_back(*doubtful);
  }
  thread.stop();
  if (doubt.samples == 0) {
    EXPECT_FALSE(links.doubts.try_take().has_value());
  }
  return asked;
}

TEST(InferenceThread, TellsHowSureThePolicyIsAndItsChunksStayTheSameToTheByte) {
  const Asked plain = ask({}), doubtful = ask({.samples = 8, .rows = 4});
  ASSERT_EQ(plain.chunks.size(), 3u);
  ASSERT_EQ(doubtful.chunks.size(), 3u);
  ASSERT_EQ(doubtful.doubts.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(plain.chunks[i].actions, doubtful.chunks[i].actions) << i;
    EXPECT_GT(doubtful.doubts[i].disagreement, 0);
    EXPECT_EQ(doubtful.doubts[i].observed, doubtful.chunks[i].observed);
  }
}

TEST(InferenceThread, APictureThatHasNotComeYetIsWaitedForAndIsNoTrouble) {
  use_one_torch_thread();
  Config config;
  config.policy.hidden = 32;
  config.policy.backbone = "kitchen";
  auto robot = KitchenRobot::create({.cameras = true});
  ASSERT_TRUE(robot.ok() && (*robot)->reset(3).ok());
  Observation seen = *(*robot)->observe();
  seen.images.clear();
  Links links;
  links.heads.publish(untrained_head((*robot)->spec(), config, 1));
  std::vector<std::string> told;
  InferenceThread thread(
      std::make_unique<Inference>(*make_backbone(config, (*robot)->spec().observation), 7), links,
      [&told](const std::string& message) { told.push_back(message); });
  thread.start();
  while (links.loaded == 0) std::this_thread::yield();
  const auto ask = [&](std::uint32_t step) {
    InferenceRequest request;
    request.observation = seen;
    request.episode = 1;
    request.step = step;
    request.chunk = true;
    EXPECT_TRUE(links.requests.try_push(std::move(request)));
  };
  const auto recorded = [&] {
    std::vector<WriterItem> items;
    EXPECT_TRUE(links.writer.take_all(items, kPatience));
    return std::get<StepFeatures>(items.at(0));
  };
  ask(0);
  EXPECT_TRUE(recorded().features.empty());
  EXPECT_FALSE(links.chunks.try_take().has_value());
  seen.images = *(*robot)->pictures();
  ask(1);
  EXPECT_FALSE(recorded().features.empty());
  EXPECT_TRUE(links.chunks.take(kPatience).has_value());
  seen.images.front().jpeg = {1, 2, 3};  // a picture that is none is trouble
  ask(2);
  EXPECT_TRUE(recorded().features.empty());
  thread.stop();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("camera"), std::string::npos) << told[0];
}

TEST(InferenceThread, LooksAtNoSamplesWhileThePolicyMayNotAsk) {
  Config config;
  EXPECT_EQ(doubt_options(config).samples, 8u);
  config.help.ask = false;
  EXPECT_EQ(doubt_options(config).samples, 0u);
}

// ---- a policy elsewhere ----

// Where edits go back to.
class FarProgram final : public AskingRobot {
 public:
  explicit FarProgram(RobotSpec spec) : spec_(std::move(spec)) {}
  const RobotSpec& spec() const override { return spec_; }
  Status reset(std::uint64_t) override { return {}; }
  Result<Observation> observe() override { return unavailable("it is far away"); }
  Status apply(const Action&, Instant) override { return {}; }
  void hold() override {}
  void estop() override {}
  Status reset_estop() override { return {}; }
  bool policy_elsewhere() const override { return true; }
  AskingNews take_news() override { return {}; }
  Instant newest() const override { return {}; }
  void plan(const ActionChunk&) override {}
  void decided(TickVerdict) override {}
  void edited(const ActionChunk& chunk) override { edits.put(chunk); }

  Latest<ActionChunk> edits;

 private:
  RobotSpec spec_;
};

class UpstreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_one_torch_thread();
    config_.policy.hidden = 32;
    config_.policy.reference = PolicyReference::kUpstream;
    config_.robot.driver = RobotDriver::kOpenpi;
    auto robot = KitchenRobot::create({});
    ASSERT_TRUE(robot.ok() && (*robot)->reset(3).ok());
    seen_ = *(*robot)->observe();
    far_.emplace((*robot)->spec());
    auto backbone = make_state_backbone(far_->spec().observation);
    auto references = reference_options(config_, far_->spec());
    ASSERT_TRUE(references.ok());
    thread_.emplace(
        std::make_unique<Inference>(*std::move(backbone), 7, *std::move(references)), links_,
        [](const std::string& message) { ADD_FAILURE() << message; }, DoubtOptions{}, &*far_);
  }
  void TearDown() override { thread_->stop(); }

  ActionChunk upstream_chunk() const {
    ActionChunk chunk;
    chunk.horizon = static_cast<std::size_t>(config_.policy.horizon);
    chunk.action_size = far_->spec().action.size();
    chunk.actions.assign(chunk.horizon * chunk.action_size, 0.25f);
    chunk.observed = seen_.time;
    return chunk;
  }
  void offer(bool waits = false) {
    ASSERT_TRUE(thread_->take(
        {.observation = seen_, .instruction = "", .chunk = upstream_chunk(), .waits = waits}));
  }
  // Of the step that begins with what is seen.
  std::optional<StepFeatures> recorded(Duration patience) {
    std::vector<WriterItem> items;
    if (!links_.writer.take_all(items, patience)) return std::nullopt;
    return std::move(std::get<StepFeatures>(items.front()));
  }
  void begin_step(std::uint32_t step) {
    InferenceRequest request;
    request.observation = seen_;
    request.step = step;
    request.episode = 1;
    request.tick = 100 + step;
    ASSERT_TRUE(links_.requests.try_push(std::move(request)));
  }

  Config config_;
  Observation seen_;
  std::optional<FarProgram> far_;
  Links links_;
  std::optional<InferenceThread> thread_;
};

TEST_F(UpstreamTest, WithoutWeightsNothingIsEdited) {
  thread_->start();
  EXPECT_FALSE(thread_->edits());
  offer();
  begin_step(0);
  EXPECT_TRUE(recorded(kPatience).has_value());  // behind it
  EXPECT_FALSE(far_->edits.try_take().has_value());
  EXPECT_FALSE(links_.chunks.try_take().has_value());
}

TEST_F(UpstreamTest, WhatTheHeadMakesOfAChunkGoesBackAndToTheStepThread) {
  links_.heads.publish(untrained_head(far_->spec(), config_, 3));
  thread_->start();
  while (!thread_->edits()) std::this_thread::yield();
  offer(/*waits=*/true);
  const auto edited = far_->edits.take(kPatience);
  ASSERT_TRUE(edited.has_value());
  EXPECT_EQ(edited->version, 3u);
  EXPECT_EQ(edited->observed, seen_.time);
  EXPECT_EQ(edited->actions, upstream_chunk().actions) << "an untrained edit is none";
  const auto taken = links_.chunks.take(kPatience);
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->chunk.actions, edited->actions);
}

TEST_F(UpstreamTest, AChunkComesBackAsItWasWhenWeightsHaveGoneOutOfUse) {
  thread_->start();
  offer(/*waits=*/true);
  const auto back = far_->edits.take(kPatience);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->version, 0u);
  EXPECT_EQ(back->actions, upstream_chunk().actions);
}

TEST_F(UpstreamTest, AnEditThatIsNotFiniteIsTheStepThreadsAloneAndNeverTheRobots) {
  const LoadedHead good = untrained_head(far_->spec(), config_, 3);
  const Weights& weights = good.head->weights();
  auto broken =
      Weights::parse(test::altered_weights(weights, weights.lineage(), [&](test::Tensors& tensors) {
        tensors[test::output_layer(weights) + ".bias"][0] = std::nanf("");
      }));
  ASSERT_TRUE(broken.ok());
  auto head = ActionHead::load(*broken);
  ASSERT_TRUE(head.ok());
  links_.heads.publish({.version = 4, .head = std::shared_ptr<ActionHead>(*std::move(head))});
  thread_->start();
  while (!thread_->edits()) std::this_thread::yield();
  offer(/*waits=*/true);
  const auto taken = links_.chunks.take(kPatience);
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->chunk.version, 4u);
  EXPECT_FALSE(far_->edits.try_take().has_value());
}

TEST_F(UpstreamTest, AHeadOfAnotherShapeOrKindEditsNothing) {
  Config longer = config_, other_kind = config_;
  longer.policy.horizon = config_.policy.horizon + 1;
  other_kind.policy.reference = PolicyReference::kNone;
  WeightsVersion version = 3;
  std::vector<std::string> told;
  auto backbone = make_state_backbone(far_->spec().observation);
  auto references = reference_options(config_, far_->spec());
  ASSERT_TRUE(references.ok());
  thread_.emplace(
      std::make_unique<Inference>(*std::move(backbone), 7, *std::move(references)), links_,
      [&told](const std::string& message) { told.push_back(message); }, DoubtOptions{}, &*far_);
  for (const Config& config : {longer, other_kind}) {
    links_.heads.publish(untrained_head(far_->spec(), config, ++version));
    thread_->start();
    while (links_.loaded != version) std::this_thread::yield();
    offer(/*waits=*/true);
    begin_step(0);
    EXPECT_TRUE(recorded(kPatience).has_value());  // behind it
    thread_->stop();
    EXPECT_FALSE(far_->edits.try_take().has_value());
    EXPECT_FALSE(links_.chunks.try_take().has_value());
    ASSERT_FALSE(told.empty());
    EXPECT_NE(told.back().find("v" + std::to_string(version) + " do not edit"), std::string::npos)
        << told.back();
  }
}

TEST_F(UpstreamTest, AStepThatAnActWaitsForIsRecordedAtOnceAndThoseBehindItWaitOn) {
  thread_->start();
  begin_step(0);
  begin_step(1);
  begin_step(2);
  EXPECT_FALSE(recorded(std::chrono::milliseconds(50)).has_value()) << "they wait";
  InferenceRequest request;
  request.needed = FinishedStep{.episode = 1, .step = 0};
  ASSERT_TRUE(links_.requests.try_push(std::move(request)));
  const auto first = recorded(kPatience);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->step, 0u);
  EXPECT_FALSE(first->features.empty());
  EXPECT_TRUE(first->reference.actions.empty()) << "it had not come";
  offer();
  const auto second = recorded(kPatience);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->step, 1u);
  EXPECT_EQ(second->reference.actions, upstream_chunk().actions);
}

TEST_F(UpstreamTest, AStepIsRecordedWithTheChunkThatComesLater) {
  thread_->start();
  begin_step(0);
  EXPECT_FALSE(recorded(std::chrono::milliseconds(50)).has_value()) << "it waits";
  offer();
  const auto step = recorded(kPatience);
  ASSERT_TRUE(step.has_value());
  EXPECT_FALSE(step->features.empty());
  EXPECT_EQ(step->reference.actions, upstream_chunk().actions);
  EXPECT_EQ(step->reference.age, 0u);
}

TEST_F(UpstreamTest, AStepWhoseChunkNeverComesIsRecordedWithoutOne) {
  thread_->start();
  begin_step(0);
  const auto step = recorded(kPatience);
  ASSERT_TRUE(step.has_value());
  EXPECT_FALSE(step->features.empty());
  EXPECT_TRUE(step->reference.actions.empty());
}

}  // namespace
}  // namespace nudge
