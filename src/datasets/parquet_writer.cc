#include "src/datasets/parquet_writer.h"

#include <algorithm>
#include <cstring>

#include "src/datasets/thrift.h"

namespace nudge {
namespace {

constexpr std::string_view kMagic = "PAR1";

// Numbers of the format.
enum : std::int32_t {
  kPhysicalBool = 0,
  kPhysicalInt32 = 1,
  kPhysicalInt64 = 2,
  kPhysicalFloat = 4,
  kPhysicalDouble = 5,
  kPhysicalBytes = 6,
  kOptional = 1,
  kRepeated = 2,
  kConvertedUtf8 = 0,
  kConvertedList = 3,
  kLogicalText = 1,
  kLogicalList = 3,
  kEncodingPlain = 0,
  kEncodingRle = 3,
  kUncompressed = 0,
  kDataPage = 0,
};

std::int32_t physical(ParquetType type) {
  switch (type) {
    case ParquetType::kBool: return kPhysicalBool;
    case ParquetType::kInt32: return kPhysicalInt32;
    case ParquetType::kInt64: return kPhysicalInt64;
    case ParquetType::kFloat: return kPhysicalFloat;
    case ParquetType::kDouble: return kPhysicalDouble;
    case ParquetType::kText:
    case ParquetType::kBytes: return kPhysicalBytes;
  }
  return kPhysicalBytes;
}

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);  // the format is little-endian, and so are we
  out.append(bytes, sizeof value);
}

// Levels of a page, as runs; one byte a level is enough for the depths that exist here.
std::string levels_of(const std::vector<std::uint8_t>& levels) {
  std::string runs;
  for (std::size_t i = 0; i < levels.size();) {
    std::size_t end = i + 1;
    while (end < levels.size() && levels[end] == levels[i]) ++end;
    std::uint64_t head = static_cast<std::uint64_t>(end - i) << 1;
    while (head >= 0x80) {
      runs.push_back(static_cast<char>(head | 0x80));
      head >>= 7;
    }
    runs.push_back(static_cast<char>(head));
    runs.push_back(static_cast<char>(levels[i]));
    i = end;
  }
  std::string out;
  put(out, static_cast<std::uint32_t>(runs.size()));
  return out + runs;
}

// A leaf's part of the row group that is being collected.
struct Column {
  ParquetLeaf leaf;
  // The page that is being collected.
  std::vector<std::uint8_t> repetition, definition;
  std::string values;
  std::vector<bool> booleans;
  // Finished pages.
  std::string pages;
  std::uint64_t entries = 0;
  // Of whole numbers, so that readers can pass over row groups.
  std::int64_t smallest = INT64_MAX, largest = INT64_MIN;

  void finish_page() {
    if (definition.empty()) return;
    std::string body;
    if (leaf.max_repetition > 0) body += levels_of(repetition);
    body += levels_of(definition);
    if (leaf.type == ParquetType::kBool) {
      std::string bits((booleans.size() + 7) / 8, '\0');
      for (std::size_t i = 0; i < booleans.size(); ++i) {
        if (booleans[i]) bits[i / 8] = static_cast<char>(bits[i / 8] | (1 << (i % 8)));
      }
      body += bits;
    } else {
      body += values;
    }
    ThriftWriter header(pages);
    header.begin_struct();
    header.field_i32(1, kDataPage);
    header.field_i32(2, static_cast<std::int32_t>(body.size()));
    header.field_i32(3, static_cast<std::int32_t>(body.size()));
    header.field_struct(5);
    header.field_i32(1, static_cast<std::int32_t>(definition.size()));
    header.field_i32(2, kEncodingPlain);
    header.field_i32(3, kEncodingRle);
    header.field_i32(4, kEncodingRle);
    header.end_struct();
    header.end_struct();
    pages += body;
    entries += definition.size();
    repetition.clear();
    definition.clear();
    values.clear();
    booleans.clear();
  }
  std::size_t bytes() const { return pages.size() + values.size() + 2 * definition.size(); }
};

struct Chunk {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::int64_t smallest = 0, largest = -1;  // smallest > largest: none
};
struct RowGroup {
  std::uint64_t rows = 0;
  std::vector<Chunk> chunks;
};

void schema_element(ThriftWriter& out, const ParquetField& field) {
  using Kind = ParquetField::Kind;
  out.begin_struct();
  if (field.kind == Kind::kValue) out.field_i32(1, physical(field.type));
  out.field_i32(3, kOptional);
  out.field_text(4, field.name);
  if (field.kind == Kind::kList) out.field_i32(5, 1);
  if (field.kind == Kind::kGroup)
    out.field_i32(5, static_cast<std::int32_t>(field.children.size()));
  const bool text = field.kind == Kind::kValue && field.type == ParquetType::kText;
  if (text || field.kind == Kind::kList) {
    out.field_i32(6, text ? kConvertedUtf8 : kConvertedList);
    out.field_struct(10);
    out.field_struct(text ? kLogicalText : kLogicalList);
    out.end_struct();
    out.end_struct();
  }
  out.end_struct();
  if (field.kind == Kind::kList) {
    out.begin_struct();
    out.field_i32(3, kRepeated);
    out.field_text(4, "list");
    out.field_i32(5, 1);
    out.end_struct();
  }
  for (const ParquetField& child : field.children) schema_element(out, child);
}

std::size_t schema_size(const ParquetField& field) {
  std::size_t size = field.kind == ParquetField::Kind::kList ? 2 : 1;
  for (const ParquetField& child : field.children) size += schema_size(child);
  return size;
}

void collect_leaves(const ParquetField& field, ParquetLeaf above, std::vector<Column>& columns) {
  above.path.push_back(field.name);
  above.max_definition += 1;
  if (field.kind == ParquetField::Kind::kValue) {
    above.type = field.type;
    columns.push_back({});
    columns.back().leaf = std::move(above);
    return;
  }
  if (field.kind == ParquetField::Kind::kList) {
    above.path.push_back("list");
    above.max_definition += 1;
    above.max_repetition += 1;
  }
  for (const ParquetField& child : field.children) collect_leaves(child, above, columns);
}

std::size_t leaves_of(const ParquetField& field) {
  if (field.kind == ParquetField::Kind::kValue) return 1;
  std::size_t count = 0;
  for (const ParquetField& child : field.children) count += leaves_of(child);
  return count;
}

}  // namespace

struct ParquetWriter::State {
  std::unique_ptr<File> file;
  std::string path;
  std::vector<ParquetField> fields;
  std::vector<std::size_t> first_leaf;  // of each field
  std::vector<bool> added;              // in this row
  ParquetMetadata metadata;
  std::vector<Column> columns;
  std::vector<RowGroup> groups;
  std::uint64_t written = 0;
  std::uint64_t rows = 0;
  std::uint64_t group_rows = 0;

  Status write(std::string_view bytes) {
    NUDGE_TRY(file->pwrite(std::as_bytes(std::span(bytes.data(), bytes.size())), written));
    written += bytes.size();
    return {};
  }

  void nulls(const ParquetField& field, std::size_t leaf, std::uint8_t repetition,
             std::uint8_t definition) {
    for (std::size_t i = 0; i < leaves_of(field); ++i) {
      columns[leaf + i].repetition.push_back(repetition);
      columns[leaf + i].definition.push_back(definition);
    }
  }

  // One value of a leaf, which is there.
  template <typename Write>
  void entry(std::size_t leaf, std::uint8_t repetition, Write write) {
    Column& column = columns[leaf];
    column.repetition.push_back(repetition);
    column.definition.push_back(column.leaf.max_definition);
    write(column);
  }
  void number(std::size_t leaf, std::uint8_t repetition, double real, std::int64_t whole) {
    entry(leaf, repetition, [&](Column& c) {
      switch (c.leaf.type) {
        case ParquetType::kBool: c.booleans.push_back(whole != 0); break;
        case ParquetType::kInt32: put(c.values, static_cast<std::int32_t>(whole)); break;
        case ParquetType::kInt64:
          put(c.values, whole);
          c.smallest = std::min(c.smallest, whole);
          c.largest = std::max(c.largest, whole);
          break;
        case ParquetType::kFloat: put(c.values, static_cast<float>(real)); break;
        case ParquetType::kDouble: put(c.values, real); break;
        case ParquetType::kText:
        case ParquetType::kBytes: c.definition.back() -= 1; break;
      }
    });
  }
  void text(std::size_t leaf, std::uint8_t repetition, std::string_view bytes) {
    entry(leaf, repetition, [&](Column& c) {
      if (c.leaf.type != ParquetType::kText && c.leaf.type != ParquetType::kBytes) {
        c.definition.back() -= 1;
        return;
      }
      put(c.values, static_cast<std::uint32_t>(bytes.size()));
      c.values.append(bytes);
    });
  }

  // `definition` of what is above the field; `depth` of lists above it.
  void shred(const ParquetField& field, const ParquetValue& value, std::size_t leaf,
             std::uint8_t repetition, std::uint8_t definition, std::uint8_t depth) {
    const auto* parts = std::get_if<std::vector<ParquetValue>>(&value.v);
    switch (field.kind) {
      case ParquetField::Kind::kValue:
        if (const auto* b = std::get_if<bool>(&value.v)) {
          number(leaf, repetition, *b ? 1 : 0, *b ? 1 : 0);
        } else if (const auto* i = std::get_if<std::int64_t>(&value.v)) {
          number(leaf, repetition, static_cast<double>(*i), *i);
        } else if (const auto* d = std::get_if<double>(&value.v)) {
          number(leaf, repetition, *d, static_cast<std::int64_t>(*d));
        } else if (const auto* s = std::get_if<std::string>(&value.v)) {
          text(leaf, repetition, *s);
        } else {
          nulls(field, leaf, repetition, definition);
        }
        return;
      case ParquetField::Kind::kList:
        if (parts == nullptr) return nulls(field, leaf, repetition, definition);
        if (parts->empty()) return nulls(field, leaf, repetition, definition + 1);
        for (std::size_t i = 0; i < parts->size(); ++i) {
          shred(field.children[0], (*parts)[i], leaf,
                i == 0 ? repetition : static_cast<std::uint8_t>(depth + 1), definition + 2,
                depth + 1);
        }
        return;
      case ParquetField::Kind::kGroup:
        if (parts == nullptr || parts->size() != field.children.size()) {
          return nulls(field, leaf, repetition, definition);
        }
        for (std::size_t i = 0; i < parts->size(); ++i) {
          shred(field.children[i], (*parts)[i], leaf, repetition, definition + 1, depth);
          leaf += leaves_of(field.children[i]);
        }
        return;
    }
  }
};

ParquetWriter::ParquetWriter() : state_(std::make_unique<State>()) {}
ParquetWriter::~ParquetWriter() = default;

Result<std::unique_ptr<ParquetWriter>> ParquetWriter::create(FileSystem& files,
                                                             const std::string& path,
                                                             std::vector<ParquetField> fields,
                                                             ParquetMetadata metadata) {
  std::unique_ptr<ParquetWriter> writer(new ParquetWriter());
  State& s = *writer->state_;
  Result<std::unique_ptr<File>> file = files.open(path, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  s.file = *std::move(file);
  s.path = path;
  s.fields = std::move(fields);
  s.metadata = std::move(metadata);
  for (const ParquetField& field : s.fields) {
    s.first_leaf.push_back(s.columns.size());
    collect_leaves(field, {}, s.columns);
  }
  s.added.assign(s.fields.size(), false);
  NUDGE_TRY(s.write(kMagic));
  return writer;
}

void ParquetWriter::add(std::size_t i, const ParquetValue& value) {
  state_->shred(state_->fields[i], value, state_->first_leaf[i], 0, 0, 0);
  state_->added[i] = true;
}

void ParquetWriter::add(std::size_t i, bool value) {
  state_->number(state_->first_leaf[i], 0, value ? 1 : 0, value ? 1 : 0);
  state_->added[i] = true;
}

void ParquetWriter::add(std::size_t i, std::int64_t value) {
  state_->number(state_->first_leaf[i], 0, static_cast<double>(value), value);
  state_->added[i] = true;
}

void ParquetWriter::add(std::size_t i, double value) {
  state_->number(state_->first_leaf[i], 0, value, static_cast<std::int64_t>(value));
  state_->added[i] = true;
}

void ParquetWriter::add(std::size_t i, std::string_view value) {
  state_->text(state_->first_leaf[i], 0, value);
  state_->added[i] = true;
}

void ParquetWriter::add(std::size_t i, std::span<const float> values) {
  Column& column = state_->columns[state_->first_leaf[i]];
  state_->added[i] = true;
  if (values.empty()) {
    column.repetition.push_back(0);
    column.definition.push_back(1);
    return;
  }
  column.repetition.push_back(0);
  column.repetition.insert(column.repetition.end(), values.size() - 1, 1);
  column.definition.insert(column.definition.end(), values.size(), column.leaf.max_definition);
  column.values.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

void ParquetWriter::add(std::size_t i, std::span<const std::byte> bytes, std::string_view text) {
  const std::size_t leaf = state_->first_leaf[i];
  state_->text(leaf, 0, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  state_->text(leaf + 1, 0, text);
  state_->added[i] = true;
}

Status ParquetWriter::end_row() {
  State& s = *state_;
  for (std::size_t i = 0; i < s.fields.size(); ++i) {
    if (!s.added[i]) s.nulls(s.fields[i], s.first_leaf[i], 0, 0);
    s.added[i] = false;
  }
  std::size_t waiting = 0;
  for (Column& column : s.columns) {
    if (column.values.size() + column.definition.size() >= kPageBytes) column.finish_page();
    waiting += column.bytes();
  }
  ++s.rows;
  ++s.group_rows;
  return waiting >= kRowGroupBytes ? end_group() : Status();
}

Status ParquetWriter::end_group() {
  State& s = *state_;
  if (s.group_rows == 0) return {};
  RowGroup group;
  group.rows = s.group_rows;
  for (Column& column : s.columns) {
    column.finish_page();
    group.chunks.push_back({.offset = s.written,
                            .bytes = column.pages.size(),
                            .entries = column.entries,
                            .smallest = column.smallest,
                            .largest = column.largest});
    NUDGE_TRY(s.write(column.pages));
    column.pages = {};  // gives the memory back
    column.entries = 0;
    column.smallest = INT64_MAX;
    column.largest = INT64_MIN;
  }
  s.groups.push_back(std::move(group));
  s.group_rows = 0;
  return {};
}

Status ParquetWriter::finish() {
  State& s = *state_;
  NUDGE_TRY(end_group());
  std::string footer;
  ThriftWriter out(footer);
  out.begin_struct();
  out.field_i32(1, 2);  // version of the format
  std::size_t elements = 1;
  for (const ParquetField& field : s.fields) elements += schema_size(field);
  out.field_list(2, ThriftType::kStruct, elements);
  out.begin_struct();
  out.field_text(4, "schema");
  out.field_i32(5, static_cast<std::int32_t>(s.fields.size()));
  out.end_struct();
  for (const ParquetField& field : s.fields) schema_element(out, field);
  out.field_i64(3, static_cast<std::int64_t>(s.rows));
  out.field_list(4, ThriftType::kStruct, s.groups.size());
  for (const RowGroup& group : s.groups) {
    std::uint64_t total = 0;
    out.begin_struct();
    out.field_list(1, ThriftType::kStruct, group.chunks.size());
    for (std::size_t i = 0; i < group.chunks.size(); ++i) {
      const Chunk& chunk = group.chunks[i];
      const ParquetLeaf& leaf = s.columns[i].leaf;
      const auto bytes = static_cast<std::int64_t>(chunk.bytes);
      total += chunk.bytes;
      out.begin_struct();
      out.field_i64(2, static_cast<std::int64_t>(chunk.offset));
      out.field_struct(3);
      out.field_i32(1, physical(leaf.type));
      out.field_list(2, ThriftType::kI32, 2);
      out.element_i32(kEncodingPlain);
      out.element_i32(kEncodingRle);
      out.field_list(3, ThriftType::kBinary, leaf.path.size());
      for (const std::string& name : leaf.path) out.element_text(name);
      out.field_i32(4, kUncompressed);
      out.field_i64(5, static_cast<std::int64_t>(chunk.entries));
      out.field_i64(6, bytes);
      out.field_i64(7, bytes);
      out.field_i64(9, static_cast<std::int64_t>(chunk.offset));
      if (chunk.smallest <= chunk.largest) {
        std::string smallest, largest;
        put(smallest, chunk.smallest);
        put(largest, chunk.largest);
        out.field_struct(12);
        out.field_text(5, largest);
        out.field_text(6, smallest);
        out.end_struct();
      }
      out.end_struct();
      out.end_struct();
    }
    out.field_i64(2, static_cast<std::int64_t>(total));
    out.field_i64(3, static_cast<std::int64_t>(group.rows));
    out.end_struct();
  }
  if (!s.metadata.empty()) {
    out.field_list(5, ThriftType::kStruct, s.metadata.size());
    for (const auto& [key, value] : s.metadata) {
      out.begin_struct();
      out.field_text(1, key);
      out.field_text(2, value);
      out.end_struct();
    }
  }
  out.field_text(6, "nudge");
  out.end_struct();
  put(footer, static_cast<std::uint32_t>(footer.size()));
  footer += kMagic;
  NUDGE_TRY(s.write(footer));
  return s.file->sync();
}

std::uint64_t ParquetWriter::bytes() const {
  std::uint64_t bytes = state_->written;
  for (const Column& column : state_->columns) bytes += column.bytes();
  return bytes;
}

std::uint64_t ParquetWriter::rows() const { return state_->rows; }

}  // namespace nudge
