// Control of a robot with two channels, and what its policy would say: for tests that stand for
// inference.
#pragma once

#include "src/loop/controller.h"

namespace nudge::test {

inline constexpr std::size_t kSmallHorizon = 8;

// Everything else by default.
inline ControllerOptions small_controller(const RobotSpec& robot) {
  ControllerOptions options;
  options.authority.robot = robot.id;
  options.authority.control_period = robot.control_period;
  options.player.policy_period = robot.policy_period;
  options.player.horizon = kSmallHorizon;
  options.player.action_size = robot.action.size();
  return options;
}

// The same rate on both channels, at every step.
inline ActionChunk steady_chunk(Instant observed, WeightsVersion version, float rate) {
  ActionChunk chunk;
  chunk.horizon = kSmallHorizon;
  chunk.action_size = 2;
  chunk.version = version;
  chunk.observed = observed;
  chunk.actions.assign(chunk.horizon * chunk.action_size, rate);
  return chunk;
}

}  // namespace nudge::test
