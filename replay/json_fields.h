// Reading and writing flat JSON objects field by field, from one list of fields per type. Private
// to the codecs of this module: the only header here that shows JSON.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <type_traits>

#include "nudge/event.h"
#include "nudge/status.h"

namespace nudge::json_fields {

inline constexpr std::size_t kMaxText = 64u << 10;  // bytes of one string

// Collects fields into an object; the first bad value is remembered.
class Writer {
 public:
  template <typename E>
  requires std::is_enum_v<E>
  void field(const char* name, const E& value, E /*last*/) {
    object_[name] = static_cast<std::uint64_t>(value);
  }
  void field(const char* name, const std::uint64_t& value) { object_[name] = value; }
  void field(const char* name, const std::uint32_t& value) { object_[name] = value; }
  void field(const char* name, const std::int64_t& value) { object_[name] = value; }
  void field(const char* name, const bool& value) { object_[name] = value; }
  void field(const char* name, const double& value) {
    if (!std::isfinite(value)) fail(name, "is not finite");
    object_[name] = value;
  }
  void field(const char* name, const std::string& value, std::size_t most = kMaxText) {
    if (value.size() > most) fail(name, "is too long");
    object_[name] = value;
  }
  void field(const char* name, const Sha256& value) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (const std::uint8_t byte : value) {
      hex += kDigits[byte >> 4];
      hex += kDigits[byte & 15];
    }
    object_[name] = std::move(hex);
  }

  // The object as one line of text, keys in alphabetical order.
  Result<std::string> text() const {
    if (!status_.ok()) return status_;
    try {
      return object_.dump();
    } catch (const nlohmann::json::exception&) {
      return invalid_argument("a text is not valid UTF-8");
    }
  }

 private:
  void fail(const char* name, const char* what) {
    if (status_.ok()) status_ = invalid_argument(std::string("field ") + name + " " + what);
  }
  nlohmann::json object_ = nlohmann::json::object();
  Status status_;
};

// Takes fields from an object; every field must be asked for exactly once.
class Reader {
 public:
  explicit Reader(const nlohmann::json& object) : object_(object) {
    if (!object.is_object()) status_ = invalid_argument("not a JSON object");
  }

  template <typename E>
  requires std::is_enum_v<E>
  void field(const char* name, E& value, E last) {
    std::uint64_t number = 0;
    field(name, number);
    if (number > static_cast<std::uint64_t>(last)) return fail(name, "is out of range");
    value = static_cast<E>(number);
  }
  void field(const char* name, std::uint64_t& value) {
    const nlohmann::json* found = find(name);
    if (found == nullptr) return;
    if (!found->is_number_unsigned()) return fail(name, "is not a whole number from 0 up");
    value = found->get<std::uint64_t>();
  }
  void field(const char* name, std::uint32_t& value) {
    std::uint64_t number = 0;
    field(name, number);
    if (number > UINT32_MAX) return fail(name, "is out of range");
    value = static_cast<std::uint32_t>(number);
  }
  void field(const char* name, std::int64_t& value) {
    const nlohmann::json* found = find(name);
    if (found == nullptr) return;
    if (!found->is_number_integer()) return fail(name, "is not a whole number");
    if (found->is_number_unsigned() && found->get<std::uint64_t>() > INT64_MAX) {
      return fail(name, "is out of range");
    }
    value = found->get<std::int64_t>();
  }
  void field(const char* name, bool& value) {
    const nlohmann::json* found = find(name);
    if (found == nullptr) return;
    if (!found->is_boolean()) return fail(name, "is neither true nor false");
    value = found->get<bool>();
  }
  void field(const char* name, double& value) {
    const nlohmann::json* found = find(name);
    if (found == nullptr) return;
    if (!found->is_number()) return fail(name, "is not a number");
    value = found->get<double>();
    if (!std::isfinite(value)) fail(name, "is not finite");
  }
  void field(const char* name, std::string& value, std::size_t most = kMaxText) {
    const nlohmann::json* found = find(name);
    if (found == nullptr) return;
    if (!found->is_string()) return fail(name, "is not a text");
    const auto& text = found->get_ref<const std::string&>();
    if (text.size() > most) return fail(name, "is too long");
    value = text;
  }
  void field(const char* name, Sha256& value) {
    std::string hex;
    field(name, hex, 2 * value.size());
    if (!status_.ok()) return;
    if (hex.size() != 2 * value.size()) return fail(name, "is not a SHA-256 in hex");
    for (std::size_t i = 0; i < hex.size(); ++i) {
      const char c = hex[i];
      int digit = -1;
      if (c >= '0' && c <= '9') digit = c - '0';
      if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
      if (digit < 0) return fail(name, "is not a SHA-256 in hex");
      auto& byte = value[i / 2];
      byte = static_cast<std::uint8_t>(i % 2 == 0 ? digit << 4 : byte | digit);
    }
  }

  // Of all fields so far; also when the object has one that nobody asked for.
  Status finish() const {
    if (status_.ok() && object_.size() != taken_) {
      return invalid_argument("there are fields that this version does not know");
    }
    return status_;
  }

 private:
  const nlohmann::json* find(const char* name) {
    if (!status_.ok()) return nullptr;
    const auto found = object_.find(name);
    if (found == object_.end()) {
      fail(name, "is missing");
      return nullptr;
    }
    ++taken_;
    return &*found;
  }
  void fail(const char* name, const char* what) {
    if (status_.ok()) status_ = invalid_argument(std::string("field ") + name + " " + what);
  }
  const nlohmann::json& object_;
  std::size_t taken_ = 0;
  Status status_;
};

// Parses text that is bounded already. Never throws; a discarded value means it is not JSON.
inline nlohmann::json parse(std::span<const std::byte> text) {
  const char* chars = reinterpret_cast<const char*>(text.data());
  return nlohmann::json::parse(chars, chars + text.size(), nullptr, /*allow_exceptions=*/false);
}

}  // namespace nudge::json_fields
