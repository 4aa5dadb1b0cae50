// Ears for eyes that are done. Eyes are trained with few sentences, and sentence encoders put
// sentences that differ in a word close together: the shipped one has "move the pot to the right
// hob" as near to the left burner as to the right one, so that a policy did the opposite of what it
// was told. Here the one layer that reads sentences ("words" of vision_spec.h) is fitted to many
// ways of saying each task, without a picture: each is to give the units that the task's own
// sentence gives.
//
// Ridge regression (Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal
// problems", 1970), solved anew a few times, since a unit that is off for the task need only stay
// off. The change is orthogonal to the tasks' own sentences: what the eyes make of those stays as
// it was, but for the rounding of F16.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "nudge/status.h"
#include "policy/vision_spec.h"

namespace nudge {

struct SaidTask {
  std::vector<float> own;   // [sentence_size], the vector of its instruction
  std::vector<float> ways;  // [n, sentence_size], of other sentences that mean the same
};

struct EarsOptions {
  double ridge = 0.005;    // of the mean square of a sentence's numbers, a sentence; from 0.0005 to
                           // 0.15 it makes no difference in the kitchen
  std::size_t rounds = 8;  // the kitchen's gain nothing from more
};

// `file` with that layer fitted. Needs no picture, no clock and no randomness, and takes seconds.
// kInvalidArgument: no task, or vectors of another size. kInternal: LibTorch failed.
Result<VisionFile> teach_ears(VisionFile file, std::span<const SaidTask> tasks,
                              const EarsOptions& options = {});

// Share of all `ways` by which the network would be modulated more as for another of the tasks than
// for its own; 0 with one task. The same errors.
Result<double> misheard(const VisionFile& file, std::span<const SaidTask> tasks);

}  // namespace nudge
