// The help signal lives on the step thread, which may run at 1 kHz: it must not allocate there.
#include <gtest/gtest.h>

#include "policy/help_signal.h"
#include "test/support/counted_allocations.h"

namespace nudge {
namespace {

constexpr Duration kPeriod = std::chrono::milliseconds(100);

TEST(HelpSignalAllocation, AnEpisodeWithAsksAllocatesNothing) {
  HelpSignalOptions options;
  options.policy_period = kPeriod;
  options.range = {1, 2};
  HelpSignal signal(options);
  const std::size_t before = test::allocations;
  std::size_t asked = 0, ended = 0;
  signal.set_thresholds({0.5, 0.01, 3.0});
  signal.begin_episode();
  Instant now{};
  for (int i = 0; i < 400; ++i) {
    now += kPeriod;
    const bool breaks = i % 50 == 0;
    ended += signal.on_control(!breaks, breaks && i % 100 == 0, now).has_value() ? 1 : 0;
    signal.on_disagreement(i % 40 < 20 ? 0.9 : 0.0, now);
    const float at[] = {i % 90 < 45 ? 0.5F : 0.01F * static_cast<float>(i), 0};
    const HelpChange change = signal.on_step(at);
    asked += change.asked ? 1 : 0;
    ended += change.ended ? 1 : 0;
    (void)signal.state();
    (void)signal.uncertainty();
  }
  (void)signal.end_episode();
  (void)signal.scored();
  const std::size_t after = test::allocations;
  EXPECT_EQ(after, before);
  EXPECT_GT(asked, 1u) << "nothing was looked at";
  EXPECT_GT(ended, 1u) << "nothing was looked at";
}

}  // namespace
}  // namespace nudge
