// What the learner eats: a batch of action chunks on cached features, as flat float columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nudge {

// Persisted in weights metadata and used as an embedding index: never renumber.
enum class Advantage : std::uint8_t { kNone = 0, kPositive = 1, kNegative = 2 };

// Where a training sample comes from. Persisted in reports: never renumber.
enum class SampleClass : std::uint8_t {
  kDemonstration = 0,
  kCorrection = 1,         // a person drove, after any recovery
  kRecovery = 2,           // a person undid a mess
  kNudged = 3,             // the policy, bent by a motion word
  kAutonomousSuccess = 4,  // the policy alone, in an episode labelled success
  kBeforeTakeover = 5,     // the moment before a takeover: dropped, or negative
  kAutonomousFailure = 6,  // in an episode labelled failure: dropped, or negative; where steps are
                           // judged, what went wrong in a failed demonstration too
};
inline constexpr std::size_t kSampleClasses = 7;

// All columns are row-major with `size` rows. Reused between calls: vectors only grow.
struct Batch {
  std::size_t size = 0;
  std::size_t feature_size = 0;
  std::size_t proprioception_size = 0;
  std::size_t action_size = 0;
  std::size_t horizon = 0;

  std::vector<float> features;         // [size, feature_size]
  std::vector<float> proprioception;   // [size, proprioception_size]
  std::vector<float> actions;          // [size, horizon, action_size]; executed actions
  std::vector<float> mask;             // [size, horizon]; 1: inside the window, 0: past its end
  std::vector<float> weight;           // [size]
  std::vector<Advantage> advantage;    // [size]
  std::vector<std::uint64_t> cluster;  // [size]; the episode, for clustered statistics

  // What somebody else proposed for the same chunks, in action units; see policy/reference.h.
  std::vector<float> reference;  // [size, horizon, action_size], or empty: no row has one
  std::vector<std::uint8_t> has_reference;  // [size], 1: this row has one; or empty with it
};

}  // namespace nudge
