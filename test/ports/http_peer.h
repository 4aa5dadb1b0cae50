// A client of HTTP and WebSocket made of plain sockets, so that tests can also break the rules.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace nudge {

struct PeerAnswer {
  int status = 0;                             // 0: the connection ended instead
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;
};

struct PeerFrame {
  int opcode = -1;  // -1: the connection ended instead
  std::string payload;
  // Of a close frame; 0: none.
  int code() const {
    if (opcode != 8 || payload.size() < 2) return 0;
    return static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
  }
};

class Peer {
 public:
  explicit Peer(int receive_bytes = 0) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    // Before connecting, or the window would be chosen without it.
    if (receive_bytes > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    const timeval patience{5, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  explicit Peer(std::uint16_t port, int receive_bytes = 0) : Peer(receive_bytes) { connect(port); }
  Peer(Peer&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}
  ~Peer() { hang_up(); }

  void connect(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    host_ = "127.0.0.1:" + std::to_string(port);
    ASSERT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
  }
  void hang_up() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  // Ends it with a reset in place of a proper end.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    hang_up();
  }

  // False: the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Sends a request; `fields` are whole lines. Host is added unless there is one.
  void request(std::string_view method, std::string_view target, std::string fields = {},
               std::string_view body = {}) {
    if (fields.find("Host:") == std::string::npos) fields += "Host: " + host_ + "\r\n";
    if (!body.empty()) fields += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\n" + fields + "\r\n" +
         std::string(body));
  }

  // The next answer. `head_only`: it has no body, whatever its length says.
  PeerAnswer answer(bool head_only = false) {
    std::size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return {};
    }
    PeerAnswer answer;
    std::string head = received_.substr(0, end + 2);
    received_.erase(0, end + 4);
    answer.status = std::atoi(head.c_str() + 9);
    std::size_t line = head.find("\r\n") + 2;
    while (line < head.size()) {
      const std::size_t next = head.find("\r\n", line);
      const std::size_t colon = head.find(": ", line);
      std::string name = head.substr(line, colon - line);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      answer.fields[name] = head.substr(colon + 2, next - colon - 2);
      line = next + 2;
    }
    const auto length = answer.fields.find("content-length");
    if (!head_only && length != answer.fields.end()) {
      const std::size_t bytes = std::stoul(length->second);
      while (received_.size() < bytes) {
        if (!receive()) return {};
      }
      answer.body = received_.substr(0, bytes);
      received_.erase(0, bytes);
    }
    return answer;
  }

  // Whether the server ends the connection without sending anything more.
  bool ends() { return received_.empty() && !receive() && (errno == 0 || errno == ECONNRESET); }
  // Whether anything can be read, or the end seen, within `milliseconds`.
  bool readable(int milliseconds) {
    pollfd wait{socket_, POLLIN, 0};
    return !received_.empty() || ::poll(&wait, 1, milliseconds) > 0;
  }

  // Asks for the live connection; gives the answer.
  PeerAnswer upgrade(std::string_view target, const std::string& fields) {
    request("GET", target,
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                fields);
    return answer();
  }

  // A frame as a client sends it, masked with zeros.
  static std::string frame(int opcode, std::string_view payload, bool last = true) {
    return frame_head(opcode, payload.size(), last) + std::string(payload);
  }
  static std::string frame_head(int opcode, std::uint64_t size, bool last = true) {
    std::string head(1, static_cast<char>((last ? 0x80 : 0) | opcode));
    const int bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
    head.push_back(static_cast<char>(0x80 | (bytes == 0   ? static_cast<int>(size)
                                             : bytes == 2 ? 126
                                                          : 127)));
    for (int i = bytes - 1; i >= 0; --i) head.push_back(static_cast<char>(size >> (8 * i)));
    return head + std::string(4, '\0');
  }
  bool send_text(std::string_view text) { return send(frame(1, text)); }

  PeerFrame next_frame() {
    PeerFrame frame;
    if (!receive_at_least(2)) return frame;
    std::size_t size = static_cast<unsigned char>(received_[1]), head = 2;
    if (size >= 126) {
      const std::size_t bytes = size == 126 ? 2 : 8;
      if (!receive_at_least(2 + bytes)) return frame;
      size = 0;
      for (std::size_t i = 0; i < bytes; ++i) {
        size = size << 8 | static_cast<unsigned char>(received_[2 + i]);
      }
      head += bytes;
    }
    if (!receive_at_least(head + size)) return frame;
    frame.opcode = received_[0] & 0x0f;
    frame.payload = received_.substr(head, size);
    received_.erase(0, head + size);
    return frame;
  }
  // The next frame that is no ping.
  PeerFrame next_message() {
    PeerFrame frame = next_frame();
    while (frame.opcode == 9) frame = next_frame();
    return frame;
  }
  // Reads until the server closes: the code it closes with, 0 if it just ends.
  int closing_code() {
    while (true) {
      const PeerFrame frame = next_frame();
      if (frame.opcode == 8) return frame.code();
      if (frame.opcode < 0) return 0;
    }
  }

 private:
  bool receive() {
    char bytes[65536];
    errno = 0;
    const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got > 0) received_.append(bytes, static_cast<std::size_t>(got));
    return got > 0;
  }
  bool receive_at_least(std::size_t bytes) {
    while (received_.size() < bytes) {
      if (!receive()) return false;
    }
    return true;
  }

  int socket_;
  std::string host_;
  std::string received_;
};

}  // namespace nudge
