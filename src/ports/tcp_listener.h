// A TCP socket that listens, on the io thread's loop. On loopback alone, unless its owner protects
// what goes over it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "nudge/status.h"
#include "src/ports/acceptor.h"

namespace nudge {

struct TcpListenerOptions {
  std::string address = "127.0.0.1";
  bool beyond_loopback = false;  // else only 127.0.0.0/8 and ::1 are accepted
  std::uint16_t port = 0;        // 0: any that is free
  std::string setting{};         // that names the port, for messages: "ports.http"
  // Of the kernel, for each connection.
  int send_bytes = 0, receive_bytes = 0;
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class TcpListener {
 public:
  // A connection without Nagle's delay. Must not destroy the listener.
  using Accept = Acceptor::Accept;

  // kUnavailable: the port is taken; the message says what to try. kInvalidArgument: not an
  // address, or not a loopback address where it must be one.
  static Result<std::unique_ptr<TcpListener>> listen(EventLoop& loop,
                                                     const TcpListenerOptions& options,
                                                     Accept accept);
  ~TcpListener();

  std::uint16_t port() const;
  // Descriptors or memory ran out; tried again in 100 ms.
  std::uint64_t errors() const;

 private:
  TcpListener();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
