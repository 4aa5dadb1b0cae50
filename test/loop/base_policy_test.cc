#include "src/loop/base_policy.h"

#include <gtest/gtest.h>

#include "src/sim/burner_level.h"

namespace nudge {
namespace {

TEST(DemonstratorOptions, ShowThePartOfTheLevelAndNoHasteByDefault) {
  const DemonstratorOptions options = demonstrator_options(Config{}, burner_level());
  EXPECT_FALSE(options.region.has_value());
  EXPECT_EQ(options.hand.hasty_share, 0);
}

TEST(DemonstratorOptions, ShowAllOfTheLevelWhereTheConfigurationSaysEverywhere) {
  Config config;
  config.demo.everywhere = true;
  const DemonstratorOptions options = demonstrator_options(config, burner_level());
  ASSERT_TRUE(options.region.has_value());
  const StartRegion& whole = burner_level().data().starts;
  EXPECT_EQ(options.region->x_min, whole.x_min);
  EXPECT_EQ(options.region->x_max, whole.x_max);
  EXPECT_EQ(options.region->y_min, whole.y_min);
  EXPECT_EQ(options.region->y_max, whole.y_max);
}

TEST(DemonstratorOptions, AreAsHastyAsTheConfigurationSays) {
  Config config;
  config.demo.hasty_share = 0.75;
  EXPECT_EQ(demonstrator_options(config, burner_level()).hand.hasty_share, 0.75);
}

}  // namespace
}  // namespace nudge
