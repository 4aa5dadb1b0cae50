// Any bytes as a Parquet file, every column walked to its end.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "src/datasets/parquet_reader.h"
#include "test/support/one_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  test::OneFile files(std::as_bytes(std::span(data, size)));
  const auto reader = ParquetReader::open(files, "fuzz");
  if (!reader.ok()) return 0;
  ParquetCells cells;
  const std::size_t leaves = std::min<std::size_t>((*reader)->leaves().size(), 64);
  for (std::size_t i = 0; i < leaves; ++i) {
    const ParquetLeaf& leaf = (*reader)->leaves()[i];
    ParquetColumn column = (*reader)->column(i);
    for (int row = 0; row < 10'000; ++row) {
      const auto more = column.next(cells);
      if (!more.ok() || !*more) break;
      // A row has as many values as it says, within the leaf's levels.
      if (cells.definition.empty() || cells.definition.size() != cells.repetition.size()) {
        std::abort();
      }
      const auto present = static_cast<std::size_t>(
          std::count(cells.definition.begin(), cells.definition.end(), leaf.max_definition));
      if (cells.whole.size() + cells.real.size() + cells.text.size() != present) std::abort();
    }
  }
  return 0;
}
