#include "policy/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "nudge/random.h"
#include "policy/trainer.h"

namespace nudge {
namespace {

constexpr std::size_t kF = 3, kP = 2;

ValueSpec spec() { return {.feature_size = kF, .proprioception_size = kP, .hidden = 32}; }

// Success is where the first feature is above 0; the second says how far along an episode is, from
// 0 to 1. The others say nothing.
float return_of(float side, float along) { return -0.5f * (1 - along) - (side > 0 ? 0.0f : 0.5f); }

ValueBatch rows(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  ValueBatch batch;
  for (std::size_t r = 0; r < count; ++r) {
    const auto side = static_cast<float>(random.uniform(-1, 1));
    const auto along = static_cast<float>(random.uniform());
    batch.features.insert(batch.features.end(), {side, along, static_cast<float>(random.normal())});
    batch.proprioception.push_back(static_cast<float>(random.uniform()));
    batch.proprioception.push_back(7);  // never moves
    batch.returns.push_back(return_of(side, along));
  }
  return batch;
}

std::vector<std::byte> trained(std::uint64_t seed, int steps = 300) {
  use_one_torch_thread();
  auto trainer = ValueTrainer::create(spec(), rows(512, 1), {.seed = seed});
  EXPECT_TRUE(trainer.ok()) << trainer.status().message();
  for (int i = 0; i < steps; ++i) {
    const Status status = (*trainer)->step(rows(128, 100 + static_cast<std::uint64_t>(i)));
    EXPECT_TRUE(status.ok()) << status.message();
  }
  auto bytes = (*trainer)->bytes();
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return *std::move(bytes);
}

std::vector<float> values_of(const ValueFunction& function, const ValueBatch& batch) {
  std::vector<float> values(batch.returns.size());
  const Status status = function.evaluate(batch.features, batch.proprioception, values);
  EXPECT_TRUE(status.ok()) << status.message();
  return values;
}

TEST(ValueFunction, LearnsAReturnThatIsPlainToSee) {
  const auto function = ValueFunction::load(trained(1));
  ASSERT_TRUE(function.ok()) << function.status().message();
  const ValueBatch unseen = rows(500, 9);
  const std::vector<float> values = values_of(**function, unseen);
  double error = 0;
  std::size_t far = 0, told = 0;
  for (std::size_t r = 0; r < values.size(); ++r) {
    error += std::abs(values[r] - unseen.returns[r]) / 500;
    const float side = unseen.features[r * kF];
    if (std::abs(side) < 0.2f) continue;  // where the two meet nobody could say
    ++far;
    told += (values[r] > -0.5f) == (side > 0);
  }
  EXPECT_LT(error, 0.06);
  EXPECT_GT(static_cast<double>(told), 0.97 * static_cast<double>(far));
}

TEST(ValueFunction, IsTheSameForTheSameSeedAndAnotherForAnother) {
  EXPECT_EQ(trained(1, 20), trained(1, 20));
  EXPECT_NE(trained(1, 20), trained(2, 20));
}

TEST(ValueFunction, StaysWithinMinusOneAndZeroWhereItHasNeverBeen) {
  const auto function = ValueFunction::load(trained(1, 50));
  ASSERT_TRUE(function.ok());
  ValueBatch far = rows(100, 3);
  for (float& v : far.features) v *= 1e30f;
  for (const float value : values_of(**function, far)) {
    EXPECT_GE(value, -1);
    EXPECT_LE(value, 0);
  }
}

TEST(ValueFunction, RefusesInputsThatAreNotFiniteOrOfAnotherSize) {
  const auto function = ValueFunction::load(trained(1, 2));
  ASSERT_TRUE(function.ok());
  ValueBatch batch = rows(4, 3);
  std::vector<float> values(4);
  batch.features[2] = std::numeric_limits<float>::infinity();
  EXPECT_EQ((*function)->evaluate(batch.features, batch.proprioception, values).code(),
            Code::kInvalidArgument);
  batch = rows(5, 3);
  EXPECT_EQ((*function)->evaluate(batch.features, batch.proprioception, values).code(),
            Code::kInvalidArgument);
}

TEST(ValueFunction, RefusesADamagedFile) {
  const std::vector<std::byte> good = trained(1, 2);
  ASSERT_TRUE(ValueFunction::load(good).ok());
  std::vector<std::byte> bytes = good;
  bytes.resize(bytes.size() - 8);
  EXPECT_EQ(ValueFunction::load(bytes).status().code(), Code::kDataLoss);
  bytes = good;
  const float none = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + bytes.size() - sizeof none, &none, sizeof none);
  EXPECT_EQ(ValueFunction::load(bytes).status().code(), Code::kDataLoss);
  EXPECT_EQ(ValueFunction::load({}).status().code(), Code::kDataLoss);
}

TEST(ValueTrainer, RefusesReturnsThatAreNoneAndKeepsItsParameters) {
  use_one_torch_thread();
  auto trainer = ValueTrainer::create(spec(), rows(64, 1), {});
  ASSERT_TRUE(trainer.ok());
  const auto before = (*trainer)->bytes();
  ValueBatch batch = rows(8, 2);
  batch.returns[3] = 0.5f;
  EXPECT_EQ((*trainer)->step(batch).code(), Code::kInvalidArgument);
  batch.returns[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ((*trainer)->step(batch).code(), Code::kInvalidArgument);
  EXPECT_EQ((*trainer)->step({}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(*(*trainer)->bytes(), *before);
}

TEST(ValueTrainer, RefusesSpecsAndOptionsOutOfTheirRange) {
  ValueSpec none = spec();
  none.feature_size = 0;
  EXPECT_FALSE(ValueTrainer::create(none, rows(8, 1), {}).ok());
  EXPECT_FALSE(ValueTrainer::create(spec(), {}, {}).ok());
  EXPECT_FALSE(ValueTrainer::create(spec(), rows(8, 1), {.learning_rate = 0}).ok());
}

}  // namespace
}  // namespace nudge
