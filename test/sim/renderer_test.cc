#include "src/sim/renderer.h"
#include "src/sim/lift_level.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "src/sim/demonstrator.h"
#include "src/sim/kitchen_model.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

// Only a machine without any GL may skip these.
#define NUDGE_KITCHEN_WITH_CAMERAS(robot)                                       \
  auto robot##_made = KitchenRobot::create({.cameras = true});                  \
  if (!robot##_made.ok() && robot##_made.status().code() == Code::kUnavailable) \
    GTEST_SKIP() << robot##_made.status().message();                            \
  ASSERT_TRUE(robot##_made.ok()) << robot##_made.status().message();            \
  std::unique_ptr<KitchenRobot> robot = *std::move(robot##_made)

int red_pixels(const Image& image) {
  int red = 0;
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
    red += image.rgb[i] > 110 && image.rgb[i + 1] < 75 && image.rgb[i + 2] < 75;
  }
  return red;
}

std::vector<Image> look(KitchenRobot& robot) {
  auto o = robot.observe();
  EXPECT_TRUE(o.ok()) << o.status().message();
  return o.ok() ? o->images : std::vector<Image>{};
}

TEST(Renderer, ShowsTheBlockInBothCamerasAsPixelsAndAsJpeg) {
  NUDGE_KITCHEN_WITH_CAMERAS(robot);
  robot->render(true);
  robot->place_block(0.49, 0.0);
  const auto images = look(*robot);
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[0].camera, "front");
  EXPECT_EQ(images[1].camera, "wrist");
  for (const Image& image : images) {
    EXPECT_EQ(image.width, 128);
    EXPECT_EQ(image.height, 128);
    ASSERT_EQ(image.rgb.size(), 128u * 128u * 3u);
    EXPECT_EQ(image.captured, robot->now());
    EXPECT_GT(red_pixels(image), 15) << image.camera;
    ASSERT_GT(image.jpeg.size(), 500u);
    EXPECT_LT(image.jpeg.size(), 10000u);
    EXPECT_EQ(image.jpeg[0], 0xff);
    EXPECT_EQ(image.jpeg[1], 0xd8);
  }
  EXPECT_EQ(robot->spec().observation.cameras.size(), 2u);
}

TEST(Renderer, ShowsTheFrontCameraUprightAndTheRobotsLeftOnTheRight) {
  NUDGE_KITCHEN_WITH_CAMERAS(robot);
  robot->render(true);
  auto middle_of_red = [](const Image& image) {
    double x = 0, y = 0, n = 0;
    for (int r = 0; r < image.height; ++r) {
      for (int c = 0; c < image.width; ++c) {
        const std::uint8_t* p = &image.rgb[3 * (static_cast<std::size_t>(r) * image.width + c)];
        if (p[0] > 110 && p[1] < 75 && p[2] < 75) x += c, y += r, ++n;
      }
    }
    EXPECT_GT(n, 0);
    return std::pair(x / n, y / n);
  };
  auto at = [&](double x, double y) {
    EXPECT_TRUE(robot->reset(1).ok());
    robot->place_block(x, y);
    return middle_of_red(look(*robot).at(0));
  };
  EXPECT_GT(at(0.45, 0.12).first, at(0.45, -0.12).first + 10);
  EXPECT_GT(at(0.55, 0.12).second, at(0.40, 0.12).second + 5);  // nearer to the camera: lower
}

TEST(Renderer, MakesNewFramesOncePerPolicyStepAndOnlyWhenAsked) {
  NUDGE_KITCHEN_WITH_CAMERAS(robot);
  EXPECT_TRUE(look(*robot).empty());
  robot->render(true);
  const auto first = look(*robot);
  ASSERT_EQ(first.size(), 2u);
  ASSERT_TRUE(robot->apply({0, 1, 0, 0}, robot->now()).ok());
  EXPECT_EQ(look(*robot)[0].captured, first[0].captured);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(robot->apply({0, 1, 0, 0}, robot->now()).ok());
  const auto second = look(*robot);
  EXPECT_EQ(second[0].captured, robot->now());
  EXPECT_NE(second[0].rgb, first[0].rgb);
  EXPECT_NE(second[1].rgb, first[1].rgb);
  robot->render(false);
  EXPECT_TRUE(look(*robot).empty());
}

TEST(Renderer, DrawsTheSamePictureForTheSameState) {
  NUDGE_KITCHEN_WITH_CAMERAS(robot);
  robot->render(true);
  ASSERT_TRUE(robot->reset(5).ok());
  const auto first = look(*robot);
  ASSERT_TRUE(robot->reset(6).ok());
  EXPECT_NE(look(*robot)[0].rgb, first[0].rgb);
  ASSERT_TRUE(robot->reset(5).ok());
  const auto again = look(*robot);
  EXPECT_EQ(again[0].rgb, first[0].rgb);
  EXPECT_EQ(again[1].jpeg, first[1].jpeg);
}

TEST(Renderer, DrawsInAnyThread) {
  NUDGE_KITCHEN_WITH_CAMERAS(robot);
  robot->render(true);
  ASSERT_TRUE(robot->reset(5).ok());
  const auto here = look(*robot);
  std::vector<Image> there;
  std::thread other([&] {
    EXPECT_TRUE(robot->reset(5).ok());
    there = look(*robot);
  });
  other.join();
  ASSERT_EQ(there.size(), 2u);
  EXPECT_EQ(there[0].rgb, here[0].rgb);
}

TEST(Renderer, ServesTwoKitchensInOneProcess) {
  NUDGE_KITCHEN_WITH_CAMERAS(one);
  NUDGE_KITCHEN_WITH_CAMERAS(other);
  one->render(true);
  other->render(true);
  ASSERT_TRUE(one->reset(5).ok());
  ASSERT_TRUE(other->reset(5).ok());
  EXPECT_EQ(look(*one)[0].rgb, look(*other)[0].rgb);
  other.reset();
  ASSERT_TRUE(one->reset(5).ok());
  EXPECT_EQ(look(*one).size(), 2u);
}

TEST(Renderer, DrawingDoesNotChangeTheSimulation) {
  NUDGE_KITCHEN_WITH_CAMERAS(seen);
  auto unseen = KitchenRobot::create();
  ASSERT_TRUE(unseen.ok());
  seen->render(true);
  ASSERT_TRUE(seen->reset(5).ok());
  ASSERT_TRUE((*unseen)->reset(5).ok());
  for (int step = 0; step < 20; ++step) {
    const auto a = seen->observe(), b = (*unseen)->observe();
    ASSERT_TRUE(a.ok() && b.ok());
    ASSERT_EQ(a->proprioception, b->proprioception);
    ASSERT_EQ(a->object_state, b->object_state);
    ASSERT_TRUE(hold_for_policy_step(*seen, {-0.5f, 0.3f, -0.4f, -0.1f}).ok());
    ASSERT_TRUE(hold_for_policy_step(**unseen, {-0.5f, 0.3f, -0.4f, -0.1f}).ok());
  }
}

TEST(Renderer, RefusesPicturesAndQualitiesOutOfRange) {
  auto model = load_kitchen_model(lift_level());
  ASSERT_TRUE(model.ok()) << model.status().message();
  RendererOptions options;
  options.width = 100000;
  EXPECT_EQ(Renderer::create(model->get(), options).status().code(), Code::kInvalidArgument);
  options = {};
  options.jpeg_quality = 0;
  EXPECT_EQ(Renderer::create(model->get(), options).status().code(), Code::kInvalidArgument);
}

TEST(Renderer, RefusesACameraThatDoesNotExist) {
  auto model = load_kitchen_model(lift_level());
  ASSERT_TRUE(model.ok());
  auto data = make_data(**model);
  ASSERT_TRUE(data.ok());
  auto renderer = Renderer::create(model->get());
  if (renderer.status().code() == Code::kUnavailable) GTEST_SKIP() << renderer.status().message();
  ASSERT_TRUE(renderer.ok()) << renderer.status().message();
  EXPECT_EQ((*renderer)->render(data->get(), "attic", {}).status().code(), Code::kNotFound);
}

// MuJoCo looks the GL functions up once per process, so the other library needs its own.
TEST(RendererDeathTest, FallsBackToOsMesaWhenEglHasNoDriver) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        setenv("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent", 1);
        auto model = load_kitchen_model(lift_level());
        auto renderer = Renderer::create(model->get());
        if (!renderer.ok()) {  // OSMesa is not installed: it must say so
          const bool told = renderer.status().message().find("libosmesa6") != std::string::npos;
          std::exit(told ? 0 : 1);
        }
        std::exit((*renderer)->backend() == GlBackend::kOsMesa ? 0 : 2);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(KitchenRobotPictures, ShowTheSceneAsItWasObservedWhateverMovedSince) {
  NUDGE_KITCHEN_WITH_CAMERAS(robot);
  ASSERT_TRUE(robot->observe().ok());
  const auto before = robot->pictures();
  ASSERT_TRUE(before.ok()) << before.status().message();
  ASSERT_EQ(before->size(), 2u);
  ASSERT_TRUE(hold_for_policy_step(*robot, {1, 1, -1, 0}).ok());
  const auto still = robot->pictures();
  ASSERT_TRUE(still.ok());
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*still)[i].rgb, (*before)[i].rgb);
    EXPECT_EQ((*still)[i].captured, (*before)[i].captured);
  }
  ASSERT_TRUE(robot->observe().ok());
  const auto after = robot->pictures();
  ASSERT_TRUE(after.ok());
  EXPECT_NE((*after)[0].rgb, (*before)[0].rgb);
  EXPECT_EQ((*after)[0].captured, robot->now());
}

// As evaluations do, one kitchen for each of their threads.
TEST(Renderer, ComesAndGoesOnManyThreadsAtOnce) {
  NUDGE_KITCHEN_WITH_CAMERAS(first);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int again = 0; again < 5; ++again) {
        auto robot = KitchenRobot::create({.cameras = true});
        ASSERT_TRUE(robot.ok()) << robot.status().message();
        (*robot)->render(true);
        EXPECT_EQ(look(**robot).size(), 2u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace nudge
