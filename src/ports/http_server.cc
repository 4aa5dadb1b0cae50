#include "src/ports/http_server.h"

#include <sys/socket.h>

#include <optional>
#include <utility>

#include "src/loop/clock.h"
#include "src/ports/http_core.h"
#include "src/ports/http_rules.h"
#include "src/ports/http_session.h"
#include "src/ports/local_socket.h"
#include "src/ports/tcp_listener.h"

namespace nudge {
namespace {

// Of the kernel, for each connection and direction. Small, so that a peer which does not read is
// noticed soon, camera frames do not grow old there, and all connections together take little.
constexpr int kSocketBytes = 128 << 10;

}  // namespace

std::optional<Caller> HttpCore::caller_of(std::string_view token, bool here) const noexcept {
  try {
    return who_is ? who_is(token, here) : std::nullopt;
  } catch (...) {
    return std::nullopt;  // who cannot be told is nobody
  }
}

bool HttpCore::make_room_for_live(Role role) {
  if (live_sessions < options.max_live) return true;
  const Instant now = steady_now();
  // Longer than this is nobody who is there: they have answered the ping.
  const Duration silent = options.live_timeout * 2 / 3;
  LiveSession* longest = nullptr;
  LiveSession* onlooker = nullptr;
  for (const auto& [connection, session] : open) {
    if (longest == nullptr || session->heard() < longest->heard()) longest = session;
    if (session->role() >= Role::kSupervisor) continue;
    if (onlooker == nullptr || session->heard() < onlooker->heard()) onlooker = session;
  }
  LiveSession* gone = nullptr;
  if (longest != nullptr && now - longest->heard() > silent) {
    gone = longest;
  } else if (role >= Role::kSupervisor) {
    gone = onlooker;
  }
  if (gone == nullptr) return false;
  ++counters.evicted;
  gone->close(1013, "others needed the place; connect again later");
  return true;
}

struct HttpServer::Impl {
  Impl(EventLoop& loop, const HttpServerOptions& options, WhoIs who_is, Exempt exempt,
       HttpHandler& handler)
      : core{.loop = loop,
             .options = options,
             .who_is = std::move(who_is),
             .exempt = std::move(exempt),
             .handler = handler,
             .handshakes = TokenBucket(options.handshakes_per_second, steady_now()),
             .answers = AnswerRoom(options.max_answer_bytes, options.max_caller_answer_bytes)} {}

  // In clear, before anything else is said: on a port with TLS nobody would understand.
  void refuse(const Descriptor& peer) {
    ++core.counters.refused;
    if (core.options.tls) return;
    HttpResponse busy = problem(503, "resource_exhausted", "too many connections; try again");
    const std::string answer = response_head(busy, false) + busy.body;
    // An empty socket takes this at once. What the peer sent is read, or closing would reset the
    // connection before the answer is seen.
    (void)::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)::shutdown(peer.get(), SHUT_WR);
    char unread[1024];
    for (int i = 0; i < 16 && ::recv(peer.get(), unread, sizeof unread, MSG_DONTWAIT) > 0; ++i) {
    }
  }

  bool admits(const Descriptor& peer) {
    if (core.sessions.size() >= core.options.max_connections && !make_room()) {
      refuse(peer);
      return false;
    }
    ++core.counters.accepted;
    return true;
  }

  void admit(Descriptor peer) {
    if (!admits(peer)) return;
    serve_http(core, std::move(peer), v6);
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
    // Sends from inside of on_close must find nothing.
    core.open.clear();
    const auto sessions = std::exchange(core.sessions, {});
    for (const auto& [session, owner] : sessions) owner->drop();
  }

  HttpCore core;
  bool v6 = false;
  std::unique_ptr<TcpListener> listener;  // null: it is at a Unix socket
  std::unique_ptr<LocalListener> local;   // null: it is at a port
};

HttpServer::HttpServer() = default;
HttpServer::~HttpServer() { impl_->drop_all(); }

Result<std::unique_ptr<HttpServer>> HttpServer::listen(EventLoop& loop,
                                                       const HttpServerOptions& options,
                                                       WhoIs who_is, Exempt exempt,
                                                       HttpHandler& handler) {
  std::unique_ptr<HttpServer> server(new HttpServer());
  server->impl_ =
      std::make_unique<Impl>(loop, options, std::move(who_is), std::move(exempt), handler);
  Impl& impl = *server->impl_;
  impl.v6 = options.address.find(':') != std::string::npos;
  const TcpListenerOptions socket{.address = options.address,
                                  .beyond_loopback = options.tls != nullptr,
                                  .port = options.port,
                                  .setting = options.setting,
                                  .send_bytes = kSocketBytes,
                                  .receive_bytes = kSocketBytes};
  Result<std::unique_ptr<TcpListener>> listener =
      TcpListener::listen(loop, socket, [&impl](Descriptor peer) { impl.admit(std::move(peer)); });
  if (!listener.ok()) return listener.status();
  impl.listener = *std::move(listener);
  impl.core.hosts =
      served_hosts(options.address, impl.listener->port(), options.names, options.tls != nullptr);
  return server;
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen_locally(EventLoop& loop,
                                                               const std::string& folder,
                                                               Caller who, HttpHandler& handler) {
  HttpServerOptions options;
  options.keyless = true;
  options.max_live = 0;
  const auto who_is = [who = std::move(who)](std::string_view, bool) { return std::optional(who); };
  std::unique_ptr<HttpServer> server(new HttpServer());
  server->impl_ = std::make_unique<Impl>(loop, options, who_is, Exempt(), handler);
  Impl& impl = *server->impl_;
  impl.core.hosts = {"localhost"};
  Result<std::unique_ptr<LocalListener>> listener =
      LocalListener::listen(loop, folder, [&impl](Descriptor peer) {
        if (impl.admits(peer)) serve_local_http(impl.core, std::move(peer));
      });
  if (!listener.ok()) return listener.status();
  impl.local = *std::move(listener);
  return server;
}

std::uint16_t HttpServer::port() const { return impl_->listener ? impl_->listener->port() : 0; }

void HttpServer::renew(std::shared_ptr<TlsContext> tls, std::span<const std::string> names) {
  HttpCore& core = impl_->core;
  core.options.tls = std::move(tls);
  core.hosts = served_hosts(core.options.address, port(), names, core.options.tls != nullptr);
}

bool HttpServer::send(ConnectionId connection, std::string text) {
  const auto found = impl_->core.open.find(connection);
  return found != impl_->core.open.end() && found->second->send(std::move(text), true);
}

bool HttpServer::send_binary(ConnectionId connection, std::string bytes) {
  const auto found = impl_->core.open.find(connection);
  return found != impl_->core.open.end() && found->second->send(std::move(bytes), false);
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
  counters.accept_errors = impl_->listener ? impl_->listener->errors() : impl_->local->errors();
  counters.live = impl_->core.live_sessions;
  counters.open = impl_->core.sessions.size();
  return counters;
}

}  // namespace nudge
