#include "src/ports/tcp_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/ports/addresses.h"

namespace nudge {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  bool v6() const { return storage.ss_family == AF_INET6; }
};

Result<Address> address_to_bind(const TcpListenerOptions& options) {
  const std::string& text = options.address;
  Address address;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(options.port);
    address.size = sizeof v4;
    std::memcpy(&address.storage, &v4, sizeof v4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(options.port);
    address.size = sizeof v6;
    std::memcpy(&address.storage, &v6, sizeof v6);
  } else {
    return invalid_argument("'" + text + "' is not an IP address; write 127.0.0.1 or ::1");
  }
  if (!options.beyond_loopback && !is_loopback_address(text)) {
    return invalid_argument("cannot serve on " + text +
                            " without TLS: what is not encrypted may be had at 127.0.0.1 and ::1 "
                            "only");
  }
  return address;
}

Status cannot_listen(const TcpListenerOptions& options, int error) {
  const int port = options.port;
  const std::string place = "port " + std::to_string(port) + " on " + options.address;
  const auto set = [&](int other) {
    return "--set " + options.setting + "=" + std::to_string(other);
  };
  if (error == EADDRINUSE) {
    return unavailable(place +
                       " is taken, perhaps by another nudge; stop that one, or choose another port "
                       "with " +
                       set(port > 65525 ? port - 10 : port + 10) + " (0: any that is free)");
  }
  if (error == EACCES) {
    return unavailable(place + " is for privileged programs; choose one above 1023 with " +
                       set(port + 8000));
  }
  return unavailable("cannot listen on " + place + ": " + std::strerror(error));
}

Result<Descriptor> open_listener(const TcpListenerOptions& options) {
  Result<Address> address = address_to_bind(options);
  if (!address.ok()) return address.status();
  Descriptor listener(::socket(address->storage.ss_family,
                               SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (listener.get() < 0) return cannot_listen(options, errno);
  const auto set = [&](int level, int option, int value) {
    // What fails here costs speed or comfort only.
    (void)::setsockopt(listener.get(), level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_REUSEADDR, 1);  // a restart need not wait for old connections to be forgotten
  // Accepted sockets inherit these.
  set(SOL_SOCKET, SO_SNDBUF, options.send_bytes);
  set(SOL_SOCKET, SO_RCVBUF, options.receive_bytes);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  if (address->v6()) set(IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address->storage), address->size) !=
          0 ||
      ::listen(listener.get(), SOMAXCONN) != 0) {
    return cannot_listen(options, errno);
  }
  return listener;
}

std::uint16_t bound_port(int descriptor) {
  Address address;
  address.size = sizeof address.storage;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address.storage), &address.size) !=
      0) {
    return 0;
  }
  if (address.v6()) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    return ntohs(v6.sin6_port);
  }
  sockaddr_in v4{};
  std::memcpy(&v4, &address.storage, sizeof v4);
  return ntohs(v4.sin_port);
}

}  // namespace

struct TcpListener::Impl {
  Impl(EventLoop& loop, Descriptor listener, Accept accept)
      : port(bound_port(listener.get())), acceptor(loop, std::move(listener), std::move(accept)) {}

  std::uint16_t port;
  Acceptor acceptor;
};

TcpListener::TcpListener() = default;
TcpListener::~TcpListener() = default;

Result<std::unique_ptr<TcpListener>> TcpListener::listen(EventLoop& loop,
                                                         const TcpListenerOptions& options,
                                                         Accept accept) {
  Result<Descriptor> opened = open_listener(options);
  if (!opened.ok()) return opened.status();
  std::unique_ptr<TcpListener> listener(new TcpListener());
  listener->impl_ = std::make_unique<Impl>(loop, *std::move(opened), std::move(accept));
  return listener;
}

std::uint16_t TcpListener::port() const { return impl_->port; }
std::uint64_t TcpListener::errors() const { return impl_->acceptor.errors(); }

}  // namespace nudge
