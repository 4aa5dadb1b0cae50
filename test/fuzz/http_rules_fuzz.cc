// Any text as what a request says of itself: target, Host, Origin, token, subprotocols, entity tag,
// name. Whatever it is, an answer keeps the promises of its function.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "src/ports/http_rules.h"

namespace {

void require(bool held) {
  if (!held) std::abort();
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto target = nudge::parse_target(text)) {
    require(!target->path.empty() && target->path.front() == '/');
    require(!has_control(target->path));
    require((target->path + "/").find("/../") == std::string::npos);
    require(target->query.size() <= 64);
  }
  static const std::vector<std::string> hosts = nudge::served_hosts("127.0.0.1", 8080);
  // Only what is written there counts, in whatever case.
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto listed = [](std::string_view host) {
    return std::find(hosts.begin(), hosts.end(), host) != hosts.end();
  };
  require(nudge::is_served_host(hosts, text) == listed(lower));
  if (nudge::is_served_origin(hosts, text)) {
    require(lower.rfind("http://", 0) == 0 && listed(std::string_view(lower).substr(7)));
  }
  if (const auto token = nudge::bearer_token(text)) require(!token->empty());
  const nudge::Subprotocols offered = nudge::parse_subprotocols(text);
  if (offered.token) require(offered.token->size() <= size);
  (void)nudge::etag_matches(text, "\"abc\"");
  if (nudge::if_match_holds(text, "\"abc\"") && size > 0) {
    require(nudge::etag_matches(text, "\"abc\""));
  }
  if (const auto key = nudge::idempotency_key(text)) {
    require(!key->empty() && key->size() <= 64 && !has_control(*key));
  }
  const std::string name = nudge::display_name(text, 18'446'744'073'709'551'615u);
  require(name.size() <= 64 && !has_control(name));
  for (const std::size_t bytes : {0u, 1u, 2u, 3u, 7u}) {
    require(nudge::clip_utf8(text, bytes).size() <= bytes);
  }
  return 0;
}
