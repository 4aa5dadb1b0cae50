#include "src/sim/pick_and_place.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

const KitchenObject kPot = {"pot", {0.025, 0.025, 0.022}};
constexpr double kClosedOnIt = 0.050;  // m of opening

// A hand that has come to a pot which is in its grip already, as who takes over finds it.
class PickAndPlaceTest : public ::testing::Test {
 protected:
  Action act(const Vec3& pot) {
    state_.objects = {pot};
    state_.tool = pot;
    state_.opening = kClosedOnIt;
    return place_.act(state_, pot, shape_, placing_, style_);
  }

  KitchenState state_;
  GraspShape shape_ = grasp_shape(kPot, 0);
  Placing placing_ = {.goal = {0.46, 0.17, 0.022}, .carry = 0.10, .near = 0.012, .enough = 0.03};
  PickAndPlace place_;
  HandStyle style_;
};

TEST_F(PickAndPlaceTest, LetsGoOfWhatStandsWhereItBelongsThoughNotInTheMiddle) {
  const Action action = act({0.46, 0.19, 0.0225});
  EXPECT_EQ(action[kMoveGripper], 1);
  EXPECT_EQ(action[kMoveZ], 0);
}

TEST_F(PickAndPlaceTest, TakesUpWhatStandsBesideWhereItBelongs) {
  act({0.46, 0.21, 0.0225});
  const Action action = act({0.46, 0.21, 0.0225});
  EXPECT_EQ(action[kMoveGripper], -1);
  EXPECT_GT(action[kMoveZ], 0);
}

TEST_F(PickAndPlaceTest, DoesNotLetGoOfWhatIsStillInTheAir) {
  EXPECT_EQ(act({0.46, 0.17, 0.05})[kMoveGripper], -1);
}

TEST_F(PickAndPlaceTest, AHastyHandLetsGoInTheAirBesideThePlace) {
  const Vec3 beside = {0.46, 0.10, 0.10};
  act(beside);
  EXPECT_EQ(act(beside)[kMoveGripper], -1);
  style_.hasty = true;
  EXPECT_EQ(act(beside)[kMoveGripper], 1);
}

TEST_F(PickAndPlaceTest, AHastyHandStillCarriesWhatIsFarFromThePlace) {
  style_.hasty = true;
  const Vec3 far = {0.36, 0.0, 0.10};
  act(far);
  EXPECT_EQ(act(far)[kMoveGripper], -1);
}

TEST_F(PickAndPlaceTest, GoesOnAtOnceWithWhatIsInTheGripAlready) {
  act({0.36, 0.0, 0.10});
  const Action action = act({0.36, 0.0, 0.10});
  EXPECT_GT(action[kMoveX], 0.5F);
  EXPECT_GT(action[kMoveY], 0.5F);
}

}  // namespace
}  // namespace nudge
