// The link between the daemon and its learner: a Unix socket in a folder of mode 0700.
//
// Not ZeroMQ: libzmq puts a message of several parts together before anybody sees it, and bounds
// neither their number nor their sum, so that a learner that was taken over could fill the daemon's
// memory with one message that never ends. Here a message has two sizes in front, which are judged
// before memory is taken for it, and whoever is faster waits in the kernel.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "nudge/status.h"
#include "nudge/time.h"
#include "src/learning/learner_wire.h"

namespace nudge {

// The daemon's end. One learner at a time, and only one that was let in; others may say hello, and
// no more. Holds one message of the learner and one to it. One thread at a time; never blocks for
// longer than it is told to.
class LearnerPort {
 public:
  // Binds the socket file. `socket_path` at most 100 bytes (a limit of Unix sockets); its folder is
  // created with mode 0700 and refused when others can enter it. `max_candidate`: bytes of weights
  // that a candidate may have, at most kMaxCandidateBytes; who announces more is cut off.
  static Result<std::unique_ptr<LearnerPort>> bind(const std::string& socket_path,
                                                   std::size_t max_candidate);
  ~LearnerPort();

  // The next message of the learner, or the hello of one that asks to be let in: answer it by
  // admit() or turn_away() before the next call, which turns it away. Nothing when no message is
  // whole within `timeout`, or some milliseconds more while one is arriving. Messages that do not
  // parse are dropped and counted; who breaks the framing is cut off.
  std::optional<LearnerMessage> receive(Duration timeout);
  void admit();      // it is the learner now; the one before is cut off
  void turn_away();  // it is told to stop, and cut off

  // To the learner. kUnavailable when there is none, or it has not taken the last message yet.
  Status send(DaemonMessage message);
  bool can_send();
  void hang_up();  // cuts the learner off; it reads what has been sent

  bool connected() const;
  Status take_trouble();                   // how a learner broke the framing, once
  std::uint64_t refused_messages() const;  // and connections
  std::string endpoint() const;            // "ipc://..."

 private:
  struct Impl;
  explicit LearnerPort(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The learner's end. One thread at a time, and none of its own.
class DaemonLink {
 public:
  // To the file of "ipc://FILE". kUnavailable when nobody listens there.
  static Result<std::unique_ptr<DaemonLink>> connect(const std::string& endpoint);
  ~DaemonLink();

  // Nothing within `timeout`, or the daemon is gone; see open().
  std::optional<DaemonMessage> receive(Duration timeout);
  // Waits until the daemon takes it. kUnavailable when it is gone, or takes nothing for 30 s.
  Status send(LearnerMessage message);
  bool open() const;

 private:
  struct Impl;
  explicit DaemonLink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
