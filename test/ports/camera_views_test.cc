#include "src/ports/camera_views.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

using std::chrono::milliseconds;

const std::vector<CameraSpec> kCameras = {{"front", 128, 96}, {"wrist", 96, 64}};
const std::vector<std::string> kFront = {"front"}, kBoth = {"front", "wrist"}, kNone;

class CameraViewsTest : public testing::Test {
 protected:
  CameraViewsTest() : frames_(2) {}
  void renew(std::size_t camera) {
    frames_[camera].jpeg = {++content_};
    views_.renew(camera);
  }
  // What the viewer gets: the content of the frame; 0: none.
  int next(ConnectionId viewer, std::size_t camera) {
    const auto bytes = views_.next(viewer, camera, frames_, now_);
    return bytes ? bytes->back() : 0;
  }

  Instant now_{std::chrono::hours(1)};
  std::vector<Image> frames_;
  std::uint8_t content_ = 0;
  CameraViews views_{kCameras, std::chrono::seconds(2)};
};

TEST_F(CameraViewsTest, EachViewerIsShownFramesAtItsOwnPace) {
  views_.want(1, kFront);
  views_.want(2, kFront);
  renew(0);
  EXPECT_EQ(next(1, 0), 1);
  EXPECT_EQ(next(2, 0), 1);
  renew(0);
  EXPECT_TRUE(views_.see(1, {.camera = 0, .sequence = 1}));
  EXPECT_EQ(next(1, 0), 2);
  EXPECT_EQ(next(2, 0), 0) << "it has not shown the one before";
}

TEST_F(CameraViewsTest, WhoWantsACameraAgainGetsAPictureAtOnce) {
  EXPECT_EQ(views_.want(1, kFront), (std::vector<std::size_t>{0}));
  renew(0);
  EXPECT_EQ(next(1, 0), 1);
  EXPECT_EQ(views_.want(1, kBoth), (std::vector<std::size_t>{1})) << "the other goes on";
  EXPECT_EQ(next(1, 0), 0);
  EXPECT_TRUE(views_.want(1, kNone).empty());
  EXPECT_EQ(views_.want(1, kFront), (std::vector<std::size_t>{0}));
  EXPECT_EQ(next(1, 0), 1) << "though it is the same, and was not said to have been shown";
}

TEST_F(CameraViewsTest, OfAFrameThatWasGivenUpNothingIsHeardAnyMore) {
  views_.want(1, kFront);
  renew(0);
  EXPECT_EQ(next(1, 0), 1);
  now_ += milliseconds(2'000);
  renew(0);
  EXPECT_EQ(next(1, 0), 2);
  EXPECT_FALSE(views_.see(1, {.camera = 0, .sequence = 1}));
  renew(0);
  EXPECT_EQ(next(1, 0), 0);
  EXPECT_TRUE(views_.see(1, {.camera = 0, .sequence = 2}));
  EXPECT_EQ(next(1, 0), 3);
}

TEST_F(CameraViewsTest, WhatDoesNotExistChangesNothing) {
  EXPECT_FALSE(views_.has("roof"));
  EXPECT_TRUE(views_.has("wrist"));
  EXPECT_TRUE(views_.want(1, std::vector<std::string>{"roof"}).empty());
  views_.renew(2);
  EXPECT_EQ(next(1, 2), 0);
  EXPECT_FALSE(views_.see(1, {.camera = 2, .sequence = 0}));
  renew(0);
  EXPECT_EQ(next(7, 0), 0) << "nobody has heard of this viewer";
  EXPECT_FALSE(views_.see(7, {.camera = 0, .sequence = 1}));
  views_.want(7, kFront);
  views_.forget(7);
  EXPECT_EQ(next(7, 0), 0);
}

}  // namespace
}  // namespace nudge
