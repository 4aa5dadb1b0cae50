#include "nudge/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "nudge/random.h"

namespace nudge {
namespace {

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

TEST(Half, ConvertsTheLandmarks) {
  EXPECT_EQ(half_from_float(0.0f), 0x0000);
  EXPECT_EQ(half_from_float(-0.0f), 0x8000);
  EXPECT_EQ(half_from_float(1.0f), 0x3c00);
  EXPECT_EQ(half_from_float(-2.0f), 0xc000);
  EXPECT_EQ(half_from_float(65504.0f), 0x7bff);    // largest
  EXPECT_EQ(half_from_float(65519.996f), 0x7bff);  // still rounds down
  EXPECT_EQ(half_from_float(65520.0f), 0x7c00);    // the tie goes to infinity
  EXPECT_EQ(half_from_float(0x1p-14f), 0x0400);    // smallest normal
  EXPECT_EQ(half_from_float(0x1p-24f), 0x0001);    // smallest subnormal
  EXPECT_EQ(half_from_float(0x1p-25f), 0x0000);    // tie to even
  EXPECT_EQ(half_from_float(0x1.000002p-25f), 0x0001);
  EXPECT_EQ(half_from_float(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_EQ(half_from_float(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_TRUE(std::isnan(float_from_half(half_from_float(std::nanf("")))));
}

TEST(Half, GivesEveryHalfBackUnchanged) {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto half = static_cast<Half>(i);
    const bool nan = (i & 0x7c00) == 0x7c00 && (i & 0x3ff) != 0;
    const Half expected = nan ? static_cast<Half>(half | 0x200) : half;  // quiet
    ASSERT_EQ(half_from_float(float_from_half(half)), expected) << i;
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (std::uint32_t i = 0; i < 0x7bff; ++i) {
    const float low = float_from_half(static_cast<Half>(i));
    const float high = float_from_half(static_cast<Half>(i + 1));
    const float middle = low + (high - low) / 2;  // exact: a float has the bits to spare
    ASSERT_EQ(half_from_float(middle), i + (i & 1)) << i;
    ASSERT_EQ(half_from_float(std::nextafter(middle, low)), i) << i;
    ASSERT_EQ(half_from_float(std::nextafter(middle, high)), i + 1) << i;
  }
}

TEST(Half, ConvertsVectorsExactlyAsSingleNumbers) {
  Random random(3);
  std::vector<float> floats(4099);  // not a multiple of the vector width
  for (float& value : floats)
    value = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
  std::vector<Half> halves(floats.size());
  to_half(floats, halves);
  for (std::size_t i = 0; i < floats.size(); ++i) {
    ASSERT_EQ(halves[i], half_from_float(floats[i])) << bits(floats[i]);
  }
  std::vector<Half> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Half>(i);
  std::vector<float> back(all.size());
  to_float(all, back);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(bits(back[i]), bits(float_from_half(all[i]))) << i;
  }
}

}  // namespace
}  // namespace nudge
