// Reads Parquet files from outside, row by row and column by column, in bounded memory: a page of
// each column at a time. Nothing in the file is believed.
//
// Understood: flat columns, lists and groups of any depth up to 16; pages of version 1 and 2;
// PLAIN, RLE and dictionary encodings; uncompressed and Snappy. That is what pyarrow, pandas and
// LeRobot write by default. Anything else is kUnimplemented, and says how to write the file anew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"
#include "src/datasets/parquet.h"

namespace nudge {

// One row of one leaf. `definition` and `repetition` have an entry per value or hole; the values
// are there where the definition is the leaf's largest, in the vector of the leaf's type.
struct ParquetCells {
  std::vector<std::uint8_t> repetition, definition;
  std::vector<std::int64_t> whole;  // kBool, kInt32, kInt64
  std::vector<double> real;         // kFloat, kDouble
  std::vector<std::string> text;    // kText, kBytes

  void clear();
};

class ParquetReader;

// Walks down one leaf. One thread; the reader outlives it.
class ParquetColumn {
 public:
  // The next row's cells replace those in `cells`. False at the end. kDataLoss, kUnimplemented;
  // after an error every call fails with it.
  Result<bool> next(ParquetCells& cells);
  ~ParquetColumn();
  ParquetColumn(ParquetColumn&&) noexcept;

 private:
  friend class ParquetReader;
  struct State;
  explicit ParquetColumn(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class ParquetReader {
 public:
  static constexpr std::size_t kMaxFooterBytes = 64u << 20;
  static constexpr std::size_t kMaxPageBytes = 256u << 20;

  // kNotFound, kDataLoss, kUnimplemented, errors of FileSystem; the message names the file.
  static Result<std::unique_ptr<ParquetReader>> open(FileSystem& files, const std::string& path);
  ~ParquetReader();

  std::uint64_t rows() const;
  const std::vector<ParquetLeaf>& leaves() const;
  const ParquetMetadata& metadata() const;
  // The first leaf whose path begins with `field` and, where given, ends with `last`; npos: none.
  std::size_t find(const std::string& field, const std::string& last = {}) const;
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);

  // A walk over leaf `i` from its first row.
  ParquetColumn column(std::size_t i) const;

 private:
  friend class ParquetColumn;
  ParquetReader();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nudge
