#include "src/commands/log_robot.h"

#include "src/loop/evaluation.h"
#include "src/loop/robot_record.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {

Result<LogRobot> log_robot(const Program& program, Log& log) {
  LogRobot robot;
  const Result<std::vector<Event>> first = log.events({}, 1, 1);
  if (!first.ok()) return first.status();
  if (!first->empty()) robot.source = first->front().boot + "/" + first->front().id;
  const Result<std::optional<RobotSpec>> recorded = recorded_robot(log);
  if (!recorded.ok()) return recorded.status();
  if (*recorded) {
    robot.names = robot_names(**recorded);
    robot.spec = **recorded;
    return robot;
  }
  // A log of an earlier version says only whose it is.
  std::string id;
  for (Sequence from = 1;;) {
    const Result<std::vector<Event>> boots = log.events({"booted"}, from, 1'000);
    if (!boots.ok()) return boots.status();
    if (boots->empty()) break;
    id = std::get<Booted>(boots->back().payload).robot;
    from = boots->back().sequence + 1;
  }
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return loaded.status();
  if (loaded->config.robot.driver == RobotDriver::kKitchen) {
    const Result<std::unique_ptr<KitchenRobot>> kitchen =
        KitchenRobot::create(kitchen_options(loaded->config));
    if (!kitchen.ok()) return kitchen.status();
    const RobotSpec& spec = (*kitchen)->spec();
    if (id.empty() || id == spec.id) {
      robot.names = robot_names(spec);
      robot.spec = spec;
    }
  }
  if (robot.names.robot.empty()) robot.names.robot = id.empty() ? "unknown" : id;
  return robot;
}

}  // namespace nudge
