// A scripted person beside the robot. It sees only observations, knows nothing of policy or
// learner, and says what a person at the tablet would do; carrying it out is the caller's part.
// When the task makes no progress for a while it asks to take over, drives until there is some, and
// hands back; at the end it tells whether it worked. The rule is that of the prototype in which
// online learning was measured first, with a person's reaction time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "nudge/event.h"
#include "nudge/random.h"
#include "nudge/types.h"
#include "src/sim/expert.h"
#include "src/sim/task.h"

namespace nudge {

// How a hand drives that is wrong.
enum class WrongHand : std::uint8_t {
  kRandom = 0,       // every channel at a rate from -1 to 1, drawn anew every half second
  kAdversarial = 1,  // every channel at minus the rate that would be right
};

struct SupervisorOptions {
  Duration stall = std::chrono::milliseconds(1000);     // no progress for this long: step in
  double stall_progress = 0.01;                         // m; less than this is none
  Duration patience = std::chrono::milliseconds(3000);  // no new best for this long: step in, even
                                                        // if it moves to and fro
  Duration reaction = std::chrono::milliseconds(300);   // from seeing to acting
  Duration minimum_drive = std::chrono::milliseconds(1200);
  double drive_progress = 0.03;  // m gained before handing back
  std::uint32_t time_limit_steps = kKitchenEpisodeSteps;
  bool intervene = true;  // false: only labels
  // Share of its corrections that are wrong, each drawn by itself: throughout such a one the hand
  // drives as `wrong` says, and hands back after minimum_drive, since progress will not come.
  double wrong_share = 0;
  WrongHand wrong = WrongHand::kRandom;
  ExpertOptions hand;  // how it drives
};

enum class SupervisorAct : std::uint8_t {
  kNothing = 0,
  kTakeOver = 1,  // asks for control; repeated until human_is_driving
  kJog = 2,       // holds the dead-man and moves by `jog`
  kHandBack = 3,  // releases and gives back to the policy; repeated until !human_is_driving
  kLabel = 4,     // the episode is over: `label`; said once, kNothing after that
};

struct Supervision {
  SupervisorAct act = SupervisorAct::kNothing;
  Action jog;                            // kJog: normalised rates; empty otherwise
  LabelValue label = LabelValue::kNone;  // kLabel: kSuccess or kFailure
};

// Not thread-safe. Time is that of the observations.
class ScriptedSupervisor {
 public:
  // The level lives longer.
  explicit ScriptedSupervisor(const SupervisorOptions& options = {},
                              const KitchenLevel& level = lift_level());

  // A new episode; the seed varies the hand.
  void begin(std::uint64_t seed);

  // Call at every policy step, or at every control tick: a jog changes only once per policy period.
  // The time limit counts policy periods since the first observation.
  Supervision step(const Observation& observation, bool human_is_driving);

  // What this episode has cost so far.
  std::uint32_t takeovers() const { return takeovers_; }
  std::uint32_t wrong_takeovers() const { return wrong_takeovers_; }  // of these
  Duration driven() const { return driven_; }

 private:
  bool stalled(Instant now) const;
  void watch_from(Instant now, double progress);
  Action drive(const Observation& observation);

  SupervisorOptions options_;
  const KitchenLevel* level_;
  Expert hand_;
  std::deque<std::pair<Instant, double>> seen_;  // progress over the last `stall`
  bool started_ = false;
  bool over_ = false;
  bool driving_ = false;    // as of the last step
  bool asking_ = false;     // takeover asked for
  bool returning_ = false;  // hand-back asked for
  Instant first_{};
  Instant last_{};
  Instant watching_since_{};
  Instant best_time_{};
  double best_ = 0;
  std::optional<Instant> noticed_;  // first sight of the stall
  Instant drive_start_{};
  double drive_start_progress_ = 0;
  Instant jog_time_{};
  Action jog_;
  bool wrong_ = false;  // this time
  Random doubt_{0};     // whether, and where to
  Instant wandered_{};  // since when the random rates are in force
  Action wander_;
  std::uint32_t takeovers_ = 0, wrong_takeovers_ = 0;
  Duration driven_{};
};

}  // namespace nudge
