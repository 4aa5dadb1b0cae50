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

// A tensor inside a file's bytes. Valid as long as the SafetensorsFile it came from.
struct TensorView {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;   // row-major; empty: a scalar
  std::span<const std::byte> bytes;  // little-endian; may be unaligned
};

// Immutable after parse(); safe to read from any thread.
class SafetensorsFile {
 public:
  // Takes the bytes it verifies, so that nothing can change between check and use.
  // kDataLoss with the first broken rule.
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

// Equal input gives equal bytes: metadata and tensors in canonical order.
Result<std::vector<std::byte>> write_safetensors(
    const std::map<std::string, std::string>& metadata,
    const std::map<std::string, TensorToWrite>& tensors);

}  // namespace nudge
