#include "src/ports/openpi_map.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace nudge {
namespace {

OpenpiMap map_of(OpenpiMapOptions options) {
  auto map = OpenpiMap::make(options);
  EXPECT_TRUE(map.ok()) << map.status().message();
  return *std::move(map);
}

// One channel of each kind, ten steps a second.
OpenpiMap one_of_each() {
  return map_of({.preset = "libero",
                 .robot = "arm",
                 .cameras = "none",
                 .state = "joint=s[0]:rad:-1:1 grip=s[1]:1:0:1",
                 .actions = "tool:rate:m/s:0.5:2 joint:position:rad/s:1 grip:command:1/s:2:0:1",
                 .hz = 10,
                 .horizon = 4});
}

OpenpiChunk chunk_of(std::vector<double> numbers) {
  const std::size_t rows = numbers.size() / 3;
  return make_openpi_chunk(rows, 3, std::move(numbers), "<f8");
}

TEST(OpenpiMap, KnowsTheConventionsOfOpenpisExamples) {
  const struct {
    const char* preset;
    std::size_t state, columns, cameras, horizon;
    double hz;
  } kPresets[] = {
      {"droid", 8, 8, 2, 10, 15}, {"libero", 8, 7, 2, 10, 20}, {"aloha", 14, 14, 4, 50, 50}};
  for (const auto& preset : kPresets) {
    const OpenpiMap map = map_of({.preset = preset.preset});
    EXPECT_EQ(map.spec().id, preset.preset);
    EXPECT_EQ(map.spec().observation.proprioception.size(), preset.state);
    EXPECT_EQ(map.columns().size(), preset.columns);
    EXPECT_EQ(map.cameras().size(), preset.cameras);
    EXPECT_EQ(map.horizon(), preset.horizon);
    EXPECT_NEAR(1 / map.step_seconds(), preset.hz, 1e-6);
    EXPECT_LE(map.spec().control_period, std::chrono::milliseconds(20));
    EXPECT_EQ(map.spec().policy_period % map.spec().control_period, Duration::zero());
  }
}

TEST(OpenpiMap, SaysWhichItemCannotBeRead) {
  const auto why = [](OpenpiMapOptions options) {
    return OpenpiMap::make(options).status().message();
  };
  EXPECT_NE(why({.preset = "panda"}).find("'panda'"), std::string::npos);
  EXPECT_NE(why({.cameras = "front=image"}).find("'front=image'"), std::string::npos);
  EXPECT_NE(why({.state = "x=s:m:0:1"}).find("'x=s:m:0:1'"), std::string::npos);
  EXPECT_NE(why({.state = "x=s[0]:m:1:0"}).find("openpi.state"), std::string::npos);
  EXPECT_NE(why({.actions = "x:rate:m/s:0:1"}).find("openpi.actions"), std::string::npos);
  EXPECT_NE(why({.actions = "x:position:m/s:1"}).find("a number of that name"), std::string::npos);
  EXPECT_NE(why({.actions = "x:jump:m/s:1:1"}).find("'x:jump:m/s:1:1'"), std::string::npos);
  EXPECT_FALSE(OpenpiMap::make({.horizon = 65}).ok());
}

TEST(OpenpiMap, RatesAreWhatAChunkAsksOfEachChannel) {
  const OpenpiMap map = one_of_each();
  const std::vector<double> rest = {0, 0.2, 0.5};
  // Half of the full rate; 0.05 rad in 0.1 s; a gripper that jumps shut, and needs 0.25 s for it.
  const std::vector<float> rates =
      map.rates(chunk_of({1, 0.25, 1, -2, 0.25, 1, 0, 0.25, 1, 0, 0.25, 1}), rest);
  const std::vector<float> expected = {0.5f, 0.5f, 1.0f, -1.0f, 0, 1.0f, 0, 0, 0.5f, 0, 0, 0};
  ASSERT_EQ(rates.size(), expected.size());
  for (std::size_t i = 0; i < rates.size(); ++i) EXPECT_NEAR(rates[i], expected[i], 1e-6) << i;
}

TEST(OpenpiMap, AChunkMovesAtItsRatesAndThenStays) {
  const OpenpiMap map = one_of_each();
  const std::vector<double> stay = {0, 0.2, 0.5};
  const OpenpiChunk chunk = map.chunk(std::vector<float>{0.5f, 1, -1, 0.5f, 1, -1}, stay, "<f4");
  EXPECT_EQ(chunk.dtype, "<f4");
  const std::vector<double> expected = {1, 0.3, 0.3, 1, 0.4, 0.1, 0, 0.4, 0.1, 0, 0.4, 0.1};
  ASSERT_EQ(chunk.numbers.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(chunk.numbers[i], expected[i], 1e-6) << i;
}

TEST(OpenpiMap, PositionsEndAtTheirBoundsAndNothingIsThrownBackInside) {
  const OpenpiMap map = one_of_each();
  const std::vector<float> rates(12, 1.0f);
  EXPECT_DOUBLE_EQ(map.chunk(rates, std::vector<double>{0, 0.95, 0.9}, "<f8").numbers[10], 1.0);
  EXPECT_DOUBLE_EQ(map.chunk({}, std::vector<double>{0, 1.5, 0}, "<f8").numbers[1], 1.5);
}

TEST(OpenpiMap, RatesAndChunksAreEachOthersInverse) {
  const OpenpiMap map = one_of_each();
  const std::vector<float> state = {0.1f, 0.5f};
  const std::vector<float> rates = {0.1f, -0.2f, 0.3f, 0.4f, 0.5f, -0.6f,
                                    0.7f, -0.8f, 0.2f, 0,    0.1f, 0};
  const OpenpiChunk chunk = map.chunk(rates, map.rest(state, {}), "<f8");
  const std::vector<float> back = map.rates(chunk, map.rest(state, {}));
  for (std::size_t i = 0; i < rates.size(); ++i) EXPECT_NEAR(back[i], rates[i], 1e-5) << i;
}

TEST(OpenpiMap, AnEditOfNothingChangesNoBit) {
  const OpenpiMap map = one_of_each();
  const std::vector<double> rest = {0, 0.2, 0.5};
  const OpenpiChunk chunk = chunk_of({0.1, 0.3, 1, 0.7, 0.4, 0, 0.3, 0.45, 0, 0.2, 0.5, 0.9});
  const std::vector<float> rates = map.rates(chunk, rest);
  EXPECT_EQ(map.edited(chunk, rates, rates, rest)->bytes, chunk.bytes);
}

TEST(OpenpiMap, AnEditMovesRatesAndPositionsByWhatItAdds) {
  const OpenpiMap map = one_of_each();
  const std::vector<double> rest = {0, 0.2, 0.5};
  const OpenpiChunk chunk = chunk_of({0.2, 0.3, 1, 0.2, 0.4, 1, 0.2, 0.4, 1, 0.2, 0.99, 1});
  const std::vector<float> rates = map.rates(chunk, rest);
  std::vector<float> edit = rates;
  for (std::size_t i = 0; i < edit.size(); i += 3) {
    edit[i] += 0.25f;     // of 2
    edit[i + 1] += 0.5f;  // of 0.1 rad a step
  }
  const OpenpiChunk edited = *map.edited(chunk, rates, edit, rest);
  // Positions add up, and end at their bound.
  const std::vector<double> expected = {0.7, 0.35, 1, 0.7, 0.5, 1, 0.7, 0.55, 1, 0.7, 1, 1};
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(edited.numbers[i], expected[i], 1e-6) << i;
}

TEST(OpenpiMap, AnEditKeepsAGripperShutThatTheUpstreamOpens) {
  const OpenpiMap map = one_of_each();
  const std::vector<double> rest = {0, 0.2, 1};  // it was told to be shut
  const OpenpiChunk chunk = chunk_of({0, 0.2, 0, 0, 0.2, 0, 0, 0.2, 0, 0, 0.2, 0});
  const std::vector<float> rates = map.rates(chunk, rest);
  EXPECT_FLOAT_EQ(rates[2], -1);
  std::vector<float> edit = rates;
  for (std::size_t i = 2; i < edit.size(); i += 3) edit[i] = 0.01f;
  const OpenpiChunk shut = *map.edited(chunk, rates, edit, rest);
  for (std::size_t i = 2; i < edit.size(); i += 3) EXPECT_DOUBLE_EQ(shut.numbers[i], 1) << i;
  // A trace of an edit is none.
  for (std::size_t i = 2; i < edit.size(); i += 3) edit[i] = rates[i] + 0.05f;
  EXPECT_EQ(map.edited(chunk, rates, edit, rest)->bytes, chunk.bytes);
}

TEST(OpenpiMap, WhatIsWithinTheLimitsIsNotTouched) {
  const OpenpiMap map = one_of_each();
  const std::vector<float> state = {0.2f, 0.5f};
  const std::vector<double> most(3, 1.0);
  const OpenpiChunk chunk = chunk_of({2, 0.3, 1, -2, 0.4, 0});
  const OpenpiScreened same = *map.screen(chunk, state, most, 0.1);
  EXPECT_TRUE(same.as_is);
  EXPECT_EQ(same.chunk.bytes, chunk.bytes);
}

TEST(OpenpiMap, WhatIsTooFastIsCutAndSaid) {
  const OpenpiMap map = one_of_each();
  const std::vector<float> state = {0.2f, 0.5f};
  const std::vector<double> most = {0.5, 1, 1};
  const OpenpiScreened cut = *map.screen(chunk_of({2, 0.6, 3, 0, 0.6, 0}), state, most, 0.1);
  EXPECT_FALSE(cut.as_is);
  const std::vector<double> expected = {1, 0.3, 1, 0, 0.4, 0};
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(cut.chunk.numbers[i], expected[i], 1e-6) << i;
}

TEST(OpenpiMap, WhatIsCutIsNotRoundedBeyondTheLimit) {
  const OpenpiMap map = one_of_each();
  const std::vector<float> state = {0.2f, 0.5f};
  const std::vector<double> most = {0.3333, 0.777, 1};
  for (const char* dtype : {"<f2", ">f2", "<f4", "<f8"}) {
    const auto too_fast =
        make_openpi_chunk(4, 3, {2, 0.9, 0, -2, 0.9, 0, 2, -0.9, 0, -2, -0.9, 0}, dtype);
    const OpenpiScreened cut = *map.screen(too_fast, state, most, 0.1);
    double before = double{state[0]};
    for (std::size_t r = 0; r < 4; ++r) {
      const double rate = cut.chunk.numbers[3 * r], joint = cut.chunk.numbers[3 * r + 1];
      EXPECT_LE(std::abs(rate), 2 * most[0]) << dtype;
      EXPECT_NEAR(std::abs(rate), 2 * most[0], 1e-3) << dtype;
      EXPECT_LE(std::abs(joint - before), 0.1 * most[1] + 1e-15) << dtype;
      before = joint;
    }
    const OpenpiChunk read = make_openpi_chunk(4, 3, cut.chunk.numbers, dtype);
    EXPECT_EQ(read.bytes, cut.chunk.bytes) << "what is told is what is sent";
  }
}

TEST(OpenpiMap, RatesOfAChunkAreNotRoundedUp) {
  const OpenpiMap map = one_of_each();
  const OpenpiChunk chunk =
      map.chunk(std::vector<float>{0.3333f, 0, 0}, std::vector<double>{0, 0.2, 0.5}, "<f2");
  EXPECT_LE(chunk.numbers[0], 2 * double{0.3333f});
}

TEST(OpenpiMap, WhatIsNotFiniteIsNeitherScreenedNorEdited) {
  const OpenpiMap map = one_of_each();
  const std::vector<float> state = {0.2f, 0.5f};
  const std::vector<double> most(3, 1.0), rest = {0, 0.2, 0.5};
  const double nan = std::nan("");
  for (std::size_t column = 0; column < 3; ++column) {
    std::vector<double> numbers = {0, 0.2, 0};
    numbers[column] = nan;
    EXPECT_FALSE(map.screen(chunk_of(numbers), state, most, 0.1).ok()) << column;
    numbers[column] = INFINITY;
    EXPECT_FALSE(map.screen(chunk_of(numbers), state, most, 0.1).ok()) << column;
    std::vector<float> edit(3, 0.0f);
    edit[column] = std::nanf("");
    EXPECT_FALSE(map.edited(chunk_of({0, 0.2, 0}), std::vector<float>(3), edit, rest).ok())
        << column;
  }
  // Finite, and beyond what half precision can hold.
  const OpenpiChunk half = make_openpi_chunk(1, 3, {0, 0.2, 0}, "<f2");
  const auto edited =
      map.edited(half, std::vector<float>(3), std::vector<float>{60000, 0, 0}, rest);
  ASSERT_TRUE(edited.ok());
  EXPECT_FALSE(map.screen(*edited, state, most, 0.1).ok());
}

TEST(OpenpiMap, AnEditOfAnotherSizeIsRefused) {
  const OpenpiMap map = one_of_each();
  const std::vector<double> rest = {0, 0.2, 0.5};
  const OpenpiChunk chunk = chunk_of({0, 0.2, 0, 0, 0.2, 0});
  const std::vector<float> rates = map.rates(chunk, rest);
  EXPECT_FALSE(map.edited(chunk, rates, std::vector<float>(3), rest).ok());
  EXPECT_FALSE(map.edited(chunk, rates, std::vector<float>(9), rest).ok());
  EXPECT_FALSE(map.edited(chunk, std::vector<float>(3), rates, rest).ok());
  EXPECT_TRUE(map.edited(chunk, rates, rates, rest).ok());
}

TEST(OpenpiMap, RestIsMeasuredAndAGripperKeepsWhatItWasTold) {
  const OpenpiMap map = one_of_each();
  const std::vector<float> state = {0.25f, 0.5f};
  EXPECT_EQ(map.rest(state, {}), (std::vector<double>{0, 0.25, 0.5}));
  EXPECT_EQ(map.rest(state, std::vector<double>{9, 0.75, 1}), (std::vector<double>{0, 0.25, 1}));
}

}  // namespace
}  // namespace nudge
