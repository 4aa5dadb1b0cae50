#include "src/daemon/inference_thread.h"

#include <gtest/gtest.h>

#include "src/sim/kitchen_robot.h"
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

TEST(InferenceThread, LooksAtNoSamplesWhileThePolicyMayNotAsk) {
  Config config;
  EXPECT_EQ(doubt_options(config).samples, 8u);
  config.help.ask = false;
  EXPECT_EQ(doubt_options(config).samples, 0u);
}

}  // namespace
}  // namespace nudge
