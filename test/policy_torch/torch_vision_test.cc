#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nudge/random.h"
#include "policy/vision_backbone.h"
#include "policy/vision_trainer.h"
#include "test/support/golden.h"
#include "test/support/small_eyes.h"

namespace nudge {
namespace {

class VisionBackboneTest : public testing::Test {
 protected:
  VisionBackboneTest() {
    spec_.proprioception = {{"x", "m", -1, 1}, {"y", "m", -1, 1}};
    spec_.cameras = {{"wrist", 32, 16}, {"front", 16, 16}};
    bytes_ = *test::small_eyes().write();
  }
  Result<std::unique_ptr<Backbone>> load(VisionOptions options = {}) {
    return make_vision_backbone(bytes_, spec_, std::move(options));
  }
  static Observation observation() {
    Observation seen;
    seen.proprioception = {0.25F, -0.75F};
    for (const char* camera : {"front", "wrist"}) {
      Image image;
      image.camera = camera;
      image.width = std::string(camera) == "wrist" ? 32 : 16;
      image.height = 16;
      for (int i = 0; i < 3 * image.width * 16; ++i) {
        image.rgb.push_back(static_cast<std::uint8_t>(7 * i % 251));
      }
      seen.images.push_back(image);
    }
    return seen;
  }

  ObservationSpec spec_;
  std::vector<std::byte> bytes_;
};

TEST_F(VisionBackboneTest, MakesTheFeaturesThatItsFileSays) {
  auto backbone = load();
  ASSERT_TRUE(backbone.ok()) << backbone.status().message();
  EXPECT_EQ((*backbone)->feature_size(), 8u);
  EXPECT_EQ((*backbone)->cameras(), (std::vector<std::string>{"front", "wrist"}));
  const auto features = (*backbone)->encode(observation(), "go left");
  ASSERT_TRUE(features.ok()) << features.status().message();
  EXPECT_EQ(features->size(), 8u);
  EXPECT_EQ(*(*backbone)->encode(observation(), "go left"), *features);
}

// Written by test::small_eyes() when the format was new.
TEST_F(VisionBackboneTest, AFileThatWasMadeEarlierIsStillReadAndMakesTheSame) {
  const std::string text = test::old_golden("eyes.safetensors");
  const auto view = std::as_bytes(std::span(text));
  bytes_ = {view.begin(), view.end()};
  auto backbone = load();
  ASSERT_TRUE(backbone.ok()) << backbone.status().message();
  const auto features = (*backbone)->encode(observation(), "go left");
  ASSERT_TRUE(features.ok());
  const std::vector<float> then = {1.584209F,  0, 1.904932F,  0,
                                   0.9862628F, 0, 0.4676148F, 0.2234496F};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR((*features)[i], then[i], 1e-4) << i;
  // Recorded features are keyed by it: the same file for the same robot has the same one for ever.
  EXPECT_EQ((*backbone)->hash(),
            "34821d220c27a7f6c8a49622cb05abc2d200ad1e6531db43d2b5309be045d551");
}

TEST_F(VisionBackboneTest, AFirstLayerWithAStrideOfFourLooksAtLargerPictures) {
  spec_.cameras = {{"wrist", 32, 32}, {"front", 32, 32}};
  VisionFile file = test::small_eyes(1, 2, {.side = 32, .stride = 4});
  EXPECT_EQ(file.tensors["camera.0.0.weight"].size(), 16u * 3 * 7 * 7);
  bytes_ = *file.write();
  auto backbone = load();
  ASSERT_TRUE(backbone.ok()) << backbone.status().message();
  Observation seen = observation();
  for (Image& image : seen.images) {
    image.width = image.height = 32;
    image.rgb.assign(std::size_t{3} * 32 * 32, 9);
  }
  EXPECT_TRUE((*backbone)->encode(seen, "go left").ok());
  EXPECT_EQ(VisionFile::parse(bytes_)->spec.stride, 4u);
}

TEST_F(VisionBackboneTest, FeaturesDependOnEachCameraOnProprioceptionAndOnTheInstruction) {
  auto backbone = load();
  ASSERT_TRUE(backbone.ok());
  const auto features = *(*backbone)->encode(observation(), "go left");
  for (const std::size_t camera : {0u, 1u}) {
    Observation other = observation();
    for (std::uint8_t& v : other.images[camera].rgb) v = static_cast<std::uint8_t>(255 - v);
    EXPECT_NE(*(*backbone)->encode(other, "go left"), features) << camera;
  }
  Observation moved = observation();
  moved.proprioception[1] = 0.5F;
  EXPECT_NE(*(*backbone)->encode(moved, "go left"), features);
  EXPECT_NE(*(*backbone)->encode(observation(), "go right"), features);
  EXPECT_EQ(*(*backbone)->encode(observation(), "go left"), features);
}

TEST_F(VisionBackboneTest, SentencesThatItDoesNotKnowNeedTheEncoderOfItsFile) {
  int asked = 0;
  const EncodeSentence encode = [&](const std::string&) {
    ++asked;
    return Result<std::vector<float>>(std::vector<float>{0, 1, 0});
  };
  auto with = load({.decode = {}, .encode = encode, .encoder_hash = "an encoder"});
  auto without = load();
  auto another = load({.decode = {}, .encode = encode, .encoder_hash = "another"});
  ASSERT_TRUE(with.ok() && without.ok() && another.ok());
  const auto right = *(*without)->encode(observation(), "go right");
  const auto none = *(*without)->encode(observation(), "");
  EXPECT_EQ(*(*with)->encode(observation(), "to the right, please"), right);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(*(*without)->encode(observation(), "to the right, please"), none);
  EXPECT_EQ(*(*another)->encode(observation(), "to the right, please"), none);
  EXPECT_EQ(*(*with)->encode(observation(), "go right"), right);
  EXPECT_EQ(asked, 1);  // known: nobody is asked
}

TEST_F(VisionBackboneTest, TheHashIsOfEverythingThatDecidesTheFeatures) {
  const std::string hash = (*load())->hash();
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ((*load())->hash(), hash);
  const EncodeSentence encode = [](const std::string&) {
    return Result<std::vector<float>>(std::vector<float>{0, 1, 0});
  };
  EXPECT_NE((*load({.decode = {}, .encode = encode, .encoder_hash = "an encoder"}))->hash(), hash);
  spec_.proprioception[0].unit = "mm";
  EXPECT_NE((*load())->hash(), hash);
  spec_.proprioception[0].unit = "m";
  spec_.cameras[1].width = 32;
  EXPECT_NE((*load())->hash(), hash);
  spec_.cameras[1].width = 16;
  bytes_ = *test::small_eyes(2).write();
  EXPECT_NE((*load())->hash(), hash);
}

TEST_F(VisionBackboneTest, ARobotThatItWasNotTrainedForIsRefused) {
  spec_.cameras[0].height = 12;
  EXPECT_NE(load().status().message().find("at least 16 x 16 from camera 'wrist'"),
            std::string::npos);
  spec_.cameras = {{"front", 16, 16}};
  EXPECT_NE(load().status().message().find("looks at camera 'wrist'"), std::string::npos);
  spec_.cameras = {{"wrist", 32, 16}, {"front", 16, 16}};
  spec_.proprioception.pop_back();
  EXPECT_EQ(load().status().code(), Code::kInvalidArgument);
}

TEST_F(VisionBackboneTest, WithoutAPictureThereAreNoFeatures) {
  auto backbone = load();
  Observation seen = observation();
  seen.images.pop_back();
  EXPECT_EQ((*backbone)->encode(seen, "").status().code(), Code::kUnavailable);
  seen = observation();
  seen.proprioception[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE((*backbone)->encode(seen, "").ok());
}

// A white spot on black, seen by one camera: where it is, is to be told.
VisionExamples spots(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  VisionExamples examples;
  examples.size = count;
  for (std::size_t i = 0; i < count; ++i) {
    const auto x = static_cast<std::size_t>(random.uniform(2, 14));
    const auto y = static_cast<std::size_t>(random.uniform(2, 14));
    std::vector<std::uint8_t> picture(3 * 16 * 16, 0);
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t row = y - 1; row <= y + 1; ++row) {
        for (std::size_t column = x - 1; column <= x + 1; ++column) {
          picture[(c * 16 + row) * 16 + column] = 255;
        }
      }
    }
    examples.pictures.insert(examples.pictures.end(), picture.begin(), picture.end());
    examples.proprioception.push_back(static_cast<float>(random.uniform(-1, 1)));
    // "mirrored" turns the answer around.
    const bool mirrored = random.uniform() < 0.5;
    examples.sentence.push_back(mirrored ? 1 : 0);
    const double side = (mirrored ? -1 : 1) * (static_cast<double>(x) - 8) * 0.01;
    for (const double v : {side, (static_cast<double>(y) - 8) * 0.01, 0.0}) {
      examples.targets.push_back(static_cast<float>(v));
    }
    examples.targets.push_back(x > 8 ? 1.0F : 0.0F);
    examples.targets.push_back(std::numeric_limits<float>::quiet_NaN());
  }
  return examples;
}

class VisionTrainerTest : public testing::Test {
 protected:
  Result<std::unique_ptr<VisionTrainer>> trainer(std::size_t steps) {
    return VisionTrainer::make({.cameras = {"front"},
                                .side = 16,
                                .proprioception_size = 1,
                                .sentence_size = 2,
                                .hidden = 32,
                                .features = 16,
                                .encoder = "e",
                                .supervision = "spots"},
                               {.positions = 1, .flags = 1, .values = 1},
                               {.text = {"as it is", "mirrored"}, .vectors = {1, 0, 0, 1}},
                               {.seed = 3, .steps = steps, .batch = 32}, examples_);
  }
  const VisionExamples examples_ = spots(400, 1), held_out_ = spots(100, 2);
};

TEST_F(VisionTrainerTest, LearnsToTellWhereSomethingIsAndWhatTheSentenceMakesOfIt) {
  auto untrained = trainer(0);
  ASSERT_TRUE(untrained.ok()) << untrained.status().message();
  const VisionError before = *(*untrained)->error(held_out_);
  auto made = trainer(400);
  std::size_t told = 0;
  double loss = 0;
  ASSERT_TRUE((*made)
                  ->train(examples_,
                          [&](std::size_t step, double now) {
                            told = step;
                            loss = now;
                          })
                  .ok());
  EXPECT_EQ(told, 400u);
  EXPECT_GT(loss, 0);
  const VisionError after = *(*made)->error(held_out_);
  EXPECT_LT(after.near, 0.3 * before.near);
  EXPECT_LT(after.flags, 0.1);
  EXPECT_LT(after.values, 0);  // nobody knew them
}

TEST_F(VisionTrainerTest, WhatItWritesIsReadAndEqualInputGivesEqualBytes) {
  const auto bytes = [&] {
    auto made = trainer(5);
    EXPECT_TRUE((*made)->train(examples_, [](std::size_t, double) {}).ok());
    return *(*made)->file().write();
  };
  const auto first = bytes();
  EXPECT_EQ(bytes(), first);
  const auto read = VisionFile::parse(first);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->spec.supervision, "spots");
}

TEST_F(VisionTrainerTest, ExamplesThatDoNotFitAreRefused) {
  auto made = trainer(1);
  VisionExamples wrong = examples_;
  wrong.sentence[0] = 2;
  EXPECT_EQ((*made)->train(wrong, [](std::size_t, double) {}).code(), Code::kInvalidArgument);
  wrong = examples_;
  wrong.targets.pop_back();
  EXPECT_EQ((*made)->error(wrong).status().code(), Code::kInvalidArgument);
  EXPECT_FALSE((*made)->train({}, [](std::size_t, double) {}).ok());
}

}  // namespace
}  // namespace nudge
