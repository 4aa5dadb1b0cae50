#include "policy/weights_history.h"

#include <algorithm>
#include <iterator>

namespace nudge {

void WeightsHistory::apply(const Event& event) {
  if (const auto* accepted = std::get_if<WeightsAccepted>(&event.payload)) {
    accept(event, *accepted);
  } else if (std::holds_alternative<WeightsRejected>(event.payload)) {
    ++rejected_;
  } else if (const auto* live = std::get_if<WeightsLive>(&event.payload)) {
    live_ = live->version;
    if (auto it = records_.find(live->version); it != records_.end()) it->second.was_live = true;
  } else if (const auto* confirmed = std::get_if<WeightsConfirmed>(&event.payload)) {
    confirmed_ = confirmed->version;
    if (auto it = records_.find(confirmed->version); it != records_.end()) {
      it->second.state = WeightsState::kConfirmed;
    }
  } else if (const auto* promoted = std::get_if<WeightsPromoted>(&event.payload)) {
    confirmed_ = promoted->version;
    // An engineer who goes back to an older version does not want the newer ones to be learned
    // from.
    take_back_above(promoted->version, "promoted_over");
    if (auto it = records_.find(promoted->version); it != records_.end()) {
      it->second.state = WeightsState::kConfirmed;
      it->second.promoted = true;
    }
  } else if (const auto* back = std::get_if<WeightsRolledBack>(&event.payload)) {
    ++rolled_back_;
    // Everything accepted after the version we return to descends from what was found wanting, also
    // what has not run yet.
    take_back_above(back->to, back->reason);
    if (confirmed_ > back->to) confirmed_ = back->to;
    live_ = back->to;
  }
}

void WeightsHistory::accept(const Event& event, const WeightsAccepted& accepted) {
  ++accepted_;
  WeightsRecord record;
  record.version = accepted.version;
  record.parent = accepted.parent;
  record.kind = accepted.kind;
  record.hash = accepted.hash;
  record.accepted_at = event.sequence;
  record.accepted_wall = event.wall_time;
  if (keep_ == Keep::kAll) record.gate_report = accepted.report;
  records_.insert_or_assign(accepted.version, std::move(record));
  if (keep_ == Keep::kNewest && records_.size() > kNewest) let_go_of_oldest();
}

void WeightsHistory::take_back_above(WeightsVersion version, const std::string& reason) {
  for (auto it = records_.upper_bound(version); it != records_.end(); ++it) {
    if (it->second.state == WeightsState::kRolledBack) continue;
    it->second.state = WeightsState::kRolledBack;
    it->second.rollback_reason = reason;
  }
}

void WeightsHistory::let_go_of_oldest() {
  const WeightsVersion needed[] = {live_,    confirmed_,           newest_full(),
                                   origin(), full_ancestor(live_), confirmed_before()};
  const auto oldest = std::find_if(records_.begin(), records_.end(), [&](const auto& entry) {
    return std::find(std::begin(needed), std::end(needed), entry.first) == std::end(needed);
  });
  // Its children's line goes on behind it, so that a walk along parents ends where it would have.
  const WeightsVersion gone = oldest->first, parent = oldest->second.parent;
  records_.erase(oldest);
  for (auto it = records_.upper_bound(gone); it != records_.end(); ++it) {
    if (it->second.parent == gone) it->second.parent = parent;
  }
}

const WeightsRecord* WeightsHistory::find(WeightsVersion version) const {
  const auto it = records_.find(version);
  return it == records_.end() ? nullptr : &it->second;
}

WeightsVersion WeightsHistory::newest_full() const {
  for (auto it = records_.rbegin(); it != records_.rend(); ++it) {
    if (it->second.kind == WeightsKind::kFull && it->second.state != WeightsState::kRolledBack) {
      return it->first;
    }
  }
  return 0;
}

WeightsVersion WeightsHistory::origin() const {
  const auto it = std::find_if(records_.rbegin(), records_.rend(), [](const auto& entry) {
    return entry.second.promoted && entry.second.state != WeightsState::kRolledBack;
  });
  return it == records_.rend() ? confirmed_ : it->first;
}

WeightsVersion WeightsHistory::full_ancestor(WeightsVersion version) const {
  const WeightsRecord* record = find(version);
  // A parent is always older, so the walk ends.
  while (record != nullptr && record->kind != WeightsKind::kFull && record->parent < version) {
    version = record->parent;
    record = find(version);
  }
  return record == nullptr ? 0 : version;
}

WeightsVersion WeightsHistory::roll_back_target() const {
  // A version that was promoted and has not run yet counts as running.
  return std::max(live_, confirmed_) != confirmed_ ? confirmed_ : confirmed_before();
}

WeightsVersion WeightsHistory::confirmed_before() const {
  const WeightsRecord* record = find(confirmed_);
  while (record != nullptr && record->parent < record->version) {
    record = find(record->parent);
    if (record != nullptr && record->state == WeightsState::kConfirmed) return record->version;
  }
  return 0;
}

}  // namespace nudge
