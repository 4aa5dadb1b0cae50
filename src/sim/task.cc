#include "src/sim/task.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace nudge {
namespace {

constexpr double kNear = 0.03;  // m; closer than this, closing the gripper is progress

double distance(const Vec3& a, const Vec3& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

}  // namespace

Result<KitchenView> view_of(const Observation& observation) {
  const auto& p = observation.proprioception;
  const auto& o = observation.object_state;
  if (p.size() != kKitchenProprioceptionSize || o.size() != kKitchenObjectStateSize) {
    return invalid_argument("observation has " + std::to_string(p.size()) +
                            " values of proprioception and " + std::to_string(o.size()) +
                            " of object state; the kitchen has " +
                            std::to_string(kKitchenProprioceptionSize) + " and " +
                            std::to_string(kKitchenObjectStateSize));
  }
  return KitchenView{
      {p[kToolX], p[kToolY], p[kToolZ]}, {o[kBlockX], o[kBlockY], o[kBlockZ]}, p[kGripperOpening]};
}

bool lifted(const KitchenView& view) {
  return view.block[2] > kBlockRestHeight + kLiftHeight &&
         distance(view.tool, view.block) < kHeldDistance;
}

double progress(const KitchenView& view) {
  // A gripper closed far from the block has to be opened again; one closed at the block is a grasp.
  // Counting half of its travel keeps the two parts equal at the moment of coming near.
  const double closed = std::clamp(kGripperOpen - view.opening, 0.0, kGripperOpen);
  const double away = distance(view.tool, view.block);
  if (away > kNear) return -away - 0.5 * closed;
  const double lift = std::max(0.0, view.block[2] - kBlockRestHeight);
  return -away + 0.5 * std::min(closed, 0.5 * kGripperOpen) + lift;
}

}  // namespace nudge
