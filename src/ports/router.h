// A ZeroMQ ROUTER socket on the io thread's loop: small queues, heartbeats, bounded messages,
// loopback only. What messages mean is its owner's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "nudge/status.h"
#include "src/ports/event_loop.h"

namespace nudge {

struct RouterOptions {
  std::string address = "127.0.0.1";  // 127.0.0.1 or ::1
  std::uint16_t port = 0;             // 0: any that is free
  std::size_t max_message = 0;        // bytes; the peer is cut off by whatever is longer
  int send_queue = 2;                 // messages per peer; what finds it full is not sent
  // Messages per peer. More than a peer sends in a second, after which a silent connection is given
  // up: libzmq 4.3 aborts the process when a connection breaks while its queue is full, and a
  // heartbeat is due then (zeromq/libzmq issue 4364).
  int receive_queue = 128;
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class Router {
 public:
  // `peer` names the connection for as long as it lasts, and means nothing else. Both are valid
  // during the call only. Must not destroy the router.
  using Receive = std::function<void(const std::string& peer, std::span<const std::byte> message)>;

  // kInvalidArgument: not a loopback address; kUnavailable: the port is taken.
  static Result<std::unique_ptr<Router>> listen(EventLoop& loop, const RouterOptions& options,
                                                Receive receive);
  ~Router();

  std::uint16_t port() const;

  enum class Sent { kYes, kFull, kGone };
  Sent send(const std::string& peer, std::span<const std::byte> message);

  // Of more than one part, or empty: not ours, dropped.
  std::uint64_t malformed() const;

 private:
  Router();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
