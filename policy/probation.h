// After the swap: watches full weights that are not confirmed yet, and says when to confirm them
// and when to go back.
//
// Rolled back at once: an action that is not finite, a clamp rate of more than `clamp_ratio` times
// the parent's, inference over its latency budget. Takeovers are how people teach, so they count
// against weights only when their rate per autonomous episode exceeds the confirmed parent's
// significantly.
//
// The test: given k takeovers in both together, and n1 and n0 episodes, equal rates make those of
// the new weights Binomial(k, n1 / (n1 + n0)); the p-value is its upper tail (Przyborowski and
// Wilenski, "Homogeneity of results in testing samples from Poisson series", Biometrika 1940). It
// is exact at any count, and without episodes of the parent it never rejects. It is looked at after
// every episode, so over a long probation its false alarms may exceed 5 %; a false alarm costs one
// round of learning. While it leaves doubt, the lineage stays on probation: it acts, and does not
// boot.
//
// Exposure belongs to the lineage: the full versions since the last confirmed one. A full round
// after each corrected episode replaces a version long before five episodes are over, so that,
// judged one by one, no version would ever be confirmed while people are teaching, which is when it
// matters. Each of them started from its predecessor and passed the gate against the confirmed one,
// so what the lineage went through without a trigger speaks for the newest, with a little evidence
// of its own.
//
// Provisional weights (micro-rounds) add nothing to the lineage and are never confirmed; the
// immediate triggers hold for them as well.
#pragma once

#include <cstdint>
#include <string>

#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

struct ProbationOptions {
  std::uint32_t episodes = 5;  // AUTO episodes of the lineage before it is confirmed, and
                               // before takeovers are judged; >= 1
  // AUTO steps of the version itself that replace a whole episode of its own. 15: at 10 Hz less
  // than a version gets before the next one while people teach, with a full round after every
  // episode.
  std::uint32_t own_steps = 15;
  std::uint32_t clamp_min_steps = 100;  // AUTO steps on either side before clamp rates are compared
  double clamp_ratio = 2.0;             // > 1
  // The parent's rate is taken as at least this; in [0, 1]. Of 100 steps of a parent that is as
  // good none may have been clamped: in the kitchen versions that solve every start had 2 to 8 % of
  // their steps clamped. The robot holds at 20 % (limits.clamps_to_hold).
  double clamp_floor = 0.05;
  Duration latency_budget = std::chrono::milliseconds(50);  // of one inference; > 0
  std::uint32_t late_limit = 3;    // inferences over the budget among the last `late_window` that
  std::uint32_t late_window = 20;  // trigger; 1..64. Not the first one: virtual machines stall
                                   // every thread for 4-10 ms now and then
  double confidence = 0.95;        // one-sided, of the test on takeovers; in (0.5, 1)
  // Not confirmed while the test's p-value is at most this; in [0, 1). Five episodes alone let most
  // of what is worse through. With 0.35, of lineages with twice the takeovers of a parent that
  // drove 20 episodes two thirds fewer are confirmed, and equally good ones wait a few episodes
  // longer (docs/reference/gate-calibration.md).
  double doubt = 0.35;

  Status validate() const;  // kInvalidArgument naming the first field out of its range
};

// What a set of weights, or a lineage of them, went through in AUTO.
struct Exposure {
  std::uint64_t episodes = 0;   // ended, in which it drove at least one AUTO step
  std::uint64_t steps = 0;      // AUTO policy steps
  std::uint64_t clamped = 0;    // of these, executed differently from requested, by the limits
  std::uint64_t takeovers = 0;  // that cut it while it drove, in ended episodes

  friend bool operator==(const Exposure&, const Exposure&) = default;
};

struct Verdict {
  enum class Kind { kKeep, kConfirm, kRollBack };
  Kind kind = Kind::kKeep;
  WeightsVersion version = 0;  // the one meant
  WeightsVersion to = 0;       // kRollBack: the last confirmed version; 0: there is none, so hold
  std::string reason;          // kRollBack: stable word: "non_finite", "clamp_rate", "latency",
                               // "takeovers"
  std::string detail;          // for people, with the figures
};

// P(X >= takeovers) for X ~ Binomial(takeovers + parent_takeovers, episodes / (episodes +
// parent_episodes)): small when the rate is higher than the parent's. 1 without any episodes.
double takeover_p_value(const Exposure& exposure, const Exposure& parent);

// Not thread-safe. Reads no clock: what happened is told in order.
class Probation {
 public:
  // `options` must be valid.
  explicit Probation(ProbationOptions options);

  // ---- what the log says; also when replaying it ----
  // Boot, WeightsConfirmed and WeightsPromoted: `version` is the one to go back to. The lineage's
  // exposure becomes the parent's, and a new lineage begins. At boot pass what was known as
  // `parent`.
  void on_confirmed(WeightsVersion version);
  void on_boot(WeightsVersion confirmed, const Exposure& parent);
  void on_live(WeightsVersion version, WeightsKind kind);
  // The lineage is given up. `to` is live and confirmed.
  void on_rolled_back(WeightsVersion to);

  // ---- what happens; for the version that is live ----
  void on_episode_started();        // also after one that never ended, which then counts nowhere
  void on_auto_step(bool clamped);  // one policy step of AUTO
  void on_inference(Duration latency);  // observation to chunk
  void on_non_finite();                 // an action or a chunk with a NaN or an infinity
  void on_takeover();                   // AUTO -> TAKEOVER
  void on_episode_ended();

  // What to do now. Asking changes nothing: the answer stays until the event that carries it out.
  Verdict verdict() const;

  WeightsVersion confirmed() const { return confirmed_; }
  WeightsVersion live() const { return live_; }
  const Exposure& parent() const { return parent_; }    // of the confirmed version
  const Exposure& lineage() const { return lineage_; }  // of full versions since
  const Exposure& own() const { return own_; }          // of the live version

 private:
  // Of one episode: counted when it ends, so that a takeover never stands against fewer episodes
  // than it happened in.
  struct Share {
    bool drove = false;
    std::uint64_t takeovers = 0;
    void end(Exposure& exposure);
  };

  bool on_probation() const { return live_ != 0 && live_ != confirmed_; }
  bool full_on_probation() const { return on_probation() && kind_ == WeightsKind::kFull; }
  void reset_own();
  void reset_lineage();

  ProbationOptions options_;
  WeightsVersion confirmed_ = 0;
  WeightsVersion live_ = 0;
  WeightsKind kind_ = WeightsKind::kFull;
  Exposure parent_, lineage_, own_;
  Share parent_share_, lineage_share_, own_share_;  // of the episode that runs
  double takeover_p_ = 1;                           // as of the last episode's end
  std::uint64_t late_ = 0;  // bit i: the inference i ago was over the budget
  bool non_finite_ = false;
  WeightsVersion episode_driver_ = 0;  // of the episode's first AUTO step; 0: none yet
  bool one_driver_ = true;             // no other version has driven in this episode
  bool own_whole_episode_ = false;     // the live version alone drove an episode that has ended
};

}  // namespace nudge
