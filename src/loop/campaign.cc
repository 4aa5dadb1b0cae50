#include "src/loop/campaign.h"

#include <algorithm>
#include <string_view>

#include "src/loop/base_policy.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"

namespace nudge {
namespace {

// Rough cost of each kind of work, so that the bar moves evenly.
constexpr std::uint64_t kDemonstrationUnits = 1;
constexpr std::uint64_t kTrainingUnits = 50;
constexpr std::uint64_t kEvaluationUnits = 60;
constexpr std::uint64_t kCorrectionUnits = 12;  // a corrected episode and what it takes to get one

constexpr std::uint64_t kDeploymentStream = 3'000'017;

// A seed's task is what the seed draws. Each seed that is passed over gives the next one, so that
// the seeds of other episodes stay what they are.
std::uint64_t seed_of_one_of(const std::vector<std::size_t>& tasks, const KitchenLevel& level,
                             std::uint64_t seed) {
  while (!tasks.empty() && std::ranges::find(tasks, level.task_of(seed)) == tasks.end()) {
    seed = Random::derive(seed, kDeploymentStream);
  }
  return seed;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

double median_of_new(const std::vector<double>& all, std::size_t since) {
  std::vector<double> fresh(all.begin() + static_cast<std::ptrdiff_t>(since), all.end());
  if (fresh.empty()) return -1;
  const std::size_t middle = fresh.size() / 2;
  std::nth_element(fresh.begin(), fresh.begin() + static_cast<std::ptrdiff_t>(middle), fresh.end());
  return fresh[middle];
}

class Campaign {
 public:
  Campaign(Deployment& deployment, const Config& config, const CampaignOptions& options,
           const OnCampaignProgress& on_progress)
      : deployment_(deployment), config_(config), options_(options), on_progress_(on_progress) {
    const std::uint64_t evaluations = 1 + options.corrected_episodes / options.evaluate_every;
    total_ = options.demonstrations * kDemonstrationUnits + kTrainingUnits +
             evaluations * kEvaluationUnits + options.corrected_episodes * kCorrectionUnits;
  }

  Result<CampaignResult> run() {
    const Result<const KitchenLevel*> level =
        kitchen_level(static_cast<int>(config_.kitchen.level));
    if (!level.ok()) return level.status();
    // Weights that were confirmed before: an earlier run is continued.
    if (deployment_.history().confirmed() == 0) NUDGE_TRY(make_base());
    const std::uint64_t before = deployment_.dataset_counts().deployments;
    NUDGE_TRY(evaluate_now());
    result_.base_success = result_.final_success;
    std::uint32_t corrected = 0;
    for (std::uint32_t i = 0; i < options_.episodes && corrected < options_.corrected_episodes;
         ++i) {
      const std::uint64_t seed =
          Random::derive(Random::derive(options_.seed, kDeploymentStream), before + i);
      const Result<EpisodeOutcome> outcome =
          deployment_.run_episode(seed_of_one_of(options_.tasks, **level, seed));
      if (!outcome.ok()) return outcome.status();
      ++episodes_;
      ++since_.episodes;
      since_.steps += outcome->policy_steps;
      since_.takeovers += outcome->takeovers;
      since_.wrong_takeovers += outcome->wrong_takeovers;
      since_.length += outcome->length;
      since_.human_steps += outcome->human_steps;
      if (outcome->corrected) ++corrected;
      corrected_ = corrected;
      if (outcome->corrected) advance(kCorrectionUnits, "");
      say("episode " + std::to_string(episodes_) + ", " + std::to_string(corrected) +
          " corrected, weights v" + std::to_string(outcome->weights));
      if (outcome->corrected && corrected % options_.evaluate_every == 0) {
        NUDGE_TRY(deployment_.settle());
        NUDGE_TRY(evaluate_now());
      }
    }
    // Fewer corrections than asked for: the robot rarely fails any more, and that is measured too.
    if (result_.points.back().episodes != episodes_) {
      NUDGE_TRY(deployment_.settle());
      NUDGE_TRY(evaluate_now());
    }
    for (std::size_t i = 0; i < result_.base_success.size(); ++i) {
      const bool before = result_.base_success[i];
      const bool after = result_.final_success[i];
      if (before && !after) ++result_.solved_only_before;
      if (after && !before) ++result_.solved_only_after;
    }
    for (const std::uint64_t seed : evaluation_seeds(options_.seed, options_.evaluation_starts)) {
      result_.instructions.push_back((*level)->data().tasks[(*level)->task_of(seed)].instruction);
    }
    result_.delays = deployment_.delays();
    result_.hand_backs = deployment_.hand_backs();
    result_.counts = deployment_.counts();
    on_progress_(total_, total_, "done");
    return std::move(result_);
  }

 private:
  struct Since {  // the last evaluation
    std::uint64_t episodes = 0, steps = 0, takeovers = 0, wrong_takeovers = 0, human_steps = 0;
    Duration length{};
    std::size_t micro = 0, full = 0;
    DeploymentCounts counts;
  };

  Status make_base() {
    const std::uint64_t before = done_;
    const Result<BasePolicyTimes> times =
        make_base_policy(deployment_, config_, options_.seed, options_.demonstrations,
                         [&](BasePolicyStage stage, std::uint64_t done, std::uint64_t total) {
                           if (stage == BasePolicyStage::kDemonstrations) {
                             done_ = before + kDemonstrationUnits * done;
                             say("recording demonstrations");
                           } else {
                             done_ = before + kDemonstrationUnits * options_.demonstrations +
                                     kTrainingUnits * done / total;
                             say("training the base policy");
                           }
                         });
    if (!times.ok()) return times.status();
    result_.demonstration_seconds = times->demonstrations;
    result_.training_seconds = times->training;
    return {};
  }

  Status evaluate_now() {
    Result<std::shared_ptr<const Weights>> weights = deployment_.newest_full_weights();
    if (!weights.ok()) return weights.status();
    const std::vector<std::uint64_t> seeds =
        evaluation_seeds(options_.seed, options_.evaluation_starts);
    const std::uint64_t before = done_;
    const Result<EvaluationResult> evaluation =
        evaluate(deployment_.config(), *weights, seeds, options_.threads, [&](std::size_t done) {
          done_ = before + kEvaluationUnits * done / seeds.size();
          say("evaluating after " + std::to_string(corrected_) + " corrected episodes");
        });
    if (!evaluation.ok()) return evaluation.status();
    result_.final_success = evaluation->success;

    const LearningDelays& delays = deployment_.delays();
    const DeploymentCounts counts = deployment_.counts();
    CampaignPoint point;
    point.corrected_episodes = corrected_;
    point.episodes = episodes_;
    point.weights = deployment_.history().newest_full();
    point.successes = evaluation->successes();
    point.starts = seeds.size();
    point.success = evaluation->success;
    point.robot_seconds = seconds(since_.length);
    point.takeovers = since_.takeovers;
    point.wrong_takeovers = since_.wrong_takeovers;
    if (since_.steps > 0) {
      point.interventions_per_100_steps =
          100.0 * static_cast<double>(since_.takeovers) / static_cast<double>(since_.steps);
      point.human_seconds_per_episode = seconds(deployment_.robot().policy_period) *
                                        static_cast<double>(since_.human_steps) /
                                        static_cast<double>(since_.episodes);
    }
    point.micro_seconds = median_of_new(delays.micro, since_.micro);
    point.full_seconds = median_of_new(delays.full, since_.full);
    point.accepted = counts.accepted - since_.counts.accepted;
    point.rejected = counts.rejected - since_.counts.rejected;
    point.superseded = counts.superseded - since_.counts.superseded;
    point.confirmed = counts.confirmed - since_.counts.confirmed;
    point.rolled_back = counts.rolled_back - since_.counts.rolled_back;
    result_.points.push_back(point);
    since_ = {.micro = delays.micro.size(), .full = delays.full.size(), .counts = counts};
    return {};
  }

  void advance(std::uint64_t units, const std::string& message) {
    done_ = std::min(total_, done_ + units);
    if (!message.empty()) say(message);
  }
  void say(const std::string& message) { on_progress_(std::min(done_, total_), total_, message); }

  Deployment& deployment_;
  const Config& config_;
  const CampaignOptions& options_;
  const OnCampaignProgress& on_progress_;
  std::uint64_t done_ = 0, total_ = 0;
  std::uint32_t episodes_ = 0, corrected_ = 0;
  Since since_{};
  CampaignResult result_;
};

}  // namespace

Result<std::vector<std::size_t>> tasks_worked_on(const Config& config) {
  std::vector<std::size_t> named;
  if (config.demo.tasks == "all") return named;
  const Result<const KitchenLevel*> level = kitchen_level(static_cast<int>(config.kitchen.level));
  if (!level.ok()) return level.status();
  const std::vector<KitchenTask>& tasks = (*level)->data().tasks;
  std::string_view rest = config.demo.tasks;
  while (true) {
    const std::size_t end = rest.find(';');
    const std::string_view name = trimmed(rest.substr(0, end));
    const auto task = std::ranges::find(tasks, name, &KitchenTask::instruction);
    if (task == tasks.end()) {
      std::string all;
      for (const KitchenTask& one : tasks)
        all += (all.empty() ? "\"" : ", \"") + one.instruction + "\"";
      return invalid_argument("demo.tasks: level " + std::to_string((*level)->data().number) +
                              " has no task \"" + std::string(name) + "\", but " + all);
    }
    named.push_back(static_cast<std::size_t>(task - tasks.begin()));
    if (end == std::string_view::npos) return named;
    rest.remove_prefix(end + 1);
  }
}

Result<CampaignResult> run_campaign(Deployment& deployment, const Config& config,
                                    const CampaignOptions& options,
                                    const OnCampaignProgress& on_progress) {
  return Campaign(deployment, config, options, on_progress).run();
}

}  // namespace nudge
