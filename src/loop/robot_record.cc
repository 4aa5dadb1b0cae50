#include "src/loop/robot_record.h"

#include <algorithm>
#include <bit>
#include <sstream>
#include <utility>

#include "policy/weights.h"
#include "src/ports/robot_wire.h"

namespace nudge {

std::string shape_of(const RobotSpec& spec) {
  std::ostringstream text;
  text << "robot shape 1\n" << spec.policy_period.count() << '\n';
  for (const Channel& channel : spec.observation.proprioception) {
    text << "seen " << channel.name << '\t' << channel.unit << '\n';
  }
  for (const Channel& channel : spec.action.channels) {
    // The bits, so that no two rates that differ are written alike.
    text << "done " << channel.name << '\t' << channel.unit << '\t'
         << std::bit_cast<std::uint32_t>(channel.lower) << '\t'
         << std::bit_cast<std::uint32_t>(channel.upper) << '\n';
  }
  const std::string bytes = text.str();
  return to_hex(sha256(std::as_bytes(std::span(bytes.data(), bytes.size()))));
}

Booted booted(std::string program, const RobotSpec& spec) {
  return {.program = std::move(program),
          .robot = spec.id,
          .spec = spec_text(spec),
          .shape = shape_of(spec)};
}

Result<std::optional<RobotSpec>> recorded_robot(Log& log) {
  const Result<std::vector<Event>> boots = log.events({"booted"}, 1, SIZE_MAX);
  if (!boots.ok()) return boots.status();
  for (auto event = boots->rbegin(); event != boots->rend(); ++event) {
    const auto& boot = std::get<Booted>(event->payload);
    if (boot.spec.empty()) continue;
    Result<RobotSpec> spec = parse_spec(boot.spec);
    if (!spec.ok()) {
      return data_loss("the log's entry " + std::to_string(event->sequence) +
                       " tells of a robot that cannot be: " + spec.status().message());
    }
    return std::optional<RobotSpec>(*std::move(spec));
  }
  return std::optional<RobotSpec>();
}

std::string changes_since(const RobotSpec& now, const std::optional<RobotSpec>& before) {
  if (!before) return {};
  const std::string how = difference(now, *before);
  if (how.empty()) return {};
  std::string text = "the robot is not what it was at the last start: " + how;
  if (shape_of(now) != shape_of(*before)) {
    text +=
        "; what was recorded before, and weights made of it, are of another robot: they are left "
        "out until the spec is as it was";
  }
  return text;
}

}  // namespace nudge
