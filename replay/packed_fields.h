// Reading and writing values one behind the other, from the same lists of fields as json_fields:
// numbers in their own size, little-endian; enums and truth values in a byte; texts behind their
// length (u32); a SHA-256 as its 32 bytes. Names serve messages only, so both ends must have the
// same lists: that is what the protocol's version is for. Private to the codecs of this module.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"

namespace nudge::packed_fields {

static_assert(std::endian::native == std::endian::little, "fields travel as they are in memory");

inline constexpr std::size_t kMaxText = 64u << 10;  // bytes of one string

template <typename T>
concept Number = std::is_same_v<T, std::uint64_t> || std::is_same_v<T, std::uint32_t> ||
    std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>;

// Appends fields to `out`; the first bad value is remembered, and nothing is written behind it.
class Writer {
 public:
  explicit Writer(std::vector<std::byte>& out) : out_(out) {}

  template <typename E>
  requires std::is_enum_v<E>
  void field(const char* name, const E& value, E last) {
    static_assert(sizeof(E) == 1);
    if (value > last) return fail(name, "is out of range");
    put(&value, 1);
  }
  template <Number T>
  void field(const char* name, const T& value) {
    if constexpr (std::is_same_v<T, double>) {
      if (!std::isfinite(value)) return fail(name, "is not finite");
    }
    put(&value, sizeof value);
  }
  void field(const char* /*name*/, const bool& value) {
    const std::uint8_t byte = value ? 1 : 0;
    put(&byte, 1);
  }
  void field(const char* name, const std::string& value, std::size_t most = kMaxText) {
    if (value.size() > most) return fail(name, "is too long");
    const auto size = static_cast<std::uint32_t>(value.size());
    put(&size, sizeof size);
    put(value.data(), value.size());
  }
  void field(const char* /*name*/, const Sha256& value) { put(value.data(), value.size()); }

  const Status& status() const { return status_; }  // of all fields so far

 private:
  void put(const void* from, std::size_t size) {
    if (!status_.ok()) return;
    const auto* begin = static_cast<const std::byte*>(from);
    out_.insert(out_.end(), begin, begin + size);
  }
  void fail(const char* name, const char* what) {
    if (status_.ok()) status_ = invalid_argument(std::string("field ") + name + " " + what);
  }
  std::vector<std::byte>& out_;
  Status status_;
};

// Takes fields from the front of `bytes`, which must outlive it. After the first error nothing more
// is taken.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename E>
  requires std::is_enum_v<E>
  void field(const char* name, E& value, E last) {
    std::uint8_t byte = 0;
    if (!take(name, &byte, 1)) return;
    if (byte > static_cast<std::uint8_t>(last)) return fail(name, "is out of range");
    value = static_cast<E>(byte);
  }
  template <Number T>
  void field(const char* name, T& value) {
    if (!take(name, &value, sizeof value)) return;
    if constexpr (std::is_same_v<T, double>) {
      if (!std::isfinite(value)) fail(name, "is not finite");
    }
  }
  void field(const char* name, bool& value) {
    std::uint8_t byte = 0;
    if (!take(name, &byte, 1)) return;
    if (byte > 1) return fail(name, "is neither true nor false");
    value = byte == 1;
  }
  void field(const char* name, std::string& value, std::size_t most = kMaxText) {
    std::uint32_t size = 0;
    if (!take(name, &size, sizeof size)) return;
    if (size > most) return fail(name, "is too long");
    if (size > rest_.size()) return fail(name, "is cut off");
    value.assign(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
  }
  void field(const char* name, Sha256& value) { take(name, value.data(), value.size()); }

  bool at_end() const { return rest_.empty(); }
  const Status& status() const { return status_; }  // of all fields so far

 private:
  bool take(const char* name, void* to, std::size_t size) {
    if (!status_.ok()) return false;
    if (size > rest_.size()) {
      fail(name, "is cut off");
      return false;
    }
    std::memcpy(to, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return true;
  }
  void fail(const char* name, const char* what) {
    if (status_.ok()) status_ = invalid_argument(std::string("field ") + name + " " + what);
  }
  std::span<const std::byte> rest_;
  Status status_;
};

}  // namespace nudge::packed_fields
