// The daemon's side of a ZeroMQ port, on the io thread's loop: DEALERs connect to it as to a
// ROUTER, and everything that one of them can cost is bounded. What messages mean is its owner's.
// With CURVE, frames are encrypted, and whoever connects is known by the key that they prove to
// have; without it the port is for this machine alone.
//
// Not libzmq's ROUTER, which aborts the process when a peer breaks off while its receive queue is
// full (zeromq/libzmq issue 4364). Here is no receive queue: a message is handed on when it is
// complete, and the kernel slows down whoever is faster.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/curve.h"
#include "src/ports/event_loop.h"

namespace nudge {

struct RouterOptions {
  std::string address = "127.0.0.1";  // an IP address; without `curve` 127.0.0.1 or ::1
  std::uint16_t port = 0;             // 0: any that is free
  std::string setting{};              // that names the port, for messages: "ports.robot"
  std::size_t max_message = 0;        // bytes; whoever announces a longer one is cut off
  // Of one peer, all kinds, heartbeats too, as a bucket of one second; beyond: cut off.
  double frames_per_second = 5000;
  std::size_t send_queue = 2;  // messages per peer; what finds it full is not sent
  // Beyond, a new one takes the place of one that never sent a message, the oldest first, or has
  // sent none for `spare`; where there is none, the new one is closed.
  std::size_t max_connections = 128;
  Duration spare = std::chrono::seconds(2);
  // Bytes of messages above 64 KiB that have not arrived as a whole, of all peers; beyond, whoever
  // has taken longest over theirs is cut off. 0: four of the longest, and at least 4 MiB.
  std::size_t max_unfinished = 0;
  // A peer is asked for a sign of life at each beat. Cut off is who has not finished its greeting
  // within eight beats, and then who has said nothing for four. Beats are counted, not time: a
  // process that was stopped itself does not take its peers for silent.
  Duration beat = std::chrono::milliseconds(250);
  // Null: no encryption.
  std::shared_ptr<const CurveIdentity> curve{};
  // Whose key this is, as the receiver is told it; none: it may not come in. Asked when a peer has
  // proved that the key is its own, and again by recheck(). Not empty with `curve`.
  std::function<std::optional<Actor>(const CurveKey&)> admits{};
  double handshakes_per_second = 50;  // of CURVE, of all together; beyond: closed at once
};

struct RouterCounters {
  std::uint64_t accepted = 0;    // connections
  std::uint64_t open = 0;        // now
  std::uint64_t unfinished = 0;  // bytes now; see RouterOptions::max_unfinished
  std::uint64_t malformed = 0;   // messages of more than one part, or empty: not ours, dropped
  std::uint64_t refused = 0;     // no room for them, or for their handshake
  std::uint64_t evicted = 0;     // made room for others
  std::uint64_t cut_bad = 0;     // broke ZMTP, or a frame was too long
  std::uint64_t cut_rate = 0;    // more frames than allowed
  std::uint64_t cut_silent = 0;  // no greeting, or no sign of life
  std::uint64_t cut_slow = 0;    // held the room for unfinished messages
  std::uint64_t cut_key = 0;     // their key may not come in, or not any more
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class Router {
 public:
  // `peer` names the connection for as long as it lasts, and means nothing else: who it is tells
  // whose(). Both are valid during the call only. Must not destroy the router.
  using Receive = std::function<void(const std::string& peer, std::span<const std::byte> message)>;

  // kInvalidArgument: not a loopback address, and no `curve`; kUnavailable: the port is taken.
  static Result<std::unique_ptr<Router>> listen(EventLoop& loop, const RouterOptions& options,
                                                Receive receive);
  ~Router();  // closes all connections

  std::uint16_t port() const;

  enum class Sent { kYes, kFull, kGone };
  // kYes: the kernel has it, or it waits in the queue.
  Sent send(const std::string& peer, std::span<const std::byte> message);

  // What `admits` said of a peer's key; none: no such peer, or no CURVE.
  std::optional<Actor> whose(const std::string& peer) const;
  // Asks again of every connection's key, and cuts off who may not be here any more, or is somebody
  // else now.
  void recheck();

  RouterCounters counters() const;

 private:
  Router();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
