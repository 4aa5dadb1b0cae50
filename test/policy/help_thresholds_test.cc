#include "policy/help_thresholds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "nudge/random.h"

namespace nudge {
namespace {

// Signs that depend on each other a little, as those of an episode do.
std::vector<HelpScored> episodes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<HelpScored> all;
  for (std::size_t i = 0; i < count; ++i) {
    const double hard = random.uniform();
    all.push_back({0.2 + 0.2 * hard + 0.1 * random.uniform(), 0.1 - 0.05 * hard * random.uniform(),
                   4 + 2 * hard + random.uniform()});
  }
  return all;
}

std::size_t asked(const std::vector<HelpScored>& all, const HelpThresholds& thresholds) {
  std::size_t count = 0;
  for (const HelpScored& episode : all) count += passes(episode, thresholds) ? 1 : 0;
  return count;
}

TEST(HelpThresholds, AskInAtMostTheGivenShareOfFurtherSuccesses) {
  for (const double share : {0.05, 0.1, 0.3}) {
    std::size_t wrong = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      wrong += asked(episodes(50, 1000 + seed), help_thresholds(episodes(60, seed), share));
    }
    const double rate = static_cast<double>(wrong) / (200 * 50);
    // The rank that all signs share is chosen on the same episodes, which costs a little.
    EXPECT_LT(rate, share * 1.25) << share;
    EXPECT_GT(rate, share * 0.5) << share << ": more careful than it needs to be";
  }
}

TEST(HelpThresholds, EachSignAloneMayUseAllOfTheFalseAlarms) {
  const auto all = episodes(99, 3);
  for (const HelpSigns& signs : {HelpSigns{true, false, false}, HelpSigns{false, true, false},
                                 HelpSigns{false, false, true}}) {
    EXPECT_EQ(asked(all, help_thresholds(all, 0.1, signs)), 9u);
  }
  EXPECT_LE(asked(all, help_thresholds(all, 0.1)), 9u);
}

TEST(HelpThresholds, NothingIsAskedBeforeThereAreEnoughSuccesses) {
  EXPECT_EQ(help_episodes_needed(0.1), 9u);
  EXPECT_EQ(help_episodes_needed(0.05), 19u);
  EXPECT_EQ(help_thresholds(episodes(8, 1), 0.1), kNeverAsk);
  EXPECT_NE(help_thresholds(episodes(9, 1), 0.1), kNeverAsk);
  EXPECT_EQ(help_thresholds({}, 0.1), kNeverAsk);
  EXPECT_FALSE(passes({1e9, 0, 1e9}, kNeverAsk));
}

TEST(HelpThresholds, TheOrderOfEpisodesDoesNotMatter) {
  auto all = episodes(40, 7);
  const HelpThresholds forward = help_thresholds(all, 0.1);
  std::vector<HelpScored> back(all.rbegin(), all.rend());
  EXPECT_EQ(forward, help_thresholds(back, 0.1));
}

TEST(HelpThresholds, ASignThatIsUnknownIsNoBadSign) {
  auto all = episodes(40, 9);
  for (HelpScored& episode : all) episode.disagreement = -1;
  const HelpThresholds thresholds = help_thresholds(all, 0.1);
  EXPECT_EQ(thresholds.disagreement, kNeverAsk.disagreement);
  EXPECT_GT(thresholds.travel, 0);
  EXPECT_FALSE(passes({-1, -1, 0}, thresholds)) << "an episode that was too short to travel";
}

}  // namespace
}  // namespace nudge
