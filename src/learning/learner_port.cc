#include "src/learning/learner_port.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

namespace nudge {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kScheme = "ipc://";
constexpr std::size_t kMaxPath = 100;
// That have connected and said nothing yet; the oldest goes when there is one more.
constexpr std::size_t kMaxNewcomers = 4;
// Of the socket, each way: weights in a few pieces, not in a hundred turns of two processes.
constexpr int kSocketBytes = 1 << 20;
// While a message is arriving: how long for its next piece, and for all of it. A slow peer takes
// more calls instead.
constexpr milliseconds kPieceWait{2}, kMessageWait{20};
constexpr milliseconds kSendPatience{30'000};

Status make_private_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return unavailable("cannot create " + folder.string() + ": " + std::strerror(errno));
  }
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return unavailable(folder.string() + " is not a folder");
  }
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return permission_denied("folder " + folder.string() +
                             " must belong to this user and be closed to others (chmod 700 " +
                             folder.string() + ")");
  }
  return {};
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

void set_buffers(int socket) {
  (void)::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof kSocketBytes);
  (void)::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
}

bool not_yet() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int milliseconds_until(Clock::time_point end) {
  const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, INT32_MAX));
}

// A connection: what arrives, and the one message that is on its way out. Never blocks.
class Stream {
 public:
  Stream(int socket, std::size_t max_body) : socket_(socket), reader_(max_body) {
    set_buffers(socket);
  }
  ~Stream() { ::close(socket_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  enum class Read { kMessage, kNotYet, kOver };
  // Until a message is whole.
  Read read(WireMessage& message) {
    while (true) {
      const std::span<std::byte> room = reader_.room();
      const ssize_t got = ::recv(socket_, room.data(), room.size(), MSG_DONTWAIT);
      if (got < 0 && not_yet()) return Read::kNotYet;
      if (got <= 0) return Read::kOver;
      received_ += static_cast<std::uint64_t>(got);
      broken_ = reader_.took(static_cast<std::size_t>(got));
      if (!broken_.ok()) return Read::kOver;
      if (std::optional<WireMessage> whole = reader_.take()) {
        message = *std::move(whole);
        return Read::kMessage;
      }
    }
  }

  void begin(WireMessage&& message) {
    prefix_ = prefix_of(message);
    out_ = std::move(message);
    sent_ = 0;
    left_ = prefix_.size() + out_.header.size() + out_.body.size();
  }
  // As much as goes. False: the peer is gone.
  bool write() {
    while (left_ > 0) {
      std::array<iovec, 3> parts{};
      std::size_t count = 0, skip = sent_;
      const auto add = [&](std::byte* data, std::size_t size) {
        if (skip < size) parts[count++] = {.iov_base = data + skip, .iov_len = size - skip};
        skip -= std::min(skip, size);
      };
      add(prefix_.data(), prefix_.size());
      add(out_.header.data(), out_.header.size());
      add(out_.body.data(), out_.body.size());
      msghdr header{};
      header.msg_iov = parts.data();
      header.msg_iovlen = count;
      const ssize_t gone = ::sendmsg(socket_, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (gone < 0) return not_yet();
      sent_ += static_cast<std::size_t>(gone);
      left_ -= static_cast<std::size_t>(gone);
    }
    out_ = {};
    return true;
  }
  bool sending() const { return left_ > 0; }
  std::size_t left() const { return left_; }
  LearnerWireReader& reader() { return reader_; }
  std::uint64_t received() const { return received_; }  // bytes, of all time
  const Status& broken() const { return broken_; }      // how the peer broke the framing
  pollfd watched() const {
    return {.fd = socket_,
            .events = static_cast<short>(sending() ? POLLIN | POLLOUT : POLLIN),
            .revents = 0};
  }

 private:
  int socket_;
  LearnerWireReader reader_;
  Status broken_;
  std::uint64_t received_ = 0;
  WirePrefix prefix_{};
  WireMessage out_;
  std::size_t sent_ = 0, left_ = 0;  // bytes of the message on its way out
};

}  // namespace

struct LearnerPort::Impl {
  ~Impl() {
    if (listener >= 0) ::close(listener);
    if (bound) ::unlink(path.c_str());
  }
  void accept_all();
  void wait(int patience_ms) const;
  std::optional<LearnerMessage> heard();
  std::optional<LearnerMessage> hello();

  int listener = -1;
  bool bound = false;
  std::string path;
  std::size_t max_candidate = 0;
  std::unique_ptr<Stream> peer, asking;
  std::vector<std::unique_ptr<Stream>> newcomers;
  std::uint64_t refused = 0;
  Status trouble;
};

LearnerPort::LearnerPort(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LearnerPort::~LearnerPort() = default;

Result<std::unique_ptr<LearnerPort>> LearnerPort::bind(const std::string& socket_path,
                                                       std::size_t max_candidate) {
  if (socket_path.size() > kMaxPath) {
    return invalid_argument("socket path '" + socket_path +
                            "' is longer than the 100 bytes that Unix allows; choose a shorter "
                            "state folder");
  }
  NUDGE_TRY(make_private_folder(std::filesystem::path(socket_path).parent_path()));
  auto impl = std::make_unique<Impl>();
  impl->path = socket_path;
  impl->max_candidate = std::min(max_candidate, kMaxCandidateBytes);
  impl->listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ::unlink(socket_path.c_str());  // of a daemon that was killed; the log's lock says it is gone
  const sockaddr_un address = address_of(socket_path);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  if (impl->listener < 0 || ::bind(impl->listener, name, sizeof address) != 0 ||
      ::listen(impl->listener, kMaxNewcomers) != 0) {
    return unavailable("cannot listen on " + socket_path + ": " + std::strerror(errno));
  }
  impl->bound = true;
  return std::unique_ptr<LearnerPort>(new LearnerPort(std::move(impl)));
}

void LearnerPort::Impl::accept_all() {
  // No more than there is room for in one call, or somebody who connects again and again would
  // hold it up.
  for (std::size_t i = 0; i < kMaxNewcomers; ++i) {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) return;
    if (newcomers.size() == kMaxNewcomers) {
      newcomers.erase(newcomers.begin());
      ++refused;
    }
    newcomers.push_back(std::make_unique<Stream>(socket, 0));
  }
}

void LearnerPort::Impl::wait(int patience_ms) const {
  std::array<pollfd, 2 + kMaxNewcomers> watched{};
  nfds_t count = 0;
  watched[count++] = {.fd = listener, .events = POLLIN, .revents = 0};
  if (peer) watched[count++] = peer->watched();
  for (const auto& newcomer : newcomers) watched[count++] = newcomer->watched();
  (void)::poll(watched.data(), count, patience_ms);
}

// Of the learner.
std::optional<LearnerMessage> LearnerPort::Impl::heard() {
  if (peer && !peer->write()) peer.reset();
  if (!peer) return std::nullopt;
  WireMessage wire;
  const Stream::Read read = peer->read(wire);
  if (read == Stream::Read::kNotYet) return std::nullopt;
  if (read == Stream::Read::kOver) {
    if (!peer->broken().ok()) {
      trouble = peer->broken().with_context("the learner was cut off");
      ++refused;
    }
    peer.reset();
    return std::nullopt;
  }
  Result<LearnerMessage> message = decode_learner_message(std::move(wire));
  if (message.ok() && !std::holds_alternative<LearnerHello>(*message)) return *std::move(message);
  ++refused;
  return std::nullopt;
}

// Of somebody who asks to be let in.
std::optional<LearnerMessage> LearnerPort::Impl::hello() {
  for (auto at = newcomers.begin(); at != newcomers.end();) {
    WireMessage wire;
    const Stream::Read read = (*at)->read(wire);
    if (read == Stream::Read::kNotYet) {
      ++at;
      continue;
    }
    std::unique_ptr<Stream> newcomer = std::move(*at);
    at = newcomers.erase(at);
    if (read == Stream::Read::kMessage) {
      Result<LearnerMessage> message = decode_learner_message(std::move(wire));
      if (message.ok() && std::holds_alternative<LearnerHello>(*message)) {
        asking = std::move(newcomer);
        return *std::move(message);
      }
    }
    ++refused;
  }
  return std::nullopt;
}

std::optional<LearnerMessage> LearnerPort::receive(Duration timeout) {
  turn_away();
  const auto begin = Clock::now();
  const std::uint64_t before = impl_->peer ? impl_->peer->received() : 0;
  while (true) {
    impl_->accept_all();
    if (auto hello = impl_->hello()) return hello;
    if (auto message = impl_->heard()) return message;
    // One that has stopped in the middle is not waited for.
    const bool arriving =
        impl_->peer && impl_->peer->reader().within() && impl_->peer->received() != before;
    const auto now = Clock::now();
    if (now < begin + timeout) {
      impl_->wait(milliseconds_until(begin + timeout));
    } else if (arriving && now < begin + kMessageWait) {
      pollfd piece{.fd = impl_->peer->watched().fd, .events = POLLIN, .revents = 0};
      if (::poll(&piece, 1, static_cast<int>(kPieceWait.count())) <= 0) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
}

void LearnerPort::admit() {
  if (!impl_->asking) return;
  impl_->peer = std::move(impl_->asking);
  impl_->peer->reader().set_max_body(impl_->max_candidate);
}

void LearnerPort::turn_away() {
  if (!impl_->asking) return;
  ++impl_->refused;
  impl_->asking->begin(encode(DaemonMessage(LearnerStop{})));
  (void)impl_->asking->write();
  impl_->asking.reset();
}

bool LearnerPort::can_send() {
  if (impl_->peer && !impl_->peer->write()) impl_->peer.reset();
  return impl_->peer && !impl_->peer->sending();
}

Status LearnerPort::send(DaemonMessage message) {
  if (!impl_->peer) return unavailable("no learner is connected");
  if (can_send()) {
    impl_->peer->begin(encode(std::move(message)));
    if (impl_->peer->write()) return {};
    impl_->peer.reset();
  }
  return unavailable(impl_->peer ? "the learner has not taken the last message yet"
                                 : "the learner is gone");
}

Status LearnerPort::take_trouble() { return std::exchange(impl_->trouble, {}); }
void LearnerPort::hang_up() { impl_->peer.reset(); }
bool LearnerPort::connected() const { return impl_->peer != nullptr; }
std::uint64_t LearnerPort::refused_messages() const { return impl_->refused; }
std::string LearnerPort::endpoint() const { return std::string(kScheme) + impl_->path; }

struct DaemonLink::Impl {
  std::unique_ptr<Stream> stream;  // none: the daemon is gone
};

DaemonLink::DaemonLink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DaemonLink::~DaemonLink() = default;

Result<std::unique_ptr<DaemonLink>> DaemonLink::connect(const std::string& endpoint) {
  const auto failed = [&](const std::string& why) {
    return unavailable("cannot connect to the daemon at " + endpoint + ": " + why);
  };
  if (!endpoint.starts_with(kScheme) || endpoint.size() > kScheme.size() + kMaxPath) {
    return failed("it is no ipc://FILE of at most 100 bytes");
  }
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return failed(std::strerror(errno));
  auto stream = std::make_unique<Stream>(socket, kMaxPageBytes);
  const sockaddr_un address = address_of(endpoint.substr(kScheme.size()));
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed(std::strerror(errno));
  }
  auto impl = std::make_unique<Impl>();
  impl->stream = std::move(stream);
  return std::unique_ptr<DaemonLink>(new DaemonLink(std::move(impl)));
}

std::optional<DaemonMessage> DaemonLink::receive(Duration timeout) {
  const auto end = Clock::now() + timeout;
  while (impl_->stream) {
    WireMessage wire;
    const Stream::Read read = impl_->stream->read(wire);
    if (read == Stream::Read::kOver) impl_->stream.reset();
    if (read == Stream::Read::kMessage) {
      Result<DaemonMessage> message = decode_daemon_message(std::move(wire));
      if (message.ok()) return *std::move(message);
    }
    const int left = milliseconds_until(end);
    if (left == 0 || !impl_->stream) break;
    if (read != Stream::Read::kNotYet) continue;
    pollfd watched = impl_->stream->watched();
    // A signal ends the wait: it may have asked us to stop.
    if (::poll(&watched, 1, left) < 0) break;
  }
  return std::nullopt;
}

Status DaemonLink::send(LearnerMessage message) {
  if (!impl_->stream) return unavailable("the daemon is gone");
  Stream& stream = *impl_->stream;
  stream.begin(encode(std::move(message)));
  auto last = Clock::now();
  std::size_t left = stream.left();
  while (stream.write()) {
    if (!stream.sending()) return {};
    if (std::exchange(left, stream.left()) != left) last = Clock::now();
    const int patience = milliseconds_until(last + kSendPatience);
    if (patience == 0) return unavailable("the daemon takes nothing any more");
    pollfd watched = stream.watched();
    watched.events = POLLOUT;
    (void)::poll(&watched, 1, patience);
  }
  impl_->stream.reset();
  return unavailable("the daemon is gone");
}

bool DaemonLink::open() const { return impl_->stream != nullptr; }

}  // namespace nudge
