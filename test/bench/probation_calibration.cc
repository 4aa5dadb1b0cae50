// How often probation takes back what is as good as before, and confirms what is worse: lives drawn
// at random, in which people take over a share of the episodes. A takeover of the confirmed weights
// happens in a share `before` of their episodes, one of the new weights in a share `now`.
//
//   probation_calibration >probation.jsonl
#include <cstdio>
#include <nlohmann/json.hpp>

#include "nudge/random.h"
#include "policy/probation.h"

namespace nudge {
namespace {

constexpr int kLives = 4000;
constexpr int kMostEpisodes = 100;
constexpr std::uint32_t kStepsOfAnEpisode = 60;

struct Outcome {
  Verdict::Kind kind = Verdict::Kind::kKeep;
  int episodes = 0;
};

Outcome live_once(const ProbationOptions& options, double before, std::uint32_t parent_episodes,
                  double now, Random& random) {
  Exposure parent;
  parent.episodes = parent_episodes;
  parent.steps = std::uint64_t{parent_episodes} * kStepsOfAnEpisode;
  for (std::uint32_t i = 0; i < parent_episodes; ++i) {
    if (random.uniform() < before) ++parent.takeovers;
  }
  Probation probation(options);
  probation.on_boot(1, parent);
  probation.on_live(2, WeightsKind::kFull);
  for (int episode = 1; episode <= kMostEpisodes; ++episode) {
    probation.on_episode_started();
    for (std::uint32_t step = 0; step < kStepsOfAnEpisode; ++step) probation.on_auto_step(false);
    if (random.uniform() < now) probation.on_takeover();
    probation.on_episode_ended();
    if (const Verdict verdict = probation.verdict(); verdict.kind != Verdict::Kind::kKeep) {
      return {verdict.kind, episode};
    }
  }
  return {Verdict::Kind::kKeep, kMostEpisodes};
}

void study(double doubt, double before, std::uint32_t parent_episodes, double now) {
  ProbationOptions options;
  options.doubt = doubt;
  Random random(1);
  int rolled_back = 0;
  int confirmed = 0;
  int episodes = 0;
  for (int life = 0; life < kLives; ++life) {
    const Outcome outcome = live_once(options, before, parent_episodes, now, random);
    rolled_back += outcome.kind == Verdict::Kind::kRollBack ? 1 : 0;
    confirmed += outcome.kind == Verdict::Kind::kConfirm ? 1 : 0;
    episodes += outcome.episodes;
  }
  const nlohmann::json line = {{"doubt", doubt},
                               {"before", before},
                               {"parent_episodes", parent_episodes},
                               {"now", now},
                               {"lives", kLives},
                               {"rolled_back", rolled_back},
                               {"confirmed", confirmed},
                               {"mean_episodes", static_cast<double>(episodes) / kLives}};
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace
}  // namespace nudge

int main() {
  for (const double doubt : {0.0, nudge::ProbationOptions().doubt}) {
    for (const double before : {0.1, 0.3}) {
      for (const std::uint32_t parent_episodes : {5u, 20u, 100u}) {
        for (const double now : {0.0, 0.1, 0.3, 0.5, 0.7, 1.0}) {
          nudge::study(doubt, before, parent_episodes, now);
        }
      }
    }
  }
  return 0;
}
