// One WebSocket, from the answer to its upgrade to its end. Inside src/ports/ only.
#pragma once

#include <string>

#include "src/ports/http_core.h"
#include "src/ports/peer_stream.h"

namespace nudge {

struct LiveUpgrade {
  std::string key;             // Sec-WebSocket-Key
  bool name_protocol = false;  // the client offered subprotocols, nudge.v1 among them
  std::string wanted_name;     // unchecked
  Caller caller;
};

// Answers a checked upgrade and serves the live connection. The session is in the core's `sessions`
// before this returns.
void serve_live(HttpCore& core, PeerStream stream, const LiveUpgrade& upgrade);

}  // namespace nudge
