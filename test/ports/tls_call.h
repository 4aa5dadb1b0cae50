// One request over TLS to a server of which the certificate is known, by OpenSSL's client.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "src/ports/certificate.h"
#include "src/ports/descriptor.h"

namespace nudge {

struct TlsAnswer {
  std::string fingerprint;  // of the certificate that was shown; empty: no handshake
  int status = 0;           // 0: no answer
  std::string body;
  bool resumable = false;  // a ticket came to resume the session by
};

// Trusts whatever is shown, and says what it was. Ends with the connection.
inline TlsAnswer tls_call(std::uint16_t port, std::string_view request) {
  TlsAnswer answer;
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{60, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context.get()), SSL_free);
  SSL_set_fd(tls.get(), socket.get());
  if (SSL_connect(tls.get()) != 1) {
    ERR_clear_error();
    return answer;
  }
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(tls.get()),
                                                          X509_free);
  std::array<unsigned char, 32> digest{};
  X509_digest(shown.get(), EVP_sha256(), digest.data(), nullptr);
  answer.fingerprint = fingerprint_text(digest);
  const std::string head = "Host: 127.0.0.1:" + std::to_string(port) + "\r\nConnection: close\r\n";
  const std::string text = std::string(request.substr(0, request.find('\n') + 1)) + head +
                           std::string(request.substr(request.find('\n') + 1));
  if (SSL_write(tls.get(), text.data(), static_cast<int>(text.size())) <= 0) return answer;
  std::string received;
  std::array<char, 16384> some{};
  int got = 0;
  while ((got = SSL_read(tls.get(), some.data(), static_cast<int>(some.size()))) > 0) {
    received.append(some.data(), static_cast<std::size_t>(got));
  }
  answer.resumable = SSL_SESSION_is_resumable(SSL_get0_session(tls.get())) == 1;
  if (received.starts_with("HTTP/1.1 ")) answer.status = std::atoi(received.c_str() + 9);
  if (const std::size_t end = received.find("\r\n\r\n"); end != std::string::npos) {
    answer.body = received.substr(end + 4);
  }
  return answer;
}

}  // namespace nudge
