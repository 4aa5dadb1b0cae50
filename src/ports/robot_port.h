// The daemon's end of the connection to a robot in another process: a ZeroMQ ROUTER to it, loopback
// only, one robot at a time. docs/reference/robot-protocol.md specifies what it speaks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/event_loop.h"
#include "src/ports/remote_robot.h"
#include "src/ports/robot_wire.h"
#include "src/ports/router.h"

namespace nudge {

struct RobotPortOptions {
  std::string address = "127.0.0.1";       // an IP address; without `curve` of loopback
  std::uint16_t port = kDefaultRobotPort;  // 0: any that is free
  std::string program = "nudge";           // told to the robot
  std::optional<RobotSpec> expected{};     // only a robot with this spec is welcome; none: the
                                           // first one that comes decides
  // Told why a robot is sent away, once a second at most. Loop's thread. Empty: nobody is.
  std::function<void(const std::string& why)> refused{};
  std::size_t max_message = kMaxRobotMessage;
  // Of one connection, as a token bucket of one second; beyond, it is closed. A robot sends an
  // observation at each control tick, of which there may be 1,000 a second.
  double frames_per_second = 5000;
  // A robot that sends nothing for this long is gone, and another one may come. It sends at every
  // control tick, at least every 20 ms.
  Duration silence = std::chrono::milliseconds(500);
  // The same while it resets.
  Duration reset_silence = std::chrono::seconds(60);
  // As in RouterOptions: null, and the port is neither encrypted nor open beyond this machine.
  std::shared_ptr<const CurveIdentity> curve{};
  std::function<std::optional<Actor>(const CurveKey&)> admits{};
};

struct RobotPortCounters {
  std::uint64_t sessions = 0;  // welcomed
  std::uint64_t refused_hellos = 0;
  std::uint64_t bad_messages = 0;  // broke a rule of the format
  std::uint64_t wrong_sizes = 0;   // observations that do not fit the spec
  std::uint64_t foreign = 0;       // from peers without a session
  std::uint64_t observations = 0;
  std::uint64_t actions = 0;       // sent
  std::uint64_t late_actions = 0;  // their deadline had passed, or a hold came after them
  std::uint64_t unsent = 0;        // the robot does not read
  std::uint64_t clock_jumps = 0;
  std::uint64_t lost = 0;  // robots that went silent
  RouterCounters socket;
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class RobotPort {
 public:
  // kInvalidArgument: not a loopback address, and no `curve`; kUnavailable: the port is taken.
  static Result<std::unique_ptr<RobotPort>> listen(EventLoop& loop,
                                                   const RobotPortOptions& options);
  ~RobotPort();

  std::uint16_t port() const;

  // Any thread but the loop's: waits for the first robot. kUnavailable: none came in time.
  Result<std::shared_ptr<RemoteRobot>> wait_for_robot(Duration patience);
  // Any thread. The robot that came first, also while it is not connected; null: none yet.
  std::shared_ptr<RemoteRobot> robot() const;

  // Loop's thread. Called for each new camera frame: its index in the spec, and the frame with its
  // JPEG.
  void on_frame(std::function<void(std::size_t, const Image&)> callback);

  RobotPortCounters counters() const;  // loop's thread
  void recheck_keys();  // loop's thread; ends a robot that `admits` does not admit any more

 private:
  RobotPort();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
