#include "src/sim/kitchen_scenes.h"

#include <algorithm>
#include <cmath>

#include "nudge/random.h"
#include "src/sim/burner_level.h"
#include "src/sim/demonstrator.h"
#include "src/sim/drawer_level.h"
#include "src/sim/expert.h"
#include "src/sim/kitchen_cameras.h"
#include "src/sim/kitchen_robot.h"
#include "src/sim/places_level.h"

namespace nudge {
namespace {

constexpr int kEpisodeSteps = 25;   // policy steps with one start
constexpr double kScattered = 0.4;  // share of starts with things thrown about
constexpr double kPlain = 0.25;     // share of pictures with the looks as they were drawn up
constexpr double kTaken = 0.5;      // share of steps of which a picture is made
constexpr double kGripClearance = 0.014;
constexpr double kAtHand = 0.03;  // m

enum class Hand { kWorks, kWanders, kHovers };

Vec3 minus(const Vec3& a, const Vec3& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
double length(const Vec3& v) { return std::hypot(v[0], v[1], v[2]); }

std::size_t object_of(const KitchenLevel& level, std::size_t task) {
  return level.data().number == places_level().data().number ? placed_thing(task) : 0;
}

std::optional<Vec3> goal_of(const KitchenLevel& level, const KitchenState& state) {
  if (level.data().drawer) return drawer_handle(state.drawer);
  if (level.data().number == burner_level().data().number) return burner_goal(state.task);
  if (level.data().number == places_level().data().number) return place_goal(state.task);
  return std::nullopt;
}

}  // namespace

struct KitchenScenes::Impl {
  const KitchenLevel* level = nullptr;
  std::unique_ptr<KitchenRobot> robot;
  std::unique_ptr<KitchenCameras> cameras;
  std::unique_ptr<Expert> expert;
  Random random{0};
  int left = 0;                // policy steps of this start
  std::vector<Vec3> at_start;  // objects
  Hand hand = Hand::kWorks;
  int hand_left = 0;  // steps
  Vec3 aim{};         // of a hand that hovers: off the object, m
  Action wander;

  Status begin();
  Action act(const KitchenState& state, const Action& known);
};

Status KitchenScenes::Impl::begin() {
  const std::uint64_t seed = random.next();
  NUDGE_TRY(robot->reset(seed));
  if (random.uniform() < kScattered) {
    for (std::size_t i = 0; i < level->data().objects.size(); ++i) {
      const bool flat = random.uniform() < 0.7;
      const double height = level->data().objects[i].half[2];
      robot->place_object(i,
                          {random.uniform(0.29, 0.59), random.uniform(-0.27, 0.27),
                           flat ? height : random.uniform(0.03, 0.12)},
                          random.uniform(-3.1, 3.1));
    }
    robot->set_drawer(random.uniform(0, kDrawerTravel));
    for (int tick = 0; tick < 20; ++tick) NUDGE_TRY(robot->advance());
  }
  expert = std::make_unique<Expert>(ExpertOptions{.speed = random.uniform(0.6, 1.0),
                                                  .unsteadiness = random.uniform(0.0, 0.3),
                                                  .seed = random.next()},
                                    *level);
  expert->begin();
  at_start = robot->state().objects;
  left = kEpisodeSteps;
  hand_left = 0;
  return {};
}

Action KitchenScenes::Impl::act(const KitchenState& state, const Action& known) {
  if (hand_left-- <= 0) {
    const double draw = random.uniform();
    hand = draw < 0.6 ? Hand::kWorks : draw < 0.8 ? Hand::kWanders : Hand::kHovers;
    hand_left = 3 + static_cast<int>(random.uniform(0, 8));
    wander.assign(kKitchenActionSize, 0.0F);
    for (float& rate : wander) rate = static_cast<float>(random.uniform(-1, 1));
    aim = {random.uniform(-0.07, 0.07), random.uniform(-0.07, 0.07), random.uniform(-0.01, 0.09)};
  }
  if (hand == Hand::kWorks) return known;
  if (hand == Hand::kWanders) return wander;
  Action action(kKitchenActionSize, 0.0F);
  const Vec3 off = minus(state.objects[object_of(*level, state.task)], state.tool);
  for (std::size_t i = 0; i < 3; ++i) {
    action[i] = static_cast<float>(std::clamp((off[i] + aim[i]) / 0.04, -1.0, 1.0));
  }
  action[kMoveGripper] = wander[kMoveGripper];
  return action;
}

KitchenScenes::KitchenScenes() : impl_(std::make_unique<Impl>()) {}
KitchenScenes::~KitchenScenes() = default;

Result<std::unique_ptr<KitchenScenes>> KitchenScenes::create(const KitchenLevel& level,
                                                             std::uint64_t seed) {
  std::unique_ptr<KitchenScenes> scenes(new KitchenScenes());
  Impl& s = *scenes->impl_;
  s.level = &level;
  Result<std::unique_ptr<KitchenRobot>> robot =
      KitchenRobot::create({.level = level.data().number});
  if (!robot.ok()) return robot.status();
  s.robot = *std::move(robot);
  Result<std::unique_ptr<KitchenCameras>> cameras =
      KitchenCameras::create(level, KitchenOptions{}.jpeg_quality);
  if (!cameras.ok()) return cameras.status();
  s.cameras = *std::move(cameras);
  s.random = Random(Random::derive(seed, static_cast<std::uint64_t>(level.data().number)));
  return scenes;
}

const std::vector<CameraSpec>& KitchenScenes::cameras() const { return impl_->cameras->cameras(); }

Result<KitchenScene> KitchenScenes::next() {
  Impl& s = *impl_;
  while (true) {
    if (s.left-- <= 0) NUDGE_TRY(s.begin());
    Result<Observation> observation = s.robot->observe();
    if (!observation.ok()) return observation.status();
    // What is done is not begun again; a little of it is seen, too.
    if (observation->success) s.left = std::min(s.left, 2);
    const KitchenState state = s.robot->state();
    const Action known = s.expert->act(*observation);
    KitchenScene scene;
    const bool taken = s.random.uniform() < kTaken;
    if (taken) {
      const KitchenLooks looks = s.random.uniform() < kPlain
                                     ? s.cameras->plain()
                                     : s.cameras->draw(s.random.next(), s.at_start);
      Result<std::vector<Image>> images =
          s.cameras->render(s.robot->positions(), &looks, s.robot->now());
      if (!images.ok()) return images.status();
      scene.images = *std::move(images);
      scene.proprioception = observation->proprioception;
      scene.task = state.task;
      const std::size_t object = object_of(*s.level, state.task);
      scene.object = minus(state.objects[object], state.tool);
      if (const std::optional<Vec3> goal = goal_of(*s.level, state)) {
        scene.goal = minus(*goal, state.tool);
      }
      const Vec3& half = s.level->data().objects[object].half;
      scene.held = length(scene.object) < kAtHand &&
                   state.opening < 2 * std::max(half[0], half[1]) + kGripClearance;
      if (s.level->data().drawer) scene.drawer = state.drawer;
      scene.expert = known;
    }
    NUDGE_TRY(hold_for_policy_step(*s.robot, s.act(state, known)));
    if (taken) return scene;
  }
}

}  // namespace nudge
