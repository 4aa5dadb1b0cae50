#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "nudge/random.h"
#include "src/datasets/parquet_reader.h"
#include "src/datasets/parquet_writer.h"
#include "test/support/golden.h"
#include "test/support/temp_folder.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

using test::TempFolder;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string data(const std::string& name) { return test::test_data() + "/datasets/" + name; }

std::vector<ParquetField> every_field() {
  const auto value = &ParquetField::value;
  return {
      value("flag", ParquetType::kBool),
      value("small", ParquetType::kInt32),
      value("whole", ParquetType::kInt64),
      value("real", ParquetType::kDouble),
      value("text", ParquetType::kText),
      ParquetField::list("vector", ParquetType::kFloat),
      ParquetField::group("picture",
                          {value("bytes", ParquetType::kBytes), value("path", ParquetType::kText)}),
      ParquetField::list("matrix", ParquetField::list("element", ParquetType::kDouble)),
      ParquetField::list("talk", ParquetField::group(
                                     "element", {value("role", ParquetType::kText),
                                                 value("time", ParquetType::kFloat),
                                                 ParquetField::list("calls", ParquetType::kText)})),
  };
}

// A value that fits a field, null now and then.
ParquetValue any_value(Random& random, const ParquetField& field) {
  if (random.below(5) == 0) return {};
  std::vector<ParquetValue> parts;
  switch (field.kind) {
    case ParquetField::Kind::kList:
      for (std::uint64_t i = random.below(4); i > 0; --i) {
        parts.push_back(any_value(random, field.children[0]));
      }
      return {parts};
    case ParquetField::Kind::kGroup:
      for (const ParquetField& child : field.children) parts.push_back(any_value(random, child));
      return {parts};
    case ParquetField::Kind::kValue: break;
  }
  switch (field.type) {
    case ParquetType::kBool: return {random.below(2) == 0};
    case ParquetType::kInt32:
    case ParquetType::kInt64: return {static_cast<std::int64_t>(random.below(1000)) - 500};
    case ParquetType::kFloat:
    case ParquetType::kDouble: return {static_cast<double>(random.below(1000)) / 8};
    case ParquetType::kText:
    case ParquetType::kBytes: return {std::string(random.below(20), 'x')};
  }
  return {};
}

// What a row of one leaf must come back as: the levels and values that the field's value has.
struct Expected {
  std::vector<std::uint8_t> repetition, definition;
  std::vector<std::string> values;
};

void expect(const ParquetField& field, const ParquetValue& value, std::size_t& leaf,
            std::uint8_t repetition, std::uint8_t definition, std::uint8_t depth,
            std::vector<Expected>& out) {
  const auto* parts = std::get_if<std::vector<ParquetValue>>(&value.v);
  if (field.kind == ParquetField::Kind::kValue) {
    Expected& e = out[leaf++];
    e.repetition.push_back(repetition);
    const bool null = std::holds_alternative<std::monostate>(value.v);
    e.definition.push_back(null ? definition : definition + 1);
    if (null) return;
    if (const auto* b = std::get_if<bool>(&value.v)) e.values.push_back(*b ? "1" : "0");
    if (const auto* i = std::get_if<std::int64_t>(&value.v)) e.values.push_back(std::to_string(*i));
    if (const auto* d = std::get_if<double>(&value.v)) e.values.push_back(std::to_string(*d));
    if (const auto* s = std::get_if<std::string>(&value.v)) e.values.push_back(*s);
    return;
  }
  if (field.kind == ParquetField::Kind::kGroup) {
    for (std::size_t i = 0; i < field.children.size(); ++i) {
      expect(field.children[i], parts ? (*parts)[i] : ParquetValue{}, leaf, repetition,
             parts ? definition + 1 : definition, depth, out);
    }
    return;
  }
  const std::size_t first = leaf;
  if (parts == nullptr || parts->empty()) {
    // Every leaf below has one hole at the level where the list ends.
    std::vector<Expected> below(out.size());
    expect(field.children[0], {}, leaf, 0, 0, 0, below);
    for (std::size_t i = first; i < leaf; ++i) {
      out[i].repetition.push_back(repetition);
      out[i].definition.push_back(parts == nullptr ? definition : definition + 1);
    }
    return;
  }
  for (std::size_t i = 0; i < parts->size(); ++i) {
    leaf = first;
    expect(field.children[0], (*parts)[i], leaf,
           i == 0 ? repetition : static_cast<std::uint8_t>(depth + 1), definition + 2, depth + 1,
           out);
  }
}

std::vector<std::string> texts(const ParquetCells& cells) {
  std::vector<std::string> out;
  for (const std::int64_t v : cells.whole) out.push_back(std::to_string(v));
  for (const double v : cells.real) out.push_back(std::to_string(v));
  for (const std::string& v : cells.text) out.push_back(v);
  return out;
}

TEST(Parquet, WhatIsWrittenIsReadBack) {
  TempFolder folder;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const std::string path = folder / (std::to_string(seed) + ".parquet");
    const std::vector<ParquetField> fields = every_field();
    auto writer = ParquetWriter::create(posix_files(), path, fields, {{"key", "value"}});
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    std::vector<std::vector<ParquetValue>> rows(random.below(200));
    for (auto& row : rows) {
      for (std::size_t i = 0; i < fields.size(); ++i) {
        row.push_back(any_value(random, fields[i]));
        (*writer)->add(i, row.back());
      }
      ASSERT_TRUE((*writer)->end_row().ok());
      if (random.below(30) == 0) {
        ASSERT_TRUE((*writer)->end_group().ok());
      }
    }
    ASSERT_TRUE((*writer)->finish().ok());

    auto reader = ParquetReader::open(posix_files(), path);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    EXPECT_EQ((*reader)->rows(), rows.size());
    EXPECT_EQ((*reader)->metadata(), (ParquetMetadata{{"key", "value"}}));
    std::vector<ParquetColumn> columns;
    for (std::size_t i = 0; i < (*reader)->leaves().size(); ++i) {
      columns.push_back((*reader)->column(i));
    }
    ParquetCells cells;
    for (const auto& row : rows) {
      std::vector<Expected> expected(columns.size());
      std::size_t leaf = 0;
      for (std::size_t i = 0; i < fields.size(); ++i) {
        expect(fields[i], row[i], leaf, 0, 0, 0, expected);
      }
      for (std::size_t i = 0; i < columns.size(); ++i) {
        const auto more = columns[i].next(cells);
        ASSERT_TRUE(more.ok() && *more) << more.status().message();
        ASSERT_EQ(cells.repetition, expected[i].repetition) << "leaf " << i << " seed " << seed;
        ASSERT_EQ(cells.definition, expected[i].definition) << "leaf " << i << " seed " << seed;
        ASSERT_EQ(texts(cells), expected[i].values) << "leaf " << i << " seed " << seed;
      }
    }
    for (ParquetColumn& column : columns) {
      const auto more = column.next(cells);
      EXPECT_TRUE(more.ok() && !*more);
    }
  }
}

TEST(Parquet, ManyPagesAndRowGroupsAreOneColumn) {
  TempFolder folder;
  const std::string path = folder / "large.parquet";
  auto writer = ParquetWriter::create(posix_files(), path,
                                      {ParquetField::list("v", ParquetType::kFloat),
                                       ParquetField::value("b", ParquetType::kBytes)});
  ASSERT_TRUE(writer.ok());
  const std::string blob(100'000, 'z');
  for (int row = 0; row < 700; ++row) {  // twice the size of a row group
    const std::vector<float> v(static_cast<std::size_t>(row % 5), static_cast<float>(row));
    (*writer)->add(0, std::span<const float>(v));
    (*writer)->add(1, std::string_view(blob));
    ASSERT_TRUE((*writer)->end_row().ok());
  }
  ASSERT_TRUE((*writer)->finish().ok());
  auto reader = ParquetReader::open(posix_files(), path);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  ParquetColumn v = (*reader)->column(0), b = (*reader)->column(1);
  ParquetCells cells;
  for (int row = 0; row < 700; ++row) {
    ASSERT_TRUE(*v.next(cells));
    ASSERT_EQ(cells.real, std::vector<double>(static_cast<std::size_t>(row % 5), row));
    ASSERT_TRUE(*b.next(cells));
    ASSERT_EQ(cells.text, std::vector<std::string>{blob});
  }
}

// Written by test/datasets/make_pyarrow.py, as pandas and LeRobot write by default, in pages of
// version 2, and plainly.
TEST(Parquet, FilesOfPyarrowAreRead) {
  for (const char* name : {"pyarrow-v1.parquet", "pyarrow-v2.parquet", "pyarrow-plain.parquet"}) {
    SCOPED_TRACE(name);
    auto reader = ParquetReader::open(posix_files(), data(name));
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    ASSERT_EQ((*reader)->rows(), 30u);
    const auto column = [&](const char* field, const char* last = "") {
      const std::size_t leaf = (*reader)->find(field, last);
      EXPECT_NE(leaf, ParquetReader::npos) << field;
      return (*reader)->column(leaf);
    };
    ParquetColumn state = column("observation.state"), action = column("action"),
                  time = column("timestamp"), task = column("task_index"),
                  done = column("next.done"), small = column("small"), real = column("real"),
                  text = column("name"), bytes = column("image", "bytes"),
                  path = column("image", "path"), role = column("words", "role");
    ParquetCells cells;
    const auto next = [&](ParquetColumn& from) -> const ParquetCells& {
      const auto more = from.next(cells);
      EXPECT_TRUE(more.ok() && *more) << more.status().message();
      return cells;
    };
    for (int i = 0; i < 30; ++i) {
      SCOPED_TRACE(i);
      ASSERT_EQ(next(state).real, (std::vector<double>{1.0 * i, i + .5, -1.0 * i}));
      ASSERT_EQ(next(action).real, (std::vector<double>{1.0 * i, 2.0 * i}));
      ASSERT_EQ(next(time).real, (std::vector<double>{static_cast<float>(i / 10.0)}));
      ASSERT_EQ(next(task).whole, (std::vector<std::int64_t>{i / 10}));
      ASSERT_EQ(next(done).whole, (std::vector<std::int64_t>{i % 10 == 9}));
      ASSERT_EQ(next(small).whole, (std::vector<std::int64_t>{i - 3}));
      ASSERT_EQ(next(real).real, i % 7 == 0 ? std::vector<double>{} : std::vector<double>{i / 3.0});
      ASSERT_EQ(next(text).text, (std::vector<std::string>{i % 2 ? "odd" : "even"}));
      ASSERT_EQ(next(bytes).text, (std::vector<std::string>{std::string(
                                      static_cast<std::size_t>(i) + 1, static_cast<char>(i))}));
      ASSERT_EQ(next(path).text.size(), i == 3 ? 0u : 1u);
      ASSERT_EQ(next(role).text.size(), i % 3 == 2 ? 2u : 0u);
    }
  }
}

TEST(Parquet, ACompressionThatIsNotReadSaysSo) {
  auto reader = ParquetReader::open(posix_files(), data("pyarrow-zstd.parquet"));
  ASSERT_TRUE(reader.ok());
  ParquetColumn column = (*reader)->column(0);
  ParquetCells cells;
  const auto more = column.next(cells);
  ASSERT_EQ(more.status().code(), Code::kUnimplemented);
  EXPECT_NE(more.status().message().find("Zstd"), std::string::npos) << more.status().message();
}

void write_golden(const std::string& path) {
  auto writer = ParquetWriter::create(posix_files(), path, every_field(), {{"pandas", "{}"}});
  ASSERT_TRUE(writer.ok());
  Random random(3);
  for (int row = 0; row < 12; ++row) {
    const auto fields = every_field();
    for (std::size_t i = 0; i < fields.size(); ++i) {
      (*writer)->add(i, any_value(random, fields[i]));
    }
    ASSERT_TRUE((*writer)->end_row().ok());
    if (row == 6) {
      ASSERT_TRUE((*writer)->end_group().ok());
    }
  }
  ASSERT_TRUE((*writer)->finish().ok());
}

TEST(Parquet, TheBytesAreThoseOfTheGoldenFile) {
  TempFolder folder;
  write_golden(folder / "now.parquet");
  const std::string now = bytes_of(folder / "now.parquet");
  EXPECT_TRUE(now == test::golden("datasets/golden.parquet", now));
}

void read_all(const std::string& path) {
  auto reader = ParquetReader::open(posix_files(), path);
  if (!reader.ok()) return;
  ParquetCells cells;
  for (std::size_t i = 0; i < (*reader)->leaves().size(); ++i) {
    ParquetColumn column = (*reader)->column(i);
    for (std::uint64_t row = 0; row < 1'000; ++row) {
      const auto more = column.next(cells);
      if (!more.ok() || !*more) break;
    }
  }
}

TEST(Parquet, DamagedFilesAreRefusedOrReadButNeverBelieved) {
  TempFolder folder(TempFolder::Where::kMemory);
  Random random(5);
  for (const char* name : {"pyarrow-v1.parquet", "pyarrow-v2.parquet", "golden.parquet"}) {
    const std::string whole = bytes_of(data(name));
    ASSERT_GT(whole.size(), 100u);
    for (int round = 0; round < 400; ++round) {
      std::string damaged = whole;
      for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
        damaged[random.below(damaged.size())] = static_cast<char>(random.next());
      }
      if (round % 4 == 0) damaged.resize(random.below(damaged.size()));
      std::ofstream(folder / "damaged", std::ios::binary | std::ios::trunc) << damaged;
      read_all(folder / "damaged");
    }
  }
}

TEST(Parquet, AFileThatIsThereIsNotReplaced) {
  TempFolder folder;
  std::ofstream(folder / "there") << "x";
  EXPECT_EQ(ParquetWriter::create(posix_files(), folder / "there", {}).status().code(),
            Code::kAlreadyExists);
}

}  // namespace
}  // namespace nudge
