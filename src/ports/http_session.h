// One connection that speaks HTTP/1.1, until it ends or becomes a live one. Inside src/ports/ only.
#pragma once

#include <memory>

#include "src/ports/descriptor.h"
#include "src/ports/http_core.h"

namespace nudge {

// Serves what comes over `descriptor`, a connected TCP socket. The session is in the core's
// `sessions` before this returns.
void serve_http(HttpCore& core, Descriptor descriptor, bool v6);
// The same for a Unix socket.
void serve_local_http(HttpCore& core, Descriptor descriptor);

}  // namespace nudge
