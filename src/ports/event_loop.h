// The io thread's loop: timers, file descriptors, and work handed over by other threads. Every port
// lives on one; nothing on it ever waits for the disk or for a peer.
#pragma once

#include <functional>
#include <memory>

#include "nudge/status.h"
#include "nudge/time.h"

namespace boost::asio {
class io_context;
}

namespace nudge {

// Only post() and stop() may be called from other threads than the one inside run(). Callbacks run
// on that thread, and must neither block nor throw.
class EventLoop {
 public:
  EventLoop();
  // Destroy what lives on the loop first.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs callbacks until stop(). May be called again then, by any thread.
  void run();
  void stop();

  // Any thread, but not the step thread: it may allocate and lock.
  void post(std::function<void()> work);

  // Calls `work` every `period` until the returned token is destroyed. Periods that were missed are
  // not made up for.
  [[nodiscard]] std::shared_ptr<void> every(Duration period, std::function<void()> work);
  // Calls `work` once, unless the token is destroyed before.
  [[nodiscard]] std::shared_ptr<void> after(Duration delay, std::function<void()> work);
  // Calls `work` whenever `descriptor` can be read, until the token is destroyed. The descriptor
  // stays the caller's, and must outlive the token. Edge-triggered descriptors (ZeroMQ's) must be
  // drained by `work`.
  [[nodiscard]] std::shared_ptr<void> when_readable(int descriptor, std::function<void()> work);

  // For the sockets of src/ports/, and nobody else.
  boost::asio::io_context& context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
