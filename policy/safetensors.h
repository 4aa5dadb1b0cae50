// The safetensors file format: reader that rejects everything the format forbids, and writer.
// Format: https://huggingface.co/docs/safetensors (8-byte little-endian header length, JSON header,
// tensor bytes; contiguous, no gaps, no overlaps).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "nudge/status.h"

namespace nudge {

enum class Dtype { kBool, kU8, kI8, kI16, kU16, kF16, kBF16, kI32, kU32, kF32, kF64, kI64, kU64 };
std::size_t size_of(Dtype dtype);  // bytes per element

// The format's bound on the JSON header, and ours on the number of dimensions (the format has
// none).
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr std::size_t kMaxRank = 32;

// A tensor inside a file's bytes. Valid as long as the SafetensorsFile it came from.
struct TensorView {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;   // row-major; empty: a scalar
  std::span<const std::byte> bytes;  // little-endian; may be unaligned
};

// Immutable after parse(); safe to read from any thread.
class SafetensorsFile {
 public:
  SafetensorsFile() = default;  // an empty file
  // Movable only: a copy's views would point into the original's bytes.
  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  // Takes the bytes it verifies, so that nothing can change between check and use.
  // kDataLoss with the first broken rule; kUnimplemented for a dtype of the format that is not in
  // the list above. The caller bounds the size of the whole file before reading it.
  static Result<SafetensorsFile> parse(std::vector<std::byte> bytes);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;  // moving a vector keeps its buffer, so the views stay valid
  std::map<std::string, std::string> metadata_;
  std::map<std::string, TensorView> tensors_;
};

struct TensorToWrite {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // little-endian, row-major
};

// Equal input gives equal bytes: metadata sorted by key, tensors widest dtype first and then by
// name, the header padded with spaces so that the data is 8-byte aligned. These are the bytes that
// the format's own Rust library writes for the same input.
// kInvalidArgument: bytes do not fit the shape, a negative or overflowing shape, a name that is not
// UTF-8 or is reserved ("__metadata__"), a header over the bound.
Result<std::vector<std::byte>> write_safetensors(
    const std::map<std::string, std::string>& metadata,
    const std::map<std::string, TensorToWrite>& tensors);

}  // namespace nudge
