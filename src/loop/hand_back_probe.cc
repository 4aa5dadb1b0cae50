#include "src/loop/hand_back_probe.h"

#include <algorithm>
#include <cmath>

#include "nudge/random.h"
#include "policy/input_layout.h"

namespace nudge {
namespace {

constexpr std::size_t kSteps = 20;   // 2 s: what comes later is another part of the task
constexpr std::size_t kSamples = 8;  // of noise at each step
constexpr std::uint64_t kNoise = 7'000'003;

}  // namespace

HandBackMean mean_of(std::span<const HandBackError> errors) {
  HandBackMean mean;
  double steps = 0;
  for (const HandBackError& each : errors) {
    ++mean.hand_backs;
    const auto count = static_cast<double>(each.steps);
    steps += count;
    mean.before += count * each.before;
    mean.after += count * each.after;
  }
  if (steps > 0) {
    mean.before /= steps;
    mean.after /= steps;
  }
  return mean;
}

HandBackProbe::HandBackProbe(const ExpertOptions& hand, const KitchenLevel& level)
    : expert_(hand, level) {}

void HandBackProbe::begin_episode(EpisodeId episode, std::uint64_t seed) {
  episode_ = episode;
  seed_ = seed;
  hand_backs_.clear();
  watching_ = false;
  would_do_.reset();
}

void HandBackProbe::on_hand_back(WeightsVersion live) {
  hand_backs_.emplace_back().before = live;
  watching_ = true;
  would_do_.reset();
  expert_.begin(seed_);
}

void HandBackProbe::on_step_begun(const Observation& observation) {
  would_do_.reset();
  if (watching_ && hand_backs_.back().steps < kSteps) would_do_ = expert_.act(observation);
}

void HandBackProbe::on_step(std::span<const float> features,
                            std::span<const float> proprioception) {
  if (!watching_ || !would_do_ || features.empty()) return;
  HandBack& at = hand_backs_.back();
  at.features.insert(at.features.end(), features.begin(), features.end());
  at.proprioception.insert(at.proprioception.end(), proprioception.begin(), proprioception.end());
  at.expert.insert(at.expert.end(), would_do_->begin(), would_do_->end());
  ++at.steps;
  would_do_.reset();
}

void HandBackProbe::on_micro_round(WeightsVersion version) {
  if (!hand_backs_.empty() && hand_backs_.back().after == 0) hand_backs_.back().after = version;
}

Result<std::vector<HandBackError>> HandBackProbe::end_episode(
    const std::function<Result<LoadedHead>(WeightsVersion)>& load) {
  watching_ = false;
  std::vector<HandBackError> errors;
  for (const HandBack& at : hand_backs_) {
    if (at.before == 0 || at.after == 0 || at.steps == 0) continue;
    const Result<LoadedHead> before = load(at.before);
    if (!before.ok()) return before.status();
    const Result<LoadedHead> after = load(at.after);
    if (!after.ok()) return after.status();
    if (before->head->spec().edit || after->head->spec().edit) continue;
    const Result<double> was = error(*before->head, at);
    if (!was.ok()) return was.status();
    const Result<double> is = error(*after->head, at);
    if (!is.ok()) return is.status();
    errors.push_back({.episode = episode_, .steps = at.steps, .before = *was, .after = *is});
  }
  hand_backs_.clear();
  return errors;
}

Result<double> HandBackProbe::error(ActionHead& head, const HandBack& at) const {
  const HeadSpec& spec = head.spec();
  const std::size_t chunk = spec.horizon * spec.action_size;
  const std::vector<float> scale = values_of(head.weights(), "norm.action.scale");
  Random random(Random::derive(seed_, kNoise));
  std::vector<float> noise(at.steps * chunk), chunks(at.steps * chunk);
  double sum = 0;
  for (std::size_t sample = 0; sample < kSamples; ++sample) {
    for (float& v : noise) v = static_cast<float>(random.normal());
    HeadBatch in;
    in.size = at.steps;
    in.features = at.features;
    in.proprioception = at.proprioception;
    NUDGE_TRY(head.sample(in, noise, chunks));
    for (std::size_t step = 0; step < at.steps; ++step) {
      for (std::size_t c = 0; c < spec.action_size; ++c) {
        const float rate = std::clamp(chunks[step * chunk + c], -1.0F, 1.0F);
        sum += std::abs(rate - at.expert[step * spec.action_size + c]) / scale[c];
      }
    }
  }
  return sum / static_cast<double>(kSamples * at.steps * spec.action_size);
}

}  // namespace nudge
