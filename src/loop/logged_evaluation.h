// How near weights come to what people showed, on what the log holds: for a robot that nobody can
// simulate. It says nothing of success, which only the robot can show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nudge/batch.h"
#include "nudge/status.h"
#include "nudge/types.h"
#include "policy/head.h"
#include "policy/weights.h"
#include "replay/log.h"
#include "src/config/config.h"

namespace nudge {

// Errors are mean absolute differences between the chunk that is sampled and the one that was
// executed, in standard deviations of the demonstrated actions; below 0: there is nothing to
// compare with.
struct LoggedError {
  std::size_t chunks = 0, episodes = 0;
  double error = -1;
};

struct LoggedEvaluation {
  LoggedError demonstrations;        // that it was trained on: how well it knows them
  LoggedError held_out_corrections;  // of episodes that no training sees
  std::uint64_t deployments = 0, successes = 0, failures = 0;  // episodes, by their label
  std::uint64_t other_shape_episodes = 0;  // left out: of the robot before its spec changed
};

// How far a head's sampled chunks are from those that were executed in one episode.
struct EpisodeError {
  EpisodeId episode = 0;
  std::size_t chunks = 0;
  double values = 0;  // numbers that were compared
  double error = 0;   // their mean, in units of `scale`
};

// Of the chunks in `batch`, by episode in order of their numbers. `scale`: of each action channel.
// Equal batches get equal noise, so that two heads are compared like for like.
Result<std::vector<EpisodeError>> errors_by_episode(ActionHead& head, const Batch& batch,
                                                    std::span<const float> scale);

// Folds the log, whose robot is `robot`. kFailedPrecondition: the weights are of another shape.
Result<LoggedEvaluation> evaluate_on_log(Log& log, const Config& config, const RobotSpec& robot,
                                         const std::shared_ptr<const Weights>& weights);

}  // namespace nudge
