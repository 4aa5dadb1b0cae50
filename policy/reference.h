// A reference chunk: what somebody else (an upstream policy, a frozen base head, a planner) would
// do next, for a head to edit (HeadSpec::edit). It is stamped with the control tick whose
// observation it answers, so that one that comes late is still laid where it belongs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

struct ReferenceChunk {
  std::size_t rows = 0;         // >= 1, each for one policy step
  std::size_t action_size = 0;  // as in ActionSpec
  std::vector<float> actions;   // [rows, action_size], in the robot's action units
  ControlTick tick = 0;         // of the observation that it answers: row 0 begins there
};

// Belongs to the inference thread. Must not block for longer than an inference: a source that asks
// somebody far away asks in the background, and gives its newest answer until a newer one comes.
class ReferenceSource {
 public:
  virtual ~ReferenceSource() = default;

  // The newest chunk there is; it may answer an older observation than this one, made at `tick`.
  // Nothing: none so far. An error is told to people, once for as long as it lasts.
  virtual Result<std::optional<ReferenceChunk>> propose(const Observation& observation,
                                                        const std::string& instruction,
                                                        const std::vector<float>& features,
                                                        ControlTick tick) = 0;
  // What was proposed so far is of another episode.
  virtual void begin_episode() {}

  // For sources whose chunks come from elsewhere: one has come for the observation made at
  // `observed`. Its tick is for the source to find out; `chunk.tick` means nothing.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): whoever overrides it keeps the chunk
  virtual void offer(ReferenceChunk /*chunk*/, Instant /*observed*/) {}
  // A chunk for this observation, or for a newer one, is still to be offered: whoever records the
  // observation does well to ask a little later.
  virtual bool awaits(const Observation& /*observation*/) const { return false; }
};

// The chunk that a reference is fitted to.
struct ReferenceFit {
  std::size_t rows = 0;           // HeadSpec::horizon
  std::size_t action_size = 0;    // HeadSpec::action_size
  ControlTick ticks_per_row = 1;  // policy period in control periods, >= 1
  // So many rows must be left of a late chunk, 1..rows; with fewer it is no reference. Those that
  // are played before the next chunk: the last row is repeated behind them.
  std::size_t least_rows = 1;
};

struct AlignedReference {
  std::vector<float> actions;  // [ReferenceFit::rows, action_size], or empty: there is none
  std::uint32_t age = 0;       // control ticks from the observation it answers to the chunk's start
};

// `chunk` as a chunk that begins at control tick `tick`: each row is the mean of what the reference
// would have done over the ticks of that row. Exactly the chunk's own rows where the two begin
// whole rows apart. Empty when too little is left of it. kInvalidArgument: another size, a number
// that is not finite, or a tick in the future.
Result<AlignedReference> align_reference(const ReferenceChunk& chunk, ControlTick tick,
                                         const ReferenceFit& fit);

}  // namespace nudge
