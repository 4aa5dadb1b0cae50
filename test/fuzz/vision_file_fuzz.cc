// Any bytes as a backbone's file. What is accepted is written, and read again as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "policy/vision_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto file = nudge::VisionFile::parse({bytes.begin(), bytes.end()});
  if (!file.ok()) return 0;
  const auto written = file->write();
  if (!written.ok()) return 0;  // an F32 that F16 cannot hold
  const auto again = nudge::VisionFile::parse(*written);
  if (!again.ok() || again->spec != file->spec || again->known != file->known) std::abort();
  if (*again->write() != *written) std::abort();
  return 0;
}
