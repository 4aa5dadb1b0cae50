#include "src/client/dealer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <string_view>
#include <zmq.hpp>

namespace nudge {
namespace {

constexpr int kSendQueue = 4;  // messages
// libzmq 4.3 aborts the process when a connection breaks while its receive queue is full, and a
// heartbeat is due then (zeromq/libzmq issue 4364): whoever was stopped for a second, or stalled,
// must not find it full. Waiting makes nothing fresh: an action's age is judged when it is read.
constexpr int kReceiveQueue = 256;
constexpr int kHeartbeatMs = 250;
constexpr int kHeartbeatTimeoutMs = 1000;
constexpr int kReconnectMs = 50;
constexpr int kReconnectMaxMs = 200;
constexpr int kHandshakeMs = 2000;

// A token must not travel in the clear, nor may an answer come from whoever is in between.
bool is_loopback(const std::string& endpoint) {
  for (const char* beginning : {"tcp://127.0.0.1:", "tcp://[::1]:", "tcp://localhost:"}) {
    if (endpoint.starts_with(beginning)) return true;
  }
  return false;
}

bool is_key(const std::string& text) {
  constexpr std::string_view kZ85 =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
  return text.size() == 40 && text.find_first_not_of(kZ85) == std::string::npos;
}

// Keys in Z85.
struct Pair {
  std::string open, secret;
};

// The file of `nudge auth key make`: a word that names the format, both keys, a newline.
Result<Pair> read_pair(const std::string& path) {
  constexpr std::string_view kPrefix = "nudge-curve-key-1 ";
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) {
    return not_found("the key file '" + path + "' cannot be read; 'nudge auth key make' makes one");
  }
  struct stat about {};
  char bytes[128];
  const bool known = ::fstat(file, &about) == 0 && S_ISREG(about.st_mode);
  const ssize_t size = known ? ::read(file, bytes, sizeof bytes) : -1;
  ::close(file);
  if (known && (about.st_uid != ::geteuid() || (about.st_mode & 077) != 0)) {
    return permission_denied("the key file '" + path +
                             "' must be yours and nobody else's: chmod 600");
  }
  const std::string text(bytes, size < 0 ? 0 : static_cast<std::size_t>(size));
  Pair pair;
  if (text.size() == kPrefix.size() + 40 + 1 + 40 + 1 && text.starts_with(kPrefix)) {
    pair.open = text.substr(kPrefix.size(), 40);
    pair.secret = text.substr(kPrefix.size() + 41, 40);
  }
  if (!is_key(pair.open) || !is_key(pair.secret)) {
    return data_loss("the key file '" + path + "' holds no pair of keys");
  }
  return pair;
}

}  // namespace

struct Dealer::Impl {
  zmq::context_t context{1};
  zmq::socket_t socket{context, zmq::socket_type::dealer};
  zmq::message_t message;
  int descriptor = -1;
};

Dealer::Dealer() : impl_(std::make_unique<Impl>()) {}
Dealer::~Dealer() = default;

Status Dealer::connect(const std::string& endpoint, std::size_t max_message, const Keys& keys) {
  const bool curve = !keys.server.empty() || !keys.file.empty();
  if (!curve && !is_loopback(endpoint)) {
    return invalid_argument("cannot connect to '" + endpoint +
                            "' without keys: only endpoints such as tcp://127.0.0.1:5571 on this "
                            "machine are open to programs without; 'nudge auth key make' makes a "
                            "pair");
  }
  Pair pair;
  if (curve) {
    if (!is_key(keys.server)) {
      return invalid_argument(
          "the daemon's key is not 40 characters of Z85; 'nudge auth key "
          "server' on its machine prints it");
    }
    Result<Pair> read = read_pair(keys.file);
    if (!read.ok()) return read.status();
    pair = *std::move(read);
  }
  try {
    zmq::socket_t& socket = impl_->socket;
    if (curve) {
      socket.set(zmq::sockopt::curve_serverkey, keys.server);
      socket.set(zmq::sockopt::curve_publickey, pair.open);
      socket.set(zmq::sockopt::curve_secretkey, pair.secret);
      socket.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
    }
    socket.set(zmq::sockopt::linger, 0);
    // Without this, what is sent while the daemon is down is delivered when it is back: stale.
    socket.set(zmq::sockopt::immediate, true);
    socket.set(zmq::sockopt::sndhwm, kSendQueue);
    socket.set(zmq::sockopt::rcvhwm, kReceiveQueue);
    socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(max_message));
    socket.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
    socket.set(zmq::sockopt::heartbeat_timeout, kHeartbeatTimeoutMs);
    socket.set(zmq::sockopt::heartbeat_ttl, kHeartbeatTimeoutMs);
    socket.set(zmq::sockopt::reconnect_ivl, kReconnectMs);
    socket.set(zmq::sockopt::reconnect_ivl_max, kReconnectMaxMs);
    socket.set(zmq::sockopt::ipv6, true);
    socket.connect(endpoint);
    impl_->descriptor = socket.get(zmq::sockopt::fd);
    return {};
  } catch (const zmq::error_t& error) {
    return invalid_argument("cannot connect to '" + endpoint + "': " + error.what() +
                            "; an endpoint looks like tcp://127.0.0.1:5571");
  }
}

bool Dealer::send(std::span<const std::byte> message) {
  try {
    return impl_->socket
        .send(zmq::buffer(message.data(), message.size()), zmq::send_flags::dontwait)
        .has_value();
  } catch (const zmq::error_t&) {
    return false;
  }
}

std::optional<std::span<const std::byte>> Dealer::receive() {
  try {
    while (impl_->socket.recv(impl_->message, zmq::recv_flags::dontwait)) {
      if (!impl_->message.more()) {
        return std::span(impl_->message.data<std::byte>(), impl_->message.size());
      }
      // Ours have one part. The rest of this one is dropped with it.
      while (impl_->message.more() &&
             impl_->socket.recv(impl_->message, zmq::recv_flags::dontwait)) {
      }
    }
  } catch (const zmq::error_t&) {
  }
  return std::nullopt;
}

void Dealer::wait(Duration patience) {
  try {
    // The descriptor tells of changes only: what has arrived already must be asked for. ppoll,
    // because zmq_poll counts in milliseconds, and a control period may be one.
    if ((impl_->socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0) return;
    pollfd item{impl_->descriptor, POLLIN, 0};
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(patience);
    const timespec time{static_cast<time_t>(whole.count()),
                        static_cast<long>((patience - whole).count())};
    ::ppoll(&item, 1, &time, nullptr);
  } catch (const zmq::error_t&) {
  }
}

}  // namespace nudge
