// `nudge run`: the daemon beside one robot. Opens the log, boots the last confirmed weights into
// HOLD, and starts the threads of the design: step, inference, watchdog, io, writer, gate.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "nudge/robot.h"
#include "src/config/config.h"
#include "src/daemon/entrance.h"
#include "src/ports/access.h"
#include "src/ports/desk.h"
#include "src/ports/device_desk.h"
#include "src/ports/event_loop.h"

namespace nudge {

class CurveDoor;
class AskingRobot;
class ChunkEditor;
class RobotPort;

struct DaemonOptions {
  Config config;
  std::string state_folder;  // made when missing
  std::string instruction;   // in force at the start
  bool continuous = true;    // see StepThreadOptions
  std::string program;       // path of the program, to start the learner with; empty: no learner
  // Told what happens, as it happens. From any thread; must not block.
  std::function<void(LogLevel level, std::string_view component, const std::string& message)>
      notice;
  DeskListener* listener = nullptr;  // told on the io thread, beside the ports; outlives the daemon
  // Where the robot is connected, for /metrics; outlives the daemon. Null: it is in this process.
  const RobotPort* robot_port = nullptr;
  // What opens the teleop port beyond this machine; outlives the daemon. Null: it stays on
  // ports.zmq_address, which is then of loopback, without encryption.
  CurveDoor* door = nullptr;
  // The robot, where it is one that asks; null: it is not.
  AskingRobot* asking = nullptr;
};

// start() and stop() belong to one thread.
class Daemon {
 public:
  // Everything but threads. `loop` and `robot` outlive the daemon; the loop is run by its io
  // thread. kUnavailable: another process has the state folder, or a port is taken.
  static Result<std::unique_ptr<Daemon>> open(EventLoop& loop, Robot& robot,
                                              const DaemonOptions& options);
  ~Daemon();

  Status start();
  // Looks whether the tokens of the machine have changed, and ends who came with another one; and
  // once a minute whether the machine's addresses or the certificate's days have, and renews what
  // is shown. Between start() and stop(), some times a second; reads and writes small files.
  void tend();
  void stop();  // the robot holds; what was acknowledged and what was seen is on disk

  // Edits the chunks of a policy elsewhere; null: policy.reference is another. As long as this.
  ChunkEditor* editor();
  const Desk& desk() const;      // io thread
  bool stalled() const;          // the step thread; any thread
  const Access& access() const;  // of the thread that calls tend()
  const Entrance& entrance() const;
  // A code for the first device, as of open(); none: the page is served in clear.
  const std::optional<PairingOffer>& first_offer() const;
  std::uint16_t http_port() const;
  std::uint16_t teleop_port() const;

 private:
  Daemon();
  static Result<std::unique_ptr<Daemon>> open(EventLoop& loop, Robot& robot,
                                              const DaemonOptions& options, std::string alarm,
                                              bool& log_damaged);
  Status assemble(EventLoop& loop, Robot& robot, const DaemonOptions& options, std::string alarm);
  void follow_tokens();
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace nudge
