// The clients' end of a connection: a ZeroMQ DEALER that queues nothing for a peer that is not
// there. One thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

class Dealer {
 public:
  Dealer();
  ~Dealer();

  // Returns at once; the connection comes, and comes again, by itself. kInvalidArgument: not an
  // endpoint on this machine. Peers that send more than `max_message` bytes are cut off.
  Status connect(const std::string& endpoint, std::size_t max_message);

  // False: not connected, or the queue is full; nothing is kept for later.
  bool send(std::span<const std::byte> message);
  // The next message, valid until the next call; none: nothing has arrived.
  std::optional<std::span<const std::byte>> receive();
  // Until something arrives, at most `patience`.
  void wait(Duration patience);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
