// What can still be read of a damaged log, as a log of its own.
//
// The damaged one is not touched: its database is read from a copy, page by page around the damage,
// its segments record by record. Every entry keeps its sequence number, id and content. Where one
// cannot be read, a `fault` event with the code "salvage" takes its number, so that numbers which
// other entries and weights speak of stay true, and nobody takes a gap for silence. The last entry
// says how many were lost.
//
// Unless the database is whole, nobody knows what the last entries were: a rollback, a withdrawal,
// a lease. So the new log ends with the confirmed weights taken back and learning paused, until an
// engineer has looked; and its numbers go on far enough behind all that is known for none to be
// given twice (Floors); entries that may have followed the last known one are numbered, too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

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
  bool certain = false;                // the database is whole: no event is missing
  ChainHead head;                      // of the new log
};

// What is known from elsewhere of the damaged log.
struct SalvageKnown {
  Sequence head = 0;           // of its newest signed head
  WeightsVersion weights = 0;  // newest version in the weights folder
  bool cut_off = false;        // it went on behind what can be read, nobody knows how far
};
// A head may not be farther behind what was found: each number takes an entry.
inline constexpr std::uint64_t kMaxMissing = 10'000'000;

// Numbers that may have been given already, kept in the text of the salvage's last entry, which
// Log::open() reads.
struct Floors {
  EpisodeId episode = 0;
  SpanId span = 0;
  WeightsVersion weights = 0;
  LeaseEpoch lease = 0;

  static constexpr std::string_view kId = "salvaged:";  // begins the entry's id
  std::string print() const;
  static std::optional<Floors> parse(std::string_view text);  // of all of the entry
  friend bool operator==(const Floors&, const Floors&) = default;
};

// `from`: the folder of the damaged log, which nobody has open. `to`: where the new one is made,
// with the boot and the times of the entries that stand for what is lost; its folder must not
// exist, and its parent must. kNotFound: there is no log in `from`; kAlreadyExists; errors of
// FileSystem and Log: nothing was lost by trying, remove `to.dir` and try again. kDataLoss: the
// signed head is of another log, too far ahead.
Result<SalvageReport> salvage_log(FileSystem& files, const std::string& from, const LogOptions& to,
                                  const SalvageKnown& known = {});

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
