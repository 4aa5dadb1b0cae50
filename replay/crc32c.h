// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected; as in RFC 3720, appendix B.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nudge {

// Of `bytes`, continuing from the checksum of what came before (0 at the start). Uses the SSE4.2
// instruction where the processor has it (asked once, at run time). Any thread.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

// The same by table, on any processor; here so that tests can hold one against the other.
std::uint32_t crc32c_portable(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace nudge
