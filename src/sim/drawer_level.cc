#include "src/sim/drawer_level.h"

#include <algorithm>
#include <cmath>

#include "src/sim/kitchen_model.h"
#include "src/sim/pick_and_place.h"

namespace nudge {
namespace {

// As in drawer.xml, m.
constexpr double kDrawerX = 0.44;
constexpr double kDrawerShutY = 0.172;  // of front and handle
constexpr double kHandleHeight = 0.044;
constexpr double kFloorTop = 0.006;  // of the drawer, inside
constexpr double kHandleTop = 0.058;
const KitchenObject kBowl = {"bowl", {0.025, 0.025, 0.018}};

constexpr double kShut = 0.01;          // m open, at most
constexpr double kWideEnough = 0.095;   // m open, for the bowl to go in
constexpr double kPulledOpen = 0.130;   // m; where a hand that opens it stops
constexpr double kGoalInside = 0.070;   // m behind the front; the fingers clear the handle there
constexpr double kMakeRoom = 0.025;     // m that the drawer goes back from a bowl before its front
constexpr double kAboveHandle = 0.095;  // m of the tool; its fingers pass over the handle
constexpr double kClearOfHandle = 0.080;
constexpr double kCarry = 0.105;  // m of the bowl's centre, over the handle
constexpr double kTurned = 0.26;  // rad, of the bowl at the start

double inside(const KitchenState& state) {  // m that the bowl is behind the drawer's front
  return state.objects[0][1] - drawer_handle(state.drawer)[1];
}

bool in_drawer(const KitchenState& state) {
  const Vec3& bowl = state.objects[0];
  return std::abs(bowl[0] - kDrawerX) < 0.06 && inside(state) > 0 && inside(state) < 0.125 &&
         bowl[2] < kFloorTop + kBowl.half[2] + 0.010;
}

Placing placing(const KitchenState& state) {
  return {
      .goal = {kDrawerX, drawer_handle(state.drawer)[1] + kGoalInside, kFloorTop + kBowl.half[2]},
      .carry = kCarry,
      .near = 0.012,
      .enough = 0.04};
}

// Fingers around the handle from above, then along with it.
Action move_drawer(const KitchenState& state, double to, const HandStyle& style) {
  const Vec3 handle = drawer_handle(state.drawer);
  const double dx = handle[0] - state.tool[0], dy = handle[1] - state.tool[1];
  const double side = std::hypot(dx, dy);
  Action action(kKitchenActionSize, 0.0f);
  if (state.opening < 0.076) action[kMoveGripper] = 1;
  const bool around =
      std::abs(dx) < 0.03 && std::abs(dy) < 0.036 && state.tool[2] < handle[2] + 0.012;
  if (around) {
    const double way = state.drawer - to;  // + closes: away from the middle, to the robot's left
    action[kMoveX] = rate_towards(dx, 0.3);
    action[kMoveZ] = rate_towards(handle[2] - state.tool[2], 0.3);
    const double rate = std::clamp(std::abs(way) / 0.03, 0.35, 1.0) * style.speed;
    action[kMoveY] = static_cast<float>(std::copysign(rate, way));
    return action;
  }
  if (side > 0.012) {
    action[kMoveZ] = rate_towards(kAboveHandle - state.tool[2], style.speed);
    const double share =
        std::clamp((state.tool[2] - kClearOfHandle) / 0.01 + 1, 0.0, 1.0) * style.speed;
    action[kMoveX] = rate_towards(dx, share);
    action[kMoveY] = rate_towards(dy, share);
    const double far = share * std::min(1.0, side / 0.10);
    for (int i = 0; i < 3; ++i) action[i] += static_cast<float>(far * style.sway[i]);
  } else {
    action[kMoveX] = rate_towards(dx, 0.5);
    action[kMoveY] = rate_towards(dy, 0.5);
    if (state.opening > 0.05) action[kMoveZ] = rate_towards(handle[2] - state.tool[2], style.speed);
  }
  for (float& a : action) a = std::clamp(a, -1.0f, 1.0f);
  return action;
}

class BowlInDrawer final : public KitchenSkill {
 public:
  std::unique_ptr<KitchenSkill> copy() const override {
    return std::make_unique<BowlInDrawer>(*this);
  }
  void begin() override {
    place_.begin();
    set_down_.begin();
    setting_down_ = pulling_ = making_room_ = false;
  }

  Action act(const KitchenState& state, const HandStyle& style) override {
    const Vec3& bowl = state.objects[0];
    const bool held = gripped(state, bowl, shape_);
    if (in_drawer(state) && !held && released(state, bowl)) {
      begin();
      return move_drawer(state, 0, style);
    }
    if (state.drawer > kPulledOpen - 0.01) pulling_ = false;
    if (state.drawer < kWideEnough) pulling_ = true;
    if (pulling_ && !in_drawer(state)) {
      // With the bowl in hand the drawer cannot be pulled.
      if (held && !setting_down_) {
        setting_down_ = true;
        spot_ = {std::clamp(bowl[0], 0.32, 0.55), std::clamp(bowl[1], -0.2, -0.05), kBowl.half[2]};
      }
      if (setting_down_ && !released(state, bowl)) {
        return set_down_.act(state, bowl, shape_, {spot_, kCarry, 0.03}, style);
      }
      setting_down_ = false;
      set_down_.begin();
      place_.begin();
      return move_drawer(state, kPulledOpen + 0.01, style);
    }
    pulling_ = false;
    // A bowl right before the front leaves no room for the finger between it and the handle.
    const Vec3 handle = drawer_handle(state.drawer);
    const double before = handle[1] - bowl[1];
    const bool tight = !held && bowl[2] < kHandleTop && std::abs(bowl[0] - handle[0]) < 0.045 &&
                       before > 0 && before < 0.068;
    if (!tight) making_room_ = false;
    if (tight && !making_room_) {
      making_room_ = true;
      room_ = state.drawer - kMakeRoom;
    }
    if (making_room_ && state.drawer > std::max(room_, kWideEnough + 0.003)) {
      return move_drawer(state, room_ - 0.005, style);
    }
    return place_.act(state, bowl, shape_, placing(state), style);
  }

 private:
  GraspShape shape_ = grasp_shape(kBowl, kHandleTop);
  PickAndPlace place_, set_down_;
  Vec3 spot_{};
  double room_ = 0;
  bool setting_down_ = false, pulling_ = false, making_room_ = false;
};

class DrawerLevel final : public KitchenLevel {
 public:
  DrawerLevel()
      : KitchenLevel({.number = 2,
                      .title = "put the bowl in the drawer and close it",
                      .scene = kDrawerXml,
                      .without = "",
                      .objects = {kBowl},
                      .drawer = true,
                      .words = {},
                      .tasks = {{"put the bowl in the drawer and close it", {}}},
                      .subgoals = {"bowl lifted", "bowl in the drawer", "drawer closed"},
                      .episode_steps = 200,
                      .done_ticks = kLiftTicks,
                      .starts = {0.3, 0.5, -0.22, -0.06},
                      .demonstrated = {0.3, 0.43, -0.22, -0.14}}) {}

  KitchenStart start(Random& random, const StartRegion& region) const override {
    KitchenStart start;
    auto& bowl = start.objects.emplace_back();
    bowl.x = random.uniform(region.x_min, region.x_max);
    bowl.y = random.uniform(region.y_min, region.y_max);
    bowl.yaw = random.uniform(-kTurned, kTurned);
    start.drawer = random.uniform(0.11, 0.135);
    return start;
  }

  std::size_t reached(const KitchenState& state) const override {
    if (in_drawer(state) && state.drawer < kShut) return 3;
    if (in_drawer(state) && released(state, state.objects[0])) return 2;
    const bool lifted =
        gripped(state, state.objects[0], shape_) && state.objects[0][2] > kBowl.half[2] + 0.03;
    return lifted ? 1 : 0;
  }

  double progress(const KitchenState& state) const override {
    const Vec3& bowl = state.objects[0];
    const Vec3 handle = drawer_handle(state.drawer);
    const double reach = std::hypot(handle[0] - state.tool[0], handle[1] - state.tool[1]) +
                         0.3 * std::abs(handle[2] - state.tool[2]);
    if (in_drawer(state) && released(state, bowl)) return 0.5 - 0.5 * reach - state.drawer;
    if (in_drawer(state) || state.drawer >= kWideEnough) {
      return place_progress(state, bowl, kBowl.half[2], placing(state), in_drawer(state));
    }
    return -1.2 + state.drawer - 0.5 * reach + 0.5 * state.opening;
  }

  std::unique_ptr<KitchenSkill> make_skill() const override {
    return std::make_unique<BowlInDrawer>();
  }

 private:
  GraspShape shape_ = grasp_shape(kBowl, kHandleTop);
};

}  // namespace

Vec3 drawer_handle(double open) { return {kDrawerX, kDrawerShutY - open, kHandleHeight}; }

const KitchenLevel& drawer_level() {
  static const DrawerLevel level;
  return level;
}

}  // namespace nudge
