#include "src/sim/places_level.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "src/sim/kitchen_model.h"
#include "src/sim/pick_and_place.h"

namespace nudge {
namespace {

// As in places.xml, m.
const std::array<KitchenObject, 3> kThings = {{{"mug", {0.024, 0.024, 0.025}},
                                               {"sponge", {0.030, 0.021, 0.014}},
                                               {"can", {0.023, 0.023, 0.027}}}};
constexpr std::size_t kPlaces = 2;  // the sink on the left, the tray on the right
constexpr double kPlaceX = 0.47;
constexpr double kPlaceY = 0.18;
constexpr std::array<double, 2> kHalf = {0.070, 0.060};  // of a place, inside
constexpr double kTallest = 0.054;
constexpr double kLow = 0.037;    // m of the centre; whatever side it lies on, not upon another
constexpr double kCarry = 0.110;  // m of the centre: over whatever stands around
constexpr double kTurned = 0.2;   // rad
constexpr double kSlot = 0.095;   // m between the objects at the start
constexpr double kSlotPlay = 0.008;

std::size_t thing_of(const KitchenState& state) { return placed_thing(state.task); }

Vec3 place_of(const KitchenState& state) { return place_goal(state.task); }

// Side by side in the place there is room for three; the one with most room is taken.
Placing placing(const KitchenState& state) {
  const std::size_t thing = thing_of(state);
  const Vec3 place = place_of(state);
  Placing best{
      .goal = {0, 0, kThings[thing].half[2]}, .carry = kCarry, .near = 0.012, .enough = 0.025};
  double most = -1;
  for (const double along : {0.0, -0.042, 0.042}) {
    double room = 0.055;  // as good as more
    for (std::size_t other = 0; other < state.objects.size(); ++other) {
      if (other == thing) continue;
      const Vec3& at = state.objects[other];
      room = std::min(room, std::hypot(at[0] - place[0] - along, at[1] - place[1]));
    }
    if (room > most) {
      most = room;
      best.goal[0] = place[0] + along;
      best.goal[1] = place[1];
    }
  }
  return best;
}

bool in_place(const KitchenState& state) {
  const Vec3& at = state.objects[thing_of(state)];
  const Vec3 place = place_of(state);
  return std::abs(at[0] - place[0]) < kHalf[0] && std::abs(at[1] - place[1]) < kHalf[1] &&
         at[2] < kLow;
}

class ThingInPlace final : public KitchenSkill {
 public:
  ThingInPlace() {
    for (std::size_t i = 0; i < kThings.size(); ++i) shapes_[i] = grasp_shape(kThings[i], kTallest);
  }
  std::unique_ptr<KitchenSkill> copy() const override {
    return std::make_unique<ThingInPlace>(*this);
  }
  void begin() override {
    place_.begin();
    task_ = 0;
  }
  Action act(const KitchenState& state, const HandStyle& style) override {
    if (std::exchange(task_, state.task) != state.task) place_.begin();
    const std::size_t thing = thing_of(state);
    for (std::size_t other = 0; other < state.objects.size(); ++other) {
      // The wrong thing in the hand is set down where it is.
      if (other == thing || !gripped(state, state.objects[other], shapes_[other])) continue;
      if (released(state, state.objects[other])) continue;
      Action action(kKitchenActionSize, 0.0f);
      const double high = state.objects[other][2] - kThings[other].half[2];
      if (high > 0.02) {
        action[kMoveZ] = rate_towards(-high, style.speed);
      } else {
        action[kMoveGripper] = 1;
      }
      return action;
    }
    if (in_place(state) && released(state, state.objects[thing])) {
      place_.begin();
      return withdraw(style);
    }
    return place_.act(state, state.objects[thing], shapes_[thing], placing(state), style);
  }

 private:
  std::array<GraspShape, 3> shapes_;
  PickAndPlace place_;
  std::size_t task_ = 0;
};

class PlacesLevel final : public KitchenLevel {
 public:
  PlacesLevel()
      : KitchenLevel({.number = 4,
                      .title = "put the thing that is named where it is told",
                      .scene = kPlacesXml,
                      .without = "sink",
                      .objects = {kThings[0], kThings[1], kThings[2]},
                      .drawer = false,
                      .words = {"mug", "sponge", "can", "sink", "tray"},
                      .tasks = {{"put the mug in the sink", {"mug", "sink"}},
                                {"put the mug on the tray", {"mug", "tray"}},
                                {"put the sponge in the sink", {"sponge", "sink"}},
                                {"put the sponge on the tray", {"sponge", "tray"}},
                                {"put the can in the sink", {"can", "sink"}},
                                {"put the can on the tray", {"can", "tray"}}},
                      .subgoals = {"thing lifted", "thing in its place"},
                      .episode_steps = 150,
                      .done_ticks = 5,
                      .starts = {0.31, 0.37, -0.11, 0.11},
                      .demonstrated = {0.31, 0.335, -0.11, 0.11}}) {}

  // Side by side in any order, each anywhere in its slot.
  KitchenStart start(Random& random, const StartRegion& region) const override {
    std::array<int, 3> slots = {-1, 0, 1};
    for (int last = 2; last > 0; --last) {
      std::swap(slots[last], slots[static_cast<int>(random.uniform(0, last + 1)) % (last + 1)]);
    }
    KitchenStart start;
    const double middle = 0.5 * (region.y_min + region.y_max);
    for (const int slot : slots) {
      auto& thing = start.objects.emplace_back();
      thing.x = random.uniform(region.x_min, region.x_max);
      thing.y = middle + kSlot * slot + random.uniform(-kSlotPlay, kSlotPlay);
      thing.yaw = random.uniform(-kTurned, kTurned);
    }
    return start;
  }

  std::size_t reached(const KitchenState& state) const override {
    const std::size_t thing = thing_of(state);
    const Vec3& at = state.objects[thing];
    if (in_place(state) && released(state, at)) return 2;
    return gripped(state, at, grasp_shape(kThings[thing], kTallest)) &&
                   at[2] > kThings[thing].half[2] + 0.03
               ? 1
               : 0;
  }

  double progress(const KitchenState& state) const override {
    const std::size_t thing = thing_of(state);
    return place_progress(state, state.objects[thing], kThings[thing].half[2], placing(state),
                          in_place(state));
  }

  std::unique_ptr<KitchenSkill> make_skill() const override {
    return std::make_unique<ThingInPlace>();
  }
};

}  // namespace

std::size_t placed_thing(std::size_t task) { return task / kPlaces; }

Vec3 place_goal(std::size_t task) { return {kPlaceX, task % kPlaces == 0 ? kPlaceY : -kPlaceY, 0}; }

const KitchenLevel& places_level() {
  static const PlacesLevel level;
  return level;
}

}  // namespace nudge
