#include "src/loop/real_time.h"

#include <gtest/gtest.h>

#include <thread>

#include "policy/trainer.h"
#include "src/handoff/latest.h"
#include "src/learning/settings.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

// Untrained heads of the right shape: what they do does not matter here, that they run does.
LoadedHead untrained_head(const Config& config, WeightsVersion version) {
  auto robot = KitchenRobot::create(KitchenOptions{});
  const RobotSpec& spec = (*robot)->spec();
  auto backbone = make_state_backbone(spec.observation);
  const PolicyShape shape = policy_shape(spec, **backbone);
  Batch data;
  data.size = 4;
  data.feature_size = shape.feature_size;
  data.proprioception_size = shape.proprioception_size;
  data.action_size = shape.action_size;
  data.horizon = static_cast<std::size_t>(config.policy.horizon);
  Random random(version);
  const auto fill = [&](std::vector<float>& column, std::size_t width) {
    column.resize(data.size * width);
    for (float& value : column) value = static_cast<float>(random.normal());
  };
  fill(data.features, data.feature_size);
  fill(data.proprioception, data.proprioception_size);
  fill(data.actions, data.horizon * data.action_size);
  data.mask.assign(data.size * data.horizon, 1.0f);
  data.weight.assign(data.size, 1.0f);
  data.advantage.assign(data.size, Advantage::kPositive);
  data.cluster.assign(data.size, 1);
  Lineage lineage;
  lineage.backbone_hash = shape.backbone_hash;
  lineage.config_hash = training_config_hash(config);
  auto bytes = initial_weights(head_spec(config, shape), data, version, lineage);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  auto weights = Weights::parse(*std::move(bytes));
  EXPECT_TRUE(weights.ok()) << weights.status().message();
  auto head = ActionHead::load(*weights);
  EXPECT_TRUE(head.ok()) << head.status().message();
  return {.version = version, .head = std::shared_ptr<ActionHead>(*std::move(head))};
}

TEST(RealTime, PlaysEveryTickAndBothVersionsWhileTheyAreSwapped) {
  Config config;
  config.limits.clamps_to_hold = 1023;  // untrained heads overshoot
  config.limits.clamp_window_ticks = 1024;
  config.policy.hidden = 32;
  RealTimeOptions options;
  options.length = std::chrono::seconds(2);
  options.swap_every = std::chrono::milliseconds(100);
  const auto report =
      run_in_real_time(config, {untrained_head(config, 1), untrained_head(config, 2)}, options);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->ticks, 100u);
  EXPECT_EQ(report->work_seconds.size(), 100u);
  EXPECT_GT(report->swaps, 2u);
  EXPECT_GT(report->versions_played, 1u);
}

TEST(RealTime, NeedsWeights) {
  EXPECT_EQ(run_in_real_time(Config{}, {}, {}).status().code(), Code::kInvalidArgument);
}

TEST(Latest, GivesTheNewestValueOnce) {
  Latest<int> latest;
  latest.put(1);
  latest.put(2);
  EXPECT_EQ(latest.try_take(), 2);
  EXPECT_EQ(latest.try_take(), std::nullopt);
}

TEST(Latest, WakesAWaitingReader) {
  Latest<int> latest;
  std::thread writer([&] { latest.put(7); });
  EXPECT_EQ(latest.take(std::chrono::seconds(10)), 7);
  writer.join();
}

TEST(Latest, GivesUpWaitingInTheEnd) {
  Latest<int> latest;
  EXPECT_EQ(latest.take(std::chrono::milliseconds(1)), std::nullopt);
}

}  // namespace
}  // namespace nudge
