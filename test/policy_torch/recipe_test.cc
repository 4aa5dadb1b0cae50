// The recipe as a whole: does a policy that fails get better by being corrected, through the very
// trainer, gate and head that the program runs? On a task without physics, with a small head, so
// that it takes seconds; the kitchen's benchmark holds the real figures. Thresholds are generous:
// the task is chaotic, and another BLAS rounds its way to other episodes.
#include "test/policy_torch/recipe.h"

#include <gtest/gtest.h>

namespace nudge::kinematic {
namespace {

constexpr std::size_t kStarts = 200;
constexpr std::uint64_t kSeeds = 3;

Settings small_settings(std::uint64_t seed) {
  Settings s;
  s.head.hidden = 64;
  s.head.layers = 2;
  s.base_steps = 1000;
  s.demonstrations = 8;
  s.demonstrated = {0.3, 0.4, 0.05, 0.15};  // a sixth of the region
  s.seed = seed;
  return s;
}

struct Outcome {
  double before = 0, after = 0;  // mean success over the seeds
};

Outcome run(bool micro, std::size_t corrected) {
  Outcome out;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Settings s = small_settings(seed);
    s.micro = micro;
    if (micro) {
      s.round = TrainerOptions::micro();
      s.round_steps = kMicroSteps;
    }
    Recipe recipe(s);
    const double before = recipe.success(kStarts);
    recipe.correct(corrected);
    const double after = recipe.success(kStarts);
    out.before += before / kSeeds;
    out.after += after / kSeeds;
    // A gate that refuses good rounds would make learning stop.
    const auto accepted = std::count_if(recipe.reports().begin(), recipe.reports().end(),
                                        [](const GateReport& r) { return r.accepted; });
    EXPECT_GE(accepted, static_cast<std::ptrdiff_t>(recipe.rounds()) - 1);
    std::printf("seed %d: %.3f before, %.3f after %d corrected episodes\n", static_cast<int>(seed),
                before, after, static_cast<int>(corrected));
  }
  return out;
}

TEST(Recipe, TenCorrectedEpisodesWithFullRoundsLiftSuccess) {
  const Outcome o = run(false, 10);
  EXPECT_LT(o.before, 0.85);
  EXPECT_GT(o.after, o.before + 0.07);
  EXPECT_GT(o.after, 0.80);
}

TEST(Recipe, MicroRoundsOfTwentyStepsLiftSuccessWithinFiveCorrectedEpisodes) {
  const Outcome o = run(true, 5);
  EXPECT_GT(o.after, o.before + 0.05);
}

TEST(Recipe, EqualSeedsLeadToEqualWeights) {
  const auto hash = [] {
    Settings s = small_settings(4);
    s.base_steps = 100;
    s.round_steps = 30;
    Recipe recipe(s);
    recipe.correct(2);
    return to_hex(recipe.live()->hash());
  };
  EXPECT_EQ(hash(), hash());
}

}  // namespace
}  // namespace nudge::kinematic
