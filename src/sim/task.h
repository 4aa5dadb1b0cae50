// The kitchen's first task, "lift the block": where it happens, what its observations mean, when it
// is done and how far along it is. Shared by the robot, the expert, the scripted supervisor and
// every evaluation, so that they cannot disagree.
//
// The numbers follow gym-hil's PandaPickCube (workspace, block, lift, limit of steps), so that
// results can be compared with it.
#pragma once

#include <array>
#include <cstddef>

#include "nudge/status.h"
#include "nudge/time.h"
#include "nudge/types.h"

namespace nudge {

// Base frame: x forward from the robot's foot, y to its left, z up; z = 0 is the counter's top.
using Vec3 = std::array<double, 3>;

inline constexpr Duration kKitchenControlPeriod = std::chrono::milliseconds(20);
inline constexpr Duration kKitchenPolicyPeriod = std::chrono::milliseconds(100);
// Policy steps after which an episode is over; the runner counts them.
inline constexpr std::uint32_t kKitchenEpisodeSteps = 100;
inline constexpr const char* kKitchenInstruction = "lift the block";

inline constexpr Vec3 kWorkspaceLower = {0.2, -0.3, 0.0};  // of the tool point, m
inline constexpr Vec3 kWorkspaceUpper = {0.6, 0.3, 0.5};   // of the tool point, m
inline constexpr double kBlockRestHeight = 0.02;           // of the block's centre, m: a 4 cm cube
inline constexpr double kLiftHeight = 0.1;     // above rest, m; higher than this is success
inline constexpr double kHeldDistance = 0.05;  // tool to block, m; further away it is not held
inline constexpr double kGripperOpen = 0.08;   // between the finger pads, m
inline constexpr int kLiftTicks = 3;           // control ticks in a row that success must last

// Rates that +1 stands for.
inline constexpr double kToolSpeed = 0.25;    // m/s along each axis: 2.5 cm a policy step
inline constexpr double kGripperSpeed = 0.2;  // m/s of opening: full travel in 0.4 s

// Layout of Action: rates of the tool in the base frame, then of the gripper; + opens, - closes.
enum KitchenAction : std::size_t { kMoveX, kMoveY, kMoveZ, kMoveGripper, kKitchenActionSize };

// Layout of Observation::proprioception, m. The tool point lies between the finger pads.
enum KitchenProprioception : std::size_t {
  kToolX,
  kToolY,
  kToolZ,
  kGripperOpening,
  kKitchenProprioceptionSize,
};

// Layout of Observation::object_state, m: the block's centre, and the same minus the tool point.
enum KitchenObjectState : std::size_t {
  kBlockX,
  kBlockY,
  kBlockZ,
  kBlockFromToolX,
  kBlockFromToolY,
  kBlockFromToolZ,
  kKitchenObjectStateSize,
};

// An observation of the kitchen with names on it.
struct KitchenView {
  Vec3 tool{};         // m
  Vec3 block{};        // m
  double opening = 0;  // between the finger pads, m
};
// kInvalidArgument when the sizes are not the kitchen's.
Result<KitchenView> view_of(const Observation& observation);

// Where a block may lie when an episode starts, m. Also describes parts of it.
struct StartRegion {
  double x_min = 0.3, x_max = 0.5;
  double y_min = -0.15, y_max = 0.15;
  bool contains(double x, double y) const {
    return x >= x_min && x <= x_max && y >= y_min && y <= y_max;
  }
};

// Block above the height and still at the hand, at this instant. Success is kLiftTicks of these in
// a row: Observation::success.
bool lifted(const KitchenView& view);

// How far along the task is, in metres of motion; higher is nearer to done. Rises along any
// sensible way of doing the task: towards the block with the gripper open, closing on it, lifting
// it. About -0.4 at a usual start, above 0.1 when done.
double progress(const KitchenView& view);

}  // namespace nudge
