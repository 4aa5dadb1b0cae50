// What the log knows of the robot: each boot tells its spec, so that whatever reads the log later
// needs neither the robot nor its driver.
#pragma once

#include <optional>
#include <string>

#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/types.h"
#include "replay/log.h"

namespace nudge {

// Hex SHA-256 of what decides whether recorded steps teach this robot: names and units of
// proprioception; names, units and rates of the actions; the policy's period. What the policy sees
// beside that is the backbone's, whose hash is in each segment.
std::string shape_of(const RobotSpec& spec);

// A boot of this robot under `program`.
Booted booted(std::string program, const RobotSpec& spec);

// The spec of the newest boot that told one; none: no boot did. kDataLoss for a spec that cannot be
// read.
Result<std::optional<RobotSpec>> recorded_robot(Log& log);

// For people: in what a robot differs from the one of the newest boot, and what follows from it.
// Empty: in nothing.
std::string changes_since(const RobotSpec& now, const std::optional<RobotSpec>& before);

}  // namespace nudge
