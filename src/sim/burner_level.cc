#include "src/sim/burner_level.h"

#include <cmath>

#include "src/sim/kitchen_model.h"
#include "src/sim/pick_and_place.h"

namespace nudge {
namespace {

// As in burners.xml, m.
constexpr double kBurnerX = 0.46;
constexpr double kBurnerY = 0.17;    // left; right: the same on the other side
constexpr double kOnBurner = 0.035;  // m between the centres of pot and burner, at most
constexpr double kCarry = 0.10;
constexpr double kTurned = 0.26;  // rad
const KitchenObject kPot = {"pot", {0.025, 0.025, 0.022}};

Placing placing(const KitchenState& state) {
  return {.goal = burner_goal(state.task), .carry = kCarry, .near = 0.012, .enough = 0.03};
}

bool on_burner(const KitchenState& state) {
  const Vec3& pot = state.objects[0];
  const Vec3 goal = placing(state).goal;
  return std::hypot(pot[0] - goal[0], pot[1] - goal[1]) < kOnBurner && pot[2] < goal[2] + 0.012;
}

class PotOnBurner final : public KitchenSkill {
 public:
  std::unique_ptr<KitchenSkill> copy() const override {
    return std::make_unique<PotOnBurner>(*this);
  }
  void begin() override { place_.begin(); }
  Action act(const KitchenState& state, const HandStyle& style) override {
    if (on_burner(state) && released(state, state.objects[0])) {
      place_.begin();
      return withdraw(style);
    }
    return place_.act(state, state.objects[0], shape_, placing(state), style);
  }

 private:
  GraspShape shape_ = grasp_shape(kPot, 0);
  PickAndPlace place_;
};

class BurnerLevel final : public KitchenLevel {
 public:
  BurnerLevel()
      : KitchenLevel({.number = 3,
                      .title = "put the pot on the burner that is named",
                      .scene = kBurnersXml,
                      .without = "stove",
                      .objects = {kPot},
                      .drawer = false,
                      .words = {"left", "right"},
                      .tasks = {{"put the pot on the left burner", {"left"}},
                                {"put the pot on the right burner", {"right"}}},
                      .subgoals = {"pot lifted", "pot on the burner"},
                      .episode_steps = 150,
                      .done_ticks = 5,
                      .starts = {0.3, 0.5, -0.07, 0.07},
                      .demonstrated = {0.3, 0.4, -0.07, 0.07}}) {}

  KitchenStart start(Random& random, const StartRegion& region) const override {
    KitchenStart start;
    auto& pot = start.objects.emplace_back();
    pot.x = random.uniform(region.x_min, region.x_max);
    pot.y = random.uniform(region.y_min, region.y_max);
    pot.yaw = random.uniform(-kTurned, kTurned);
    return start;
  }

  std::size_t reached(const KitchenState& state) const override {
    const Vec3& pot = state.objects[0];
    if (on_burner(state) && released(state, pot)) return 2;
    return gripped(state, pot, shape_) && pot[2] > kPot.half[2] + 0.03 ? 1 : 0;
  }

  double progress(const KitchenState& state) const override {
    return place_progress(state, state.objects[0], kPot.half[2], placing(state), on_burner(state));
  }

  std::unique_ptr<KitchenSkill> make_skill() const override {
    return std::make_unique<PotOnBurner>();
  }

 private:
  GraspShape shape_ = grasp_shape(kPot, 0);
};

}  // namespace

Vec3 burner_goal(std::size_t task) {
  return {kBurnerX, task == 0 ? kBurnerY : -kBurnerY, kPot.half[2]};
}

const KitchenLevel& burner_level() {
  static const BurnerLevel level;
  return level;
}

}  // namespace nudge
