#include "src/ports/openpi_wire.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#define MSGPACK_NO_BOOST
#include <msgpack.hpp>

#include "nudge/half.h"

namespace nudge {
namespace {

// A value of MessagePack; views into the message.
struct Node {
  enum class Kind { kNothing, kTruth, kNumber, kText, kBytes, kList, kMap };
  Kind kind = Kind::kNothing;
  bool truth = false;
  double number = 0;
  std::string_view bytes;              // of text and bytes
  std::vector<Node> items;             // of a list, or a map's values
  std::vector<std::string_view> keys;  // of a map

  const Node* at(std::string_view key) const {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (keys[i] == key) return &items[i];
    }
    return nullptr;
  }
};

// Builds the tree, and gives up at the first bound that is broken.
class Builder : public msgpack::null_visitor {
 public:
  Node root;
  std::string broken;  // which bound

  bool visit_nil() { return put({}); }
  bool visit_boolean(bool value) {
    Node node;
    node.kind = Node::Kind::kTruth;
    node.truth = value;
    return put(std::move(node));
  }
  bool visit_positive_integer(std::uint64_t value) { return number(static_cast<double>(value)); }
  bool visit_negative_integer(std::int64_t value) { return number(static_cast<double>(value)); }
  bool visit_float32(float value) { return number(static_cast<double>(value)); }
  bool visit_float64(double value) { return number(value); }
  bool visit_str(const char* text, std::uint32_t size) {
    if (size > kMaxOpenpiText) return stop("a text is longer than 4096 bytes");
    return bytes({text, size}, Node::Kind::kText);
  }
  bool visit_bin(const char* data, std::uint32_t size) {
    return bytes({data, size}, Node::Kind::kBytes);
  }
  bool visit_ext(const char*, std::uint32_t) {
    return stop("it has a MessagePack extension, which openpi does not use");
  }
  bool start_array(std::uint32_t size) { return open(Node::Kind::kList, size); }
  bool end_array() { return close(); }
  bool start_map(std::uint32_t size) { return open(Node::Kind::kMap, size); }
  // Whoever reads a key that is there twice may take the other value than we did.
  bool end_map() {
    std::vector<std::string_view> keys = open_.back()->keys;
    std::ranges::sort(keys);
    const auto twice = std::ranges::adjacent_find(keys);
    if (twice != keys.end()) {
      broken = "'" + std::string(twice->substr(0, 64)) + "' is there twice";
      return false;
    }
    return close();
  }
  bool start_map_key() {
    key_is_next_ = true;
    return true;
  }
  void parse_error(std::size_t, std::size_t) {}
  void insufficient_bytes(std::size_t, std::size_t) {}

 private:
  bool stop(const char* why) {
    broken = why;
    return false;
  }
  bool count() { return ++values_ <= kMaxOpenpiValues || stop("it has more than 4096 values"); }
  bool number(double value) {
    Node node;
    node.kind = Node::Kind::kNumber;
    node.number = value;
    return put(std::move(node));
  }
  bool bytes(std::string_view view, Node::Kind kind) {
    if (key_is_next_) {
      if (view.size() > kMaxOpenpiText) return stop("a key is longer than 4096 bytes");
      key_is_next_ = false;
      open_.back()->keys.push_back(view);
      return count();
    }
    Node node;
    node.kind = kind;
    node.bytes = view;
    return put(std::move(node));
  }
  bool put(Node node) {
    if (key_is_next_) return stop("a key is neither text nor bytes");
    if (!count()) return false;
    if (open_.empty()) {
      root = std::move(node);
    } else {
      open_.back()->items.push_back(std::move(node));
    }
    return true;
  }
  bool open(Node::Kind kind, std::uint32_t size) {
    if (open_.size() >= kMaxOpenpiDepth) return stop("it is nested more than 8 deep");
    if (size > kMaxOpenpiValues) return stop("it has more than 4096 values");
    Node node;
    node.kind = kind;
    Node* const parent = open_.empty() ? nullptr : open_.back();
    if (!put(std::move(node))) return false;
    // Stays where it is: its parent takes nothing else before it is closed.
    open_.push_back(parent == nullptr ? &root : &parent->items.back());
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Node*> open_;
  std::size_t values_ = 0;
  bool key_is_next_ = false;
};

struct Dtype {
  char kind = 0;         // of NumPy: b, i, u, f
  std::size_t size = 0;  // bytes
  bool big = false;      // the first byte is the highest
};

// None: not a number or a truth value of at most 8 bytes.
std::optional<Dtype> dtype_of(std::string_view text) {
  if (text.size() != 3) return std::nullopt;
  const char order = text[0], kind = text[1], size = text[2];
  if (order != '<' && order != '>' && order != '|' && order != '=') return std::nullopt;
  const bool known = (kind == 'b' && size == '1') ||
                     ((kind == 'i' || kind == 'u') &&
                      (size == '1' || size == '2' || size == '4' || size == '8')) ||
                     (kind == 'f' && (size == '2' || size == '4' || size == '8'));
  if (!known) return std::nullopt;
  return Dtype{kind, static_cast<std::size_t>(size - '0'), order == '>'};
}

// Not by way of a float, which would round twice.
// To the nearest; beyond the largest, infinity.
std::uint16_t half_bits(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::abs(value);
  if (std::isnan(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size == 0) return sign;
  int exponent = 0;
  std::frexp(size, &exponent);
  // 11 bits from the first that is set, but none below 2^-24.
  const int last = std::max(exponent - 11, -24);
  const auto steps = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, -last)));
  if (last == -24) return static_cast<std::uint16_t>(sign | steps);  // carries into the exponent
  return static_cast<std::uint16_t>(sign | ((last + 24) * 1024 + static_cast<int>(steps)));
}

// In the width of the number: of IEEE 754, sign and magnitude.
std::uint64_t float_bits(double value, std::size_t size) {
  if (size == 8) return std::bit_cast<std::uint64_t>(value);
  if (size == 4) return std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return half_bits(value);
}

double value_of_bits(std::uint64_t bits, std::size_t size) {
  if (size == 8) return std::bit_cast<double>(bits);
  if (size == 4) {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  return static_cast<double>(float_from_half(static_cast<Half>(bits)));
}

double number_at(const char* at, const Dtype& type) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < type.size; ++i) {
    const std::size_t place = type.big ? type.size - 1 - i : i;
    bits |= std::uint64_t{static_cast<unsigned char>(at[i])} << (8 * place);
  }
  switch (type.kind) {
    case 'f': return value_of_bits(bits, type.size);
    case 'i': {
      const unsigned unused = 64 - 8 * static_cast<unsigned>(type.size);
      return static_cast<double>(static_cast<std::int64_t>(bits << unused) >> unused);
    }
    default: return static_cast<double>(bits);
  }
}

Status wrong(std::string_view what) {
  return invalid_argument("not an openpi message: " + std::string(what));
}
Status wrong_at(std::string_view key, std::string_view what) {
  return invalid_argument("'" + std::string(key.substr(0, 64)) + "' " + std::string(what));
}

template <typename Stream>
void pack_bin(msgpack::packer<Stream>& out, std::string_view text) {
  out.pack_bin(static_cast<std::uint32_t>(text.size()));
  out.pack_bin_body(text.data(), static_cast<std::uint32_t>(text.size()));
}
template <typename Stream>
void pack_text(msgpack::packer<Stream>& out, std::string_view text) {
  out.pack_str(static_cast<std::uint32_t>(text.size()));
  out.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
}

// What packers write into.
struct Sink {
  std::string bytes;
  void write(const char* data, std::size_t size) { bytes.append(data, size); }
};
using Packer = msgpack::packer<Sink>;

void pack_note(Packer& out, const OpenpiNote& note) {
  out.pack_map(note.trouble.empty() ? 4 : 5);
  pack_text(out, "source");
  pack_text(out, note.source);
  pack_text(out, "state");
  pack_text(out, note.state);
  pack_text(out, "as_is");
  out.pack(note.as_is);
  pack_text(out, "infer_ms");
  out.pack(note.infer_ms);
  if (note.trouble.empty()) return;
  pack_text(out, "trouble");
  pack_text(out, note.trouble);
}

// A map's number of entries and the size of what says it. `bytes` begins with a map.
std::pair<std::uint32_t, std::size_t> map_head(std::string_view bytes) {
  const auto byte = [&](std::size_t i) {
    return std::uint32_t{static_cast<unsigned char>(bytes[i])};
  };
  if (byte(0) == 0xde) return {byte(1) << 8 | byte(2), 3};
  if (byte(0) == 0xdf) return {byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4), 5};
  return {byte(0) & 15, 1};
}

// The map with one more entry, whose key and value are `entry`.
std::string with_entry(std::string_view map, std::string_view entry) {
  const auto [entries, head] = map_head(map);
  Sink sink;
  sink.bytes.reserve(map.size() + entry.size() + 4);
  Packer(sink).pack_map(entries + 1);
  sink.bytes.append(map.substr(head)).append(entry);
  return std::move(sink.bytes);
}

// The whole message, or why it is none.
Result<Node> read_tree(std::string_view bytes) {
  if (bytes.size() > kMaxOpenpiMessage) return wrong("it is longer than 32 MiB");
  Builder builder;
  std::size_t end = 0;
  bool whole = false;
  try {
    whole = msgpack::parse(bytes.data(), bytes.size(), end, builder);
  } catch (const std::exception& error) {
    return wrong(error.what());
  }
  if (!whole) {
    return wrong(builder.broken.empty() ? "the MessagePack is malformed or cut off"
                                        : std::string_view(builder.broken));
  }
  if (end != bytes.size()) return wrong("something follows it");
  if (builder.root.kind != Node::Kind::kMap) return wrong("it is not a map");
  return std::move(builder.root);
}

}  // namespace

// Flattens the tree.
class OpenpiReader {
 public:
  static Status read(const Node& root, OpenpiMessage& message) {
    OpenpiReader reader(message);
    return reader.map("", root);
  }

 private:
  explicit OpenpiReader(OpenpiMessage& message) : message_(message) {}

  Status map(const std::string& prefix, const Node& node) {
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string key = prefix + std::string(node.keys[i]);
      if (key.size() > kMaxOpenpiText) return wrong("a key is longer than 4096 bytes");
      const Node& item = node.items[i];
      if (item.kind == Node::Kind::kMap && item.at("__ndarray__") == nullptr &&
          item.at("__npgeneric__") == nullptr) {
        NUDGE_TRY(map(key + "/", item));
        continue;
      }
      Result<OpenpiValue> value = this->value(key, item);
      if (!value.ok()) return value.status();
      if (!message_.fields_.emplace(key, *std::move(value)).second) {
        return wrong_at(key, "is there twice");
      }
    }
    return {};
  }

  Result<OpenpiValue> value(const std::string& key, const Node& node) {
    switch (node.kind) {
      case Node::Kind::kTruth: return OpenpiValue(node.truth);
      case Node::Kind::kNumber: return OpenpiValue(node.number);
      case Node::Kind::kText: return OpenpiValue(std::string(node.bytes));
      case Node::Kind::kList: return list(node);
      case Node::Kind::kMap:
        if (node.at("__ndarray__") != nullptr) return array(key, node);
        if (const Node* data = node.at("data");
            data != nullptr && data->kind != Node::Kind::kMap && data->kind != Node::Kind::kList) {
          return value(key, *data);
        }
        return wrong_at(key, "is a NumPy number without its value");
      case Node::Kind::kNothing:
      case Node::Kind::kBytes: break;
    }
    return OpenpiValue();
  }

  OpenpiValue list(const Node& node) {
    std::vector<double> numbers;
    for (const Node& item : node.items) {
      if (item.kind != Node::Kind::kNumber) return {};
      numbers.push_back(item.number);
    }
    message_.lists_.push_back(std::move(numbers));
    const std::vector<double>& kept = message_.lists_.back();
    constexpr const char* kNative = std::endian::native == std::endian::little ? "<f8" : ">f8";
    return OpenpiArray{
        .dtype = kNative,
        .shape = {kept.size()},
        .bytes = {reinterpret_cast<const char*>(kept.data()), kept.size() * sizeof(double)}};
  }

  Result<OpenpiValue> array(const std::string& key, const Node& node) {
    const Node* const data = node.at("data");
    const Node* const dtype = node.at("dtype");
    const Node* const shape = node.at("shape");
    if (data == nullptr || data->kind != Node::Kind::kBytes || dtype == nullptr ||
        dtype->bytes.empty() || shape == nullptr || shape->kind != Node::Kind::kList) {
      return wrong_at(key, "is an array without its data, dtype or shape");
    }
    const std::optional<Dtype> type = dtype_of(dtype->bytes);
    if (!type) return OpenpiValue();  // text, dates: nothing of ours, and none of our business
    OpenpiArray array;
    array.dtype = std::string(dtype->bytes);
    array.bytes = data->bytes;
    if (shape->items.size() > kMaxOpenpiRank) return wrong_at(key, "has more than 4 dimensions");
    std::size_t count = 1;
    for (const Node& size : shape->items) {
      if (size.kind != Node::Kind::kNumber || !(size.number >= 0) ||
          size.number > static_cast<double>(kMaxOpenpiMessage) ||
          size.number != std::floor(size.number)) {
        return wrong_at(key, "has a shape that is none");
      }
      const auto length = static_cast<std::size_t>(size.number);
      array.shape.push_back(length);
      // Both are at most 2^25: the product fits, and stays small enough for the next.
      count *= length;
      if (count > kMaxOpenpiMessage) return wrong_at(key, "is larger than a message");
    }
    if (count * type->size != array.bytes.size()) {
      return wrong_at(key, "has " + std::to_string(array.bytes.size()) +
                               " bytes, but its shape and dtype " + array.dtype + " need " +
                               std::to_string(count * type->size));
    }
    return OpenpiValue(std::move(array));
  }

  OpenpiMessage& message_;
};

std::size_t OpenpiArray::count() const {
  std::size_t count = 1;
  for (const std::size_t size : shape) count *= size;
  return count;
}

Result<OpenpiMessage> OpenpiMessage::parse(std::string_view bytes) {
  Result<Node> root = read_tree(bytes);
  if (!root.ok()) return root.status();
  OpenpiMessage message;
  NUDGE_TRY(OpenpiReader::read(*root, message));
  return message;
}

const OpenpiValue* OpenpiMessage::find(std::string_view key) const {
  const auto found = fields_.find(key);
  return found == fields_.end() ? nullptr : &found->second;
}

std::string_view OpenpiMessage::text(std::string_view key) const {
  const OpenpiValue* const value = find(key);
  const auto* const text = value == nullptr ? nullptr : std::get_if<std::string>(value);
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

Result<std::vector<double>> openpi_numbers(const OpenpiValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return std::vector<double>{*number};
  if (const auto* truth = std::get_if<bool>(&value)) return std::vector<double>{*truth ? 1.0 : 0.0};
  const auto* const array = std::get_if<OpenpiArray>(&value);
  if (array == nullptr) return invalid_argument("is not made of numbers");
  const Dtype type = *dtype_of(array->dtype);
  std::vector<double> numbers(array->bytes.size() / type.size);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = number_at(array->bytes.data() + i * type.size, type);
  }
  return numbers;
}

Result<Image> openpi_image(const OpenpiValue& value) {
  const auto* const array = std::get_if<OpenpiArray>(&value);
  if (array == nullptr || array->dtype.substr(1) != "u1") {
    return invalid_argument("is not a picture: an array of uint8 is needed");
  }
  std::vector<std::size_t> shape = array->shape;
  if (shape.size() == 4 && shape.front() == 1) shape.erase(shape.begin());
  const bool planes = shape.size() == 3 && shape[0] == 3 && shape[2] != 3;
  if (shape.size() != 3 || (!planes && shape[2] != 3) || array->bytes.empty()) {
    return invalid_argument(
        "is not a picture: its shape is neither [height, width, 3] nor "
        "[3, height, width]");
  }
  const std::size_t height = planes ? shape[1] : shape[0];
  const std::size_t width = planes ? shape[2] : shape[1];
  if (height > 4096 || width > 4096) return invalid_argument("is wider or higher than 4096 pixels");
  Image image;
  image.width = static_cast<int>(width);
  image.height = static_cast<int>(height);
  image.rgb.resize(array->bytes.size());
  const auto* const from = reinterpret_cast<const std::uint8_t*>(array->bytes.data());
  if (!planes) {
    std::copy_n(from, image.rgb.size(), image.rgb.begin());
    return image;
  }
  const std::size_t pixels = height * width;
  for (std::size_t i = 0; i < pixels; ++i) {
    for (std::size_t c = 0; c < 3; ++c) image.rgb[3 * i + c] = from[c * pixels + i];
  }
  return image;
}

Result<OpenpiChunk> openpi_actions(const OpenpiMessage& reply) {
  const OpenpiValue* const value = reply.find("actions");
  const auto* const array = value == nullptr ? nullptr : std::get_if<OpenpiArray>(value);
  if (array == nullptr || array->shape.size() != 2 || array->count() == 0) {
    return invalid_argument("the reply has no 'actions' with rows and columns");
  }
  OpenpiChunk chunk;
  chunk.horizon = array->shape[0];
  chunk.width = array->shape[1];
  chunk.dtype = array->dtype;
  chunk.bytes = std::string(array->bytes);
  Result<std::vector<double>> numbers = openpi_numbers(*value);
  if (!numbers.ok()) return numbers.status();
  chunk.numbers = *std::move(numbers);
  return chunk;
}

OpenpiChunk make_openpi_chunk(std::size_t horizon, std::size_t width, std::vector<double> numbers,
                              const std::string& dtype) {
  OpenpiChunk chunk;
  chunk.horizon = horizon;
  chunk.width = width;
  std::optional<Dtype> type = dtype_of(dtype);
  const bool floats = type && type->kind == 'f';
  if (!floats) type = Dtype{'f', 8, false};
  chunk.dtype = floats ? dtype : "<f8";
  for (double& number : numbers) {
    const std::uint64_t bits = float_bits(number, type->size);
    for (std::size_t i = 0; i < type->size; ++i) {
      const std::size_t place = type->big ? type->size - 1 - i : i;
      chunk.bytes.push_back(static_cast<char>(bits >> (8 * place) & 255));
    }
    number = value_of_bits(bits, type->size);
  }
  chunk.numbers = std::move(numbers);
  return chunk;
}

double openpi_number_within(double number, double towards, std::string_view dtype) {
  const std::optional<Dtype> type = dtype_of(dtype);
  if (!type || type->kind != 'f' || !std::isfinite(number)) return number;
  std::uint64_t bits = float_bits(number, type->size);
  const double written = value_of_bits(bits, type->size);
  const bool beyond = towards < number ? written > number : towards > number && written < number;
  if (!beyond) return written;
  // Neighbours of one sign are neighbours as integers.
  if (written == 0) {
    const std::uint64_t sign = std::uint64_t{towards < number} << (8 * type->size - 1);
    return value_of_bits(sign | 1, type->size);
  }
  const bool shrinks = (written > 0) == (towards < number);
  bits = shrinks ? bits - 1 : bits + 1;
  return value_of_bits(bits, type->size);
}

std::string encode_openpi_reply(const OpenpiChunk& chunk, const OpenpiNote& note) {
  Sink sink;
  Packer out(sink);
  out.pack_map(3);
  pack_text(out, "actions");
  out.pack_map(4);
  pack_bin(out, "__ndarray__");
  out.pack(true);
  pack_bin(out, "data");
  pack_bin(out, chunk.bytes);
  pack_bin(out, "dtype");
  pack_text(out, chunk.dtype);
  pack_bin(out, "shape");
  out.pack_array(2);
  out.pack(chunk.horizon);
  out.pack(chunk.width);
  pack_text(out, "server_timing");
  out.pack_map(1);
  pack_text(out, "infer_ms");
  out.pack(note.infer_ms);
  pack_text(out, "hil");
  pack_note(out, note);
  return std::move(sink.bytes);
}

std::string with_openpi_note(std::string_view reply, const OpenpiNote& note) {
  const Result<Node> root = read_tree(reply);
  if (!root.ok() || root->at("hil") != nullptr) return std::string(reply);
  Sink entry;
  Packer out(entry);
  pack_text(out, "hil");
  pack_note(out, note);
  return with_entry(reply, entry.bytes);
}

std::optional<std::string> with_openpi_actions(std::string_view reply, const OpenpiChunk& chunk) {
  const Result<Node> root = read_tree(reply);
  const Node* const actions = root.ok() ? root->at("actions") : nullptr;
  if (actions == nullptr || actions->kind != Node::Kind::kMap) return std::nullopt;
  const Node* const data = actions->at("data");
  const Node* const dtype = actions->at("dtype");
  if (data == nullptr || dtype == nullptr || dtype->bytes != chunk.dtype ||
      data->bytes.size() != chunk.bytes.size()) {
    return std::nullopt;
  }
  std::string changed(reply);
  changed.replace(static_cast<std::size_t>(data->bytes.data() - reply.data()), chunk.bytes.size(),
                  chunk.bytes);
  return changed;
}

std::string encode_openpi_metadata(const OpenpiMetadata& metadata) {
  Sink entry;
  Packer out(entry);
  const auto names = [&out](const std::vector<std::string>& list) {
    out.pack_array(static_cast<std::uint32_t>(list.size()));
    for (const std::string& name : list) pack_text(out, name);
  };
  pack_text(out, "hil");
  out.pack_map(7);
  pack_text(out, "program");
  pack_text(out, metadata.program);
  pack_text(out, "robot");
  pack_text(out, metadata.robot);
  pack_text(out, "horizon");
  out.pack(metadata.horizon);
  pack_text(out, "action_size");
  out.pack(metadata.action_size);
  pack_text(out, "hz");
  out.pack(metadata.hz);
  pack_text(out, "action");
  names(metadata.action);
  pack_text(out, "cameras");
  names(metadata.cameras);
  if (!metadata.upstream.empty()) {
    const Result<Node> root = read_tree(metadata.upstream);
    if (root.ok() && root->at("hil") == nullptr) return with_entry(metadata.upstream, entry.bytes);
  }
  return with_entry("\x80", entry.bytes);
}

std::optional<std::string> with_openpi_text(std::string_view observation, std::string_view key,
                                            std::string_view text) {
  const Result<Node> root = read_tree(observation);
  if (!root.ok()) return std::nullopt;
  for (std::size_t i = 0; i < root->items.size(); ++i) {
    const Node& item = root->items[i];
    if (root->keys[i] != key || item.kind != Node::Kind::kText) continue;
    // The value's head lies between its key and its bytes.
    const auto begin =
        static_cast<std::size_t>(root->keys[i].data() + root->keys[i].size() - observation.data());
    const auto end =
        static_cast<std::size_t>(item.bytes.data() + item.bytes.size() - observation.data());
    Sink sink;
    sink.bytes.append(observation.substr(0, begin));
    Packer out(sink);
    pack_text(out, text);
    sink.bytes.append(observation.substr(end));
    return std::move(sink.bytes);
  }
  return std::nullopt;
}

}  // namespace nudge
