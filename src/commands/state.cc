#include "src/commands/state.h"

#include <filesystem>

#include "src/loop/clock.h"

namespace nudge {
namespace {

constexpr std::size_t kPage = 10'000;  // events read at a time

}  // namespace

Result<std::unique_ptr<Log>> open_log(const Program& program, const std::string& flag,
                                      bool read_only) {
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return state.status();
  const std::string folder = *state + "/log";
  if (!std::filesystem::exists(folder)) {
    return not_found("there is no log in " + folder +
                     "; name the state folder with --state, or run 'nudge demo --headless' first");
  }
  LogOptions options;
  options.dir = folder;
  options.boot = "cli-" + std::to_string(wall_now().time_since_epoch().count());
  options.now = steady_now();
  options.wall_now = wall_now();
  options.read_only = read_only;
  return Log::open(posix_files(), options);
}

Result<WeightsHistory> weights_history(Log& log) {
  WeightsHistory history;
  Sequence from = 1;
  while (true) {
    Result<std::vector<Event>> events = log.weights_events(from, kPage);
    if (!events.ok()) return events.status();
    if (events->empty()) return history;
    for (const Event& event : *events) history.apply(event);
    from = events->back().sequence + 1;
  }
}

}  // namespace nudge
