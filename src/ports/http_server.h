// HTTP and WebSocket on one port (Boost.Beast). Knows tokens, bounds and sessions; what requests
// and messages mean is its handler's. The bounds are those of docs/reference/supervisor-port.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/event_loop.h"

namespace nudge {

struct HttpRequest {
  std::string method;                        // "GET"
  std::string path;                          // decoded, without the query: "/api/v1/status"
  std::map<std::string, std::string> query;  // decoded; of a repeated name the first
  std::string if_none_match;                 // empty: none
  std::string body;
  std::optional<Actor> actor;  // of the token; none: no token, or a path that needs none
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string etag;  // quoted; empty: none
  std::string cache_control = "no-store";
};

// An RFC 9457 answer. `code` is a stable word, as of Status.
HttpResponse problem(int status, std::string_view code, std::string_view detail);

using ConnectionId = std::uint64_t;  // of a live connection; never used twice

// Called on the loop's thread; must not block.
class HttpHandler {
 public:
  using Respond = std::function<void(HttpResponse)>;
  virtual ~HttpHandler() = default;
  // Whether the path may be had without a token: health, the page's own files.
  virtual bool is_public(std::string_view path) const = 0;
  // `respond` may be called at once or later, from the loop's thread, once; calling it after the
  // peer has gone does nothing. Not called within 10 s: the peer gets 503.
  virtual void handle(HttpRequest request, Respond respond) = 0;

  // A live connection is open. `actor.name` carries the connection's number.
  virtual void on_open(ConnectionId connection, const Actor& actor) = 0;
  virtual void on_text(ConnectionId connection, const std::string& text) = 0;
  // However it ended. No more sends for it have an effect.
  virtual void on_close(ConnectionId connection) = 0;
};

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // only loopback is accepted; 127.0.0.1 or ::1
  std::uint16_t port = 8080;          // 0: any that is free
  std::string live_path = "/api/v1/live";
  std::size_t max_header_bytes = 8u << 10;
  std::size_t max_body_bytes = 64u << 10;
  std::size_t max_message_bytes = 64u << 10;
  std::size_t max_waiting_bytes = 1u << 20;  // of text for one live connection
  std::size_t max_connections = 256;
  std::size_t max_live = 32;
  double messages_per_second = 200;  // of one live connection, as a token bucket of one second
  Duration request_timeout = std::chrono::seconds(10);  // from connecting to a whole request
  Duration idle_timeout = std::chrono::seconds(30);     // of keep-alive, and pings of live ones
};

struct HttpCounters {
  std::uint64_t accepted = 0, refused = 0;            // connections
  std::uint64_t requests = 0, rejected_requests = 0;  // whole ones; those that broke a rule
  std::uint64_t live = 0, open = 0;                   // now
  std::uint64_t messages = 0, closed_slow = 0, closed_rate = 0, closed_bad = 0;
  std::uint64_t frames_sent = 0, frames_dropped = 0;
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class HttpServer {
 public:
  // Who a token belongs to; none: nobody. Compares in constant time.
  using WhoIs = std::function<std::optional<Actor>(std::string_view token)>;
  // Whether a message is exempt from the rate limit (STOP); looks at bytes, cheap.
  using Exempt = std::function<bool(std::string_view text)>;

  // kUnavailable: the port is taken; the message says by what to try. kInvalidArgument: not a
  // loopback address. `handler` must outlive the server.
  static Result<std::unique_ptr<HttpServer>> listen(EventLoop& loop,
                                                    const HttpServerOptions& options, WhoIs who_is,
                                                    Exempt exempt, HttpHandler& handler);
  ~HttpServer();  // closes all connections

  std::uint16_t port() const;

  // Queues a text message. False: no such connection, or it does not read (and is closed).
  bool send(ConnectionId connection, std::string text);
  // Offers a binary message in the place of one of the same `channel` that has not been sent yet.
  void offer(ConnectionId connection, std::uint32_t channel, std::vector<std::uint8_t> bytes);
  // Closes with a WebSocket code and a reason of at most 120 bytes.
  void close(ConnectionId connection, std::uint16_t code, std::string_view reason);

  HttpCounters counters() const;

 private:
  HttpServer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
