// Files are made here by LibTorch itself; backbone.pt was exported by scripts/export_backbone.py
// under PyTorch 1.13.
#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/version.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "policy/script_backbone.h"
#include "test/support/golden.h"

namespace nudge {
namespace {

constexpr const char* kForward = R"(
def forward(self, pictures: List[Tensor], proprioception: Tensor, instruction: str) -> Tensor:
    means = torch.mean(pictures[0].float(), [0, 1]) / 255.0
    return torch.cat([means, proprioception, torch.tensor([float(len(instruction))])])
)";
// Of the probe, 4 x 3 pixels: (7 x + 13 y + 29 c + x y) mod 256; proprioception -0.5, -0.4.
constexpr const char* kAbout =
    R"({"nudge_backbone": 1, "features": 6, "proprioception": 2,
        "cameras": [{"name": "front", "width": 4, "height": 3}],
        "probe": [0.0980392157, 0.2117647059, 0.3254901961, -0.5, -0.4, 5.0]})";

std::string archive(const std::string& forward, const std::string& about) {
  torch::jit::Module module("Backbone");
  module.define(forward);
  std::ostringstream out;
  torch::jit::ExtraFilesMap extra;
  if (!about.empty()) extra["nudge.json"] = about;
  module.save(out, extra);
  return out.str();
}

class TorchBackboneTest : public testing::Test {
 protected:
  TorchBackboneTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("nudge-backbone-" + std::to_string(::getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    spec_.proprioception = {{"x", "m", -1, 1}, {"y", "m", -1, 1}};
    spec_.cameras = {{"wrist", 8, 8}, {"front", 4, 3}};
  }
  ~TorchBackboneTest() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& bytes, const std::string& name = "backbone.pt") {
    const std::string path = folder_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  Result<std::unique_ptr<Backbone>> load(const std::string& bytes, DecodeJpeg decode = {},
                                         DeviceUse use = DeviceUse::kCpu) {
    return make_script_backbone(file(bytes), spec_, std::move(decode), use);
  }
  static Observation observation() {
    Observation seen;
    seen.proprioception = {0.25F, -0.75F};
    Image front;
    front.camera = "front";
    front.width = 4;
    front.height = 3;
    front.rgb.assign(36, 0);
    for (std::size_t i = 0; i < 36; i += 3) front.rgb[i] = 255;  // red
    seen.images = {front};
    return seen;
  }
  void expect_refused(const std::string& bytes, const std::string& why,
                      Code code = Code::kInvalidArgument) {
    const auto loaded = load(bytes);
    ASSERT_FALSE(loaded.ok()) << why;
    EXPECT_EQ(loaded.status().code(), code) << loaded.status().message();
    EXPECT_NE(loaded.status().message().find(why), std::string::npos) << loaded.status().message();
    EXPECT_NE(loaded.status().message().find("backbone.pt"), std::string::npos);
  }

  std::filesystem::path folder_;
  ObservationSpec spec_;
};

TEST_F(TorchBackboneTest, MakesFeaturesOfPicturesProprioceptionAndInstruction) {
  auto backbone = load(archive(kForward, kAbout));
  ASSERT_TRUE(backbone.ok()) << backbone.status().message();
  EXPECT_EQ((*backbone)->feature_size(), 6u);
  EXPECT_EQ((*backbone)->cameras(), std::vector<std::string>{"front"});
  const auto features = (*backbone)->encode(observation(), "lift it");
  ASSERT_TRUE(features.ok()) << features.status().message();
  EXPECT_EQ(*features, (std::vector<float>{1, 0, 0, 0.25F, -0.75F, 7}));
}

TEST_F(TorchBackboneTest, AFileThatWasMadeEarlierIsStillReadAndMakesTheSame) {
  auto backbone = load(test::old_golden("backbone.pt"));
  ASSERT_TRUE(backbone.ok()) << backbone.status().message();
  EXPECT_EQ(*(*backbone)->encode(observation(), ""),
            (std::vector<float>{1, 0, 0, 0.25F, -0.75F, 0}));
  // Recorded features are keyed by it: the same file for the same robot has the same one for ever.
  EXPECT_EQ((*backbone)->hash(),
            "dc72084ed6c2e02dfbd9698cf8fbd60669d9c52a07ace474451a7aa71e57abd8");
}

TEST_F(TorchBackboneTest, TheHashIsOfTheFileAndOfWhatTheRobotMeasures) {
  const std::string bytes = archive(kForward, kAbout);
  const std::string hash = (*load(bytes))->hash();
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ((*load(bytes))->hash(), hash);
  spec_.proprioception[0].unit = "mm";
  EXPECT_NE((*load(bytes))->hash(), hash);
  spec_.proprioception[0].unit = "m";
  std::string other = kForward;
  other.replace(other.find("255.0"), 5, "255.5");
  EXPECT_NE((*load(archive(other, kAbout)))->hash(), hash);
}

TEST_F(TorchBackboneTest, APictureIsReadFromItsJpegWhereItHasOne) {
  int asked = 0;
  auto backbone = load(
      archive(kForward, kAbout), [&](std::span<const std::uint8_t> jpeg, int width, int height) {
        ++asked;
        EXPECT_EQ(jpeg.size(), 5u);
        EXPECT_EQ(width * height, 12);
        return Result<std::vector<std::uint8_t>>(std::vector<std::uint8_t>(36, 51));
      });
  Observation seen = observation();
  seen.images[0].jpeg.assign(5, 1);
  const auto features = (*backbone)->encode(seen, "");
  ASSERT_TRUE(features.ok());
  EXPECT_EQ(asked, 1);
  EXPECT_NEAR((*features)[0], 0.2, 1e-6);
}

TEST_F(TorchBackboneTest, WithoutAPictureOfACameraThereAreNoFeatures) {
  auto backbone = load(archive(kForward, kAbout));
  Observation seen = observation();
  seen.images.clear();
  EXPECT_EQ((*backbone)->encode(seen, "").status().code(), Code::kUnavailable);
  seen = observation();
  seen.images[0].rgb.pop_back();
  EXPECT_EQ((*backbone)->encode(seen, "").status().code(), Code::kInvalidArgument);
  seen = observation();
  seen.proprioception.pop_back();
  EXPECT_EQ((*backbone)->encode(seen, "").status().code(), Code::kInvalidArgument);
}

TEST_F(TorchBackboneTest, FeaturesThatAreNotFiniteAreRefused) {
  auto backbone = load(archive(kForward, kAbout));
  Observation seen = observation();
  seen.proprioception[0] = std::nanf("");
  EXPECT_FALSE((*backbone)->encode(seen, "").ok());
}

TEST_F(TorchBackboneTest, AFileThatIsNoneOrIsDamagedIsRefused) {
  const auto none = make_script_backbone(folder_ / "nothing.pt", spec_, {});
  EXPECT_EQ(none.status().code(), Code::kNotFound);
  expect_refused("", "is no TorchScript");
  expect_refused("hello", "is no TorchScript");
  const std::string whole = archive(kForward, kAbout);
  expect_refused(whole.substr(0, whole.size() / 2), "is no TorchScript");
}

TEST_F(TorchBackboneTest, ItSaysWhatItTakesAndGivesOrIsRefused) {
  expect_refused(archive("def forward(self, x: Tensor) -> Tensor:\n    return x\n", kAbout),
                 "forward(self, pictures: List[Tensor], proprioception: Tensor, instruction: str)");
  expect_refused(archive("def encode(self, x: Tensor) -> Tensor:\n    return x\n", kAbout),
                 "has no forward");
  expect_refused(archive(kForward, ""), "no extra file nudge.json");
  expect_refused(archive(kForward, "{}"), "version 1");
  expect_refused(archive(kForward, "[[[["), "version 1");
  std::string about = kAbout;
  about.replace(about.find("\"features\": 6"), 13, "\"features\": 0");
  expect_refused(archive(kForward, about), "1 to 512 features");
  about = kAbout;
  about.replace(about.find("\"probe\": [0.09"), 14, "\"prone\": [0.09");
  expect_refused(archive(kForward, about), "nudge.json cannot be read");
}

TEST_F(TorchBackboneTest, OneThatMakesAnotherNumberOfFeaturesThanItSaysIsRefused) {
  std::string about = kAbout;
  about.replace(about.find("\"features\": 6"), 13, "\"features\": 5");
  about.replace(about.find(", 5.0]"), 6, "]");
  expect_refused(archive(kForward, about), "made 6 features, and says that it makes 5");
}

TEST_F(TorchBackboneTest, OneThatMakesOtherFeaturesOfItsProbeHereIsRefused) {
  std::string about = kAbout;
  about.replace(about.find("-0.4, 5.0"), 9, "-0.4, 5.5");
  expect_refused(archive(kForward, about), "makes other features of its probe here");
}

TEST_F(TorchBackboneTest, WhatTheRobotLacksIsNamed) {
  spec_.cameras = {{"wrist", 8, 8}};
  expect_refused(archive(kForward, kAbout), "looks at camera 'front'");
  spec_.cameras = {{"front", 8, 8}};
  expect_refused(archive(kForward, kAbout), "takes pictures of 4 x 3");
  spec_.cameras = {{"front", 4, 3}};
  spec_.proprioception.pop_back();
  expect_refused(archive(kForward, kAbout), "takes 2 values of proprioception, the robot has 1");
}

// Written by PyTorch 2.6, with an operator that came with 2.0.
TEST_F(TorchBackboneTest, AnOperatorOfANewerLibTorchIsNamedAndSoIsTheWayOut) {
  const auto loaded = load(test::old_golden("backbone-newer.pt"));
#if TORCH_VERSION_MAJOR >= 2
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
#else
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), Code::kUnimplemented);
  for (const char* words : {"aten::scaled_dot_product_attention", "needs a newer LibTorch",
                            TORCH_VERSION, "backbone.pt"}) {
    EXPECT_NE(loaded.status().message().find(words), std::string::npos)
        << loaded.status().message();
  }
#endif
}

// ---- where it computes ------------------------------------------------------------------------

// The same as kForward, with all its tensors where what it is given is.
std::string forward_anywhere() {
  std::string forward = kForward;
  const std::string own = "torch.tensor([float(len(instruction))])";
  forward.replace(forward.find(own), own.size(),
                  "torch.full([1], float(len(instruction)), device=proprioception.device)");
  return forward;
}

TEST_F(TorchBackboneTest, WithoutAGpuAutoIsTheCpuAndCudaIsRefused) {
  if (gpu_is_there()) GTEST_SKIP() << "there is a GPU";
  const std::string bytes = archive(forward_anywhere(), kAbout);
  EXPECT_TRUE(load(bytes, {}, DeviceUse::kAuto).ok());
  EXPECT_EQ(inspect_script_backbone(file(bytes), DeviceUse::kAuto)->device, TorchDevice::kCpu);
  const auto refused = load(bytes, {}, DeviceUse::kCuda);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(refused.status().message().find("policy.device"), std::string::npos);
}

TEST_F(TorchBackboneTest, OnAGpuItMakesTheSameFeaturesUnderTheSameHash) {
  if (!gpu_is_there()) GTEST_SKIP() << "there is no GPU";
  const std::string bytes = archive(forward_anywhere(), kAbout);
  EXPECT_EQ(inspect_script_backbone(file(bytes), DeviceUse::kAuto)->device, TorchDevice::kCuda);
  auto there = load(bytes, {}, DeviceUse::kCuda);
  ASSERT_TRUE(there.ok()) << there.status().message();
  auto here = load(bytes);
  EXPECT_EQ((*there)->hash(), (*here)->hash());
  const auto features = (*there)->encode(observation(), "lift it");
  ASSERT_TRUE(features.ok()) << features.status().message();
  const auto expected = *(*here)->encode(observation(), "lift it");
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR((*features)[i], expected[i], 1e-4);
}

TEST_F(TorchBackboneTest, OneThatMakesItsTensorsOnTheCpuStaysThere) {
  if (!gpu_is_there()) GTEST_SKIP() << "there is no GPU";
  const std::string bytes = archive(kForward, kAbout);
  EXPECT_EQ(inspect_script_backbone(file(bytes), DeviceUse::kAuto)->device, TorchDevice::kCpu);
  EXPECT_EQ(load(bytes, {}, DeviceUse::kCuda).status().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace nudge
