#include "src/ports/openpi_upstream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cctype>
#include <memory>
#include <optional>
#include <utility>

#include "src/ports/addresses.h"
#include "src/ports/certificate.h"
#include "src/ports/peer_stream.h"

namespace nudge {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;

// From looking up its name to the frame that it begins with.
constexpr std::chrono::seconds kConnectTimeout{10};
// An openpi server computes on the thread that answers pings: this long it may be silent.
constexpr std::chrono::seconds kSilence{120};
// A client's messages are masked, which copies them: two raw pictures at once, rather than by
// pages.
constexpr std::size_t kWriteBuffer = 512u << 10;
constexpr std::size_t kMaxHost = 253;
constexpr std::size_t kMaxPath = 1024;

struct Place {
  bool secure = false;
  std::string host, port, path;
  bool is_address = false;  // of IP

  // As URLs and HTTP have it.
  std::string authority() const {
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
  }
};
std::optional<Place> place_of(std::string_view url) {
  Place place;
  place.secure = url.starts_with("wss://");
  if (!place.secure && !url.starts_with("ws://")) return std::nullopt;
  url.remove_prefix(url.find("//") + 2);
  const std::size_t slash = std::min(url.find('/'), url.size());
  place.path = slash == url.size() ? "/" : std::string(url.substr(slash));
  url = url.substr(0, slash);
  const std::size_t colon = url.rfind(':');
  const bool names_port = colon != std::string_view::npos && !url.substr(colon).ends_with(']');
  if (!names_port && !place.secure) return std::nullopt;
  place.port = names_port ? std::string(url.substr(colon + 1)) : "443";
  place.host = std::string(names_port ? url.substr(0, colon) : url);
  if (place.host.starts_with('[') && place.host.ends_with(']')) {
    place.host = place.host.substr(1, place.host.size() - 2);
  }
  const bool digits = !place.port.empty() && place.port.size() <= 5 &&
                      place.port.find_first_not_of("0123456789") == std::string::npos;
  const auto printable = [](std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
  };
  if (!digits || std::stoul(place.port) - 1 >= 65535 || place.host.empty() ||
      place.host.size() > kMaxHost || place.host.find_first_of("@?#[]") != std::string::npos ||
      !printable(place.host) || place.path.size() > kMaxPath || !printable(place.path) ||
      (place.secure && place.host.find('%') != std::string::npos)) {
    return std::nullopt;
  }
  error_code no_address;
  asio::ip::make_address(place.host, no_address);
  place.is_address = !no_address;
  return place;
}

bool is_fingerprint(std::string_view text) {
  if (text.size() != 3 * 32 - 1) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (i % 3 == 2 ? c != ':' : std::isxdigit(c) == 0) return false;
  }
  return true;
}

std::string fingerprint_of(SSL* tls) {
  X509* const shown = SSL_get0_peer_certificate(tls);
  std::array<unsigned char, 32> digest{};
  if (shown == nullptr || X509_digest(shown, EVP_sha256(), digest.data(), nullptr) != 1) return "";
  return fingerprint_text(digest);
}

// Why a certificate is not believed, and what to do.
std::string distrust(long reason, const std::string& host) {
  switch (reason) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return "its certificate has expired; it needs another one";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "its certificate is not valid yet; is the clock of this machine right?";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "its certificate is not for '" + host +
             "'; write the name in openpi.upstream that it is for";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "nobody whom this machine trusts vouches for its certificate; name who does in "
             "openpi.upstream_ca, or the certificate itself in openpi.upstream_fingerprint";
    default:
      return std::string("its certificate is not believed: ") +
             X509_verify_cert_error_string(reason);
  }
}

}  // namespace

// One connection after the other, each with a stream of its own. A read is always under way: it
// sees the server go, and answers its pings.
struct OpenpiUpstream::Impl : std::enable_shared_from_this<OpenpiUpstream::Impl> {
  using Stream = websocket::stream<PeerStream, false>;
  struct Connection {
    explicit Connection(asio::io_context& context)
        : resolver(context), dialing(context), stream(PeerStream(PeerStream::Socket(context))) {}
    void close() {
      error_code ignored;
      resolver.cancel();
      patience.reset();
      dialing.close(ignored);
      stream.next_layer().socket().close(ignored);
    }

    tcp::resolver resolver;
    tcp::socket dialing;  // becomes the stream's when it is connected
    Stream stream;
    beast::flat_buffer buffer;
    std::string request;
    bool greeted = false;
    bool asked = false;
    std::shared_ptr<void> patience;  // until it is greeted
  };
  using Shared = std::shared_ptr<Connection>;

  Impl(EventLoop& on, OpenpiUpstreamOptions with, Place at, Listener& told)
      : loop(on), options(std::move(with)), place(std::move(at)), listener(&told) {}

  // Whom it trusts. kInvalidArgument: the file holds nobody.
  Status prepare_tls() {
    if (!place.secure) {
      for (const auto& [key, text] :
           {std::pair("fingerprint", options.fingerprint), std::pair("ca", options.authorities)}) {
        if (text.empty()) continue;
        return invalid_argument("openpi.upstream_" + std::string(key) +
                                " is set, and a server at " +
                                "ws:// shows no certificate; write wss:// in openpi.upstream");
      }
      return {};
    }
    tls = std::make_unique<ssl::context>(ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
    if (!options.fingerprint.empty()) {
      if (!is_fingerprint(options.fingerprint)) {
        return invalid_argument("openpi.upstream_fingerprint: '" + options.fingerprint +
                                "' is no SHA-256 of a certificate; write 32 bytes as in AB:CD:...");
      }
      for (char& c : options.fingerprint) {
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      }
      // Not who vouches for it is looked at, but whether it is the very one, behind the handshake.
      tls->set_verify_mode(ssl::verify_none);
      return {};
    }
    tls->set_verify_mode(ssl::verify_peer);
    error_code error;
    if (options.authorities.empty()) {
      tls->set_default_verify_paths(error);
    } else {
      tls->load_verify_file(options.authorities, error);
    }
    ERR_clear_error();
    if (!error) return {};
    return invalid_argument("openpi.upstream_ca: " + options.authorities +
                            " is no PEM file with certificates: " + error.message());
  }

  // Whether what completes belongs to the connection in use; all others have been given up.
  bool current(const Shared& one) const { return connection == one && listener != nullptr; }

  void connect() {
    connection = std::make_shared<Connection>(loop.context());
    const Shared one = connection;
    one->patience =
        loop.after(kConnectTimeout, [weak = weak_from_this(), late = std::weak_ptr(one)] {
          const auto self = weak.lock();
          const Shared of = late.lock();
          if (self != nullptr && of != nullptr && self->current(of)) {
            self->lose("it has not greeted within 10 s; is it an openpi server, and over " +
                       std::string(self->place.secure ? "wss" : "ws") + "?");
          }
        });
    one->resolver.async_resolve(
        place.host, place.port,
        [self = shared_from_this(), one](const error_code& error,
                                         const tcp::resolver::results_type& found) {
          if (!self->current(one)) return;
          if (error) return self->lose("its name is not known: " + error.message());
          asio::async_connect(one->dialing, found,
                              [self, one](const error_code& failed, const tcp::endpoint&) {
                                if (!self->current(one)) return;
                                if (failed) return self->lose(failed.message());
                                self->secure(one);
                              });
        });
  }

  void secure(const Shared& one) {
    error_code ignored;
    one->dialing.set_option(tcp::no_delay(true), ignored);
    one->stream.next_layer() = PeerStream(std::move(one->dialing));
    if (tls == nullptr) return shake_hands(one);
    bool named = false;
    const auto prepare = [this, &named](SSL* stream) {
      if (place.is_address) {
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream), place.host.c_str()) == 1;
        return;
      }
      named = SSL_set1_host(stream, place.host.c_str()) == 1 &&
              SSL_set_tlsext_host_name(stream, place.host.c_str()) == 1;
    };
    one->stream.next_layer().async_handshake_as_client(
        *tls, prepare, [self = shared_from_this(), one](const error_code& error) {
          if (!self->current(one)) return;
          SSL* const shown = one->stream.next_layer().tls();
          if (error) {
            const long reason = SSL_get_verify_result(shown);
            const bool pinned = !self->options.fingerprint.empty();
            return self->lose(pinned || reason == X509_V_OK
                                  ? "it does not speak TLS as it should: " + error.message()
                                  : distrust(reason, self->place.host));
          }
          if (!self->options.fingerprint.empty() &&
              fingerprint_of(shown) != self->options.fingerprint) {
            return self->lose(
                "it shows another certificate than that of "
                "openpi.upstream_fingerprint: " +
                fingerprint_of(shown));
          }
          self->shake_hands(one);
        });
    if (named) return;
    // Any certificate of an authority would do.
    ERR_clear_error();
    lose("no certificate can be checked for '" + place.host + "'");
  }

  void shake_hands(const Shared& one) {
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = kConnectTimeout;
    timeout.idle_timeout = kSilence;
    timeout.keep_alive_pings = true;
    one->stream.set_option(timeout);
    one->stream.set_option(
        websocket::stream_base::decorator([key = options.key](websocket::request_type& request) {
          request.set(http::field::user_agent, "nudge");
          if (!key.empty()) request.set(http::field::authorization, "Api-Key " + key);
        }));
    one->stream.read_message_max(options.max_message);
    one->stream.write_buffer_bytes(kWriteBuffer);
    one->stream.auto_fragment(false);
    one->stream.binary(true);
    const auto answer = std::make_shared<websocket::response_type>();
    one->stream.async_handshake(
        *answer, place.authority(), place.path,
        [self = shared_from_this(), one, answer](const error_code& error) {
          if (!self->current(one)) return;
          if (error == websocket::error::upgrade_declined) {
            const unsigned status = answer->result_int();
            const bool keyless = status == 401 || status == 403;
            return self->lose(
                "it refuses the connection with HTTP " + std::to_string(status) +
                (keyless ? "; is the key in the file of openpi.upstream_key right?" : ""));
          }
          if (error) return self->lose(error.message());
          self->read(one);
        });
  }

  void read(const Shared& one) {
    one->stream.async_read(one->buffer,
                           [self = shared_from_this(), one](const error_code& error, std::size_t) {
                             if (!self->current(one)) return;
                             if (error)
                               return self->lose(self->said.empty() ? error.message() : self->said);
                             std::string bytes = beast::buffers_to_string(one->buffer.data());
                             one->buffer.consume(one->buffer.size());
                             const bool text = one->stream.got_text();
                             self->read(one);
                             self->take(one, std::move(bytes), text);
                           });
  }

  void take(const Shared& one, std::string bytes, bool text) {
    if (!one->greeted && !text) {
      one->greeted = true;
      one->patience.reset();
      said.clear();
      return listener->on_upstream(bytes);
    }
    if (text) {
      // Its last word: what openpi's servers say before they close.
      said = bytes.substr(bytes.size() > 300 ? bytes.size() - 300 : 0);
      if (std::exchange(one->asked, false)) listener->on_answer(unavailable(said));
      return;
    }
    if (std::exchange(one->asked, false)) listener->on_answer(std::move(bytes));
  }

  void lose(const std::string& why) {
    const Shared lost = std::exchange(connection, nullptr);
    lost->close();
    retry = loop.after(options.retry, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->connect();
    });
    listener->on_upstream_lost(why);
  }

  EventLoop& loop;
  OpenpiUpstreamOptions options;
  Place place;
  std::unique_ptr<ssl::context> tls;  // null: in clear
  Listener* listener;                 // null: the owner has gone
  Shared connection;                  // null between two tries
  std::string said;                   // the server's last complaint
  std::shared_ptr<void> retry;
};

OpenpiUpstream::OpenpiUpstream() = default;

OpenpiUpstream::~OpenpiUpstream() {
  impl_->listener = nullptr;
  impl_->retry.reset();
  if (impl_->connection == nullptr) return;
  impl_->connection->close();
}

Result<std::unique_ptr<OpenpiUpstream>> OpenpiUpstream::make(EventLoop& loop,
                                                             const OpenpiUpstreamOptions& options,
                                                             Listener& listener) {
  std::optional<Place> place = place_of(options.url);
  if (!place) {
    return invalid_argument(
        "openpi.upstream is no address of an openpi server; write ws://HOST:PORT or "
        "wss://HOST:PORT");
  }
  const bool here =
      place->host == "localhost" || (place->is_address && is_loopback_address(place->host));
  if (!place->secure && !options.key.empty() && !here) {
    return invalid_argument("openpi.upstream_key would travel to " + place->authority() +
                            " in clear; write wss:// in openpi.upstream");
  }
  std::unique_ptr<OpenpiUpstream> upstream(new OpenpiUpstream());
  upstream->impl_ = std::make_shared<Impl>(loop, options, *std::move(place), listener);
  NUDGE_TRY(upstream->impl_->prepare_tls());
  upstream->impl_->retry = loop.after(Duration::zero(), [weak = std::weak_ptr(upstream->impl_)] {
    if (const auto self = weak.lock()) self->connect();
  });
  return upstream;
}

std::string OpenpiUpstream::authority() const { return impl_->place.authority(); }

bool OpenpiUpstream::connected() const {
  return impl_->connection != nullptr && impl_->connection->greeted;
}
bool OpenpiUpstream::busy() const { return connected() && impl_->connection->asked; }

Status OpenpiUpstream::ask(std::string request) {
  if (!connected()) return unavailable("the upstream is not connected");
  if (busy()) return unavailable("the upstream has not answered yet");
  const Impl::Shared one = impl_->connection;
  one->request = std::move(request);
  one->asked = true;
  one->stream.async_write(asio::buffer(one->request),
                          [self = impl_, one](const error_code&, std::size_t) {
                            // The read sees the same trouble, and ends it.
                          });
  return {};
}

}  // namespace nudge
