// Any bytes as the list of keys. What is taken writes itself so that it reads the same, and admits
// nobody but its keys.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "src/ports/keyring.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nudge::Keyring;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const nudge::Result<Keyring> keyring = Keyring::decode(text);
  if (!keyring.ok()) return 0;
  const nudge::Result<Keyring> again = Keyring::decode(keyring->encode());
  if (!again.ok() || again->list() != keyring->list()) std::abort();
  for (const Keyring::Entry& entry : keyring->list()) {
    if (!keyring->who_is(entry.use, entry.key)) std::abort();
    nudge::CurveKey other = entry.key;
    other[0] ^= 1;
    const auto who = keyring->who_is(entry.use, other);
    if (who && who->name == entry.name) std::abort();
  }
  return 0;
}
