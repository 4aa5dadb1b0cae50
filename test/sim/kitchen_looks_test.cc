#include "src/sim/kitchen_looks.h"

#include <gtest/gtest.h>
#include <mujoco/mujoco.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <vector>

#include "src/sim/kitchen_cameras.h"
#include "src/sim/kitchen_model.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

// Only a machine without any GL may skip these.
#define NUDGE_DRESSED_KITCHEN(robot, level_number)                                          \
  auto robot##_made =                                                                       \
      KitchenRobot::create({.cameras = true, .level = level_number, .random_looks = true}); \
  if (!robot##_made.ok() && robot##_made.status().code() == Code::kUnavailable)             \
    GTEST_SKIP() << robot##_made.status().message();                                        \
  ASSERT_TRUE(robot##_made.ok()) << robot##_made.status().message();                        \
  std::unique_ptr<KitchenRobot> robot = *std::move(robot##_made);                           \
  robot->render(true)

// Mean difference of two pictures, 0 to 255.
double difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

std::vector<Image> look(KitchenRobot& robot, std::uint64_t seed) {
  EXPECT_TRUE(robot.reset(seed).ok());
  return robot.observe()->images;
}

TEST(KitchenLooks, AreTheSameForTheSameSeedAndOthersForAnother) {
  NUDGE_DRESSED_KITCHEN(robot, 3);
  const auto one = look(*robot, 1);
  const auto other = look(*robot, 2);
  const auto again = look(*robot, 1);
  ASSERT_EQ(one.size(), 2u);
  for (std::size_t camera = 0; camera < one.size(); ++camera) {
    EXPECT_EQ(one[camera].rgb, again[camera].rgb);
    EXPECT_GT(difference(one[camera], other[camera]), 4);
  }
}

TEST(KitchenLooks, KeepClutterClearOfTheObjects) {
  auto robot = KitchenRobot::create({.level = 4, .random_looks = true});
  ASSERT_TRUE(robot.ok());
  std::size_t there = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    ASSERT_TRUE((*robot)->reset(seed).ok());
    const KitchenLooks looks = *(*robot)->looks();
    const KitchenState world = (*robot)->state();
    for (const auto& thing : looks.distractors) {
      if (!thing.there) continue;
      ++there;
      for (const Vec3& object : world.objects) {
        EXPECT_GT(std::hypot(object[0] - thing.at[0], object[1] - thing.at[1]), 0.08);
      }
    }
  }
  EXPECT_GT(there, 40u);
  EXPECT_LT(there, 150u);
}

// Who is told "lift the block" must be able to see which thing is meant.
TEST(KitchenLooks, GiveClutterNoColourOfAnObject) {
  const std::map<int, std::vector<const char*>> worn = {{1, {"block"}},
                                                        {2, {"bowl", "bowl_inside"}},
                                                        {3, {"saucepan"}},
                                                        {4, {"cup", "sponge", "can"}}};
  for (const auto& [number, names] : worn) {
    auto robot = KitchenRobot::create({.level = number, .random_looks = true});
    ASSERT_TRUE(robot.ok());
    const auto model = load_kitchen_model((*robot)->level());
    ASSERT_TRUE(model.ok());
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      ASSERT_TRUE((*robot)->reset(seed).ok());
      const KitchenLooks looks = *(*robot)->looks();
      for (const auto& thing : looks.distractors) {
        if (!thing.there) continue;
        for (const char* name : names) {
          const int material = mj_name2id(model->get(), mjOBJ_MATERIAL, name);
          ASSERT_GE(material, 0) << name;
          const auto& colour = looks.colours[static_cast<std::size_t>(material)];
          EXPECT_GE(std::hypot(colour[0] - thing.colour[0], colour[1] - thing.colour[1],
                               colour[2] - thing.colour[2]),
                    0.4F)
              << "level " << number << ", seed " << seed << ", " << name;
        }
      }
    }
  }
}

TEST(KitchenLooks, ShowTheClutter) {
  NUDGE_DRESSED_KITCHEN(robot, 1);
  auto cameras = KitchenCameras::create(robot->level(), 85);
  ASSERT_TRUE(cameras.ok());
  int shown = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    ASSERT_TRUE(robot->reset(seed).ok());
    const KitchenLooks looks = *robot->looks();
    KitchenLooks bare = looks;
    for (auto& thing : bare.distractors) thing.there = false;
    const auto with = (*cameras)->render(robot->positions(), &looks, robot->now());
    const auto without = (*cameras)->render(robot->positions(), &bare, robot->now());
    ASSERT_TRUE(with.ok() && without.ok());
    shown += (*with)[0].jpeg != (*without)[0].jpeg;
  }
  EXPECT_GT(shown, 4);
}

TEST(KitchenLooks, AreWhatCamerasBesideTheSimulationShowToo) {
  NUDGE_DRESSED_KITCHEN(robot, 2);
  const auto own = look(*robot, 5);
  auto cameras = KitchenCameras::create(robot->level(), 85);
  ASSERT_TRUE(cameras.ok());
  const auto beside = (*cameras)->render(robot->positions(), robot->looks().get(), robot->now());
  ASSERT_TRUE(beside.ok());
  for (std::size_t camera = 0; camera < own.size(); ++camera) {
    EXPECT_EQ(own[camera].jpeg, (*beside)[camera].jpeg);
  }
}

TEST(KitchenLooks, AreAsDrawnUpUnlessAskedFor) {
  auto robot = KitchenRobot::create({});
  ASSERT_TRUE(robot.ok());
  EXPECT_EQ((*robot)->looks(), nullptr);
}

}  // namespace
}  // namespace nudge
