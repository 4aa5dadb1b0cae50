// What the log says about when to ask for help: the worst signs of each episode that succeeded
// without a person, a fold over durable events. So a restart forgets nothing, and a label that
// comes late, or is taken back, moves the thresholds as if it had come in time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "nudge/event.h"
#include "policy/help_thresholds.h"
#include "replay/outcome.h"

namespace nudge {

// Not thread-safe. Bounded in memory: the newest 1,000 deployment episodes.
class HelpCalibration {
 public:
  // `false_alarms` as in help_thresholds(); of the newest `episodes` successes, at most 1,000.
  explicit HelpCalibration(double false_alarms = 0.1, std::size_t episodes = 200)
      : false_alarms_(false_alarms), episodes_(episodes) {}

  // Events in sequence order, each once. True when thresholds() may have changed.
  bool apply(const Event& event);

  // HelpThresholds{} until there are enough episodes. Costs a sort; not for every tick.
  HelpThresholds thresholds() const;
  // Deployment episodes whose last word is "success" and which no person helped: no takeover, no
  // nudge. Those in which a person came because the policy asked do not count either, so asking
  // makes the thresholds no looser; see docs/reference/help.md for what that costs.
  std::size_t successes() const;
  std::uint64_t newest_help() const { return newest_help_; }  // number of an ask; 0: none yet

 private:
  static constexpr std::size_t kEpisodes = 1000;
  struct Row {
    HelpScored scored;
    bool known = false;   // it has been scored
    bool helped = false;  // by a person, in whatever way
    Outcome said;
    bool counts() const { return known && !helped && said.value() == LabelValue::kSuccess; }
  };
  Row* find(EpisodeId episode);

  double false_alarms_;
  std::size_t episodes_;
  std::map<EpisodeId, Row> rows_;
  std::uint64_t newest_help_ = 0;
};

}  // namespace nudge
