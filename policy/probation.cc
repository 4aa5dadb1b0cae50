#include "policy/probation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>

namespace nudge {
namespace {

double rate(std::uint64_t count, std::uint64_t of) {
  return static_cast<double>(count) / static_cast<double>(of);
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

}  // namespace

Status ProbationOptions::validate() const {
  if (episodes < 1) return invalid_argument("probation: episodes must be at least 1");
  if (!(clamp_ratio > 1) || !std::isfinite(clamp_ratio)) {
    return invalid_argument("probation: clamp_ratio must be more than 1");
  }
  if (!(clamp_floor >= 0 && clamp_floor <= 1)) {
    return invalid_argument("probation: clamp_floor must be 0..1");
  }
  if (latency_budget <= Duration::zero()) {
    return invalid_argument("probation: latency_budget must be positive");
  }
  if (late_window < 1 || late_window > 64) {
    return invalid_argument("probation: late_window must be 1..64");
  }
  if (late_limit < 1 || late_limit > late_window) {
    return invalid_argument("probation: late_limit must be 1..late_window");
  }
  if (!(confidence > 0.5 && confidence < 1)) {
    return invalid_argument("probation: confidence must lie between 0.5 and 1");
  }
  if (!(doubt >= 0 && doubt < 1)) {
    return invalid_argument("probation: doubt must be at least 0 and less than 1");
  }
  return {};
}

double takeover_p_value(const Exposure& exposure, const Exposure& parent) {
  if (exposure.episodes == 0 || parent.episodes == 0) return 1;
  const std::uint64_t total = exposure.takeovers + parent.takeovers;
  const double share = rate(exposure.episodes, exposure.episodes + parent.episodes);
  // The probability mass by its recurrence, in logarithms: the first terms of a long history are
  // smaller than any double.
  const double log_odds = std::log(share) - std::log1p(-share);
  double log_mass = static_cast<double>(total) * std::log1p(-share);
  double tail = 0;
  for (std::uint64_t i = 0; i <= total; ++i) {
    if (i >= exposure.takeovers) tail += std::exp(log_mass);
    log_mass += std::log(static_cast<double>(total - i) / static_cast<double>(i + 1)) + log_odds;
  }
  return std::min(tail, 1.0);
}

void Probation::Share::end(Exposure& exposure) {
  if (drove) {
    ++exposure.episodes;
    exposure.takeovers += takeovers;
  }
  *this = {};
}

Probation::Probation(ProbationOptions options) : options_(options) {}

void Probation::reset_own() {
  own_ = {};
  own_share_ = {};
  late_ = 0;
  non_finite_ = false;
  own_whole_episode_ = false;
}

void Probation::reset_lineage() {
  lineage_ = {};
  lineage_share_ = {};
  takeover_p_ = 1;
}

void Probation::on_boot(WeightsVersion confirmed, const Exposure& parent) {
  *this = Probation(options_);
  confirmed_ = live_ = confirmed;
  parent_ = parent;
}

void Probation::on_confirmed(WeightsVersion version) {
  if (version == confirmed_) return;
  if (version == live_) {
    parent_ = lineage_;
    parent_share_ = lineage_share_;
  } else {
    parent_ = {};
    parent_share_ = {};
  }
  confirmed_ = version;
  reset_lineage();
}

void Probation::on_live(WeightsVersion version, WeightsKind kind) {
  if (version == live_) return;
  live_ = version;
  kind_ = kind;
  reset_own();
}

void Probation::on_rolled_back(WeightsVersion to) {
  // Going back further than the confirmed version (a person may) leaves nothing to compare with.
  if (to != confirmed_) {
    parent_ = {};
    parent_share_ = {};
  }
  confirmed_ = to;
  live_ = to;
  kind_ = WeightsKind::kFull;
  reset_lineage();
  reset_own();
}

void Probation::on_episode_started() {
  parent_share_ = {};
  lineage_share_ = {};
  own_share_ = {};
  episode_driver_ = 0;
  one_driver_ = true;
}

void Probation::on_auto_step(bool clamped) {
  if (live_ == 0) return;
  if (episode_driver_ == 0) episode_driver_ = live_;
  if (episode_driver_ != live_) one_driver_ = false;
  const auto count = [clamped](Exposure& exposure, Share& share) {
    ++exposure.steps;
    exposure.clamped += clamped;
    share.drove = true;
  };
  count(own_, own_share_);
  if (live_ == confirmed_) count(parent_, parent_share_);
  if (full_on_probation()) count(lineage_, lineage_share_);
}

void Probation::on_inference(Duration latency) {
  late_ = late_ << 1 | (latency > options_.latency_budget ? 1u : 0u);
}

void Probation::on_non_finite() { non_finite_ = true; }

void Probation::on_takeover() {
  if (live_ == 0) return;
  ++own_share_.takeovers;
  if (live_ == confirmed_) ++parent_share_.takeovers;
  if (full_on_probation()) ++lineage_share_.takeovers;
}

void Probation::on_episode_ended() {
  parent_share_.end(parent_);
  lineage_share_.end(lineage_);
  own_share_.end(own_);
  if (episode_driver_ != 0 && episode_driver_ == live_ && one_driver_) own_whole_episode_ = true;
  episode_driver_ = 0;
  one_driver_ = true;
  takeover_p_ = takeover_p_value(lineage_, parent_);
}

Verdict Probation::verdict() const {
  Verdict verdict;
  verdict.version = live_;
  if (!on_probation()) return verdict;
  const auto roll_back = [&](std::string reason, std::string detail) {
    verdict.kind = Verdict::Kind::kRollBack;
    verdict.to = confirmed_;
    verdict.reason = std::move(reason);
    verdict.detail = std::move(detail);
    return verdict;
  };

  if (non_finite_) return roll_back("non_finite", "the policy gave a number that is not finite");

  const std::uint64_t window = options_.late_window == 64
                                   ? ~std::uint64_t{0}
                                   : (std::uint64_t{1} << options_.late_window) - 1;
  const int late = std::popcount(late_ & window);
  if (late >= static_cast<int>(options_.late_limit)) {
    return roll_back("latency", std::to_string(late) + " of the last " +
                                    std::to_string(options_.late_window) +
                                    " inferences were over their budget");
  }

  // The version's own steps as soon as there are enough: what its predecessors did is not its
  // fault.
  const Exposure& judged =
      own_.steps >= options_.clamp_min_steps || !full_on_probation() ? own_ : lineage_;
  if (judged.steps >= std::max(options_.clamp_min_steps, 1u) &&
      parent_.steps >= std::max(options_.clamp_min_steps, 1u)) {
    const double clamps = rate(judged.clamped, judged.steps);
    const double before = rate(parent_.clamped, parent_.steps);
    if (clamps > options_.clamp_ratio * std::max(before, options_.clamp_floor)) {
      return roll_back("clamp_rate", "limits cut " + percent(clamps) +
                                         " of the steps, the parent's " + percent(before));
    }
  }

  if (!full_on_probation() || lineage_.episodes < options_.episodes) return verdict;
  if (takeover_p_ <= 1 - options_.confidence) {
    return roll_back("takeovers", std::to_string(lineage_.takeovers) + " takeovers in " +
                                      std::to_string(lineage_.episodes) + " episodes, the parent " +
                                      std::to_string(parent_.takeovers) + " in " +
                                      std::to_string(parent_.episodes));
  }
  const bool drove_itself = own_whole_episode_ || own_.steps >= options_.own_steps;
  if (drove_itself && takeover_p_ > options_.doubt) verdict.kind = Verdict::Kind::kConfirm;
  return verdict;
}

}  // namespace nudge
