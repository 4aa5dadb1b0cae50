// A certificate, ready for handshakes: TLS 1.2 and 1.3 with forward secrecy and authenticated
// encryption only, no compression, no renegotiation, nothing asked of the client.
#pragma once

#include <memory>

#include "nudge/status.h"
#include "src/ports/certificate.h"

namespace boost::asio::ssl {
class context;
}

namespace nudge {

// Immutable. Connections that have begun with it keep what they need of it.
class TlsContext {
 public:
  // kInvalidArgument: OpenSSL does not take the certificate or the key.
  static Result<std::shared_ptr<TlsContext>> make(const Certificate& certificate);
  ~TlsContext();

  // For the sessions of src/ports/, and nobody else.
  boost::asio::ssl::context& context() const;

 private:
  TlsContext();
  std::unique_ptr<boost::asio::ssl::context> context_;
};

}  // namespace nudge
