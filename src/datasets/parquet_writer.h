// Writes one Parquet file front to back in bounded memory: PLAIN values, uncompressed, data pages
// of version 1. What is large in a data set, the pictures, is compressed already.
//
//   auto writer = ParquetWriter::create(files, path, fields, metadata);
//   (*writer)->add(0, std::int64_t{7}); (*writer)->add(1, floats); ...
//   (*writer)->end_row();
//   (*writer)->finish();     // before that the file is no Parquet file
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"
#include "src/datasets/parquet.h"

namespace nudge {

// A value of any field: null, a number, a text (or bytes), or the parts of a list or of a group.
struct ParquetValue {
  std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<ParquetValue>>
      v;
};

// One thread. Memory: one row group, at most kRowGroupBytes and one row more.
class ParquetWriter {
 public:
  static constexpr std::size_t kPageBytes = 1u << 20;
  static constexpr std::size_t kRowGroupBytes = 32u << 20;

  // Makes the file, replacing nothing: kAlreadyExists. Errors of FileSystem.
  static Result<std::unique_ptr<ParquetWriter>> create(FileSystem& files, const std::string& path,
                                                       std::vector<ParquetField> fields,
                                                       ParquetMetadata metadata = {});
  ~ParquetWriter();

  // The value of field `i` in the current row, of the field's own type; once a row. Numbers are
  // converted to the field's type. A value of another shape is a bug of the caller, and is written
  // as null.
  void add(std::size_t i, const ParquetValue& value);
  void add(std::size_t i, bool value);
  void add(std::size_t i, std::int64_t value);
  void add(std::size_t i, double value);
  void add(std::size_t i, std::string_view value);
  void add(std::size_t i, std::span<const float> values);  // list of kFloat
  // A group of bytes and text: LeRobot's picture.
  void add(std::size_t i, std::span<const std::byte> bytes, std::string_view text);
  // Fields that got nothing are null. Writes a row group when it is large enough.
  Status end_row();
  // Ends the row group, so that the next row begins one.
  Status end_group();
  // Writes the footer and makes the file durable.
  Status finish();

  std::uint64_t bytes() const;  // written or waiting
  std::uint64_t rows() const;

 private:
  ParquetWriter();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nudge
