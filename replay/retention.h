// Which episodes' steps go when the recorded steps outgrow their budget. A fold over the log:
// equal logs give equal answers.
//
// The unit is an episode. The order is that of EpisodeWorth, and the oldest first among equals:
// plain successes of the policy teach the least, corrections the most. Never: demonstrations,
// episodes that are held out (nudge/hold_out.h), the open one, and the newest few, which people may
// still be about to label. When only such are left, the budget is exceeded and says so.
//
//   Retention retention(budget);
//   NUDGE_TRY(retention.follow(log));
//   while (auto victim = retention.next()) { ...log.evict(...); NUDGE_TRY(retention.follow(log)); }
//
// Not thread-safe: belongs to the log's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "nudge/event.h"
#include "nudge/number_set.h"
#include "nudge/status.h"
#include "replay/log.h"
#include "replay/outcome.h"

namespace nudge {

struct Victim {
  EpisodeId episode = 0;
  EpisodeWorth worth = EpisodeWorth::kPlainSuccess;
  std::uint64_t bytes = 0;
};

// For people: "the policy alone, and it worked".
const char* words_for(EpisodeWorth worth);

class Retention {
 public:
  static constexpr std::size_t kNewestKept = 10;  // ended episodes; our choice

  // `budget`: bytes of all segments; 0: nothing ever goes.
  explicit Retention(std::uint64_t budget, std::size_t newest_kept = kNewestKept);

  // Folds what has become durable since the last call; without a budget there is nothing to know.
  // Errors of the log: the same again later.
  Status follow(Log& log);
  // The two halves of follow(), for tests: an event, in order, and the size of an ended episode.
  void apply(const Event& event);
  void set_bytes(EpisodeId episode, std::uint64_t bytes);

  // What must go next; nothing while within the budget, or when nothing may go.
  std::optional<Victim> next() const;
  bool over_budget() const { return budget_ > 0 && bytes_ > budget_; }
  std::uint64_t bytes() const { return bytes_; }  // of the ended episodes that are there
  std::uint64_t budget() const { return budget_; }

 private:
  struct Episode {
    EpisodePurpose purpose = EpisodePurpose::kEvaluation;  // until it is known: nothing precious
    Outcome outcome;
    bool driven = false;  // by a person, for at least a step
    bool nudged = false;
    bool held_out = false;
    bool ended = false;
    std::uint64_t bytes = 0;
    EpisodeWorth worth = EpisodeWorth::kPlainSuccess;  // under which it waits, if it waits
  };
  struct OpenSpan {
    EpisodeId episode = 0;
    SpanKind kind = SpanKind::kTakeover;
    std::uint32_t first_step = 0;
  };
  static EpisodeWorth worth_of(const Episode& episode);
  void place(EpisodeId id, Episode& episode);
  Episode* there(EpisodeId id);  // null: it was evicted, and nothing matters any more

  std::uint64_t budget_;
  std::size_t newest_kept_;
  Sequence folded_ = 0;
  std::map<EpisodeId, Episode> episodes_;  // but for the evicted ones
  NumberSet evicted_;
  std::unordered_map<SpanId, OpenSpan> spans_;
  NumberSet numbered_;  // corrected episodes that have their number
  std::set<std::pair<EpisodeWorth, EpisodeId>> waiting_;  // that may go, but for the newest
  std::set<EpisodeId> ended_;                             // and there
  std::uint64_t bytes_ = 0;
};

}  // namespace nudge
