// Parquet, as LeRobot's datasets use it: the schema that writer and reader share. The format:
// https://parquet.apache.org/docs/file-format/
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace nudge {

enum class ParquetType : std::uint8_t { kBool, kInt32, kInt64, kFloat, kDouble, kText, kBytes };

// A field of the schema. Everything may be null.
struct ParquetField {
  enum class Kind : std::uint8_t { kValue, kList, kGroup };
  std::string name;
  Kind kind = Kind::kValue;
  ParquetType type = ParquetType::kInt64;  // kValue
  std::vector<ParquetField> children;  // kList: the element, named "element"; kGroup: its fields

  static ParquetField value(std::string name, ParquetType type) {
    return {std::move(name), Kind::kValue, type, {}};
  }
  static ParquetField list(std::string name, ParquetField element) {
    element.name = "element";
    return {std::move(name), Kind::kList, ParquetType::kInt64, {std::move(element)}};
  }
  static ParquetField list(std::string name, ParquetType type) {
    return list(std::move(name), value("element", type));
  }
  static ParquetField group(std::string name, std::vector<ParquetField> fields) {
    return {std::move(name), Kind::kGroup, ParquetType::kInt64, std::move(fields)};
  }
};

// A column as it lies in the file.
struct ParquetLeaf {
  std::vector<std::string> path;  // "observation.state", "list", "element"
  ParquetType type = ParquetType::kInt64;
  std::uint8_t max_definition = 0;
  std::uint8_t max_repetition = 0;
  std::uint32_t fixed_bytes = 0;  // of a fixed-length type, read as kBytes; 0: none
};

// Names and values beside the schema, such as pandas' "pandas".
using ParquetMetadata = std::vector<std::pair<std::string, std::string>>;

}  // namespace nudge
