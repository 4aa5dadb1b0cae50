// Where the reference chunks of a deployment come from, as configured.
#pragma once

#include <memory>
#include <string>

#include "nudge/robot.h"
#include "policy/head.h"
#include "policy/reference.h"
#include "src/config/config.h"
#include "src/loop/inference.h"

namespace nudge {

// The chunks of a frozen head. Always from the same noise, zeros: an edit that was learned for an
// observation must fit what is proposed for it the next time.
class BaseHeadReference final : public ReferenceSource {
 public:
  explicit BaseHeadReference(std::unique_ptr<ActionHead> head);
  Result<std::optional<ReferenceChunk>> propose(const Observation& observation,
                                                const std::string& instruction,
                                                const std::vector<float>& features,
                                                ControlTick tick) override;

 private:
  std::unique_ptr<ActionHead> head_;
  std::vector<float> noise_;
};

// The file that policy.reference_weights names, seen from state.dir.
std::string reference_weights_path(const Config& config);

// Everything that Inference wants to know of references. With policy.reference = "base" and no such
// file yet the source proposes nothing: the first training makes the file. kInvalidArgument: the
// robot has no such source, or the file is no head of this robot and backbone.
Result<ReferenceOptions> reference_options(const Config& config, const RobotSpec& robot,
                                           const Backbone& backbone);

}  // namespace nudge
