// Snappy's block format, as Parquet files carry it.
// https://github.com/google/snappy/blob/main/format_description.txt
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "nudge/status.h"

namespace nudge {

// What `bytes` stand for; exactly `size` bytes of it, or kDataLoss. Any thread.
Result<std::string> snappy_decompress(std::span<const std::byte> bytes, std::size_t size);

}  // namespace nudge
