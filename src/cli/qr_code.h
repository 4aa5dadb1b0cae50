// A QR code for a terminal.
#pragma once

#include <string>

#include "nudge/status.h"

namespace nudge {

// Two rows of modules to a line, in half blocks, with the quiet zone that readers need. Light is
// drawn and dark is left out; `coloured` sets white on black by itself, and is meant for terminals,
// whose own colours may be the other way round. kInvalidArgument: too much text for a code.
Result<std::string> qr_code(const std::string& text, bool coloured);

}  // namespace nudge
