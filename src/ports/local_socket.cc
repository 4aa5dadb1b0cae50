#include "src/ports/local_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace nudge {
namespace {

Status error_at(const std::string& what, int error) {
  const std::string message = what + ": " + std::strerror(error);
  return error == EACCES || error == EPERM ? permission_denied(message) : unavailable(message);
}

std::string place(const std::string& folder) { return folder + "/" + kLocalSocket; }

Result<Descriptor> open_at(const std::string& folder) {
  Descriptor opened(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (opened.get() < 0) return error_at(folder, errno);
  return opened;
}

// By way of the open folder: the path of a state folder may be longer than a socket's may be, and
// is not looked up twice.
sockaddr_un address_in(const Descriptor& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + kLocalSocket;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Descriptor new_socket(int flags) {
  return Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

// The user at the other end; none: the kernel does not say.
std::optional<uid_t> user_of(const Descriptor& socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  return who.uid;
}

}  // namespace

Result<std::unique_ptr<LocalListener>> LocalListener::listen(EventLoop& loop,
                                                             const std::string& folder,
                                                             Acceptor::Accept accept) {
  Result<Descriptor> opened = open_at(folder);
  if (!opened.ok()) return opened.status();
  struct stat info {};
  if (::fstat(opened->get(), &info) != 0) return error_at(folder, errno);
  const uid_t own = ::geteuid();
  if (info.st_uid != own || (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return permission_denied(
        folder + " must belong to this user and be closed to others (chmod 700 " + folder + ")");
  }
  const sockaddr_un address = address_in(*opened);
  if (::unlinkat(opened->get(), kLocalSocket, 0) != 0 && errno != ENOENT) {
    return error_at(place(folder), errno);
  }
  Descriptor socket = new_socket(SOCK_NONBLOCK);
  // The mode of a socket that is not bound yet is that of its name.
  if (socket.get() < 0 || ::fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    return error_at("cannot listen at " + place(folder), errno);
  }
  std::unique_ptr<LocalListener> listener(new LocalListener(*std::move(opened)));
  listener->acceptor_ = std::make_unique<Acceptor>(
      loop, std::move(socket), [own, accept = std::move(accept)](Descriptor peer) {
        const std::optional<uid_t> user = user_of(peer);
        if (user && (*user == own || *user == 0)) accept(std::move(peer));
      });
  return listener;
}

LocalListener::~LocalListener() { ::unlinkat(folder_.get(), kLocalSocket, 0); }

Result<Descriptor> connect_locally(const std::string& folder, Duration patience) {
  Result<Descriptor> opened = open_at(folder);
  if (!opened.ok()) return opened.status();
  struct stat info {};
  if (::fstat(opened->get(), &info) != 0) return error_at(folder, errno);
  Descriptor socket = new_socket(0);
  const sockaddr_un address = address_in(*opened);
  const auto microseconds = patience / std::chrono::microseconds(1);
  const timeval limit{.tv_sec = microseconds / 1'000'000, .tv_usec = microseconds % 1'000'000};
  if (socket.get() < 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return error_at("no daemon answers at " + place(folder), errno);
  }
  const std::optional<uid_t> user = user_of(socket);
  if (!user || (*user != info.st_uid && *user != ::geteuid())) {
    return permission_denied("another user's program listens at " + place(folder));
  }
  return socket;
}

}  // namespace nudge
