// Thrift's compact protocol, as far as Parquet's footers and page headers need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"

namespace nudge {

// Wire types of the compact protocol.
enum class ThriftType : std::uint8_t {
  kStop = 0,
  kTrue = 1,
  kFalse = 2,
  kByte = 3,
  kI16 = 4,
  kI32 = 5,
  kI64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
};

// Appends to a string. One thread. Calls must nest as the struct that is written does.
class ThriftWriter {
 public:
  explicit ThriftWriter(std::string& out) : out_(out) {}

  void begin_struct();  // the outermost, or an element of a list
  void end_struct();
  void field_i32(std::int16_t id, std::int32_t value);
  void field_i64(std::int16_t id, std::int64_t value);
  void field_text(std::int16_t id, std::string_view value);
  void field_struct(std::int16_t id);  // then its fields and end_struct()
  void field_list(std::int16_t id, ThriftType element, std::size_t size);  // then its elements
  void element_i32(std::int32_t value);
  void element_text(std::string_view value);

 private:
  void header(std::int16_t id, ThriftType type);
  void varint(std::uint64_t value);

  std::string& out_;
  std::vector<std::int16_t> last_;  // last id written in each open struct
};

// Reads bytes from outside: nothing is believed. One thread. After the first error every call
// fails, so that callers may look once at the end.
class ThriftReader {
 public:
  explicit ThriftReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  // Calls `visit` for each field of the struct at the cursor. It reads the value with one of the
  // functions below, or leaves it with skip(type). False: damaged.
  bool read_struct(const std::function<bool(std::int16_t id, ThriftType type)>& visit);
  // Calls `element` for each element of a list or a set, at most `most`; more are damage.
  bool read_list(std::size_t most, const std::function<bool(ThriftType type)>& element);
  bool read_i64(ThriftType type, std::int64_t& value);  // any width of whole number
  bool read_i32(ThriftType type, std::int32_t& value);  // and within 32 bits
  bool read_text(ThriftType type, std::string& value);
  bool skip(ThriftType type);

  std::size_t position() const { return at_; }

 private:
  static constexpr int kMaxDepth = 32;
  bool varint(std::uint64_t& value);
  bool byte(std::uint8_t& value);

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace nudge
