// The frozen part of a policy: observation in, feature vector out. Never trained on the robot, so
// its features can be recorded once and reused by every training round.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nudge/robot.h"
#include "nudge/status.h"

namespace nudge {

// One thread at a time per instance.
class Backbone {
 public:
  virtual ~Backbone() = default;

  virtual std::size_t feature_size() const = 0;  // 1..kMaxFeatures

  // Names of the cameras that encode() looks at.
  virtual std::vector<std::string> cameras() const { return {}; }

  // Hex SHA-256 of everything that decides what encode() returns. Keys the recorded features.
  virtual const std::string& hash() const = 0;

  // kInvalidArgument when the observation does not fit the robot's specification; kUnavailable
  // while a camera has shown nothing yet.
  virtual Result<std::vector<float>> encode(const Observation& observation,
                                            const std::string& instruction) = 0;
};

// For robots that perceive object poses themselves (or simulate them): the features are the object
// state as it is, and the instruction is ignored, since a single task needs none. A robot without
// object state has one feature, always 0: its policy goes by proprioception alone.
Result<std::unique_ptr<Backbone>> make_state_backbone(const ObservationSpec& spec);

}  // namespace nudge
