// The nightly training of any robot, on everything that its log holds, while no daemon runs: judges
// the steps of labelled episodes by value functions, trains for longer than a round may take,
// compares, and promotes through the gate.
//
//   auto result = run_nightly({.config = config, .state_folder = folder, ...});
//
// Stages, each of which leaves a file in nightly/ of the state folder, whole or not at all:
//   plan.json             what is trained on: log, configuration, robot, confirmed weights
//   value-<k>.safetensors a value function that has not seen the episodes of part k of five
//   <start>-<n>.safetensors  the weights after n optimiser steps, in legs of learner.full_steps
//   candidate.safetensors what is offered to the gate
//   before.json, after-<start>.json  starts in the simulated kitchen
//   verdict-<start>.json  what the gate said
//   report.html, report.json
// A run that was killed goes on behind the last of them and ends as one that was not: a leg is a
// function of the plan and of the leg before it. Whatever belongs to another plan is removed. When
// all is done the report and the plan stay, by which the next run sees that there is nothing new.
//
// Value functions are cross-fitted: each judges a fifth of the episodes and has learned from the
// others, so that no episode is judged by one that knows how it ended. Held-out episodes (see
// replay/dataset.h) teach none of them.
//
// What held-out corrections prefer is offered first; where it is refused, by the gate or by the
// simulation, the other training is offered.
//
// Each leg begins with a new optimiser, as each full round does. The training from scratch is left
// out for heads that edit (policy.reference): what they edit is not trained here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "src/config/config.h"
#include "src/loop/nightly_result.h"

namespace nudge {

struct NightlyOptions {
  Config config;
  std::string state_folder;
  std::function<void(LogLevel level, std::string_view component, const std::string& message)>
      notice;
  // `done` of `total` units of work, of about equal length within a stage; may jump ahead where an
  // earlier run had done something.
  std::function<void(std::string_view stage, std::uint64_t done, std::uint64_t total)> on_progress;
  // Asked every few steps; true: kAborted, and the next run goes on from there.
  std::function<bool()> should_stop;
};

// Errors of FirstTraining::open(). kFailedPrecondition: nothing to train on, or the confirmed
// weights are of another architecture than [policy] asks for. A refusal by the gate is a result.
// Blocks, on one thread but for the episodes in simulation.
Result<NightlyResult> run_nightly(const NightlyOptions& options);

}  // namespace nudge
