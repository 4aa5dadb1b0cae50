// Reads the JSON of a peer's hello. Only the wire formats of src/ports/ include this.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "nudge/status.h"
#include "src/ports/frame.h"

namespace nudge {

// Reads fields of one object; the first failure sticks.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string where, Status& status)
      : object_(object), where_(std::move(where)), status_(status) {
    if (!object.is_object()) fail("is not an object");
  }

  bool has(const char* name) const { return object_.is_object() && object_.contains(name); }
  const nlohmann::json* find(const char* name) {
    if (!object_.is_object()) return nullptr;
    const auto it = object_.find(name);
    if (it == object_.end()) {
      fail(std::string("lacks '") + name + "'");
      return nullptr;
    }
    return &*it;
  }
  std::int64_t number(const char* name, std::int64_t low, std::int64_t high) {
    const nlohmann::json* field = find(name);
    if (field == nullptr) return 0;
    // An unsigned number above the signed range would wrap around.
    if (!field->is_number_integer() ||
        (field->is_number_unsigned() &&
         field->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) ||
        field->get<std::int64_t>() < low || field->get<std::int64_t>() > high) {
      fail(std::string("'") + name + "' is not a whole number from " + std::to_string(low) +
           " to " + std::to_string(high));
      return 0;
    }
    return field->get<std::int64_t>();
  }
  float real(const char* name) {
    const nlohmann::json* field = find(name);
    if (field == nullptr) return 0;
    const auto value = field->is_number() ? static_cast<float>(field->get<double>())
                                          : std::numeric_limits<float>::quiet_NaN();
    if (!std::isfinite(value)) fail(std::string("'") + name + "' is not a finite number");
    return value;
  }
  bool flag(const char* name) {
    const nlohmann::json* field = find(name);
    if (field == nullptr) return false;
    if (!field->is_boolean()) {
      fail(std::string("'") + name + "' is not true or false");
      return false;
    }
    return field->get<bool>();
  }
  std::string text(const char* name, std::size_t limit) {
    const nlohmann::json* field = find(name);
    if (field == nullptr) return {};
    if (!field->is_string() || !printable_name(field->get_ref<const std::string&>(), limit)) {
      fail(std::string("'") + name + "' is not a text of 1 to " + std::to_string(limit) +
           " printable bytes");
      return {};
    }
    return field->get<std::string>();
  }
  const nlohmann::json& list(const char* name, std::size_t limit) {
    static const nlohmann::json kNone = nlohmann::json::array();
    const nlohmann::json* field = find(name);
    if (field == nullptr) return kNone;
    if (!field->is_array() || field->size() > limit) {
      fail(std::string("'") + name + "' is not a list of at most " + std::to_string(limit));
      return kNone;
    }
    return *field;
  }
  std::string place(const char* name, std::size_t index) const {
    return where_ + "." + name + "[" + std::to_string(index) + "]";
  }
  void fail(const std::string& what) {
    if (status_.ok()) status_ = invalid_argument(where_ + " " + what);
  }

 private:
  const nlohmann::json& object_;
  std::string where_;
  Status& status_;
};

}  // namespace nudge
