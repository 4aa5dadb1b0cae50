// The kitchen's two cameras beside the simulation: pictures of a state that was copied out of it,
// so that rendering never holds up a control tick.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/sim/kitchen_looks.h"
#include "src/sim/level.h"

namespace nudge {

// Not thread-safe: one thread at a time, which need not be the robot's.
class KitchenCameras {
 public:
  // Of the kitchen with this level in it. 1..100, turbojpeg's scale. kUnavailable: no usable GL;
  // the message says what to install.
  static Result<std::unique_ptr<KitchenCameras>> create(const KitchenLevel& level,
                                                        int jpeg_quality);
  ~KitchenCameras();
  KitchenCameras(const KitchenCameras&) = delete;
  KitchenCameras& operator=(const KitchenCameras&) = delete;

  const std::vector<CameraSpec>& cameras() const;  // "front", "wrist", 128x128

  // Looks for render(), as KitchenDresser makes them.
  KitchenLooks draw(std::uint64_t seed, const std::vector<Vec3>& objects) const;
  KitchenLooks plain() const;

  // One frame of each, in that order, JPEG only. `positions` and `looks` as those of KitchenRobot.
  // kUnavailable: the GL context was lost.
  Result<std::vector<Image>> render(std::span<const double> positions, const KitchenLooks* looks,
                                    Instant captured);

 private:
  KitchenCameras();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
