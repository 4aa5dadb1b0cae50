#include "src/ports/acceptor.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace nudge {
namespace {

constexpr int kAcceptedAtOnce = 16;  // then others have a turn
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

}  // namespace

Acceptor::Acceptor(EventLoop& loop, Descriptor listener, Accept accept)
    : loop_(loop), listener_(std::move(listener)), accept_(std::move(accept)) {
  watch();
}

void Acceptor::watch() {
  watching_ = loop_.when_readable(listener_.get(), [this] { accept_some(); });
}

void Acceptor::accept_some() {
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    // The flags are set by the kernel: another thread may fork between two calls of ours.
    Descriptor peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (peer.get() >= 0) {
      accept_(std::move(peer));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM) continue;
    // Out of descriptors or memory: the connection stays in the queue, and trying again at once
    // would take all the time there is.
    ++errors_;
    paused_ = loop_.after(kAcceptPause, [this] { watch(); });
    watching_.reset();
    return;
  }
}

}  // namespace nudge
