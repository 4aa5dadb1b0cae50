// A state folder with the log of a small robot that exists in numbers only, as a daemon leaves it:
// demonstrations, corrected episodes, and episodes in which the policy was alone, labelled. Equal
// calls write equal logs.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "nudge/random.h"
#include "policy/backbone.h"
#include "replay/log.h"
#include "src/config/config.h"
#include "src/learning/settings.h"
#include "src/loop/recorder.h"
#include "src/loop/robot_record.h"
#include "src/loop/state_folder.h"

namespace nudge::test {

inline RobotSpec nightly_robot() {
  RobotSpec spec;
  spec.id = "arm-7";
  spec.observation.object_state = {{"near", "1", 0, 1}, {"side", "1", -1, 1}};
  spec.observation.proprioception = {{"x", "m", -1, 1}};
  spec.action.channels = {{"x", "m/s", -0.25f, 0.25f}, {"y", "m/s", -0.25f, 0.25f}};
  spec.control_period = std::chrono::milliseconds(20);
  spec.policy_period = std::chrono::milliseconds(100);
  return spec;
}

// Trains in a second or two.
inline Config nightly_config() {
  Config config;
  config.policy.hidden = 24;
  config.policy.layers = 2;
  config.policy.horizon = 4;
  config.policy.replan_after = 2;
  config.learner.batch = 32;
  config.learner.base_steps = 150;
  config.learner.full_steps = 40;
  config.gate.min_heldout_episodes = 2;
  config.nightly.steps = 100;
  config.nightly.advantage = true;
  config.nightly.value_steps = 30;
  config.nightly.lookahead = 4;
  config.nightly.quantile = 0.5;
  return config;
}

// An episode goes from `near` = 0 to 1 where the policy does well, and stays where it is where not.
class NightlyLog {
 public:
  explicit NightlyLog(const std::string& folder, const std::string& boot = "boot-1") {
    EXPECT_TRUE(make_state_folder(folder).ok());
    LogOptions options;
    options.dir = folder + "/log";
    options.boot = boot;
    options.ballast_bytes = 0;
    auto log = Log::open(posix_files(), options);
    EXPECT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);
    recorder_.emplace(*log_, boot, Actor{.name = "test", .role = Role::kScript});
    const auto backbone = make_state_backbone(robot_.observation);
    EXPECT_TRUE(backbone.ok());
    segment_ = segment_spec(robot_, policy_shape(nightly_config(), robot_, **backbone));
    append(booted("test", robot_));
    commit();
  }

  EpisodeId begin(EpisodePurpose purpose) {
    const auto episode = recorder_->begin_episode(
        {.purpose = purpose, .seed = 0, .instruction = instruction}, segment_, moment());
    EXPECT_TRUE(episode.ok()) << episode.status().message();
    episode_ = *episode;
    step_ = 0;
    random_ = Random(Random::derive(77, episode_));
    near_ = 0;
    side_ = random_.uniform(-1, 1);
    return episode_;
  }
  void steps(int count, ControlSource source, bool good, SpanId span = 0) {
    for (int i = 0; i < count; ++i) {
      Step step;
      step.episode = episode_;
      step.policy_step = step_++;
      step.time = now_ += std::chrono::milliseconds(100);
      step.source = source;
      step.span = span;
      const auto near = static_cast<float>(near_), side = static_cast<float>(side_);
      step.features = {near, side};
      step.proprioception = {static_cast<float>(random_.uniform(-1, 1))};
      step.executed = {0.5f * side + 0.3f * step.proprioception[0], 0.4f - 0.6f * near};
      if (!good) step.executed = {-step.executed[0], 0.1f};
      step.requested = step.executed;
      if (good) near_ = std::min(1.0, near_ + 0.05);
      const Status status = recorder_->append(std::move(step));
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }
  void end(LabelValue label) {
    if (label != LabelValue::kNone) append(Label{.episode = episode_, .value = label}, person);
    const Status status = recorder_->end_episode(EpisodeEnd::kTaskDone, step_, moment());
    EXPECT_TRUE(status.ok()) << status.message();
    commit();
  }

  void demonstration() {
    begin(EpisodePurpose::kDemonstration);
    steps(20, ControlSource::kScript, true);
    end(LabelValue::kSuccess);
  }
  // Begins as one that goes well.
  void failed_demonstration() {
    begin(EpisodePurpose::kDemonstration);
    steps(10, ControlSource::kScript, true);
    steps(20, ControlSource::kScript, false);
    end(LabelValue::kFailure);
  }
  void corrected() {
    begin(EpisodePurpose::kDeployment);
    steps(12, ControlSource::kPolicy, false);
    const SpanId span = log_->next_span_id();
    append(SpanOpened{.span = span, .epoch = span, .first_step = step_}, person);
    steps(16, ControlSource::kHuman, true, span);
    append(SpanClosed{.span = span, .last_step = step_ - 1}, person);
    steps(4, ControlSource::kPolicy, true);
    end(LabelValue::kSuccess);
  }
  EpisodeId alone(bool success) {
    const EpisodeId id = begin(EpisodePurpose::kDeployment);
    steps(8, ControlSource::kPolicy, true);
    steps(success ? 12 : 24, ControlSource::kPolicy, success);
    end(success ? LabelValue::kSuccess : LabelValue::kFailure);
    return id;
  }
  void label(EpisodeId episode, LabelValue value) {
    append(Label{.episode = episode, .value = value}, person);
    commit();
  }
  void append(Payload payload, const Actor& actor = {.name = "nudge", .role = Role::kScript}) {
    const Status status = recorder_->append(std::move(payload), moment(), actor, "");
    EXPECT_TRUE(status.ok()) << status.message();
  }
  void commit() {
    const Status status = log_->commit();
    EXPECT_TRUE(status.ok()) << status.message();
  }

  Actor person = {.name = "lena", .role = Role::kSupervisor};
  std::string instruction = "lift it";

 private:
  Moment moment() const { return {.now = now_, .wall = {}, .policy_step = step_}; }

  RobotSpec robot_ = nightly_robot();
  SegmentSpec segment_;
  std::unique_ptr<Log> log_;
  std::optional<Recorder> recorder_;
  Instant now_{std::chrono::seconds(1)};
  EpisodeId episode_ = 0;
  std::uint32_t step_ = 0;
  Random random_{0};
  double near_ = 0, side_ = 0;
};

}  // namespace nudge::test
