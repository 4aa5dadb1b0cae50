#include "src/commands/pairing_text.h"

#include <cstdlib>

#include "src/cli/qr_code.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {

std::string pairing_text(const PairingOffer& offer, bool coloured) {
  std::string text;
  if (!offer.urls.empty()) {
    // Without a picture the address below is enough.
    if (const Result<std::string> picture = qr_code(offer.urls.front(), coloured); picture.ok()) {
      text += *picture;
    }
  }
  text += "Pairing code " + offer.code + ": for one " + std::string(to_string(offer.role)) +
          ", within 10 minutes. Scan the picture, or open\n";
  for (const std::string& url : offer.urls) text += "  " + url + "\n";
  if (!offer.fingerprint.empty()) {
    text +=
        "The browser warns until this robot's authority is installed. SHA-256 of its "
        "certificate:\n  " +
        offer.fingerprint + "\n";
  }
  return text;
}

bool output_is_kept() {
  const char* const journal = std::getenv("JOURNAL_STREAM");  // systemd.exec(5)
  return journal != nullptr && *journal != '\0';
}

}  // namespace nudge
