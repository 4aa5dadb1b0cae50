// What the step thread tells the rest after every control tick. The newest one wins.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "feedback/authority.h"
#include "nudge/event.h"
#include "nudge/types.h"
#include "policy/help_signal.h"
#include "src/daemon/duration_histogram.h"

namespace nudge {

struct Snapshot {
  Instant now;  // robot's steady clock, at the beginning of the tick
  WallTime wall;
  ControlTick tick = 0;

  AuthorityState state = AuthorityState::kHold;
  std::string cause = "boot";  // of the last change of state: a stable word, see authority.h;
                               // "resetting": somebody is to drive, and waits for the reset
  std::string fault;           // for people; empty: none
  Instant driving_since;       // when the policy began to drive, the last time; min(): it never did
  Lease lease;
  ControlSource source = ControlSource::kHold;
  Action proposed;   // the policy's, in every state; empty: it has none now
  Action requested;  // by the source; empty: nobody asked for motion
  Action executed;   // what the robot got
  bool clamped = false;
  double speed = 1;  // share of its own rates at which the policy drives, as words asked for

  EpisodeId episode = 0;          // 0: none runs
  std::uint32_t policy_step = 0;  // of the step under way
  std::uint32_t autonomous = 0;   // policy steps of this episode that the policy drove
  std::uint32_t step_limit = 0;   // of autonomous steps
  Duration episode_length{};      // so far
  std::string instruction;        // in force
  std::uint32_t takeovers = 0;    // in this episode
  bool last_success = false;      // the robot called the newest episode that has ended a success
  Duration human{};               // driven by a person, or a script in their place, so far

  Observation observation;     // without images
  std::string robot_trouble;   // what the robot last answered; empty: it is well
  std::string caution;         // what cannot be promised for this robot, for people; empty: nothing
  WeightsVersion playing = 0;  // whose chunk is loaded; 0: none

  std::array<std::uint64_t, kCommandRefusals> refused_commands{};
  std::uint64_t missed_ticks = 0;     // since boot
  std::uint64_t lost_steps = 0;       // since boot: the writer's queue was full
  HelpState help;                     // what the policy asks now
  std::optional<double> uncertainty;  // HelpSignal::uncertainty()
  std::uint64_t help_asks = 0;        // since boot
  DurationHistogram work;             // CPU time of each tick since boot, but this one
  DurationHistogram late;             // how much later than due each tick since boot began
};

}  // namespace nudge
