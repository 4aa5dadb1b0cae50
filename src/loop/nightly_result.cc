#include "src/loop/nightly_result.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace nudge {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
template <typename T>
Json known(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json interval(const Interval& value) {
  return Json::array({number(value.low), number(value.high)});
}

Json errors(const std::vector<TaskError>& of) {
  Json list = Json::array();
  for (const TaskError& error : of) {
    list.push_back({{"task", error.task},
                    {"episodes", error.episodes},
                    {"chunks", error.chunks},
                    {"before", known(error.before)},
                    {"after", number(error.after)},
                    {"change_95", error.change ? interval(*error.change) : Json(nullptr)}});
  }
  return list;
}

}  // namespace

std::string_view to_string(NightlyOutcome outcome) {
  switch (outcome) {
    case NightlyOutcome::kPromoted: return "promoted";
    case NightlyOutcome::kRefused: return "refused";
    case NightlyOutcome::kNothingNew: break;
  }
  return "nothing_new";
}

std::string task_name(const std::string& task) {
  return task.empty() ? "without an instruction, or rare" : task;
}

std::string nightly_json(const NightlyResult& result) {
  Json json = {{"outcome", to_string(result.outcome)},
               {"robot", result.robot},
               {"version", result.version != 0 ? Json(result.version) : Json(nullptr)},
               {"before", result.before != 0 ? Json(result.before) : Json(nullptr)},
               {"reason", result.reason},
               {"detail", result.detail},
               {"material", result.material},
               {"config_hash", result.config_hash},
               {"seed", result.seed},
               {"steps", result.steps}};
  Json& candidates = json["candidates"] = Json::array();
  for (const NightlyCandidate& one : result.candidates) {
    candidates.push_back({{"from", one.name},
                          {"held_out_episodes", one.held_out_episodes},
                          {"held_out_error", known(one.held_out_error)},
                          {"chosen", one.chosen},
                          {"refused", one.refused}});
  }
  const auto of = [&](const std::array<std::uint64_t, kSampleClasses>& counts, SampleClass c) {
    return counts[static_cast<std::size_t>(c)];
  };
  const auto classes = [&](const std::array<std::uint64_t, kSampleClasses>& counts) -> Json {
    return {{"demonstration", of(counts, SampleClass::kDemonstration)},
            {"correction", of(counts, SampleClass::kCorrection)},
            {"recovery", of(counts, SampleClass::kRecovery)},
            {"nudged", of(counts, SampleClass::kNudged)},
            {"autonomous_success", of(counts, SampleClass::kAutonomousSuccess)},
            {"before_takeover", of(counts, SampleClass::kBeforeTakeover)},
            {"autonomous_failure", of(counts, SampleClass::kAutonomousFailure)}};
  };
  const DatasetCounts& counts = result.counts;
  json["learned_from"] = {{"episodes", counts.episodes},
                          {"demonstrations", counts.demonstrations},
                          {"successes", counts.successes},
                          {"failures", counts.failures},
                          {"corrected_episodes", counts.corrected_episodes},
                          {"held_out_episodes", counts.held_out_episodes},
                          {"steps", classes(counts.trainable)},
                          {"held_out_steps", classes(counts.held_out)}};
  Json& people = json["people"] = Json::array();
  for (const SupervisorCounts& person : counts.supervisors) {
    people.push_back({{"name", person.name},
                      {"corrections", person.corrections},
                      {"recoveries", person.recoveries},
                      {"nudged", person.nudged},
                      {"held_out", person.held_out}});
  }
  json["about_advantage"] = result.about_advantage;
  Json& tasks = json["tasks"] = Json::array();
  for (const TaskJudgement& task : result.tasks) {
    tasks.push_back({{"task", task.task},
                     {"episodes", task.episodes},
                     {"successes", task.successes},
                     {"longest", task.longest},
                     {"threshold", number(task.policy.threshold)},
                     {"positive", task.policy.positive},
                     {"negative", task.policy.negative},
                     {"before_takeover", task.before_takeover},
                     {"failed_demonstrations",
                      {{"threshold", number(task.shown.threshold)},
                       {"positive", task.shown.positive},
                       {"negative", task.shown.negative}}}});
  }
  json["value"] = nullptr;
  if (result.value) {
    const ValueReport& value = *result.value;
    Json bins = Json::array();
    for (const CalibrationBin& bin : value.calibration) {
      bins.push_back({{"value", number(bin.value)},
                      {"outcome", number(bin.outcome)},
                      {"outcome_95", interval(bin.interval)},
                      {"steps", bin.steps}});
    }
    json["value"] = {{"explained", number(value.explained)},
                     {"told_apart", number(value.told_apart)},
                     {"successes", value.successes},
                     {"failures", value.failures},
                     {"calibration", std::move(bins)}};
  }
  Json& simulation = json["simulation"] = Json::array();
  for (const TaskSuccess& task : result.simulation) {
    simulation.push_back({{"task", task.task},
                          {"starts", task.starts},
                          {"before", known(task.before)},
                          {"after", task.after},
                          {"only_before", task.only_before},
                          {"only_after", task.only_after}});
  }
  json["held_out_corrections"] = errors(result.held_out);
  json["demonstrations"] = errors(result.demonstrations);
  json["report"] = result.report;
  // Names come from the log, and may be anything.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nudge
