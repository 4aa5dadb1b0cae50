#include "src/ports/http_session.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <utility>

#include "src/loop/clock.h"
#include "src/ports/addresses.h"
#include "src/ports/http_rules.h"
#include "src/ports/live_session.h"
#include "src/ports/peer_stream.h"

namespace nudge {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kChunkBytes = 16u << 10;     // of a body, at a time
constexpr std::size_t kFirstBytes = 1u << 10;      // of a request over TLS
constexpr std::size_t kMaxUnreadBytes = 1u << 20;  // taken from a peer after its answer
constexpr std::size_t kMaxTokenBytes = 512;        // no token that we give is longer
constexpr const char* kIdempotencyKey = "Idempotency-Key";
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

class HttpSession final : public Session, public std::enable_shared_from_this<HttpSession> {
 public:
  // `peer`: the address of the other end; `here`: it is on this machine.
  HttpSession(HttpCore& core, PeerStream::Socket socket, std::string peer, bool here)
      : core_(&core),
        stream_(std::move(socket)),
        timer_(stream_.get_executor()),
        peer_(std::move(peer)),
        here_(here) {}

  void start() {
    // From connecting on, so that nobody gains time by saying nothing.
    if (core_->options.tls == nullptr) {
      set_deadline(core_->options.request_timeout);
      return await_request();
    }
    enter(Phase::kHandshake);
    set_deadline(core_->options.handshake_timeout);
    stream_.socket().async_wait(tcp::socket::wait_read,
                                [self = shared_from_this()](const error_code& error) {
                                  if (self->phase_ != Phase::kHandshake) return;
                                  if (error) return self->end();
                                  self->shake_hands();
                                });
  }

  void drop() override {
    core_ = nullptr;
    end();
  }
  std::optional<Spare> spare() const override {
    if (phase_ == Phase::kLingering) return Spare{0, since_};
    if (phase_ == Phase::kHandling) return std::nullopt;
    return Spare{known_ ? 2 : 1, since_};
  }

 private:
  using Parser = http::request_parser<http::string_body>;
  // Completions look at the phase first: another one may have begun since they were ordered.
  enum class Phase { kHandshake, kIdle, kReading, kHandling, kWriting, kLingering, kEnded };

  void enter(Phase phase) {
    phase_ = phase;
    since_ = SteadyClock::now();
  }

  void set_deadline(Duration delay) {
    timer_.expires_after(delay);
    timer_.async_wait([weak = weak_from_this()](const error_code& error) {
      const std::shared_ptr<HttpSession> self = weak.lock();
      // A deadline that was moved while its completion already waited in the queue is none.
      if (!self || error || self->timer_.expiry() > SteadyClock::now()) return;
      self->on_deadline();
    });
  }

  // A TLS client's first byte says that a handshake begins; a letter is the method of plain HTTP.
  void shake_hands() {
    char first = 0;
    const ssize_t got =
        ::recv(stream_.socket().native_handle(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got != 1) return end();
    if (first >= 'A' && first <= 'Z') {
      set_deadline(core_->options.handshake_timeout);
      return await_request();
    }
    if (!core_->handshakes.take(steady_now())) {
      ++core_->counters.failed_handshakes;
      return end();
    }
    stream_.async_handshake(core_->options.tls->context(),
                            [self = shared_from_this()](const error_code& error) {
                              if (self->phase_ != Phase::kHandshake) return;
                              if (error) {
                                ++self->core_->counters.failed_handshakes;
                                return self->end();
                              }
                              self->set_deadline(self->core_->options.request_timeout);
                              self->await_request();
                            });
  }

  void on_deadline() {
    switch (phase_) {
      case Phase::kHandshake: ++core_->counters.failed_handshakes; return end();
      case Phase::kReading:
        // What has not said anything is not waiting for an answer either.
        if (!parser_->got_some() && buffer_.size() == 0) return end();
        reject(408, "deadline_exceeded", "the request was not complete in time");
        return;
      case Phase::kHandling:
        keep_alive_ = false;
        answer(problem(503, "deadline_exceeded", "the daemon did not answer in time; try again"));
        return;
      case Phase::kIdle:
      case Phase::kWriting:
      case Phase::kLingering:
      case Phase::kEnded: end(); return;
    }
  }

  // Waits without a buffer, so that idle connections cost next to nothing.
  void await_request() {
    enter(Phase::kIdle);
    parser_.reset();
    if (buffer_.size() > 0) return begin_request();
    buffer_.shrink_to_fit();
    if (stream_.is_secure()) {
      // What the socket has need not be a request, and TLS may hold one that it has read already.
      stream_.async_read_some(
          buffer_.prepare(kFirstBytes),
          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
            if (self->phase_ != Phase::kIdle) return;
            if (error) return self->end();
            self->buffer_.commit(bytes);
            self->begin_request();
          });
      return;
    }
    stream_.socket().async_wait(tcp::socket::wait_read,
                                [self = shared_from_this()](const error_code& error) {
                                  if (self->phase_ != Phase::kIdle) return;
                                  if (error) return self->end();
                                  self->begin_request();
                                });
  }

  void begin_request() {
    if (!first_) set_deadline(core_->options.request_timeout);
    phase_ =
        Phase::kReading;  // since when it waits stays: slow senders are no better than silent ones
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(core_->options.max_header_bytes));
    parser_->body_limit(core_->options.max_body_bytes);
    // One byte more than the limit, so that reaching it can be told from fitting.
    buffer_.max_size(std::max(core_->options.max_header_bytes + 1, buffer_.size()));
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](const error_code& error, std::size_t bytes) {
          if (self->phase_ == Phase::kReading) self->on_header(error, bytes);
        });
  }

  void on_header(const error_code& error, std::size_t bytes) {
    if (error) return on_read_error(error);
    // The parser bounds the request line and the fields one by one; the bound is for both.
    if (bytes > core_->options.max_header_bytes) return reject_header();
    const auto& fields = parser_->get();
    // Of a repeated one, we and whoever forwarded it could believe different values.
    bool repeated = fields.count(kIdempotencyKey) > 1;
    for (const http::field name : {http::field::host, http::field::origin,
                                   http::field::authorization, http::field::sec_websocket_key}) {
      repeated = repeated || fields.count(name) > 1;
    }
    if (repeated) {
      return reject(400, "invalid_argument", "a header field that must be there once is repeated");
    }
    if (!is_served_host(core_->hosts, value(http::field::host))) {
      return reject(403, "permission_denied",
                    "this daemon is not served under the name in the request's Host; use " +
                        std::string(core_->options.tls ? "https://" : "http://") +
                        core_->hosts.front());
    }
    const auto raw_target = fields.target();
    std::optional<HttpTarget> target = parse_target({raw_target.data(), raw_target.size()});
    if (!target) return reject(400, "invalid_argument", "the request's target cannot be read");
    if (core_->options.tls && !stream_.is_secure()) {
      return send_to_tls({raw_target.data(), raw_target.size()});
    }
    if (fields.count(http::field::origin) > 0 &&
        !is_served_origin(core_->hosts, value(http::field::origin), stream_.is_secure())) {
      return reject(403, "permission_denied", "pages of other origins may not talk to this daemon");
    }

    request_ = HttpRequest();
    const auto method = fields.method_string();
    request_.method.assign(method.data(), method.size());
    head_only_ = request_.method == "HEAD";
    if (head_only_) request_.method = "GET";
    request_.path = std::move(target->path);
    request_.query = std::move(target->query);
    request_.if_none_match = value(http::field::if_none_match);
    request_.if_match = value(http::field::if_match);
    request_.idempotency_key = value(kIdempotencyKey);
    const bool live = core_->options.live_path.empty() ? asks_for_websocket()
                                                       : request_.path == core_->options.live_path;
    if (live || !is_public(request_.path)) {
      std::optional<Caller> caller = this->caller(live);
      if (!caller) {
        return reject(401, "unauthenticated",
                      "a valid token is needed; open the address that the daemon printed when it "
                      "started");
      }
      request_.actor = std::move(caller->actor);
      request_.device = std::move(caller->device);
      request_.era = caller->era;
      known_ = true;
    }
    request_.peer = peer_;
    // Whose answer it will be that takes room.
    asker_ = peer_;
    if (request_.actor) {
      const int role = static_cast<int>(request_.actor->role);
      asker_ = request_.device.empty() ? "role " + std::to_string(role) : request_.device;
    }
    if (std::optional<HttpResponse> away = turned_away()) return break_off(*std::move(away));
    if (live) return upgrade();
    if (parser_->is_done()) return dispatch();
    read_body();
  }

  void read_body() {
    buffer_.max_size(std::max(kChunkBytes, buffer_.size()));
    const std::string_view expect = value(http::field::expect);
    if (!expect.empty() && parser_->get().version() >= 11 && buffer_.size() == 0) {
      asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                        [self = shared_from_this()](const error_code& error, std::size_t) {
                          if (self->phase_ != Phase::kReading) return;
                          if (error) return self->end();
                          self->continue_body();
                        });
      return;
    }
    continue_body();
  }
  void continue_body() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](const error_code& error, std::size_t) {
                       if (self->phase_ != Phase::kReading) return;
                       if (error) return self->on_read_error(error);
                       self->dispatch();
                     });
  }

  void on_read_error(const error_code& error) {
    if (error == http::error::header_limit) return reject_header();
    if (error == http::error::body_limit) return reject_body();
    if (error == http::error::buffer_overflow) {
      // Within a body, only the size line of a chunk or a trailer can need that much at once.
      return parser_->is_header_done() ? reject_body() : reject_header();
    }
    if (error == http::error::end_of_stream || error == http::error::partial_message) return end();
    const error_code bad_http = http::error::bad_method;
    if (error.category() != bad_http.category()) return end();  // the connection broke
    reject(400, "invalid_argument", "not HTTP/1.1: " + error.message());
  }

  void reject_header() {
    reject(431, "resource_exhausted",
           "the request line and header are longer than " +
               std::to_string(core_->options.max_header_bytes) + " bytes");
  }
  void reject_body() {
    reject(413, "resource_exhausted",
           "the body is longer than " + std::to_string(core_->options.max_body_bytes) + " bytes");
  }

  // Answers a request that broke a rule, and closes: what follows it may be its rest.
  void reject(int status, std::string_view code, std::string_view detail) {
    ++core_->counters.rejected_requests;
    break_off(problem(status, code, detail));
  }
  void break_off(HttpResponse response) {
    error_code ignored;
    stream_.socket().cancel(
        ignored);  // a read may be under way; its completion finds another phase
    keep_alive_ = false;
    answer(std::move(response));
  }

  // Somebody typed the address without its scheme. What came in clear is not acted on.
  void send_to_tls(std::string_view target) {
    ++core_->counters.rejected_requests;
    const auto& fields = parser_->get();
    HttpResponse elsewhere = problem(403, "permission_denied", "this port speaks https:// only");
    if (fields.method() == http::verb::get || fields.method() == http::verb::head) {
      elsewhere.status = 307;
      elsewhere.location = "https://" + std::string(value(http::field::host)) + std::string(target);
    }
    head_only_ = fields.method() == http::verb::head;
    keep_alive_ = false;
    answer(std::move(elsewhere));
  }

  // By its number, or by its name where Beast has no number for it.
  template <typename Name>
  std::string_view value(Name name) const {
    const auto& fields = parser_->get();
    const auto found = fields.find(name);
    if (found == fields.end()) return {};
    const auto text = found->value();
    return {text.data(), text.size()};
  }

  bool is_public(std::string_view path) const noexcept {
    try {
      return core_->handler.is_public(path);
    } catch (...) {
      return false;
    }
  }

  std::optional<HttpResponse> turned_away() noexcept {
    try {
      std::optional<std::uint64_t> bytes;
      if (const auto length = parser_->content_length()) bytes = *length;
      if (parser_->is_done()) bytes = 0;
      return core_->handler.turn_away(request_, bytes);
    } catch (...) {
      return std::nullopt;  // what it would have said, handle() says
    }
  }

  std::optional<Caller> caller(bool live) const {
    const std::string_view authorization = value(http::field::authorization);
    if (authorization.empty() && core_->options.keyless) return core_->caller_of("", here_);
    std::optional<std::string_view> token = bearer_token(authorization);
    if (!token && core_->options.keyless) token = api_key(authorization);
    // Browsers let a page set no other field of a WebSocket's request.
    if (!token && live)
      token = parse_subprotocols(value(http::field::sec_websocket_protocol)).token;
    if (!token || token->empty() || token->size() > kMaxTokenBytes) return std::nullopt;
    return core_->caller_of(*token, here_);
  }

  bool asks_for_websocket() const {
    const auto& fields = parser_->get();
    return request_.method == "GET" && !head_only_ && fields.version() == 11 &&
           http::token_list(fields[http::field::connection]).exists("upgrade") &&
           http::token_list(fields[http::field::upgrade]).exists("websocket");
  }

  void upgrade() {
    const auto& fields = parser_->get();
    const std::string_view key = value(http::field::sec_websocket_key);
    if (!asks_for_websocket() || value(http::field::sec_websocket_version) != "13") {
      return reject(426, "invalid_argument", "this is a WebSocket, version 13");
    }
    // Bytes that came before our answer would be lost; no client may send any (RFC 6455, 4.1).
    if (key.size() != 24 || !parser_->is_done() || buffer_.size() > 0) {
      return reject(400, "invalid_argument", "the WebSocket's opening handshake is malformed");
    }
    const bool offers = fields.count(http::field::sec_websocket_protocol) > 0;
    const Subprotocols subprotocols =
        parse_subprotocols(value(http::field::sec_websocket_protocol));
    if (offers && !subprotocols.nudge_v1) {
      return reject(400, "invalid_argument", "the daemon speaks the subprotocol nudge.v1 only");
    }
    if (!core_->make_room_for_live(request_.actor->role)) {
      return reject(503, "resource_exhausted",
                    "too many live connections; close the page on another screen");
    }
    LiveUpgrade upgrade;
    upgrade.key = key;
    upgrade.name_protocol = offers;
    upgrade.wanted_name = request_.query["name"];
    upgrade.caller = {.actor = *request_.actor, .device = request_.device, .era = request_.era};
    HttpCore& core = *core_;
    core_ = nullptr;
    PeerStream stream = std::move(stream_);
    const std::shared_ptr<HttpSession> self = shared_from_this();
    core.sessions.erase(this);
    leave();
    serve_live(core, std::move(stream), upgrade);
  }

  void dispatch() {
    ++core_->counters.requests;
    request_.body = std::move(parser_->get().body());
    keep_alive_ = parser_->get().keep_alive();
    if_none_match_ = request_.if_none_match;
    enter(Phase::kHandling);
    set_deadline(core_->options.answer_timeout);
    const std::uint64_t number = ++request_number_;
    const auto respond = [weak = weak_from_this(), number](HttpResponse response) {
      if (const std::shared_ptr<HttpSession> self = weak.lock()) {
        self->on_response(number, std::move(response));
      }
    };
    try {
      core_->handler.handle(std::move(request_), respond);
    } catch (...) {
      respond(problem(500, "internal", "the daemon failed on this request; its log says why"));
    }
  }

  void on_response(std::uint64_t number, HttpResponse response) {
    if (phase_ != Phase::kHandling || number != request_number_) return;
    if (response.status == 200 && etag_matches(if_none_match_, response.etag)) {
      response.status = 304;
      response.body.clear();
      response.lasting = {};
    }
    keep_alive_ = keep_alive_ && !response.close;
    answer(std::move(response));
  }

  void answer(HttpResponse response) {
    enter(Phase::kWriting);
    set_deadline(core_->options.idle_timeout);
    if (head_only_ || response.status == 204) {
      head_ = response_head(response, keep_alive_);
      response.body.clear();
      response.lasting = {};
    } else {
      find_room(response);
      head_ = response_head(response, keep_alive_);
    }
    body_ = std::move(response.body);
    const std::string_view content =
        response.lasting.empty() ? std::string_view(body_) : response.lasting;
    const std::array<asio::const_buffer, 2> buffers = {
        asio::buffer(head_), asio::buffer(content.data(), content.size())};
    asio::async_write(stream_, buffers,
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        if (self->phase_ == Phase::kWriting) self->on_written(error);
                      });
  }

  // A peer decides how long an answer stays in memory.
  void find_room(HttpResponse& response) {
    if (response.body.size() <= core_->options.small_answer_bytes) return;
    if (auto place = core_->answers.take(asker_, response.body.size())) {
      place_ = *std::move(place);
      return;
    }
    ++core_->counters.unsent_answers;
    response = problem(503, "resource_exhausted",
                       "too much that was asked for waits to be read; read it, or try again in a "
                       "second");
    response.retry_after_s = 1;
  }

  void on_written(const error_code& error) {
    if (error) return end();
    std::string().swap(body_);
    place_ = {};
    if (!keep_alive_) return linger();
    first_ = false;
    set_deadline(core_->options.idle_timeout);
    await_request();
  }

  // Closing a socket with bytes unread resets it, and a reset may overtake the answer. So what the
  // peer still sends is taken and thrown away for a moment.
  void linger() {
    enter(Phase::kLingering);
    set_deadline(kGoodbyeTimeout);
    if (!stream_.is_secure()) return discard_rest();
    // Ends with the peer's own goodbye, or with the first of what it still sends.
    stream_.async_goodbye([self = shared_from_this()](const error_code&) {
      if (self->phase_ == Phase::kLingering) self->discard_rest();
    });
  }
  void discard_rest() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    discard();
  }
  void discard() {
    stream_.socket().async_read_some(
        asio::buffer(discarded_),
        [self = shared_from_this()](const error_code& error, std::size_t bytes) {
          if (self->phase_ != Phase::kLingering) return;
          self->unread_ += bytes;
          if (error || self->unread_ > kMaxUnreadBytes) return self->end();
          self->discard();
        });
  }

  // The stream belongs to another from here on.
  void leave() {
    enter(Phase::kEnded);
    timer_.cancel();
  }

  void end() {
    if (phase_ == Phase::kEnded) return;
    leave();
    error_code ignored;
    stream_.socket().close(ignored);
    if (core_ == nullptr) return;
    const std::shared_ptr<HttpSession> self = shared_from_this();
    std::exchange(core_, nullptr)->sessions.erase(this);
  }

  HttpCore* core_;  // null once the session has ended
  PeerStream stream_;
  asio::steady_timer timer_;
  std::string peer_;  // address of the other end
  bool here_;         // the other end is on this machine
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  Phase phase_ = Phase::kIdle;
  SteadyClock::time_point since_ = SteadyClock::now();
  bool first_ = true;       // no request has been answered yet
  bool known_ = false;      // has shown a valid token
  bool head_only_ = false;  // the request is HEAD
  bool keep_alive_ = false;
  HttpRequest request_;
  std::string if_none_match_;
  std::uint64_t request_number_ = 0;
  std::string asker_;        // the request's device or role, or else its address
  std::string head_, body_;  // of the answer that is being written
  AnswerRoom::Place place_;  // of `body_`
  std::array<char, 1024> discarded_{};
  std::size_t unread_ = 0;
};

void begin(HttpCore& core, PeerStream::Socket socket, std::string peer, bool here) {
  auto session = std::make_shared<HttpSession>(core, std::move(socket), std::move(peer), here);
  core.sessions.emplace(session.get(), session);
  session->start();
}

}  // namespace

void serve_http(HttpCore& core, Descriptor descriptor, bool v6) {
  tcp::socket socket(core.loop.context());
  error_code error;
  socket.assign(v6 ? tcp::v6() : tcp::v4(), descriptor.get(), error);
  if (error) return;
  (void)descriptor.release();
  std::string peer;
  const tcp::endpoint other = socket.remote_endpoint(error);
  if (!error) peer = other.address().to_string();
  const tcp::endpoint own = socket.local_endpoint(error);
  const bool here = !error && is_this_machine(peer, own.address().to_string());
  begin(core, std::move(socket), std::move(peer), here);
}

void serve_local_http(HttpCore& core, Descriptor descriptor) {
  asio::local::stream_protocol::socket socket(core.loop.context());
  error_code error;
  socket.assign(asio::local::stream_protocol(), descriptor.get(), error);
  if (error) return;
  (void)descriptor.release();
  begin(core, std::move(socket), std::string(kThisMachine), true);
}

}  // namespace nudge
