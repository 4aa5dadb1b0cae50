#include "src/ports/http_client.h"

#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "src/ports/local_socket.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxAnswer = 1u << 20;

bool send_all(const Descriptor& socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

Result<HttpAnswer> call(const std::string& run, const HttpCall& request, Duration patience) {
  const Result<Descriptor> socket = connect_locally(run, patience);
  if (!socket.ok()) return socket.status();
  std::string text =
      request.method + " " + request.path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
  if (request.method != "GET") {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(request.body.size()) +
        "\r\n";
  }
  if (!send_all(*socket, text + "\r\n" + request.body)) return unavailable("the daemon went away");

  std::string received;
  std::array<char, 16384> some{};
  ssize_t got = 0;
  while ((got = ::recv(socket->get(), some.data(), some.size(), 0)) > 0) {
    received.append(some.data(), static_cast<std::size_t>(got));
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
