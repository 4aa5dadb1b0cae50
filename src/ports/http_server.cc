#include "src/ports/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "src/ports/http_core.h"
#include "src/ports/http_rules.h"
#include "src/ports/http_session.h"

namespace nudge {
namespace {

constexpr int kAcceptedAtOnce = 16;  // then others have a turn
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
// Of the kernel, for each connection and direction. Small, so that a peer which does not read is
// noticed soon, camera frames do not grow old there, and all connections together take little.
constexpr int kSocketBytes = 128 << 10;

// A descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  bool v6() const { return storage.ss_family == AF_INET6; }
};

Result<Address> loopback_address(const std::string& text, std::uint16_t port) {
  Address address;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  bool is_loopback = false;
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    is_loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.size = sizeof v4;
    std::memcpy(&address.storage, &v4, sizeof v4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    is_loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.size = sizeof v6;
    std::memcpy(&address.storage, &v6, sizeof v6);
  } else {
    return invalid_argument("'" + text + "' is not an IP address; write 127.0.0.1 or ::1");
  }
  if (!is_loopback) {
    return invalid_argument("cannot serve on " + text +
                            ": other addresses than 127.0.0.1 and ::1 need TLS, which comes with "
                            "the security step");
  }
  return address;
}

Status cannot_listen(const std::string& address, std::uint16_t port, int error) {
  const std::string place = "port " + std::to_string(port) + " on " + address;
  if (error == EADDRINUSE) {
    return unavailable(place +
                       " is taken, perhaps by another nudge; stop that one, or choose another port "
                       "with --set ports.http=" +
                       std::to_string(port == 65535 ? port - 1 : port + 1) +
                       " (0: any that is free)");
  }
  if (error == EACCES) {
    return unavailable(place +
                       " is for privileged programs; choose one above 1023 with --set "
                       "ports.http=8080");
  }
  return unavailable("cannot listen on " + place + ": " + std::strerror(error));
}

Result<Descriptor> open_listener(const std::string& text, std::uint16_t port) {
  Result<Address> address = loopback_address(text, port);
  if (!address.ok()) return address.status();
  Descriptor listener(::socket(address->storage.ss_family,
                               SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (listener.get() < 0) return cannot_listen(text, port, errno);
  const auto set = [&](int level, int option, int value) {
    // What fails here costs speed or comfort only.
    (void)::setsockopt(listener.get(), level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_REUSEADDR, 1);  // a restart need not wait for old connections to be forgotten
  // Accepted sockets inherit these.
  set(SOL_SOCKET, SO_SNDBUF, kSocketBytes);
  set(SOL_SOCKET, SO_RCVBUF, kSocketBytes);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  if (address->v6()) set(IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address->storage), address->size) !=
          0 ||
      ::listen(listener.get(), SOMAXCONN) != 0) {
    return cannot_listen(text, port, errno);
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

std::optional<Actor> HttpCore::actor_of(std::string_view token) const noexcept {
  try {
    return who_is ? who_is(token) : std::nullopt;
  } catch (...) {
    return std::nullopt;  // who cannot be told is nobody
  }
}

struct HttpServer::Impl {
  Impl(EventLoop& loop, const HttpServerOptions& options, WhoIs who_is, Exempt exempt,
       HttpHandler& handler)
      : core{.loop = loop,
             .options = options,
             .who_is = std::move(who_is),
             .exempt = std::move(exempt),
             .handler = handler} {}

  void watch() {
    watching = core.loop.when_readable(listener.get(), [this] { accept(); });
  }

  void accept() {
    for (int i = 0; i < kAcceptedAtOnce; ++i) {
      // The flags are set by the kernel: another thread may fork between two calls of ours.
      Descriptor peer(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (peer.get() >= 0) {
        admit(std::move(peer));
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM) continue;
      // Out of descriptors or memory: the connection stays in the queue, and trying again at once
      // would take all the time there is.
      ++core.counters.accept_errors;
      paused = core.loop.after(kAcceptPause, [this] { watch(); });
      watching.reset();
      return;
    }
  }

  void admit(Descriptor peer) {
    if (core.sessions.size() >= core.options.max_connections && !make_room()) {
      ++core.counters.refused;
      HttpResponse busy = problem(503, "resource_exhausted", "too many connections; try again");
      const std::string answer = response_head(busy, false) + busy.body;
      // An empty socket takes this at once. What the peer sent is read, or closing would reset the
      // connection before the answer is seen.
      (void)::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      (void)::shutdown(peer.get(), SHUT_WR);
      char unread[1024];
      for (int i = 0; i < 16 && ::recv(peer.get(), unread, sizeof unread, MSG_DONTWAIT) > 0; ++i) {
      }
      return;
    }
    ++core.counters.accepted;
    serve_http(core, peer.release(), v6);
  }

  bool make_room() {
    const Session* found = nullptr;
    Session::Spare least;
    for (const auto& [session, owner] : core.sessions) {
      const std::optional<Session::Spare> spare = session->spare();
      if (!spare) continue;
      if (found == nullptr || spare->rank < least.rank ||
          (spare->rank == least.rank && spare->since < least.since)) {
        found = session;
        least = *spare;
      }
    }
    if (found == nullptr) return false;
    ++core.counters.evicted;
    core.sessions.extract(found).mapped()->drop();
    return true;
  }

  void drop_all() {
    watching.reset();
    paused.reset();
    // Sends from inside of on_close must find nothing.
    core.open.clear();
    const auto sessions = std::exchange(core.sessions, {});
    for (const auto& [session, owner] : sessions) owner->drop();
  }

  HttpCore core;
  Descriptor listener;
  bool v6 = false;
  std::uint16_t port = 0;
  std::shared_ptr<void> watching, paused;
};

HttpServer::HttpServer() = default;
HttpServer::~HttpServer() { impl_->drop_all(); }

Result<std::unique_ptr<HttpServer>> HttpServer::listen(EventLoop& loop,
                                                       const HttpServerOptions& options,
                                                       WhoIs who_is, Exempt exempt,
                                                       HttpHandler& handler) {
  Result<Descriptor> listener = open_listener(options.address, options.port);
  if (!listener.ok()) return listener.status();
  std::unique_ptr<HttpServer> server(new HttpServer());
  server->impl_ =
      std::make_unique<Impl>(loop, options, std::move(who_is), std::move(exempt), handler);
  Impl& impl = *server->impl_;
  impl.listener = *std::move(listener);
  impl.v6 = options.address.find(':') != std::string::npos;
  impl.port = bound_port(impl.listener.get());
  impl.core.hosts = served_hosts(options.address, impl.port);
  impl.watch();
  return server;
}

std::uint16_t HttpServer::port() const { return impl_->port; }

bool HttpServer::send(ConnectionId connection, std::string text) {
  const auto found = impl_->core.open.find(connection);
  return found != impl_->core.open.end() && found->second->send(std::move(text));
}

void HttpServer::offer(ConnectionId connection, std::uint32_t channel,
                       std::vector<std::uint8_t> bytes) {
  const auto found = impl_->core.open.find(connection);
  if (found != impl_->core.open.end()) found->second->offer(channel, std::move(bytes));
}

void HttpServer::close(ConnectionId connection, std::uint16_t code, std::string_view reason) {
  const auto found = impl_->core.open.find(connection);
  if (found != impl_->core.open.end()) found->second->close(code, reason);
}

HttpCounters HttpServer::counters() const {
  HttpCounters counters = impl_->core.counters;
  counters.live = impl_->core.live_sessions;
  counters.open = impl_->core.sessions.size();
  return counters;
}

}  // namespace nudge
