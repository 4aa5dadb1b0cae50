#include "src/ports/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "src/ports/addresses.h"
#include "src/ports/certificate.h"
#include "src/ports/descriptor.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxAnswer = 1u << 20;

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* it) const {
    Free(it);
  }
};

Result<Descriptor> connect_to(const LocalDoor& door, Duration patience) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, door.address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(door.port);
    std::memcpy(&storage, &v4, size = sizeof v4);
  } else if (::inet_pton(AF_INET6, door.address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(door.port);
    std::memcpy(&storage, &v6, size = sizeof v6);
  } else {
    return invalid_argument("'" + door.address + "' is not an IP address");
  }
  Descriptor socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto microseconds = patience / std::chrono::microseconds(1);
  const timeval limit{.tv_sec = microseconds / 1'000'000, .tv_usec = microseconds % 1'000'000};
  if (socket.get() < 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
    return unavailable("nobody answers at " + in_url(door.address) + ":" +
                       std::to_string(door.port) + ": " + std::strerror(errno));
  }
  return socket;
}

// OpenSSL writes to its socket as to a file: a daemon that goes away would end the program without
// a word. Keeps the signal from this thread, and takes away the one that came meanwhile.
class NoBrokenPipe {
 public:
  NoBrokenPipe() {
    sigset_t pending;
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~NoBrokenPipe() {
    const timespec at_once{};
    while (!was_pending_ && sigtimedwait(&set_, nullptr, &at_once) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoBrokenPipe(const NoBrokenPipe&) = delete;
  NoBrokenPipe& operator=(const NoBrokenPipe&) = delete;

 private:
  sigset_t set_{}, before_{};
  bool was_pending_ = false;
};

// In clear or over TLS.
class Line {
 public:
  Line(Descriptor socket, const LocalDoor& door) : socket_(std::move(socket)), door_(door) {}

  Status open() {
    if (door_.fingerprint.empty()) return {};
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (!context_) return unavailable("TLS could not be started");
    // Not who vouches for it is looked at, but whether it is the very one.
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
    tls_.reset(SSL_new(context_.get()));
    if (!tls_ || SSL_set_fd(tls_.get(), socket_.get()) != 1 || SSL_connect(tls_.get()) != 1) {
      ERR_clear_error();
      return unavailable("the daemon does not answer over TLS");
    }
    const std::unique_ptr<X509, Freed<X509_free>> shown(SSL_get1_peer_certificate(tls_.get()));
    std::array<unsigned char, 32> digest{};
    if (!shown || X509_digest(shown.get(), EVP_sha256(), digest.data(), nullptr) != 1 ||
        fingerprint_text(digest) != door_.fingerprint) {
      return permission_denied("another program than the daemon answers at port " +
                               std::to_string(door_.port) + ": its certificate is another one");
    }
    return {};
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent =
          tls_ ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()))
               : static_cast<int>(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // 0: the end, or no more.
  std::size_t receive(std::span<char> to) {
    const auto got = tls_ ? SSL_read(tls_.get(), to.data(), static_cast<int>(to.size()))
                          : static_cast<int>(::recv(socket_.get(), to.data(), to.size(), 0));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

 private:
  Descriptor socket_;
  const LocalDoor& door_;
  std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, Freed<SSL_free>> tls_;
};

}  // namespace

Result<HttpAnswer> call(const LocalDoor& door, const HttpCall& request, Duration patience) {
  Result<Descriptor> socket = connect_to(door, patience);
  if (!socket.ok()) return socket.status();
  const NoBrokenPipe quiet;
  Line line(*std::move(socket), door);
  NUDGE_TRY(line.open());
  std::string text = request.method + " " + request.path +
                     " HTTP/1.1\r\nHost: " + in_url(door.address) + ":" +
                     std::to_string(door.port) + "\r\nConnection: close\r\n";
  if (!request.token.empty()) text += "Authorization: Bearer " + request.token + "\r\n";
  if (request.method != "GET") {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(request.body.size()) +
        "\r\n";
  }
  if (!line.send(text + "\r\n" + request.body)) return unavailable("the daemon went away");

  std::string received;
  std::array<char, 16384> some{};
  while (const std::size_t got = line.receive(some)) {
    received.append(some.data(), got);
    if (received.size() > kMaxAnswer) return data_loss("the daemon's answer is too long");
  }
  const std::size_t head = received.find("\r\n\r\n");
  if (head == std::string::npos || !received.starts_with("HTTP/1.1 ")) {
    return received.empty() ? unavailable("the daemon did not answer")
                            : data_loss("what answers is no daemon of Nudge");
  }
  HttpAnswer answer;
  answer.status = std::atoi(received.c_str() + 9);
  answer.body = received.substr(head + 4);
  return answer;
}

}  // namespace nudge
