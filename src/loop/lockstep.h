// Runs episodes of the simulated kitchen as fast as the machine allows, one control tick after the
// other on one thread: robot, controller and inference in turn. What goes on around the robot
// (people, the log, learning) is a Companion's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/loop/controller.h"
#include "src/loop/inference.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {

// What is said in place of an instruction.
using SaidInstead = std::map<std::string, std::string>;

struct LockstepOptions {
  Duration inference_latency = std::chrono::milliseconds(10);  // charged from observation to chunk
  Duration time_limit{};                                       // of an episode
  WallTime wall_start;  // wall time at the first tick; goes on with the simulated clock
  // How sure the policy is of each chunk: Inference::disagreement() of so many samples and rows; 0:
  // not looked at. Takes no simulated time and changes no action.
  std::size_t doubt_samples = 0, doubt_rows = 0;
  // Nobody keeps the steps: a backbone then looks only where a chunk is wanted. Changes no action,
  // unless there is a reference source, which may remember what it was asked.
  bool unrecorded = false;
  SaidInstead said_instead{};  // the task stays that of the instruction
};

struct EpisodeResult {
  EpisodeEnd reason = EpisodeEnd::kAborted;
  bool success = false;
  std::uint32_t policy_steps = 0;
  Duration length{};
};

// What surrounds the robot in an episode. Called by the lockstep's thread.
class Companion {
 public:
  virtual ~Companion() = default;
  // Fills in what people have sent since the last tick; spans must stay valid until the next call.
  virtual Status before_tick(Instant now, ControlInputs& inputs) = 0;
  // What the tick brought. `features` and `images` belong to the step that ended, if one did.
  virtual Status after_tick(Instant now, WallTime wall, const TickOutcome& outcome,
                            std::vector<float> features, std::vector<Image> images) = 0;
  // A chunk of `version` was computed in `latency` of wall time, and taken or refused (not finite,
  // wrong size) by the player. An error returned from here ends the episode's run.
  virtual Status on_chunk(WeightsVersion version, Duration latency, const Status& taken) = 0;
  // With LockstepOptions::doubt_samples: of the chunk for the observation at `observed`.
  virtual void on_disagreement(double /*value*/, Instant /*observed*/) {}
};

// Not thread-safe: one thread at a time. Several instances with parts of their own may run at once.
class Lockstep {
 public:
  // The parts must outlive the lockstep.
  Lockstep(KitchenRobot& robot, Controller& controller, Inference& inference,
           const LockstepOptions& options);

  // Resets the robot with `seed`, which also fixes the policy's noise, and runs to success or to
  // the time limit. Errors are the parts' own; a robot that fails inside the loop is the
  // authority's.
  Result<EpisodeResult> run(EpisodeId episode, std::uint64_t seed, Companion& companion);

  // New weights: ask for a chunk at the next tick, even if the present one lasts.
  void plan_again() { plan_again_ = true; }

  WallTime wall(Instant now) const { return options_.wall_start + (now - start_); }
  Instant now() const { return robot_.now(); }

 private:
  // The newest observation, with the pictures of its moment where there are cameras. They are made
  // once a tick, and only when this is called.
  Result<const Observation*> look();
  Status deliver_chunk(Instant now, Companion& companion);
  Status plan(Instant now, Companion& companion);

  KitchenRobot& robot_;
  Controller& controller_;
  Inference& inference_;
  LockstepOptions options_;
  std::string instruction_;  // of the episode
  Instant start_;
  bool plan_again_ = false;
  Observation seen_;  // of look(), at tick seen_tick_
  ControlTick seen_tick_ = 0;
  bool seen_any_ = false;
  struct ComingChunk {
    Instant arrives;
    Duration computed_in{};  // wall time
    ActionChunk chunk;
  };
  std::optional<ComingChunk> coming_;
};

// Starts the policy and lets it work alone: for evaluations.
class Unattended : public Companion {
 public:
  Status before_tick(Instant now, ControlInputs& inputs) override;
  Status after_tick(Instant now, WallTime wall, const TickOutcome& outcome,
                    std::vector<float> features, std::vector<Image> images) override;
  Status on_chunk(WeightsVersion, Duration, const Status& taken) override { return taken; }

 private:
  std::vector<AuthorityAct> acts_;
  std::uint64_t asked_ = 0;
  AuthorityState state_ = AuthorityState::kHold;
};

}  // namespace nudge
