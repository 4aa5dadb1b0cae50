// The Unix socket in a state folder, at which the daemon is asked by commands of its own user. Who
// is at the other end is the kernel's word, at both ends: no token is needed, and none can be lost.
#pragma once

#include <memory>
#include <string>

#include "nudge/status.h"
#include "nudge/time.h"
#include "src/ports/acceptor.h"

namespace nudge {

inline constexpr const char* kLocalSocket = "nudge.sock";  // in the state folder's run/, mode 0600

// Lives on the loop's thread, as Acceptor does.
class LocalListener {
 public:
  // Listens in `folder`, in the place of a socket that a killed program has left: nobody else may
  // be listening there. Takes connections of this program's user and of root, and ends others.
  // kPermissionDenied: others may enter the folder, or it is not this user's; kUnavailable.
  static Result<std::unique_ptr<LocalListener>> listen(EventLoop& loop, const std::string& folder,
                                                       Acceptor::Accept accept);
  ~LocalListener();  // removes the socket

  std::uint64_t errors() const { return acceptor_->errors(); }

 private:
  explicit LocalListener(Descriptor folder) : folder_(std::move(folder)) {}

  Descriptor folder_;
  std::unique_ptr<Acceptor> acceptor_;
};

// Connects to whoever listens in `folder`. Each read and write waits at most `patience`.
// kUnavailable: nobody listens; kPermissionDenied: this user may not enter the folder, or who
// listens is neither its owner nor this user.
Result<Descriptor> connect_locally(const std::string& folder, Duration patience);

}  // namespace nudge
