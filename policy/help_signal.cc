#include "policy/help_signal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace nudge {
namespace {

// Half at the threshold, towards 1 beyond it; 0 where there is none.
double share(double worse, double threshold) {
  if (!std::isfinite(threshold) || worse + threshold <= 0) return 0;
  return worse / (worse + threshold);
}

std::uint32_t steps_in(Duration time, Duration period) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(1, (time + period / 2) / period));
}

bool counts(double range) { return std::isfinite(range) && range > 0; }

}  // namespace

Status HelpSignalOptions::validate() const {
  if (policy_period <= Duration::zero()) {
    return invalid_argument("help: policy_period must be above 0");
  }
  if (window < 2 * policy_period || window > 10'000 * policy_period) {
    return invalid_argument("help: window must be 2 to 10,000 policy steps");
  }
  if (smoothing <= Duration::zero()) return invalid_argument("help: smoothing must be above 0");
  if (!(release > 0 && release <= 1)) return invalid_argument("help: release must be in (0, 1]");
  if (settle < Duration::zero()) return invalid_argument("help: settle must not be negative");
  if (next_help == 0) return invalid_argument("help: numbers begin at 1");
  return {};
}

HelpSignal::HelpSignal(const HelpSignalOptions& options)
    : options_(options),
      channels_(static_cast<std::size_t>(
          std::count_if(options.range.begin(), options.range.end(), counts))),
      next_help_(options.next_help),
      slots_(steps_in(options.window, options.policy_period)) {
  past_.resize(slots_ * options_.range.size());
}

void HelpSignal::start_signs() {
  disagreement_.reset();
  travel_.reset();
  filled_ = 0;
}

void HelpSignal::begin_episode() {
  start_signs();
  drives_ = false;
  steps_ = 0;
  drove_ = declined_ = false;
  worst_ = {};
  help_ = newest_help_ = 0;
}

std::optional<HelpEnded> HelpSignal::end_episode() { return end(HelpEnd::kEpisodeEnded); }

std::optional<HelpScored> HelpSignal::scored() const {
  if (!drove_) return std::nullopt;
  HelpScored scored = worst_;
  scored.seconds = seconds_driven();
  return scored;
}

std::optional<HelpEnded> HelpSignal::on_control(bool policy_drives, bool person_drives,
                                                Instant now) {
  if (person_drives) steps_ = 0;
  if (policy_drives == drives_) return std::nullopt;
  drives_ = policy_drives;
  start_signs();
  if (policy_drives) since_ = now;
  return policy_drives ? std::nullopt : end(person_drives ? HelpEnd::kTakenOver : HelpEnd::kHeld);
}

void HelpSignal::on_disagreement(double value, Instant observed) {
  if (!drives_ || observed < since_ || !std::isfinite(value) || value < 0) return;
  if (!disagreement_) {
    disagreement_ = value;
  } else {
    // An average of its own time constant, however often chunks come.
    const double passed = seconds(std::max(observed - disagreement_at_, Duration::zero()));
    const double keep = std::exp(-passed / seconds(options_.smoothing));
    disagreement_ = keep * *disagreement_ + (1 - keep) * value;
  }
  disagreement_at_ = observed;
}

double HelpSignal::distance(std::size_t slot, std::span<const float> to) const {
  double sum = 0;
  for (std::size_t c = 0; c < options_.range.size(); ++c) {
    if (!counts(options_.range[c])) continue;
    const double moved = (to[c] - past_[slot * options_.range.size() + c]) / options_.range[c];
    sum += moved * moved;
  }
  return std::sqrt(sum / static_cast<double>(channels_));
}

// The nearest that the robot was to here between half a window and a window ago: nothing when it
// stands, and little when it goes to and fro or in a circle, whatever the circle's period.
void HelpSignal::look_at_travel(std::span<const float> proprioception) {
  if (channels_ == 0 || proprioception.size() != options_.range.size()) return;
  travel_.reset();
  if (filled_ == slots_) {
    double nearest = std::numeric_limits<double>::infinity();
    // The newest slot is one step ago.
    for (std::size_t ago = std::max<std::size_t>(1, slots_ / 2); ago <= slots_; ++ago) {
      nearest =
          std::min(nearest, distance((newest_ + slots_ - (ago - 1)) % slots_, proprioception));
    }
    if (std::isfinite(nearest)) travel_ = nearest;
  }
  newest_ = (newest_ + 1) % slots_;
  std::copy(proprioception.begin(), proprioception.end(),
            past_.begin() + static_cast<std::ptrdiff_t>(newest_ * options_.range.size()));
  filled_ = std::min(filled_ + 1, slots_);
}

double HelpSignal::seconds_driven() const { return steps_ * seconds(options_.policy_period); }

double HelpSignal::score() const {
  double worst = share(seconds_driven(), thresholds_.seconds);
  if (disagreement_) worst = std::max(worst, share(*disagreement_, thresholds_.disagreement));
  // Small is bad here.
  if (travel_) worst = std::max(worst, share(thresholds_.travel, *travel_));
  return worst;
}

HelpChange HelpSignal::on_step(std::span<const float> proprioception) {
  HelpChange change;
  if (!drives_) return change;  // the step that a change of control has cut short
  ++steps_;
  drove_ = true;
  look_at_travel(proprioception);
  if (disagreement_) worst_.disagreement = std::max(worst_.disagreement, *disagreement_);
  if (travel_) worst_.travel = worst_.travel < 0 ? *travel_ : std::min(worst_.travel, *travel_);

  const double driven = seconds_driven();
  const bool unsure = disagreement_ && *disagreement_ > thresholds_.disagreement;
  const bool stuck = (travel_ && *travel_ < thresholds_.travel) || driven > thresholds_.seconds;
  if (unsure || stuck) {
    quiet_steps_ = 0;
    const HelpReason reason = unsure && stuck ? HelpReason::kBoth
                              : unsure        ? HelpReason::kDisagreement
                                              : HelpReason::kNoProgress;
    if (help_ != 0) {
      ++asked_steps_;
      if (reason != reason_) reason_ = HelpReason::kBoth;
    } else if (!declined_) {
      help_ = newest_help_ = next_help_++;
      reason_ = reason;
      asked_steps_ = 0;
      change.asked = HelpAsked{.help = help_, .reason = reason, .score = score()};
    }
  } else if (help_ != 0) {
    ++asked_steps_;
    const bool quiet =
        !(disagreement_ && *disagreement_ > options_.release * thresholds_.disagreement) &&
        !(travel_ && *travel_ * options_.release < thresholds_.travel);
    quiet_steps_ = quiet ? quiet_steps_ + 1 : 0;
    if (quiet_steps_ >= steps_in(options_.settle, options_.policy_period)) {
      change.ended = end(HelpEnd::kSettled);
    }
  }
  return change;
}

bool HelpSignal::decline(std::uint64_t help) {
  if (help == 0 || help != newest_help_) return false;
  declined_ = true;
  help_ = 0;
  return true;
}

std::optional<HelpEnded> HelpSignal::end(HelpEnd reason) {
  if (help_ == 0) return std::nullopt;
  return HelpEnded{.help = std::exchange(help_, 0), .reason = reason};
}

HelpState HelpSignal::state() const {
  if (help_ == 0) return {};
  return {.help = help_,
          .reason = reason_,
          .score = score(),
          .since = options_.policy_period * static_cast<std::int64_t>(asked_steps_)};
}

std::optional<double> HelpSignal::uncertainty() const {
  if (!disagreement_) return std::nullopt;
  return share(*disagreement_, thresholds_.disagreement);
}

}  // namespace nudge
