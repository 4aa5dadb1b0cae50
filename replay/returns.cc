#include "replay/returns.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

namespace nudge {
namespace {

bool is_policy(const JudgedStep& step) { return step.source == ControlSource::kPolicy; }

// The smallest value that at least this share lies below; 0 of none.
double quantile_of(std::vector<float>& values, double share) {
  if (values.empty()) return 0;
  const std::size_t rank = std::min(
      static_cast<std::size_t>(share * static_cast<double>(values.size())), values.size() - 1);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// The first step behind the worst `window` in a row; all of them where there are fewer.
std::size_t end_of_mistake(const std::vector<float>& advantages, std::size_t window) {
  if (advantages.size() <= window) return advantages.size();
  double sum = std::accumulate(advantages.begin(),
                               advantages.begin() + static_cast<std::ptrdiff_t>(window), 0.0);
  double worst = sum;
  std::size_t end = window;
  for (std::size_t next = window; next < advantages.size(); ++next) {
    sum += static_cast<double>(advantages[next]) - advantages[next - window];
    if (sum >= worst) continue;
    worst = sum;
    end = next + 1;
  }
  return end;
}

bool is_failed_demonstration(const JudgedEpisode& episode) {
  return episode.purpose == EpisodePurpose::kDemonstration && !episode.success;
}

}  // namespace

bool is_judged(const JudgedEpisode& episode, const JudgedStep& step) {
  return is_policy(step) || is_failed_demonstration(episode);
}

Status ReturnOptions::validate() const {
  if (!(failure_cost >= 0 && failure_cost <= 100)) {
    return invalid_argument("returns: failure_cost must be from 0 to 100");
  }
  if (lookahead < 1 || lookahead > 10'000) {
    return invalid_argument("returns: lookahead must be from 1 to 10,000 steps");
  }
  if (!(quantile >= 0 && quantile <= 0.99)) {
    return invalid_argument("returns: quantile must be from 0 to 0.99");
  }
  return {};
}

Returns::Returns(std::vector<JudgedEpisode> episodes, const ReturnOptions& options)
    : episodes_(std::move(episodes)), options_(options) {
  std::map<std::string, std::size_t> count;
  for (const JudgedEpisode& episode : episodes_) ++count[episode.task];
  std::map<std::string, std::size_t> number;
  for (const JudgedEpisode& episode : episodes_) {
    const bool alone = count[episode.task] >= options_.fewest_episodes;
    const std::string name = alone ? episode.task : "";
    const auto [at, is_new] = number.try_emplace(name, tasks_.size());
    if (is_new) tasks_.emplace_back().task = name;
    TaskJudgement& task = tasks_[at->second];
    ++task.episodes;
    task.successes += episode.success ? 1 : 0;
    task.longest = std::max(task.longest, static_cast<std::uint32_t>(episode.steps.size()));
    task_of_.push_back(at->second);
  }
  for (std::size_t e = 0; e < episodes_.size(); ++e) {
    const double longest = tasks_[task_of_[e]].longest;
    const double whole = (1 + options_.failure_cost) * longest;
    const double failed = episodes_[e].success ? 0 : options_.failure_cost * longest;
    std::vector<float>& of = returns_.emplace_back();
    const std::size_t steps = episodes_[e].steps.size();
    for (std::size_t t = 0; t < steps; ++t) {
      const auto to_go = static_cast<double>(steps - 1 - t);
      of.push_back(static_cast<float>(std::max(-1.0, -(to_go + failed) / whole)));
    }
  }
}

Result<Judgement> Returns::judge(std::span<const std::vector<float>> values) const {
  if (values.size() != episodes_.size()) {
    return invalid_argument("returns: there are values of " + std::to_string(values.size()) +
                            " episodes, not of " + std::to_string(episodes_.size()));
  }
  Judgement judgement;
  judgement.tasks = tasks_;
  // Advantages that thresholds are made of.
  std::vector<std::vector<float>> by_policy(tasks_.size()), shown(tasks_.size());
  for (std::size_t e = 0; e < episodes_.size(); ++e) {
    const JudgedEpisode& episode = episodes_[e];
    const std::vector<JudgedStep>& steps = episode.steps;
    const std::vector<float>& value = values[e];
    const bool finite =
        std::all_of(value.begin(), value.end(), [](float v) { return std::isfinite(v); });
    if (value.size() != steps.size() || !finite) {
      return invalid_argument("returns: the values of episode " + std::to_string(episode.episode) +
                              " are not one finite number for each of its steps");
    }
    const double each = 1 / ((1 + options_.failure_cost) * tasks_[task_of_[e]].longest);
    std::vector<float>& advantages = judgement.advantages.emplace_back();
    for (std::size_t t = 0; t < steps.size(); ++t) {
      std::size_t ahead = t + 1;
      while (ahead < steps.size() && ahead < t + options_.lookahead &&
             steps[ahead].source == steps[t].source) {
        ++ahead;
      }
      const double outcome = ahead >= steps.size()
                                 ? returns_[e][t]
                                 : value[ahead] - each * static_cast<double>(ahead - t);
      advantages.push_back(static_cast<float>(outcome - value[t]));
      if (!is_judged(episode, steps[t]) || steps[t].before_takeover || episode.held_out) continue;
      (is_policy(steps[t]) ? by_policy : shown)[task_of_[e]].push_back(advantages.back());
    }
  }
  for (std::size_t k = 0; k < tasks_.size(); ++k) {
    judgement.tasks[k].policy.threshold = quantile_of(by_policy[k], options_.quantile);
    judgement.tasks[k].shown.threshold = quantile_of(shown[k], options_.quantile);
  }
  for (std::size_t e = 0; e < episodes_.size(); ++e) {
    TaskJudgement& task = judgement.tasks[task_of_[e]];
    const std::size_t end = is_failed_demonstration(episodes_[e])
                                ? end_of_mistake(judgement.advantages[e], options_.lookahead)
                                : episodes_[e].steps.size();
    for (std::size_t t = 0; t < episodes_[e].steps.size(); ++t) {
      const JudgedStep& step = episodes_[e].steps[t];
      if (!is_judged(episodes_[e], step)) continue;
      if (t >= end) {
        judgement.tokens.push_back({step.row, Advantage::kNone});
        continue;
      }
      StepJudgement& of = is_policy(step) ? task.policy : task.shown;
      const bool positive =
          !step.before_takeover && judgement.advantages[e][t] >= static_cast<float>(of.threshold);
      judgement.tokens.push_back(
          {step.row, positive ? Advantage::kPositive : Advantage::kNegative});
      if (episodes_[e].held_out) continue;
      ++(positive ? of.positive : of.negative);
      task.before_takeover += step.before_takeover ? 1 : 0;
    }
  }
  return judgement;
}

}  // namespace nudge
