#include "policy/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace nudge {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are used in place, so the machine must be little-endian");

using Json = nlohmann::json;
using namespace std::string_literals;

constexpr std::size_t kPrefix = 8;         // the header's length
constexpr std::size_t kLongestQuote = 80;  // of a name in a message
constexpr std::string_view kMetadataKey = "__metadata__";

struct DtypeName {
  Dtype dtype;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<DtypeName, 13> kDtypes{{
    {Dtype::kBool, "BOOL", 1},
    {Dtype::kU8, "U8", 1},
    {Dtype::kI8, "I8", 1},
    {Dtype::kI16, "I16", 2},
    {Dtype::kU16, "U16", 2},
    {Dtype::kF16, "F16", 2},
    {Dtype::kBF16, "BF16", 2},
    {Dtype::kI32, "I32", 4},
    {Dtype::kU32, "U32", 4},
    {Dtype::kF32, "F32", 4},
    {Dtype::kF64, "F64", 8},
    {Dtype::kI64, "I64", 8},
    {Dtype::kU64, "U64", 8},
}};

const DtypeName& describe(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)]; }

std::optional<Dtype> dtype_named(std::string_view name) {
  for (const auto& known : kDtypes) {
    if (known.name == name) return known.dtype;
  }
  return std::nullopt;
}

// Names may come from a damaged file: quoted, and cut so that a message stays readable.
std::string in_quotes(std::string_view name) {
  if (name.size() <= kLongestQuote) return "\"" + std::string(name) + "\"";
  return "\"" + std::string(name.substr(0, kLongestQuote)) + "...\"";
}

// Bytes of a tensor, nothing when the product overflows. Multiplies in the order of the shape, as
// the format's library does, so that both refuse the same shapes.
std::optional<std::uint64_t> checked_size(const std::vector<std::int64_t>& shape, Dtype dtype) {
  std::uint64_t size = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (__builtin_mul_overflow(size, static_cast<std::uint64_t>(extent), &size)) {
      return std::nullopt;
    }
  }
  if (__builtin_mul_overflow(size, static_cast<std::uint64_t>(size_of(dtype)), &size)) {
    return std::nullopt;
  }
  return size;
}

struct Entry {
  std::optional<std::string> dtype;
  std::optional<std::vector<std::uint64_t>> shape;
  std::optional<std::vector<std::uint64_t>> offsets;
};

// Reads the header event by event: the nesting is bounded by the states, and a key that appears
// twice is seen before it can replace the first.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  std::map<std::string, std::string> metadata;
  std::map<std::string, Entry> entries;
  const std::string& error() const { return error_; }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a number that is not a whole number of 64 bits");
  }
  bool binary(binary_t&) override { return unexpected("a binary value"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ != State::kNumbers) return unexpected("a number");
    const bool is_shape = field_ == "shape";
    auto& numbers = is_shape ? *entry_->shape : *entry_->offsets;
    if (numbers.size() == (is_shape ? kMaxRank : 2)) {
      return fail(where() +
                  (is_shape ? " has more than 32 dimensions" : " has more than two numbers"));
    }
    numbers.push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (state_ == State::kMetadata) {
      metadata.emplace(field_, std::move(value));
      return true;
    }
    if (state_ == State::kTensor && field_ == "dtype") {
      entry_->dtype = std::move(value);
      return true;
    }
    return unexpected("a string");
  }

  bool start_object(std::size_t) override {
    switch (state_) {
      case State::kStart: state_ = State::kTop; return true;
      case State::kTop:
        if (name_ == kMetadataKey) {
          state_ = State::kMetadata;
        } else {
          entry_ = &entries[name_];
          state_ = State::kTensor;
        }
        return true;
      default: return unexpected("an object");
    }
  }

  bool key(string_t& key) override {
    switch (state_) {
      case State::kTop:
        if (key == kMetadataKey ? seen_metadata_ : entries.count(key) > 0) {
          return fail("the key " + in_quotes(key) + " appears twice");
        }
        if (key == kMetadataKey) seen_metadata_ = true;
        name_ = std::move(key);
        field_.clear();
        return true;
      case State::kMetadata:
        if (metadata.count(key) > 0)
          return fail(where() + ": " + in_quotes(key) + " appears twice");
        field_ = std::move(key);
        return true;
      case State::kTensor:
        field_ = std::move(key);
        if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
          return fail("tensor " + in_quotes(name_) + " has an unknown key " + in_quotes(field_));
        }
        if ((field_ == "dtype" && entry_->dtype) || (field_ == "shape" && entry_->shape) ||
            (field_ == "data_offsets" && entry_->offsets)) {
          return fail(where() + " appears twice");
        }
        return true;
      default: return unexpected("a key");
    }
  }

  bool end_object() override {
    state_ = state_ == State::kTop ? State::kEnd : State::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ != State::kTensor || field_ == "dtype") return unexpected("an array");
    (field_ == "shape" ? entry_->shape : entry_->offsets).emplace();
    state_ = State::kNumbers;
    return true;
  }

  bool end_array() override {
    state_ = State::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail("header is not valid UTF-8 JSON at byte " + std::to_string(position));
  }

 private:
  enum class State { kStart, kTop, kMetadata, kTensor, kNumbers, kEnd };

  bool fail(std::string error) {
    error_ = std::move(error);
    return false;
  }
  bool unexpected(const std::string& what) {
    return fail(where() + " holds " + what + " where the format has none");
  }
  std::string where() const {
    if (name_.empty() && entry_ == nullptr) return "header";
    if (field_.empty() || name_ == kMetadataKey) return in_quotes(name_);
    return "tensor " + in_quotes(name_) + ", " + in_quotes(field_);
  }

  State state_ = State::kStart;
  bool seen_metadata_ = false;
  std::string name_;   // key at the top
  std::string field_;  // key below it
  Entry* entry_ = nullptr;
  std::string error_;
};

// Of the format, but not ours.
constexpr std::array<std::string_view, 9> kOtherDtypes{"F4",          "F6_E2M3",     "F6_E3M2",
                                                       "F8_E5M2",     "F8_E4M3",     "F8_E8M0",
                                                       "F8_E5M2FNUZ", "F8_E4M3FNUZ", "C64"};

bool is_other_dtype_of_the_format(std::string_view name) {
  return std::find(kOtherDtypes.begin(), kOtherDtypes.end(), name) != kOtherDtypes.end();
}

std::string u64_text(std::uint64_t value) { return std::to_string(value); }

}  // namespace

std::size_t size_of(Dtype dtype) { return describe(dtype).bytes; }

Result<SafetensorsFile> SafetensorsFile::parse(std::vector<std::byte> bytes) {
  if (bytes.size() < kPrefix) {
    return data_loss("safetensors: " + std::to_string(bytes.size()) +
                     " bytes are too few for the header's length");
  }
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), kPrefix);
  if (header_size > kMaxSafetensorsHeader) {
    return data_loss("safetensors: header of " + u64_text(header_size) +
                     " bytes; the format allows " + u64_text(kMaxSafetensorsHeader));
  }
  if (header_size > bytes.size() - kPrefix) {
    return data_loss("safetensors: header of " + u64_text(header_size) +
                     " bytes is longer than the file; it is truncated");
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kPrefix,
                                static_cast<std::size_t>(header_size));
  if (header.empty() || header.front() != '{') {
    return data_loss("safetensors: the header does not start with '{'");
  }
  // The parser takes a zero byte for the end of its input and would not see what follows it.
  if (header.find('\0') != std::string_view::npos) {
    return data_loss("safetensors: the header holds a zero byte");
  }
  const std::size_t object_end = header.find_last_not_of(' ');
  if (header[object_end] != '}') {
    return data_loss("safetensors: the header ends in something else than '}' and spaces");
  }

  HeaderReader reader;
  try {
    if (!Json::sax_parse(header.begin(), header.end(), &reader)) {
      return data_loss("safetensors: " + reader.error());
    }
  } catch (const std::exception& e) {
    return data_loss("safetensors: header could not be read: "s + e.what());
  }

  SafetensorsFile file;
  const std::span<const std::byte> data =
      std::span<const std::byte>(bytes).subspan(kPrefix + static_cast<std::size_t>(header_size));

  struct Range {
    std::uint64_t begin;
    std::uint64_t end;
    const std::string* name;
  };
  std::vector<Range> ranges;
  ranges.reserve(reader.entries.size());
  for (const auto& [name, entry] : reader.entries) {
    const std::string tensor = "safetensors: tensor " + in_quotes(name);
    if (!entry.dtype || !entry.shape || !entry.offsets) {
      return data_loss(tensor + " lacks " +
                       (!entry.dtype   ? "dtype"
                        : !entry.shape ? "shape"
                                       : "data_offsets"));
    }
    const auto dtype = dtype_named(*entry.dtype);
    if (!dtype) {
      if (is_other_dtype_of_the_format(*entry.dtype)) {
        return unimplemented(tensor + " has dtype " + *entry.dtype + ", which Nudge does not read");
      }
      return data_loss(tensor + " has an unknown dtype " + in_quotes(*entry.dtype));
    }
    if (entry.offsets->size() != 2) return data_loss(tensor + " needs two data_offsets");

    TensorView view;
    view.dtype = *dtype;
    view.shape.reserve(entry.shape->size());
    for (const std::uint64_t extent : *entry.shape) {
      if (extent > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return data_loss(tensor + " has an impossible shape");
      }
      view.shape.push_back(static_cast<std::int64_t>(extent));
    }
    const auto size = checked_size(view.shape, view.dtype);
    if (!size) return data_loss(tensor + " has a shape whose size overflows");
    const auto [begin, end] = std::pair((*entry.offsets)[0], (*entry.offsets)[1]);
    if (begin > end || end > data.size()) {
      return data_loss(tensor + " lies outside of the file's " + u64_text(data.size()) +
                       " data bytes");
    }
    if (end - begin != *size) {
      return data_loss(tensor + " has " + u64_text(end - begin) + " bytes, its shape asks for " +
                       u64_text(*size));
    }
    view.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(*size));
    ranges.push_back({begin, end, &name});
    file.tensors_.emplace(name, std::move(view));
  }

  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t covered = 0;
  for (const Range& range : ranges) {
    if (range.begin != covered) {
      return data_loss("safetensors: tensor " + in_quotes(*range.name) + " begins at " +
                       u64_text(range.begin) + ", the one before ends at " + u64_text(covered) +
                       "; gaps and overlaps are forbidden");
    }
    covered = range.end;
  }
  if (covered != data.size()) {
    return data_loss("safetensors: tensors cover " + u64_text(covered) + " of " +
                     u64_text(data.size()) + " data bytes");
  }

  file.metadata_ = std::move(reader.metadata);
  file.bytes_ = std::move(bytes);
  return file;
}

Result<std::vector<std::byte>> write_safetensors(
    const std::map<std::string, std::string>& metadata,
    const std::map<std::string, TensorToWrite>& tensors) {
  using Item = std::pair<const std::string, TensorToWrite>;
  std::vector<const Item*> order;
  order.reserve(tensors.size());
  for (const auto& item : tensors) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return a->second.dtype > b->second.dtype;  // the enum is in the format's order
  });

  std::uint64_t offset = 0;
  std::string header;
  try {
    header = "{";
    if (!metadata.empty()) {
      header += "\"" + std::string(kMetadataKey) + "\":" + Json(metadata).dump();
    }
    for (const Item* item : order) {
      const auto& [name, tensor] = *item;
      if (name == kMetadataKey) {
        return invalid_argument("safetensors: a tensor must not be called " + in_quotes(name));
      }
      if (tensor.shape.size() > kMaxRank) {
        return invalid_argument("safetensors: tensor " + in_quotes(name) +
                                " has more than 32 dimensions");
      }
      const auto size = checked_size(tensor.shape, tensor.dtype);
      if (!size || *size != tensor.bytes.size()) {
        return invalid_argument("safetensors: tensor " + in_quotes(name) + " has " +
                                std::to_string(tensor.bytes.size()) +
                                " bytes, which is not what "
                                "its shape asks for");
      }
      if (header.size() > 1) header += ',';
      header += Json(name).dump() + ":{\"dtype\":\"" + std::string(describe(tensor.dtype).name) +
                "\",\"shape\":" + Json(tensor.shape).dump() + ",\"data_offsets\":[" +
                u64_text(offset) + "," + u64_text(offset + *size) + "]}";
      offset += *size;
    }
    header += '}';
  } catch (const std::exception& e) {
    return invalid_argument("safetensors: a name or a metadata text is not UTF-8: "s + e.what());
  }
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > kMaxSafetensorsHeader) {
    return invalid_argument("safetensors: the header would have " + std::to_string(header.size()) +
                            " bytes; the format allows " + u64_text(kMaxSafetensorsHeader));
  }

  std::vector<std::byte> bytes(kPrefix + header.size() + static_cast<std::size_t>(offset));
  const std::uint64_t header_size = header.size();
  std::memcpy(bytes.data(), &header_size, kPrefix);
  std::memcpy(bytes.data() + kPrefix, header.data(), header.size());
  std::byte* out = bytes.data() + kPrefix + header.size();
  for (const Item* item : order) {
    const auto& source = item->second.bytes;
    if (!source.empty()) std::memcpy(out, source.data(), source.size());
    out += source.size();
  }
  return bytes;
}

}  // namespace nudge
