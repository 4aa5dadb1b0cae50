// Connects a robot of yours, in a process of your own, to the daemon: link nudge::client, which
// needs ZeroMQ and nothing else of Nudge.
//
//   MyRobot robot;
//   auto client = nudge::RobotClient::connect({}, robot);
//   if (!client.ok()) { ... client.status().message() ... }
//   std::atomic<bool> stop = false;  // set by a signal handler, for example
//   nudge::Status status = (*client)->run(stop);
//
// The client observes the robot at its control period, sends what it saw, and applies what comes
// back. It trusts nobody for time: an action names the observation that it answers, and is refused
// when that observation is older than `fresh` on the robot's own clock, however recently the action
// arrived. When the daemon is silent, stopped or gone, the client holds the robot by itself; after
// a reconnection the robot holds until an action answers an observation of the new connection.
//
// This is software, not a safety-rated function. It cannot act while this process is stopped, or
// while one of the robot's functions does not return: the robot's own deadline, as apply() promises
// it, is for that.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nudge/robot.h"
#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

struct RobotClientOptions {
  std::string endpoint = "tcp://127.0.0.1:5571";
  // For a daemon on another machine: its key, as `nudge auth key server` prints it, and the file
  // with this machine's own pair (`nudge auth key make`), readable by its owner alone. Both empty:
  // no encryption, and the endpoint must be on this machine.
  std::string server_key{};
  std::string key_file{};
  // connect() waits this long for the daemon; run() then waits for ever, holding the robot.
  Duration patience = std::chrono::seconds(5);
  // Without an action or a hold for this long the robot is held, and again after every further such
  // time: the hold is given a tenth of it, at least a control period, before it is over. 0: 200 ms,
  // or 3 control periods if that is longer. At least 3 control periods, at most 10 s.
  Duration silence{};
  // An action that answers an observation of this age or older is refused. 0: as for `silence`. At
  // least 3 control periods, at most 500 ms.
  Duration fresh{};
  // The clock of Observation::time and Image::captured. Empty: std::chrono::steady_clock.
  std::function<Instant()> clock;
  // Makes the JPEG of a frame that the robot gives as raw RGB (Image::rgb, Image::jpeg empty): the
  // link carries JPEG, and which encoder is at hand is known to you. Called by the thread of run().
  // Empty: such frames are an error of observe().
  std::function<Result<std::vector<std::uint8_t>>(const Image&)> encode_jpeg;
};

// Counted since connect().
struct RobotClientStats {
  std::uint64_t sessions = 0;          // times that a daemon said welcome
  std::uint64_t observations = 0;      // sent
  std::uint64_t unsent = 0;            // observations that found no connection or a full queue
  std::uint64_t unobserved = 0;        // observe() failed, or its time was not of the clock
  std::uint64_t actions = 0;           // applied
  std::uint64_t stale_actions = 0;     // refused: too old, or of no observation of this connection
  std::uint64_t bad_messages = 0;      // refused: broke a rule, not finite, wrong size
  std::uint64_t refused_by_robot = 0;  // apply() failed
  std::uint64_t holds = 0;             // asked for by the daemon
  std::uint64_t own_holds = 0;         // by the client itself: silence, a lost or new connection
  std::uint64_t estops = 0;            // asked for by the daemon
};

class RobotClient {
 public:
  // Waits for the daemon's welcome. `robot` must outlive the client.
  // kInvalidArgument: an option, or a spec that cannot be sent. kUnavailable: no daemon within
  // `patience`. kFailedPrecondition: the daemon drives another robot, or this one with another
  // spec, and says where they differ; or another robot is connected to it. kUnimplemented: it
  // speaks other versions of the protocol.
  static Result<std::unique_ptr<RobotClient>> connect(const RobotClientOptions& options,
                                                      Robot& robot);
  ~RobotClient();

  // Serves until `stop` is true; looks at it at least every 20 ms. Calls reset(), observe() and
  // apply() from the caller's thread only, hold() and estop() also from a helper thread while
  // reset() runs, so that a slow reset can be stopped. The robot is held when it returns.
  // Reconnects by itself; returns an error only for what waiting cannot cure: kFailedPrecondition
  // and kUnimplemented as connect(). May be called again.
  Status run(const std::atomic<bool>& stop);

  RobotClientStats stats() const;  // any thread

 private:
  struct Impl;
  explicit RobotClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
