// What is decided about a request from its strings alone: which hosts are ours, whose token it
// carries, what it asks for. Inputs are bounded by the size of a request's header.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nudge {

// Values of `Host` that name this server, in lower case: 127.0.0.1, localhost, [::1], the address
// it is bound to and `names` (addresses or DNS names), with the port; with the scheme's own port
// (80, 443) also without it.
std::vector<std::string> served_hosts(const std::string& address, std::uint16_t port,
                                      std::span<const std::string> names = {}, bool secure = false);
bool is_served_host(std::span<const std::string> hosts, std::string_view host);
// "http://" ("https://" when `secure`) and a served host. What a browser sends for a foreign or an
// opaque origin is neither.
bool is_served_origin(std::span<const std::string> hosts, std::string_view origin,
                      bool secure = false);

struct HttpTarget {
  std::string path;
  std::map<std::string, std::string> query;  // of a repeated name the first
};
// Decodes "/path?name=value". None: not in origin form, a wrong escape, control characters, an
// escaped slash, a segment . or .., or more than 64 parameters. Nobody honest sends these.
std::optional<HttpTarget> parse_target(std::string_view target);

// The token of `Authorization: Bearer TOKEN`; none: another scheme, or no token.
std::optional<std::string_view> bearer_token(std::string_view authorization);
// The key of `Authorization: Api-Key KEY`, as openpi's clients write it; likewise.
std::optional<std::string_view> api_key(std::string_view authorization);

struct Subprotocols {
  bool nudge_v1 = false;                  // "nudge.v1" is among them
  std::optional<std::string_view> token;  // of the first "nudge.token.TOKEN"
};
Subprotocols parse_subprotocols(std::string_view sec_websocket_protocol);

// Whether `If-None-Match` names `etag`, by the weak comparison of RFC 9110, 8.8.3.2.
bool etag_matches(std::string_view if_none_match, std::string_view etag);

// Whether `If-Match` lets an act on what has `etag` happen, by the strong comparison (a weak tag
// never matches). Empty: there is no such field, and nothing stands against it.
bool if_match_holds(std::string_view if_match, std::string_view etag);

// The key of `Idempotency-Key`, with or without the quotation marks of a structured string:
// [A-Za-z0-9_.:-]{1,64}. None: it is no such key.
std::optional<std::string_view> idempotency_key(std::string_view field);

// `name`, cut where needed, with `mark` (at most 64 bytes) behind it: at most 64 bytes of UTF-8.
std::string marked_name(std::string_view name, std::string_view mark);

// What others are shown: `wanted` if it is 1 to 64 bytes of UTF-8 that can be printed and has no #,
// else "person", then # and the connection's number. At most 64 bytes; a long name is cut.
std::string display_name(std::string_view wanted, std::uint64_t connection);

// `wanted` if it is 1 to 64 bytes of UTF-8 that can be printed, else `otherwise`.
std::string presentable(std::string_view wanted, std::string_view otherwise);

// The longest beginning of at most `bytes` that does not end within a character of UTF-8.
std::string_view clip_utf8(std::string_view text, std::size_t bytes);

}  // namespace nudge
