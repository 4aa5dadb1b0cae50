#include "src/daemon/head_export.h"

#include <pthread.h>

#include <utility>

namespace nudge {

HeadExport::HeadExport(Links& links, HeadExportOptions options, Tell tell)
    : links_(links), options_(std::move(options)), tell_(std::move(tell)) {}

HeadExport::~HeadExport() { stop(); }

void HeadExport::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-heads");
}

void HeadExport::stop() {
  links_.signed_heads.close();
  if (thread_.joinable()) thread_.join();
}

void HeadExport::run() {
  std::vector<std::string> taken;
  while (links_.signed_heads.take_all(taken, options_.retry) || !links_.signed_heads.closed()) {
    for (std::string& head : taken) waiting_.push_back(std::move(head));
    for (; waiting_.size() > options_.most_waiting; ++status_.dropped) waiting_.pop_front();
    try_all();
  }
  try_all();
}

// Oldest first, up to the first that fails.
void HeadExport::try_all() {
  if (waiting_.empty()) return;
  Status status;
  while (status.ok() && !waiting_.empty()) {
    status = options_.append(waiting_.front());
    if (!status.ok()) break;
    waiting_.pop_front();
    ++status_.exported;
  }
  if (status.message() != status_.trouble) {
    if (!status.ok()) {
      tell_(LogLevel::kWarn, "log",
            "signed heads are not kept in log.heads_file: " + status.message());
    } else {
      tell_(LogLevel::kInfo, "log", "signed heads are kept in log.heads_file again");
    }
  }
  status_.trouble = status.message();
  status_.waiting = waiting_.size();
  links_.head_export.put(status_);
}

}  // namespace nudge
