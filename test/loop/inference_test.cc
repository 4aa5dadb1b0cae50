#include "src/loop/inference.h"

#include <gtest/gtest.h>
#include <atomic>
#include <thread>

#include "src/sim/kitchen_robot.h"
#include "test/support/untrained_head.h"

namespace nudge {
namespace {

class InferenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_one_torch_thread();
    auto robot = KitchenRobot::create({});
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = *std::move(robot);
    ASSERT_TRUE(robot_->reset(3).ok());
    observation_ = *robot_->observe();
    config_.policy.hidden = 32;
    config_.policy.layers = 2;
  }
  std::unique_ptr<Inference> make(std::uint64_t seed) {
    auto backbone = make_state_backbone(robot_->spec().observation);
    auto inference = std::make_unique<Inference>(*std::move(backbone), seed);
    slots_.push_back(std::make_unique<SwapSlot<LoadedHead>>());
    slots_.back()->publish(untrained_head(robot_->spec(), config_, 1));
    EXPECT_TRUE(inference->take_from(*slots_.back()));
    return inference;
  }
  std::vector<float> chunk(Inference& inference) {
    const auto features = inference.encode(observation_, "lift");
    EXPECT_TRUE(features.ok());
    const auto made = inference.infer(*features, observation_.proprioception, observation_.time);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made->actions;
  }
  Result<std::optional<double>> doubt(Inference& inference, std::size_t samples = 8) {
    const auto features = inference.encode(observation_, "lift");
    return inference.disagreement(*features, observation_.proprioception, samples, 4);
  }

  Config config_;
  std::unique_ptr<KitchenRobot> robot_;
  Observation observation_;
  std::vector<std::unique_ptr<SwapSlot<LoadedHead>>> slots_;
};

TEST_F(InferenceTest, ChunksAreTheSameToTheByteWithAndWithoutSamplesOfDoubt) {
  const auto plain = make(7), doubtful = make(7);
  for (int episode = 0; episode < 2; ++episode) {
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(chunk(*plain), chunk(*doubtful)) << episode << " " << i;
      const auto disagreement = doubt(*doubtful);
      ASSERT_TRUE(disagreement.ok()) << disagreement.status().message();
      ASSERT_TRUE(disagreement->has_value());
      EXPECT_GT(**disagreement, 0) << "a head that has learned nothing is not sure";
    }
    plain->begin_episode(9);
    doubtful->begin_episode(9);
  }
}

// The sanitizers tell when it looks at one that is gone.
TEST_F(InferenceTest, TakesHeadsWhileThePublisherFreesThoseThatItGaveUp) {
  const auto inference = make(7);
  SwapSlot<LoadedHead>& slot = *slots_.back();
  const LoadedHead head = untrained_head(robot_->spec(), config_, 2);
  std::atomic<bool> over{false};
  std::thread publisher([&] {
    while (!over) slot.publish(head);
  });
  for (int taken = 0; taken < 1000;) {
    if (inference->take_from(slot)) ++taken;
  }
  over = true;
  publisher.join();
  EXPECT_EQ(inference->version(), 2u);
}

// Keeps what it was shown.
class WatchedBackbone final : public Backbone {
 public:
  WatchedBackbone(std::vector<std::string> cameras, Observation& shown)
      : cameras_(std::move(cameras)), shown_(shown) {}
  std::size_t feature_size() const override { return 1; }
  std::vector<std::string> cameras() const override { return cameras_; }
  const std::string& hash() const override { return hash_; }
  Result<std::vector<float>> encode(const Observation& observation, const std::string&) override {
    shown_ = observation;
    return std::vector<float>{0};
  }

 private:
  std::vector<std::string> cameras_;
  Observation& shown_;
  std::string hash_ = "watched";
};

TEST_F(InferenceTest, APolicyThatLooksAtCamerasIsNotShownWhereObjectsAre) {
  Observation shown;
  Observation observation = *robot_->observe();
  observation.images.emplace_back().camera = "front";
  ASSERT_FALSE(observation.object_state.empty());
  Inference sees(std::make_unique<WatchedBackbone>(std::vector<std::string>{"front"}, shown), 1);
  ASSERT_TRUE(sees.encode(observation, "lift").ok());
  EXPECT_TRUE(shown.object_state.empty());
  EXPECT_EQ(shown.images.size(), 1u);
  EXPECT_EQ(shown.proprioception, observation.proprioception);
  Inference feels(std::make_unique<WatchedBackbone>(std::vector<std::string>{}, shown), 1);
  ASSERT_TRUE(feels.encode(observation, "lift").ok());
  EXPECT_EQ(shown.object_state, observation.object_state);
}

TEST_F(InferenceTest, EqualSeedsDoubtEqually) {
  const auto a = make(7), b = make(7);
  (void)chunk(*b);  // what else is drawn does not matter
  EXPECT_EQ(**doubt(*a), **doubt(*b));
}

TEST_F(InferenceTest, AHeadWithoutNoiseHasNothingToDisagreeAbout) {
  config_.policy.head = PolicyHead::kRegression;
  const auto inference = make(7);
  const auto disagreement = doubt(*inference);
  ASSERT_TRUE(disagreement.ok()) << disagreement.status().message();
  EXPECT_FALSE(disagreement->has_value());
}

TEST_F(InferenceTest, DoubtNeedsAHeadAndSomethingToCompare) {
  Inference none(*make_state_backbone(robot_->spec().observation), 1);
  EXPECT_EQ(doubt(none).status().code(), Code::kFailedPrecondition);
  const auto inference = make(7);
  EXPECT_EQ(doubt(*inference, 1).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(doubt(*inference, 65).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
