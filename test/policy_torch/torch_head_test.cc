#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "test/policy_torch/small_head.h"

namespace nudge {
namespace {

double silu(double x) { return x / (1 + std::exp(-x)); }

// The network as tensors_of() describes it, in doubles, without any of the head's shortcuts.
std::vector<double> network(const Weights& w, std::vector<double> in) {
  for (std::size_t i = 0; i <= w.head().layers; ++i) {
    const auto weight = values_of(w, "net." + std::to_string(i) + ".weight");
    const auto bias = values_of(w, "net." + std::to_string(i) + ".bias");
    std::vector<double> out(bias.begin(), bias.end());
    for (std::size_t o = 0; o < out.size(); ++o) {
      for (std::size_t k = 0; k < in.size(); ++k) out[o] += weight[o * in.size() + k] * in[k];
      if (i < w.head().layers) out[o] = silu(out[o]);
    }
    in = out;
  }
  return in;
}

void append_normalised(const Weights& w, const std::string& name, std::span<const float> values,
                       std::vector<double>& into) {
  const auto mean = values_of(w, "norm." + name + ".mean");
  const auto scale = values_of(w, "norm." + name + ".scale");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t c = i % mean.size();
    into.push_back((values[i] - mean[c]) / scale[c]);
  }
}

std::vector<double> expected_chunk(const Weights& w, std::span<const float> features,
                                   std::span<const float> proprioception, Advantage advantage,
                                   std::span<const float> reference, std::span<const float> noise) {
  const HeadSpec& s = w.head();
  const std::size_t out = s.horizon * s.action_size;
  const bool flow = s.kind == HeadKind::kFlow;
  const auto frequencies = values_of(w, "time_frequencies");
  const auto embedding = values_of(w, "advantage");
  std::vector<double> x(noise.begin(), noise.end());
  const std::size_t steps = flow ? s.euler_steps : 1;
  for (std::size_t k = 0; k < steps; ++k) {
    const double t = static_cast<double>(k) / static_cast<double>(steps);
    std::vector<double> in;
    if (flow) in = x;
    if (s.reference_chunk && reference.empty()) in.insert(in.end(), out, 0.0);
    if (!reference.empty()) append_normalised(w, "action", reference, in);
    append_normalised(w, "feature", features, in);
    append_normalised(w, "proprioception", proprioception, in);
    for (const float f : frequencies) in.push_back(std::sin(f * t));
    for (const float f : frequencies) in.push_back(std::cos(f * t));
    for (std::size_t i = 0; i < 16; ++i) {
      in.push_back(embedding[static_cast<std::size_t>(advantage) * 16 + i]);
    }
    const auto y = network(w, in);
    if (!flow) {
      x = y;
    } else {
      for (std::size_t i = 0; i < out; ++i) x[i] += y[i] / static_cast<double>(steps);
    }
  }
  const auto mean = values_of(w, "norm.action.mean");
  const auto scale = values_of(w, "norm.action.scale");
  for (std::size_t i = 0; i < out; ++i) {
    x[i] = x[i] * scale[i % s.action_size] + mean[i % s.action_size];
  }
  return x;
}

void expect_the_written_definition(const HeadSpec& spec, bool with_reference) {
  const auto weights = fresh(spec);
  auto head = ActionHead::load(weights);
  ASSERT_TRUE(head.ok()) << head.status().message();
  Batch b = small_batch(5, 9);
  b.advantage = {Advantage::kNone, Advantage::kPositive, Advantage::kNegative, Advantage::kNone,
                 Advantage::kPositive};
  const std::vector<float> reference = with_reference ? b.actions : std::vector<float>{};
  const auto noise = normal_noise(b.actions.size(), 4);
  std::vector<float> chunks(noise.size());
  HeadBatch in = conditions_of(b);
  in.reference = reference;
  ASSERT_TRUE((*head)->sample(in, noise, chunks).ok());
  for (std::size_t r = 0; r < b.size; ++r) {
    const auto want =
        expected_chunk(*weights, {b.features.data() + 3 * r, 3},
                       {b.proprioception.data() + 2 * r, 2}, b.advantage[r],
                       with_reference ? std::span<const float>(reference.data() + 8 * r, 8)
                                      : std::span<const float>{},
                       {noise.data() + 8 * r, 8});
    for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(chunks[r * 8 + i], want[i], 1e-4) << r;
  }
}

TEST(ActionHead, IntegratesTheNetworkOfTheWeightsFileFromNoiseToAction) {
  expect_the_written_definition(small_spec(), false);
}

TEST(ActionHead, OfRegressionIsTheNetworkItself) {
  expect_the_written_definition(small_spec(HeadKind::kRegression), false);
}

TEST(ActionHead, SeesAReferenceChunkInActionUnits) {
  expect_the_written_definition(small_spec(HeadKind::kFlow, true), true);
}

TEST(ActionHead, TakesAMissingReferenceChunkForTheMeanAction) {
  expect_the_written_definition(small_spec(HeadKind::kFlow, true), false);
}

TEST(ActionHead, AnswersEachRowOfABatchAsIfItWereAlone) {
  auto head = ActionHead::load(fresh(small_spec()));
  ASSERT_TRUE(head.ok());
  const Batch b = small_batch(7, 2);
  const auto noise = normal_noise(b.actions.size(), 4);
  std::vector<float> together(noise.size()), alone(8);
  ASSERT_TRUE((*head)->sample(conditions_of(b), noise, together).ok());
  for (std::size_t r = 0; r < b.size; ++r) {
    HeadBatch one;
    one.size = 1;
    one.features = {b.features.data() + 3 * r, 3};
    one.proprioception = {b.proprioception.data() + 2 * r, 2};
    ASSERT_TRUE((*head)->sample(one, {noise.data() + 8 * r, 8}, alone).ok());
    for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(alone[i], together[r * 8 + i], 1e-5);
  }
}

TEST(ActionHead, GivesEqualOutputForEqualInputWarmOrCold) {
  const auto weights = fresh(small_spec());
  auto cold = ActionHead::load(weights);
  auto warm = ActionHead::load(weights);
  ASSERT_TRUE(cold.ok() && warm.ok());
  ASSERT_TRUE((*warm)->warm_up().ok());
  const Batch b = small_batch(1, 2);
  const auto noise = normal_noise(8, 4);
  std::vector<float> first(8), second(8);
  ASSERT_TRUE((*cold)->sample(conditions_of(b), noise, first).ok());
  ASSERT_TRUE((*warm)->sample(conditions_of(b), noise, second).ok());
  EXPECT_EQ(first, second);
}

TEST(ActionHead, GivesTheSameChunkWhateverBatchesCameBetween) {
  auto head = ActionHead::load(fresh(small_spec()));
  ASSERT_TRUE(head.ok());
  const Batch one = small_batch(1, 2), many = small_batch(8, 5);
  const auto noise = normal_noise(8, 4), other = normal_noise(64, 6);
  std::vector<float> first(8), again(8), batch(64), batch_again(64);
  ASSERT_TRUE((*head)->sample(conditions_of(one), noise, first).ok());
  ASSERT_TRUE((*head)->sample(conditions_of(many), other, batch).ok());
  ASSERT_TRUE((*head)->sample(conditions_of(one), noise, again).ok());
  ASSERT_TRUE((*head)->sample(conditions_of(many), other, batch_again).ok());
  EXPECT_EQ(first, again);
  EXPECT_EQ(batch, batch_again);
}

TEST(ActionHead, ThatEditsAndIsUntrainedPassesReferencesOnExactly) {
  for (const HeadKind kind : {HeadKind::kFlow, HeadKind::kRegression}) {
    auto head = ActionHead::load(fresh(edit_spec(kind)));
    ASSERT_TRUE(head.ok());
    const Batch b = with_reference(small_batch(6, 3), 0.123F);
    const auto noise = normal_noise(b.actions.size(), 4);
    std::vector<float> chunks(noise.size());
    ASSERT_TRUE((*head)->sample(conditions_of(b), noise, chunks).ok());
    EXPECT_EQ(chunks, b.reference);
  }
}

TEST(ActionHead, ThatEditsAndIsUntrainedActsAtTheMeanWithoutAReference) {
  const auto weights = fresh(edit_spec());
  auto head = ActionHead::load(weights);
  ASSERT_TRUE(head.ok());
  Batch b = with_reference(small_batch(2, 3));
  b.has_reference[1] = 0;  // the first row edits, the second acts alone
  const auto noise = normal_noise(16, 4);
  std::vector<float> chunks(16);
  ASSERT_TRUE((*head)->sample(conditions_of(b), noise, chunks).ok());
  const auto mean = values_of(*weights, "norm.action.mean");
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(chunks[i], b.reference[i]);
    EXPECT_EQ(chunks[8 + i], mean[i % 2]);
  }
}

TEST(ActionHead, WithGuidanceGoesBeyondTheTokenByThatMuch) {
  const auto weights = fresh(small_spec(HeadKind::kRegression));
  auto head = ActionHead::load(weights);
  ASSERT_TRUE(head.ok());
  Batch b = small_batch(3, 3);
  const auto answer = [&](Advantage token, float guidance) {
    b.advantage.assign(b.size, token);
    HeadBatch in = conditions_of(b);
    in.guidance = guidance;
    std::vector<float> chunks(b.actions.size());
    EXPECT_TRUE((*head)->sample(in, {}, chunks).ok());
    return chunks;
  };
  const auto none = answer(Advantage::kNone, 1), positive = answer(Advantage::kPositive, 1);
  const auto twice = answer(Advantage::kPositive, 2), nothing = answer(Advantage::kPositive, 0);
  for (std::size_t i = 0; i < none.size(); ++i) {
    EXPECT_NEAR(twice[i], none[i] + 2 * (positive[i] - none[i]), 1e-5);
    EXPECT_NEAR(nothing[i], none[i], 1e-5);
  }
}

TEST(ActionHead, OfFlowGuidesEachEulerStep) {
  const auto weights = fresh(small_spec());
  auto head = ActionHead::load(weights);
  ASSERT_TRUE(head.ok());
  const Batch b = small_batch(1, 3);
  const auto noise = normal_noise(8, 4);
  HeadBatch in = conditions_of(b);
  std::vector<float> plain(8), once(8), guided(8);
  ASSERT_TRUE((*head)->sample(in, noise, plain).ok());
  in.guidance = std::nextafter(1.0F, 2.0F);  // runs twice, and changes nothing that counts
  ASSERT_TRUE((*head)->sample(in, noise, once).ok());
  in.guidance = 3;
  ASSERT_TRUE((*head)->sample(in, noise, guided).ok());
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(once[i], plain[i], 1e-4);
  EXPECT_NE(guided, plain);
}

TEST(ActionHead, RefusesColumnsOfTheWrongSize) {
  auto head = ActionHead::load(fresh(small_spec()));
  ASSERT_TRUE(head.ok());
  const Batch b = small_batch(2, 2);
  const auto noise = normal_noise(16, 4);
  std::vector<float> chunks(16), few(15);
  HeadBatch in = conditions_of(b);
  in.features = in.features.first(5);
  EXPECT_EQ((*head)->sample(in, noise, chunks).code(), Code::kInvalidArgument);
  in = conditions_of(b);
  in.reference = b.actions;  // this head takes none
  EXPECT_EQ((*head)->sample(in, noise, chunks).code(), Code::kInvalidArgument);
  in = conditions_of(b);
  EXPECT_EQ((*head)->sample(in, std::span(noise).first(15), chunks).code(), Code::kInvalidArgument);
  EXPECT_EQ((*head)->sample(in, noise, few).code(), Code::kInvalidArgument);
  in.size = 0;
  EXPECT_EQ((*head)->sample(in, noise, chunks).code(), Code::kInvalidArgument);
}

TEST(ActionHead, RefusesANormaliserThatWouldDivideByZero) {
  const auto weights = fresh(small_spec());
  const auto broken =
      altered(*weights, {}, [](auto& tensors) { tensors["norm.feature.scale"][1] = 0; });
  const auto head = ActionHead::load(broken);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.status().code(), Code::kInvalidArgument);
  EXPECT_NE(head.status().message().find("norm.feature.scale[1]"), std::string::npos);
}

}  // namespace
}  // namespace nudge
