// What can still be read of a damaged log, as a log of its own.
//
// The damaged one is not touched: its database is read from a copy, page by page around the damage,
// its segments record by record. Every entry keeps its sequence number, id and content. Where one
// cannot be read, a `fault` event with the code "salvage" takes its number, so that numbers which
// other entries and weights speak of stay true, and nobody takes a gap for silence. The last entry
// says how many were lost.
#pragma once

#include <cstdint>
#include <string>

#include "nudge/status.h"
#include "replay/file.h"
#include "replay/log.h"

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

}  // namespace nudge
