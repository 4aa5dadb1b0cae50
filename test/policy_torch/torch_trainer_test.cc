#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "test/policy_torch/small_head.h"

namespace nudge {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::byte> bytes_of_a_round(std::uint64_t seed) {
  use_one_torch_thread();
  TrainerOptions options = TrainerOptions::full();
  options.seed = seed;
  const auto start = fresh(small_spec());
  auto trainer = Trainer::create(start, nullptr, options);
  for (std::uint64_t i = 0; i < 20; ++i) {
    EXPECT_TRUE((*trainer)->step(small_batch(32, i)).ok());
  }
  return *(*trainer)->weights(child_of(*start));
}

TEST(Trainer, GivesEqualBytesForEqualInputs) {
  EXPECT_EQ(bytes_of_a_round(7), bytes_of_a_round(7));
  EXPECT_NE(bytes_of_a_round(7), bytes_of_a_round(8));
}

TEST(Trainer, LearnsWhatTheFlowHeadThenSamples) {
  const auto start = fresh(small_spec());
  const Batch unseen = small_batch(128, 5000);
  const double before = sampled_error(start, unseen);
  const double after = sampled_error(trained(start, 1500), unseen);
  EXPECT_LT(after, 0.25 * before);
  EXPECT_LT(after, 0.08);  // actions span about 1.4
}

TEST(Trainer, LearnsWhatTheRegressionHeadThenSays) {
  const auto start = fresh(small_spec(HeadKind::kRegression));
  const Batch unseen = small_batch(128, 5000);
  EXPECT_LT(sampled_error(trained(start, 800), unseen), 0.25 * sampled_error(start, unseen));
}

TEST(Trainer, TellsGoodFromBadByTheAdvantageToken) {
  // The same observations twice: good actions marked positive, their opposites marked negative.
  const auto start = fresh(small_spec());
  auto trainer = Trainer::create(start, nullptr, TrainerOptions::base());
  ASSERT_TRUE(trainer.ok());
  for (std::uint64_t i = 0; i < 1000; ++i) {
    Batch b = small_batch(64, i);
    for (std::size_t r = 0; r < b.size; r += 2) {
      b.advantage[r] = Advantage::kNegative;
      for (std::size_t k = 0; k < 8; ++k) b.actions[r * 8 + k] *= -1;
    }
    ASSERT_TRUE((*trainer)->step(b).ok());
  }
  const auto weights = parsed((*trainer)->weights({}));
  Batch asked = small_batch(128, 5000);
  const double positive = sampled_error(weights, asked);
  asked.advantage.assign(asked.size, Advantage::kNegative);
  const double negative = sampled_error(weights, asked);
  EXPECT_LT(3 * positive, negative);
}

TEST(Trainer, FollowsTheReferenceChunkWhenThereIsOne) {
  const auto start = fresh(small_spec(HeadKind::kFlow, true));
  TrainerOptions options = TrainerOptions::base();
  options.reference_dropout = 0.3;
  auto trainer = Trainer::create(start, nullptr, options);
  ASSERT_TRUE(trainer.ok());
  // Actions that nothing but the reference tells.
  const auto riddle = [](std::uint64_t seed) {
    Batch b = small_batch(64, seed);
    Random random(Random::derive(seed, 1));
    for (auto& a : b.actions) a = static_cast<float>(random.uniform(-0.5, 0.5));
    return b;
  };
  for (std::uint64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE((*trainer)->step(with_reference(riddle(i))).ok());
  }
  auto head = ActionHead::load(parsed((*trainer)->weights({})));
  const Batch b = riddle(5000);
  const auto noise = normal_noise(b.actions.size(), 3);
  const auto error = [&](std::span<const float> reference) {
    HeadBatch in = conditions_of(b);
    in.reference = reference;
    std::vector<float> chunks(noise.size());
    EXPECT_TRUE((*head)->sample(in, noise, chunks).ok());
    double sum = 0;
    for (std::size_t i = 0; i < chunks.size(); ++i) sum += std::abs(chunks[i] - b.actions[i]);
    return sum / static_cast<double>(chunks.size());
  };
  EXPECT_LT(error(b.actions), 0.6 * error({}));
}

// Mean absolute error of what `weights` make of `b`, with its references or without.
double edited_error(const std::shared_ptr<const Weights>& weights, const Batch& b) {
  auto head = ActionHead::load(weights);
  EXPECT_TRUE(head.ok());
  std::vector<float> chunks(b.actions.size());
  EXPECT_TRUE((*head)->sample(conditions_of(b), normal_noise(chunks.size(), 3), chunks).ok());
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (b.mask[i / b.action_size] == 0) continue;
    sum += std::abs(chunks[i] - b.actions[i]);
    ++count;
  }
  return sum / count;
}

TEST(Trainer, LearnsTheEditThatAReferenceNeeds) {
  const auto start = fresh(edit_spec());
  auto trainer = Trainer::create(start, nullptr, TrainerOptions::base());
  ASSERT_TRUE(trainer.ok());
  for (std::uint64_t i = 0; i < 400; ++i) {
    ASSERT_TRUE((*trainer)->step(with_reference(small_batch(64, i), 0.3F)).ok());
  }
  const auto after = parsed((*trainer)->weights({}));
  const Batch unseen = with_reference(small_batch(128, 5000), 0.3F);
  EXPECT_NEAR(edited_error(start, unseen), 0.3, 1e-5);
  EXPECT_LT(edited_error(after, unseen), 0.1);
}

TEST(Trainer, TeachesAHeadThatEditsToActAloneByReferenceDropout) {
  const auto alone_after = [](double dropout) {
    TrainerOptions options = TrainerOptions::base();
    options.reference_dropout = dropout;
    auto trainer = Trainer::create(fresh(edit_spec()), nullptr, options);
    for (std::uint64_t i = 0; i < 600; ++i) {
      EXPECT_TRUE((*trainer)->step(with_reference(small_batch(64, i), 0.3F)).ok());
    }
    return edited_error(parsed((*trainer)->weights({})), small_batch(128, 5000));
  };
  const double untrained = edited_error(fresh(edit_spec()), small_batch(128, 5000));
  EXPECT_LT(alone_after(0.5), 0.5 * untrained);
  EXPECT_GT(alone_after(0), alone_after(0.5));
}

TEST(Trainer, AFirstRoundOfAHeadThatEditsStaysWithinTheGatesBounds) {
  const auto start = fresh(edit_spec());
  auto trainer = Trainer::create(start, start, TrainerOptions::full());
  ASSERT_TRUE(trainer.ok());
  for (std::uint64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE((*trainer)->step(with_reference(small_batch(64, i), 0.3F)).ok());
  }
  const auto after = parsed((*trainer)->weights(child_of(*start)));
  auto gate = Gate::create({});
  ASSERT_TRUE(gate.ok());
  GateContext context;
  context.reference = start;
  context.parents = {start};
  context.head = start->head();
  const auto report = (*gate)->check(after, context);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->accepted) << report->reason << ": " << report->detail;
}

TEST(Trainer, AddsNoiseToWhatIsSeenOnlyWhenAskedTo) {
  const auto loss = [](double noise) {
    TrainerOptions options = TrainerOptions::full();
    options.feature_noise = noise;
    auto trainer = Trainer::create(fresh(small_spec()), nullptr, options);
    EXPECT_TRUE((*trainer)->step(small_batch(32, 1)).ok());
    return (*trainer)->last_loss();
  };
  EXPECT_EQ(loss(0), loss(0));
  EXPECT_NE(loss(0), loss(0.1));
  EXPECT_EQ(loss(0.1), loss(0.1));
}

TEST(Trainer, IgnoresActionsPastTheEndOfAWindow) {
  const auto round = [](float past) {
    auto trainer = Trainer::create(fresh(small_spec()), nullptr, TrainerOptions::full());
    Batch b = small_batch(32, 1);
    for (std::size_t i = 0; i < b.mask.size(); ++i) {
      if (b.mask[i] == 0) b.actions[2 * i] = b.actions[2 * i + 1] = past;
    }
    EXPECT_TRUE((*trainer)->step(b).ok());
    return *(*trainer)->weights({});
  };
  EXPECT_EQ(round(0), round(1e6F));
  EXPECT_EQ(round(0), round(kNan));
}

TEST(Trainer, IgnoresRowsWithoutWeight) {
  const auto round = [](float other) {
    auto trainer = Trainer::create(fresh(small_spec()), nullptr, TrainerOptions::full());
    Batch b = small_batch(32, 1);
    b.weight[3] = 0;
    for (std::size_t i = 0; i < 8; ++i) b.actions[3 * 8 + i] = other;
    EXPECT_TRUE((*trainer)->step(b).ok());
    return (*trainer)->last_loss();
  };
  EXPECT_EQ(round(0), round(5));
}

TEST(Trainer, LeavesNormalisersAndFrequenciesAsTheyWere) {
  const auto start = fresh(small_spec());
  const auto after = trained(start, 10);
  for (const auto& [name, view] : start->file().tensors()) {
    const bool same = values_of(*start, name) == values_of(*after, name);
    EXPECT_EQ(same, name.starts_with("norm.") || name == "time_frequencies") << name;
  }
}

TEST(Trainer, StaysWithinTheAllowedDistanceToTheConfirmedWeights) {
  TrainerOptions options = TrainerOptions::full();
  options.learning_rate = 0.05;
  options.max_relative_distance = 0.1;
  const auto start = fresh(small_spec());
  auto trainer = Trainer::create(start, nullptr, options);
  ASSERT_TRUE(trainer.ok());
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE((*trainer)->step(small_batch(32, i)).ok());
  EXPECT_NEAR((*trainer)->relative_distance(), 0.1, 1e-6);
}

TEST(Trainer, IsPulledTowardsTheConfirmedWeights) {
  const auto distance = [](double proximal) {
    TrainerOptions options = TrainerOptions::full();
    options.learning_rate = 1e-3;
    options.proximal = proximal;
    auto trainer = Trainer::create(fresh(small_spec()), nullptr, options);
    for (std::uint64_t i = 0; i < 200; ++i) {
      EXPECT_TRUE((*trainer)->step(small_batch(32, i)).ok());
    }
    return (*trainer)->relative_distance();
  };
  EXPECT_LT(distance(50), 0.8 * distance(0));
}

TEST(Trainer, SurvivesABatchThatIsNotANumberUnchanged) {
  const auto start = fresh(small_spec());
  auto trainer = Trainer::create(start, nullptr, TrainerOptions::full());
  ASSERT_TRUE(trainer.ok());
  ASSERT_TRUE((*trainer)->step(small_batch(32, 1)).ok());
  const auto before = *(*trainer)->weights({});
  Batch bad = small_batch(32, 2);
  bad.features[7] = kNan;
  EXPECT_EQ((*trainer)->step(bad).code(), Code::kFailedPrecondition);
  EXPECT_EQ(*(*trainer)->weights({}), before);
  EXPECT_EQ((*trainer)->steps(), 1U);
}

TEST(Trainer, RefusesBatchesAndOptionsThatCannotBeMeant) {
  const auto start = fresh(small_spec());
  auto trainer = Trainer::create(start, nullptr, TrainerOptions::full());
  ASSERT_TRUE(trainer.ok());
  Batch wrong = small_batch(8, 1);
  wrong.weight.pop_back();
  EXPECT_EQ((*trainer)->step(wrong).code(), Code::kInvalidArgument);
  Batch nothing = small_batch(8, 1);
  nothing.weight.assign(8, 0);
  EXPECT_EQ((*trainer)->step(nothing).code(), Code::kInvalidArgument);
  Batch odd = small_batch(8, 1);
  odd.reference = std::vector<float>(3);
  EXPECT_EQ((*trainer)->step(odd).code(), Code::kInvalidArgument);

  TrainerOptions options;
  options.learning_rate = -1;
  EXPECT_EQ(Trainer::create(start, nullptr, options).status().code(), Code::kInvalidArgument);
  HeadSpec other = small_spec();
  other.hidden = 16;
  EXPECT_EQ(Trainer::create(start, fresh(other), {}).status().code(), Code::kInvalidArgument);
}

TEST(Trainer, WritesItsStepsAndSeedIntoTheLineage) {
  const auto start = fresh(small_spec());
  TrainerOptions options;
  options.seed = 42;
  const auto after = trained(start, 3, 0, options);
  EXPECT_EQ(after->lineage().steps, 3U);
  EXPECT_EQ(after->lineage().seed, 42U);
  EXPECT_EQ(after->lineage().parent_hash, to_hex(start->hash()));
}

TEST(InitialWeights, MeasureTheirNormalisersOnTheData) {
  Batch data = small_batch(512, 1);
  for (std::size_t r = 0; r < data.size; ++r) data.features[3 * r + 2] = 5;  // never moves
  const auto weights = parsed(initial_weights(small_spec(), data, 1, {}));
  const auto mean = values_of(*weights, "norm.feature.mean");
  const auto scale = values_of(*weights, "norm.feature.scale");
  EXPECT_NEAR(mean[0], 2, 0.1);
  EXPECT_NEAR(scale[0], 2 / std::sqrt(12.0), 0.05);  // uniform over [1, 3]
  EXPECT_FLOAT_EQ(mean[2], 5);
  EXPECT_GT(scale[2], 0.5);  // as its neighbours, not as its own noise
  EXPECT_TRUE(weights->lineage().parent_hash.empty());
}

TEST(InitialWeights, RefuseDataThatIsNotFinite) {
  Batch data = small_batch(16, 1);
  data.proprioception[3] = kNan;
  EXPECT_EQ(initial_weights(small_spec(), data, 1, {}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
