// The learner: folds the feed into a dataset, runs the rounds that are due, sends candidates. Lives
// in a process of its own and knows nothing of robots, people or time.
//
// A full round is a function of log prefix, configuration, parent and seed: the fold stops at the
// event that made the round due, so that it never sees more than its prefix. A micro-round also
// depends on the micro-rounds before it in the same episode, whose optimiser and average it keeps.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "policy/round_planner.h"
#include "policy/trainer.h"
#include "replay/dataset.h"
#include "src/config/config.h"
#include "src/learning/learner_port.h"
#include "src/learning/sandbox.h"
#include "src/learning/settings.h"

namespace nudge {

// Trains one round on what `dataset` holds now. `should_abort` is asked every few steps; kAborted
// when it says so. The caller passes the trainer, so that it may keep it.
Result<CandidateMessage> run_round(const RoundOrder& order, const Config& config, Dataset& dataset,
                                   Trainer& trainer, Lineage lineage,
                                   const std::function<bool()>& should_abort);

// One thread. Blocks in run() until the daemon says stop or `stop` becomes true.
class Learner {
 public:
  // `sandbox`: what the process is confined by, which the daemon is told.
  Learner(const Config& config, DaemonLink& link, const SandboxReport& sandbox);

  // Says hello, then works. kDeadlineExceeded when the daemon does not answer; kUnavailable when
  // the link breaks.
  Status run(const std::function<bool()>& stop);

 private:
  Status greet(const std::function<bool()>& stop);
  Status take_message(Duration timeout);
  Status fold_pending();
  Status run_due_round();
  // The feed already holds the end of a later episode.
  bool is_overtaken(const RoundOrder& order) const;
  bool something_newer();  // that makes the running round pointless
  Result<std::shared_ptr<const Weights>> load(WeightsVersion version);
  Result<Trainer*> trainer_for(const RoundOrder& order,
                               const std::shared_ptr<const Weights>& start);
  Status report_progress();

  Config config_;
  DaemonLink& link_;
  SandboxReport sandbox_;
  PolicyShape shape_;
  std::string weights_folder_;
  std::optional<Dataset> dataset_;
  RoundPlanner planner_;
  std::deque<FeedItem> pending_;
  // The planner while a round runs, as if so many of the pending items were folded already.
  std::optional<RoundPlanner> ahead_;
  std::size_t looked_ahead_ = 0;
  bool stopped_ = false;
  Sequence requested_from_ = 1;
  Sequence durable_ = 0;    // as the daemon said last
  Sequence live_from_ = 0;  // rounds whose prefix is not beyond this belong to the past
  Sequence reported_ = 0;
  std::uint32_t rounds_ = 0;
  std::uint32_t aborted_ = 0;
  std::string trouble_;

  // Kept between the micro-rounds of an episode.
  std::unique_ptr<Trainer> micro_;
  EpisodeId micro_episode_ = 0;
  std::string micro_hash_;  // of the candidate that micro_ made last
  std::unique_ptr<Trainer> full_;
};

}  // namespace nudge
