// How to let a device in, for the person at the terminal.
#pragma once

#include <string>

#include "src/ports/device_desk.h"

namespace nudge {

// The code, the addresses with it, the certificate's fingerprint, and a QR code of the first
// address. `coloured`: for a terminal.
std::string pairing_text(const PairingOffer& offer, bool coloured);

// Whether what goes to standard output is kept: a service manager's journal. No secret belongs
// there.
bool output_is_kept();

}  // namespace nudge
