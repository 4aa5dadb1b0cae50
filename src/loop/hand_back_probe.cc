#include "src/loop/hand_back_probe.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nudge/random.h"
#include "policy/input_layout.h"

namespace nudge {
namespace {

constexpr std::size_t kLed = 10;       // 1 s: how long a person looks on before they take over
constexpr std::size_t kFollowed = 20;  // 2 s: what comes later is another part of the task
constexpr std::size_t kSamples = 8;    // of noise at each step
constexpr std::uint64_t kNoise = 7'000'003;

}  // namespace

HandBackMean mean_of(std::span<const HandBackError> errors) {
  const auto mean = [&](PairedError HandBackError::*part) {
    PairedError sum;
    for (const HandBackError& each : errors) {
      const PairedError& one = each.*part;
      sum.steps += one.steps;
      sum.before += static_cast<double>(one.steps) * one.before;
      sum.after += static_cast<double>(one.steps) * one.after;
    }
    const auto steps = static_cast<double>(std::max<std::size_t>(sum.steps, 1));
    sum.before /= steps;
    sum.after /= steps;
    return sum;
  };
  return {errors.size(), mean(&HandBackError::led), mean(&HandBackError::followed)};
}

void HandBackProbe::States::add(std::span<const float> of_features, std::span<const float> of_robot,
                                const Action& would_do) {
  features.insert(features.end(), of_features.begin(), of_features.end());
  proprioception.insert(proprioception.end(), of_robot.begin(), of_robot.end());
  expert.insert(expert.end(), would_do.begin(), would_do.end());
  ++steps;
}

void HandBackProbe::States::keep_newest(std::size_t most) {
  if (steps <= most) return;
  const auto cut = [&](std::vector<float>& rows) {
    rows.erase(rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(rows.size() / steps * most));
  };
  cut(features);
  cut(proprioception);
  cut(expert);
  steps = most;
}

HandBackProbe::HandBackProbe(const ExpertOptions& hand, const KitchenLevel& level)
    : expert_(hand, level) {}

void HandBackProbe::begin_episode(EpisodeId episode, std::uint64_t seed) {
  episode_ = episode;
  seed_ = seed;
  hand_backs_.clear();
  lately_ = {};
  watching_ = false;
  would_do_.reset();
  expert_.begin(seed_);
}

void HandBackProbe::on_hand_back(WeightsVersion live) {
  HandBack& at = hand_backs_.emplace_back();
  at.before = live;
  at.led = std::exchange(lately_, {});
  watching_ = true;
  would_do_.reset();
  expert_.begin(seed_);
}

void HandBackProbe::on_step_begun(const Observation& observation) {
  would_do_ = expert_.act(observation);
}

void HandBackProbe::on_step(std::span<const float> features,
                            std::span<const float> proprioception) {
  if (!would_do_ || features.empty()) return;
  lately_.add(features, proprioception, *would_do_);
  lately_.keep_newest(kLed);
  if (watching_ && hand_backs_.back().followed.steps < kFollowed) {
    hand_backs_.back().followed.add(features, proprioception, *would_do_);
  }
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
    if (at.before == 0 || at.after == 0 || at.followed.steps == 0) continue;
    const Result<LoadedHead> before = load(at.before);
    if (!before.ok()) return before.status();
    const Result<LoadedHead> after = load(at.after);
    if (!after.ok()) return after.status();
    if (before->head->spec().edit || after->head->spec().edit) continue;
    HandBackError& each = errors.emplace_back();
    each.episode = episode_;
    for (const auto& [states, paired] :
         {std::pair(&at.led, &each.led), std::pair(&at.followed, &each.followed)}) {
      if (states->steps == 0) continue;
      const Result<double> was = error(*before->head, *states);
      if (!was.ok()) return was.status();
      const Result<double> is = error(*after->head, *states);
      if (!is.ok()) return is.status();
      *paired = {.steps = states->steps, .before = *was, .after = *is};
    }
  }
  hand_backs_.clear();
  return errors;
}

Result<double> HandBackProbe::error(ActionHead& head, const States& at) const {
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
