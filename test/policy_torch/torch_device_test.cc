// The same numbers from a GPU, within the tolerances of docs/how-to/use-a-gpu.md. Where there is
// none, the same tensor operations run on the CPU, against the loops that train there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <ostream>

#include "policy/device.h"
#include "test/policy_torch/small_head.h"

namespace nudge {
namespace {

constexpr double kLossTolerance = 1e-5;      // relative
constexpr double kGradientTolerance = 1e-4;  // of its L2 norm
constexpr double kWeightsTolerance = 1e-3;   // after 200 steps, of the way that the weights went
constexpr double kActionTolerance = 1e-3;    // after 200 steps, in action units
constexpr int kSteps = 200;

TEST(DeviceUse, TheCpuIsAlwaysThere) {
  const auto device = choose_device(DeviceUse::kCpu, "learner.device");
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(*device, TorchDevice::kCpu);
}

TEST(DeviceUse, AutoTakesTheGpuWhereThereIsOneAndElseTheCpu) {
  const auto device = choose_device(DeviceUse::kAuto, "learner.device");
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(*device, gpu_is_there() ? TorchDevice::kCuda : TorchDevice::kCpu);
}

TEST(DeviceUse, CudaWithoutAGpuIsRefusedWithWhatToDo) {
  if (gpu_is_there()) GTEST_SKIP() << "there is a GPU";
  const auto device = choose_device(DeviceUse::kCuda, "learner.device");
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.status().code(), Code::kFailedPrecondition);
  for (const char* words : {"learner.device = \"cuda\"", "no GPU", "LibTorch", "\"auto\""}) {
    EXPECT_NE(device.status().message().find(words), std::string::npos)
        << device.status().message();
  }
}

TEST(DeviceUse, ATrainerThatIsToldToTakeAGpuThatIsNotThereIsNotMade) {
  if (gpu_is_there()) GTEST_SKIP() << "there is a GPU";
  TrainerOptions options;
  options.device = DeviceUse::kCuda;
  const auto trainer = Trainer::create(fresh(small_spec()), nullptr, options);
  ASSERT_FALSE(trainer.ok());
  EXPECT_NE(trainer.status().message().find("learner.device"), std::string::npos);
}

// ---- training ---------------------------------------------------------------------------------

enum class Way { kTensorsOnTheCpu, kGpu };
struct Case {
  Way way;
  const char* name;
  HeadSpec spec;
};
// Else its bytes stand in the test's name, addresses among them.
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

std::vector<float> trained_values(const Weights& weights) {
  std::vector<float> all;
  for (const auto& [name, shape] : tensors_of(weights.head())) {
    if (!name.starts_with("net.") && name != "advantage") continue;
    const std::vector<float> values = values_of(weights, name);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

double norm_of(const std::vector<float>& values) {
  double squares = 0;
  for (const float v : values) squares += static_cast<double>(v) * v;
  return std::sqrt(squares);
}

std::vector<float> difference(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> result(a.size());
  std::transform(a.begin(), a.end(), b.begin(), result.begin(), std::minus<>());
  return result;
}

class SameTraining : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    use_one_torch_thread();
    if (GetParam().way == Way::kGpu && !gpu_is_there()) GTEST_SKIP() << "there is no GPU";
    start_ = fresh(GetParam().spec);
  }

  std::unique_ptr<Trainer> trainer(bool by_loops, TrainerOptions options) const {
    if (!by_loops) {
      options.by_tensors = GetParam().way == Way::kTensorsOnTheCpu;
      options.device = GetParam().way == Way::kGpu ? DeviceUse::kCuda : DeviceUse::kCpu;
    }
    auto made = Trainer::create(start_, nullptr, options);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return *std::move(made);
  }

  // Every second row has a reference, windows end early, rows weigh differently.
  Batch batch(std::uint64_t seed) const {
    Batch b = small_batch(64, seed);
    if (start_->head().reference_chunk) b = with_reference(std::move(b), 0.2F);
    for (std::size_t r = 0; r < b.size; ++r) {
      if (!b.has_reference.empty()) b.has_reference[r] = r % 2 == 0;
      b.weight[r] = r % 5 == 0 ? 0.0F : 0.5F + 0.1F * static_cast<float>(r % 7);
      b.advantage[r] = static_cast<Advantage>(r % 3);
    }
    return b;
  }

  std::shared_ptr<const Weights> start_;
};

// A step of AdamW without memory and with epsilon 1 goes by g / (1 + |g|): the gradient can be
// told.
TEST_P(SameTraining, TheLossAndItsGradientAreTheSame) {
  TrainerOptions options = TrainerOptions::base();
  options.learning_rate = 1;
  options.ema_decay = options.weight_decay = options.beta1 = options.beta2 = 0;
  options.epsilon = 1;
  options.gradient_clip = 1e6;
  const std::vector<float> before = trained_values(*start_);
  const auto look = [&](bool by_loops) {
    auto made = trainer(by_loops, options);
    EXPECT_TRUE(made->step(batch(3)).ok());
    std::vector<float> gradient =
        difference(before, trained_values(*parsed(made->weights(child_of(*start_)))));
    for (float& g : gradient) g /= 1 - std::abs(g);
    return std::pair(made->last_loss(), gradient);
  };
  const auto [loss, gradient] = look(true);
  const auto [other_loss, other_gradient] = look(false);
  EXPECT_NEAR(other_loss, loss, kLossTolerance * loss);
  ASSERT_GT(norm_of(gradient), 1e-3);
  EXPECT_LT(norm_of(difference(other_gradient, gradient)), kGradientTolerance * norm_of(gradient));
}

TEST_P(SameTraining, TwoHundredStepsLeadToTheSameWeightsAndActions) {
  const auto train = [&](bool by_loops) {
    TrainerOptions options = TrainerOptions::micro();
    options.feature_noise = 0.1;
    options.seed = 5;
    auto made = trainer(by_loops, options);
    for (std::uint64_t i = 0; i < kSteps; ++i) EXPECT_TRUE(made->step(batch(i)).ok());
    return std::pair(parsed(made->weights(child_of(*start_))), made->relative_distance());
  };
  const auto [weights, distance] = train(true);
  const auto [others, other_distance] = train(false);
  const std::vector<float> values = trained_values(*weights);
  const double way = norm_of(difference(values, trained_values(*start_)));
  const double apart = norm_of(difference(trained_values(*others), values));
  RecordProperty("apart_of_the_way", std::to_string(apart / way));
  EXPECT_LT(apart, kWeightsTolerance * way);
  EXPECT_NEAR(other_distance, distance, kWeightsTolerance * distance);

  const Batch seen = batch(5000);
  const auto actions = [&](const std::shared_ptr<const Weights>& of) {
    auto head = ActionHead::load(of);
    std::vector<float> chunks(seen.actions.size());
    EXPECT_TRUE((*head)->sample(conditions_of(seen), normal_noise(chunks.size(), 3), chunks).ok());
    return chunks;
  };
  double largest = 0;
  for (const float d : difference(actions(others), actions(weights))) {
    largest = std::max(largest, std::abs(static_cast<double>(d)));
  }
  RecordProperty("largest_action_difference", std::to_string(largest));
  EXPECT_LT(largest, kActionTolerance);
}

TEST_P(SameTraining, EqualInputsGiveEqualBytes) {
  const auto train = [&] {
    auto made = trainer(false, TrainerOptions::full());
    for (std::uint64_t i = 0; i < 20; ++i) EXPECT_TRUE(made->step(batch(i)).ok());
    return *made->weights(child_of(*start_));
  };
  EXPECT_EQ(train(), train());
}

TEST_P(SameTraining, ItStaysWithinTheAllowedDistance) {
  TrainerOptions options = TrainerOptions::base();
  options.max_relative_distance = 0.05;
  auto made = trainer(false, options);
  for (std::uint64_t i = 0; i < 60; ++i) ASSERT_TRUE(made->step(batch(i)).ok());
  EXPECT_NEAR(made->relative_distance(), 0.05, 1e-6);
  const std::vector<float> before = trained_values(*start_);
  const std::vector<float> after = trained_values(*parsed(made->weights({})));
  EXPECT_LT(norm_of(difference(after, before)), 0.0501 * norm_of(before));
}

TEST_P(SameTraining, ABatchThatIsNotANumberChangesNothing) {
  auto made = trainer(false, TrainerOptions::full());
  ASSERT_TRUE(made->step(batch(1)).ok());
  const auto before = *made->weights({});
  Batch broken = batch(2);
  broken.features[3] = std::nanf("");
  EXPECT_EQ(made->step(broken).code(), Code::kFailedPrecondition);
  EXPECT_EQ(*made->weights({}), before);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Way way : {Way::kTensorsOnTheCpu, Way::kGpu}) {
    all.push_back({way, "Flow", small_spec()});
    all.push_back({way, "Regression", small_spec(HeadKind::kRegression)});
    all.push_back({way, "Edit", edit_spec()});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Device, SameTraining, testing::ValuesIn(cases()), [](const auto& info) {
  return std::string(info.param.name) +
         (info.param.way == Way::kGpu ? "OnAGpu" : "ByTensorsOnTheCpu");
});

}  // namespace
}  // namespace nudge
