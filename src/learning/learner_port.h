// The daemon's end of the link to its learner: a ZeroMQ ROUTER in a folder of mode 0700.
//
// One peer at a time: a hello from a new peer (a restarted learner) replaces the old one. Thread:
// one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "nudge/status.h"
#include "nudge/time.h"
#include "src/learning/learner_wire.h"

namespace nudge {

class LearnerPort {
 public:
  // Binds an ipc socket file. `socket_path` at most 100 bytes (a limit of Unix sockets); its folder
  // is created with mode 0700 and refused when others can enter it.
  static Result<std::unique_ptr<LearnerPort>> bind(const std::string& socket_path);
  ~LearnerPort();

  // The next message of the current peer, or nothing within `timeout`. Messages that do not parse
  // are dropped and counted.
  std::optional<LearnerMessage> receive(Duration timeout);

  // To the current peer. kUnavailable when there is none or its queue is full.
  Status send(DaemonMessage message);

  bool connected() const;
  std::uint64_t refused_messages() const;
  std::string endpoint() const;  // "ipc://..."

 private:
  struct Impl;
  explicit LearnerPort(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The learner's end. One thread at a time.
class DaemonLink {
 public:
  static Result<std::unique_ptr<DaemonLink>> connect(const std::string& endpoint);
  ~DaemonLink();

  std::optional<DaemonMessage> receive(Duration timeout);
  Status send(LearnerMessage message);

 private:
  struct Impl;
  explicit DaemonLink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
