#include "policy/vision_spec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "policy/picture.h"
#include "test/support/golden.h"
#include "test/support/small_eyes.h"

namespace nudge {
namespace {

void expect_refused(const Result<VisionFile>& file, const std::string& why) {
  ASSERT_FALSE(file.ok()) << why;
  EXPECT_NE(file.status().message().find(why), std::string::npos) << file.status().message();
}

std::vector<std::byte> with(const std::vector<std::byte>& bytes, const std::string& from,
                            const std::string& to) {
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_EQ(from.size(), to.size());
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

TEST(VisionSpec, AFileIsReadBackAsItWasWritten) {
  const VisionFile file = test::small_eyes();
  const auto bytes = file.write();
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  const auto read = VisionFile::parse(*bytes);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->spec, file.spec);
  EXPECT_EQ(read->known, file.known);
  for (const auto& [name, values] : file.tensors) {
    const auto& got = read->tensors.at(name);
    ASSERT_EQ(got.size(), values.size()) << name;
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(got[i], values[i], std::abs(values[i]) / 2048 + 3e-8) << name << ' ' << i;
    }
  }
  // Rounded once, and never again.
  EXPECT_EQ(*read->write(), *bytes);
}

TEST(VisionSpec, AFileIsWrittenAsItAlwaysWas) {
  const auto bytes = test::small_eyes(1, 2, {.stride = 4}).write();
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  const std::string text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  EXPECT_TRUE(test::golden("eyes-stride.safetensors", text) == text);
}

TEST(VisionSpec, HalvesAreRoundedToTheNearestAndBack) {
  VisionFile file = test::small_eyes();
  std::vector<float>& bias = file.tensors["features.bias"];
  ASSERT_GE(bias.size(), 8u);
  const std::vector<std::pair<float, float>> cases = {
      {1.0f, 1.0f},
      {-1.5f, -1.5f},
      {65504.0f, 65504.0f},
      {1.0f + 1.0f / 2048, 1.0f},  // half way: to the even one
      {1.0f + 3.0f / 2048, 1.0f + 4.0f / 2048},
      {2047.9f, 2048.0f},              // carries into the exponent
      {5.9604645e-8f, 5.9604645e-8f},  // the smallest
      {6.1035156e-5f * 0.9999f, 6.1035156e-5f},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) bias[i] = cases[i].first;
  const auto read = VisionFile::parse(*file.write());
  ASSERT_TRUE(read.ok());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(read->tensors.at("features.bias")[i], cases[i].second) << cases[i].first;
  }
}

TEST(VisionSpec, WhatAHalfCannotHoldIsNotWritten) {
  VisionFile file = test::small_eyes();
  file.tensors["features.bias"][0] = 1e6f;
  EXPECT_EQ(file.write().status().code(), Code::kInvalidArgument);
  file.tensors["features.bias"][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(file.write().status().code(), Code::kInvalidArgument);
  file.tensors.erase("features.bias");
  EXPECT_EQ(file.write().status().code(), Code::kInvalidArgument);
}

TEST(VisionSpec, BytesThatAreNoSuchFileAreRefused) {
  EXPECT_FALSE(VisionFile::parse({}).ok());
  EXPECT_FALSE(VisionFile::parse(std::vector<std::byte>(100)).ok());
  const std::vector<std::byte> whole = *test::small_eyes().write();
  EXPECT_FALSE(VisionFile::parse({whole.begin(), whole.end() - 1}).ok());
  expect_refused(VisionFile::parse(with(whole, "vision", "vicion")), "none of version 1");
  expect_refused(VisionFile::parse(with(whole, "\\\"side\\\":16", "\\\"side\\\":17")),
                 "multiple of 4 x stride");
  expect_refused(VisionFile::parse(with(whole, "\\\"side\\\":16", "\\\"side\\\":24")),
                 "another shape");
  expect_refused(VisionFile::parse(with(whole, "trunk.bias", "drunk.bias")),
                 "trunk.bias is missing");
  std::vector<std::byte> infinite = whole;
  infinite[infinite.size() - 2] = std::byte{0x00};  // the last half in the file
  infinite[infinite.size() - 1] = std::byte{0x7c};
  expect_refused(VisionFile::parse(infinite), "not finite");
}

TEST(VisionSpec, EachFieldHasBounds) {
  const auto refused = [](void (*change)(VisionSpec&)) {
    VisionSpec spec = test::small_eyes().spec;
    change(spec);
    return !spec.validate().ok();
  };
  EXPECT_TRUE(refused([](VisionSpec& s) { s.cameras.clear(); }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.cameras = {"a", "a"}; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.cameras = {""}; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.cameras.assign(5, "x"); }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.side = 8; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.side = 264; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.proprioception_size = 257; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.sentence_size = 0; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.hidden = 0; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.features = 513; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.stride = 3; }));
  EXPECT_TRUE(refused([](VisionSpec& s) { s.supervision.assign(1001, 'x'); }));
  EXPECT_FALSE(refused([](VisionSpec&) {}));
}

TEST(Picture, IsShrunkToTheMeanOfWhatEachPixelCovers) {
  // 4 x 2 to 2 x 2 would need a side that covers whole pixels: 4 columns, 2 rows.
  std::vector<std::uint8_t> rgb;
  for (int i = 0; i < 8; ++i) {
    for (int c = 0; c < 3; ++c) rgb.push_back(static_cast<std::uint8_t>(10 * i + c));
  }
  std::vector<std::uint8_t> out(12);
  shrink(rgb, 4, 2, 2, out);
  EXPECT_EQ(out, (std::vector<std::uint8_t>{5, 25, 45, 65, 6, 26, 46, 66, 7, 27, 47, 67}));
}

TEST(Picture, OfTheSameSizeIsOnlyTurnedIntoPlanes) {
  std::vector<std::uint8_t> rgb = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::vector<std::uint8_t> out(12);
  shrink(rgb, 2, 2, 2, out);
  EXPECT_EQ(out, (std::vector<std::uint8_t>{1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12}));
}

}  // namespace
}  // namespace nudge
