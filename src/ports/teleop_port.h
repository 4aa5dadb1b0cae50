// Where leader arms, gamepads and programs that drive like people do connect: a ZeroMQ ROUTER to
// them, loopback only. docs/reference/teleop-protocol.md specifies what it speaks. What a message
// may do is the broker's to judge; this port knows tokens, bounds and sessions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/desk.h"
#include "src/ports/event_loop.h"
#include "src/ports/router.h"
#include "src/ports/teleop_wire.h"

namespace nudge {

struct TeleopPortOptions {
  std::string address = "127.0.0.1";        // an IP address; without `curve` of loopback
  std::uint16_t port = kDefaultTeleopPort;  // 0: any that is free
  std::size_t max_peers = 16;
  // Of one peer, as a token bucket of one second; beyond, its session ends. Whoever sends frames
  // twice as fast is cut off, session or not.
  double messages_per_second = 500;
  double hellos_per_second = 50;                          // of all together
  Duration silence = std::chrono::seconds(2);             // a peer that sends nothing is gone
  Duration state_period = std::chrono::milliseconds(20);  // of a peer that asked for no other
  std::size_t max_acks = 256;  // waiting for one peer; more: it does not read
  // As in RouterOptions: null, and the port is neither encrypted nor open beyond this machine.
  std::shared_ptr<const CurveIdentity> curve{};
  std::function<std::optional<Actor>(const CurveKey&)> admits{};
};

struct TeleopPortCounters {
  std::uint64_t sessions = 0;  // welcomed
  std::uint64_t peers = 0;     // now
  std::uint64_t refused_hellos = 0;
  std::uint64_t bad_messages = 0;        // broke a rule of the format
  std::uint64_t foreign = 0;             // from peers without a session
  std::uint64_t jogs = 0, feedback = 0;  // handed to the desk
  std::uint64_t states = 0;              // sent
  std::uint64_t unsent_states = 0;       // the peer did not read the ones before
  std::uint64_t ended_rate = 0, ended_slow = 0, ended_silent = 0;
  RouterCounters socket;
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class TeleopPort final : public DeskListener {
 public:
  // Who a token belongs to; none: nobody. Compares in constant time.
  using WhoIs = std::function<std::optional<Actor>(std::string_view token)>;

  // With `curve` the peer's key says who it is, and its token nothing.
  // kInvalidArgument: not a loopback address, and no `curve`; kUnavailable: the port is taken.
  // `desk` must outlive the port. The states are read from its snapshot() once per control period
  // of its robot.
  static Result<std::unique_ptr<TeleopPort>> listen(EventLoop& loop,
                                                    const TeleopPortOptions& options, WhoIs who_is,
                                                    Desk& desk);
  ~TeleopPort() override;

  std::uint16_t port() const;
  TeleopPortCounters counters() const;
  void recheck_keys();  // ends whom `admits` does not admit any more
  // The token of this role is another one, or none: ends who came with it.
  void end_role(Role role);

  void on_events(std::span<const Event>) override {}
  void on_status() override;
  void on_frame(std::size_t) override {}

 private:
  TeleopPort();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
