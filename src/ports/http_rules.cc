#include "src/ports/http_rules.h"

#include <algorithm>

#include "src/ports/addresses.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxParameters = 64;
constexpr std::size_t kMaxNameBytes = 64;
constexpr std::size_t kMaxKeyBytes = 64;  // as an id of a message
constexpr std::string_view kNobody = "person";

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_lower(x) == to_lower(y); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// None: a wrong escape, or a control character, escaped or not.
std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (segment == "." || segment == "..") return true;
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return false;
}

bool has_escaped_slash(std::string_view path) {
  for (std::size_t i = 0; i + 2 < path.size(); ++i) {
    if (path[i] == '%' && path[i + 1] == '2' && to_lower(path[i + 2]) == 'f') return true;
  }
  return false;
}

// The code point that `text` begins with, and how many bytes it takes; 0 bytes: not UTF-8.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;
};
CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  std::uint32_t value = lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[bytes] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    return {};
  }
  return {value, bytes};
}

// Controls, and what turns the direction of writing or takes no room: with these a name could look
// like another's.
bool is_printable(std::uint32_t c) {
  return c >= 0x20 && (c < 0x7f || c > 0x9f) && (c < 0x200b || c > 0x200f) &&
         (c < 0x2028 || c > 0x202e) && (c < 0x2060 || c > 0x206f) && c != 0xfeff &&
         (c < 0xfff0 || c > 0xffff) && c < 0xe0000;
}

bool is_presentable(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  bool visible = false;
  while (!name.empty()) {
    const CodePoint c = first_code_point(name);
    if (c.bytes == 0 || !is_printable(c.value)) return false;
    visible = visible || c.value != ' ';
    name.remove_prefix(c.bytes);
  }
  return visible;
}

// Calls `take` with each member of a comma-separated list, until it returns false.
template <typename Take>
void for_each_member(std::string_view list, Take take) {
  while (true) {
    const std::size_t comma = list.find(',');
    if (!take(trim(list.substr(0, comma))) || comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

std::vector<std::string> served_hosts(const std::string& address, std::uint16_t port,
                                      std::span<const std::string> names, bool secure) {
  std::vector<std::string> all = {"127.0.0.1", "localhost", "[::1]"};
  const auto add = [&](const std::string& name) {
    std::string host = in_url(name);
    if (std::find(all.begin(), all.end(), host) == all.end()) all.push_back(std::move(host));
  };
  if (!is_any_address(address)) add(address);
  for (const std::string& name : names) add(name);
  std::vector<std::string> hosts;
  for (const std::string& name : all) {
    hosts.push_back(name + ":" + std::to_string(port));
    if (port == (secure ? 443 : 80)) hosts.push_back(name);
  }
  return hosts;
}

bool is_served_host(std::span<const std::string> hosts, std::string_view host) {
  return std::any_of(hosts.begin(), hosts.end(),
                     [&](const std::string& served) { return equal_ignoring_case(served, host); });
}

bool is_served_origin(std::span<const std::string> hosts, std::string_view origin, bool secure) {
  const std::string_view scheme = secure ? "https://" : "http://";
  return origin.starts_with(scheme) && is_served_host(hosts, origin.substr(scheme.size()));
}

std::optional<HttpTarget> parse_target(std::string_view target) {
  if (!target.starts_with('/')) return std::nullopt;
  const std::size_t mark = target.find('?');
  const std::string_view raw_path = target.substr(0, mark);
  if (has_escaped_slash(raw_path)) return std::nullopt;
  std::optional<std::string> path = decode(raw_path, false);
  if (!path || has_dot_segment(*path)) return std::nullopt;
  HttpTarget parsed;
  parsed.path = *std::move(path);
  std::string_view rest =
      mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  std::size_t parameters = 0;
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view parameter = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (parameter.empty()) continue;
    if (++parameters > kMaxParameters) return std::nullopt;
    const std::size_t equals = parameter.find('=');
    std::optional<std::string> name = decode(parameter.substr(0, equals), true);
    std::optional<std::string> value = equals == std::string_view::npos
                                           ? std::optional<std::string>(std::in_place)
                                           : decode(parameter.substr(equals + 1), true);
    if (!name || !value) return std::nullopt;
    parsed.query.emplace(*std::move(name), *std::move(value));
  }
  return parsed;
}

namespace {

// `scheme` in lower case, with the space behind it.
std::optional<std::string_view> credentials(std::string_view authorization,
                                            std::string_view scheme) {
  authorization = trim(authorization);
  if (authorization.size() <= scheme.size() ||
      !equal_ignoring_case(authorization.substr(0, scheme.size()), scheme)) {
    return std::nullopt;
  }
  return trim(authorization.substr(scheme.size()));
}

}  // namespace

std::optional<std::string_view> bearer_token(std::string_view authorization) {
  return credentials(authorization, "bearer ");
}

std::optional<std::string_view> api_key(std::string_view authorization) {
  return credentials(authorization, "api-key ");
}

Subprotocols parse_subprotocols(std::string_view sec_websocket_protocol) {
  constexpr std::string_view kTokenPrefix = "nudge.token.";
  Subprotocols found;
  for_each_member(sec_websocket_protocol, [&](std::string_view member) {
    if (member == "nudge.v1") found.nudge_v1 = true;
    if (member.starts_with(kTokenPrefix) && !found.token) {
      found.token = member.substr(kTokenPrefix.size());
    }
    return true;
  });
  return found;
}

bool etag_matches(std::string_view if_none_match, std::string_view etag) {
  const auto opaque = [](std::string_view tag) {
    return tag.starts_with("W/") ? tag.substr(2) : tag;
  };
  if (etag.empty()) return false;
  bool matches = false;
  for_each_member(if_none_match, [&](std::string_view member) {
    matches = member == "*" || opaque(member) == opaque(etag);
    return !matches;
  });
  return matches;
}

bool if_match_holds(std::string_view if_match, std::string_view etag) {
  if (if_match.empty()) return true;
  bool matches = false;
  for_each_member(if_match, [&](std::string_view member) {
    matches = member == "*" || (member == etag && !member.starts_with("W/"));
    return !matches;
  });
  return matches;
}

std::optional<std::string_view> idempotency_key(std::string_view field) {
  if (field.size() >= 2 && field.front() == '"' && field.back() == '"') {
    field = field.substr(1, field.size() - 2);
  }
  const bool fits = !field.empty() && field.size() <= kMaxKeyBytes &&
                    std::all_of(field.begin(), field.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') ||
                             std::string_view("_.:-").find(c) != std::string_view::npos;
                    });
  return fits ? std::optional(field) : std::nullopt;
}

std::string marked_name(std::string_view name, std::string_view mark) {
  return std::string(clip_utf8(name, kMaxNameBytes - mark.size())) + std::string(mark);
}

std::string display_name(std::string_view wanted, std::uint64_t connection) {
  const bool fit = is_presentable(wanted) && wanted.find('#') == std::string_view::npos;
  return marked_name(fit ? wanted : kNobody, "#" + std::to_string(connection));
}

std::string presentable(std::string_view wanted, std::string_view otherwise) {
  return std::string(is_presentable(wanted) ? wanted : otherwise);
}

std::string_view clip_utf8(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

}  // namespace nudge
