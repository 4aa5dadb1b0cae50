// Reads a segment for people, without mapping it: a file that somebody cut off and a sector that
// cannot be read are errors here, where a mapping would end the process. What is damaged is passed
// over, so that one broken record does not hide those behind it. For the layout see segment.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "replay/file.h"
#include "replay/segment.h"

namespace nudge {

// Where a record lies in its file.
struct RecordPlace {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

// Not thread-safe. Keeps the file open, and one window of it in memory: 1 MiB, or the longest
// record that was read.
class SegmentReader {
 public:
  // Checks the header. kNotFound, kDataLoss, kUnimplemented, other errors of FileSystem.
  static Result<std::unique_ptr<SegmentReader>> open(FileSystem& files, const std::string& path);
  ~SegmentReader();

  const SegmentSpec& spec() const;
  std::uint64_t first() const;  // offset of the first record

  // Calls `visit` for each whole record in [from, end), both record boundaries, `end` as committed
  // by the log: checksum and bounds are right. A view is valid during the call only; its own offset
  // means nothing. Stops when `visit` returns false. The answer is whether nothing was missing:
  // false when bytes had to be passed over, or the file ends before `end`. An error when the disk
  // gives one.
  using Visit = std::function<bool(const StepView& step, const RecordPlace& place)>;
  Result<bool> scan(std::uint64_t from, std::uint64_t end, const Visit& visit);

  // One record that scan() has found; valid until the next call of anything. kDataLoss when it is
  // not what it was.
  Result<StepView> read(const RecordPlace& place);

 private:
  SegmentReader();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nudge
