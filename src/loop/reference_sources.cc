#include "src/loop/reference_sources.h"

#include <algorithm>
#include <iterator>

#include "src/sim/planner.h"

namespace nudge {
namespace {

class PlannerReference final : public ReferenceSource {
 public:
  explicit PlannerReference(const PlannerOptions& options)
      : rows_(options.rows), planner_(options) {}

  Result<std::optional<ReferenceChunk>> propose(const Observation& observation,
                                                const std::string& /*instruction*/,
                                                const std::vector<float>& /*features*/,
                                                ControlTick tick) override {
    ReferenceChunk chunk;
    chunk.rows = rows_;
    chunk.action_size = kKitchenActionSize;
    chunk.actions = planner_.plan(observation, tick);
    chunk.tick = tick;
    return std::optional(std::move(chunk));
  }
  void begin_episode() override { planner_.begin_episode(); }

 private:
  std::size_t rows_;
  KitchenPlanner planner_;
};

}  // namespace

BaseHeadReference::BaseHeadReference(std::unique_ptr<ActionHead> head)
    : head_(std::move(head)), noise_(head_->spec().horizon * head_->spec().action_size, 0.0f) {}

Result<std::optional<ReferenceChunk>> BaseHeadReference::propose(const Observation& observation,
                                                                 const std::string& /*instruction*/,
                                                                 const std::vector<float>& features,
                                                                 ControlTick tick) {
  ReferenceChunk chunk;
  chunk.rows = head_->spec().horizon;
  chunk.action_size = head_->spec().action_size;
  chunk.actions.resize(noise_.size());
  chunk.tick = tick;
  HeadBatch batch;
  batch.size = 1;
  batch.features = features;
  batch.proprioception = observation.proprioception;
  NUDGE_TRY(head_->sample(batch, noise_, chunk.actions));
  return std::optional(std::move(chunk));
}

namespace {
constexpr std::size_t kObservationsKept = 32;
}

void UpstreamReference::offer(ReferenceChunk chunk, Instant observed) {
  if (!offered_.empty() && offered_.back().observed >= observed) return;
  offered_.push_back({std::move(chunk), observed});
  if (offered_.size() > kObservationsKept) offered_.pop_front();
}

bool UpstreamReference::awaits(const Observation& observation) const {
  return offered_.empty() || offered_.back().observed < observation.time;
}

Result<std::optional<ReferenceChunk>> UpstreamReference::propose(
    const Observation& observation, const std::string& /*instruction*/,
    const std::vector<float>& /*features*/, ControlTick tick) {
  if (seen_.empty() || seen_.back().first < observation.time) {
    seen_.emplace_back(observation.time, tick);
    if (seen_.size() > kObservationsKept) seen_.pop_front();
  }
  const auto newer = std::ranges::upper_bound(offered_, observation.time, {}, &Offered::observed);
  if (newer == offered_.begin()) return std::optional<ReferenceChunk>();
  const Offered& offered = *std::prev(newer);
  ReferenceChunk chunk = offered.chunk;
  const auto seen =
      std::ranges::find(seen_, offered.observed, &std::pair<Instant, ControlTick>::first);
  if (seen != seen_.end()) {
    chunk.tick = std::min(seen->second, tick);
  } else {
    // No step began with what it answers.
    const auto age =
        static_cast<ControlTick>((observation.time - offered.observed) / control_period_);
    chunk.tick = tick - std::min(age, tick);
  }
  return std::optional(std::move(chunk));
}

Result<std::shared_ptr<ReferenceSource>> base_source(std::shared_ptr<const Weights> base) {
  Result<std::unique_ptr<ActionHead>> head = ActionHead::load(std::move(base));
  if (!head.ok()) return head.status();
  NUDGE_TRY((*head)->warm_up());
  return std::shared_ptr<ReferenceSource>(std::make_shared<BaseHeadReference>(*std::move(head)));
}

Result<ReferenceOptions> reference_options(const Config& config, const RobotSpec& robot) {
  ReferenceOptions options;
  options.fit.rows = static_cast<std::size_t>(config.policy.horizon);
  options.fit.action_size = robot.action.size();
  options.fit.ticks_per_row = static_cast<ControlTick>(robot.policy_period / robot.control_period);
  options.fit.least_rows = static_cast<std::size_t>(config.policy.replan_after);
  options.act_without = config.policy.act_without_reference;
  switch (config.policy.reference) {
    case PolicyReference::kNone:
    case PolicyReference::kBase: break;
    case PolicyReference::kPlanner: {
      if (config.robot.driver != RobotDriver::kKitchen) {
        return invalid_argument(
            "policy.reference = \"planner\": only the simulated kitchen has a planner");
      }
      PlannerOptions planner;
      // Rows to spare: a plan that is a little late still covers the chunk.
      planner.rows = options.fit.rows + options.fit.least_rows;
      planner.error = config.sim.planner_error;
      options.source = std::make_unique<PlannerReference>(planner);
      break;
    }
    case PolicyReference::kUpstream: {
      if (config.robot.driver != RobotDriver::kOpenpi) {
        return invalid_argument(
            "policy.reference = \"upstream\": only a robot of the openpi port has one");
      }
      options.source = std::make_unique<UpstreamReference>(robot.control_period);
      break;
    }
  }
  return options;
}

}  // namespace nudge
