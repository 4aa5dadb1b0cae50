// Any bytes as the file of paired devices. What is taken writes itself so that it reads the same,
// and lets nobody in whose secret it does not hold.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "src/ports/devices.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nudge::Result<nudge::Devices> devices = nudge::Devices::decode(text, "kitchen");
  if (!devices.ok()) return 0;
  const std::string written = devices->encode();
  const nudge::Result<nudge::Devices> again = nudge::Devices::decode(written, "kitchen");
  if (!again.ok() || again->encode() != written) std::abort();
  const nudge::WallTime now{std::chrono::hours(1)};
  if (devices->who_is("", now) || devices->who_is(text, now)) std::abort();
  if (devices->refresh(text, now).grant) std::abort();
  devices->expire(now);
  for (const nudge::Device& device : devices->list()) devices->revoke(device.id);
  if (!devices->list().empty()) std::abort();
  return 0;
}
