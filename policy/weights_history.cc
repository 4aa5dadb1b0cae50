#include "policy/weights_history.h"

#include <algorithm>

namespace nudge {

void WeightsHistory::apply(const Event& event) {
  if (const auto* accepted = std::get_if<WeightsAccepted>(&event.payload)) {
    WeightsRecord record;
    record.version = accepted->version;
    record.parent = accepted->parent;
    record.kind = accepted->kind;
    record.hash = accepted->hash;
    record.accepted_at = event.sequence;
    record.accepted_wall = event.wall_time;
    record.gate_report = accepted->report;
    records_.insert_or_assign(accepted->version, std::move(record));
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
    for (auto& [version, record] : records_) {
      if (version > promoted->version && record.state != WeightsState::kRolledBack) {
        record.state = WeightsState::kRolledBack;
        record.rollback_reason = "promoted_over";
      }
    }
    if (auto it = records_.find(promoted->version); it != records_.end()) {
      it->second.state = WeightsState::kConfirmed;
    }
  } else if (const auto* back = std::get_if<WeightsRolledBack>(&event.payload)) {
    ++rolled_back_;
    // Everything accepted after the version we return to descends from what was found wanting, also
    // what has not run yet.
    for (auto& [version, record] : records_) {
      if (version > back->to && record.state != WeightsState::kRolledBack) {
        record.state = WeightsState::kRolledBack;
        record.rollback_reason = back->reason;
      }
    }
    if (confirmed_ > back->to) confirmed_ = back->to;
    live_ = back->to;
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
  if (std::max(live_, confirmed_) != confirmed_) return confirmed_;
  const WeightsRecord* record = find(confirmed_);
  while (record != nullptr && record->parent < record->version) {
    record = find(record->parent);
    if (record != nullptr && record->state == WeightsState::kConfirmed) return record->version;
  }
  return 0;
}

}  // namespace nudge
