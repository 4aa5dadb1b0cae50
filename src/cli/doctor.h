// `nudge doctor`: what this machine lacks, and what to do about it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/config/config.h"

namespace nudge {

enum class CheckState { kOk, kWarn, kFail };
struct CheckResult {
  CheckState state = CheckState::kOk;
  std::string detail;  // what was found
  std::string advice;  // what to do; when kOk: a note, or empty
};
struct Check {
  std::string name;                  // "disk"
  std::function<CheckResult()> run;  // called once, on the caller's thread
};
struct NamedResult {
  std::string name;
  CheckResult result;
};

// The checks that belong to every deployment: config, blas, threads, gl, disk, clock, real-time,
// gnuplot, driver. The caller adds its own ("robot", "ports"). Creates state.dir if it is missing,
// and writes and removes one small file there.
std::vector<Check> standard_checks(const Config& config);

std::vector<NamedResult> run_checks(const std::vector<Check>& checks);
bool any_failed(const std::vector<NamedResult>& results);

std::string doctor_text(const std::vector<NamedResult>& results);
// {"ok": true, "checks": [{"name", "state", "detail", "advice"}]}
std::string doctor_json(const std::vector<NamedResult>& results);

}  // namespace nudge
