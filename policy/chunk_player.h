// Plays action chunks at the control rate, while the next one is computed elsewhere.
//
// Inference takes time. A chunk is dated by the observation that it was computed from, so the rows
// that have passed when it arrives are dropped simply by playing the row of `now`; the first rows
// that are played of it are blended with what the chunk before would have done, so that the motion
// does not jump. This is temporal ensembling over two chunks with a linear ramp: Zhao et al.,
// "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware", 2023, average all chunks
// that overlap; Black et al., "Real-Time Execution of Action Chunking Flow Policies", 2025, say why
// latency must be counted from the observation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "nudge/status.h"
#include "nudge/time.h"
#include "nudge/types.h"

namespace nudge {

struct ChunkPlayerOptions {
  Duration policy_period{};     // of a row, as in RobotSpec; > 0
  std::size_t horizon = 0;      // rows of a chunk, as in HeadSpec; 1..64
  std::size_t action_size = 0;  // numbers of a row, as in ActionSpec; 1..64
  // Rows, 1..horizon; what is left of the horizon is how long inference may take. The default
  // looks again at every policy step: in the simulated kitchen from cameras, level 2, one head
  // solves 168, 176 and 193 of 200 starts with 4, 2 and 1, and level 3 as many with all three.
  std::size_t replan_after = 1;
  // Ramp into a new chunk, >= 0; 0: none. The default is three control ticks at 50 Hz: long enough
  // to be smooth, shorter than a policy period at 10 Hz.
  Duration blend = std::chrono::milliseconds(60);

  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// Used by one thread, the step thread. No function blocks; only load() allocates.
class ChunkPlayer {
 public:
  // `options` must be valid. Nothing is loaded.
  explicit ChunkPlayer(ChunkPlayerOptions options);

  // Makes `chunk` the one that at() plays from `now` on. Refused, without a change:
  // kInvalidArgument: not [horizon x action_size], a number that is not finite, observed after
  // `now`; kAborted: observed before (or together with) the chunk in use; kDeadlineExceeded: all of
  // its rows have passed. Chunks of two versions never meet in one action: between them the motion
  // steps, and the rate limit after this player smooths it.
  Status load(ActionChunk chunk, Instant now);

  // The action for the control tick at `now`: row floor((now - observed) / policy_period), during
  // the ramp mixed with the former chunk's row of the same moment. Zeros (stay) while nothing is
  // loaded, after the end, and before the observation. `now` must not run backwards.
  Action at(Instant now) const;
  // The same without an allocation; `out` has action_size numbers.
  void at(Instant now, float* out) const;

  // True when inference should be asked for a chunk: nothing is loaded, or `replan_after` rows of
  // the chunk in use have begun and passed.
  bool needs_chunk(Instant now) const;

  // True when at() has nothing to play: nothing is loaded, or the last row has passed.
  bool exhausted(Instant now) const;

  // How long the last row has been over; 0 before, and when nothing was loaded since flush(). The
  // authority turns more than three control periods into FAULT_HOLD.
  Duration lateness(Instant now) const;

  // Index of the row that is played at `now`; nothing when at() is zeros for lack of one.
  std::optional<std::size_t> row(Instant now) const;

  // Of the chunk in use; 0 when nothing is loaded.
  WeightsVersion version() const { return current_ ? current_->version : 0; }
  // Index of the first row that was not over when the chunk in use was loaded: rows before it were
  // dropped.
  std::size_t first_row() const { return first_row_; }

  // Time of the observation that the chunk in use was computed from; Instant() when nothing is
  // loaded.
  Instant observed() const { return current_ ? current_->observed : Instant(); }

  // Forgets both chunks: on takeover, hand-back, a new episode, a rollback. A chunk observed before
  // `now` is refused afterwards, however late it arrives.
  void flush(Instant now);

 private:
  std::optional<std::size_t> row_of(const ActionChunk& chunk, Instant now) const;

  ChunkPlayerOptions options_;
  std::optional<ActionChunk> current_;
  std::optional<ActionChunk> previous_;  // same version as current_; only while the ramp lasts
  Instant ramp_begin_;
  std::size_t first_row_ = 0;
  std::optional<Instant> oldest_;  // chunks must be observed at or after this
};

}  // namespace nudge
