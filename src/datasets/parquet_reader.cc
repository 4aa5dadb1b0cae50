#include "src/datasets/parquet_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "src/datasets/snappy.h"
#include "src/datasets/thrift.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxSchema = 20'000;  // elements
constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxGroups = 1'000'000;
constexpr std::int64_t kMaxEntries = 8'388'608;  // of a page

enum : std::int32_t {
  kUncompressed = 0,
  kSnappy = 1,
  kPlain = 0,
  kPlainDictionary = 2,
  kRle = 3,
  kRleDictionary = 8,
  kDataPage = 0,
  kIndexPage = 1,
  kDictionaryPage = 2,
  kDataPageV2 = 3,
};

std::string codec_name(std::int32_t codec) {
  static constexpr const char* kNames[] = {"none",   "Snappy", "gzip", "LZO",
                                           "Brotli", "LZ4",    "Zstd", "LZ4"};
  return codec >= 0 && codec < 8 ? kNames[codec] : "number " + std::to_string(codec);
}

struct SchemaElement {
  std::int32_t type = -1;
  std::int32_t type_length = 0;
  std::int32_t repetition = 0;  // 0 required, 1 optional, 2 repeated
  std::int32_t children = 0;
  std::int32_t converted = -1;
  bool text = false;
  std::string name;
};

struct Chunk {
  std::int32_t codec = 0;
  std::uint64_t begin = 0;  // of its first page, the dictionary's included
  std::uint64_t bytes = 0;
  std::int64_t entries = 0;
};

template <typename T>
T load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Runs and bit-packed groups of numbers of `width` bits: levels, and indices into a dictionary.
// Appends `count` numbers, or gives false.
template <typename T>
bool decode_hybrid(std::string_view bytes, int width, std::size_t count, std::vector<T>& out) {
  std::size_t at = 0;
  const std::size_t value_bytes = static_cast<std::size_t>((width + 7) / 8);
  while (count > 0) {
    std::uint64_t head = 0;
    for (int shift = 0;; shift += 7) {
      if (at >= bytes.size() || shift > 35) return false;
      const auto part = static_cast<std::uint8_t>(bytes[at++]);
      head |= static_cast<std::uint64_t>(part & 0x7F) << shift;
      if ((part & 0x80) == 0) break;
    }
    if ((head & 1) == 0) {
      const std::uint64_t run = head >> 1;
      if (run == 0 || value_bytes > bytes.size() - at) return false;
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < value_bytes; ++i) {
        value |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[at + i])) << (8 * i);
      }
      at += value_bytes;
      const std::size_t take = std::min<std::uint64_t>(run, count);
      out.insert(out.end(), take, static_cast<T>(value));
      count -= take;
      continue;
    }
    const std::uint64_t groups = head >> 1;
    if (groups == 0 ||
        (width > 0 && groups > (bytes.size() - at) / static_cast<std::size_t>(width) + 1)) {
      return false;
    }
    // Writers may leave out the bytes behind the last number that is meant.
    const std::size_t available = std::min<std::size_t>(groups * width, bytes.size() - at);
    const std::size_t take = std::min<std::uint64_t>(groups * 8, count);
    if ((take * width + 7) / 8 > available) return false;
    const char* base = bytes.data() + at;
    for (std::size_t i = 0; i < take; ++i) {
      std::uint32_t value = 0;
      for (int bit = 0; bit < width; ++bit) {
        const std::size_t place = i * width + bit;
        const auto byte = static_cast<std::uint8_t>(base[place / 8]);
        value |= static_cast<std::uint32_t>((byte >> (place % 8)) & 1) << bit;
      }
      out.push_back(static_cast<T>(value));
    }
    at += available;
    count -= take;
  }
  return true;
}

int bits_of(std::uint8_t level) {
  int bits = 0;
  while ((level >> bits) != 0) ++bits;
  return bits;
}

// Values of one leaf's type.
struct Values {
  std::vector<std::int64_t> whole;
  std::vector<double> real;
  std::vector<std::string> text;
};

// `count` PLAIN values.
bool decode_plain(const ParquetLeaf& leaf, std::string_view bytes, std::size_t count, Values& out) {
  const auto fits = [&](std::size_t size) { return count <= bytes.size() / size; };
  switch (leaf.type) {
    case ParquetType::kBool:
      if ((count + 7) / 8 > bytes.size()) return false;
      for (std::size_t i = 0; i < count; ++i) {
        out.whole.push_back((static_cast<std::uint8_t>(bytes[i / 8]) >> (i % 8)) & 1);
      }
      return true;
    case ParquetType::kInt32:
      if (!fits(4)) return false;
      for (std::size_t i = 0; i < count; ++i) {
        out.whole.push_back(load<std::int32_t>(bytes.data() + 4 * i));
      }
      return true;
    case ParquetType::kInt64:
      if (!fits(8)) return false;
      for (std::size_t i = 0; i < count; ++i) {
        out.whole.push_back(load<std::int64_t>(bytes.data() + 8 * i));
      }
      return true;
    case ParquetType::kFloat:
      if (!fits(4)) return false;
      for (std::size_t i = 0; i < count; ++i) {
        out.real.push_back(load<float>(bytes.data() + 4 * i));
      }
      return true;
    case ParquetType::kDouble:
      if (!fits(8)) return false;
      for (std::size_t i = 0; i < count; ++i) {
        out.real.push_back(load<double>(bytes.data() + 8 * i));
      }
      return true;
    case ParquetType::kText:
    case ParquetType::kBytes: {
      std::size_t at = 0;
      for (std::size_t i = 0; i < count; ++i) {
        std::size_t size = leaf.fixed_bytes;
        if (size == 0) {
          if (bytes.size() - at < 4) return false;
          size = load<std::uint32_t>(bytes.data() + at);
          at += 4;
        }
        if (size > bytes.size() - at) return false;
        out.text.emplace_back(bytes.substr(at, size));
        at += size;
      }
      return true;
    }
  }
  return false;
}

struct PageHeader {
  std::int32_t type = -1;
  std::int32_t uncompressed = -1;
  std::int32_t compressed = -1;
  std::int32_t entries = -1;
  std::int32_t encoding = -1;
  std::int32_t definition_encoding = kRle;
  std::int32_t repetition_encoding = kRle;
  // Version 2.
  std::int32_t definition_bytes = 0;
  std::int32_t repetition_bytes = 0;
  bool is_compressed = true;
};

bool read_page_header(ThriftReader& in, PageHeader& page) {
  return in.read_struct([&](std::int16_t id, ThriftType type) {
    switch (id) {
      case 1: return in.read_i32(type, page.type);
      case 2: return in.read_i32(type, page.uncompressed);
      case 3: return in.read_i32(type, page.compressed);
      case 5:
      case 7:
        if (type != ThriftType::kStruct) return false;
        return in.read_struct([&](std::int16_t field, ThriftType t) {
          switch (field) {
            case 1: return in.read_i32(t, page.entries);
            case 2: return in.read_i32(t, page.encoding);
            case 3: return id == 5 ? in.read_i32(t, page.definition_encoding) : in.skip(t);
            case 4: return id == 5 ? in.read_i32(t, page.repetition_encoding) : in.skip(t);
            default: return in.skip(t);
          }
        });
      case 8:
        if (type != ThriftType::kStruct) return false;
        return in.read_struct([&](std::int16_t field, ThriftType t) {
          switch (field) {
            case 1: return in.read_i32(t, page.entries);
            case 4: return in.read_i32(t, page.encoding);
            case 5: return in.read_i32(t, page.definition_bytes);
            case 6: return in.read_i32(t, page.repetition_bytes);
            case 7:
              page.is_compressed = t == ThriftType::kTrue;
              return t == ThriftType::kTrue || t == ThriftType::kFalse;
            default: return in.skip(t);
          }
        });
      default: return in.skip(type);
    }
  });
}

}  // namespace

void ParquetCells::clear() {
  repetition.clear();
  definition.clear();
  whole.clear();
  real.clear();
  text.clear();
}

struct ParquetReader::State {
  std::unique_ptr<File> file;
  std::string path;
  std::uint64_t size = 0;
  std::uint64_t rows = 0;
  std::vector<ParquetLeaf> leaves;
  std::vector<std::vector<Chunk>> groups;  // [row group][leaf]
  ParquetMetadata metadata;

  Status damaged(const std::string& what) const {
    return data_loss(path + " is no whole Parquet file: " + what);
  }

  Result<std::string> read(std::uint64_t offset, std::size_t bytes) const {
    if (offset > size || bytes > size - offset) return damaged("it points behind its own end");
    std::string out(bytes, '\0');
    const Result<std::size_t> got =
        file->pread(std::as_writable_bytes(std::span(out.data(), out.size())), offset);
    if (!got.ok()) return got.status();
    if (*got != bytes) return damaged("it was cut off while it was read");
    return out;
  }

  // Leaves under element `at`, which is moved behind them. False: damaged.
  bool collect(const std::vector<SchemaElement>& elements, std::size_t& at, ParquetLeaf above,
               std::size_t depth) {
    if (at >= elements.size() || depth > kMaxDepth) return false;
    const SchemaElement& element = elements[at++];
    above.path.push_back(element.name);
    if (element.repetition == 1) above.max_definition += 1;
    if (element.repetition == 2) {
      above.max_definition += 1;
      above.max_repetition += 1;
    }
    if (element.children > 0) {
      for (std::int32_t i = 0; i < element.children; ++i) {
        if (!collect(elements, at, above, depth + 1)) return false;
      }
      return true;
    }
    switch (element.type) {
      case 0: above.type = ParquetType::kBool; break;
      case 1: above.type = ParquetType::kInt32; break;
      case 2: above.type = ParquetType::kInt64; break;
      case 4: above.type = ParquetType::kFloat; break;
      case 5: above.type = ParquetType::kDouble; break;
      case 6: above.type = element.text ? ParquetType::kText : ParquetType::kBytes; break;
      case 3:  // INT96
      case 7:
        above.type = ParquetType::kBytes;
        if (element.type == 7 && element.type_length <= 0) return false;
        above.fixed_bytes =
            element.type == 3 ? 12 : static_cast<std::uint32_t>(element.type_length);
        break;
      case -1: return element.children == 0;  // a group without fields has no column
      default: return false;
    }
    leaves.push_back(std::move(above));
    return true;
  }

  bool read_chunk(ThriftReader& in, Chunk& chunk, bool& elsewhere) {
    std::int64_t data = -1, dictionary = -1, bytes = -1;
    const bool whole = in.read_struct([&](std::int16_t id, ThriftType type) {
      if (id == 1) elsewhere = true;
      if (id != 3 || type != ThriftType::kStruct) return in.skip(type);
      return in.read_struct([&](std::int16_t field, ThriftType t) {
        switch (field) {
          case 4: return in.read_i32(t, chunk.codec);
          case 5: return in.read_i64(t, chunk.entries);
          case 7: return in.read_i64(t, bytes);
          case 9: return in.read_i64(t, data);
          case 11: return in.read_i64(t, dictionary);
          default: return in.skip(t);
        }
      });
    });
    if (!whole || data < 0 || bytes < 0 || chunk.entries < 0) return false;
    const std::int64_t begin = dictionary > 0 ? std::min(data, dictionary) : data;
    chunk.begin = static_cast<std::uint64_t>(begin);
    chunk.bytes = static_cast<std::uint64_t>(bytes);
    return chunk.begin <= size && chunk.bytes <= size - chunk.begin;
  }

  Status read_footer() {
    if (size < 12) return damaged("it has only " + std::to_string(size) + " bytes");
    Result<std::string> tail = read(size - 8, 8);
    if (!tail.ok()) return tail.status();
    if (tail->substr(4) == "PARE") return unimplemented(path + " is encrypted");
    if (tail->substr(4) != "PAR1") return damaged("its last bytes are not PAR1");
    const auto bytes = load<std::uint32_t>(tail->data());
    if (bytes > size - 12) return damaged("its footer is longer than the file");
    if (bytes > kMaxFooterBytes) return damaged("its footer has more than 64 MiB");
    Result<std::string> footer = read(size - 8 - bytes, bytes);
    if (!footer.ok()) return footer.status();
    ThriftReader in(std::as_bytes(std::span(footer->data(), footer->size())));
    std::vector<SchemaElement> elements;
    std::int64_t row_count = -1;
    std::int64_t rows_in_groups = 0;
    bool elsewhere = false;
    const auto schema = [&](ThriftType) {
      SchemaElement e;
      const bool whole = in.read_struct([&](std::int16_t id, ThriftType type) {
        switch (id) {
          case 1: return in.read_i32(type, e.type);
          case 2: return in.read_i32(type, e.type_length);
          case 3: return in.read_i32(type, e.repetition);
          case 4: return in.read_text(type, e.name);
          case 5: return in.read_i32(type, e.children);
          case 6: return in.read_i32(type, e.converted);
          case 10:
            if (type != ThriftType::kStruct) return false;
            return in.read_struct([&](std::int16_t field, ThriftType t) {
              if (field == 1) e.text = true;
              return in.skip(t);
            });
          default: return in.skip(type);
        }
      });
      e.text = e.text || e.converted == 0;
      elements.push_back(std::move(e));
      return whole;
    };
    const auto group = [&](ThriftType) {
      std::vector<Chunk> chunks;
      std::int64_t count = -1;
      const bool whole = in.read_struct([&](std::int16_t id, ThriftType type) {
        if (id == 1 && type == ThriftType::kList) {
          return in.read_list(kMaxSchema, [&](ThriftType) {
            chunks.push_back({});
            return read_chunk(in, chunks.back(), elsewhere);
          });
        }
        if (id == 3) return in.read_i64(type, count);
        return in.skip(type);
      });
      if (!whole || count < 0 || count > INT64_MAX - rows_in_groups) return false;
      rows_in_groups += count;
      groups.push_back(std::move(chunks));
      return true;
    };
    const bool whole = in.read_struct([&](std::int16_t id, ThriftType type) {
      if (id == 2 && type == ThriftType::kList) return in.read_list(kMaxSchema, schema);
      if (id == 3) return in.read_i64(type, row_count);
      if (id == 4 && type == ThriftType::kList) return in.read_list(kMaxGroups, group);
      if (id == 5 && type == ThriftType::kList) {
        return in.read_list(kMaxSchema, [&](ThriftType) {
          std::pair<std::string, std::string> entry;
          const bool read = in.read_struct([&](std::int16_t field, ThriftType t) {
            if (field == 1) return in.read_text(t, entry.first);
            if (field == 2) return in.read_text(t, entry.second);
            return in.skip(t);
          });
          metadata.push_back(std::move(entry));
          return read;
        });
      }
      return in.skip(type);
    });
    if (elsewhere) return unimplemented(path + " keeps its columns in other files");
    if (!whole || elements.empty()) return damaged("its footer cannot be read");
    std::size_t at = 1;
    for (std::int32_t i = 0; i < elements[0].children; ++i) {
      if (!collect(elements, at, {}, 0)) return damaged("its schema makes no sense");
    }
    if (at != elements.size()) return damaged("its schema makes no sense");
    if (row_count < 0 || row_count != rows_in_groups) {
      return damaged("its row groups do not add up to its rows");
    }
    rows = static_cast<std::uint64_t>(row_count);
    for (const std::vector<Chunk>& chunks : groups) {
      if (chunks.size() != leaves.size()) return damaged("a row group lacks columns");
    }
    return {};
  }
};

ParquetReader::ParquetReader() : state_(std::make_unique<State>()) {}
ParquetReader::~ParquetReader() = default;

Result<std::unique_ptr<ParquetReader>> ParquetReader::open(FileSystem& files,
                                                           const std::string& path) {
  std::unique_ptr<ParquetReader> reader(new ParquetReader());
  State& s = *reader->state_;
  s.path = path;
  Result<std::unique_ptr<File>> file = files.open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  s.file = *std::move(file);
  const Result<std::uint64_t> size = s.file->size();
  if (!size.ok()) return size.status();
  s.size = *size;
  NUDGE_TRY(s.read_footer());
  return reader;
}

std::uint64_t ParquetReader::rows() const { return state_->rows; }
const std::vector<ParquetLeaf>& ParquetReader::leaves() const { return state_->leaves; }
const ParquetMetadata& ParquetReader::metadata() const { return state_->metadata; }

std::size_t ParquetReader::find(const std::string& field, const std::string& last) const {
  for (std::size_t i = 0; i < state_->leaves.size(); ++i) {
    const std::vector<std::string>& path = state_->leaves[i].path;
    if (path.front() == field && (last.empty() || path.back() == last)) return i;
  }
  return npos;
}

struct ParquetColumn::State {
  const ParquetReader::State* reader = nullptr;
  std::size_t leaf = 0;
  std::size_t group = 0;
  // Within the chunk of `group`.
  bool open = false;
  std::uint64_t at = 0, end = 0;
  std::int64_t left = 0;  // entries that are still to come
  std::optional<Values> dictionary;
  // The page.
  std::vector<std::uint8_t> repetition, definition;
  Values values;
  std::vector<std::uint32_t> indices;
  bool by_index = false;
  std::size_t entry = 0, value = 0;
  Status failed;

  const ParquetLeaf& spec() const { return reader->leaves[leaf]; }
  Status damaged(const std::string& what) const {
    return reader->damaged("column " + spec().path.front() + ": " + what);
  }
  Status foreign(const std::string& what) const {
    return unimplemented(reader->path + ": column " + spec().path.front() + " has " + what +
                         ", which is not read here; write the file anew with pyarrow's defaults "
                         "(Snappy, dictionary)");
  }

  // Whether an entry is at hand; loads pages, and begins row groups.
  Result<bool> ready() {
    while (entry >= definition.size()) {
      if (!open || left == 0) {
        if (open) {
          ++group;
          open = false;
        }
        if (group >= reader->groups.size()) return false;
        const Chunk& chunk = reader->groups[group][leaf];
        at = chunk.begin;
        end = chunk.begin + chunk.bytes;
        left = chunk.entries;
        dictionary.reset();
        open = true;
        if (left == 0) continue;
      }
      NUDGE_TRY(load_page());
    }
    return true;
  }

  Status load_page() {
    const Chunk& chunk = reader->groups[group][leaf];
    if (at >= end) return damaged("pages are missing");
    // A header is small; its statistics may hold values, so the first try may be too short.
    PageHeader page;
    std::size_t header_bytes = 0;
    for (std::size_t window = 256;; window *= 16) {
      const std::size_t bytes = std::min<std::uint64_t>(window, end - at);
      Result<std::string> head = reader->read(at, bytes);
      if (!head.ok()) return head.status();
      ThriftReader in(std::as_bytes(std::span(head->data(), head->size())));
      page = {};
      if (read_page_header(in, page)) {
        header_bytes = in.position();
        break;
      }
      if (bytes == end - at || window > (16u << 20)) return damaged("a page's header is damaged");
    }
    at += header_bytes;
    if (page.compressed < 0 || page.uncompressed < 0 ||
        static_cast<std::uint64_t>(page.compressed) > end - at ||
        static_cast<std::size_t>(page.uncompressed) > ParquetReader::kMaxPageBytes) {
      return damaged("a page has an impossible size");
    }
    if (page.type == kIndexPage) {
      at += static_cast<std::uint64_t>(page.compressed);
      return {};
    }
    if (page.entries < 0 || page.entries > kMaxEntries) {
      return damaged("a page has an impossible number of values");
    }
    if (chunk.codec != kUncompressed && chunk.codec != kSnappy) {
      return foreign("compression " + codec_name(chunk.codec));
    }
    Result<std::string> body = reader->read(at, static_cast<std::size_t>(page.compressed));
    if (!body.ok()) return body.status();
    at += static_cast<std::uint64_t>(page.compressed);
    switch (page.type) {
      case kDictionaryPage: return load_dictionary(page, chunk.codec, *body);
      case kDataPage: return load_data(page, chunk.codec, *body);
      case kDataPageV2: return load_data_v2(page, chunk.codec, *body);
      default: return foreign("a page of type " + std::to_string(page.type));
    }
  }

  Result<std::string> inflate(std::int32_t codec, std::string_view bytes, std::size_t size) const {
    if (codec == kSnappy) {
      return snappy_decompress(std::as_bytes(std::span(bytes.data(), bytes.size())), size);
    }
    if (bytes.size() != size) return damaged("a page has two sizes");
    return std::string(bytes);
  }

  Status load_dictionary(const PageHeader& page, std::int32_t codec, std::string_view body) {
    if (page.encoding != kPlain && page.encoding != kPlainDictionary) {
      return foreign("a dictionary in encoding " + std::to_string(page.encoding));
    }
    const Result<std::string> bytes =
        inflate(codec, body, static_cast<std::size_t>(page.uncompressed));
    if (!bytes.ok()) return bytes.status();
    dictionary.emplace();
    if (!decode_plain(spec(), *bytes, static_cast<std::size_t>(page.entries), *dictionary)) {
      return damaged("its dictionary is damaged");
    }
    return {};
  }

  void begin_page() {
    repetition.clear();
    definition.clear();
    values = {};
    indices.clear();
    entry = 0;
    value = 0;
  }

  Status load_data(const PageHeader& page, std::int32_t codec, std::string_view body) {
    const Result<std::string> bytes =
        inflate(codec, body, static_cast<std::size_t>(page.uncompressed));
    if (!bytes.ok()) return bytes.status();
    begin_page();
    std::string_view rest = *bytes;
    const auto levels = [&](std::uint8_t largest, std::int32_t encoding,
                            std::vector<std::uint8_t>& out) -> Status {
      const auto count = static_cast<std::size_t>(page.entries);
      if (largest == 0) {
        out.assign(count, 0);
        return {};
      }
      if (encoding != kRle) return foreign("levels in encoding " + std::to_string(encoding));
      if (rest.size() < 4) return damaged("levels are missing");
      const auto length = load<std::uint32_t>(rest.data());
      rest.remove_prefix(4);
      if (length > rest.size() ||
          !decode_hybrid(rest.substr(0, length), bits_of(largest), count, out)) {
        return damaged("levels are damaged");
      }
      rest.remove_prefix(length);
      return {};
    };
    NUDGE_TRY(levels(spec().max_repetition, page.repetition_encoding, repetition));
    NUDGE_TRY(levels(spec().max_definition, page.definition_encoding, definition));
    return load_values(page, rest);
  }

  Status load_data_v2(const PageHeader& page, std::int32_t codec, std::string_view body) {
    begin_page();
    const auto count = static_cast<std::size_t>(page.entries);
    const std::int64_t levels_bytes =
        std::int64_t{page.repetition_bytes} + std::int64_t{page.definition_bytes};
    if (page.repetition_bytes < 0 || page.definition_bytes < 0 ||
        levels_bytes > static_cast<std::int64_t>(body.size()) || levels_bytes > page.uncompressed) {
      return damaged("levels are damaged");
    }
    const auto levels = [&](std::uint8_t largest, std::int32_t bytes,
                            std::vector<std::uint8_t>& out) {
      const std::string_view part = body.substr(0, static_cast<std::size_t>(bytes));
      body.remove_prefix(part.size());
      if (largest == 0) {
        out.assign(count, 0);
        return true;
      }
      return decode_hybrid(part, bits_of(largest), count, out);
    };
    if (!levels(spec().max_repetition, page.repetition_bytes, repetition) ||
        !levels(spec().max_definition, page.definition_bytes, definition)) {
      return damaged("levels are damaged");
    }
    const Result<std::string> bytes =
        inflate(page.is_compressed ? codec : static_cast<std::int32_t>(kUncompressed), body,
                static_cast<std::size_t>(page.uncompressed - levels_bytes));
    if (!bytes.ok()) return bytes.status();
    return load_values(page, *bytes);
  }

  Status load_values(const PageHeader& page, std::string_view bytes) {
    std::size_t present = 0;
    for (std::size_t i = 0; i < definition.size(); ++i) {
      if (definition[i] > spec().max_definition || repetition[i] > spec().max_repetition) {
        return damaged("levels are damaged");
      }
      if (definition[i] == spec().max_definition) ++present;
    }
    if (page.entries > left) return damaged("there are more values than it says");
    left -= page.entries;
    by_index = false;
    if (page.encoding == kPlain) {
      if (!decode_plain(spec(), bytes, present, values)) return damaged("values are missing");
      return {};
    }
    if (page.encoding == kRle && spec().type == ParquetType::kBool) {
      if (bytes.size() < 4) return damaged("values are missing");
      std::vector<std::uint32_t> bits;
      if (!decode_hybrid(bytes.substr(4), 1, present, bits)) return damaged("values are missing");
      values.whole.assign(bits.begin(), bits.end());
      return {};
    }
    if (page.encoding != kPlainDictionary && page.encoding != kRleDictionary) {
      return foreign("values in encoding " + std::to_string(page.encoding));
    }
    if (!dictionary) return damaged("its dictionary is missing");
    by_index = true;
    if (present == 0) return {};
    if (bytes.empty()) return damaged("values are missing");
    const int width = static_cast<std::uint8_t>(bytes[0]);
    if (width > 32 || !decode_hybrid(bytes.substr(1), width, present, indices)) {
      return damaged("values are damaged");
    }
    const std::size_t known =
        std::max({dictionary->whole.size(), dictionary->real.size(), dictionary->text.size()});
    for (const std::uint32_t index : indices) {
      if (index >= known) return damaged("a value is not in its dictionary");
    }
    return {};
  }

  void take(ParquetCells& cells) {
    const std::uint8_t level = definition[entry];
    cells.repetition.push_back(repetition[entry]);
    cells.definition.push_back(level);
    ++entry;
    if (level != spec().max_definition) return;
    const Values& from = by_index ? *dictionary : values;
    const std::size_t i = by_index ? indices[value] : value;
    ++value;
    switch (spec().type) {
      case ParquetType::kBool:
      case ParquetType::kInt32:
      case ParquetType::kInt64: cells.whole.push_back(from.whole[i]); break;
      case ParquetType::kFloat:
      case ParquetType::kDouble: cells.real.push_back(from.real[i]); break;
      case ParquetType::kText:
      case ParquetType::kBytes: cells.text.push_back(from.text[i]); break;
    }
  }

  Result<bool> next(ParquetCells& cells) {
    cells.clear();
    Result<bool> more = ready();
    if (!more.ok() || !*more) return more;
    if (repetition[entry] != 0) return damaged("a row begins in its middle");
    std::size_t taken = 0;
    do {
      take(cells);
      if (++taken > static_cast<std::size_t>(kMaxEntries)) {
        return damaged("a row has too many values");
      }
      // A row ends with its row group.
      if (entry >= definition.size() && left == 0) break;
      more = ready();
      if (!more.ok()) return more;
    } while (*more && repetition[entry] != 0);
    return true;
  }
};

ParquetColumn::ParquetColumn(std::unique_ptr<State> state) : state_(std::move(state)) {}
ParquetColumn::~ParquetColumn() = default;
ParquetColumn::ParquetColumn(ParquetColumn&&) noexcept = default;

Result<bool> ParquetColumn::next(ParquetCells& cells) {
  if (!state_->failed.ok()) return state_->failed;
  Result<bool> more = state_->next(cells);
  if (!more.ok()) state_->failed = more.status();
  return more;
}

ParquetColumn ParquetReader::column(std::size_t i) const {
  auto state = std::make_unique<ParquetColumn::State>();
  state->reader = state_.get();
  state->leaf = i;
  return ParquetColumn(std::move(state));
}

}  // namespace nudge
