// A JSON object without nesting, read strictly and written canonically: what the metadata of a
// weights file and a manifest are made of. Strict, because a reader that keeps the last of two
// equal keys sees another object than the one that keeps the first, and a signature covers only
// bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "nudge/status.h"

namespace nudge {

// A value type: safe to read from any thread.
class FlatObject {
 public:
  using Value = std::variant<bool, std::uint64_t, std::string>;

  // Longest text that parse() looks at.
  static constexpr std::size_t kMaxBytes = 262'144;

  // Accepts UTF-8 JSON: one object of strings, booleans and whole numbers 0..2^64-1. Everything
  // else is kDataLoss: nesting, null, fractions, negative numbers, a key twice, bytes after the
  // object, more than kMaxBytes.
  static Result<FlatObject> parse(std::string_view text);

  // Canonical: keys sorted bytewise, no white space. Equal objects give equal bytes.
  // kInvalidArgument when a string is not UTF-8.
  Result<std::string> dump() const;

  void set(std::string key, Value value) {
    values_.insert_or_assign(std::move(key), std::move(value));
  }
  const std::map<std::string, Value>& values() const { return values_; }

  // kDataLoss naming the key when it is missing or holds another type. A T other than bool, string
  // and uint64_t must not be asked for.
  template <typename T>
  Result<T> get(const std::string& key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) return data_loss("\"" + key + "\" is missing");
    const T* value = std::get_if<T>(&found->second);
    if (value == nullptr) return data_loss("\"" + key + "\" has the wrong type");
    return *value;
  }

  friend bool operator==(const FlatObject&, const FlatObject&) = default;

 private:
  std::map<std::string, Value> values_;
};

}  // namespace nudge
