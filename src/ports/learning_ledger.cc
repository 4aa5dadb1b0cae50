#include "src/ports/learning_ledger.h"

#include <algorithm>
#include <utility>

namespace nudge {

void LearningLedger::apply(const Event& event) {
  if (const auto* candidate = std::get_if<CandidateReceived>(&event.payload)) {
    waiting_.push_back({.kind = candidate->kind,
                        .wall = event.wall_time,
                        .candidate = *candidate,
                        .version = 0,
                        .reason = {}});
    if (waiting_.size() > kWaiting) waiting_.pop_front();
  } else if (const auto* accepted = std::get_if<WeightsAccepted>(&event.payload)) {
    judge(accepted->hash, accepted->version, {});
  } else if (const auto* rejected = std::get_if<WeightsRejected>(&event.payload)) {
    judge(rejected->hash, 0, rejected->reason);
  }
}

const LearningRound* LearningLedger::find(WeightsVersion version) const {
  if (version == 0) return nullptr;
  const auto at = std::find_if(rounds_.rbegin(), rounds_.rend(), [&](const LearningRound& round) {
    return round.version == version;
  });
  return at == rounds_.rend() ? nullptr : &*at;
}

// Weights without a candidate are an engineer's, and no round.
void LearningLedger::judge(const Sha256& hash, WeightsVersion version, const std::string& reason) {
  const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const LearningRound& round) {
    return round.candidate.hash == hash;
  });
  if (at == waiting_.end()) return;
  at->version = version;
  at->reason = reason;
  rounds_.push_back(std::move(*at));
  waiting_.erase(at);
  if (rounds_.size() > kRounds) rounds_.pop_front();
}

}  // namespace nudge
