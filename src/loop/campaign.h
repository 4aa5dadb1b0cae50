// The whole story in one run: demonstrations, base policy, work with a scripted supervisor, and an
// evaluation on held-out starts before any correction and after every few corrected episodes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/loop/deployment.h"

namespace nudge {

struct CampaignOptions {
  std::uint64_t seed = 1;
  std::uint32_t corrected_episodes = 25;  // stop after so many
  std::uint32_t episodes = 150;           // or after so many in all
  std::uint32_t evaluate_every = 5;       // corrected episodes
  std::uint32_t evaluation_starts = 100;
  std::uint32_t demonstrations = 15;
  unsigned threads = 2;                 // of an evaluation
  std::vector<std::size_t> tasks = {};  // of the level, that are worked on; empty: all
};

// State of learning at one evaluation.
struct CampaignPoint {
  std::uint32_t corrected_episodes = 0;
  std::uint32_t episodes = 0;  // deployment episodes so far
  WeightsVersion weights = 0;
  std::uint64_t successes = 0;
  std::uint64_t starts = 0;
  std::vector<bool> success;  // per start, in the order of CampaignResult::instructions
  // Since the point before:
  double robot_seconds = 0;  // at work, simulated
  std::uint64_t takeovers = 0, wrong_takeovers = 0;
  double interventions_per_100_steps = 0;
  double human_seconds_per_episode = 0;
  double micro_seconds = -1;  // median, from the last frame of a correction to the first action of
  double full_seconds = -1;   // the weights that learned from it; negative: none
  std::uint64_t accepted = 0, rejected = 0, superseded = 0, confirmed = 0, rolled_back = 0;
};

struct CampaignResult {
  std::vector<CampaignPoint> points;
  LearningDelays delays;
  std::vector<HandBackError> hand_backs;
  DeploymentCounts counts;
  std::vector<std::string> instructions;          // of each start
  std::vector<bool> base_success, final_success;  // per start, paired
  std::uint32_t solved_only_before = 0, solved_only_after = 0;
  std::uint64_t log_events = 0;
  double demonstration_seconds = 0, training_seconds = 0;  // wall time
};

// What is going on, for a progress bar: `done` of `total` units of work.
using OnCampaignProgress =
    std::function<void(std::uint64_t done, std::uint64_t total, const std::string& message)>;

// The tasks that demo.tasks names, by their number. kInvalidArgument: the level has none of that
// instruction; the message names those that it has.
Result<std::vector<std::size_t>> tasks_worked_on(const Config& config);

// In an empty state folder, or in one where an earlier campaign ended or was killed: what it has
// recorded and confirmed stays, and the figures are those since.
Result<CampaignResult> run_campaign(Deployment& deployment, const Config& config,
                                    const CampaignOptions& options,
                                    const OnCampaignProgress& on_progress);

}  // namespace nudge
