#include "src/ports/openpi_upstream.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <optional>
#include <utility>

namespace nudge {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::seconds kConnectTimeout{5};
// An openpi server computes on the thread that answers pings: this long it may be silent.
constexpr std::chrono::seconds kSilence{120};

struct Place {
  std::string host, port;
};
std::optional<Place> place_of(std::string_view url) {
  constexpr std::string_view kScheme = "ws://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  if (url.ends_with('/')) url.remove_suffix(1);
  const std::size_t colon = url.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  Place place{std::string(url.substr(0, colon)), std::string(url.substr(colon + 1))};
  if (place.host.starts_with('[') && place.host.ends_with(']')) {
    place.host = place.host.substr(1, place.host.size() - 2);
  }
  const bool digits = !place.port.empty() && place.port.size() <= 5 &&
                      place.port.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || place.host.empty() || place.host.find_first_of("/@ ") != std::string::npos) {
    return std::nullopt;
  }
  return place;
}

}  // namespace

// One connection after the other, each with a stream of its own. A read is always under way: it
// sees the server go, and answers its pings.
struct OpenpiUpstream::Impl : std::enable_shared_from_this<OpenpiUpstream::Impl> {
  using Stream = websocket::stream<beast::tcp_stream, false>;
  struct Connection {
    explicit Connection(asio::io_context& context) : resolver(context), stream(context) {}
    tcp::resolver resolver;
    Stream stream;
    beast::flat_buffer buffer;
    std::string request;
    bool greeted = false;
    bool asked = false;
  };
  using Shared = std::shared_ptr<Connection>;

  Impl(EventLoop& on, OpenpiUpstreamOptions with, Place at, Listener& told)
      : loop(on), options(std::move(with)), place(std::move(at)), listener(&told) {}

  // Whether what completes belongs to the connection in use; all others have been given up.
  bool current(const Shared& one) const { return connection == one && listener != nullptr; }

  void connect() {
    connection = std::make_shared<Connection>(loop.context());
    const Shared one = connection;
    one->resolver.async_resolve(place.host, place.port,
                                [self = shared_from_this(), one](
                                    const error_code& error, tcp::resolver::results_type found) {
                                  if (!self->current(one)) return;
                                  if (error)
                                    return self->lose("its name is not known: " + error.message());
                                  one->stream.next_layer().expires_after(kConnectTimeout);
                                  one->stream.next_layer().async_connect(
                                      found,
                                      [self, one](const error_code& failed, const tcp::endpoint&) {
                                        if (!self->current(one)) return;
                                        if (failed) return self->lose(failed.message());
                                        self->shake_hands(one);
                                      });
                                });
  }

  void shake_hands(const Shared& one) {
    error_code ignored;
    one->stream.next_layer().socket().set_option(tcp::no_delay(true), ignored);
    one->stream.next_layer().expires_never();
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
    one->stream.auto_fragment(false);
    one->stream.binary(true);
    one->stream.async_handshake(place.host + ":" + place.port, "/",
                                [self = shared_from_this(), one](const error_code& error) {
                                  if (!self->current(one)) return;
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
    error_code ignored;
    lost->stream.next_layer().socket().close(ignored);
    retry = loop.after(options.retry, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->connect();
    });
    listener->on_upstream_lost(why);
  }

  EventLoop& loop;
  OpenpiUpstreamOptions options;
  Place place;
  Listener* listener;  // null: the owner has gone
  Shared connection;   // null between two tries
  std::string said;    // the server's last complaint
  std::shared_ptr<void> retry;
};

OpenpiUpstream::OpenpiUpstream() = default;

OpenpiUpstream::~OpenpiUpstream() {
  impl_->listener = nullptr;
  impl_->retry.reset();
  if (impl_->connection == nullptr) return;
  error_code ignored;
  impl_->connection->resolver.cancel();
  impl_->connection->stream.next_layer().socket().close(ignored);
}

Result<std::unique_ptr<OpenpiUpstream>> OpenpiUpstream::make(EventLoop& loop,
                                                             const OpenpiUpstreamOptions& options,
                                                             Listener& listener) {
  std::optional<Place> place = place_of(options.url);
  if (!place) {
    return invalid_argument("openpi.upstream: '" + options.url +
                            "' is no address of an openpi server; write ws://HOST:PORT");
  }
  std::unique_ptr<OpenpiUpstream> upstream(new OpenpiUpstream());
  upstream->impl_ = std::make_shared<Impl>(loop, options, *std::move(place), listener);
  upstream->impl_->retry = loop.after(Duration::zero(), [weak = std::weak_ptr(upstream->impl_)] {
    if (const auto self = weak.lock()) self->connect();
  });
  return upstream;
}

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
