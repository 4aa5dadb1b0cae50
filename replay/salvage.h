// What can still be read of a damaged log, as a log of its own.
//
// The damaged one is not touched: its database is read from a copy, page by page around the damage,
// its segments record by record. Every entry keeps its sequence number, id and content. Where one
// cannot be read, a `fault` event with the code "salvage" takes its number, so that numbers which
// other entries and weights speak of stay true, and nobody takes a gap for silence. The last entry
// says how many were lost.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "nudge/event.h"
#include "nudge/status.h"
#include "replay/file.h"
#include "replay/log.h"
#include "replay/segment.h"

namespace nudge {

struct SalvageReport {
  std::uint64_t events = 0;  // that could be read
  std::uint64_t steps = 0;
  std::uint64_t lost = 0;              // entries that could not: their kind is not known
  std::uint64_t damaged_segments = 0;  // of which something, or all, is missing
  bool database = true;                // false: nothing of it could be read
};

// `from`: the folder of the damaged log, which nobody has open. `to`: where the new one is made,
// with the boot and the times of the entries that stand for what is lost; its folder must not
// exist, and its parent must. kNotFound: there is no log in `from`; kAlreadyExists; errors of
// FileSystem and Log: nothing was lost by trying, remove `to.dir` and try again.
Result<SalvageReport> salvage_log(FileSystem& files, const std::string& from, const LogOptions& to);

// What copy_log() changes on the way.
struct LogRewriting {
  // Told of each event before it is copied; events are copied as they are.
  std::function<void(const Event& event)> event;
  std::function<SegmentSpec(const SegmentSpec& spec)> segment;
  // Of a step of a segment that has `spec`; an error ends the copying.
  std::function<Status(const SegmentSpec& spec, Step& step)> step;
};

// A copy of a whole log in which steps and segments are rewritten, and every entry has the number,
// the id and, if it is an event, the content that it had. Its chain is a new one. As salvage_log(),
// but kDataLoss when anything cannot be read: salvage the log first.
Result<SalvageReport> copy_log(FileSystem& files, const std::string& from, const LogOptions& to,
                               const LogRewriting& rewriting);

}  // namespace nudge
