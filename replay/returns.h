// How well the steps of judged episodes went: returns, advantages, and the tokens that tell a head
// which of them to repeat.
//
// RECAP (Physical Intelligence, "pi*0.6: a VLA that learns from experience", 2025, section IV),
// with gamma = 1: each step costs 1, and a failure a constant besides, so that for step t of an
// episode whose last step is T
//   R_t = -(T - t)                  in a success
//   R_t = -(T - t) - C              in a failure, C = failure_cost * L
// and both are divided by (1 + failure_cost) * L, where L is the task's longest episode: returns
// lie in -1..0, and with failure_cost = 1 those of failures in the lower half. With the values V of
// a value function (policy/value.h), seen N steps ahead,
//   A_t = r_t + ... + r_(t+N-1) + V_(t+N) - V_t
// or R_t - V_t where the episode ends before that. Where somebody else takes over within those
// steps, N ends there: what a person then does is no merit of the policy. A step is one in which
// somebody drove.
//
// Tokens are of the policy's steps, and of those that a person drove in a demonstration labelled
// failure, up to its mistake: what came before may be as good as any, and what came after was a
// hopeless case, of no use to anybody. The mistake is where A falls most: the N steps with the
// smallest sum of advantages. A step is positive when its advantage is at least the quantile of its
// task's steps of the same of the two kinds, and negative otherwise; what led to a takeover is
// negative whatever its advantage, since a person judged it. What else people drove keeps its
// class's token, which is positive.
//
// A task is the instruction that an episode began with. Tasks with too few episodes are judged
// together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "replay/dataset.h"

namespace nudge {

struct ReturnOptions {
  double failure_cost = 1.0;        // 0..100; Evo-RL's
  std::uint32_t lookahead = 10;     // N, 1..10,000
  double quantile = 0.7;            // 0..0.99; RLinf's and Evo-RL's
  std::size_t fewest_episodes = 5;  // of a task that is judged by itself

  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// Steps that may teach, by their token.
struct StepJudgement {
  double threshold = 0;  // of the advantage
  std::uint64_t positive = 0, negative = 0;
};

struct TaskJudgement {
  std::string task;  // the instruction; empty: of all tasks that are too rare, or it had none
  std::uint64_t episodes = 0, successes = 0;
  std::uint32_t longest = 0;          // L, in steps
  StepJudgement policy;               // negative: before takeovers included
  std::uint64_t before_takeover = 0;  // of these
  StepJudgement shown;                // by people, in demonstrations that failed, up to the mistake
};

struct Judgement {
  std::vector<std::vector<float>> advantages;  // by episode and step
  std::vector<StepAdvantage> tokens;           // of steps that are judged, in order; kNone behind
                                               // a mistake; those of held-out episodes too
  std::vector<TaskJudgement> tasks;            // in order of first appearance
};

// Whether a step of this episode gets a token.
bool is_judged(const JudgedEpisode& episode, const JudgedStep& step);

// Immutable; safe to read from any thread.
class Returns {
 public:
  // options.validate() is ok. `episodes` as of Dataset::judged_episodes().
  Returns(std::vector<JudgedEpisode> episodes, const ReturnOptions& options);

  const std::vector<JudgedEpisode>& episodes() const { return episodes_; }
  // Normalised, -1..0; by episode and step.
  const std::vector<std::vector<float>>& values() const { return returns_; }

  // `values`: V of each step, as values(). Thresholds are of episodes that are not held out.
  // kInvalidArgument for other sizes, or numbers that are not finite.
  Result<Judgement> judge(std::span<const std::vector<float>> values) const;

 private:
  std::vector<JudgedEpisode> episodes_;
  ReturnOptions options_;
  std::vector<TaskJudgement> tasks_;
  std::vector<std::size_t> task_of_;  // by episode
  std::vector<std::vector<float>> returns_;
};

}  // namespace nudge
