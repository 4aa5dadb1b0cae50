#include "policy/flat_object.h"

#include <nlohmann/json.hpp>

namespace nudge {
namespace {

using Json = nlohmann::json;

// Takes the parser's events instead of a finished document: a document has already lost the first
// of two equal keys.
class Reader final : public nlohmann::json_sax<Json> {
 public:
  explicit Reader(std::map<std::string, FlatObject::Value>& values) : values_(values) {}

  bool null() override { return fail("null is not allowed"); }
  bool boolean(bool value) override { return store(value); }
  bool number_integer(number_integer_t) override { return fail("a number is negative"); }
  bool number_unsigned(number_unsigned_t value) override {
    return store(static_cast<std::uint64_t>(value));
  }
  bool number_float(number_float_t, const string_t&) override {
    return fail("a number is not a whole number of 64 bits");
  }
  bool string(string_t& value) override { return store(std::move(value)); }
  bool binary(binary_t&) override { return fail("binary values are not allowed"); }
  bool start_object(std::size_t) override {
    if (depth_++ > 0) return fail("objects must not be nested");
    return true;
  }
  bool key(string_t& name) override {
    if (values_.count(name) > 0) return fail("the key \"" + name + "\" appears twice");
    key_ = name;
    return true;
  }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return fail("arrays are not allowed"); }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail("not valid JSON at byte " + std::to_string(position));
  }

  const std::string& error() const { return error_; }

 private:
  bool fail(std::string error) {
    error_ = std::move(error);
    return false;
  }
  bool store(FlatObject::Value value) {
    if (depth_ == 0) return fail("not a JSON object");
    values_.emplace(key_, std::move(value));
    return true;
  }

  std::map<std::string, FlatObject::Value>& values_;
  std::string key_;
  std::string error_;
  int depth_ = 0;
};

}  // namespace

Result<FlatObject> FlatObject::parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return data_loss("JSON object of " + std::to_string(text.size()) + " bytes; at most " +
                     std::to_string(kMaxBytes) + " are read");
  }
  // The parser takes a zero byte for the end of its input and would not see what follows it.
  if (text.find('\0') != std::string_view::npos) return data_loss("JSON holds a zero byte");
  FlatObject object;
  Reader reader(object.values_);
  try {
    if (!Json::sax_parse(text.begin(), text.end(), &reader)) return data_loss(reader.error());
  } catch (const std::exception& e) {
    return data_loss(std::string("JSON could not be read: ") + e.what());
  }
  return object;
}

Result<std::string> FlatObject::dump() const {
  Json document = Json::object();
  try {
    for (const auto& [key, value] : values_) {
      std::visit([&, &name = key](const auto& v) { document[name] = v; }, value);
    }
    return document.dump();
  } catch (const std::exception& e) {
    return invalid_argument(std::string("a text is not UTF-8: ") + e.what());
  }
}

}  // namespace nudge
