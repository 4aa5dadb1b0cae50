// What the sessions of one HTTP server share. Inside src/ports/http_*.cc and live_session.cc only.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/ports/answer_room.h"
#include "src/ports/http_server.h"
#include "src/ports/token_bucket.h"

namespace nudge {

// One connection. The core owns it for as long as the session knows the core.
class Session {
 public:
  virtual ~Session() = default;
  // Ends it at once, without a word to the peer. The core has forgotten it already, and may be gone
  // afterwards.
  virtual void drop() = 0;

  // How little is lost with it; of two with the same rank, the one that has waited longer goes.
  struct Spare {
    int rank = 0;  // 0: answered, about to close; 1: never showed a token; 2: did
    std::chrono::steady_clock::time_point since;
  };
  // None: it does not wait for its peer, and may not be dropped for the sake of another.
  virtual std::optional<Spare> spare() const = 0;
};

// A WebSocket; see HttpServer for what these do.
class LiveSession : public Session {
 public:
  virtual bool send(std::string bytes, bool text) = 0;
  virtual void offer(std::uint32_t channel, std::vector<std::uint8_t> bytes) = 0;
  virtual void close(std::uint16_t code, std::string_view reason) = 0;
  virtual Role role() const = 0;
  // When it was last heard of: a message, a ping or a pong.
  virtual Instant heard() const = 0;
};

struct HttpCore {
  EventLoop& loop;
  HttpServerOptions options;
  HttpServer::WhoIs who_is;
  HttpServer::Exempt exempt;
  HttpHandler& handler;
  std::vector<std::string> hosts{};  // served_hosts()
  TokenBucket handshakes{0, {}};
  AnswerRoom answers{0, 0};

  HttpCounters counters{};           // but live and open
  ConnectionId last_connection = 0;  // number of the newest live connection
  std::size_t live_sessions = 0;     // of `sessions`, those that are live and not about to close
  std::unordered_map<const Session*, std::shared_ptr<Session>> sessions{};
  std::unordered_map<ConnectionId, LiveSession*> open{};  // live ones that take messages

  // None: nobody's token.
  std::optional<Caller> caller_of(std::string_view token, bool here) const noexcept;
  // Whether there is room for one more live connection of this role, perhaps in another's place.
  bool make_room_for_live(Role role);
};

// Longest time for saying goodbye: the closing handshake of a WebSocket, or the rest of a request
// whose answer has been sent already.
inline constexpr std::chrono::seconds kGoodbyeTimeout{2};

}  // namespace nudge
