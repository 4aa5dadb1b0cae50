#include "src/sim/kitchen_scenes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

// Only a machine without any GL may skip these.
#define NUDGE_SCENES(scenes, level, seed)                                         \
  auto scenes##_made = KitchenScenes::create(**kitchen_level(level), seed);       \
  if (!scenes##_made.ok() && scenes##_made.status().code() == Code::kUnavailable) \
    GTEST_SKIP() << scenes##_made.status().message();                             \
  ASSERT_TRUE(scenes##_made.ok()) << scenes##_made.status().message();            \
  std::unique_ptr<KitchenScenes> scenes = *std::move(scenes##_made)

TEST(KitchenScenes, EqualSeedsGiveEqualScenesAndOthersDoNot) {
  NUDGE_SCENES(one, 1, 5);
  NUDGE_SCENES(same, 1, 5);
  NUDGE_SCENES(other, 1, 6);
  for (int i = 0; i < 3; ++i) {
    const auto a = one->next(), b = same->next(), c = other->next();
    ASSERT_TRUE(a.ok() && b.ok() && c.ok());
    EXPECT_EQ(a->proprioception, b->proprioception);
    EXPECT_EQ(a->object, b->object);
    EXPECT_EQ(a->expert, b->expert);
    EXPECT_EQ(a->images[0].jpeg, b->images[0].jpeg);
    EXPECT_EQ(a->images[1].jpeg, b->images[1].jpeg);
    EXPECT_NE(a->object, c->object);
  }
}

TEST(KitchenScenes, ThingsAreFarAwayNearAndHeldAndLooksChangeFromOneToTheNext) {
  NUDGE_SCENES(scenes, 1, 1);
  int near = 0, held = 0, far = 0;
  for (int i = 0; i < 200; ++i) {
    const auto scene = scenes->next();
    ASSERT_TRUE(scene.ok()) << scene.status().message();
    ASSERT_EQ(scene->images.size(), 2u);
    EXPECT_FALSE(scene->goal);  // there is only a block to lift
    EXPECT_FALSE(scene->drawer);
    const double distance = std::hypot(scene->object[0], scene->object[1], scene->object[2]);
    near += distance < 0.1;
    far += distance > 0.15;
    held += scene->held;
    EXPECT_TRUE(!scene->held || distance < 0.03) << distance;
  }
  EXPECT_GT(near, 40);
  EXPECT_GT(far, 20);
  EXPECT_GT(held, 8);
}

TEST(KitchenScenes, TheNamedObjectAndItsGoalAreTold) {
  for (const int level : {2, 3, 4}) {
    NUDGE_SCENES(scenes, level, 2);
    const auto scene = scenes->next();
    ASSERT_TRUE(scene.ok()) << scene.status().message();
    EXPECT_TRUE(scene->goal) << level;
    EXPECT_EQ(scene->drawer.has_value(), level == 2);
    EXPECT_LT(scene->task, (*kitchen_level(level))->data().tasks.size());
    EXPECT_EQ(scene->expert.size(), kKitchenActionSize);
  }
}

}  // namespace
}  // namespace nudge
