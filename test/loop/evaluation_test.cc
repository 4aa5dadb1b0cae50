#include "src/loop/evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "policy/trainer.h"
#include "src/learning/settings.h"
#include "src/loop/perception.h"
#include "src/sim/demonstrator.h"

namespace nudge {
namespace {

Config quick_config() {
  Config config;
  config.policy.hidden = 64;
  config.policy.layers = 2;
  config.learner.base_steps = 400;
  return config;
}

// A policy that has seen a few demonstrations: sometimes it succeeds.
std::shared_ptr<const Weights> some_policy(const Config& config) {
  use_one_torch_thread();
  auto robot = KitchenRobot::create(kitchen_options(config));
  EXPECT_TRUE(robot.ok()) << robot.status().message();
  auto backbone = make_backbone(config, (*robot)->spec().observation);
  EXPECT_TRUE(backbone.ok());
  const HeadSpec spec = head_spec(config, policy_shape(config, (*robot)->spec(), **backbone));
  Batch all;
  all.feature_size = spec.feature_size;
  all.proprioception_size = spec.proprioception_size;
  all.action_size = spec.action_size;
  all.horizon = spec.horizon;
  std::vector<Action> actions;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const std::size_t first = all.size;
    actions.clear();
    const auto done =
        demonstrate(**robot, seed, {}, [&](const Observation& observation, const Action& action) {
          const auto features = (*backbone)->encode(observation, kKitchenInstruction);
          if (!features.ok()) return features.status();
          all.features.insert(all.features.end(), features->begin(), features->end());
          all.proprioception.insert(all.proprioception.end(), observation.proprioception.begin(),
                                    observation.proprioception.end());
          actions.push_back(action);
          ++all.size;
          return Status{};
        });
    EXPECT_TRUE(done.ok()) << done.status().message();
    for (std::size_t i = first; i < all.size; ++i) {
      for (std::size_t h = 0; h < spec.horizon; ++h) {
        const std::size_t at = i - first + h;
        const Action& action = actions[std::min(at, actions.size() - 1)];
        all.actions.insert(all.actions.end(), action.begin(), action.end());
        all.mask.push_back(at < actions.size() ? 1.0f : 0.0f);
      }
      all.weight.push_back(1);
      all.advantage.push_back(Advantage::kPositive);
      all.cluster.push_back(seed);
    }
  }
  Lineage lineage;
  lineage.backbone_hash = (*backbone)->hash();
  const auto fresh = initial_weights(spec, all, 1, lineage);
  EXPECT_TRUE(fresh.ok()) << fresh.status().message();
  auto trainer = Trainer::create(*Weights::parse(*fresh), nullptr, base_trainer_options(config));
  EXPECT_TRUE(trainer.ok()) << trainer.status().message();
  for (int i = 0; i < config.learner.base_steps; ++i) {
    const Status status = (*trainer)->step(all);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  return *Weights::parse(*(*trainer)->weights(lineage));
}

class EvaluationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { policy_ = some_policy(quick_config()); }
  static void TearDownTestSuite() { policy_ = nullptr; }

  static EvaluationResult run(const std::vector<std::uint64_t>& seeds, unsigned threads) {
    const auto result = evaluate(quick_config(), policy_, seeds, threads);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return *result;
  }
  static std::shared_ptr<const Weights> policy_;
};
std::shared_ptr<const Weights> EvaluationTest::policy_;

TEST_F(EvaluationTest, EqualSeedsGiveEqualResults) {
  const auto seeds = evaluation_seeds(3, 12);
  const EvaluationResult first = run(seeds, 1);
  const EvaluationResult second = run(seeds, 1);
  EXPECT_EQ(first.success, second.success);
  EXPECT_EQ(first.steps, second.steps);
}

TEST_F(EvaluationTest, TheNumberOfThreadsChangesNothing) {
  const auto seeds = evaluation_seeds(3, 40);
  const EvaluationResult one = run(seeds, 1);
  const EvaluationResult three = run(seeds, 3);
  EXPECT_GT(one.successes(), 0u) << "nothing to compare";
  EXPECT_LT(one.successes(), seeds.size()) << "nothing to compare";
  EXPECT_EQ(one.success, three.success);
  EXPECT_EQ(one.steps, three.steps);
}

TEST_F(EvaluationTest, AnEpisodeDoesNotDependOnTheOnesBeforeIt) {
  const auto seeds = evaluation_seeds(3, 8);
  const EvaluationResult together = run(seeds, 1);
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    const EvaluationResult alone = run({seeds[i]}, 1);
    EXPECT_EQ(alone.success[0], together.success[i]) << i;
    EXPECT_EQ(alone.steps[0], together.steps[i]) << i;
  }
}

TEST_F(EvaluationTest, CountsSuccessesAndTellsHowFarItIs) {
  const auto seeds = evaluation_seeds(4, 3);
  std::vector<std::size_t> told;
  const auto result =
      evaluate(quick_config(), policy_, seeds, 2, [&](std::size_t done) { told.push_back(done); });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(told, (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_EQ(result->success.size(), 3u);
  for (const std::uint32_t steps : result->steps) {
    EXPECT_GE(steps, 1u);
    EXPECT_LE(steps, kKitchenEpisodeSteps + 5) << "more than changes of control can cut";
  }
}

TEST_F(EvaluationTest, StartsAreDifferentAndFixedByTheSeed) {
  const auto seeds = evaluation_seeds(5, 100);
  EXPECT_EQ(seeds, evaluation_seeds(5, 100));
  EXPECT_EQ(std::set<std::uint64_t>(seeds.begin(), seeds.end()).size(), 100u);
  EXPECT_NE(seeds, evaluation_seeds(6, 100));
}

TEST_F(EvaluationTest, KeepingTracesChangesNoEpisode) {
  const auto seeds = evaluation_seeds(3, 8);
  std::vector<HelpTrace> traces;
  const auto traced = evaluate(quick_config(), policy_, seeds, 2, {}, &traces);
  ASSERT_TRUE(traced.ok()) << traced.status().message();
  const EvaluationResult plain = run(seeds, 1);
  EXPECT_EQ(traced->success, plain.success);
  EXPECT_EQ(traced->steps, plain.steps);
  ASSERT_EQ(traces.size(), seeds.size());
  for (std::size_t i = 0; i < traces.size(); ++i) {
    EXPECT_EQ(traces[i].success, plain.success[i]);
    const auto count = [&](HelpTrace::What what) {
      return std::count_if(traces[i].entries.begin(), traces[i].entries.end(),
                           [&](const HelpTrace::Entry& entry) { return entry.what == what; });
    };
    EXPECT_GT(count(HelpTrace::What::kDisagreement), 2);
    EXPECT_GE(count(HelpTrace::What::kStep) + 3, plain.steps[i]);
  }
}

TEST_F(EvaluationTest, WhatIsSaidInsteadReachesThePolicyAndTheTaskStays) {
  Config config = quick_config();
  config.policy.instruction_size = 4;
  config.words.encoder = "none";
  const std::shared_ptr<const Weights> policy = some_policy(config);
  const auto seeds = evaluation_seeds(4, 3);
  const auto steps = [&](const SaidInstead& said) {
    const auto result = evaluate(config, policy, seeds, 1, {}, nullptr, said);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return result.ok() ? result->steps : std::vector<std::uint32_t>{};
  };
  EXPECT_EQ(steps({{kKitchenInstruction, kKitchenInstruction}}), steps({}));
  EXPECT_EQ(steps({{"wash up", "lift it"}}), steps({}));
  // Other numbers behind the eyes: another policy as far as anybody can see.
  EXPECT_NE(steps({{kKitchenInstruction, "grab that thing over there please"}}), steps({}));
}

TEST_F(EvaluationTest, RefusesWeightsOfAnotherBackbone) {
  Lineage lineage = policy_->lineage();
  lineage.backbone_hash = std::string(64, 'e');
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, shape] : tensors_of(policy_->head())) {
    std::size_t size = 1;
    for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
    tensors[name].assign(size, 1.0f);
  }
  const auto bytes = write_weights(policy_->head(), lineage, tensors);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  const auto result = evaluate(quick_config(), *Weights::parse(*bytes), {1}, 1);
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
