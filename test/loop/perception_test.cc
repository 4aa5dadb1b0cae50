#include "src/loop/perception.h"

#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <cstdlib>
#include <string>
#include "test/support/test_data.h"

namespace nudge {
namespace {

// A picture of one colour, as a camera would send it.
std::vector<std::uint8_t> jpeg(int width, int height, std::uint8_t red, std::uint8_t green,
                               std::uint8_t blue) {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < width * height; ++i) pixels.insert(pixels.end(), {red, green, blue});
  const tjhandle writer = tjInitCompress();
  unsigned char* out = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(writer, pixels.data(), width, 0, height, TJPF_RGB, &out, &size, TJSAMP_444,
                        95, 0),
            0);
  std::vector<std::uint8_t> bytes(out, out + size);
  tjFree(out);
  tjDestroy(writer);
  return bytes;
}

TEST(PerceptionTest, WithoutABackboneOfTheOperatorsTheObjectStateIsSeen) {
  Config config;
  RobotSpec robot;
  robot.observation.object_state = {{"block_x", "m", 0, 1}, {"block_y", "m", 0, 1}};
  const auto backbone = make_backbone(config, robot.observation);
  ASSERT_TRUE(backbone.ok());
  EXPECT_EQ((*backbone)->feature_size(), 2u);
  EXPECT_FALSE(looks_at_cameras(config));
}

class FilePerceptionTest : public testing::Test {
 protected:
  FilePerceptionTest() {
    config_.policy.backbone = test::test_data() + "/backbone.pt";
    robot_.proprioception = {{"x", "m", -1, 1}, {"y", "m", -1, 1}};
    robot_.cameras = {{"front", 4, 3}};
    seen_.proprioception = {0.25F, -0.75F};
  }
  Result<std::vector<float>> features_of(const std::vector<std::uint8_t>& jpeg) {
    auto backbone = make_backbone(config_, robot_);
    if (!backbone.ok()) return backbone.status();
    Image front;
    front.camera = "front";
    front.width = 4;
    front.height = 3;
    front.jpeg = jpeg;
    seen_.images = {front};
    return (*backbone)->encode(seen_, "lift it");
  }

  Config config_;
  ObservationSpec robot_;
  Observation seen_;
};

TEST_F(FilePerceptionTest, TheFileThatTheConfigurationNamesIsLoadedOrMissed) {
  EXPECT_TRUE(looks_at_cameras(config_));
  const auto found = make_backbone(config_, robot_);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ((*found)->cameras(), std::vector<std::string>{"front"});

  config_.policy.backbone = "/nowhere/backbone.pt";
  const auto missed = make_backbone(config_, robot_);
  EXPECT_EQ(missed.status().code(), Code::kNotFound);
  EXPECT_NE(missed.status().message().find("/nowhere/backbone.pt"), std::string::npos);
}

TEST_F(FilePerceptionTest, APictureIsSeenAsItIsStored) {
  const auto features = features_of(jpeg(4, 3, 200, 100, 50));
  ASSERT_TRUE(features.ok()) << features.status().message();
  EXPECT_NEAR((*features)[0], 200 / 255.0, 0.02);
  EXPECT_NEAR((*features)[1], 100 / 255.0, 0.02);
  EXPECT_NEAR((*features)[2], 50 / 255.0, 0.02);
}

TEST_F(FilePerceptionTest, APictureOfAnotherSizeOrADamagedOneIsRefused) {
  const auto other = features_of(jpeg(16, 8, 1, 2, 3));
  EXPECT_EQ(other.status().code(), Code::kInvalidArgument);
  EXPECT_NE(other.status().message().find("16 x 8"), std::string::npos) << other.status().message();
  std::vector<std::uint8_t> damaged = jpeg(4, 3, 1, 2, 3);
  damaged.resize(20);
  EXPECT_EQ(features_of(damaged).status().code(), Code::kInvalidArgument);
}

TEST_F(FilePerceptionTest, APolicyThatDoesNotListenHearsNothingWhateverIsSaid) {
  config_.policy.instruction_size = 4;
  config_.words.encoder = "none";
  const auto hash = [&] { return (*make_backbone(config_, robot_))->hash(); };
  const auto told = features_of(jpeg(4, 3, 200, 100, 50));
  const std::string listens = hash();
  config_.policy.listens = false;
  const auto untold = features_of(jpeg(4, 3, 200, 100, 50));
  ASSERT_TRUE(told.ok() && untold.ok());
  EXPECT_EQ(untold->size(), told->size());
  EXPECT_NE(*untold, *told);
  EXPECT_NE(hash(), listens);
}

TEST_F(FilePerceptionTest, TheInstructionStandsBehindWhatTheEyesSee) {
  config_.words.encoder = "none";
  config_.policy.instruction_size = 5;
  const auto backbone = make_backbone(config_, robot_);
  ASSERT_TRUE(backbone.ok());
  EXPECT_EQ((*backbone)->feature_size(), 6u + 5u);
}

}  // namespace
}  // namespace nudge
