// The thread that keeps signed heads of the log somewhere else (src/ports/head_file.h). One of its
// own, because that may be a disk or a machine that does not answer, for which nobody must wait.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/config/config.h"
#include "src/daemon/links.h"

namespace nudge {

struct HeadExportOptions {
  // Brings a head there, durably; called on the thread.
  std::function<Status(const std::string& line)> append;
  Duration retry = std::chrono::seconds(10);  // after an error
  // What waits during trouble; beyond it the oldest goes. A day of heads, one a minute.
  std::size_t most_waiting = 1440;
};

// start() and stop() belong to one thread.
class HeadExport {
 public:
  using Tell = std::function<void(LogLevel, std::string_view component, const std::string&)>;

  // `links` outlive it: it takes their signed_heads, and tells in head_export.
  HeadExport(Links& links, HeadExportOptions options, Tell tell);
  ~HeadExport();

  void start();
  // After the sender. When what is there has been tried once more; it waits for a disk that does
  // not answer.
  void stop();

 private:
  void run();
  void try_all();

  Links& links_;
  HeadExportOptions options_;
  Tell tell_;
  std::deque<std::string> waiting_;
  HeadExportStatus status_;
  std::thread thread_;
};

}  // namespace nudge
