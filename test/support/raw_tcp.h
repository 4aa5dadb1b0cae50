// A TCP connection without ZeroMQ, for peers that begin to speak it and stop half-way.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace nudge::test {

class RawTcp {
 public:
  explicit RawTcp(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawTcp() {
    if (fd_ >= 0) ::close(fd_);
  }
  RawTcp(RawTcp&& other) noexcept : fd_(other.fd_), connected_(other.connected_) { other.fd_ = -1; }
  RawTcp(const RawTcp&) = delete;
  RawTcp& operator=(const RawTcp&) = delete;

  bool connected() const { return connected_; }
  void send(const std::string& bytes) {
    [[maybe_unused]] const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // As much as the kernel takes at once.
  void send_some(const std::string& bytes) {
    [[maybe_unused]] const auto sent =
        ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  // Breaks off without a word: what was not read on the other side is lost.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(fd_);
    fd_ = -1;
  }
  // What the other side says up to and with `text`; empty: that did not come.
  std::string receive_until(const std::string& text,
                            std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    std::string heard;
    while (std::chrono::steady_clock::now() < end) {
      pollfd item{fd_, POLLIN, 0};
      if (::poll(&item, 1, 10) <= 0) continue;
      char bytes[4096];
      const auto got = ::recv(fd_, bytes, sizeof bytes, 0);
      if (got <= 0) return "";
      heard.append(bytes, static_cast<std::size_t>(got));
      if (heard.find(text) != std::string::npos) return heard;
    }
    return "";
  }
  // Whether the other side closes within `patience`; what it says until then is passed over.
  bool closed_within(std::chrono::milliseconds patience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < end) {
      pollfd item{fd_, POLLIN, 0};
      if (::poll(&item, 1, 50) <= 0) continue;
      char bytes[4096];
      if (::recv(fd_, bytes, sizeof bytes, 0) <= 0) return true;
    }
    return false;
  }

  // What a ZeroMQ DEALER says first (ZMTP 3.0, RFC 23): greeting, then READY.
  static std::string greeting() {
    std::string text("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0", 12);
    text += "NULL";
    text.resize(64, '\0');
    return text;
  }
  static std::string ready() {
    std::string body("\x05READY", 6);
    body += std::string("\x0bSocket-Type\0\0\0\x06", 16) + "DEALER";
    body += std::string("\x08Identity\0\0\0\0", 13);
    return std::string("\x04", 1) + static_cast<char>(body.size()) + body;
  }
  // The header of a long message frame.
  static std::string announce(std::uint64_t size) {
    std::string text("\x02", 1);
    for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(size >> shift);
    return text;
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

}  // namespace nudge::test
