// How the kitchen looks to its cameras: colours, lights, where the cameras sit, and things that lie
// about without being part of the task. Drawn at random, so that a policy that learns from pictures
// learns what matters. Nothing here touches the physics.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/sim/task.h"

struct mjModel_;

namespace nudge {

inline constexpr std::size_t kDistractors = 3;

struct KitchenLooks {
  std::vector<std::array<float, 3>> colours;  // of each material, in the model's order
  std::array<float, 3> light{};               // of the lamp
  std::array<float, 3> ambient{};
  Vec3 light_direction{};
  struct Shift {
    Vec3 by{};    // m
    Vec3 turn{};  // rad, about the camera's own axes
  };
  std::vector<Shift> cameras;  // in the model's order
  struct Distractor {
    bool there = false;
    bool round = false;
    Vec3 at{}, half{};  // m
    double yaw = 0;     // rad
    std::array<float, 3> colour{};
  };
  std::array<Distractor, kDistractors> distractors;
};

// Puts looks on a model. Remembers how it looked at first, from which all looks are drawn. The
// model lives longer; one thread.
class KitchenDresser {
 public:
  explicit KitchenDresser(mjModel_* model);
  ~KitchenDresser();
  KitchenDresser(const KitchenDresser&) = delete;
  KitchenDresser& operator=(const KitchenDresser&) = delete;

  // Equal seeds, equal looks. Distractors keep clear of `objects` at the start; the arm passes
  // through them. None has a colour that an object has: of two red cubes nobody could tell which is
  // "the block", and a correction that goes to the right one would teach to go away from a block.
  KitchenLooks draw(std::uint64_t seed, const std::vector<Vec3>& objects) const;
  // As the scene was drawn up: nothing changed, nothing lying about.
  KitchenLooks plain() const;
  void dress(const KitchenLooks& looks);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
