// The edges of what the authority may be configured to: the last value that is allowed, and the
// first that is not.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kHair{1};
constexpr double kTiny = std::numeric_limits<double>::min();

void allows(void (*change)(AuthorityConfig&), int line) {
  AuthorityConfig config = usual_config();
  change(config);
  const Status status = config.validate();
  EXPECT_TRUE(status.ok()) << "line " << line << ": " << status.message();
}

void refuses(void (*change)(AuthorityConfig&), const std::string& field, int line) {
  AuthorityConfig config = usual_config();
  change(config);
  const Status status = config.validate();
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << "line " << line;
  EXPECT_EQ(status.message().find("authority: " + field + " must be "), 0u)
      << "line " << line << ": " << status.message();
}

using C = AuthorityConfig;

TEST(AuthorityConfig, NamesARobotOfOneTo64Bytes) {
  refuses([](C& c) { c.robot = ""; }, "robot", __LINE__);
  allows([](C& c) { c.robot = "a"; }, __LINE__);
  allows([](C& c) { c.robot = std::string(64, 'a'); }, __LINE__);
  refuses([](C& c) { c.robot = std::string(65, 'a'); }, "robot", __LINE__);
}

TEST(AuthorityConfig, TicksAtLeastEvery20Milliseconds) {
  refuses([](C& c) { c.control_period = -kHair; }, "control_period", __LINE__);
  refuses([](C& c) { c.control_period = Duration::zero(); }, "control_period", __LINE__);
  allows([](C& c) { c.control_period = kHair; }, __LINE__);
  allows([](C& c) { c.control_period = milliseconds(20); }, __LINE__);
  refuses([](C& c) { c.control_period = milliseconds(20) + kHair; }, "control_period", __LINE__);
}

TEST(AuthorityConfig, CommandsAgeWithinThreeTicksToHalfASecond) {
  refuses([](C& c) { c.fresh = 3 * kPeriod - kHair; }, "fresh", __LINE__);
  allows([](C& c) { c.fresh = 3 * kPeriod; }, __LINE__);
  allows([](C& c) { c.fresh = milliseconds(500); }, __LINE__);
  refuses([](C& c) { c.fresh = milliseconds(500) + kHair; }, "fresh", __LINE__);
}

TEST(AuthorityConfig, ALeaseOutlivesACommandAndIsKeptForAsLongAtLeast) {
  refuses([](C& c) { c.lease = c.fresh - kHair; }, "lease", __LINE__);
  allows([](C& c) { c.lease = c.fresh; }, __LINE__);
  refuses([](C& c) { c.reacquire = c.lease - kHair; }, "reacquire", __LINE__);
  allows([](C& c) { c.reacquire = c.lease; }, __LINE__);
}

TEST(AuthorityConfig, ALeaderArmIsAlignedWithinAFiniteDistance) {
  refuses([](C& c) { c.align = 0; }, "align", __LINE__);
  refuses([](C& c) { c.align = -0.1; }, "align", __LINE__);
  allows([](C& c) { c.align = kTiny; }, __LINE__);
  refuses([](C& c) { c.align = std::numeric_limits<double>::infinity(); }, "align", __LINE__);
  refuses([](C& c) { c.align = std::nan(""); }, "align", __LINE__);
}

TEST(AuthorityConfig, AGapIsThreeTicksOrLonger) {
  refuses([](C& c) { c.watchdog = 3 * kPeriod - kHair; }, "watchdog", __LINE__);
  allows([](C& c) { c.watchdog = 3 * kPeriod; }, __LINE__);
}

TEST(AuthorityConfig, InferenceIsLateBy1To100Ticks) {
  refuses([](C& c) { c.late_periods = 0; }, "late_periods", __LINE__);
  allows([](C& c) { c.late_periods = 1; }, __LINE__);
  allows([](C& c) { c.late_periods = 100; }, __LINE__);
  refuses([](C& c) { c.late_periods = 101; }, "late_periods", __LINE__);
}

TEST(AuthorityConfig, TakingOverAndHandingBackEndInTime) {
  refuses([](C& c) { c.takeover_timeout = Duration::zero(); }, "takeover_timeout", __LINE__);
  allows([](C& c) { c.takeover_timeout = kHair; }, __LINE__);
  refuses([](C& c) { c.handback_timeout = Duration::zero(); }, "handback_timeout", __LINE__);
  allows([](C& c) { c.handback_timeout = kHair; }, __LINE__);
  allows([](C& c) { c.handback_timeout = seconds(2); }, __LINE__);
  refuses([](C& c) { c.handback_timeout = seconds(2) + kHair; }, "handback_timeout", __LINE__);
}

TEST(AuthorityConfig, ACameraFreezesWithinTenSecondsAndAResetEndsWithinTenMinutes) {
  refuses([](C& c) { c.camera_fresh = Duration::zero(); }, "camera_fresh", __LINE__);
  allows([](C& c) { c.camera_fresh = kHair; }, __LINE__);
  allows([](C& c) { c.camera_fresh = seconds(10); }, __LINE__);
  refuses([](C& c) { c.camera_fresh = seconds(10) + kHair; }, "camera_fresh", __LINE__);
  refuses([](C& c) { c.reset_longest = Duration::zero(); }, "reset_longest", __LINE__);
  allows([](C& c) { c.reset_longest = kHair; }, __LINE__);
  allows([](C& c) { c.reset_longest = minutes(10); }, __LINE__);
  refuses([](C& c) { c.reset_longest = minutes(10) + kHair; }, "reset_longest", __LINE__);
}

TEST(AuthorityConfig, ClampedTicksAreCountedInAWindowThatHoldsMoreThanTheLimit) {
  refuses([](C& c) { c.clamp_limit = c.clamp_window = 0; }, "clamp_window", __LINE__);
  allows([](C& c) { c.clamp_limit = 0, c.clamp_window = 1; }, __LINE__);
  allows([](C& c) { c.clamp_window = 1024; }, __LINE__);
  refuses([](C& c) { c.clamp_window = 1025; }, "clamp_window", __LINE__);
  refuses([](C& c) { c.clamp_limit = -1; }, "clamp_limit", __LINE__);
  allows([](C& c) { c.clamp_limit = c.clamp_window - 1; }, __LINE__);
  refuses([](C& c) { c.clamp_limit = c.clamp_window; }, "clamp_limit", __LINE__);
}

TEST(AuthorityConfig, AtMost16CommandsThatAreNotFiniteAreForgiven) {
  refuses([](C& c) { c.not_finite_limit = 0; }, "not_finite_limit", __LINE__);
  allows([](C& c) { c.not_finite_limit = 1; }, __LINE__);
  allows([](C& c) { c.not_finite_limit = 16; }, __LINE__);
  refuses([](C& c) { c.not_finite_limit = 17; }, "not_finite_limit", __LINE__);
  refuses([](C& c) { c.not_finite_window = Duration::zero(); }, "not_finite_window", __LINE__);
  allows([](C& c) { c.not_finite_window = kHair; }, __LINE__);
}

TEST(AuthorityConfig, ANudgeIsNoLargerThanARateAndNoLongerThanTwoSeconds) {
  refuses([](C& c) { c.nudge_bound = 0; }, "nudge_bound", __LINE__);
  allows([](C& c) { c.nudge_bound = kTiny; }, __LINE__);
  allows([](C& c) { c.nudge_bound = 1; }, __LINE__);
  refuses([](C& c) { c.nudge_bound = std::nextafter(1.0, 2.0); }, "nudge_bound", __LINE__);
  refuses([](C& c) { c.nudge_ramp = 0; }, "nudge_ramp", __LINE__);
  allows([](C& c) { c.nudge_ramp = kTiny; }, __LINE__);
  allows([](C& c) { c.nudge_ramp = 1; }, __LINE__);
  refuses([](C& c) { c.nudge_ramp = std::nextafter(1.0, 2.0); }, "nudge_ramp", __LINE__);
  refuses([](C& c) { c.nudge_longest = Duration::zero(); }, "nudge_longest", __LINE__);
  allows([](C& c) { c.nudge_longest = kHair; }, __LINE__);
  allows([](C& c) { c.nudge_longest = seconds(2); }, __LINE__);
  refuses([](C& c) { c.nudge_longest = seconds(2) + kHair; }, "nudge_longest", __LINE__);
}

TEST(AuthorityConfig, SlowsThePolicyDownToAShareAboveNoneAndAtMostAll) {
  allows([](C& c) { c.slowest = kTiny; }, __LINE__);
  allows([](C& c) { c.slowest = 1; }, __LINE__);
  refuses([](C& c) { c.slowest = 0; }, "slowest", __LINE__);
  refuses([](C& c) { c.slowest = std::nextafter(1.0, 2.0); }, "slowest", __LINE__);
}

}  // namespace
}  // namespace nudge
