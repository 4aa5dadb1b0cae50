// What learning has done: the newest rounds, each with what it learned from and what the gate said.
// A fold over durable events; bounded in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "nudge/event.h"

namespace nudge {

// One round whose candidate was judged.
struct LearningRound {
  WeightsKind kind = WeightsKind::kFull;  // provisional: a micro-round
  WallTime wall;                          // when the candidate came
  CandidateReceived candidate;            // what the learner said of it
  WeightsVersion version = 0;             // 0: refused
  std::string reason;                     // why it was refused: a stable word
};

// Not thread-safe: belongs to the io thread. Equal events give equal ledgers, in one go or in
// portions.
class LearningLedger {
 public:
  // Events in sequence order, each once.
  void apply(const Event& event);

  const std::deque<LearningRound>& rounds() const { return rounds_; }  // newest last
  // The round that gave these weights; none: an engineer brought them, or it is too long ago.
  const LearningRound* find(WeightsVersion version) const;

  static constexpr std::size_t kRounds = 500;

 private:
  static constexpr std::size_t kWaiting = 16;  // one, in a log without damage
  void judge(const Sha256& hash, WeightsVersion version, const std::string& reason);

  std::deque<LearningRound> waiting_;  // for the gate's word
  std::deque<LearningRound> rounds_;
};

}  // namespace nudge
