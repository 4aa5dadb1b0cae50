#include "src/learning/learner_port.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <zmq.hpp>
#include <zmq_addon.hpp>

namespace nudge {
namespace {

constexpr int kQueuedMessages = 64;  // per direction; the feed is pulled, so a few suffice
constexpr std::size_t kSmallFrame = 32 * 1024;  // bytes; below it a copy costs less than an owner
// Of the Unix socket, each way: 0.9 MB of weights in a few pieces, not in ten turns of two threads.
constexpr int kSocketBytes = 1 << 20;

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

void set_common_options(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::sndhwm, kQueuedMessages);
  socket.set(zmq::sockopt::rcvhwm, kQueuedMessages);
  socket.set(zmq::sockopt::sndbuf, kSocketBytes);
  socket.set(zmq::sockopt::rcvbuf, kSocketBytes);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(kMaxCandidateBytes));
}

std::optional<Frames> receive_frames(zmq::socket_t& socket, Duration timeout) {
  zmq::pollitem_t item{socket.handle(), 0, ZMQ_POLLIN, 0};
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
  if (zmq::poll(&item, 1, wait) == 0) return std::nullopt;
  std::vector<zmq::message_t> parts;
  if (!zmq::recv_multipart(socket, std::back_inserter(parts), zmq::recv_flags::dontwait)) {
    return std::nullopt;
  }
  Frames frames;
  frames.reserve(parts.size());
  for (const zmq::message_t& part : parts) {
    const auto* begin = part.data<std::byte>();
    frames.emplace_back(begin, begin + part.size());
  }
  return frames;
}

// The frame's own memory travels: a copy of weights costs more than its transport, since each large
// block that is asked for anew has to be faulted in page by page.
zmq::message_t without_copy(Frame&& frame) {
  auto owned = std::make_unique<Frame>(std::move(frame));
  zmq::message_t message(
      owned->data(), owned->size(), [](void*, void* hint) { delete static_cast<Frame*>(hint); },
      owned.get());
  owned.release();
  return message;
}

bool send_frames(zmq::socket_t& socket, Frames&& frames) {
  std::vector<zmq::message_t> parts;
  parts.reserve(frames.size());
  for (Frame& frame : frames) {
    if (frame.size() < kSmallFrame) {
      parts.emplace_back(frame.data(), frame.size());
    } else {
      parts.push_back(without_copy(std::move(frame)));
    }
  }
  return zmq::send_multipart(socket, parts, zmq::send_flags::dontwait).has_value();
}

}  // namespace

struct LearnerPort::Impl {
  zmq::context_t context{1};
  zmq::socket_t socket{context, zmq::socket_type::router};
  std::string path;
  std::optional<Frame> peer;  // routing id of the learner that said hello last
  std::uint64_t refused = 0;
};

LearnerPort::LearnerPort(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LearnerPort::~LearnerPort() { ::unlink(impl_->path.c_str()); }

Result<std::unique_ptr<LearnerPort>> LearnerPort::bind(const std::string& socket_path) {
  if (socket_path.size() > 100) {
    return invalid_argument("socket path '" + socket_path +
                            "' is longer than the 100 bytes that Unix allows; choose a shorter "
                            "state folder");
  }
  NUDGE_TRY(make_private_folder(std::filesystem::path(socket_path).parent_path()));
  try {
    auto impl = std::make_unique<Impl>();
    impl->path = socket_path;
    set_common_options(impl->socket);
    impl->socket.set(zmq::sockopt::router_mandatory, true);
    impl->socket.bind("ipc://" + socket_path);
    return std::unique_ptr<LearnerPort>(new LearnerPort(std::move(impl)));
  } catch (const zmq::error_t& error) {
    return unavailable("cannot listen on " + socket_path + ": " + error.what());
  }
}

std::optional<LearnerMessage> LearnerPort::receive(Duration timeout) {
  try {
    std::optional<Frames> frames = receive_frames(impl_->socket, timeout);
    if (!frames || frames->empty()) return std::nullopt;
    Frame sender = std::move(frames->front());
    frames->erase(frames->begin());
    Result<LearnerMessage> message = decode_learner_message(std::move(*frames));
    if (!message.ok()) {
      ++impl_->refused;
      return std::nullopt;
    }
    if (std::holds_alternative<LearnerHello>(*message)) impl_->peer = sender;
    if (impl_->peer != sender) {  // a former learner that has not died yet
      ++impl_->refused;
      return std::nullopt;
    }
    return *std::move(message);
  } catch (const zmq::error_t&) {
    ++impl_->refused;
    return std::nullopt;
  }
}

Status LearnerPort::send(DaemonMessage message) {
  if (!impl_->peer) return unavailable("no learner is connected");
  try {
    Frames frames = encode(std::move(message));
    frames.insert(frames.begin(), *impl_->peer);
    if (!send_frames(impl_->socket, std::move(frames))) {
      return unavailable("the learner's queue is full");
    }
    return {};
  } catch (const zmq::error_t& error) {
    impl_->peer.reset();
    return unavailable(std::string("the learner is gone: ") + error.what());
  }
}

bool LearnerPort::connected() const { return impl_->peer.has_value(); }
std::uint64_t LearnerPort::refused_messages() const { return impl_->refused; }
std::string LearnerPort::endpoint() const { return "ipc://" + impl_->path; }

struct DaemonLink::Impl {
  zmq::context_t context{1};
  zmq::socket_t socket{context, zmq::socket_type::dealer};
};

DaemonLink::DaemonLink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DaemonLink::~DaemonLink() = default;

Result<std::unique_ptr<DaemonLink>> DaemonLink::connect(const std::string& endpoint) {
  try {
    auto impl = std::make_unique<Impl>();
    set_common_options(impl->socket);
    impl->socket.connect(endpoint);
    return std::unique_ptr<DaemonLink>(new DaemonLink(std::move(impl)));
  } catch (const zmq::error_t& error) {
    return unavailable("cannot connect to the daemon at " + endpoint + ": " + error.what());
  }
}

std::optional<DaemonMessage> DaemonLink::receive(Duration timeout) {
  try {
    std::optional<Frames> frames = receive_frames(impl_->socket, timeout);
    if (!frames) return std::nullopt;
    Result<DaemonMessage> message = decode_daemon_message(std::move(*frames));
    if (!message.ok()) return std::nullopt;
    return *std::move(message);
  } catch (const zmq::error_t&) {
    return std::nullopt;
  }
}

Status DaemonLink::send(LearnerMessage message) {
  try {
    if (!send_frames(impl_->socket, encode(std::move(message)))) {
      return unavailable("the daemon's queue is full");
    }
    return {};
  } catch (const zmq::error_t& error) {
    return unavailable(std::string("the daemon is gone: ") + error.what());
  }
}

}  // namespace nudge
