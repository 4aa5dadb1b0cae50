// One WebSocket, from the answer to its upgrade to its end. Inside src/ports/ only.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>

#include "src/ports/http_core.h"

namespace nudge {

struct LiveUpgrade {
  std::string key;             // Sec-WebSocket-Key
  bool name_protocol = false;  // the client offered subprotocols, nudge.v1 among them
  std::string wanted_name;     // unchecked
  Role role = Role::kViewer;
};

// Answers a checked upgrade and serves the live connection. The session is in the core's `sessions`
// before this returns.
void serve_live(HttpCore& core, boost::asio::ip::tcp::socket socket, const LiveUpgrade& upgrade);

}  // namespace nudge
