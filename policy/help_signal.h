// Whether the policy should ask a person for help, from what it does: it is unsure (samples of its
// chunks disagree), or it does not get on (the robot stays or goes in circles, or takes longer than
// it ever did when it succeeded). The two halves follow Agia et al., "Unpacking failure modes of
// generative policies: runtime monitoring of consistency and progress", 2024.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/help_thresholds.h"

namespace nudge {

struct HelpSignalOptions {
  Duration policy_period{};   // of a step, as in RobotSpec; > 0
  std::vector<double> range;  // of each proprioception channel, upper - lower; one that is not a
                              // positive number does not count
  // Travel: how far from where it was half of this to all of this ago; 2 policy steps or more. One
  // second: longer than a gripper takes to close.
  Duration window = std::chrono::seconds(1);
  // Time constant of the disagreement's average; > 0. About a chunk at 10 Hz: one sample is no sign
  // yet, and asking early is worth most.
  Duration smoothing = std::chrono::milliseconds(500);
  // An ask ends by itself when every sign has stayed below `release` of its threshold for `settle`.
  double release = 0.8;  // in (0, 1]
  Duration settle = std::chrono::seconds(1);
  std::uint64_t next_help = 1;  // numbers go on from here

  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// What people are shown of an ask.
struct HelpState {
  std::uint64_t help = 0;  // 0: nothing is asked
  HelpReason reason = HelpReason::kDisagreement;
  double score = 0;  // 0..1 now, of the worst sign; 0.5 is its threshold
  Duration since{};  // in policy steps

  friend bool operator==(const HelpState&, const HelpState&) = default;
};

struct HelpChange {
  std::optional<HelpAsked> asked;
  std::optional<HelpEnded> ended;
};

// Belongs to one thread. Allocates in its constructor only: it may live on the step thread.
class HelpSignal {
 public:
  // `options` must be valid.
  explicit HelpSignal(const HelpSignalOptions& options);

  void set_thresholds(const HelpThresholds& thresholds) { thresholds_ = thresholds; }
  const HelpThresholds& thresholds() const { return thresholds_; }

  // All is forgotten, a refusal of help too. End the episode before first.
  void begin_episode();
  // What was asked ends; the worst signs, when the policy drove at all.
  std::optional<HelpEnded> end_episode();
  std::optional<HelpScored> scored() const;

  // Who drives, from `now` on; each control tick, before the step that ended with it. While the
  // policy does not drive nothing is asked, and when it drives again its signs start anew.
  std::optional<HelpEnded> on_control(bool policy_drives, bool person_drives, Instant now);
  // Of the chunk that was computed from the observation at `observed`. One from before the policy
  // drove, or one that is not a finite number from 0 up, is left out.
  void on_disagreement(double value, Instant observed);
  // A policy step that the policy drove has ended; `proprioception` is from its beginning.
  HelpChange on_step(std::span<const float> proprioception);
  // Somebody said that the help asked for is not needed: nothing is asked any more in this episode.
  // False: this was asked in another one.
  bool decline(std::uint64_t help);

  HelpState state() const;
  // The signs as they are now; nothing: unknown yet.
  std::optional<double> disagreement() const { return disagreement_; }
  std::optional<double> travel() const { return travel_; }
  // The disagreement on the same scale as a score; nothing while it is unknown.
  std::optional<double> uncertainty() const;

 private:
  void look_at_travel(std::span<const float> proprioception);
  double distance(std::size_t slot, std::span<const float> to) const;
  double seconds_driven() const;
  double score() const;
  std::optional<HelpEnded> end(HelpEnd reason);
  void start_signs();

  HelpSignalOptions options_;
  std::size_t channels_ = 0;  // that count
  HelpThresholds thresholds_;
  std::uint64_t next_help_ = 1;

  // Of the stretch that the policy has driven without a break.
  bool drives_ = false;
  Instant since_{};
  std::optional<double> disagreement_;  // smoothed
  Instant disagreement_at_{};
  std::optional<double> travel_;
  std::vector<float> past_;  // ring of [window steps, range.size()]
  std::size_t slots_ = 0, newest_ = 0, filled_ = 0;

  // Of the episode.
  std::uint32_t steps_ = 0;  // driven, since the last takeover
  bool drove_ = false, declined_ = false;
  HelpScored worst_;

  // Of the ask.
  std::uint64_t help_ = 0;
  std::uint64_t newest_help_ = 0;  // of this episode, ended or not
  HelpReason reason_ = HelpReason::kDisagreement;
  std::uint32_t asked_steps_ = 0, quiet_steps_ = 0;
};

}  // namespace nudge
