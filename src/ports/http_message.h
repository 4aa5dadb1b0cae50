// What an HTTP request and its answer are to the rest of the daemon. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "nudge/types.h"

namespace nudge {

// Whose token it is.
struct Caller {
  Actor actor;
  std::string device{};  // that was paired; empty: one of the tokens of the machine
  // Of a token of the machine: how often it had been changed. An older one may be let in while a
  // change is on its way, and is sent away then.
  std::uint64_t era = 0;
};

// HttpRequest::peer of a command, at the local socket; no address is like it.
inline constexpr std::string_view kThisMachine = "this machine";

struct HttpRequest {
  std::string method;                        // "GET"
  std::string path;                          // decoded, without the query: "/api/v1/status"
  std::map<std::string, std::string> query;  // decoded; of a repeated name the first
  std::string if_none_match;                 // empty: none; so the next two
  std::string if_match;
  std::string idempotency_key;
  std::string body;
  std::optional<Actor> actor;  // of the token; none: a path that needs none
  std::string device;          // of the token, as Caller's; so the next
  std::uint64_t era = 0;
  std::string peer;  // address it came from, or kThisMachine
  // More than its caller may send: it is taken for the sake of what ends the robot's motion only.
  bool beyond_rate = false;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  // In the place of `body`: what outlives the server, and is sent without a copy.
  std::string_view lasting{};
  std::string etag;  // quoted; empty: none. The server answers a matching If-None-Match with 304.
  std::string cache_control = "no-store";
  std::string allow;      // of 405: "GET, HEAD"
  std::string location;   // of a redirection; empty: none
  int retry_after_s = 0;  // of 429 and 503; 0: not said
  bool close = false;     // the connection ends behind it
};

inline constexpr const char* kProblemType = "application/problem+json";

// Under whose name a request acts. The lease is bound to a name, and a device's is what its person
// typed. Without a live connection its id stands behind it: no live name ends like that ("#2"), nor
// one of the teleop port ("#t2"). Only of a request with an actor.
Actor actor_of(const HttpRequest& request);

// A strong entity tag, quoted: equal contents have equal ones, others differ.
std::string etag_of(std::string_view content);

// An RFC 9457 answer. `code` is a stable word, as of Status.
HttpResponse problem(int status, std::string_view code, std::string_view detail);

// "Not Found"; "Unknown" of a status that the daemon does not use.
std::string_view reason_phrase(int status);

struct HttpField {
  std::string_view name, value;
};
// What stands in every answer: the page may load nothing from elsewhere, nor be framed.
inline constexpr HttpField kSecurityFields[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Content-Security-Policy",
     "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
     "frame-ancestors 'none'; base-uri 'none'"},
    {"Referrer-Policy", "no-referrer"},
};

// The status line and the fields, up to and with the empty line. Of HEAD as of GET.
std::string response_head(const HttpResponse& response, bool keep_alive);

}  // namespace nudge
