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

  // For CURVE: the daemon's key in Z85, and the file of this program's own pair. Both empty: no
  // encryption.
  struct Keys {
    std::string server, file;
  };

  // Returns at once; the connection comes, and comes again, by itself. Peers that send more than
  // `max_message` bytes are cut off. kInvalidArgument: not an endpoint, or not one on this machine
  // and no keys; kPermissionDenied: others may look into the file; kDataLoss: it holds no pair.
  Status connect(const std::string& endpoint, std::size_t max_message, const Keys& keys);

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
