#include "src/ports/router.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/loop/clock.h"
#include "src/ports/tcp_listener.h"
#include "src/ports/token_bucket.h"
#include "src/ports/zmtp.h"

namespace nudge {
namespace {

namespace asio = boost::asio;
using Stream = asio::posix::stream_descriptor;

constexpr int kGreetingBeats = 8;
constexpr int kSilentBeats = 4;
// What waits in the kernel is as stale as what waits here, and cannot be taken back.
constexpr int kSendBuffer = 32 << 10;
// More than a second of any robot's state; a peer that is ahead of us waits.
constexpr int kReceiveBuffer = 128 << 10;
// Read in one go: a peer that floods us must not keep the loop from its other work.
constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kLeastUnfinished = 4u << 20;

}  // namespace

struct Router::Impl {
  struct Connection;
  using Owned = std::shared_ptr<Connection>;

  Impl(EventLoop& on, const RouterOptions& with, Receive to)
      : loop(on), options(with), receive(std::move(to)), scratch(kReadBytes) {
    handshakes.emplace(options.handshakes_per_second, steady_now());
    if (options.max_unfinished == 0) {
      options.max_unfinished = std::max(4 * options.max_message, kLeastUnfinished);
    }
  }
  ~Impl() {
    while (!connections.empty()) drop(*connections.begin()->second);
  }

  void admit(Descriptor peer);
  bool make_room();
  void beat();
  void drop(Connection& connection);
  void cut(Connection& connection, std::uint64_t& counter) {
    ++counter;
    drop(connection);
  }
  void bound_unfinished();

  EventLoop& loop;
  RouterOptions options;
  Receive receive;
  RouterCounters counters;
  std::vector<std::byte> scratch;  // what was read last, of anybody
  std::uint64_t last_number = 0;
  std::optional<TokenBucket> handshakes;
  std::unordered_map<std::string, Owned> connections;  // by name
  std::size_t unfinished = 0;                          // bytes, of all
  std::shared_ptr<void> beating;
  std::unique_ptr<TcpListener> listener;
};

// Completions hold it; it acts for as long as the router knows it.
struct Router::Impl::Connection : std::enable_shared_from_this<Connection> {
  Connection(Impl& impl, std::string named, Descriptor peer)
      : router(&impl),
        name(std::move(named)),
        stream(impl.loop.context(), peer.release()),
        curve(impl.options.curve ? std::make_unique<CurveSession>(*impl.options.curve) : nullptr),
        reader(impl.options.max_message, curve.get()),
        bucket(impl.options.frames_per_second, steady_now()),
        heard(steady_now()) {}

  // ---- from the peer ---------------------------------------------------------------------------

  void await_read() {
    stream.async_wait(Stream::wait_read,
                      [self = shared_from_this()](const boost::system::error_code& error) {
                        if (self->router == nullptr) return;
                        if (error) return self->router->drop(*self);
                        self->read();
                      });
  }

  void read() {
    std::vector<std::byte>& scratch = router->scratch;
    const auto got = ::recv(stream.native_handle(), scratch.data(), scratch.size(), 0);
    if (got == 0) return router->drop(*this);
    if (got < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return router->drop(*this);
      return await_read();
    }
    silent_beats = 0;
    const Instant now = steady_now();
    std::span<const std::byte> bytes(scratch.data(), static_cast<std::size_t>(got));
    bool completed = false;
    while (true) {
      const Result<std::optional<ZmtpPiece>> piece = reader.next(bytes);
      if (!piece.ok()) return router->cut(*this, router->counters.cut_bad);
      if (!*piece) break;
      completed = true;
      if (!bucket.take(now)) return router->cut(*this, router->counters.cut_rate);
      take(**piece, now);
      if (router == nullptr) return;  // its owner sent something, and found it gone
    }
    const std::size_t holds = reader.held();
    if (held == 0 || completed) unfinished_since = now;
    router->unfinished += holds - held;
    held = holds;
    router->bound_unfinished();
    if (router != nullptr) await_read();
  }

  void take(const ZmtpPiece& piece, Instant now) {
    switch (piece.kind) {
      case ZmtpPiece::Kind::kAnswer: return answer(piece.body);
      case ZmtpPiece::Kind::kReady:
        if (curve != nullptr) {
          whose = router->options.admits(curve->client_key());
          if (!whose) return router->cut(*this, router->counters.cut_key);
          answer(piece.body);
          if (router == nullptr) return;
        }
        ready = true;
        return;
      case ZmtpPiece::Kind::kMessage:
        spoke = true;
        heard = now;
        if (piece.body.empty()) break;
        router->receive(name, piece.body);
        return;
      case ZmtpPiece::Kind::kParts: break;
      case ZmtpPiece::Kind::kPing:
        pong_owed = true;
        pong_context.assign(piece.body.begin(), piece.body.end());
        write();
        return;
      case ZmtpPiece::Kind::kNothing: return;
    }
    ++router->counters.malformed;
  }

  // ---- to the peer -----------------------------------------------------------------------------

  Sent send(std::span<const std::byte> message) {
    if (waiting.size() + (message_under_way ? 1 : 0) >= router->options.send_queue) {
      return Sent::kFull;
    }
    waiting.emplace_back(message.begin(), message.end());
    write();
    return router != nullptr ? Sent::kYes : Sent::kGone;
  }

  // Of the handshake: nothing else is sent meanwhile, and a peer that does not read it has no
  // more than two of them waiting.
  void answer(std::span<const std::byte> frame) {
    outgoing.insert(outgoing.end(), frame.begin(), frame.end());
    write();
  }

  void ping() {
    ping_owed = true;
    write();
  }

  // Whole frames only go out one after the other. A peer that does not read is owed one PONG and
  // one PING, however many it has asked for.
  bool next_frame() {
    outgoing.clear();
    sent = 0;
    message_under_way = false;
    if (pong_owed) {
      append_zmtp_pong(outgoing, pong_context, curve.get());
      pong_owed = false;
    } else if (ping_owed) {
      append_zmtp_ping(outgoing, curve.get());
      ping_owed = false;
    } else if (!waiting.empty()) {
      // Not before: what CURVE has made must be sent in that order.
      append_zmtp_message(outgoing, waiting.front(), curve.get());
      waiting.pop_front();
      message_under_way = true;
    }
    return !outgoing.empty();
  }

  void write() {
    if (awaits_write) return;
    while (sent < outgoing.size() || next_frame()) {
      const auto gone = ::send(stream.native_handle(), outgoing.data() + sent,
                               outgoing.size() - sent, MSG_NOSIGNAL);
      if (gone >= 0) {
        sent += static_cast<std::size_t>(gone);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return await_write();
      } else if (errno != EINTR) {
        return router->drop(*this);
      }
    }
  }

  void await_write() {
    awaits_write = true;
    stream.async_wait(Stream::wait_write,
                      [self = shared_from_this()](const boost::system::error_code& error) {
                        if (self->router == nullptr) return;
                        self->awaits_write = false;
                        if (error) return self->router->drop(*self);
                        self->write();
                      });
  }

  Impl* router;  // null: it has ended
  std::string name;
  Stream stream;
  std::unique_ptr<CurveSession> curve;  // null: not encrypted
  std::optional<Actor> whose;           // as RouterOptions::admits said
  ZmtpReader reader;
  TokenBucket bucket;
  bool ready = false, spoke = false;
  Instant heard;  // its last message, or when it came
  int beats = 0, silent_beats = 0;
  std::size_t held = 0;  // of the router's `unfinished`
  Instant unfinished_since;

  std::vector<std::byte> outgoing;  // under way; `sent` bytes of it are the kernel's
  std::size_t sent = 0;
  bool message_under_way = false, awaits_write = false;
  bool pong_owed = false, ping_owed = false;
  std::vector<std::byte> pong_context;
  std::deque<std::vector<std::byte>> waiting;  // messages
};

void Router::Impl::admit(Descriptor peer) {
  // Each costs more than a thousand messages do, and nobody has proved anything before.
  if (options.curve != nullptr && !handshakes->take(steady_now())) {
    ++counters.refused;
    return;
  }
  if (connections.size() >= options.max_connections && !make_room()) {
    ++counters.refused;
    return;
  }
  ++counters.accepted;
  const auto connection =
      std::make_shared<Connection>(*this, std::to_string(++last_number), std::move(peer));
  connections.emplace(connection->name, connection);
  // A socket that is new takes this at once.
  const auto greeting = zmtp_greeting(connection->curve != nullptr);
  connection->outgoing.assign(greeting.begin(), greeting.end());
  if (connection->curve == nullptr) append_zmtp_ready(connection->outgoing);
  connection->write();
  if (connection->router != nullptr) connection->await_read();
}

bool Router::Impl::make_room() {
  Connection* found = nullptr;
  const Instant now = steady_now();
  for (const auto& [name, connection] : connections) {
    if (connection->spoke && now - connection->heard < options.spare) continue;
    if (found == nullptr ||
        std::pair(connection->spoke, connection->heard) < std::pair(found->spoke, found->heard)) {
      found = connection.get();
    }
  }
  if (found == nullptr) return false;
  cut(*found, counters.evicted);
  return true;
}

void Router::Impl::beat() {
  std::vector<Owned> all;  // sending may end some
  for (const auto& [name, connection] : connections) all.push_back(connection);
  for (const Owned& connection : all) {
    if (connection->router == nullptr) continue;
    ++connection->beats;
    if (connection->ready ? ++connection->silent_beats > kSilentBeats
                          : connection->beats > kGreetingBeats) {
      cut(*connection, counters.cut_silent);
    } else if (connection->ready) {
      connection->ping();
    }
  }
}

void Router::Impl::drop(Connection& connection) {
  connection.router = nullptr;
  unfinished -= std::exchange(connection.held, 0);
  boost::system::error_code ignored;
  connection.stream.close(ignored);
  connections.erase(std::string(connection.name));  // perhaps the last that owns it
}

void Router::Impl::bound_unfinished() {
  while (unfinished > options.max_unfinished) {
    Connection* slowest = nullptr;
    for (const auto& [name, connection] : connections) {
      if (connection->held == 0) continue;
      if (slowest == nullptr || connection->unfinished_since < slowest->unfinished_since) {
        slowest = connection.get();
      }
    }
    if (slowest == nullptr) return;
    cut(*slowest, counters.cut_slow);
  }
}

Router::Router() = default;
Router::~Router() = default;

Result<std::unique_ptr<Router>> Router::listen(EventLoop& loop, const RouterOptions& options,
                                               Receive receive) {
  if (options.curve == nullptr && options.address != "127.0.0.1" && options.address != "::1") {
    return invalid_argument("cannot listen on '" + options.address +
                            "' without CURVE: only 127.0.0.1 and ::1 are open to peers that are "
                            "neither encrypted nor known by a key");
  }
  std::unique_ptr<Router> router(new Router());
  router->impl_ = std::make_unique<Impl>(loop, options, std::move(receive));
  Impl& impl = *router->impl_;
  const TcpListenerOptions socket{.address = options.address,
                                  .beyond_loopback = options.curve != nullptr,
                                  .port = options.port,
                                  .setting = options.setting,
                                  .send_bytes = kSendBuffer,
                                  .receive_bytes = kReceiveBuffer};
  Result<std::unique_ptr<TcpListener>> listener =
      TcpListener::listen(loop, socket, [&impl](Descriptor peer) { impl.admit(std::move(peer)); });
  if (!listener.ok()) return listener.status();
  impl.listener = *std::move(listener);
  impl.beating = loop.every(options.beat, [&impl] { impl.beat(); });
  return router;
}

std::uint16_t Router::port() const { return impl_->listener->port(); }

RouterCounters Router::counters() const {
  RouterCounters counters = impl_->counters;
  counters.open = impl_->connections.size();
  counters.unfinished = impl_->unfinished;
  return counters;
}

std::optional<Actor> Router::whose(const std::string& peer) const {
  const auto found = impl_->connections.find(peer);
  return found == impl_->connections.end() ? std::nullopt : found->second->whose;
}

void Router::recheck() {
  if (impl_->options.curve == nullptr) return;
  std::vector<Impl::Owned> gone;
  for (const auto& [name, connection] : impl_->connections) {
    if (!connection->ready) continue;
    if (impl_->options.admits(connection->curve->client_key()) != connection->whose) {
      gone.push_back(connection);
    }
  }
  for (const Impl::Owned& connection : gone) impl_->cut(*connection, impl_->counters.cut_key);
}

Router::Sent Router::send(const std::string& peer, std::span<const std::byte> message) {
  const auto found = impl_->connections.find(peer);
  if (found == impl_->connections.end()) return Sent::kGone;
  // It may end meanwhile, and with it what the map holds.
  const Impl::Owned connection = found->second;
  return connection->send(message);
}

}  // namespace nudge
