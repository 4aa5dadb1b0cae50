// Which weights exist, which run, which may be booted: a fold over the log's weights events.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "nudge/event.h"

namespace nudge {

enum class WeightsState { kAccepted, kConfirmed, kRolledBack };

struct WeightsRecord {
  WeightsVersion version = 0;
  // As accepted; once that one is no longer kept, the nearest before it in its line that is.
  WeightsVersion parent = 0;
  WeightsKind kind = WeightsKind::kFull;
  Sha256 hash{};
  WeightsState state = WeightsState::kAccepted;
  Sequence accepted_at = 0;  // sequence number of WeightsAccepted
  WallTime accepted_wall{};
  bool was_live = false;
  bool promoted = false;        // by an engineer
  std::string rollback_reason;  // kRolledBack only
  std::string gate_report;      // one line of JSON; empty unless everything is kept
};

// Not thread-safe. Equal events give equal histories, in one go or in portions.
class WeightsHistory {
 public:
  // A daemon that learns every minute must not grow by it: beyond kNewest versions the oldest is
  // let go, unless something may still lead to it (live, confirmed, what a round trains from, what
  // one may go back to). Who lists versions for people keeps all.
  enum class Keep { kNewest, kAll };
  static constexpr std::size_t kNewest = 1000;

  explicit WeightsHistory(Keep keep = Keep::kNewest) : keep_(keep) {}

  // Events of other kinds change nothing.
  void apply(const Event& event);

  const std::map<WeightsVersion, WeightsRecord>& records() const { return records_; }
  const WeightsRecord* find(WeightsVersion version) const;

  WeightsVersion live() const { return live_; }  // whose actions were applied last; 0: none
  WeightsVersion confirmed() const {
    return confirmed_;
  }  // the only one that may be booted; 0: none
  // The newest full version that was not rolled back; 0: none.
  WeightsVersion newest_full() const;
  // What a full round trains from: the version that an engineer promoted last, of those not rolled
  // back; where none is left, the confirmed one; 0: none.
  WeightsVersion origin() const;
  // The full version that `version` descends from through provisional ones (itself if full).
  WeightsVersion full_ancestor(WeightsVersion version) const;
  // Where a rollback by hand leads: to the confirmed version, and from there to the nearest one
  // before it, of those that it comes from, that was confirmed as well; 0: nowhere. What was never
  // confirmed is not booted, however it is asked for.
  WeightsVersion roll_back_target() const;
  // Where a second one leads: to the nearest before the confirmed one that was confirmed; 0: none.
  WeightsVersion confirmed_before() const;

  std::uint32_t accepted() const { return accepted_; }
  std::uint32_t rejected() const { return rejected_; }
  std::uint32_t rolled_back() const { return rolled_back_; }

 private:
  void accept(const Event& event, const WeightsAccepted& accepted);
  void take_back_above(WeightsVersion version, const std::string& reason);
  void let_go_of_oldest();

  Keep keep_;
  std::map<WeightsVersion, WeightsRecord> records_;
  WeightsVersion live_ = 0;
  WeightsVersion confirmed_ = 0;
  std::uint32_t accepted_ = 0;
  std::uint32_t rejected_ = 0;
  std::uint32_t rolled_back_ = 0;
};

}  // namespace nudge
