// How good are these weights? Episodes of the simulated kitchen with nobody helping.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "policy/weights.h"
#include "src/config/config.h"
#include "src/loop/help_trace.h"
#include "src/loop/lockstep.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {

struct EvaluationResult {
  std::vector<bool> success;         // in the order of the seeds
  std::vector<std::uint32_t> steps;  // policy steps taken
  std::uint64_t successes() const;
};

// Called after each episode with the number done so far, from several threads, one at a time.
using OnEvaluated = std::function<void(std::size_t done)>;

// Runs one episode from each seed, on `threads` threads of its own that have ended when it returns.
// A seed fixes the start and the policy's noise, so that two evaluations are paired.
// kInvalidArgument when the weights do not fit the kitchen; errors of the parts. A base that they
// edit is read from the weights of `config`'s state.dir. `traces`, unless
// null, becomes what the help signal would have seen of each episode, in the order of the seeds;
// looking changes no episode. `said_instead`: what the policy is told in place of an episode's
// instruction, whose task stays.
Result<EvaluationResult> evaluate(const Config& config, std::shared_ptr<const Weights> weights,
                                  const std::vector<std::uint64_t>& seeds, unsigned threads,
                                  const OnEvaluated& on_evaluated = {},
                                  std::vector<HelpTrace>* traces = nullptr,
                                  const SaidInstead& said_instead = {});

// The starts that evaluations use: never those of demonstrations or deployment.
std::vector<std::uint64_t> evaluation_seeds(std::uint64_t seed, std::size_t count);

KitchenOptions kitchen_options(const Config& config);

}  // namespace nudge
