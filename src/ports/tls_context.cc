#include "src/ports/tls_context.h"

#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>

namespace nudge {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

// Of TLS 1.2; those of 1.3 are all of this kind.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL";

}  // namespace

TlsContext::TlsContext() = default;
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::make(const Certificate& certificate) {
  std::shared_ptr<TlsContext> made(new TlsContext());
  made->context_ = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX* const native = made->context_->native_handle();
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                  SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // No tickets to resume sessions by. TLS 1.3 sends them after the handshake, unasked: to a program
  // that reads in one thread while another writes its first request, over an SSL socket of CPython,
  // which has no lock. Of the connections of websockets' sync client, and so of openpi's, one in
  // three hundred then waited in vain.
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(native, 0);
  // Idle connections give their buffers back.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(native, kCiphers) != 1) {
    return unavailable("this OpenSSL does not know TLS 1.2 with forward secrecy");
  }
  error_code error;
  made->context_->use_certificate_chain(boost::asio::buffer(certificate.chain_pem), error);
  if (!error) {
    made->context_->use_private_key(boost::asio::buffer(certificate.key_pem), ssl::context::pem,
                                    error);
  }
  if (error) return invalid_argument("the certificate cannot be used: " + error.message());
  return made;
}

ssl::context& TlsContext::context() const { return *context_; }

}  // namespace nudge
