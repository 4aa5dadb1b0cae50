// HTTP and WebSocket on one port (Boost.Beast). Knows tokens, bounds and sessions; what requests
// and messages mean is its handler's. The bounds are those of docs/reference/supervisor-port.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/event_loop.h"
#include "src/ports/http_message.h"
#include "src/ports/tls_context.h"

namespace nudge {

using ConnectionId = std::uint64_t;  // of a live connection; never used twice

// Called on the loop's thread; must not block. What throws is caught: a request is answered with
// 500, a live connection closed with 1011.
class HttpHandler {
 public:
  using Respond = std::function<void(HttpResponse)>;
  virtual ~HttpHandler() = default;
  // Whether the path may be had without a token: health, the page's own files.
  virtual bool is_public(std::string_view path) const = 0;
  // Of a request whose head has been read and whose caller is known, before its body is: none, or
  // the answer that turns it away, behind which the connection ends. `body_bytes`: as the head
  // says; none: it does not. May note `beyond_rate`.
  virtual std::optional<HttpResponse> turn_away(HttpRequest& /*head*/,
                                                std::optional<std::uint64_t> /*body_bytes*/) {
    return std::nullopt;
  }
  // `respond` may be called at once or later, from the loop's thread; a second call, or one after
  // the peer or the server has gone, does nothing. Not called within `answer_timeout`: the peer
  // gets 503. HEAD comes as GET, and its answer is sent without the body.
  virtual void handle(HttpRequest request, Respond respond) = 0;

  // A live connection is open. `caller.actor.name` is that of the paired device, or else the
  // client's `?name=` or "person", followed by # and the connection's number; at most 64 bytes.
  virtual void on_open(ConnectionId connection, const Caller& caller) = 0;
  // A message of a server whose live connections are binary, at most `max_message_bytes`; likewise.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): those who keep it move it.
  virtual void on_binary(ConnectionId /*connection*/, std::string /*bytes*/) {}
  // Valid UTF-8, at most `max_message_bytes`. Never called after close().
  virtual void on_text(ConnectionId connection, const std::string& text) = 0;
  // Once for each on_open, however it ended. Sends for it have had no effect from before this call.
  // Never called from inside send(), offer() or close(), but from the server's destructor.
  virtual void on_close(ConnectionId connection) = 0;
};

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // without TLS only 127.0.0.0/8 and ::1 are accepted
  std::uint16_t port = 8080;          // 0: any that is free
  // All connections speak TLS; what begins as plain HTTP is sent to https://. Null: none does.
  std::shared_ptr<TlsContext> tls;
  std::vector<std::string> names{};    // served besides those of loopback: addresses or DNS names
  std::string setting = "ports.http";  // that names the port, for messages
  std::string live_path = "/api/v1/live";  // empty: every path, of requests that ask for it
  bool binary = false;                     // live connections take binary messages instead of text
  bool keyless = false;  // who_is() is asked about who shows no token, as about an empty one
  std::size_t max_header_bytes = 8u << 10;
  std::size_t max_body_bytes = 64u << 10;
  std::size_t max_message_bytes = 64u << 10;
  std::size_t max_waiting_bytes = 1u << 20;  // of what send() queued for one live connection
  // Answers to requests that wait for their peers, of one caller and of all; beyond, 503. Those of
  // at most `small_answer_bytes` are not counted: there is one a connection.
  std::size_t max_caller_answer_bytes = 24u << 20;
  std::size_t max_answer_bytes = 64u << 20;
  std::size_t small_answer_bytes = 64u << 10;
  std::size_t max_connections = 256;  // of both kinds; beyond, see HttpServer
  std::size_t max_live = 32;          // beyond, see HttpServer
  double messages_per_second = 200;   // of one live connection, pings too; a bucket of one second
  Duration request_timeout = std::chrono::seconds(10);   // from connecting to a whole request
  Duration answer_timeout = std::chrono::seconds(10);    // from a whole request to its answer
  Duration idle_timeout = std::chrono::seconds(30);      // of keep-alive, and of a peer that takes
                                                         // no answer
  Duration handshake_timeout = std::chrono::seconds(5);  // of TLS, from connecting on
  double handshakes_per_second = 100;  // of all; each costs a signature. Beyond: closed unheard
  Duration live_timeout = std::chrono::seconds(6);  // a live peer that is silent for half of it is
                                                    // pinged, for the whole dropped
};

struct HttpCounters {
  std::uint64_t accepted = 0, refused = 0;  // connections; those answered with 503 for want of room
  std::uint64_t evicted = 0;                // those that made room for another, live ones too
  std::uint64_t failed_handshakes = 0;      // of TLS: broken off, too slow, or too many
  std::uint64_t accept_errors = 0;          // descriptors or memory ran out; tried again in 100 ms
  std::uint64_t requests = 0, rejected_requests = 0;  // handed to the handler; broke a rule
  std::uint64_t unsent_answers = 0;                   // for want of room: 503 in their place
  std::uint64_t live = 0, open = 0;                   // connections now: live ones, all
  std::uint64_t messages = 0;                         // handed to the handler
  std::uint64_t closed_slow = 0;                      // did not read (1013)
  std::uint64_t closed_rate = 0;                      // more messages than allowed (1008)
  std::uint64_t closed_bad = 0;  // broke the protocol: 1002, 1003 binary, 1007 UTF-8, 1009 size
  std::uint64_t frames_sent = 0, frames_dropped = 0;  // binary messages
};

// Lives on the loop's thread; create and destroy it there (not inside one of its own callbacks), or
// while the loop does not run.
//
// With `max_connections` open, a new one takes the place of one that waits for its peer: of those
// that never showed a token, the one that has waited longest. So half-open sockets cannot lock
// people out. Where all are live or at work, the new one is answered with 503 and closed.
//
// With `max_live` live ones, a new one takes the place of the one that has been silent longest, if
// that is longer than a ping should take; else a supervisor or an engineer takes that of a viewer
// or a script. Else it is answered with 503.
class HttpServer {
 public:
  // Who a token belongs to; none: nobody. Compares in constant time. `here`: the peer is on this
  // machine.
  using WhoIs = std::function<std::optional<Caller>(std::string_view token, bool here)>;
  // Whether a message is exempt from the rate limit (STOP); looks at bytes, cheap.
  using Exempt = std::function<bool(std::string_view text)>;

  // kUnavailable: the port is taken; the message says what to try. kInvalidArgument: not a loopback
  // address, and no TLS. `handler` must outlive the server.
  static Result<std::unique_ptr<HttpServer>> listen(EventLoop& loop,
                                                    const HttpServerOptions& options, WhoIs who_is,
                                                    Exempt exempt, HttpHandler& handler);
  // For commands of this program's user, at the Unix socket in `folder`, in clear: `who` is whoever
  // comes in there, without a token. Takes no live connections, and has no port. Errors of
  // LocalListener::listen().
  static Result<std::unique_ptr<HttpServer>> listen_locally(EventLoop& loop,
                                                            const std::string& folder, Caller who,
                                                            HttpHandler& handler);
  ~HttpServer();  // drops all connections

  std::uint16_t port() const;
  // Another certificate and other names, for connections that come from now on. Not from none to
  // one, nor back.
  void renew(std::shared_ptr<TlsContext> tls, std::span<const std::string> names);

  // Queues a text message, at most `max_waiting_bytes` with those that wait (each counts 32 bytes
  // more than its text). False: no such connection, or it does not read (and is closed).
  bool send(ConnectionId connection, std::string text);
  // The same for a binary message.
  bool send_binary(ConnectionId connection, std::string bytes);
  // Offers a binary message in the place of one of the same `channel` that has not been sent yet.
  // Text goes first; channels take turns.
  void offer(ConnectionId connection, std::uint32_t channel, std::vector<std::uint8_t> bytes);
  // Closes with a WebSocket code and a reason of at most 120 bytes, once the text that waits has
  // been sent, or after 2 s.
  void close(ConnectionId connection, std::uint16_t code, std::string_view reason);

  HttpCounters counters() const;

 private:
  HttpServer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
