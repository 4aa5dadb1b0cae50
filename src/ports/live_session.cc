#include "src/ports/live_session.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <map>
#include <utility>

#include "src/loop/clock.h"
#include "src/ports/http_rules.h"
#include "src/ports/token_bucket.h"

namespace nudge {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

constexpr std::size_t kMaxReasonBytes = 120;
// Waiting text costs its own bytes and this, so that a million empty messages are not free.
constexpr std::size_t kTextOverhead = sizeof(std::string);

// Beast allows one read, one write and one close at a time, of which each may wait for the others.
// A read is always under way, since it is what answers pings and sees the peer go; writes are made
// one by one from what waits.
class BeastLiveSession final : public LiveSession,
                               public std::enable_shared_from_this<BeastLiveSession> {
 public:
  BeastLiveSession(HttpCore& core, PeerStream stream, ConnectionId connection, Caller caller)
      : core_(&core),
        connection_(connection),
        caller_(std::move(caller)),
        stream_(std::move(stream)),
        timer_(stream_.get_executor()),
        bucket_(core.options.messages_per_second, steady_now()) {}

  void start(const LiveUpgrade& upgrade) {
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = kGoodbyeTimeout;
    timeout.idle_timeout = core_->options.live_timeout;
    timeout.keep_alive_pings = true;
    stream_.set_option(timeout);
    stream_.set_option(websocket::stream_base::decorator(
        [name_protocol = upgrade.name_protocol](websocket::response_type& response) {
          for (const HttpField& field : kSecurityFields) {
            response.set(boost::beast::string_view(field.name.data(), field.name.size()),
                         boost::beast::string_view(field.value.data(), field.value.size()));
          }
          response.set(http::field::cache_control, "no-store");
          response.set(http::field::server, "nudge");
          if (name_protocol) response.set(http::field::sec_websocket_protocol, "nudge.v1");
        }));
    stream_.read_message_max(core_->options.max_message_bytes);
    stream_.auto_fragment(false);
    // Pings cost an answer each, so they count as messages. Inside a read nothing may be closed.
    stream_.control_callback([this](websocket::frame_type, boost::beast::string_view) {
      heard_ = steady_now();
      if (state_ != State::kOpen || bucket_.take(heard_) || flooded_) return;
      flooded_ = true;
      core_->loop.post([self = shared_from_this()] { self->close_for_rate(); });
    });
    // The upgrade has been checked; this is what Beast needs of it.
    auto request = std::make_shared<http::request<http::empty_body>>(http::verb::get, "/", 11);
    request->set(http::field::host, core_->hosts.front());
    request->set(http::field::connection, "upgrade");
    request->set(http::field::upgrade, "websocket");
    request->set(http::field::sec_websocket_key, upgrade.key);
    request->set(http::field::sec_websocket_version, "13");
    stream_.async_accept(*request, [self = shared_from_this(), request](const error_code& error) {
      self->on_accepted(error);
    });
  }

  void drop() override {
    HttpCore& core = *std::exchange(core_, nullptr);
    const bool tell = opened_ && !told_;
    told_ = true;
    close_socket();
    if (tell) tell_handler(core.handler);
  }
  std::optional<Spare> spare() const override {
    if (state_ == State::kClosing) return Spare{0, closing_since_};
    return std::nullopt;
  }
  Role role() const override { return caller_.actor.role; }
  Instant heard() const override { return heard_; }

  bool send(std::string bytes, bool text) override {
    const std::size_t cost = bytes.size() + kTextOverhead;
    if (waiting_bytes_ + cost > core_->options.max_waiting_bytes) {
      ++core_->counters.closed_slow;
      texts_.clear();
      close(1013, "does not read what it is sent");
      return false;
    }
    waiting_bytes_ += cost;
    texts_.push_back({std::move(bytes), text});
    write();
    return true;
  }

  void offer(std::uint32_t channel, std::vector<std::uint8_t> bytes) override {
    const auto [place, is_new] = frames_.insert_or_assign(channel, std::move(bytes));
    if (!is_new) ++core_->counters.frames_dropped;
    write();
  }

  void close(std::uint16_t code, std::string_view reason) override {
    if (state_ != State::kOpen) return;
    const std::string_view clipped = clip_utf8(reason, kMaxReasonBytes);
    reason_ = websocket::close_reason(websocket::close_code(code),
                                      boost::beast::string_view(clipped.data(), clipped.size()));
    finish();
    write();
  }

 private:
  enum class State { kAccepting, kOpen, kClosing, kEnded };

  void on_accepted(const error_code& error) {
    if (state_ != State::kAccepting || core_ == nullptr) return;
    if (error) return end();
    state_ = State::kOpen;
    opened_ = true;
    core_->open.emplace(connection_, this);
    read();
    try {
      core_->handler.on_open(connection_, caller_);
    } catch (...) {
      close(1011, "the daemon failed on this connection; its log says why");
    }
  }

  void read() {
    stream_.async_read(buffer_, [self = shared_from_this()](const error_code& error, std::size_t) {
      self->on_read(error);
    });
  }

  void on_read(const error_code& error) {
    if (core_ == nullptr || state_ == State::kEnded) return;
    if (error) {
      if (state_ == State::kOpen && (error == websocket::condition::protocol_violation ||
                                     error == websocket::error::message_too_big)) {
        ++core_->counters.closed_bad;
      }
      finish();
      // Beast has said goodbye, unless we are about to.
      if (!close_sent_) end();
      return;
    }
    heard_ = steady_now();
    if (state_ != State::kOpen) return;  // closing reads what is left
    const bool is_text = stream_.got_text();
    std::string text = boost::beast::buffers_to_string(buffer_.data());
    buffer_.consume(buffer_.size());
    if (is_text == core_->options.binary) {
      ++core_->counters.closed_bad;
      return close(1003, is_text ? "the daemon takes binary messages only"
                                 : "the daemon takes text messages only");
    }
    if (!bucket_.take(heard_) && !is_exempt(text)) return close_for_rate();
    ++core_->counters.messages;
    read();
    try {
      if (is_text) {
        core_->handler.on_text(connection_, text);
      } else {
        core_->handler.on_binary(connection_, std::move(text));
      }
    } catch (...) {
      if (core_ != nullptr) close(1011, "the daemon failed on this message; its log says why");
    }
  }

  bool is_exempt(std::string_view text) const noexcept {
    try {
      return core_->exempt && core_->exempt(text);
    } catch (...) {
      return false;
    }
  }

  void close_for_rate() {
    if (core_ == nullptr || state_ != State::kOpen) return;
    ++core_->counters.closed_rate;
    close(1008, "too many messages a second");
  }

  // Writes the next of what waits, unless a write is under way.
  void write() {
    if (writing_ || close_sent_ || state_ == State::kAccepting || state_ == State::kEnded) return;
    if (!texts_.empty()) {
      text_ = std::move(texts_.front().bytes);
      stream_.text(texts_.front().text);
      texts_.pop_front();
      begin_write(asio::buffer(text_), text_.size() + kTextOverhead);
    } else if (!frames_.empty()) {
      auto next = frames_.upper_bound(last_channel_);
      if (next == frames_.end()) next = frames_.begin();
      last_channel_ = next->first;
      frame_ = std::move(next->second);
      frames_.erase(next);
      stream_.binary(true);
      ++core_->counters.frames_sent;
      begin_write(asio::buffer(frame_), 0);
    } else if (state_ == State::kClosing) {
      close_sent_ = true;
      stream_.async_close(reason_, [self = shared_from_this()](const error_code&) { self->end(); });
    }
  }

  // `cost`: of the text, what it took of the bound on waiting bytes.
  void begin_write(asio::const_buffer bytes, std::size_t cost) {
    writing_ = true;
    stream_.async_write(bytes,
                        [self = shared_from_this(), cost](const error_code& error, std::size_t) {
                          self->waiting_bytes_ -= cost;
                          self->on_written(error);
                        });
  }

  void on_written(const error_code& error) {
    writing_ = false;
    if (core_ == nullptr || state_ == State::kEnded) return;
    if (error) return finish();  // the read sees the same trouble, and ends it
    write();
  }

  // From here on it takes no messages; the handler is told, from outside of its own calls.
  void finish() {
    if (state_ != State::kOpen) return;
    state_ = State::kClosing;
    closing_since_ = std::chrono::steady_clock::now();
    free_place();
    core_->open.erase(connection_);
    core_->counters.frames_dropped += frames_.size();
    frames_.clear();
    timer_.expires_after(kGoodbyeTimeout);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->end();
    });
    core_->loop.post([self = shared_from_this()] {
      if (self->core_ == nullptr || self->told_) return;
      self->told_ = true;
      self->tell_handler(self->core_->handler);
    });
  }

  // What is about to close takes no place from others.
  void free_place() {
    if (std::exchange(counted_, false)) --core_->live_sessions;
  }

  void tell_handler(HttpHandler& handler) const noexcept {
    try {
      handler.on_close(connection_);
    } catch (...) {  // nobody is left to be told
    }
  }

  void end() {
    if (core_ == nullptr || state_ == State::kEnded) return;
    finish();
    free_place();
    close_socket();
    // After the handler has been told: the core must know of whoever has something left to say.
    core_->loop.post([self = shared_from_this()] {
      if (self->core_ == nullptr) return;
      HttpCore& core = *std::exchange(self->core_, nullptr);
      core.sessions.erase(self.get());
    });
  }

  void close_socket() {
    state_ = State::kEnded;
    timer_.cancel();
    texts_.clear();
    frames_.clear();
    error_code ignored;
    stream_.next_layer().socket().close(ignored);
  }

  HttpCore* core_;  // null once the core has forgotten the session
  const ConnectionId connection_;
  const Caller caller_;
  websocket::stream<PeerStream, false> stream_;  // false: cannot compress
  asio::steady_timer timer_;                     // for the goodbye
  TokenBucket bucket_;
  boost::beast::flat_buffer buffer_;
  State state_ = State::kAccepting;
  bool counted_ = true;  // has one of the places for live connections
  Instant heard_ = steady_now();
  std::chrono::steady_clock::time_point closing_since_;
  bool opened_ = false, told_ = false;  // the handler knows of it; of its end
  bool flooded_ = false;
  bool close_sent_ = false;
  websocket::close_reason reason_;

  struct Waiting {
    std::string bytes;
    bool text = true;
  };
  std::deque<Waiting> texts_;
  std::size_t waiting_bytes_ = 0;  // of `texts_` and `text_`, with their overhead
  std::map<std::uint32_t, std::vector<std::uint8_t>> frames_;  // by channel
  std::uint32_t last_channel_ = 0;
  bool writing_ = false;
  std::string text_;                 // being written
  std::vector<std::uint8_t> frame_;  // being written
};

}  // namespace

void serve_live(HttpCore& core, PeerStream stream, const LiveUpgrade& upgrade) {
  const ConnectionId connection = ++core.last_connection;
  Caller caller = upgrade.caller;
  // Others see a device under the name that it was paired with: what it does stays attributable.
  const std::string& name = caller.device.empty() ? upgrade.wanted_name : caller.actor.name;
  caller.actor.name = display_name(name, connection);
  auto session =
      std::make_shared<BeastLiveSession>(core, std::move(stream), connection, std::move(caller));
  core.sessions.emplace(session.get(), session);
  ++core.live_sessions;
  session->start(upgrade);
}

}  // namespace nudge
