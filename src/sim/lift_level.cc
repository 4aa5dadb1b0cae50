#include "src/sim/lift_level.h"

#include "src/sim/grasp.h"
#include "src/sim/kitchen_model.h"

namespace nudge {
namespace {

constexpr double kMaxYaw = 0.26;  // rad, of the block at the start

// 4 cm: open fingers are clear of it from 5 cm on, and it fits between them at any yaw.
constexpr GraspShape kBlock = {.clearance = 0.050,
                               .above = 0.020,
                               .around = 0.010,
                               .off_centre = 0.4,
                               .inside = 0.062,
                               .nothing = 0.03};

class Lift final : public KitchenSkill {
 public:
  std::unique_ptr<KitchenSkill> copy() const override { return std::make_unique<Lift>(*this); }
  void begin() override { grasp_.begin(); }
  Action act(const KitchenState& state, const HandStyle& style) override {
    return grasp_.act(state, state.objects[0], kBlock, style);
  }

 private:
  Grasp grasp_;
};

class LiftLevel final : public KitchenLevel {
 public:
  LiftLevel()
      : KitchenLevel({.number = 1,
                      .title = "lift the block",
                      .scene = kLiftXml,
                      .without = "",
                      .objects = {{"block", {0.02, 0.02, kBlockRestHeight}}},
                      .drawer = false,
                      .words = {},
                      .tasks = {{kKitchenInstruction, {}}},
                      .subgoals = {"lifted"},
                      .episode_steps = kKitchenEpisodeSteps,
                      .done_ticks = kLiftTicks,
                      .starts = {},
                      // A quarter of the region, the robot's right and near: what a policy learns
                      // from it fails often enough elsewhere for corrections to matter
                      // (docs/reference/benchmarks.md has the figures of five seeds).
                      .demonstrated = {0.3, 0.47, -0.15, -0.05}}) {}

  KitchenStart start(Random& random, const StartRegion& region) const override {
    KitchenStart start;
    auto& block = start.objects.emplace_back();
    block.x = random.uniform(region.x_min, region.x_max);
    block.y = random.uniform(region.y_min, region.y_max);
    block.yaw = random.uniform(-kMaxYaw, kMaxYaw);
    return start;
  }
  std::size_t reached(const KitchenState& state) const override { return lifted(view(state)); }
  double progress(const KitchenState& state) const override { return nudge::progress(view(state)); }
  std::unique_ptr<KitchenSkill> make_skill() const override { return std::make_unique<Lift>(); }

 private:
  static KitchenView view(const KitchenState& state) {
    return {state.tool, state.objects[0], state.opening};
  }
};

}  // namespace

const KitchenLevel& lift_level() {
  static const LiftLevel level;
  return level;
}

}  // namespace nudge
