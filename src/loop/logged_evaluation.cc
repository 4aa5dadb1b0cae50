#include "src/loop/logged_evaluation.h"

#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "policy/backbone.h"
#include "policy/head.h"
#include "policy/input_layout.h"
#include "replay/dataset.h"
#include "replay/feed.h"
#include "replay/follow.h"
#include "src/learning/settings.h"
#include "src/loop/perception.h"

namespace nudge {
namespace {

constexpr std::size_t kMostChunks = 4096;
constexpr std::uint64_t kSeed = 11;  // of choice and noise: equal logs give equal figures

Result<LoggedError> error_on(ActionHead& head, const Batch& batch,
                             const std::vector<float>& scale) {
  const Result<std::vector<EpisodeError>> errors = errors_by_episode(head, batch, scale);
  if (!errors.ok()) return errors.status();
  LoggedError found;
  found.chunks = batch.size;
  found.episodes = errors->size();
  double sum = 0, count = 0;
  for (const EpisodeError& one : *errors) {
    sum += one.error * one.values;
    count += one.values;
  }
  if (count > 0) found.error = sum / count;
  return found;
}

}  // namespace

Result<std::vector<EpisodeError>> errors_by_episode(ActionHead& head, const Batch& batch,
                                                    std::span<const float> scale) {
  const HeadSpec& spec = head.spec();
  const std::size_t row = spec.horizon * spec.action_size;
  Random random(kSeed);
  std::vector<float> noise(row), chunk(row);
  std::map<EpisodeId, EpisodeError> errors;
  for (std::size_t i = 0; i < batch.size; ++i) {
    for (float& value : noise) value = static_cast<float>(random.normal());
    HeadBatch one;
    one.size = 1;
    one.features = std::span(batch.features).subspan(i * spec.feature_size, spec.feature_size);
    one.proprioception = std::span(batch.proprioception)
                             .subspan(i * spec.proprioception_size, spec.proprioception_size);
    if (spec.reference_chunk && !batch.reference.empty()) {
      one.reference = std::span(batch.reference).subspan(i * row, row);
      one.has_reference = std::span(batch.has_reference).subspan(i, 1);
    }
    NUDGE_TRY(head.sample(one, noise, chunk));
    EpisodeError& of = errors[batch.cluster[i]];
    ++of.chunks;
    for (std::size_t h = 0; h < spec.horizon; ++h) {
      if (batch.mask[i * spec.horizon + h] == 0) continue;
      for (std::size_t a = 0; a < spec.action_size; ++a) {
        const std::size_t at = h * spec.action_size + a;
        of.error += std::abs(chunk[at] - batch.actions[i * row + at]) / scale[a];
        ++of.values;
      }
    }
  }
  std::vector<EpisodeError> found;
  for (auto& [episode, error] : errors) {
    error.episode = episode;
    if (error.values > 0) error.error /= error.values;
    found.push_back(error);
  }
  return found;
}

Result<LoggedEvaluation> evaluate_on_log(Log& log, const Config& config, const RobotSpec& robot,
                                         const std::shared_ptr<const Weights>& weights) {
  Result<std::unique_ptr<Backbone>> backbone = make_backbone(config, robot.observation);
  if (!backbone.ok()) return backbone.status();
  const PolicyShape shape = policy_shape(config, robot, **backbone);
  const HeadSpec& head_of = weights->head();
  if (head_of.feature_size != shape.feature_size || head_of.action_size != shape.action_size ||
      head_of.proprioception_size != shape.proprioception_size) {
    return failed_precondition("the weights are of another shape than robot '" + robot.id +
                               "' has now; 'nudge train' makes new ones");
  }
  DatasetOptions options = dataset_options(config, shape);
  options.horizon = head_of.horizon;
  Dataset dataset(posix_files(), options);
  NUDGE_TRY(follow(log, dataset.prefix(), [&](const FeedItem& item) -> Status {
    const Status applied = dataset.apply(item);
    const auto* steps = std::get_if<StepsRef>(&item);
    if (applied.code() != Code::kDataLoss || steps == nullptr) return applied;
    dataset.pass_over(*steps);
    return {};
  }));
  Result<std::unique_ptr<ActionHead>> head = ActionHead::load(weights);
  if (!head.ok()) return head.status();
  std::vector<float> scale = values_of(*weights, "norm.action.scale");
  if (scale.size() != shape.action_size) return data_loss("the weights have no norm.action.scale");
  LoggedEvaluation result;
  Result<LoggedError> shown =
      error_on(**head, dataset.demonstration_probe(kMostChunks, kSeed), scale);
  if (!shown.ok()) return shown.status();
  result.demonstrations = *shown;
  Result<LoggedError> kept = error_on(**head, dataset.held_out_probe(kMostChunks), scale);
  if (!kept.ok()) return kept.status();
  result.held_out_corrections = *kept;
  const DatasetCounts counts = dataset.counts();
  result.deployments = counts.deployments;
  result.successes = counts.successes;
  result.failures = counts.failures;
  result.other_shape_episodes = counts.other_shape_episodes;
  return result;
}

}  // namespace nudge
