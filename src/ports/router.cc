#include "src/ports/router.h"

#include <zmq.hpp>

namespace nudge {
namespace {

// A stopped peer (SIGSTOP, a pulled cable) is noticed after a second; a connection that never says
// a ZeroMQ greeting after two.
constexpr int kHeartbeatMs = 250;
constexpr int kHeartbeatTimeoutMs = 1000;
constexpr int kHandshakeMs = 2000;
constexpr int kBacklog = 64;
// What waits in the kernel is as stale as what waits here, and cannot be taken back.
constexpr int kSendBuffer = 32 * 1024;
// Messages taken in one go: a peer that floods us must not keep the loop from its other work.
constexpr int kBatch = 64;
// Whatever happens to the edges of the descriptor, no message waits longer than this.
constexpr Duration kSweep = std::chrono::milliseconds(20);

}  // namespace

struct Router::Impl {
  zmq::context_t context{1};
  zmq::socket_t socket{context, zmq::socket_type::router};
  EventLoop* loop = nullptr;
  Receive receive;
  std::uint16_t port = 0;
  std::uint64_t malformed = 0;
  bool again_posted = false;
  std::string peer;  // memory used again
  // Guards what was posted against a router that has gone.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::shared_ptr<void> watch, sweep;  // last: gone before the socket

  // ZeroMQ's descriptor tells of changes, not of messages: it must be read until nothing is left,
  // and looked at again after every send.
  void drain() {
    try {
      for (int i = 0; i < kBatch; ++i) {
        if (!take_one()) return;
      }
    } catch (const zmq::error_t&) {
      ++malformed;
    }
    again();
  }
  void again() {
    if (again_posted) return;
    again_posted = true;
    loop->post([this, weak = std::weak_ptr<bool>(alive)] {
      if (weak.expired()) return;
      again_posted = false;
      drain();
    });
  }
  bool take_one() {
    zmq::message_t from;
    if (!socket.recv(from, zmq::recv_flags::dontwait)) return false;
    int parts = 0;
    zmq::message_t body;
    bool more = from.more();
    while (more) {
      zmq::message_t part;
      if (!socket.recv(part, zmq::recv_flags::dontwait)) break;
      more = part.more();
      if (++parts == 1) body = std::move(part);
    }
    if (parts != 1 || body.size() == 0) {
      ++malformed;
      return true;
    }
    peer.assign(from.data<char>(), from.size());
    receive(peer, {body.data<std::byte>(), body.size()});
    return true;
  }
};

Router::Router() : impl_(std::make_unique<Impl>()) {}
Router::~Router() = default;

Result<std::unique_ptr<Router>> Router::listen(EventLoop& loop, const RouterOptions& options,
                                               Receive receive) {
  if (options.address != "127.0.0.1" && options.address != "::1") {
    return invalid_argument("cannot listen on '" + options.address +
                            "': only 127.0.0.1 and ::1 are open until connections are encrypted "
                            "and authenticated (CURVE comes with the security step)");
  }
  const bool v6 = options.address == "::1";
  const std::string host = v6 ? "[::1]" : options.address;
  try {
    std::unique_ptr<Router> router(new Router());
    Impl& impl = *router->impl_;
    zmq::socket_t& socket = impl.socket;
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::sndhwm, options.send_queue);
    socket.set(zmq::sockopt::rcvhwm, options.receive_queue);
    socket.set(zmq::sockopt::sndbuf, kSendBuffer);
    socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(options.max_message));
    socket.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
    socket.set(zmq::sockopt::heartbeat_timeout, kHeartbeatTimeoutMs);
    socket.set(zmq::sockopt::heartbeat_ttl, kHeartbeatTimeoutMs);
    socket.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
    socket.set(zmq::sockopt::backlog, kBacklog);
    socket.set(zmq::sockopt::ipv6, v6);
    // Tells who is gone. No hand-over: a peer that claims another's routing id is turned away.
    socket.set(zmq::sockopt::router_mandatory, true);
    socket.bind("tcp://" + host + ":" +
                (options.port == 0 ? std::string("*") : std::to_string(options.port)));
    const std::string endpoint = socket.get(zmq::sockopt::last_endpoint);
    impl.port =
        static_cast<std::uint16_t>(std::stoul(endpoint.substr(endpoint.find_last_of(':') + 1)));
    impl.loop = &loop;
    impl.receive = std::move(receive);
    impl.watch = loop.when_readable(socket.get(zmq::sockopt::fd), [&impl] { impl.drain(); });
    impl.sweep = loop.every(kSweep, [&impl] { impl.drain(); });
    return router;
  } catch (const zmq::error_t& error) {
    return unavailable("cannot listen on " + host + ":" + std::to_string(options.port) + ": " +
                       error.what() + "; is another daemon running?");
  }
}

std::uint16_t Router::port() const { return impl_->port; }
std::uint64_t Router::malformed() const { return impl_->malformed; }

Router::Sent Router::send(const std::string& peer, std::span<const std::byte> message) {
  Sent sent = Sent::kGone;
  try {
    zmq::socket_t& socket = impl_->socket;
    if (!socket.send(zmq::buffer(peer), zmq::send_flags::sndmore | zmq::send_flags::dontwait)) {
      sent = Sent::kFull;
    } else {
      // The pipe has been chosen: the rest of the message goes the same way.
      socket.send(zmq::buffer(message.data(), message.size()), zmq::send_flags::dontwait);
      sent = Sent::kYes;
    }
  } catch (const zmq::error_t&) {
    sent = Sent::kGone;  // EHOSTUNREACH
  }
  impl_->again();
  return sent;
}

}  // namespace nudge
