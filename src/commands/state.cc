#include "src/commands/state.h"

#include "policy/folder.h"
#include "policy/weights_store.h"
#include "src/loop/clock.h"
#include "src/loop/state_folder.h"
#include "src/loop/state_log.h"

namespace nudge {
namespace {

constexpr std::size_t kPage = 10'000;  // events read at a time

}  // namespace

Result<std::unique_ptr<Log>> open_log(const Program& program, const std::string& flag,
                                      bool read_only) {
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return state.status();
  const std::string folder = *state + "/log";
  const Status there = require_log(posix_files(), *state);
  if (there.code() == Code::kNotFound) {
    return not_found(there.message() +
                     "; name the state folder with --state, or run 'nudge demo --headless' first");
  }
  if (!there.ok()) return there;
  LogOptions options;
  options.dir = folder;
  options.boot = "cli-" + std::to_string(wall_now().time_since_epoch().count());
  options.now = steady_now();
  options.wall_now = wall_now();
  options.read_only = read_only;
  return open_state_log(posix_files(), *state, options);
}

Result<std::string> run_path(const Program& program, const std::string& flag) {
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return state.status();
  NUDGE_TRY(make_state_folder(*state));
  NUDGE_TRY(make_state_folder(*state + "/run"));
  return *state + "/run";
}

int fail_open(const Program& program, const Status& status) {
  const bool wrong_config = status.code() == Code::kInvalidArgument && !load_config(program).ok();
  return wrong_config ? fail_config(status) : fail(status);
}

Result<WeightsHistory> weights_history(Log& log) {
  WeightsHistory history(WeightsHistory::Keep::kAll);
  Sequence from = 1;
  while (true) {
    Result<std::vector<Event>> events = log.weights_events(from, kPage);
    if (!events.ok()) return events.status();
    if (events->empty()) return history;
    for (const Event& event : *events) history.apply(event);
    from = events->back().sequence + 1;
  }
}

Result<Teachers> teachers(Log& log) {
  Teachers teachers;
  Sequence from = 1;
  while (true) {
    Result<std::vector<Event>> events = log.events(Teachers::kinds(), from, kPage);
    if (!events.ok()) return events.status();
    if (events->empty()) return teachers;
    for (const Event& event : *events) teachers.apply(event);
    from = events->back().sequence + 1;
  }
}

Result<std::shared_ptr<const Weights>> stored_weights(const Program& program,
                                                      const std::string& flag,
                                                      WeightsVersion version,
                                                      const WeightsHistory& history) {
  const std::string name = "weights v" + std::to_string(version);
  const WeightsRecord* record = history.find(version);
  if (record == nullptr)
    return not_found("there are no " + name + "; 'nudge weights ls' lists them");
  const Result<std::string> state = state_folder(program, flag);
  if (!state.ok()) return state.status();
  Result<std::unique_ptr<Folder>> folder = open_folder(*state + "/weights");
  if (!folder.ok()) return folder.status();
  const std::string file = std::to_string(version) + ".safetensors";
  const auto damaged = [&](const std::string& how) {
    return data_loss(name + " cannot be used: " + *state + "/weights/" + file + " " + how +
                     "; choose another version of 'nudge weights ls'");
  };
  Result<std::vector<std::byte>> bytes = (*folder)->read(file, WeightsStore::kMaxWeightsBytes);
  if (bytes.status().code() == Code::kNotFound) return damaged("is gone");
  if (!bytes.ok()) return bytes.status();
  Result<std::shared_ptr<const Weights>> weights = Weights::parse(*std::move(bytes));
  if (!weights.ok()) return damaged("is damaged (" + weights.status().message() + ")");
  if ((*weights)->hash() != record->hash) return damaged("is not the one that the log names");
  if ((*weights)->lineage().base_hash.empty()) return weights;
  const Status base = read_base(**folder, **weights).status();
  if (base.code() == Code::kNotFound || base.code() == Code::kDataLoss) {
    return damaged("edits a base, and " + base.message());
  }
  if (!base.ok()) return base;
  return weights;
}

}  // namespace nudge
