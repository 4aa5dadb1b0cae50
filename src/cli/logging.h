// The program's log lines (spdlog). A full queue overwrites its oldest line and counts it: whoever
// logs never waits for the disk or a terminal. spdlog's own default would block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nudge/status.h"
#include "src/config/config.h"

namespace nudge {

using LogFields = std::vector<std::pair<std::string, std::string>>;  // name, value

// Writes lines from a thread of its own, started by start(). log() may be called from any thread
// and never blocks on output; it allocates, so the step thread uses it for rare events only.
//   text: 2026-03-01T12:00:00.123Z info  gate: accepted version=7
//   json: {"ts":"2026-03-01T12:00:00.123Z","level":"info","component":"gate","message":"accepted",
//          "version":"7"}
class Logger {
 public:
  // Lines go to `output` (borrowed; must outlive the logger). kInternal when spdlog refuses.
  static Result<std::unique_ptr<Logger>> start(const Config::Logging& options, std::FILE* output);
  ~Logger();  // writes what waits, then joins the thread
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  // `component` is the part that speaks: "gate", "learner". Control characters are escaped.
  void log(LogLevel level, std::string_view component, std::string_view message,
           const LogFields& fields = {});
  std::uint64_t dropped() const;  // lines overwritten since start()
  void flush();  // waits until all lines so far are written; not on the step thread

 private:
  struct Parts;
  explicit Logger(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// "2026-03-01T12:00:00.123Z" (RFC 3339, UTC).
std::string rfc3339(WallTime time);

}  // namespace nudge
