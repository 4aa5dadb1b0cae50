#include "src/sim/kitchen_looks.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "nudge/random.h"

namespace nudge {
namespace {

constexpr double kColour = 0.22;           // most that each part of a colour changes
constexpr double kBrightness = 0.30;       // share that the lights change by
constexpr double kTilt = 0.35;             // of the lamp's direction
constexpr double kCameraShift = 0.012;     // m, of the front camera; the wrist's is a quarter
constexpr double kCameraTurn = 0.025;      // rad
constexpr double kClearOfObjects = 0.085;  // m
constexpr double kUnlikeObjects = 0.4;     // between colours, each part 0 to 1
constexpr int kTries = 20;

double distance(const std::array<float, 3>& a, const std::array<float, 3>& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

// Materials of what lies about loosely: the things that a task is about.
std::vector<std::size_t> materials_of_objects(const mjModel& model) {
  std::vector<std::size_t> materials;
  for (int g = 0; g < model.ngeom; ++g) {
    const int body = model.geom_bodyid[g];
    const bool loose =
        model.body_jntnum[body] == 1 && model.jnt_type[model.body_jntadr[body]] == mjJNT_FREE;
    if (loose && model.geom_matid[g] >= 0) {
      materials.push_back(static_cast<std::size_t>(model.geom_matid[g]));
    }
  }
  return materials;
}

}  // namespace

struct KitchenDresser::Impl {
  mjModel* model = nullptr;
  std::vector<float> colours;                // rgba of each material
  std::vector<std::size_t> object_material;  // of each geom of an object
  std::vector<mjtNum> camera_at, camera_turn;
  std::array<float, 3> light{}, ambient{};
  Vec3 light_direction{};
  std::array<int, kDistractors> box{}, round{};  // geoms; each distractor is one of the two
};

KitchenDresser::KitchenDresser(mjModel_* model) : impl_(std::make_unique<Impl>()) {
  Impl& s = *impl_;
  s.model = model;
  s.colours.assign(model->mat_rgba, model->mat_rgba + 4 * model->nmat);
  s.object_material = materials_of_objects(*model);
  s.camera_at.assign(model->cam_pos, model->cam_pos + 3 * model->ncam);
  s.camera_turn.assign(model->cam_quat, model->cam_quat + 4 * model->ncam);
  for (int i = 0; i < 3; ++i) {
    s.light[i] = model->light_diffuse[i];
    s.ambient[i] = model->vis.headlight.ambient[i];
    s.light_direction[i] = model->light_dir[i];
  }
  for (std::size_t i = 0; i < kDistractors; ++i) {
    s.box[i] = mj_name2id(model, mjOBJ_GEOM, ("clutter_box" + std::to_string(i)).c_str());
    s.round[i] = mj_name2id(model, mjOBJ_GEOM, ("clutter_round" + std::to_string(i)).c_str());
  }
}

KitchenDresser::~KitchenDresser() = default;

KitchenLooks KitchenDresser::draw(std::uint64_t seed, const std::vector<Vec3>& objects) const {
  const Impl& s = *impl_;
  Random random(seed);
  KitchenLooks looks;
  const auto around = [&](double middle, double by) {
    return static_cast<float>(std::clamp(middle + random.uniform(-by, by), 0.0, 1.0));
  };
  for (std::size_t m = 0; m + 3 < s.colours.size(); m += 4) {
    auto& colour = looks.colours.emplace_back();
    for (std::size_t i = 0; i < 3; ++i) colour[i] = around(s.colours[m + i], kColour);
  }
  const double bright = 1 + random.uniform(-kBrightness, kBrightness);
  const double dim = 1 + random.uniform(-kBrightness, kBrightness);
  for (std::size_t i = 0; i < 3; ++i) {
    looks.light[i] = static_cast<float>(s.light[i] * bright);
    looks.ambient[i] = static_cast<float>(s.ambient[i] * dim);
    looks.light_direction[i] = s.light_direction[i] + random.uniform(-kTilt, kTilt);
  }
  for (int c = 0; c < s.model->ncam; ++c) {
    auto& camera = looks.cameras.emplace_back();
    const double share = c == 0 ? 1 : 0.25;
    for (double& v : camera.by) v = share * random.uniform(-kCameraShift, kCameraShift);
    for (double& v : camera.turn) v = random.uniform(-kCameraTurn, kCameraTurn);
  }
  const auto like_an_object = [&](const std::array<float, 3>& colour) {
    return std::ranges::any_of(s.object_material, [&](std::size_t m) {
      return distance(looks.colours[m], colour) < kUnlikeObjects;
    });
  };
  const auto wanted = static_cast<std::size_t>(random.uniform(0, kDistractors + 1));
  for (std::size_t i = 0; i < kDistractors; ++i) {
    auto& d = looks.distractors[i];
    d.round = random.uniform(0, 1) < 0.5;
    d.yaw = random.uniform(-3.14, 3.14);
    for (double& half : d.half) half = random.uniform(0.012, 0.03);
    for (float& part : d.colour) part = static_cast<float>(random.uniform(0.05, 0.95));
    Random other(Random::derive(seed, i));  // so that recolouring one thing changes no other draw
    for (int i_try = 0; i_try < kTries && like_an_object(d.colour); ++i_try) {
      for (float& part : d.colour) part = static_cast<float>(other.uniform(0.05, 0.95));
    }
    const bool unlike = !like_an_object(d.colour);
    for (int i_try = 0; i_try < kTries && !d.there; ++i_try) {
      d.at = {random.uniform(0.28, 0.60), random.uniform(-0.29, 0.29), d.half[2]};
      const bool clear = std::all_of(objects.begin(), objects.end(), [&](const Vec3& object) {
        return std::hypot(object[0] - d.at[0], object[1] - d.at[1]) > kClearOfObjects;
      });
      d.there = clear && unlike && i < wanted;
    }
  }
  return looks;
}

KitchenLooks KitchenDresser::plain() const {
  const Impl& s = *impl_;
  KitchenLooks looks;
  for (std::size_t m = 0; m + 3 < s.colours.size(); m += 4) {
    looks.colours.push_back({s.colours[m], s.colours[m + 1], s.colours[m + 2]});
  }
  looks.light = s.light;
  looks.ambient = s.ambient;
  looks.light_direction = s.light_direction;
  looks.cameras.resize(static_cast<std::size_t>(s.model->ncam));
  return looks;
}

void KitchenDresser::dress(const KitchenLooks& looks) {
  Impl& s = *impl_;
  mjModel* m = s.model;
  for (std::size_t i = 0; i < looks.colours.size(); ++i) {
    std::copy(looks.colours[i].begin(), looks.colours[i].end(), m->mat_rgba + 4 * i);
  }
  for (int i = 0; i < 3; ++i) {
    m->light_diffuse[i] = looks.light[i];
    m->vis.headlight.ambient[i] = looks.ambient[i];
    m->light_dir[i] = looks.light_direction[i];
  }
  mju_normalize3(m->light_dir);
  for (std::size_t c = 0; c < looks.cameras.size(); ++c) {
    mjtNum turn[4];
    const double angle = mju_norm3(looks.cameras[c].turn.data());
    mjtNum axis[3] = {1, 0, 0};
    if (angle > 0) mju_scl3(axis, looks.cameras[c].turn.data(), 1 / angle);
    mju_axisAngle2Quat(turn, axis, angle);
    mju_mulQuat(m->cam_quat + 4 * c, s.camera_turn.data() + 4 * c, turn);
    mju_add3(m->cam_pos + 3 * c, s.camera_at.data() + 3 * c, looks.cameras[c].by.data());
  }
  for (std::size_t i = 0; i < kDistractors; ++i) {
    const KitchenLooks::Distractor& d = looks.distractors[i];
    for (const int geom : {s.box[i], s.round[i]}) {
      if (geom < 0) continue;
      const bool shown = d.there && geom == (d.round ? s.round[i] : s.box[i]);
      float* rgba = m->geom_rgba + 4 * geom;
      std::copy(d.colour.begin(), d.colour.end(), rgba);
      rgba[3] = shown ? 1 : 0;  // what cannot be seen is not drawn
      std::copy(d.at.begin(), d.at.end(), m->geom_pos + 3 * geom);
      std::copy(d.half.begin(), d.half.end(), m->geom_size + 3 * geom);
      if (d.round) m->geom_size[3 * geom + 1] = d.half[2];  // radius, half height
      mjtNum* quat = m->geom_quat + 4 * geom;
      quat[0] = std::cos(0.5 * d.yaw);
      quat[1] = quat[2] = 0;
      quat[3] = std::sin(0.5 * d.yaw);
    }
  }
}

}  // namespace nudge
