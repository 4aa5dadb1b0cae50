// What the help signal sees of an episode, kept so that it can be looked at again with other
// thresholds; and how well it would have told in time which episodes fail.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "policy/help_signal.h"
#include "src/loop/lockstep.h"

namespace nudge {

struct HelpTrace {
  enum class What : std::uint8_t { kControl, kDisagreement, kStep };
  struct Entry {
    What what = What::kControl;
    Instant at;                  // kControl: from then on; kDisagreement: observed; kStep: its end
    bool policy_drives = false;  // kControl
    double value = 0;            // kDisagreement
    std::vector<float> proprioception;  // kStep, from its beginning
  };
  std::vector<Entry> entries;  // in the order in which the signal is told
  bool success = false;
  Duration length{};  // to the success, or to the time limit
  Instant begun;      // of the first entry
};

// An episode of the policy alone that keeps its trace.
class TracedUnattended final : public Unattended {
 public:
  Status after_tick(Instant now, WallTime wall, const TickOutcome& outcome,
                    std::vector<float> features, std::vector<Image> images) override;
  void on_disagreement(double value, Instant observed) override;
  HelpTrace take() { return std::exchange(trace_, {}); }

 private:
  HelpTrace trace_;
  bool drives_ = false;
};

// The signal's answer to an episode.
struct HelpVerdict {
  std::optional<Duration> asked;  // when it first asked, since the episode's beginning
  HelpReason reason = HelpReason::kDisagreement;
  HelpScored scored;  // its worst signs; unknown ones where the policy never drove
  struct Point {
    double seconds = 0;  // since the episode's beginning
    std::optional<double> disagreement, travel;
  };
  std::vector<Point> points;  // one for each step
};
HelpVerdict help_verdict(const HelpTrace& trace, const HelpSignalOptions& options,
                         const HelpThresholds& thresholds);

// How often the signal was right. An episode counts as asked only if that was before its end.
struct HelpRecord {
  std::uint64_t failures = 0, successes = 0;              // episodes
  std::uint64_t failures_asked = 0, successes_asked = 0;  // of these
  std::vector<double> lead;  // of each failure that was asked in: seconds from there to its end
};
HelpRecord help_record(std::span<const HelpTrace> traces, const HelpSignalOptions& options,
                       const HelpThresholds& thresholds);

// The worst signs of the episodes that succeeded.
std::vector<HelpScored> scores_of_successes(std::span<const HelpTrace> traces,
                                            const HelpSignalOptions& options);

}  // namespace nudge
