// Where the reference chunks of a deployment come from, as configured.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

// The chunks of a policy elsewhere, each of which answers one observation, and comes in its own
// time. An observation is answered by its own chunk, even where that came later than the one after
// it; by the newest one before it, where it has got none.
class UpstreamReference final : public ReferenceSource {
 public:
  explicit UpstreamReference(Duration control_period) : control_period_(control_period) {}
  Result<std::optional<ReferenceChunk>> propose(const Observation& observation,
                                                const std::string& instruction,
                                                const std::vector<float>& features,
                                                ControlTick tick) override;
  void offer(ReferenceChunk chunk, Instant observed) override;
  bool awaits(const Observation& observation) const override;

 private:
  struct Offered {
    ReferenceChunk chunk;
    Instant observed;
  };
  Duration control_period_;
  std::deque<Offered> offered_;  // by `observed`, oldest first; a few
  // The first tick that each of the newest observations was seen at: several steps may begin while
  // a robot plays a chunk without looking.
  std::deque<std::pair<Instant, ControlTick>> seen_;
};

// For LoadedHead::base: loaded and warm. Errors of ActionHead.
Result<std::shared_ptr<ReferenceSource>> base_source(std::shared_ptr<const Weights> base);

// Everything that Inference wants to know of references. With policy.reference = "base" there is no
// source: the base comes with the weights that edit it. kInvalidArgument: the robot has no such
// source.
Result<ReferenceOptions> reference_options(const Config& config, const RobotSpec& robot);

}  // namespace nudge
