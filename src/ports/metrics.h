// What operators scrape, in Prometheus' text format (0.0.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/daemon/snapshot.h"
#include "src/ports/desk.h"
#include "src/ports/http_server.h"
#include "src/ports/robot_port.h"
#include "src/ports/teleop_port.h"

namespace nudge {

inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// Of the log, copied by whoever owns it.
struct LogMetrics {
  Sequence durable = 0;               // last acknowledged
  std::uint64_t commits = 0;          // since boot
  std::uint64_t failed_commits = 0;   // since boot
  std::uint64_t pending_entries = 0;  // appended, not committed yet
  std::uint64_t wal_bytes = 0;
  Sequence head_sequence = 0;  // of the head signed last; 0: none yet
  std::uint64_t segment_bytes = 0;
  std::uint64_t evicted = 0;  // episodes
};

// Of the ZeroMQ ports; none: there is no such port.
struct PortMetrics {
  std::optional<RobotPortCounters> robot;
  std::optional<TeleopPortCounters> teleop;
};

// The referents must outlive the call.
struct MetricsView {
  const DeskInfo& info;
  const Snapshot& snapshot;
  const History& history;
  const LearningStatus& learning;
  const StorageStatus& storage;
  bool recording = false;
  Duration robot_state_age{};    // since the robot's newest state was read
  Duration snapshot_age{};       // since the newest control tick began
  std::uint64_t wrong_jogs = 0;  // commands that were no commands
  std::uint64_t limited = 0;     // requests and messages beyond a caller's rate
  HttpCounters http;
  PortMetrics ports;
  LogMetrics log;
};

// Has no label whose values grow with time.
std::string encode_metrics(const MetricsView& view);

}  // namespace nudge
