// Pictures of the kitchen with what is true of them: for training eyes. The hand works, fumbles and
// wanders, things are thrown about, and each picture has looks of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/sim/level.h"

namespace nudge {

struct KitchenScene {
  std::vector<Image> images;  // of KitchenCameras, in its order; JPEG only
  std::vector<float> proprioception;
  std::size_t task = 0;          // of the level
  Vec3 object{};                 // of the task, minus the tool point, m
  std::optional<Vec3> goal;      // where that belongs, or the drawer's handle; the same
  bool held = false;             // the object, between the fingers
  std::optional<double> drawer;  // m open
  Action expert;                 // what the expert would do now
};

// Not thread-safe: one thread at a time.
class KitchenScenes {
 public:
  // Equal seeds give equal scenes. Errors of KitchenRobot and KitchenCameras.
  static Result<std::unique_ptr<KitchenScenes>> create(const KitchenLevel& level,
                                                       std::uint64_t seed);
  ~KitchenScenes();
  KitchenScenes(const KitchenScenes&) = delete;
  KitchenScenes& operator=(const KitchenScenes&) = delete;

  const std::vector<CameraSpec>& cameras() const;
  Result<KitchenScene> next();

 private:
  KitchenScenes();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
