// A connected socket, of TCP with or without TLS or of this machine (Unix), as one stream for Asio
// and Beast: so that sessions are compiled once and read the same either way. Inside
// src/ports/http_session.cc, live_session.* and openpi_upstream.cc only.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/websocket/teardown.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace nudge {

// Movable while nothing is under way.
class PeerStream {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using executor_type = Socket::executor_type;

  explicit PeerStream(Socket socket) : state_(std::make_unique<State>(std::move(socket))) {}

  executor_type get_executor() { return state_->socket.get_executor(); }
  Socket& socket() { return state_->socket; }
  bool is_secure() const { return state_->tls.has_value(); }

  // The server's part of the handshake; from its success on everything travels encrypted.
  template <typename Handler>
  void async_handshake(boost::asio::ssl::context& context, Handler&& handler) {
    state_->tls.emplace(state_->socket, context);
    state_->tls->async_handshake(boost::asio::ssl::stream_base::server,
                                 std::forward<Handler>(handler));
  }
  // The client's part. `prepare` gets the stream of TLS first: what it asks of the server.
  template <typename Prepare, typename Handler>
  void async_handshake_as_client(boost::asio::ssl::context& context, Prepare&& prepare,
                                 Handler&& handler) {
    state_->tls.emplace(state_->socket, context);
    prepare(state_->tls->native_handle());
    state_->tls->async_handshake(boost::asio::ssl::stream_base::client,
                                 std::forward<Handler>(handler));
  }
  // Null: in clear.
  SSL* tls() { return state_->tls ? state_->tls->native_handle() : nullptr; }
  // Tells the peer that nothing follows, and waits for it to say the same.
  template <typename Handler>
  void async_goodbye(Handler&& handler) {
    state_->tls->async_shutdown(std::forward<Handler>(handler));
  }

  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (state_->tls) {
      state_->tls->async_read_some(buffers, std::forward<Handler>(handler));
    } else {
      state_->socket.async_read_some(buffers, std::forward<Handler>(handler));
    }
  }
  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (!state_->tls) {
      state_->socket.async_write_some(buffers, std::forward<Handler>(handler));
    } else if (const std::size_t size = boost::asio::buffer_size(buffers); size > kRecordBytes) {
      state_->tls->async_write_some(buffers, std::forward<Handler>(handler));
    } else {
      // A head and what follows it become one record, and one packet where it fits.
      state_->record.resize(size);
      boost::asio::buffer_copy(boost::asio::buffer(state_->record), buffers);
      state_->tls->async_write_some(boost::asio::buffer(state_->record),
                                    std::forward<Handler>(handler));
    }
  }

 private:
  static constexpr std::size_t kRecordBytes = 16u << 10;  // what one record of TLS can hold

  // In one place that does not move: TLS refers to the socket.
  struct State {
    explicit State(Socket from) : socket(std::move(from)) {}
    Socket socket;
    std::optional<boost::asio::ssl::stream<Socket&>> tls;
    std::vector<char> record;  // being written; there is one write at a time
  };
  std::unique_ptr<State> state_;
};

// What Beast asks of a stream that is not its own: how a WebSocket's connection ends. Its closing
// frames have said that nothing follows, so that TLS need not say it again.
inline void beast_close_socket(PeerStream& stream) {
  boost::system::error_code ignored;
  stream.socket().close(ignored);
}
template <typename Handler>
void async_teardown(boost::beast::role_type role, PeerStream& stream, Handler&& handler) {
  using boost::beast::websocket::async_teardown;
  async_teardown(role, stream.socket(), std::forward<Handler>(handler));
}

}  // namespace nudge
