// A peer of the teleoperation port: what a leader arm's program, or a script that drives like a
// person does, needs of the protocol. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "feedback/broker.h"
#include "feedback/message.h"
#include "nudge/status.h"
#include "nudge/time.h"
#include "src/ports/teleop_wire.h"

namespace nudge {

struct TeleopClientOptions {
  std::string endpoint = "tcp://127.0.0.1:5572";
  std::string program = "nudge-teleop";
  std::string name = "teleop";           // shown to others, 1 to 64 printable bytes
  std::string token;                     // of a daemon on this machine; with keys it says nothing
  std::string server_key{}, key_file{};  // as of RobotClientOptions
  std::string robot;                     // RobotSpec::id
  std::uint32_t every = 0;  // control ticks from one state to the next; 0: 50 times a second
  Duration patience = std::chrono::seconds(5);  // of connect(), for the daemon to be there
};

class TeleopClient {
 public:
  // Waits for the welcome. kInvalidArgument: an option. kUnavailable: no daemon in time.
  // kPermissionDenied: no such token. kFailedPrecondition: it drives another robot, or has too many
  // peers. kUnimplemented: it speaks other versions of the protocol.
  static Result<std::unique_ptr<TeleopClient>> connect(const TeleopClientOptions& options);
  ~TeleopClient();  // says good-bye

  // Of the newest welcome: name, role, sizes, periods.
  const TeleopWelcome& welcome() const;

  // The newest state that has not been returned yet; waits up to `timeout` for one. Also reads
  // acks, says that this peer is alive, and reconnects: call it at least every second, not waiting
  // longer than that.
  std::optional<TeleopState> receive(Duration timeout);

  // What was acknowledged since the last call, oldest first; at most 1,024 are kept.
  std::vector<Ack> take_acks();

  // Sends at once or not at all. kUnavailable: not connected, or the daemon does not read; send it
  // again with the same id. kInvalidArgument: it cannot be sent.
  Status send_jog(const JogCommand& jog);
  // Answered by an ack with its id. The actor of the message does not travel: the token says who.
  Status send_feedback(const FeedbackMessage& message);

  // The daemon has been heard within the last second. After a loss: the welcome may be another.
  bool connected() const;
  // Why the daemon does not want this peer any more, when waiting does not cure it; else ok.
  const Status& refused() const;

 private:
  struct Impl;
  explicit TeleopClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
