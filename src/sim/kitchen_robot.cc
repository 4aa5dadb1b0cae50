#include "src/sim/kitchen_robot.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "src/sim/drawer_level.h"
#include "src/sim/kitchen_model.h"
#include "src/sim/renderer.h"

namespace nudge {
namespace {

constexpr int kArmJoints = 7;
constexpr int kFingers = 2;
constexpr int kSubsteps = 10;        // of 2 ms: one control period
constexpr double kTick = 0.02;       // s
constexpr double kJointSpeed = 2.2;  // rad/s, about the Panda's limit
// How far the target may run ahead of the real hand when something is in the way. Keeps the push
// gentle, and the hand answers at once when the person turns around.
constexpr double kToolLeash = 0.03;     // m
constexpr double kGripperLeash = 0.02;  // m; sets the force of the grip: 10 N a finger
constexpr double kToolFloor = 0.012;    // m; lowest tool point, the fingertips just above the board
constexpr double kDamping = 0.02;       // of the inverse kinematics, m and rad per rad
constexpr double kPosture = 0.02;       // share of the way back to the home posture per tick

// Of putting things back.
constexpr double kStandsWithin = 0.003;  // m above where it rests: it stands on the worktop
constexpr double kOverlap = 0.001;       // m deeper in a contact than before: within something
constexpr int kPlaceTries = 10;

// gym-hil's home of the Panda: hand above the middle of the workspace, fingers straight down.
constexpr std::array<double, kArmJoints> kHome = {0, 0.195, 0, -2.43, 0, 2.62, 0.785};

// Streams of Random::derive.
enum Stream : std::uint64_t { kStartStream = 1, kNoiseStream = 2, kLooksStream = 4 };

// MuJoCo's default is a file in the working directory; instability is read from mjData instead.
void ignore_warning(const char*) {}

}  // namespace

struct KitchenRobot::Impl {
  KitchenOptions options;
  RobotSpec spec;
  ModelPointer model;
  DataPointer data;
  DataPointer plan;  // only its kinematics, of the joint targets
  std::unique_ptr<Renderer> renderer;
  int tool_site = 0;
  int hand_body = 0;
  const KitchenLevel* level = nullptr;
  struct Free {
    int qpos = 0, qvel = 0;  // of its joint
  };
  std::vector<Free> objects;  // in the level's order
  int drawer_qpos = -1, drawer_qvel = -1;
  std::size_t task = 0;
  std::string instruction;
  std::unique_ptr<KitchenDresser> dresser;
  std::shared_ptr<const KitchenLooks> looks;
  std::array<double, 4> hand_down{1, 0, 0, 0};  // orientation that is kept

  std::array<double, kArmJoints> joint_target{};
  std::array<double, kArmJoints> joint_rate{};  // rad/s during the last tick
  Vec3 tool_target{};
  double gripper_target = kGripperOpen;
  Random noise{0};

  Instant clock{std::chrono::seconds(1)};
  ControlTick ticks = 0;
  int done_ticks = 0;
  bool rendering = false;
  Instant next_frame{};
  DataPointer shown;                   // only its kinematics, for pictures()
  std::vector<double> seen_positions;  // as observe() saw them
  Instant seen_at{};
  std::vector<Image> frames;
  std::atomic<bool> held{false};
  std::atomic<bool> stopped{false};

  Vec3 tool() const {
    const mjtNum* p = data->site_xpos + 3 * tool_site;
    return {p[0], p[1], p[2]};
  }
  double opening() const { return data->qpos[kArmJoints] + data->qpos[kArmJoints + 1]; }
  KitchenState state() const {
    KitchenState now{
        .tool = tool(), .opening = opening(), .objects = {}, .drawer = 0, .task = task};
    now.objects.reserve(objects.size());
    for (const Free& object : objects) {
      const mjtNum* p = data->qpos + object.qpos;
      now.objects.push_back({p[0], p[1], p[2]});
    }
    if (drawer_qpos >= 0) now.drawer = data->qpos[drawer_qpos];
    return now;
  }
  void lay(const Free& object, const Vec3& centre, double yaw) {
    const std::array<mjtNum, 7> pose = {
        centre[0], centre[1], centre[2], std::cos(0.5 * yaw), 0, 0, std::sin(0.5 * yaw)};
    mju_copy(data->qpos + object.qpos, pose.data(), 7);
    mju_zero(data->qvel + object.qvel, 6);
  }

  // One damped least-squares step of the joint targets towards tool_target (Buss, "Introduction to
  // inverse kinematics", 2004), the hand kept pointing down, the spare joint drawn towards home.
  // Leaves the plan's kinematics at the targets before the step. `limit` in rad per joint.
  void solve(double limit) {
    mju_copy(plan->qpos, joint_target.data(), kArmJoints);
    mj_kinematics(model.get(), plan.get());
    mj_comPos(model.get(), plan.get());
    std::array<mjtNum, 6> error{};
    const mjtNum* at = plan->site_xpos + 3 * tool_site;
    for (int i = 0; i < 3; ++i) error[i] = tool_target[i] - at[i];
    std::array<mjtNum, 4> conjugate{}, turn{};
    mju_negQuat(conjugate.data(), plan->xquat + 4 * hand_body);
    mju_mulQuat(turn.data(), hand_down.data(), conjugate.data());
    if (turn[0] < 0) mju_scl(turn.data(), turn.data(), -1, 4);
    mju_quat2Vel(error.data() + 3, turn.data(), 1);

    std::vector<mjtNum>& full = jacobian;
    full.resize(static_cast<std::size_t>(6 * model->nv));
    mj_jacSite(model.get(), plan.get(), full.data(), full.data() + 3 * model->nv, tool_site);
    std::array<mjtNum, 6 * kArmJoints> j{};
    for (int r = 0; r < 6; ++r) {
      for (int c = 0; c < kArmJoints; ++c) j[r * kArmJoints + c] = full[r * model->nv + c];
    }
    // Posture first, as a disturbance that the tool's own equation then takes out again.
    std::array<mjtNum, kArmJoints> posture{}, step{};
    for (int c = 0; c < kArmJoints; ++c) posture[c] = kPosture * (kHome[c] - joint_target[c]);
    std::array<mjtNum, 6> moved{}, y{};
    mju_mulMatVec(moved.data(), j.data(), posture.data(), 6, kArmJoints);
    mju_subFrom(error.data(), moved.data(), 6);
    std::array<mjtNum, 36> gram{};
    mju_mulMatMatT(gram.data(), j.data(), j.data(), 6, kArmJoints, 6);
    for (int i = 0; i < 6; ++i) gram[7 * i] += kDamping * kDamping;
    mju_cholFactor(gram.data(), 6, 0);
    mju_cholSolve(y.data(), gram.data(), error.data(), 6);
    mju_mulMatTVec(step.data(), j.data(), y.data(), 6, kArmJoints);
    mju_addTo(step.data(), posture.data(), kArmJoints);

    double largest = 0;
    for (double s : step) largest = std::max(largest, std::abs(s));
    const double scale = largest > limit ? limit / largest : 1.0;
    for (int c = 0; c < kArmJoints; ++c) {
      const mjtNum* range = model->jnt_range + 2 * c;
      joint_target[c] = std::clamp(joint_target[c] + scale * step[c], range[0], range[1]);
    }
  }

  // One control tick with the tool target moving at `rate` (m/s) and the gripper at `grip` (m/s).
  Status tick(Vec3 rate, double grip) {
    const Vec3 at = tool();
    for (int i = 0; i < 3; ++i) {
      if (rate[i] == 0) continue;  // a still hand stays still, also against a push
      // The error is proportional to the motion. Five ticks make a policy step: sqrt(5) turns its
      // spread into a tick's.
      double motion = rate[i] * kTick;
      motion += options.actuation_noise * std::abs(motion) * std::sqrt(5.0) * noise.normal();
      const double target =
          std::clamp(tool_target[i] + motion, at[i] - kToolLeash, at[i] + kToolLeash);
      const double floor = i == 2 ? kToolFloor : kWorkspaceLower[i];
      tool_target[i] = std::clamp(target, floor, kWorkspaceUpper[i]);
    }
    if (grip != 0) {
      const double open = opening();
      const double target =
          std::clamp(gripper_target + grip * kTick, open - kGripperLeash, open + kGripperLeash);
      gripper_target = std::clamp(target, 0.0, kGripperOpen);
    }

    const auto from = joint_target;
    solve(kJointSpeed * kTick);
    bool still = false;

    mjData* d = data.get();
    for (int s = 1; s <= kSubsteps; ++s) {
      // Another thread may ask to stand still at any moment: the target stops where it is.
      still =
          still || held.load(std::memory_order_relaxed) || stopped.load(std::memory_order_relaxed);
      for (int c = 0; c < kArmJoints; ++c) {
        if (!still) joint_target_now[c] = from[c] + (joint_target[c] - from[c]) * s / kSubsteps;
        joint_rate[c] = still ? 0 : (joint_target[c] - from[c]) / kTick;
      }
      for (int c = 0; c < kArmJoints; ++c) {
        // The servo's damping would make the arm lag; feeding the rate forward takes that out.
        const double lead =
            joint_rate[c] * model->dof_damping[c] / model->actuator_gainprm[mjNGAIN * c];
        d->ctrl[c] = joint_target_now[c] + lead;
        // The arm carries its own weight, as the Panda's controller does.
        d->qfrc_applied[c] = d->qfrc_bias[c];
      }
      for (int f = 0; f < kFingers; ++f) {
        d->ctrl[kArmJoints + f] = 0.5 * gripper_target;
        d->qfrc_applied[kArmJoints + f] = d->qfrc_bias[kArmJoints + f];
      }
      mj_step(model.get(), d);
    }
    joint_target = joint_target_now;
    if (still) freeze();
    mj_kinematics(model.get(), d);  // mj_step leaves poses one substep behind

    clock += kKitchenControlPeriod;
    ++ticks;
    done_ticks = level->done(state()) ? done_ticks + 1 : 0;
    for (int w : {mjWARN_BADQPOS, mjWARN_BADQVEL, mjWARN_BADQACC}) {
      if (d->warning[w].number > 0) {
        return internal("the kitchen's physics became unstable; call reset()");
      }
    }
    return {};
  }

  // Of two things that touch, how far one is within the other, as a distance below 0.
  double deepest_contact() const {
    double deepest = 0;
    for (int i = 0; i < data->ncon; ++i) deepest = std::min(deepest, data->contact[i].dist);
    return deepest;
  }

  // Gives up where the hand was going, so that nothing moves on after a stop.
  void freeze() {
    mju_copy(plan->qpos, joint_target.data(), kArmJoints);
    mj_kinematics(model.get(), plan.get());
    for (int i = 0; i < 3; ++i) tool_target[i] = plan->site_xpos[3 * tool_site + i];
  }

  std::vector<mjtNum> jacobian;
  std::array<double, kArmJoints> joint_target_now{};
};

KitchenRobot::KitchenRobot() : impl_(std::make_unique<Impl>()) {}
KitchenRobot::~KitchenRobot() = default;

Result<std::unique_ptr<KitchenRobot>> KitchenRobot::create(const KitchenOptions& options) {
  if (!(options.actuation_noise >= 0 && options.actuation_noise <= 1)) {
    return invalid_argument("kitchen: actuation_noise must be from 0 to 1, a share of the motion");
  }
  if (!(options.home_jitter >= 0 && options.home_jitter <= 0.05)) {
    return invalid_argument("kitchen: home_jitter must be from 0 to 0.05 m");
  }
  // Once: kitchens are made by several threads, and MuJoCo's handler is one for all.
  [[maybe_unused]] static const bool quiet = [] {
    mju_user_warning = ignore_warning;
    return true;
  }();
  std::unique_ptr<KitchenRobot> robot(new KitchenRobot());
  Impl& s = *robot->impl_;
  s.options = options;
  auto level = kitchen_level(options.level);
  if (!level.ok()) return level.status();
  s.level = *level;
  auto model = load_kitchen_model(*s.level);
  if (!model.ok()) return model.status();
  s.model = *std::move(model);
  for (DataPointer* data : {&s.data, &s.plan}) {
    auto made = make_data(*s.model);
    if (!made.ok()) return made.status();
    *data = *std::move(made);
  }
  s.tool_site = mj_name2id(s.model.get(), mjOBJ_SITE, "tool");
  s.hand_body = mj_name2id(s.model.get(), mjOBJ_BODY, "hand");
  if (s.tool_site < 0 || s.hand_body < 0) {
    return internal("the kitchen scene lacks the tool site or the hand");
  }
  const auto joint = [&](const char* name, int& qpos, int& qvel) -> Status {
    const int id = mj_name2id(s.model.get(), mjOBJ_JOINT, name);
    if (id < 0) return internal("the kitchen scene lacks the joint " + std::string(name));
    qpos = s.model->jnt_qposadr[id];
    qvel = s.model->jnt_dofadr[id];
    return {};
  };
  for (const KitchenObject& object : s.level->data().objects) {
    Impl::Free& free = s.objects.emplace_back();
    NUDGE_TRY(joint(object.name.c_str(), free.qpos, free.qvel));
  }
  if (s.level->data().drawer) NUDGE_TRY(joint("drawer", s.drawer_qpos, s.drawer_qvel));
  if (options.random_looks) s.dresser = std::make_unique<KitchenDresser>(s.model.get());
  mju_copy(s.plan->qpos, kHome.data(), kArmJoints);
  mj_kinematics(s.model.get(), s.plan.get());
  mju_copy(s.hand_down.data(), s.plan->xquat + 4 * s.hand_body, 4);

  auto channel = [](const char* name, const char* unit, double lower, double upper) {
    return Channel{name, unit, static_cast<float>(lower), static_cast<float>(upper)};
  };
  s.spec.id = "kitchen";
  s.spec.control_period = kKitchenControlPeriod;
  s.spec.policy_period = kKitchenPolicyPeriod;
  const auto& lo = kWorkspaceLower;
  const auto& hi = kWorkspaceUpper;
  s.spec.observation.proprioception = {
      channel("tool_x", "m", lo[0], hi[0]), channel("tool_y", "m", lo[1], hi[1]),
      channel("tool_z", "m", lo[2], hi[2]), channel("gripper_opening", "m", 0, kGripperOpen)};
  s.spec.observation.object_state = s.level->channels();
  s.spec.action.channels = {channel("tool_x", "m/s", -kToolSpeed, kToolSpeed),
                            channel("tool_y", "m/s", -kToolSpeed, kToolSpeed),
                            channel("tool_z", "m/s", -kToolSpeed, kToolSpeed),
                            channel("gripper", "m/s", -kGripperSpeed, kGripperSpeed)};
  if (options.cameras) {
    RendererOptions render;
    render.jpeg_quality = options.jpeg_quality;
    auto renderer = Renderer::create(s.model.get(), render);
    if (!renderer.ok()) return renderer.status().with_context("kitchen cameras");
    s.renderer = *std::move(renderer);
    auto shown = make_data(*s.model);
    if (!shown.ok()) return shown.status();
    s.shown = *std::move(shown);
    s.spec.observation.cameras = {{"front", render.width, render.height},
                                  {"wrist", render.width, render.height}};
  }
  NUDGE_TRY(robot->reset(0));
  return robot;
}

const RobotSpec& KitchenRobot::spec() const { return impl_->spec; }

Status KitchenRobot::reset(std::uint64_t seed) {
  return reset_in(seed, impl_->level->data().starts);
}

Status KitchenRobot::reset_in(std::uint64_t seed, const StartRegion& region) {
  Impl& s = *impl_;
  const StartRegion& whole = s.level->data().starts;
  if (!(region.x_min <= region.x_max && region.y_min <= region.y_max) ||
      !whole.contains(region.x_min, region.y_min) || !whole.contains(region.x_max, region.y_max)) {
    char text[96];
    std::snprintf(text, sizeof text, "x %g..%g, y %g..%g m", whole.x_min, whole.x_max, whole.y_min,
                  whole.y_max);
    return invalid_argument("kitchen: the start region must lie within " + std::string(text));
  }
  // Every reset draws the same number of values in the same order.
  Random random(Random::derive(seed, kStartStream));
  const KitchenStart start = s.level->start(random, region);
  Vec3 jitter{};
  for (double& j : jitter) j = random.uniform(-s.options.home_jitter, s.options.home_jitter);
  s.noise = Random(Random::derive(seed, kNoiseStream));

  mj_resetData(s.model.get(), s.data.get());
  mj_resetData(s.model.get(), s.plan.get());
  s.joint_target = kHome;
  s.freeze();
  for (int i = 0; i < 3; ++i) s.tool_target[i] += jitter[i];
  for (int i = 0; i < 50; ++i) s.solve(1.0);
  s.joint_target_now = s.joint_target;
  s.joint_rate.fill(0);
  s.gripper_target = kGripperOpen;
  mju_copy(s.data->qpos, s.joint_target.data(), kArmJoints);
  for (int f = 0; f < kFingers; ++f) s.data->qpos[kArmJoints + f] = 0.5 * kGripperOpen;
  for (std::size_t i = 0; i < s.objects.size(); ++i) {
    const KitchenStart::Lying& lying = start.objects[i];
    s.lay(s.objects[i], {lying.x, lying.y, s.level->data().objects[i].half[2]}, lying.yaw);
  }
  if (s.drawer_qpos >= 0) s.data->qpos[s.drawer_qpos] = start.drawer;
  s.task = s.level->task_of(seed);
  s.instruction = s.level->data().tasks[s.task].instruction;
  if (s.dresser) {
    s.looks = std::make_shared<const KitchenLooks>(
        s.dresser->draw(Random::derive(seed, kLooksStream), s.state().objects));
    s.dresser->dress(*s.looks);
  }
  mj_forward(s.model.get(), s.data.get());
  s.done_ticks = 0;
  s.next_frame = s.clock;
  s.frames.clear();
  s.seen_positions.clear();
  return {};
}

void KitchenRobot::place_block(double x, double y) {
  place_object(0, {x, y, impl_->level->data().objects[0].half[2]}, 0);
}

void KitchenRobot::place_object(std::size_t object, const Vec3& centre, double yaw) {
  Impl& s = *impl_;
  s.lay(s.objects.at(object), centre, yaw);
  mj_forward(s.model.get(), s.data.get());
  s.done_ticks = 0;
}

void KitchenRobot::set_drawer(double open) {
  Impl& s = *impl_;
  if (s.drawer_qpos < 0) return;
  s.data->qpos[s.drawer_qpos] = std::clamp(open, 0.0, kDrawerTravel);
  s.data->qvel[s.drawer_qvel] = 0;
  mj_forward(s.model.get(), s.data.get());
  s.done_ticks = 0;
}

KitchenLayout KitchenRobot::layout() const {
  return {.positions = positions(), .gripper_target = impl_->gripper_target};
}

void KitchenRobot::put_back(const KitchenLayout& layout, double apart, Random& random) {
  Impl& s = *impl_;
  mju_copy(s.data->qpos, layout.positions.data(), s.model->nq);
  mju_zero(s.data->qvel, s.model->nv);
  std::copy_n(s.data->qpos, kArmJoints, s.joint_target.begin());
  s.joint_target_now = s.joint_target;
  s.joint_rate.fill(0);
  s.freeze();
  s.gripper_target = layout.gripper_target;
  mj_forward(s.model.get(), s.data.get());
  const double touching = s.deepest_contact();
  for (std::size_t i = 0; i < s.objects.size(); ++i) {
    mjtNum* at = s.data->qpos + s.objects[i].qpos;
    if (std::abs(at[2] - s.level->data().objects[i].half[2]) > kStandsWithin) continue;
    const mjtNum x = at[0], y = at[1];
    for (int tries = 0; tries < kPlaceTries; ++tries) {
      at[0] = x + random.uniform(-apart, apart);
      at[1] = y + random.uniform(-apart, apart);
      mj_forward(s.model.get(), s.data.get());
      if (s.deepest_contact() >= touching - kOverlap) break;
      at[0] = x;
      at[1] = y;
    }
  }
  mj_forward(s.model.get(), s.data.get());
  s.done_ticks = 0;
}

const KitchenLevel& KitchenRobot::level() const { return *impl_->level; }

const std::string& KitchenRobot::instruction_for(std::uint64_t seed) const {
  return impl_->level->data().tasks[impl_->level->task_of(seed)].instruction;
}

std::string KitchenRobot::instruction() const {
  return impl_->level->data().tasks.size() > 1 ? impl_->instruction : "";
}

void KitchenRobot::instruct(const std::string& instruction) {
  Impl& s = *impl_;
  const std::size_t meant = s.level->task_meant(instruction, s.task);
  if (std::exchange(s.task, meant) != meant) s.done_ticks = 0;
}

KitchenState KitchenRobot::state() const { return impl_->state(); }

Result<Observation> KitchenRobot::observe() {
  Impl& s = *impl_;
  Observation o;
  o.time = s.clock;
  const KitchenState now = s.state();
  for (double v : now.tool) o.proprioception.push_back(static_cast<float>(v));
  o.proprioception.push_back(static_cast<float>(now.opening));
  o.object_state = s.level->object_state(now);
  o.success = s.done_ticks >= s.level->data().done_ticks;
  if (s.renderer) {
    s.seen_positions.assign(s.data->qpos, s.data->qpos + s.model->nq);
    s.seen_at = s.clock;
  }
  if (s.rendering && s.renderer) {
    if (s.frames.empty() || s.clock >= s.next_frame) {
      std::vector<Image> frames;
      for (const CameraSpec& camera : s.spec.observation.cameras) {
        auto image = s.renderer->render(s.data.get(), camera.name, s.clock);
        if (!image.ok()) return image.status();
        frames.push_back(*std::move(image));
      }
      s.frames = std::move(frames);
      s.next_frame = s.clock + kKitchenPolicyPeriod;
    }
    o.images = s.frames;
  }
  return o;
}

Result<std::vector<Image>> KitchenRobot::pictures() {
  Impl& s = *impl_;
  std::vector<Image> frames;
  if (!s.renderer || s.seen_positions.empty()) return frames;
  mju_copy(s.shown->qpos, s.seen_positions.data(), s.model->nq);
  mj_kinematics(s.model.get(), s.shown.get());
  mj_comPos(s.model.get(), s.shown.get());
  mj_camlight(s.model.get(), s.shown.get());
  for (const CameraSpec& camera : s.spec.observation.cameras) {
    Result<Image> image = s.renderer->render(s.shown.get(), camera.name, s.seen_at);
    if (!image.ok()) return image.status();
    frames.push_back(*std::move(image));
  }
  return frames;
}

void KitchenRobot::render(bool on) {
  impl_->rendering = on;
  if (!on) impl_->frames.clear();
}

Status KitchenRobot::apply(const Action& action, Instant /*deadline*/) {
  Impl& s = *impl_;
  if (action.size() != kKitchenActionSize) {
    return invalid_argument("kitchen: an action has 4 values (x, y, z, gripper), got " +
                            std::to_string(action.size()));
  }
  for (std::size_t i = 0; i < action.size(); ++i) {
    if (!std::isfinite(action[i])) {
      return invalid_argument("kitchen: action value " + std::to_string(i) + " (" +
                              s.spec.action.channels[i].name + ") is not finite");
    }
  }
  if (s.stopped.load()) {
    return failed_precondition("kitchen: stopped; an engineer must reset the stop first");
  }
  s.held.store(false);
  auto rate = [&](std::size_t i, double speed) {
    return std::clamp(static_cast<double>(action[i]), -1.0, 1.0) * speed;
  };
  return s.tick({rate(kMoveX, kToolSpeed), rate(kMoveY, kToolSpeed), rate(kMoveZ, kToolSpeed)},
                rate(kMoveGripper, kGripperSpeed));
}

Status KitchenRobot::advance() { return impl_->tick({0, 0, 0}, 0); }

void KitchenRobot::hold() { impl_->held.store(true); }
void KitchenRobot::estop() { impl_->stopped.store(true); }
Status KitchenRobot::reset_estop() {
  impl_->stopped.store(false);
  impl_->held.store(true);
  return {};
}

Instant KitchenRobot::now() const { return impl_->clock; }
void KitchenRobot::advance_clock_to(Instant time) { impl_->clock = std::max(impl_->clock, time); }
std::vector<double> KitchenRobot::positions() const {
  return {impl_->data->qpos, impl_->data->qpos + impl_->model->nq};
}
std::shared_ptr<const KitchenLooks> KitchenRobot::looks() const { return impl_->looks; }
ControlTick KitchenRobot::ticks() const { return impl_->ticks; }

}  // namespace nudge
