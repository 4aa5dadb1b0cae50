// What a nightly training found and did, as reports show it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/types.h"
#include "replay/dataset.h"
#include "replay/returns.h"
#include "src/core/statistics.h"
#include "src/loop/value_report.h"

namespace nudge {

enum class NightlyOutcome {
  kPromoted,    // the gate accepted the new weights; they boot from now on
  kRefused,     // by the gate or by the simulation; what ran before goes on
  kNothingNew,  // the last night's training saw all that there is
};

// Success alone in the simulated kitchen, on the same starts.
struct TaskSuccess {
  std::string task;
  std::uint64_t starts = 0;
  std::optional<std::uint64_t> before;  // none: there were no weights
  std::uint64_t after = 0;
  std::uint64_t only_before = 0, only_after = 0;  // starts that the other one failed
};

// Mean error of sampled chunks in deviations of the demonstrated actions, by episode.
struct TaskError {
  std::string task;
  std::size_t episodes = 0, chunks = 0;
  std::optional<double> before;
  double after = 0;
  // Of the mean difference (after less before), 95 %, by resampling episodes; none below five.
  std::optional<Interval> change;
};

// One of the trainings that were compared.
struct NightlyCandidate {
  std::string name;  // "confirmed", "scratch": what it started from
  std::size_t held_out_episodes = 0;
  std::optional<double> held_out_error;  // none: there are no held-out corrections
  bool chosen = false;                   // offered last: what the result's other figures are of
  std::string refused;  // why it did not stay with that; empty: it was accepted, or not offered
};

struct NightlyResult {
  NightlyOutcome outcome = NightlyOutcome::kNothingNew;
  std::string robot;        // RobotSpec::id
  Sequence material = 0;    // trained on the log up to and including this
  std::string config_hash;  // Lineage::config_hash
  std::uint64_t seed = 0;
  std::uint64_t steps = 0;     // of each training
  WeightsVersion before = 0;   // confirmed before; 0: none
  WeightsVersion version = 0;  // promoted
  std::string reason;          // kRefused: the gate's word, or "worse_in_simulation"
  std::string detail;          // for people
  std::vector<NightlyCandidate> candidates;
  DatasetCounts counts;
  std::string about_advantage;  // why steps were not judged; empty: they were
  std::vector<TaskJudgement> tasks;
  std::optional<ValueReport> value;
  // The first entry is of all tasks together. Empty: not measured.
  std::vector<TaskSuccess> simulation;
  std::vector<TaskError> held_out, demonstrations;
  std::string report;  // path of the page
};

// "promoted", "refused", "nothing_new".
std::string_view to_string(NightlyOutcome outcome);
// As a reader sees it: of rare tasks and of none there is no name.
std::string task_name(const std::string& task);

// Everything, as JSON of several lines.
std::string nightly_json(const NightlyResult& result);

}  // namespace nudge
