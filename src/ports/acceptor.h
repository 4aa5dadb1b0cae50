// Takes the connections that come in at a socket which listens, on the io thread's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "src/ports/descriptor.h"
#include "src/ports/event_loop.h"

namespace nudge {

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class Acceptor {
 public:
  // A connection: not blocking, closed in child processes. Must not destroy the acceptor.
  using Accept = std::function<void(Descriptor peer)>;

  // `listener` listens already, and does not block.
  Acceptor(EventLoop& loop, Descriptor listener, Accept accept);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Descriptors or memory ran out; tried again in 100 ms.
  std::uint64_t errors() const { return errors_; }

 private:
  void watch();
  void accept_some();

  EventLoop& loop_;
  Descriptor listener_;
  Accept accept_;
  std::uint64_t errors_ = 0;
  std::shared_ptr<void> watching_, paused_;  // last: gone before the socket
};

}  // namespace nudge
